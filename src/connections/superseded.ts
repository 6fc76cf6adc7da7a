import { isRescindError } from '../core/errors.ts'
import type { HeldToken, Identity, RevokeAnswer } from '../providers/connection-way.ts'
import type { ConnectionRow, StoredTokens, SupersededToken } from '../store/connections.ts'
import type { ConnectionTenant, VaultParts } from './vault-parts.ts'

/** Somebody waits for the page: what is not revoked by then is kept, for the disconnect. */
const REVOKE_MS = 5_000

/** Returns what must be revoked so that nothing of a grant lives on. */
export function heldTokens(
  { access, refresh }: Pick<StoredTokens, 'access' | 'refresh'>,
  { traits }: Pick<ConnectionTenant, 'traits'>,
  row?: Pick<ConnectionRow, 'facts'>,
): HeldToken[] {
  const isTaken = refresh !== null && traits.revokeRefresh === 'grant'
  return bothTokens({ refresh, access: isTaken ? null : access }, row)
}

/** Returns both tokens of a grant, where the end of one may leave the other alive. */
export function bothTokens(
  { access, refresh }: Pick<StoredTokens, 'access' | 'refresh'>,
  row?: Pick<ConnectionRow, 'facts'>,
): HeldToken[] {
  const held: HeldToken[] = []
  const facts = row && factsIn(row)
  if (refresh) held.push({ kind: 'refresh', token: refresh, facts })
  if (access) held.push({ kind: 'access', token: access, facts })
  return held
}

function factsIn({ facts }: Pick<ConnectionRow, 'facts'>): HeldToken['facts'] {
  return JSON.parse(facts)
}

/** What is known beside a connection's grant holds for another one of the same organization. */
function factsFor(row: ConnectionRow, { identity }: SupersededToken): HeldToken['facts'] {
  const isOfOrg =
    identity !== null && row.identity !== null && orgIn(identity) === orgIn(row.identity)
  return isOfOrg ? factsIn(row) : undefined
}

function orgIn(identity: string): string {
  return (JSON.parse(identity) as Identity).org
}

/** Returns tokens of a grant as they are kept beside another one, with whose it is. */
export function asSuperseded(
  tokens: readonly HeldToken[],
  identity: string | null,
): SupersededToken[] {
  return tokens.map((token) => ({ ...token, identity }))
}

/**
 * Says whether the end of a grant may take one along that a connection lives on: some providers end all
 * that a user granted to an app.
 */
export async function mayReach(
  parts: Pick<VaultParts, 'store' | 'tenantOf'>,
  tenant: ConnectionTenant,
  { identity }: Pick<SupersededToken, 'identity'>,
): Promise<boolean> {
  if (tenant.traits.grantsApart) return false
  return parts.store.hasGrantOf(await tenantsOfApp(parts, tenant), identity)
}

/** Names the tenants with connections whose grants are to the same app. */
export async function tenantsOfApp(
  { store, tenantOf }: Pick<VaultParts, 'store' | 'tenantOf'>,
  { provider, app }: ConnectionTenant,
): Promise<readonly string[]> {
  const isOfApp = (name: string) => {
    try {
      const other = tenantOf(name).app
      return other.clientId === app.clientId && urlOf(other) === urlOf(app)
    } catch {
      // Configured no longer, or not in this process: it may be of the same app.
      return true
    }
  }
  return (await store.tenantsWith(provider)).filter(isOfApp)
}

function urlOf({ url }: ConnectionTenant['app']): string {
  return new URL(url).href
}

/**
 * Revokes those of a connection's superseded tokens whose end reaches no other grant; the others wait for
 * its own end. What brought them about is stored by then, and is not undone by a store that fails here.
 */
export async function endReplaced(
  parts: VaultParts,
  tenant: ConnectionTenant,
  row: ConnectionRow,
): Promise<void> {
  const signal = AbortSignal.timeout(REVOKE_MS)
  const revoke = (token: HeldToken) =>
    tenant.way.revoke(tenant.app, token, { http: parts.http, signal })
  try {
    const alone: Superseded[] = []
    for (const one of await parts.store.superseded(row)) {
      if (!(await mayReach(parts, tenant, one))) alone.push(one)
    }
    await endSuperseded(parts, row, alone, revoke)
  } catch (error) {
    // They are kept: the disconnect ends them.
    if (!isRescindError(error)) throw error
  }
}

export type Superseded = SupersededToken & { readonly no: number }

/**
 * Revokes superseded tokens, and forgets those that the provider says are dead. Returns the answers that
 * did not say so.
 */
export async function endSuperseded(
  { store }: Pick<VaultParts, 'store'>,
  row: ConnectionRow,
  tokens: readonly Superseded[],
  send: (token: HeldToken) => Promise<RevokeAnswer>,
): Promise<readonly RevokeAnswer[]> {
  const left: RevokeAnswer[] = []
  for (const one of tokens) {
    const { kind, token } = one
    const answer = await send({ kind, token, facts: factsFor(row, one) })
    if (answer.revoked === 'yes') await store.forgetSuperseded(one)
    else left.push(answer)
  }
  return left
}
