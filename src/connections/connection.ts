import type { Fingerprint } from '../core/secret.ts'
import type { Identity } from '../providers/connection-way.ts'

/**
 * A connection and its states.
 *
 * ```
 *                    may heal alone: 5xx, network, a fault of ours
 *   ┌───────────┐ ────────────────────────────────────────────▶ ┌──────────┐
 *   │ connected │                                               │ degraded │
 *   └───────────┘ ◀──────────────────────────────────────────── └──────────┘
 *     ▲       │                     works again                     │
 *     │       │ the grant is dead, judged after a re-read           │ the same
 *     │       ▼                                                     ▼
 *     │     ┌───────────────────────────────────────────────────────────┐
 *     │     │                     reconnect_needed                      │
 *     │     └───────────────────────────────────────────────────────────┘
 *     │           │ link opened             ▲ denied, late, another person
 *     │           ▼                         │
 *     │     ┌───────────────────────────────────────────────────────────┐
 *     └──── │                       reconnecting                        │
 *   code    └───────────────────────────────────────────────────────────┘
 *   redeemed, same identity
 *
 *   all but revoked ── disable ──▶ disabled ── enable ──▶ degraded, until a check says more;
 *                                                         reconnect_needed, where its refresh token is lost
 *   all ── disconnect, by us ──▶ revoked, for good
 * ```
 *
 * 1. Each transition is one event with a reason, written in the same transaction, exactly once.
 * 2. Only `invalid_grant` after a re-read under the lock, the loss of the only refresh token, or, where there
 *    is none, an access token that has ended or that two probes beside a control call found dead, sets
 *    `reconnect_needed`. Trouble of the network, of the provider, or of ours (`invalid_client`) never does.
 * 3. The id of a connection outlives every reconnect.
 */
export type ConnectionState =
  | 'connected'
  | 'degraded'
  | 'reconnect_needed'
  | 'reconnecting'
  | 'disabled'
  | 'revoked'

/** Why a connection is not well: the taxonomy of what a token endpoint and a probe can say. */
export type CauseCode =
  | 'revoked_or_expired'
  | 'rotated_token_lost'
  | 'no_refresh_token'
  | 'identity_changed'
  | 'scopes_lost'
  | 'our_client_refused'
  | 'issuer_mismatch'
  | 'provider_down'
  | 'network'
  | 'rate_limited'
  | 'forbidden'
  | 'malformed_answer'
  | 'store_failed'
  | 'no_probe'
  | 'not_configured'
  | 'by_us'
  | 'by_owner'

export interface Cause {
  readonly code: CauseCode
  /** How sure the cause is; a provider rarely says who revoked. */
  readonly confidence: 'certain' | 'likely' | 'possible'
  /** One sentence for the person who must act; no secret. */
  readonly text: string
}

export interface Connection {
  /** `con_` and ten letters. Never changes. */
  readonly id: string
  /** The tenant of `rescind.yaml` whose app and url it uses. */
  readonly tenant: string
  readonly provider: string
  /** Who it belongs to on our side: a customer, an account. */
  readonly owner: string
  readonly tags: readonly string[]
  readonly state: ConnectionState
  readonly cause: Cause | null
  /** What was granted, as far as an answer said it; empty where none did. */
  readonly scopes: readonly string[]
  readonly identity: Identity | null
  /** Of the pair of tokens; grows by one with each write. */
  readonly version: number
  readonly accessFingerprint: Fingerprint | null
  readonly refreshFingerprint: Fingerprint | null
  readonly accessExpiresAt: number | null
  readonly createdAt: number
  readonly changedAt: number
  readonly checkedAt: number | null
}

export interface ConnectionEvent {
  /** `cev_` and a number: stable, so that a receiver tells duplicates. */
  readonly id: string
  readonly at: number
  readonly connection: string
  readonly type:
    | 'connection.created'
    | 'connection.degraded'
    | 'connection.needs_reauth'
    | 'connection.reconnecting'
    | 'connection.reconnect_failed'
    | 'connection.healed'
    | 'connection.reconnected'
    | 'connection.disabled'
    | 'connection.enabled'
    | 'connection.revoked'
    | 'connection.refreshed'
    | 'connection.budget_low'
    | 'connection.connected'
    | 'connection.tagged'
    | 'connection.untagged'
  readonly from: ConnectionState | null
  readonly to: ConnectionState
  readonly cause: Cause | null
}
