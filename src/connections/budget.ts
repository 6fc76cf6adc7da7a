import type { ConnectionRow } from '../store/connections.ts'
import type { Cause, ConnectionState } from './connection.ts'
import { asConnection, eventOf } from './transitions.ts'
import type { VaultParts } from './vault-parts.ts'

export interface Budget {
  readonly live: number
  readonly max: number
}

/**
 * Counts the live tokens of one user and app against what the provider allows: one more than that, and
 * the oldest dies without a word.
 */
export function createBudget({ store, http, tenantOf }: VaultParts) {
  const count = async (row: ConnectionRow): Promise<Budget | null> => {
    const { way, app, traits } = tenantOf(row.tenant)
    const { identity } = asConnection(row)
    if (traits.liveTokensMax === null || identity === null || row.identity === null) return null
    const { access } = await store.tokens(row)
    const told =
      (access && (await way.countLive?.(app, identity, access, { http }).catch(() => null))) ?? null
    // What we hold ourselves is the least that there is.
    const own = await store.countOf(row.tenant, row.identity)
    // The token that asked lives: none at all is the count of another app.
    if (told === 0 && own < traits.liveTokensMax) return null
    return { live: Math.max(told ?? 0, own), max: traits.liveTokensMax }
  }
  return {
    count,
    /** Tells once that the next token evicts one. A count that cannot be had warns of nothing. */
    async warn(row: ConnectionRow): Promise<ConnectionRow> {
      const counted = await count(row)
      if (!counted || counted.live < counted.max) return row
      const updated = await store.update(row.id, (now) => ({
        events: [eventOf(now, now.state as ConnectionState, 'connection.budget_low', low(counted))],
      }))
      return updated?.row ?? row
    },
  }
}

function low({ live, max }: Budget): Cause {
  const text = `${live} of ${max} tokens of this user and app live: one more, and the provider ends the oldest.`
  return { code: 'by_us', confidence: 'certain', text }
}
