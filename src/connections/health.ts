import { isRescindError } from '../core/errors.ts'
import type { Identity, ProbeAnswer } from '../providers/connection-way.ts'
import type { ConnectionChange, ConnectionRow } from '../store/connections.ts'
import { backOffMs, nextCheckMs } from './check-times.ts'
import type { Cause, Connection } from './connection.ts'
import { expireReconnects } from './reauthorize.ts'
import { connectionUnknown } from './refusals.ts'
import { isSameIdentity, knownIdentity } from './renew.ts'
import { judgeLast, judgeProbe } from './taxonomy.ts'
import { asConnection, isUnrenewable, moveTo, NO_REFRESH_BEHIND } from './transitions.ts'
import type { Vault } from './vault.ts'
import type { ConnectionTenant, VaultParts } from './vault-parts.ts'

/** What one check found. */
export interface Checked {
  readonly connection: Connection
  /** What the probe showed; null where none was made. */
  readonly probe: ProbeAnswer | null
  /** Whether the provider is asked of such a one at all: not where it waits for its owner, or was ended by us. */
  readonly isAsked: boolean
  /** Whether nothing beside the time of the check is to be written. */
  readonly isQuiet: boolean
}

/**
 * Looks at connections with a real call to the provider. What fails is told apart by a second call that
 * needs no grant: without an answer to that one, the trouble is not the connection's.
 */
export function createHealth(parts: VaultParts, vault: Vault) {
  const { store, http, clock, random } = parts
  const { renewing, underWay } = vault

  const expire = () => expireReconnects(parts, vault)

  const check = async (id: string): Promise<Checked> => {
    await expire()
    const row = await store.read(id)
    if (!row) throw await connectionUnknown(store, id)
    return checkRow(row, false)
  }

  /**
   * @param isBatched leaves it to the caller to write that nothing changed
   */
  const checkRow = async (found: ConnectionRow, isBatched: boolean): Promise<Checked> => {
    let row = found
    const { id } = row
    // Its disconnect is under way, or was cut off: it is waited for, and gone on with.
    if (row.state === 'revoked' && row.due_at !== null) return finish(id)
    if (!isInUse(row)) return { ...unprobed(row), isAsked: false }
    const tenant = parts.tenantOf(row.tenant)
    const now = clock.now()
    const isDue = row.renew_at !== null && row.renew_at <= now
    if (row.intent !== null || renewing.isUnstored(id) || isDue || !row.access_fingerprint) {
      const renewed = await tryRenew(row)
      if (!renewed) return unprobed((await store.read(id)) ?? row)
      row = renewed
    }
    const probe = await ask(tenant, row)
    const isDead = probe.verdict === 'dead' || (isRefusedBefore(row) && judgeLast(probe) !== null)
    return isDead ? dead(tenant, row, probe) : judge(tenant, row, probe, isBatched)
  }

  const ask = async ({ way, app }: ConnectionTenant, row: ConnectionRow): Promise<ProbeAnswer> => {
    const access = store.access(row.id)?.access
    if (!access) return { verdict: 'dead', status: 0, code: 'no_access_token' }
    const probe = await way.probe(app, access, { http, signal: underWay.signal })
    // One that was cut off says nothing of the connection.
    underWay.check()
    return probe
  }

  /** Says whether the provider answers a call that needs no grant. */
  const control = async ({ way, app }: ConnectionTenant): Promise<boolean> => {
    const { ok } = await way.control(app, { http, signal: underWay.signal })
    underWay.check()
    return ok
  }

  const finish = async (id: string): Promise<Checked> => {
    const { connection } = await vault.disconnect(id)
    return { connection, probe: null, isAsked: true, isQuiet: false }
  }

  /** Null when the renewal has written already what is to be said of the connection. */
  const tryRenew = async (row: ConnectionRow): Promise<ConnectionRow | null> => {
    try {
      return await renewing.renew(row.id, row.version)
    } catch (error) {
      if (!isRescindError(error)) throw error
      underWay.check()
      return null
    }
  }

  /** The access token is dead: a new one is the test of the grant. */
  const dead = async (
    tenant: ConnectionTenant,
    row: ConnectionRow,
    probe: ProbeAnswer,
  ): Promise<Checked> => {
    if (row.refresh_fingerprint === null) return deadForGood(tenant, row, probe)
    const renewed = await tryRenew(row)
    if (!renewed) return { ...unprobed((await store.read(row.id)) ?? row), probe }
    const again = await ask(tenant, renewed)
    if (again.verdict !== 'dead') return judge(tenant, renewed, again, false)
    // A token that was given a moment ago: it is not dead, it is not let in from here.
    return write(renewed, again, (now) => unwellChange(now, FRESH_REFUSED))
  }

  /** A token that has no other behind it: dead when it is so twice, and the provider well. */
  const deadForGood = async (
    tenant: ConnectionTenant,
    row: ConnectionRow,
    probe: ProbeAnswer,
  ): Promise<Checked> => {
    const ok = await control(tenant)
    const again = ok ? await ask(tenant, row) : probe
    const cause = judgeLast(again)
    if (!ok || cause === null) return judge(tenant, row, again, false, ok)
    return write(row, again, (now) => {
      if (now.version !== row.version || !isInUse(now)) return null
      const move = moveTo(now, 'reconnect_needed', 'connection.needs_reauth', cause)
      return { ...move, set: { ...move.set, due_at: null } }
    })
  }

  const judge = async (
    tenant: ConnectionTenant,
    row: ConnectionRow,
    probe: ProbeAnswer,
    isBatched: boolean,
    controlOk?: boolean,
  ): Promise<Checked> => {
    if (probe.verdict === 'alive') return alive(row, probe, isBatched)
    const ok = controlOk ?? (await control(tenant))
    const verdict = ok ? judgeProbe(probe, ok) : PROVIDER_DOWN
    const cause = verdict.kind === 'alive' ? FRESH_REFUSED : verdict.cause
    return write(row, probe, (now) => unwellChange(now, cause))
  }

  const alive = async (
    row: ConnectionRow,
    probe: ProbeAnswer & { readonly verdict: 'alive' },
    isBatched: boolean,
  ): Promise<Checked> => {
    const { identity } = asConnection(row)
    const isOther = identity && probe.identity && !isSameIdentity(identity, probe.identity)
    if (isOther) return write(row, probe, (now) => unwellChange(now, OTHER_IDENTITY))
    const knows = isKnown(identity, probe.identity)
    const isWell = row.state === 'connected' && row.cause === null && !isUnrenewable(row)
    if (isWell && knows && isBatched) {
      return { connection: vault.shown(row), probe, isAsked: true, isQuiet: true }
    }
    return write(row, probe, (now) => {
      const before = asConnection(now).identity
      const found =
        probe.identity && !isKnown(before, probe.identity)
          ? JSON.stringify(knownIdentity(before, probe.identity))
          : null
      const set = {
        ...{ failures: 0, checked_at: clock.now(), due_at: clock.now() + nextCheckMs(random) },
        ...(found && { identity: found }),
      }
      // Another process has begun a refresh, or it was disabled: its words count.
      if (!isInUse(now) || now.intent !== null) return { set: { checked_at: clock.now() } }
      const move = isUnrenewable(now)
        ? moveTo(now, 'degraded', 'connection.degraded', NO_REFRESH_BEHIND)
        : moveTo(now, 'connected', 'connection.healed', null)
      return { ...move, set: { ...move.set, ...set } }
    })
  }

  const unwellChange = (now: ConnectionRow, cause: Cause): ConnectionChange | null => {
    if (!isInUse(now)) return null
    const failures = now.failures + 1
    const at = clock.now()
    const move = moveTo(now, 'degraded', 'connection.degraded', cause)
    const dueAt = at + backOffMs(failures, random)
    return { ...move, set: { ...move.set, failures, checked_at: at, due_at: dueAt } }
  }

  const write = async (
    row: ConnectionRow,
    probe: ProbeAnswer,
    decide: (now: ConnectionRow) => ConnectionChange | null,
  ): Promise<Checked> => {
    const updated = await store.update(row.id, decide)
    return {
      ...{ connection: vault.shown(updated?.row ?? row), probe },
      ...{ isAsked: true, isQuiet: false },
    }
  }

  const unprobed = (row: ConnectionRow): Checked => ({
    ...{ connection: vault.shown(row), probe: null, isAsked: true, isQuiet: false },
  })

  return {
    check,
    checkRow,
    /** Takes back connections whose owner never came; returns how many. */
    expire,
    /** Stores tokens that could not be stored before; returns of which connections they still cannot, with why. */
    flush: () => renewing.flushAll(),
  }
}

function isInUse({ state }: ConnectionRow): boolean {
  return state === 'connected' || state === 'degraded'
}

/** Says whether the last check of a token with nothing behind it was refused, without a word of its life. */
function isRefusedBefore({ refresh_fingerprint: refresh, cause }: ConnectionRow): boolean {
  return refresh === null && cause !== null && (JSON.parse(cause) as Cause).code === 'forbidden'
}

/** Says whether a probe tells nothing new of whom a grant is of. */
function isKnown(before: Identity | null, found: Identity | null): boolean {
  return found === null || (before !== null && knownIdentity(before, found).name === before.name)
}

export type Health = ReturnType<typeof createHealth>

const FRESH_REFUSED: Cause = {
  code: 'forbidden',
  confidence: 'possible',
  text: 'The provider gives tokens and then refuses them. It may lock sessions to an address.',
}

const OTHER_IDENTITY: Cause = {
  code: 'identity_changed',
  confidence: 'certain',
  text: 'The tokens belong to another person or organization than before.',
}

const PROVIDER_DOWN = {
  kind: 'transient',
  cause: {
    code: 'provider_down',
    confidence: 'likely',
    text: 'The provider does not answer a call that needs no grant either.',
  },
} as const
