import {
  type SalesforceOptions,
  type SalesforceOrg,
  startSalesforce,
} from '../../emulators/index.ts'
import { createHealth, type Health } from '../../src/connections/health.ts'
import { createVault, type Vault } from '../../src/connections/vault.ts'
import { connectionTenant, type VaultParts } from '../../src/connections/vault-parts.ts'
import { createWatch, type Watch } from '../../src/connections/watch.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { RescindError } from '../../src/core/errors.ts'
import { createHttp } from '../../src/core/http.ts'
import { Secret } from '../../src/core/secret.ts'
import type { TenantConfig } from '../../src/providers/provider.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { tempHome } from '../support/temp-home.ts'

/** A vault with its health and watch, as a process has them. */
export interface VaultProcess extends AsyncDisposable {
  readonly store: Store
  readonly vault: Vault
  readonly health: Health
  readonly watch: Watch
  readonly parts: VaultParts
}

export interface OpenVault {
  readonly home: string
  readonly tenants: readonly TenantConfig[]
  readonly clock?: Clock
  readonly leaseMs?: number
  readonly timeoutMs?: number
  /** Puts something between the vault and its store. */
  readonly wrap?: (store: Store['connections']) => Store['connections']
}

/** Opens a vault on a home, as another process would. */
export async function openVault(options: OpenVault): Promise<VaultProcess> {
  const {
    home,
    tenants,
    clock = systemClock,
    leaseMs,
    timeoutMs,
    wrap = (store) => store,
  } = options
  const store = await openStore({ home, clock })
  const http = createHttp({ clock, timeoutMs })
  const parts: VaultParts = {
    ...{ store: wrap(store.connections), http, clock, random: Math.random, leaseMs },
    tenantOf: (name) => {
      const tenant = tenants.find((one) => one.name === name)
      if (!tenant) throw new RescindError('tenant_unknown', `There is no tenant "${name}".`)
      return connectionTenant(tenant)
    },
  }
  const vault = createVault(parts)
  const health = createHealth(parts, vault)
  const watch = createWatch(parts, health)
  return {
    ...{ store, vault, health, watch, parts },
    async [Symbol.asyncDispose]() {
      await store.close()
      await http.close()
    },
  }
}

/** A disk that takes no new tokens while it is full. */
export function tokenDisk() {
  const disk = {
    isFull: false,
    wrap: (store: Store['connections']): Store['connections'] => ({
      ...store,
      update: (id, decide) =>
        store.update(id, (row) => {
          const change = decide(row)
          if (disk.isFull && change?.tokens) throw new Error('disk full')
          return change
        }),
    }),
  }
  return disk
}

/** An emulated org with an app of ours, and a vault on a home of its own. */
export interface ConnectionWorld extends VaultProcess {
  readonly org: SalesforceOrg
  readonly home: string
  readonly tenant: TenantConfig
  /** Makes a grant of a user at the org, and keeps it as a connection. */
  connect(owner?: string): Promise<{ readonly id: string; readonly deleteToken: string }>
  /** The vault as another process has it. */
  again(options?: Partial<OpenVault>): Promise<VaultProcess>
  tokenRequests(): number
}

export const SIZE = { users: 30, apps: 14, tokens: 100 }

/** Starts a world: rotation is on unless it is told otherwise. */
export async function openConnectionWorld(
  options: Partial<OpenVault> & {
    readonly org?: SalesforceOptions
    readonly appOptions?: Readonly<Record<string, unknown>>
  } = {},
): Promise<ConnectionWorld> {
  const home = tempHome()
  const switches = { rotation: 'all', ...options.org?.switches } as const
  const org = await startSalesforce({ seed: 12, size: SIZE, ...options.org, switches })
  const tenant = salesforceTenant(org, options.appOptions)
  const process = await openVault({ home: home.path, tenants: [tenant], ...options })
  const { store, vault, health, watch, parts } = process
  const others: VaultProcess[] = []
  return {
    ...{ store, vault, health, watch, parts, org, home: home.path, tenant },
    tokenRequests: () => org.counters().get('token') ?? 0,
    async connect(owner = 'acme') {
      const userId = org.credentials.admin.userId
      const grant = org.addGrant({ userId, appId: org.credentials.tool.clientId })
      const { id } = await vault.create({
        ...{ tenant: tenant.name, owner, accessToken: null },
        refreshToken: new Secret(grant.refreshToken),
      })
      return { id, deleteToken: grant.deleteToken }
    },
    async again(more = {}) {
      const other = await openVault({ home: home.path, tenants: [tenant], ...options, ...more })
      others.push(other)
      return other
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(others.map((other) => other[Symbol.asyncDispose]()))
      await process[Symbol.asyncDispose]()
      await org.close()
      home[Symbol.dispose]()
    },
  }
}

/** The tenant of an org with the app that needs no secret and may introspect. */
export function salesforceTenant(
  org: Pick<SalesforceOrg, 'url' | 'credentials'>,
  options: Readonly<Record<string, unknown>> = {},
): TenantConfig {
  return {
    ...{ name: 'org', provider: 'salesforce', url: org.url, login: {}, options: {} },
    app: {
      ...{ clientId: org.credentials.tool.clientId, clientSecret: null },
      redirectUri: 'http://127.0.0.1:50123/callback',
      scopes: ['api', 'refresh_token'],
      options: { rotation: 'on', ...options },
    },
  }
}
