import type { Http } from '../../core/http.ts'
import type { Fingerprinter, Secret } from '../../core/secret.ts'
import type { Identity } from '../../providers/connection-way.ts'
import { findProvider } from '../../providers/registry.ts'
import type { ConnectionStore } from '../../store/connections.ts'
import type { Budget } from '../budget.ts'
import { isSameIdentity } from '../renew.ts'
import type { ConnectionTenant } from '../vault-parts.ts'
import type { OpenConnectorsClient } from './client.ts'
import { plainIn } from './configuration.ts'
import { type Instance, identityOf, tokensOf } from './instance.ts'
import { otherInstances } from './other-instances.ts'
import { appOf } from './requests.ts'

/** A provider that does not count by then is not waited for. */
const COUNT_MS = 5_000

export interface BudgetMeans {
  readonly client: OpenConnectorsClient
  readonly http: Http
  readonly fingerprint: Fingerprinter
  /** The tenants of the same app, where `rescind.yaml` has some: they may ask the provider itself. */
  readonly tenantsOf?: ((clientId: string) => readonly ConnectionTenant[]) | undefined
  /** Our own vault, which may hold grants of the same person and app. */
  readonly connections?: Pick<ConnectionStore, 'grantsOf' | 'access' | 'isHeld'> | undefined
  readonly signal?: AbortSignal | undefined
}

/** A grant of the same person and app, by whose token the provider may be asked. */
interface Held {
  /** One grant may be held twice. */
  readonly grant: string
  readonly access: Secret | null
  readonly tenants: readonly ConnectionTenant[]
}

/** Counts the grants of an instance's person and app that live before a new one; null where nobody says who it is. */
export async function countGrants(
  instance: Instance,
  owner: Identity | null,
  lives: boolean,
  means: BudgetMeans,
): Promise<Budget | null> {
  if (owner === null) return null
  const { fingerprint } = means
  const tenants = tenantsBehind(instance, means)
  // Who an instance is of is known of Salesforce alone.
  const max = (tenants[0]?.traits ?? findProvider('salesforce').connection?.traits)?.liveTokensMax
  if (max === null || max === undefined) return null
  const own = lives ? [{ ...grantOf(instance, fingerprint), tenants }] : []
  const held = [...own, ...(await heldElsewhere(instance, owner, tenants, means))]
  const told = await askProvider(held, owner, means)
  // What is held is the least that there is.
  const least = new Set(held.map(({ grant }) => grant)).size
  return { live: Math.max(told ?? 0, least), max, complete: told !== null }
}

/** Counts by the instance's own token alone; null where it cannot ask. */
export async function countByOwn(
  instance: Instance,
  owner: Identity | null,
  means: BudgetMeans,
): Promise<number | null> {
  if (owner === null) return null
  const own = { ...grantOf(instance, means.fingerprint), tenants: tenantsBehind(instance, means) }
  return askProvider([own], owner, means)
}

function tenantsBehind({ elementKey }: Instance, { client, tenantsOf }: BudgetMeans) {
  return tenantsOf?.(appOf(client.settings, elementKey).apiKey) ?? []
}

async function heldElsewhere(
  instance: Instance,
  owner: Identity,
  tenants: readonly ConnectionTenant[],
  means: BudgetMeans,
): Promise<readonly Held[]> {
  const others = await instancesOf(owner, instance, means)
  const held = others.map((one) => ({ ...grantOf(one, means.fingerprint), tenants }))
  return [...held, ...(await heldInVault(owner, tenants, means))]
}

function grantOf(instance: Instance, fingerprint: Fingerprinter): Omit<Held, 'tenants'> {
  const { access, refresh } = tokensOf(instance)
  return { grant: refresh ? fingerprint(refresh) : `instance ${instance.id}`, access }
}

async function heldInVault(
  owner: Identity,
  tenants: readonly ConnectionTenant[],
  { connections }: BudgetMeans,
): Promise<readonly Held[]> {
  const held: Held[] = []
  for (const tenant of connections ? tenants : []) {
    for (const row of (await connections?.grantsOf(tenant.name, JSON.stringify(owner))) ?? []) {
      const isUsed = row.state === 'connected' || row.state === 'degraded'
      const access = isUsed ? connections?.access(row.id)?.access : undefined
      const grant = row.refresh_fingerprint ?? row.access_fingerprint ?? row.id
      held.push({ grant, access: access ?? null, tenants: [tenant] })
    }
  }
  return held
}

/** Asks by one living grant after the other: the one that gets a new grant may be dead. */
async function askProvider(
  held: readonly Held[],
  owner: Identity,
  { http, signal }: BudgetMeans,
): Promise<number | null> {
  const late = AbortSignal.timeout(COUNT_MS)
  const means = { http, signal: signal ? AbortSignal.any([signal, late]) : late }
  for (const { access, tenants } of held) {
    for (const { way, app } of access ? tenants : []) {
      const told = access && (await way.countLive?.(app, owner, access, means).catch(() => null))
      // The token that asked lives: none at all is the count of another app.
      if (told) return told
    }
  }
  return null
}

/** Other instances of the same app and person: what the account itself holds. */
async function instancesOf(
  owner: Identity,
  instance: Instance,
  means: BudgetMeans,
): Promise<readonly Instance[]> {
  const found: Instance[] = []
  for await (const other of otherInstances(instance.id, means)) {
    if ('unseen' in other || other.disabled === true || !isSameApp(other, instance)) continue
    const identity = identityOf(other)
    if (identity && isSameIdentity(identity, owner)) found.push(other)
  }
  return found
}

/** The provider counts by its app, of which an account may have several elements. */
function isSameApp(one: Instance, other: Instance): boolean {
  const appOrElement = ({ configuration, elementKey }: Instance) =>
    plainIn(configuration, 'oauth.api.key') ?? elementKey
  return appOrElement(one) === appOrElement(other)
}
