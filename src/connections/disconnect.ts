import { RescindError } from '../core/errors.ts'
import type { Secret } from '../core/secret.ts'
import type { HeldToken, RevokeAnswer } from '../providers/connection-way.ts'
import type { ConnectionChange, ConnectionRow } from '../store/connections.ts'
import type { Cause, Connection } from './connection.ts'
import { watchLease } from './lease.ts'
import { connectionUnknown } from './refusals.ts'
import { bothTokens, endSuperseded, heldTokens, mayReach, type Superseded } from './superseded.ts'
import { asConnection, moveTo } from './transitions.ts'
import type { UnderWay } from './under-way.ts'
import { type ConnectionTenant, configuredTenant, type VaultParts } from './vault-parts.ts'

/**
 * Tries of one revocation whose answer did not come, or was that the provider is busy; where they were of
 * no use, each other token has one.
 */
const TRIES_MAX = 3
const WAIT_MS = 500
/** As long as one request may take; all tries together take no longer, for a person waits, and can try again. */
const REVOKE_MS = 30_000
/** Who asks the provider has ended by then, or was cut off. */
const FINISHED_AFTER_MS = 2 * REVOKE_MS
/** Whose a grant is is asked for no longer: the time is for its end. */
const WHOSE_MS = 5_000
/** A provider that is well has answered by then: of a longer wait the caller is told. */
const TOLD_AFTER_MS = 1_000

/** A provider that takes long to answer a revocation. */
export interface RevocationWait {
  readonly id: string
  readonly tenant: string
  /** When it is waited for no longer, by our clock. */
  readonly until: number
}

/** What became of a connection that was disconnected. */
export interface Disconnected {
  readonly connection: Connection
  readonly revokedAtProvider: 'yes' | 'no' | 'unknown'
  /** Why not, or what the provider answered. */
  readonly why: string
  /** A grant that was to die may live: the provider did not say yes. */
  readonly mayLive: boolean
  /** For the sake of other connections alone: while they live, another disconnect changes nothing. */
  readonly leftAlone: boolean
}

type Revoked = Omit<Disconnected, 'connection'>

/** What became of what is held, and whether a consent is under way, or brought what nobody holds. */
interface Ended {
  readonly revoked: Revoked
  readonly consent: 'sent' | 'lost' | null
}

/** How long a provider is waited for. */
interface Patience {
  /** Ends when the time is up. */
  readonly signal: AbortSignal
  /** When that is, by our clock. */
  readonly until: number
  triesMax: number
}

/**
 * Ends connections: the tombstone is written before the provider is asked, and stays whatever it says. A
 * grant that another connection lives on is left alone, and so is one whose end may take such a grant
 * along. Where the provider did not say yes the tokens stay, sealed, and another disconnect tries again.
 *
 * 1. Nobody changes the tokens of an ended connection: what comes for it meanwhile, of its owner or of a
 *    refresh, is kept beside them, and ended with them.
 * 2. Who is cut off leaves the tombstone due: the next check, or another disconnect, goes on with it.
 * 3. Of a refresh whose answer never came the successor may live: an answer about the token before it is
 *    taken for its death only where the provider would have refused a spent one.
 * 4. Of a consent whose answer never came a grant may live that nobody holds: then no answer is a yes.
 */
export function createDisconnecting(parts: VaultParts, underWay: UnderWay) {
  const { store, clock, http, onSlowRevocation } = parts

  const revoke = async (
    tenant: ConnectionTenant,
    row: ConnectionRow,
    patience: Patience,
  ): Promise<Ended> => {
    const shared = await store.sharing(row)
    const ids = shared.map(({ id }) => id).join(', ')
    const isShared = shared.length > 0
    const current: Revoked = isShared
      ? notAsked(`another connection lives on the same grant: ${ids}`)
      : await revokeCurrent(tenant, row, patience)
    const isBesideShared = isShared && !tenant.traits.grantsApart
    const seen = new Set<string>()
    const spared: Superseded[] = []
    const left: RevokeAnswer[] = []
    let consent: Ended['consent']
    for (;;) {
      // Before what it brought, which is there when it is settled.
      consent = await store.openExchange(row)
      // Some may come while the provider is asked.
      const found = (await store.superseded(row)).filter(({ token }) => !seen.has(token.reveal()))
      if (found.length === 0) break
      const replaced: Superseded[] = []
      for (const one of found) {
        seen.add(one.token.reveal())
        const isSpared = isBesideShared || (await mayReach(parts, tenant, one))
        ;(isSpared ? spared : replaced).push(one)
      }
      left.push(
        ...(await endSuperseded(parts, row, replaced, (token) => send(tenant, token, patience))),
      )
    }
    const isLeft = left.length > 0
    const beside =
      spared.length > 0 ? { ...LEFT_ALONE, leftAlone: !isLeft } : isLeft ? worst(left) : null
    return { revoked: withReplaced(current, beside), consent }
  }

  const revokeCurrent = async (
    tenant: ConnectionTenant,
    row: ConnectionRow,
    patience: Patience,
  ): Promise<Revoked> => {
    if (isRevoked(row)) return BEFORE
    const tokens = await store.tokens(row)
    const isLost = row.intent === 'lost' && tenant.traits.rotation !== 'never'
    const held = isLost ? bothTokens(tokens, row) : heldTokens(tokens, tenant, row)
    if (held.length === 0) return NONE_HELD
    const identity = await whose(tenant, row, tokens.access, patience)
    // Of nobody known it is revoked all the same: it could be ended by nothing else.
    if (identity !== null && (await mayReach(parts, tenant, { identity }))) return LEFT_ALONE
    const answers: RevokeAnswer[] = []
    for (const token of held) answers.push(await send(tenant, token, patience))
    if (!isLost || isOfUnspent(tenant, answers[0])) return worst(answers)
    // Its answer may have come late, and is ended with what came meanwhile.
    const isStillLost = (await store.read(row.id))?.intent === 'lost'
    return isStillLost ? SUCCESSOR_LOST : worst(answers)
  }

  /** Whose a grant is, which nobody may have asked yet; of interest where its end may reach another one. */
  const whose = async (
    { way, app, traits }: ConnectionTenant,
    { identity }: ConnectionRow,
    access: Secret | null,
    { signal }: Patience,
  ): Promise<string | null> => {
    if (identity !== null || access === null || traits.grantsApart) return identity
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(WHOSE_MS)])
    // Who does not say by then leaves it unknown.
    const probe = await way.probe(app, access, { http, signal: inTime }).catch(() => null)
    return probe?.verdict === 'alive' && probe.identity ? JSON.stringify(probe.identity) : null
  }

  /** There is nobody to ask. */
  const unasked = async (row: ConnectionRow): Promise<Ended> => {
    const consent = await store.openExchange(row)
    const isBare = row.refresh_fingerprint === null && row.access_fingerprint === null
    if (isBare && (await store.superseded(row)).length === 0) return { revoked: NONE_HELD, consent }
    const why = notConfigured(row.tenant)
    const revoked = { revokedAtProvider: 'unknown', why, mayLive: true, leftAlone: false } as const
    return { revoked, consent }
  }

  const send = async (
    { way, app }: ConnectionTenant,
    token: HeldToken,
    patience: Patience,
  ): Promise<RevokeAnswer> => {
    const { signal, until } = patience
    for (let tries = 1; ; tries += 1) {
      const answer = await way.revoke(app, token, { http, signal })
      if (!isToBeAskedAgain(answer)) return answer
      const waitMs = Math.max(WAIT_MS * 2 ** tries, answer.retryAfterMs ?? 0)
      if (tries >= patience.triesMax || clock.now() + waitMs >= until) {
        patience.triesMax = 1
        return answer
      }
      await clock.sleep(waitMs, signal).catch(() => {})
      if (signal.aborted) return answer
    }
  }

  /** Gives the work the time that there is, and says so where it takes long. */
  const inTime = async <Done>(
    { id, tenant }: ConnectionRow,
    work: (patience: Patience) => Promise<Done>,
  ): Promise<Done> => {
    const [timeUp, done] = [new AbortController(), new AbortController()]
    const until = clock.now() + REVOKE_MS
    const later = (ms: number, then: () => void) =>
      void clock.sleep(ms, done.signal).then(then, () => {})
    later(TOLD_AFTER_MS, () => onSlowRevocation?.({ id, tenant, until }))
    later(REVOKE_MS, () => timeUp.abort(new RescindError('http_timeout', TIME_UP)))
    try {
      return await work({ signal: timeUp.signal, until, triesMax: TRIES_MAX })
    } finally {
      done.abort()
    }
  }

  /** Writes the tombstone. A refresh that is under way is waited for, and so is another disconnect. */
  const hold = async (id: string): Promise<ConnectionRow> => {
    const lease = watchLease(parts)
    for (;;) {
      // It may have been waited for long.
      underWay.check()
      const overruled = lease.overruled()
      const updated = await store.update(id, (row) => {
        const isBusy = row.intent === 'sent' || row.intent === 'ending'
        return isBusy && row.fence !== overruled ? null : ending(row, clock.now())
      })
      if (!updated) throw await connectionUnknown(store, id)
      if (updated.changed) return updated.row
      await lease.wait(updated.row)
    }
  }

  const end = async (before: ConnectionRow): Promise<Disconnected> => {
    const tenant = configuredTenant(parts, before.tenant)
    const held = await hold(before.id)
    const { revoked, consent } = tenant
      ? await inTime(held, (patience) => revoke(tenant, held, patience))
      : await unasked(held)
    const isDone = revoked.revokedAtProvider === 'yes'
    const told = withConsent(revoked, consent)
    const updated = await store.update(before.id, (row) => ({
      set: {
        ...{ cause: JSON.stringify(byUs(told)), intent_at: null },
        // What becomes of a consent that is under way is looked at again.
        due_at: consent === 'sent' ? clock.now() + FINISHED_AFTER_MS : null,
        // What was lost is not found by another disconnect.
        intent: row.intent === 'lost' && !isDone ? 'lost' : null,
        // Of its own grant: that one stays dead whatever became of one beside it.
        revoked_at_provider: isRevoked(row) ? 'yes' : revoked.revokedAtProvider,
      },
      ...(isDone && { tokens: NO_TOKENS }),
    }))
    return { connection: asConnection(updated?.row ?? held), ...told }
  }

  return {
    /** @throws RescindError `config_invalid` */
    async disconnect(before: ConnectionRow): Promise<Disconnected> {
      const isOver = isRevoked(before) && before.intent === null && before.due_at === null
      if (!isOver || (await store.openExchange(before)) !== null) return end(before)
      // A grant that its owner brought after the end, and that could not be revoked then, is not passed over.
      if ((await store.superseded(before)).length > 0) return end(before)
      return { connection: asConnection(before), ...BEFORE }
    },
  }
}

function notConfigured(tenant: string): string {
  return `the tenant ${JSON.stringify(tenant)} is not configured, so the provider could not be asked: configure it first`
}

const TIME_UP = `The provider did not answer a revocation within ${REVOKE_MS / 1000} s.`

/** The tombstone of a connection whose provider is to be asked, and when it is looked whether it was. */
function ending(row: ConnectionRow, now: number): ConnectionChange {
  const move = moveTo(row, 'revoked', 'connection.revoked', ENDING)
  const answer = isRevoked(row) ? 'yes' : 'unknown'
  // A refresh whose answer never came may have brought a token that nobody holds.
  const intent = row.intent === null || row.intent === 'ending' ? 'ending' : 'lost'
  const held = { fence: row.fence + 1, intent, intent_at: now } as const
  const dueAt = now + FINISHED_AFTER_MS
  return { ...move, set: { ...move.set, ...held, due_at: dueAt, revoked_at_provider: answer } }
}

const NO_TOKENS = { access: null, refresh: null, expiresAt: null, renewAt: null } as const

/** No answer, or that of a provider which is busy. @see RFC 7009 section 2.2.1 */
function isToBeAskedAgain({ revoked, alreadyDead, status }: RevokeAnswer): boolean {
  return (revoked === 'unknown' && !alreadyDead) || status === 503 || status === 429
}

/** Where a spent token is refused, one that is taken was alive until then: it has no successor. */
function isOfUnspent({ traits }: ConnectionTenant, answer: RevokeAnswer | undefined): boolean {
  const { revokesTwice, replayKills, graceMs } = traits
  const refusesSpent = revokesTwice === 'refused' && replayKills && graceMs === 0
  return refusesSpent && answer?.revoked === 'yes' && !answer.alreadyDead
}

/** All of them must be dead. */
function worst(answers: readonly RevokeAnswer[]): Revoked {
  const bad =
    answers.find(({ revoked }) => revoked === 'no') ??
    answers.find(({ revoked }) => revoked === 'unknown')
  const answer = bad ?? (answers[0] as RevokeAnswer)
  const { revoked } = answer
  const mayLive = revoked !== 'yes'
  return { revokedAtProvider: revoked, why: whyOf(answer), mayLive, leftAlone: false }
}

/** Of a grant that nobody asked to end: there is none, or it is another connection's too. */
function notAsked(why: string): Revoked {
  return { revokedAtProvider: 'no', why, mayLive: false, leftAlone: false }
}

function isRevoked({ state, revoked_at_provider: answer }: ConnectionRow): boolean {
  return state === 'revoked' && answer === 'yes'
}

/** A grant beside the current one that may live is not passed over. */
function withReplaced(current: Revoked, replaced: Revoked | null): Revoked {
  if (replaced === null || replaced === current) return current
  const why = `of a grant that a reconnect replaced, or that was refused: ${replaced.why}`
  if (current.revokedAtProvider === 'yes') return { ...replaced, why }
  const leftAlone = replaced.leftAlone && (current.leftAlone || !current.mayLive)
  return { ...current, why: `${current.why}; ${why}`, mayLive: true, leftAlone }
}

/** A grant that nobody holds may live, whatever was answered of those that are held. */
function withConsent(revoked: Revoked, consent: Ended['consent']): Revoked {
  if (consent === null) return revoked
  const why = consent === 'sent' ? CONSENT_UNDER_WAY : CONSENT_LOST
  const isAllDead = revoked.revokedAtProvider === 'yes' || revoked === NONE_HELD
  return {
    revokedAtProvider: isAllDead ? 'unknown' : revoked.revokedAtProvider,
    why: isAllDead ? why : `${revoked.why}; ${why}`,
    ...{ mayLive: true, leftAlone: false },
  }
}

const NONE_HELD: Revoked = notAsked('no token is held')

const CONSENT_LOST =
  'a consent of its owner was cut off, and the grant that came of it may live: it is ended at the provider alone, by its owner or an admin'

const CONSENT_UNDER_WAY =
  'a consent of its owner is under way, or was cut off, and the grant that comes of it may live: disconnect it again in two minutes'

const BEFORE: Revoked = {
  revokedAtProvider: 'yes',
  why: 'it was revoked before',
  mayLive: false,
  leftAlone: false,
}

const LEFT_ALONE: Revoked = {
  revokedAtProvider: 'no',
  why: 'the provider may end all grants of its user at once, and another connection may live on one, so it was left alone',
  mayLive: true,
  leftAlone: true,
}

const SUCCESSOR_LOST: Revoked = {
  revokedAtProvider: 'unknown',
  why: 'the answer to a refresh was lost, and with it the new refresh token: that one may live, and is ended at the provider alone, by its owner or an admin',
  mayLive: true,
  leftAlone: false,
}

const NOT_KNOWN_THERE =
  'the provider knows no such token, which may be dead, or of another organization than the url of the tenant leads to'

function whyOf({ revoked, alreadyDead, status, code }: RevokeAnswer): string {
  if (revoked === 'unknown' && alreadyDead) return NOT_KNOWN_THERE
  if (status !== null) {
    return `the provider answered HTTP ${status}${code === `http_${status}` ? '' : `, ${code}`}`
  }
  if (code === 'no_revocation_endpoint') return 'the provider has no revocation endpoint'
  return revoked === 'unknown'
    ? `the provider gave no answer: ${code}`
    : `the provider could not be asked: ${code}`
}

const ENDING: Cause = {
  code: 'by_us',
  confidence: 'certain',
  text: 'It was disconnected by us, and its provider is asked to revoke it: what it answers is not known yet.',
}

function byUs({ revokedAtProvider, why }: Revoked): Cause {
  const text = `It was disconnected by us; revoked at the provider: ${revokedAtProvider} (${why}).`
  return { code: 'by_us', confidence: 'certain', text }
}
