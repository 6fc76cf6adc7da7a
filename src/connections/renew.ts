import type { Secret } from '../core/secret.ts'
import type { FreshTokens, HeldToken, Identity } from '../providers/connection-way.ts'
import type {
  ConnectionChange,
  ConnectionRow,
  NewTokens,
  StoredTokens,
} from '../store/connections.ts'
import { backOffMs, nextCheckMs } from './check-times.ts'
import type { Cause, CauseCode } from './connection.ts'
import { watchLease } from './lease.ts'
import { notStored, notUsable, unwell } from './refusals.ts'
import { asSuperseded, endReplaced, heldTokens } from './superseded.ts'
import { judgeRefresh } from './taxonomy.ts'
import { asConnection, eventOf, moveTo } from './transitions.ts'
import type { UnderWay } from './under-way.ts'
import type { ConnectionTenant, VaultParts } from './vault-parts.ts'

/** A token is changed this long before it ends, or after three quarters of its life. */
const RENEW_BEFORE_MS = 60_000
const STORE_TRIES = 4
const STORE_WAIT_MS = 50

/** Healed by a probe alone: that a token was given says nothing of them. */
const OF_THE_PROBE: readonly (CauseCode | undefined)[] = [
  'forbidden',
  'identity_changed',
  'no_probe',
]

/**
 * Changes refresh tokens into new ones: one request at a time for each connection, whoever asks, in
 * whichever process.
 *
 * ```
 *               intent on disk: sent, fence + 1        both tokens, version + 1, state, event: one write
 *   (no intent) ────────────────────────────▶ sent ──────────────────────────────────────▶ (no intent)
 *        ▲                                     │ │
 *        │ refused, and nothing was spent      │ │ no answer, or one that says nothing
 *        └─────────────────────────────────────┘ ▼
 *        ▲    the provider says: it lives      doubt ◀── sent, and its holder was silent for a whole lease
 *        └─────────────────────────────────────┤
 *                                              ▼ the provider says: dead; or it cannot say
 *                                             lost: never presented again, the owner must reconnect
 * ```
 *
 * 1. Nothing is presented whose intent is not on disk.
 * 2. Where replaying a spent token kills its successors, none is presented that may be spent.
 * 3. A lease ends when it was seen unchanged for its whole length, by the looker's own stopwatch: a wall
 *    clock that is wrong decides nothing. Who answers late is stored all the same, unless the tokens
 *    were replaced meanwhile: the version says so.
 *    Then what came is kept as a replaced grant, for the disconnect.
 * 4. New tokens that cannot be stored are kept in memory and tried again; until they are stored, nobody
 *    is given any token of the connection.
 * 5. An access token with no refresh token behind it is left as it is until its end: whether it lives
 *    before that a check tells, and nobody's word of one refusal.
 */
export function createRenewing(parts: VaultParts, underWay: UnderWay) {
  const { store, clock } = parts
  const flights = new Map<string, Flight>()
  const unstored = new Map<string, () => Promise<ConnectionRow>>()

  const run = async (id: string, stale: number): Promise<ConnectionRow> => {
    await flush(id)
    const known = await store.read(id)
    if (!known) throw new Error(`There is no connection ${id}.`)
    // Before the intent: what is missing in the configuration costs no token.
    const tenant = parts.tenantOf(known.tenant)
    const lease = watchLease(parts)
    for (;;) {
      // It may have been waited for long.
      underWay.check()
      const begun = await begin(id, stale, lease.overruled())
      if (begun.kind === 'newest') return begun.row
      if (begun.kind === 'held') {
        const settled = await settle(begun, tenant)
        if (settled) return settled
        // Somebody took it over meanwhile: what came of that is looked at.
        continue
      }
      await lease.wait(begun.row)
    }
  }

  const begin = async (id: string, stale: number, overruled: number | null): Promise<Begun> => {
    let begun: Begun | undefined
    const updated = await store.update(id, (row) => {
      if (!isRenewable(row)) throw notUsable(row)
      const isAsGood = row.version > stale || (row.intent === null && isLast(row, clock.now()))
      if (isAsGood) begun = { kind: 'newest', row }
      else if (row.intent === 'sent' && row.fence !== overruled) begun = { kind: 'busy', row }
      if (begun) return null
      const fence = row.fence + 1
      // In doubt, the first presentation counts for a grace, and not the look that follows.
      const intent_at = row.intent === null ? clock.now() : row.intent_at
      begun = { kind: 'held', row: { ...row, fence, intent: 'sent' }, inDoubt: row.intent !== null }
      return { set: { fence, intent: 'sent', intent_at } }
    })
    if (!updated || !begun) throw new Error(`The connection ${id} is gone.`)
    return begun
  }

  /** Null when the intent is another's by now, and nothing was sent. */
  const settle = async (held: Held, tenant: ConnectionTenant): Promise<ConnectionRow | null> => {
    try {
      const tokens = await store.tokens(held.row)
      // Who slept for a lease must not wake up and present what another has spent, or its successor.
      if (tokens.version !== held.row.version || !(await isHeld(held))) return null
      if (tokens.refresh === null) {
        return isLast(held.row, clock.now()) ? await letGo(held) : await broke(held, NO_REFRESH)
      }
      if (held.inDoubt) {
        const doubt = await resolve(tenant, { kind: 'refresh', token: tokens.refresh })
        if (doubt?.code === 'rotated_token_lost') return await broke(held, doubt)
        if (doubt) return await unsettled(held, doubt, 'doubt')
        if (!(await isHeld(held))) return null
      }
      return await present(held, tenant, { ...tokens, refresh: tokens.refresh })
    } catch (error) {
      if (error instanceof Settled) throw error.reason
      // Whatever it was, the token may have left: the next one looks first.
      await markDoubt(held).catch(() => undefined)
      throw error
    }
  }

  const isHeld = async ({ row: { id, fence } }: Held): Promise<boolean> =>
    (await store.read(id))?.fence === fence

  /** Nothing could have been sent: what was begun is over. */
  const letGo = async ({ row: { id, fence } }: Held): Promise<ConnectionRow | null> => {
    const set = { intent: null, intent_at: null }
    const updated = await store.update(id, (row) => (row.fence === fence ? { set } : null))
    return updated?.changed ? updated.row : null
  }

  /** Says why a token in doubt may not be presented; null when it may. */
  const resolve = async (tenant: ConnectionTenant, held: HeldToken): Promise<Cause | null> => {
    const { way, app, traits } = tenant
    if (traits.rotation === 'never' || !traits.replayKills) return null
    const means = { http: parts.http, signal: underWay.signal }
    const looked = (await way.look?.(app, held, means)) ?? 'unable'
    underWay.check()
    switch (looked) {
      case 'alive':
        return null
      case 'dead':
        return lost('likely')
      case 'unable':
        return lost('possible')
      case 'unclear':
        return { code: 'network', confidence: 'possible', text: IN_DOUBT }
    }
  }

  const present = async (
    held: Held,
    tenant: ConnectionTenant,
    tokens: StoredTokens & { readonly refresh: Secret },
  ): Promise<ConnectionRow> => {
    const { way, app, traits } = tenant
    // No signal: a refresh that is cut off in the middle may cost the grant.
    const means = { http: parts.http }
    const answer = await way.refresh(app, tokens.refresh, means)
    if (answer.tokens) return commit(held, tenant, tokens.refresh, answer.tokens)
    const { verdict, maybeSpent } = judgeRefresh(answer)
    switch (verdict.kind) {
      case 'alive':
        throw new Error('An answer without tokens was taken for a good one.')
      case 'permanent': {
        const before = !traits.replayKills && isInGrace(tokens, clock.now()) && tokens.predecessor
        if (before) {
          const again = await way.refresh(app, before, means)
          if (again.tokens) return commit(held, tenant, before, again.tokens)
        }
        const isLost =
          held.inDoubt && traits.rotation !== 'never' && verdict.cause.code === 'revoked_or_expired'
        return broke(held, isLost ? lost('likely') : verdict.cause)
      }
      case 'transient':
      case 'ambiguous':
      case 'ours': {
        const isRisky = maybeSpent && traits.rotation !== 'never'
        const retryAfterMs = verdict.kind === 'transient' ? verdict.retryAfterMs : undefined
        return unsettled(held, verdict.cause, isRisky ? 'doubt' : null, retryAfterMs)
      }
    }
  }

  const commit = async (
    { row: { id, version, fence, identity } }: Held,
    tenant: ConnectionTenant,
    presented: Secret,
    fresh: FreshTokens,
  ): Promise<ConnectionRow> => {
    const dueAt = clock.now() + nextCheckMs(parts.random)
    const write = async (): Promise<ConnectionRow> => {
      const updated = await store.update(id, (row) => {
        const tokens = freshTokens(parts, tenant, presented, fresh)
        // A reconnect may have brought an access token alone: then the refresh is still ours.
        const isOurs = row.version === version || row.fence === fence
        if (row.state !== 'revoked' && isOurs) return renewed(row, tokens, fresh, dueAt)
        const superseded = asSuperseded(heldTokens(tokens, tenant), identity)
        // Of a disconnected one it was taken for lost.
        const isFound = row.state === 'revoked' && row.intent === 'lost' && isOurs
        return { superseded, ...(isFound && { set: { intent: null } }) }
      })
      if (!updated) throw new Error(`The connection ${id} is gone.`)
      // Disconnected meanwhile: nobody waits for an end of it that could take these along.
      if (updated.row.state === 'revoked') await endReplaced(parts, tenant, updated.row)
      return updated.row
    }
    for (let tries = 1; ; tries += 1) {
      try {
        return await write()
      } catch (error) {
        if (tries < STORE_TRIES) await clock.sleep(STORE_WAIT_MS * 4 ** tries)
        else {
          unstored.set(id, write)
          throw new Settled(notStored(id, error))
        }
      }
    }
  }

  /** Stores tokens that came and could not be stored then, where there are some. */
  const flush = async (id: string): Promise<void> => {
    const write = unstored.get(id)
    if (!write) return
    try {
      await write()
    } catch (error) {
      throw notStored(id, error)
    }
    unstored.delete(id)
  }

  /** The grant is dead: told once, and only when the tokens are still those that were presented. */
  const broke = async ({ row: held }: Held, cause: Cause): Promise<ConnectionRow> => {
    const intent = cause.code === 'rotated_token_lost' ? 'lost' : null
    const updated = await store.update(held.id, (row) => {
      if (row.version !== held.version || row.fence !== held.fence) return null
      const set = { intent, intent_at: null, due_at: null } as const
      if (row.state === 'disabled') return { set }
      const move = moveTo(row, 'reconnect_needed', 'connection.needs_reauth', cause)
      return { ...move, set: { ...move.set, ...set } }
    })
    // A sibling won, or the owner reconnected: the refusal was of tokens that are no more.
    if (updated && updated.row.version > held.version) return updated.row
    const row = updated?.row ?? held
    throw new Settled(isRenewable(row) ? unwell(row.id, cause) : notUsable(row))
  }

  /** Not now: degraded, with when to look again. */
  const unsettled = async (
    { row: held }: Held,
    cause: Cause,
    intent: 'doubt' | null,
    retryAfterMs = 0,
  ): Promise<ConnectionRow> => {
    const updated = await store.update(held.id, (row) => {
      if (row.version !== held.version || row.fence !== held.fence) return null
      const failures = row.failures + 1
      const wait = Math.max(backOffMs(failures, parts.random), retryAfterMs)
      const set = {
        ...{ intent, failures, due_at: row.due_at === null ? null : clock.now() + wait },
        intent_at: intent && row.intent_at,
      }
      if (row.state === 'disabled') return { set }
      const move = moveTo(row, 'degraded', 'connection.degraded', cause)
      return { ...move, set: { ...move.set, ...set } }
    })
    if (updated && updated.row.version > held.version) return updated.row
    throw new Settled(unwell(held.id, cause))
  }

  const markDoubt = ({ row: held }: Held) =>
    store.update(held.id, (row) =>
      row.fence === held.fence && row.intent === 'sent' ? { set: { intent: 'doubt' } } : null,
    )

  /**
   * Renews the tokens of a connection unless they are newer than `stale` already, or there is no refresh
   * token and the access token has not ended; returns the row as it then is.
   *
   * @throws RescindError `reconnect_needed`, `connection_disabled`, `connection_unwell`,
   * `not_authenticated`, or one of the store's
   */
  const renew = (id: string, stale: number): Promise<ConnectionRow> => {
    const flight = flights.get(id)
    if (flight && flight.stale >= stale) return flight.landed
    // Begun for older tokens than those that were refused since: it may bring the very ones.
    if (flight) return flight.landed.then((row) => (row.version > stale ? row : renew(id, stale)))
    const landed = underWay.run(() => run(id, stale)).finally(() => flights.delete(id))
    flights.set(id, { stale, landed })
    return landed
  }

  return {
    renew,
    flush,
    /** Does so for all; returns those that still cannot be stored, with why. */
    async flushAll(): Promise<ReadonlyMap<string, Error>> {
      const failed = new Map<string, Error>()
      for (const id of [...unstored.keys()]) {
        await flush(id).catch((error: Error) => failed.set(id, error))
      }
      return failed
    },
    isUnderWay: (id: string) => flights.has(id),
    isUnstored: (id: string) => unstored.has(id),
  }
}

export type Renewing = ReturnType<typeof createRenewing>

interface Held {
  readonly kind: 'held'
  /** As it was when the intent was written, with it. */
  readonly row: ConnectionRow
  readonly inDoubt: boolean
}

type Begun = Held | { readonly kind: 'newest' | 'busy'; readonly row: ConnectionRow }

interface Flight {
  readonly stale: number
  readonly landed: Promise<ConnectionRow>
}

/** What was decided and written already; only the caller is still to be told. */
class Settled extends Error {
  readonly reason: unknown

  constructor(reason: unknown) {
    super('settled')
    this.reason = reason
  }
}

/** Says whether a connection's refresh token may be used at all. */
function isRenewable({ state, intent }: ConnectionRow): boolean {
  return (state === 'connected' || state === 'degraded') && intent !== 'lost'
}

/** Says whether there is no other access token to be had, and this one may be good. */
function isLast(
  { refresh_fingerprint: refresh, access_expires_at: endsAt }: ConnectionRow,
  now: number,
): boolean {
  return refresh === null && (endsAt === null || now < endsAt)
}

function isInGrace({ predecessorUntil }: StoredTokens, now: number): boolean {
  return predecessorUntil !== null && now < predecessorUntil
}

/** The tokens to store: what the answer left out stays as it was. */
function freshTokens(
  { clock }: VaultParts,
  { traits }: ConnectionTenant,
  presented: Secret,
  fresh: FreshTokens,
): NewTokens {
  const now = clock.now()
  const refresh = fresh.refreshToken ?? presented
  const isOther = refresh.reveal() !== presented.reveal()
  const keepsBefore = isOther && traits.graceMs > 0 && !traits.replayKills
  return {
    ...{ access: fresh.accessToken, refresh },
    predecessor: keepsBefore ? { secret: presented, until: now + traits.graceMs } : null,
    ...timesOf(fresh.expiresInS, now),
  }
}

/** When an access token ends, and when it is renewed; nothing where the provider does not say. */
export function timesOf(expiresInS: number | null, now: number) {
  if (expiresInS === null) return { expiresAt: null, renewAt: null }
  const lifeMs = expiresInS * 1000
  return { expiresAt: now + lifeMs, renewAt: now + lifeMs - Math.min(RENEW_BEFORE_MS, lifeMs / 4) }
}

function renewed(
  row: ConnectionRow,
  tokens: NewTokens,
  fresh: FreshTokens,
  dueAt: number,
): ConnectionChange {
  const { state, cause, identity } = asConnection(row)
  const set = {
    ...{ intent: null, intent_at: null, failures: 0 },
    ...(row.due_at === null && state !== 'disabled' && { due_at: dueAt }),
    ...(fresh.scopes && { scopes: JSON.stringify(fresh.scopes) }),
    ...(fresh.identity && identity === null && { identity: JSON.stringify(fresh.identity) }),
    facts: JSON.stringify({ ...JSON.parse(row.facts), ...fresh.facts }),
  }
  if (identity && fresh.identity && !isSameIdentity(identity, fresh.identity)) {
    const move = moveTo(row, 'degraded', 'connection.degraded', IDENTITY_CHANGED)
    return { ...move, tokens, set: { ...set, ...move.set } }
  }
  const staysSo =
    state === 'connected' || state === 'disabled' || OF_THE_PROBE.includes(cause?.code)
  if (staysSo) return { set, tokens, events: [eventOf(row, state, 'connection.refreshed', null)] }
  const move = moveTo(row, 'connected', 'connection.healed', null)
  return { ...move, tokens, set: { ...set, ...move.set } }
}

/** Compares by stable ids; names change. */
export function isSameIdentity(a: Identity, b: Identity): boolean {
  return a.user === b.user && a.org === b.org
}

/** What is known of whom a grant is of: a name outlives an answer that has none. */
export function knownIdentity(before: Identity | null, found: Identity): Identity {
  const isNameless = found.name === null && before !== null && isSameIdentity(before, found)
  return isNameless ? { ...found, name: before.name } : found
}

const IN_DOUBT =
  'The answer to a refresh was lost, and whether its token is spent is not known. The provider is asked again.'

const IDENTITY_CHANGED: Cause = {
  code: 'identity_changed',
  confidence: 'certain',
  text: 'The provider gave tokens of another person or organization.',
}

const NO_REFRESH: Cause = {
  code: 'no_refresh_token',
  confidence: 'certain',
  text: 'The access token has ended, and there is no refresh token.',
}

function lost(confidence: Cause['confidence']): Cause {
  const text =
    'The answer to a refresh was lost, and with it the new refresh token. The old one is spent, or may be, and is not presented again.'
  return { code: 'rotated_token_lost', confidence, text }
}
