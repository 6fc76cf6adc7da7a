import type { Clock, Random } from '../core/clock.ts'
import type { Http } from '../core/http.ts'
import type {
  Account,
  AppRow,
  Covers,
  Reach,
  ReachKind,
  TokenKind,
  TokenRow,
  UserRow,
} from '../core/listing.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Proof } from '../core/proof.ts'
import type { Fingerprint, Secret } from '../core/secret.ts'
import type { Way } from '../protocol/oauth-request.ts'
import type { TargetWish } from '../protocol/open-target.ts'
import type { RevocationTarget } from '../protocol/revocation-target.ts'
import type { CredentialVault } from '../store/credentials.ts'
import type { ConnectionApp, ConnectionWay } from './connection-way.ts'

export type * from '../core/listing.ts'

/**
 * The contract of a provider: one object that says as data what it can do, and opens sessions that
 * list, kill and look. Shared code asks `supports`, never `id`.
 */
export interface Provider {
  readonly id: string
  readonly title: string
  readonly supports: {
    readonly inventory: boolean
    /** What one kill call can reach. */
    readonly kill: readonly ReachKind[]
    /** The rungs of the ladder that the provider can give evidence for. */
    readonly prove: readonly Proof[]
    readonly block: boolean
    /** How long something minted from a token may outlive its death, where that is known. */
    readonly residualMs?: number
  }
  /** The keys of a tenant's `login` whose values are secrets. */
  readonly secrets: readonly string[]
  /**
   * Checks a tenant as its file has it: a reference to a secret stands for its value, and nothing is
   * resolved or sent.
   *
   * @throws RescindError `config_invalid`
   */
  checkConfig?(tenant: TenantConfig): void
  /** Writes a record's id as inventories have it, where the vendor has several forms of one. */
  canonicalId?(id: string): string
  /** How OAuth connections to this provider are made, kept alive, probed and ended. */
  readonly connection?: ConnectionWay
  /** How one token that somebody holds is revoked, without a tenant. */
  readonly heldToken?: HeldTokenWay
  /**
   * Logs in and says who we are there.
   *
   * @throws RescindError `config_invalid`, `not_authenticated`, `login_needed`, or one of the HTTP codes
   */
  open(tenant: TenantConfig, means: Means): Promise<ProviderSession>
  /**
   * Logs a person in through the browser, and stores in the vault what `open` needs from then on.
   *
   * @throws RescindError `config_invalid` when the tenant logs in another way, `not_authenticated`
   */
  logIn?(tenant: TenantConfig, means: Means, browser: Browser): Promise<Account>
}

/** The addresses that can say where a held token is revoked. */
export const HELD_TOKEN_ADDRESSES = ['issuer', 'endpoint', 'introspectionEndpoint', 'url'] as const

export type HeldTokenAddress = (typeof HELD_TOKEN_ADDRESSES)[number]

/** What a person says of where a held token is revoked, and of its client. */
export interface HeldTokenWish extends TargetWish {
  /** The provider's host. */
  readonly url?: string | undefined
}

export interface HeldTokenWay {
  /** The addresses that it takes; one at least must be given. */
  readonly addresses: readonly HeldTokenAddress[]
  /** What to say to who gives none: one sentence. */
  readonly sayWhere: string
  /** @throws RescindError `usage`, `url_invalid`, `url_plain_http`, or one of the HTTP codes */
  openTarget(wish: HeldTokenWish, way: Way): Promise<RevocationTarget>
}

/** Where a person logs in. */
export interface Browser {
  /** Shows the address to the person, and tries to open it. */
  open(url: string): Promise<void> | void
}

/** One tenant as `rescind.yaml` has it, with `${env:…}` and `${file:…}` resolved to secrets. */
export interface TenantConfig {
  readonly name: string
  readonly provider: string
  readonly url: string
  /** The provider's own keys; it validates them. Secrets are `Secret` values. */
  readonly login: Readonly<Record<string, unknown>>
  readonly options: Readonly<Record<string, unknown>>
  /** Our registration there, for connections; its url is the tenant's. */
  readonly app?: Omit<ConnectionApp, 'url'> | undefined
}

/** What a provider works with; all of it is passed in. */
export interface Means {
  readonly http: Http
  readonly clock: Clock
  readonly random: Random
  readonly vault: CredentialVault
  /** Fingerprints handles under the store's key. */
  readonly fingerprint: (secret: Secret) => Fingerprint
  readonly env: Readonly<Record<string, string | undefined>>
  /** One short line for the person who waits; never a secret. */
  readonly notice: (line: string) => void
  readonly signal?: AbortSignal | undefined
}

export interface ProviderSession {
  readonly account: Account
  /** Says what this credential may do, before a plan is made. */
  check(): Promise<readonly Capability[]>
  /**
   * Streams one snapshot of the live tokens. Apps and users come before the tokens that name them;
   * `end` comes last and states whether the provider's own part was whole.
   */
  inventory(signal?: AbortSignal): AsyncIterable<InventoryPart>
  /** Sends one kill, once. Trouble is an outcome, not an exception; only an abort throws. */
  kill(kill: Kill, signal?: AbortSignal): Promise<KillAnswer>
  /**
   * Looks which of these tokens are in the provider's list now.
   *
   * @throws RescindError when the list cannot be read
   */
  look(tokens: readonly KillToken[], signal?: AbortSignal): Promise<LookAnswer>
  /**
   * Lists the fingerprints of all tokens that a kill would reach at this moment, so that a coarse
   * kill is never sent when something outside the plan stands in its way.
   */
  reachNow(kill: Kill, signal?: AbortSignal): Promise<ReadonlySet<Fingerprint>>
  /** Says, for a dry run, why no call can block an app and what to click; nothing where one may. */
  whyNotBlock?(app: AppRow): string | undefined
  /**
   * Puts an app out, so that it cannot come back, or says what a person must click.
   *
   * @param keep keeps the undo record; it is awaited before the change is sent, and what it throws
   * stops the block with nothing sent
   */
  block?(
    app: AppRow,
    keep: (undo: unknown) => Promise<void> | void,
    signal?: AbortSignal,
  ): Promise<BlockAnswer>
  /** Undoes what the undo record of {@link ProviderSession.block} says. */
  unblock?(undo: unknown, signal?: AbortSignal): Promise<BlockAnswer>
  close(): Promise<void>
}

export interface Capability {
  readonly name: string
  readonly can: 'yes' | 'no' | 'unknown'
  /** Why, and what to do about a `no`. */
  readonly why: string
}

export type InventoryPart =
  /**
   * The provider's own count of its grants; sessions are not in it. A provider that reads again what
   * moved counts before each round: the last `before` and `after` stand.
   */
  | { readonly type: 'counted'; readonly when: 'before' | 'after'; readonly count: number }
  | { readonly type: 'users'; readonly users: readonly UserRow[] }
  | { readonly type: 'apps'; readonly apps: readonly AppRow[] }
  | { readonly type: 'tokens'; readonly slice: number; readonly tokens: readonly TokenRow[] }
  /** Forget what was read of a slice: it moved, and is read again. */
  | { readonly type: 'slice_again'; readonly slice: number }
  /** A fact that belongs on every page made from the inventory. */
  | { readonly type: 'note'; readonly text: string }
  | {
      readonly type: 'end'
      /** All slices are provably whole, within what `covers` says. */
      readonly whole: boolean
      /** Why it is whole, or why it is not: one sentence. */
      readonly why: string
      readonly covers: Covers
      /** What could not be listed at all: then the list, whole as it is, is not of all tokens. */
      readonly lacks?: string | undefined
    }

/** A token as a kill or a look needs it. */
export interface KillToken {
  readonly fingerprint: Fingerprint
  readonly kind: TokenKind
  readonly handle: Secret
  readonly userId: string | null
  readonly appId: string | null
  readonly createdAt: number | null
}

export interface Kill {
  readonly reach: Reach
  /** All tokens that the kill is meant to reach; one for a `token` reach. */
  readonly tokens: readonly KillToken[]
}

export interface KillAnswer {
  readonly outcome: Outcome
  /** The vendor's error code or HTTP status, safe to print: `invalid_token`, `http_503`. */
  readonly code: string
  /** How long the provider asks to wait. */
  readonly retryAfterMs?: number | undefined
  /** The provider is short of capacity or quota: slow down. */
  readonly congested?: boolean | undefined
  /** Our own credential is the trouble: more kills would fare no better. */
  readonly credentialTrouble?: boolean | undefined
}

export interface LookAnswer {
  /** In the list now. */
  readonly present: ReadonlySet<Fingerprint>
  /** Could not be looked at (the list could not be shown whole). The rest is absent. */
  readonly unclear: ReadonlySet<Fingerprint>
}

export interface BlockAnswer {
  readonly app: string
  readonly done: boolean
  /** What was done, or what a person must click. */
  readonly text: string
  /** What `unblock` needs; JSON, without secrets. Absent when the org is proven to be as before. */
  readonly undo?: unknown
}
