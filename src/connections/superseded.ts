import type { HeldToken, RevokeAnswer } from '../providers/connection-way.ts'
import type { ConnectionRow, StoredTokens } from '../store/connections.ts'
import type { ConnectionTenant, VaultParts } from './vault-parts.ts'

/** Returns what must be revoked so that nothing of a grant lives on. */
export function heldTokens(
  { access, refresh }: Pick<StoredTokens, 'access' | 'refresh'>,
  { traits }: Pick<ConnectionTenant, 'traits'>,
): HeldToken[] {
  const held: HeldToken[] = []
  if (refresh) held.push({ kind: 'refresh', token: refresh })
  const isTaken = refresh !== null && traits.revokeRefresh === 'grant'
  if (access && !isTaken) held.push({ kind: 'access', token: access })
  return held
}

/**
 * Revokes the replaced grants of a connection, and forgets those that the provider says are dead.
 * Returns the answers that did not say so.
 */
export async function endSuperseded(
  { store }: Pick<VaultParts, 'store'>,
  row: ConnectionRow,
  send: (token: HeldToken) => Promise<RevokeAnswer>,
): Promise<readonly RevokeAnswer[]> {
  const left: RevokeAnswer[] = []
  for (const { no, kind, token } of await store.superseded(row)) {
    const answer = await send({ kind, token })
    if (answer.revoked === 'yes') await store.forgetSuperseded([no])
    else left.push(answer)
  }
  return left
}
