import { createHash, randomBytes } from 'node:crypto'
import { isRescindError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'
import { vendorText } from '../core/vendor-text.ts'
import type { CodeGrant, FreshTokens, Identity } from '../providers/connection-way.ts'
import type { CodeExchange, ExchangeEnd } from '../store/reconnects.ts'
import type { Budget } from './budget.ts'
import type { Cause, CauseCode, Connection } from './connection.ts'
import type { ReconnectLink } from './drill/platform.ts'
import {
  causeOfChanges,
  compareGrants,
  describeChange,
  type GrantChange,
  type GrantFacts,
  missingScopes,
} from './grant-change.ts'
import { checkNames } from './names.ts'
import { asSuperseded, endReplaced, heldTokens } from './superseded.ts'
import { judgeRefresh, type Verdict } from './taxonomy.ts'
import { asConnection } from './transitions.ts'
import type { Vault } from './vault.ts'
import type { ConnectionTenant, VaultParts } from './vault-parts.ts'

/** An owner reads his mail within a day; a link that lies about for longer is found by others. */
export const LINK_MS = 24 * 3_600_000
/** A callback that came is at work for no longer than its calls may take. */
const CALLBACK_MS_MAX = 120_000
/** Of state and verifier: 256 bits, 43 characters, as RFC 7636 section 4.1 wants. */
const RANDOM_BYTES = 32
/** A state of ours has 43 characters; what is longer than this is not looked for. */
const STATE_LENGTH_MAX = 128

/** A connection that nobody has consented to yet. */
export interface PendingConnection {
  readonly tenant: string
  readonly owner: string
  readonly tags?: readonly string[] | undefined
}

/** A link for the owner: whoever opens it before it ends, and consents, brings a new grant. */
export interface Invitation extends ReconnectLink {
  readonly expiresAt: number
  /** Before the new grant; null where it is not known who the owner is, or how many may live. */
  readonly budget: Budget | null
}

/** What came to the callback. @see RFC 6749 section 4.1.2, RFC 9207 */
export interface CallbackAnswer {
  readonly state: string | null
  readonly code: Secret | null
  readonly error: string | null
  readonly iss: string | null
}

/** What became of an answer at the callback. */
export type ReconnectOutcome =
  | {
      readonly kind: 'reconnected'
      readonly connection: Connection
      /** What is worse than before and was accepted. */
      readonly changes: readonly GrantChange[]
    }
  /** No state of ours; one that was used; one that ran out. Nothing was sent anywhere. */
  | { readonly kind: 'forged' | 'used' | 'late' }
  /** The owner said no, or the provider did, by a code at the callback. */
  | { readonly kind: 'denied' | 'provider_error'; readonly cause: Cause }
  /** The provider did not take the code: it was used before, ran out, or is not ours. */
  | { readonly kind: 'code_refused'; readonly cause: Cause }
  /** It did not answer, or not well: the owner may try again with a new link. */
  | { readonly kind: 'unreachable'; readonly cause: Cause }
  /** The answer does not come from the server that was asked (RFC 9207): its code was sent nowhere. */
  | { readonly kind: 'wrong_issuer'; readonly cause: Cause }
  /** Our own registration is refused: no owner can mend it. */
  | { readonly kind: 'our_fault'; readonly cause: Cause }
  /** The grant is not the one of before; its tokens are kept to be revoked alone. */
  | { readonly kind: 'changed'; readonly changes: readonly GrantChange[]; readonly cause: Cause }
  /** It is not known whose the grant is, and it was known before. */
  | { readonly kind: 'unconfirmed'; readonly cause: Cause }
  /** The connection was disconnected while its owner was away. */
  | { readonly kind: 'gone' }
  /** The new tokens could not be written. */
  | { readonly kind: 'not_stored'; readonly cause: Cause }

export interface ReauthorizeOptions {
  /** Changes for the worse that are taken; each other one is refused. */
  readonly accept?: readonly GrantChange[] | undefined
}

/** Brings connections a new grant by their owner's consent, under the same id. */
export interface Reauthorizing {
  /** Keeps a connection without a grant: its first link makes it one. */
  create(wish: PendingConnection): Promise<Connection>
  /**
   * Makes a link for the owner, with a state that is good once.
   *
   * @throws RescindError `connection_unknown`, `connection_disabled` for one that was disconnected,
   * and what asking for the provider's metadata throws
   */
  link(id: string): Promise<Invitation>
  /** Takes what came to the callback. */
  callback(answer: CallbackAnswer): Promise<ReconnectOutcome>
  /** Takes back those whose owner never came, and tells of those that were cut off; returns how many. */
  expire(): Promise<number>
}

/**
 * Takes back connections whose owner never came, and tells of those whose owner did, and what came of it
 * was cut off; as any process may. Returns how many.
 */
export async function expireReconnects(
  { store }: Pick<VaultParts, 'store'>,
  vault: Pick<Vault, 'failReconnect' | 'giveUpReconnect'>,
): Promise<number> {
  const cutOff = await store.cutOffExchanges(CALLBACK_MS_MAX)
  for (const loses of cutOff) await vault.failReconnect(loses.connection, CUT_OFF, { loses })
  const stale = await store.staleReconnects(CALLBACK_MS_MAX)
  for (const id of stale) await vault.giveUpReconnect(id, NEVER_CAME)
  return cutOff.length + stale.length
}

/** @see RFC 6749 section 4.1, RFC 7636, RFC 9207 */
export function createReauthorizing(
  parts: VaultParts,
  vault: Vault,
  { accept = [] }: ReauthorizeOptions = {},
): Reauthorizing {
  const { store, clock, http } = parts
  const expire = () => expireReconnects(parts, vault)
  const callback = async (answer: CallbackAnswer): Promise<ReconnectOutcome> => {
    const { state, code, error, iss } = answer
    if (state === null || state.length > STATE_LENGTH_MAX) return { kind: 'forged' }
    const taken = await store.takeReconnect(new Secret(state))
    if (taken === 'unknown') return { kind: 'forged' }
    if (taken === 'used') return { kind: 'used' }
    if ('late' in taken) {
      await late(taken.connection)
      return { kind: 'late' }
    }
    const before = await vault.get(taken.connection)
    if (before.state === 'revoked') return { kind: 'gone' }
    const failed = failedBefore(error)
    if (failed || code === null) return fail(before, failed ?? NO_CODE)
    const tenant = parts.tenantOf(before.tenant)
    const exchange = await store.beginExchange(new Secret(state))
    if (exchange === null) return { kind: 'gone' }
    const { verifier } = taken
    try {
      return await redeem({ before, tenant, exchange }, { code, verifier, iss })
    } catch (error) {
      // Where the store fails for this too, `expire` finds it.
      await vault.failReconnect(before.id, CUT_OFF, { loses: exchange }).catch(() => {})
      throw error
    }
  }
  const redeem = async (coming: Coming, grant: CodeGrant): Promise<ReconnectOutcome> => {
    const { before, tenant, exchange } = coming
    const redeemed = await tenant.way.redeem(tenant.app, grant, { http })
    if (redeemed.tokens) return adopt(coming, redeemed.tokens)
    const { verdict, maybeSpent } = judgeRefresh(redeemed)
    const refused = refusedCode(verdict)
    if (!maybeSpent) return fail(before, refused, { settles: exchange })
    const { cause } = refused
    const lost = { ...refused, cause: { ...cause, text: `${cause.text} ${MAY_LIVE}` } }
    return fail(before, lost, { loses: exchange })
  }
  /** Ends the wait for this owner; where nobody waits, it is a line of the history and nothing else. */
  const late = async (id: string): Promise<void> => {
    const { state } = await vault.get(id)
    if (state === 'reconnecting') await expire()
    else await vault.failReconnect(id, CAME_LATE)
  }
  /** The owner is back without a grant: what was before stays, with the new words. */
  const fail = async <T extends ReconnectOutcome & { readonly cause: Cause }>(
    { id }: Connection,
    outcome: T,
    end?: ExchangeEnd,
  ): Promise<T> => {
    await vault.failReconnect(id, outcome.cause, end)
    return outcome
  }
  const adopt = async (coming: Coming, tokens: FreshTokens): Promise<ReconnectOutcome> => {
    const { before, tenant, exchange } = coming
    const identity = tokens.identity ?? (await askIdentity(tenant, tokens))
    const scopes = tokens.scopes ?? tenant.app.scopes
    const changes = compareGrants(lostBy(before, tenant.app.scopes, scopes), { identity, scopes })
    const refused = changes.filter((change) => !accept.includes(change))
    if (before.identity !== null && identity === null) {
      await discard(coming, tokens, identity)
      return fail(before, UNCONFIRMED)
    }
    if (refused.length > 0) {
      await discard(coming, tokens, identity)
      return fail(before, { kind: 'changed', changes: refused, cause: changedCause(refused) })
    }
    try {
      const connection = await vault.adopt(before.id, { ...tokens, identity, scopes }, exchange)
      return { kind: 'reconnected', connection, changes }
    } catch (error) {
      if (!isRescindError(error)) throw error
      if (error.code !== 'connection_disabled') {
        // The store may be down for this too; then `expire` takes the connection back.
        return fail(before, NOT_STORED, { loses: exchange }).catch(() => NOT_STORED)
      }
      await discard(coming, tokens, identity)
      return { kind: 'gone' }
    }
  }
  /** A grant that is refused lives: it is kept until it is revoked, now or by the disconnect. */
  const discard = async (
    { before: { id }, tenant, exchange }: Coming,
    { refreshToken: refresh, accessToken: access }: FreshTokens,
    identity: Identity | null,
  ): Promise<void> => {
    const held = heldTokens({ access, refresh }, tenant)
    const superseded = asSuperseded(held, identity && JSON.stringify(identity))
    const updated = await store.update(id, () => ({ superseded, settles: exchange }))
    if (updated) await endReplaced(parts, tenant, updated.row)
  }
  const askIdentity = async (
    { way, app }: ConnectionTenant,
    { accessToken }: FreshTokens,
  ): Promise<Identity | null> => {
    const probe = await way.probe(app, accessToken, { http })
    return probe.verdict === 'alive' ? probe.identity : null
  }
  return {
    expire,
    callback: (answer) => vault.underWay.run(() => callback(answer)),
    async create({ tenant, owner, tags = [] }) {
      checkNames({ owner, tags })
      const { provider } = parts.tenantOf(tenant)
      const row = await store.add(
        {
          ...{ tenant, provider, owner, tags: JSON.stringify(tags), state: 'reconnect_needed' },
          ...{ scopes: '[]', identity: null, facts: '{}', due_at: null },
        },
        { access: null, refresh: null, expiresAt: null, renewAt: null },
        { type: 'connection.created', to: 'reconnect_needed', cause: null, notice: false },
      )
      return asConnection(row)
    },
    async link(id) {
      const { way, app } = parts.tenantOf((await vault.get(id)).tenant)
      const budget = await vault.budget(id)
      const state = new Secret(randomBytes(RANDOM_BYTES).toString('base64url'))
      const verifier = new Secret(randomBytes(RANDOM_BYTES).toString('base64url'))
      const challenge = createHash('sha256').update(verifier.reveal()).digest('base64url')
      const request = { state: state.reveal(), challenge, force: true }
      const url = await way.authorizationUrl(app, request, { http })
      const expiresAt = clock.now() + LINK_MS
      await store.addReconnect(id, state, verifier, expiresAt)
      // After its link: one without would be taken for run out.
      await vault.beginReconnect(id)
      return { url, state, redirectUri: app.redirectUri, expiresAt, budget }
    },
  }
}

/**
 * What may have been lost. An owner who grants all that we ask for took nothing away: what is less than
 * before then is what our own configuration no longer asks for.
 */
function lostBy(
  before: Connection,
  asked: readonly string[],
  granted: readonly string[],
): GrantFacts {
  const isAll = asked.length > 0 && missingScopes(asked, granted).length === 0
  return { identity: before.identity, scopes: isAll ? [] : before.scopes }
}

/** A consent whose code is sent, and what it is for. */
interface Coming {
  readonly before: Connection
  readonly tenant: ConnectionTenant
  readonly exchange: CodeExchange
}

type Failed = Extract<ReconnectOutcome, { readonly cause: Cause }>

/** Judges an answer that brings no code. @see RFC 6749 section 4.1.2.1 */
function failedBefore(error: string | null): Failed | null {
  if (error === null) return null
  const text = vendorText(error)
  if (error === 'access_denied') {
    return { kind: 'denied', cause: cause('by_owner', 'certain', 'The owner did not consent.') }
  }
  const isDown = ['server_error', 'temporarily_unavailable'].includes(error)
  const code = isDown ? 'provider_down' : 'our_client_refused'
  const said = `The provider ended the consent with ${text}.`
  return { kind: 'provider_error', cause: cause(code, 'likely', said) }
}

/** Judges what the token endpoint said of a code. */
function refusedCode(verdict: Verdict): Failed {
  switch (verdict.kind) {
    case 'permanent':
    case 'alive':
      return {
        kind: 'code_refused',
        cause: cause('revoked_or_expired', 'certain', CODE_REFUSED),
      }
    case 'ours': {
      const isOther = verdict.cause.code === 'issuer_mismatch'
      return { kind: isOther ? 'wrong_issuer' : 'our_fault', cause: verdict.cause }
    }
    case 'ambiguous':
    case 'transient':
      return { kind: 'unreachable', cause: verdict.cause }
  }
}

function changedCause(changes: readonly GrantChange[]): Cause {
  const what = changes.map(describeChange).join(', and ')
  return cause(causeOfChanges(changes), 'certain', `The last reconnect was refused: ${what}.`)
}

function cause(code: CauseCode, confidence: Cause['confidence'], text: string): Cause {
  return { code, confidence, text }
}

const CODE_REFUSED =
  'The provider did not take the code of the consent: it was used before, or came too late.'
const NEVER_CAME = cause('by_owner', 'possible', 'The link ran out before the owner consented.')
const CAME_LATE = cause('by_owner', 'certain', 'The owner came back by a link that had run out.')
const MAY_LIVE = 'A new grant may live at the provider until it is ended there.'
const CUT_OFF = cause(
  ...(['store_failed', 'possible'] as const),
  `The owner came back, and what came of the consent was cut off. ${MAY_LIVE}`,
)
const NO_CODE: Failed = {
  kind: 'provider_error',
  cause: cause('malformed_answer', 'certain', 'The answer of the provider held no code.'),
}
const UNCONFIRMED: Failed = {
  kind: 'unconfirmed',
  cause: cause('provider_down', 'likely', 'The provider did not say who consented.'),
}
const NOT_STORED: Failed = {
  kind: 'not_stored',
  cause: cause(
    ...(['store_failed', 'certain'] as const),
    'The new grant could not be stored, and may live at the provider until its owner removes it there.',
  ),
}
