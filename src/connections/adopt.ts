import type { FreshTokens } from '../providers/connection-way.ts'
import type { ConnectionChange, ConnectionRow, StoredTokens } from '../store/connections.ts'
import type { CodeExchange } from '../store/reconnects.ts'
import { nextCheckMs } from './check-times.ts'
import type { ConnectionState } from './connection.ts'
import { connectionUnknown, notUsable } from './refusals.ts'
import { isSameIdentity, knownIdentity, timesOf } from './renew.ts'
import { asSuperseded, endReplaced, heldTokens } from './superseded.ts'
import { asConnection, eventOf, isToldBroken, NO_REFRESH_BEHIND } from './transitions.ts'
import type { ConnectionTenant, VaultParts } from './vault-parts.ts'

/**
 * Replaces the tokens of a connection by those of a new grant, under the same id.
 *
 * 1. A refresh token is never overwritten with nothing: where the answer has none, the one of before
 *    stays, unless it is dead or may be another person's.
 * 2. A replaced grant is kept, sealed, in the transaction that replaces it, also one that is thought to
 *    be dead. It is revoked then where that reaches no other grant, and by the disconnect elsewhere.
 * 3. The access token that came beside a refresh token that stays is of another grant, and does not die
 *    with it: it is kept from the first.
 */
export function createAdopting(parts: VaultParts) {
  const { store, clock } = parts
  return async (id: string, fresh: FreshTokens, settles?: CodeExchange): Promise<ConnectionRow> => {
    for (;;) {
      const before = await store.read(id)
      if (!before) throw await connectionUnknown(store, id)
      const tenant = parts.tenantOf(before.tenant)
      const held = await store.tokens(before)
      const updated = await store.update(id, (row) => {
        if (row.state === 'revoked') throw notUsable(row)
        // Renewed in between: what is replaced is read again.
        if (row.version !== held.version) return null
        const now = clock.now()
        const dueAt = now + nextCheckMs(parts.random)
        return { ...adopted(row, held, fresh, { tenant, now, dueAt }), settles }
      })
      if (!updated?.changed) continue
      await endReplaced(parts, tenant, updated.row)
      return updated.row
    }
  }
}

interface Adopting {
  readonly tenant: ConnectionTenant
  readonly now: number
  readonly dueAt: number
}

function adopted(
  row: ConnectionRow,
  held: StoredTokens,
  fresh: FreshTokens,
  { tenant, now, dueAt }: Adopting,
): ConnectionChange {
  const { accessToken, expiresInS, scopes, identity, facts } = fresh
  const isKept = keepsRefresh(row, held, fresh)
  const refresh = isKept ? held.refresh : fresh.refreshToken
  const apart = isKept ? [{ kind: 'access', token: accessToken } as const] : []
  const isBare = refresh === null && (expiresInS !== null || held.refresh !== null)
  const cause = isBare ? NO_REFRESH_BEHIND : null
  const { identity: before } = asConnection(row)
  const isFirst = held.access === null && held.refresh === null
  const isDisabled = row.state === 'disabled'
  const to: ConnectionState = isDisabled ? 'disabled' : isBare ? 'degraded' : 'connected'
  return {
    tokens: { access: accessToken, refresh, ...timesOf(expiresInS, now) },
    superseded: asSuperseded([...heldTokens(held, tenant), ...apart], row.identity),
    set: {
      ...{ state: to, cause: isDisabled ? row.cause : cause && JSON.stringify(cause) },
      // Of a refresh token that stays it is still to be found out what became of its refresh.
      ...(!isKept && { intent: null, intent_at: null, fence: row.fence + 1 }),
      ...{ failures: 0, due_at: isDisabled ? null : dueAt },
      ...(scopes && { scopes: JSON.stringify(scopes) }),
      ...(identity && { identity: JSON.stringify(knownIdentity(before, identity)) }),
      facts: JSON.stringify({ ...JSON.parse(row.facts), ...facts }),
    },
    events: [eventOf(row, to, isFirst ? 'connection.connected' : 'connection.reconnected', cause)],
  }
}

function keepsRefresh(row: ConnectionRow, held: StoredTokens, fresh: FreshTokens): boolean {
  if (fresh.refreshToken !== null || held.refresh === null) return false
  const { identity: before } = asConnection(row)
  const isSame = before && fresh.identity && isSameIdentity(before, fresh.identity)
  return isSame === true && row.intent !== 'lost' && !isToldBroken(row)
}
