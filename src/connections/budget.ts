import { isRescindError } from '../core/errors.ts'
import type { ConnectionRow } from '../store/connections.ts'
import type { Cause, ConnectionState } from './connection.ts'
import { asConnection, eventOf } from './transitions.ts'
import { configuredTenant, type VaultParts } from './vault-parts.ts'

/** A provider that does not count by then warns of nothing, and holds up no link. */
const COUNT_MS = 5_000

/** Live tokens of one user and app, and how many the provider lets live. */
export interface Budget {
  readonly live: number
  readonly max: number
  /** Whether the provider counted: without it, `live` is the least that there is. */
  readonly complete: boolean
}

/** What is held here of one user and app, and what the provider counted. */
interface Seen extends Budget {
  /** One connection of each grant, the oldest grant first. */
  readonly grants: readonly ConnectionRow[]
}

/**
 * Counts the live tokens of one user and app against what the provider allows: one more than that, and
 * the oldest dies without a word.
 */
export function createBudget(parts: VaultParts) {
  const { store, http } = parts
  const look = async (row: ConnectionRow): Promise<Seen | null> => {
    const tenant = configuredTenant(parts, row.tenant)
    if (!tenant) return null
    const { way, app, traits } = tenant
    const { identity } = asConnection(row)
    if (traits.liveTokensMax === null || identity === null || row.identity === null) return null
    const held = await store.grantsOf(row.tenant, row.identity)
    // Of a dead connection another one of the same user can still ask.
    const asker = [row, ...held].find(({ state }) => state === 'connected' || state === 'degraded')
    const access = asker && store.access(asker.id)?.access
    const means = { http, signal: AbortSignal.timeout(COUNT_MS) }
    const told =
      (access && (await way.countLive?.(app, identity, access, means).catch(() => null))) ?? null
    const grants = grantsIn(held)
    const max = traits.liveTokensMax
    // The token that asked lives: none at all is the count of another app.
    if (told === 0 && grants.length < max) return null
    if (told) return { live: told, max, complete: true, grants }
    // What we hold ourselves is the least that there is; past the most some of it has ended.
    return { live: Math.min(grants.length, max), max, complete: false, grants }
  }
  const warned = async (row: ConnectionRow): Promise<ConnectionRow> => {
    const seen = await look(row)
    if (!seen || !isSpent(seen)) return row
    const { grants, max } = seen
    const evicted = evictedOf(seen)
    const cause: Cause = {
      ...{ code: 'by_us', confidence: evicted ? 'likely' : 'certain' },
      text: evicted ? evictedText(grants.length, max, evicted.id) : budgetText(seen),
    }
    const updated = await store.update(row.id, (now) => ({
      events: [eventOf(now, now.state as ConnectionState, 'connection.budget_low', cause)],
    }))
    return updated?.row ?? row
  }
  return {
    async count(row: ConnectionRow): Promise<Budget | null> {
      const seen = await look(row)
      return seen && { live: seen.live, max: seen.max, complete: seen.complete }
    },
    /** Tells that the next token evicts one, or that this one has. A count that cannot be had warns of nothing. */
    async warn(row: ConnectionRow): Promise<ConnectionRow> {
      try {
        return await warned(row)
      } catch (error) {
        // The grant is stored, and is not undone by a store that fails here.
        if (!isRescindError(error)) throw error
        return row
      }
    },
  }
}

/** Several connections may live on one grant, which is one token at the provider. */
function grantsIn(held: readonly ConnectionRow[]): readonly ConnectionRow[] {
  const found = new Map<string, ConnectionRow>()
  for (const row of held) {
    const grant = row.refresh_fingerprint ?? row.access_fingerprint ?? row.id
    if (!found.has(grant)) found.set(grant, row)
  }
  return [...found.values()]
}

/**
 * Whose grant the provider has likely ended: where more are held than it lets live, and it counts no more
 * than that. As many as are held, and it has ended none; fewer than it lets live, and something else has.
 */
function evictedOf({ live, max, grants }: Seen): ConnectionRow | undefined {
  return grants.length > max && live === max ? grants[0] : undefined
}

/** Says whether one more grant ends the oldest, as far as is known. */
export function isSpent({ live, max }: Pick<Budget, 'live' | 'max'>): boolean {
  return live >= max
}

/** Says whether one more grant ends the oldest; null where nobody counted. */
export function evictsOldest(budget: Budget): boolean | null {
  return isSpent(budget) || (budget.complete ? false : null)
}

/** Says how many live, in words. */
export function countText({ live, max, complete }: Budget): string {
  // At least none is nothing that is known.
  if (live === 0 && !complete) return `an unknown number of ${max}`
  return `${complete ? '' : 'at least '}${live} of ${max}`
}

/** Says in words what one more grant does, where none is left, or nobody knows. */
export function budgetText(budget: Budget): string {
  if (budget.live === 0 && !budget.complete) {
    return `How many of the ${budget.max} tokens of this user and app live is not known: one more may end the oldest.`
  }
  const count = countText(budget).replace('at', 'At')
  return isSpent(budget)
    ? `${count} tokens of this user and app live: one more, and the provider ends the oldest.`
    : `${count} tokens are known here, and the provider did not count them: one more may end the oldest.`
}

function evictedText(held: number, max: number, id: string): string {
  return `${held} grants of this user and app are held here, and the provider lets ${max} tokens live: it has likely ended the oldest, that of ${id}. Check it.`
}
