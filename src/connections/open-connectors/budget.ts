import type { Http } from '../../core/http.ts'
import type { Identity } from '../../providers/connection-way.ts'
import { findProvider } from '../../providers/registry.ts'
import type { Budget } from '../budget.ts'
import { isSameIdentity } from '../renew.ts'
import type { ConnectionTenant } from '../vault-parts.ts'
import type { OpenConnectorsClient } from './client.ts'
import { type Instance, identityOf, tokensOf } from './instance.ts'
import { appOf } from './requests.ts'

/** In an account of more instances, those of one person are not looked for to the end. */
const LOOKED_AT_MAX = 500

export interface BudgetMeans {
  readonly client: OpenConnectorsClient
  readonly http: Http
  /** The tenant of the same app, where `rescind.yaml` has one: it may ask the provider itself. */
  readonly tenantOf?: ((clientId: string) => ConnectionTenant | undefined) | undefined
  readonly signal?: AbortSignal | undefined
}

/** Counts the grants of an instance's person and app that live before a new one; null where nobody says who it is. */
export async function countGrants(
  instance: Instance,
  owner: Identity | null,
  lives: boolean,
  { client, http, tenantOf, signal }: BudgetMeans,
): Promise<Budget | null> {
  if (owner === null) return null
  const tenant = tenantOf?.(appOf(client.settings, instance.elementKey).apiKey)
  // Who an instance is of is known of Salesforce alone.
  const max = (tenant?.traits ?? findProvider('salesforce').connection?.traits)?.liveTokensMax
  if (max === null || max === undefined) return null
  const { access } = tokensOf(instance)
  const told =
    tenant && lives && access
      ? ((await tenant.way.countLive?.(tenant.app, owner, access, { http, signal })) ?? 0)
      : 0
  const held = told >= max ? 0 : await countInstances(instance, owner, { client, signal })
  return { live: Math.max(told, held + (lives ? 1 : 0)), max, complete: told > 0 }
}

/** Other instances of the same element and person: what the account itself holds. */
async function countInstances(
  { id: own, elementKey }: Instance,
  owner: Identity,
  { client, signal }: Pick<BudgetMeans, 'client' | 'signal'>,
): Promise<number> {
  let [count, looked] = [0, 0]
  for await (const listed of client.list(signal)) {
    if (listed.id === own || listed.disabled === true) continue
    if (listed.elementKey !== null && listed.elementKey !== elementKey) continue
    looked += 1
    if (looked > LOOKED_AT_MAX) break
    const answer = identityOf(listed) ? null : await client.get(listed.id, signal)
    const identity = identityOf(answer?.ok ? answer.value : listed)
    if (identity && isSameIdentity(identity, owner)) count += 1
  }
  return count
}
