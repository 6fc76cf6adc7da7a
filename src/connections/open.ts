import { type Clock, systemClock } from '../core/clock.ts'
import { RescindError } from '../core/errors.ts'
import { createHttp } from '../core/http.ts'
import type { ConnectionApp } from '../providers/connection-way.ts'
import { openStore, type StoreOptions } from '../store/store.ts'
import { type ConnectionsApi, createConnectionsApi } from './api.ts'
import { checkOptions } from './check-options.ts'
import type { GrantChange } from './grant-change.ts'
import { createHealth, type Health } from './health.ts'
import { createNotices, type NoticeReceiver, type Notices } from './notices.ts'
import { createReauthorizing, type Reauthorizing } from './reauthorize.ts'
import { createVault, type Vault } from './vault.ts'
import { type ConnectionTenant, connectionTenant, type VaultParts } from './vault-parts.ts'
import { createWatch, type Watch } from './watch.ts'

/** How long a watch rests after trouble of ours, such as a store that is locked. */
const TROUBLE_MS = 5_000

/** Where connections lead to, and our registration there. */
export interface TenantOptions {
  /** `salesforce`, `oauth2`. */
  readonly provider: string
  /** The provider's host, or its issuer. */
  readonly url: string
  readonly app: Omit<ConnectionApp, 'url' | 'options'> & Partial<Pick<ConnectionApp, 'options'>>
}

/** What connections are opened with, as `rescind.yaml` would say it. */
export interface OpenConnectionsOptions extends StoreOptions {
  /** By name. */
  readonly tenants: Readonly<Record<string, TenantOptions>>
  /** Where the routes are, from the root of the host: `/connections`, if it is not said. */
  readonly basePath?: string | undefined
  /** What may be worse after a reconnect; each other change is refused. */
  readonly acceptChanges?: readonly GrantChange[] | undefined
  /** Who is told when a connection breaks or heals. */
  readonly webhooks?: readonly NoticeReceiver[] | undefined
  /** Is told what went wrong on our side. */
  readonly onTrouble?: ((error: unknown) => void) | undefined
}

/** What is done with connections. */
export interface ConnectionParts {
  /**
   * Waits for what is under way at providers, and stores what is in memory alone, which goes with the
   * process; returns of which connections it could not be stored, with why. Nothing is begun any more.
   */
  land(): Promise<ReadonlyMap<string, Error>>
  readonly vault: Vault
  readonly health: Health
  readonly watch: Watch
  readonly notices: Notices
  readonly reauthorizing: Reauthorizing
}

/** Connections in a host's own process: its mount, and what the host does with them. */
export interface Connections extends ConnectionParts, ConnectionsApi {
  readonly store: VaultParts['store']
  /**
   * Checks connections when they are due, gives up links that ran out, and sends what receivers wait for,
   * until all is closed. Trouble is told to `onTrouble`, and ends nothing.
   */
  run(): Promise<void>
  close(): Promise<void>
}

/** Makes the parts that work on a store. */
export function createConnectionParts(
  parts: VaultParts,
  {
    accept,
    receivers,
    signal,
  }: {
    readonly accept: readonly GrantChange[] | undefined
    readonly receivers: readonly NoticeReceiver[]
    readonly signal: AbortSignal
  },
): ConnectionParts {
  const { store, http, clock, random } = parts
  const vault = createVault(parts)
  const health = createHealth(parts, vault)
  return {
    async land() {
      await vault.underWay.land()
      return health.flush()
    },
    ...{ vault, health, watch: createWatch(parts, health) },
    notices: createNotices({ store, http, clock, random, receivers, signal }),
    reauthorizing: createReauthorizing(parts, vault, { accept }),
  }
}

/**
 * Opens connections in a process of the host's own, on the store of a folder; other processes, and the
 * command `rescind`, may have the same one open.
 *
 * @throws RescindError `usage`, `config_invalid`, `provider_unknown`, `provider_unsupported`, `url_invalid`,
 * `url_plain_http`, `key_invalid`, and what {@link openStore} throws
 */
export async function openConnections(options: OpenConnectionsOptions): Promise<Connections> {
  checkOptions(options)
  const { clock = systemClock, basePath, webhooks = [], onTrouble = () => {} } = options
  const tenants = tenantsOf(options.tenants)
  const ended = new AbortController()
  const http = createHttp({ clock })
  const opened = await openStore(options)
  const { connections: store, close: closeStore } = opened
  let running: Promise<void> | undefined
  let made: ConnectionParts | undefined
  let closing: Promise<void> | undefined
  const closeAll = async () => {
    ended.abort()
    made?.vault.underWay.stop()
    await running
    for (const error of (await made?.land())?.values() ?? []) onTrouble(error)
    await closeStore()
    await http.close()
  }
  const close = () => {
    closing ??= closeAll()
    return closing
  }
  try {
    const { signal } = ended
    const vaultParts: VaultParts = {
      ...{ store, http, clock, random: Math.random },
      tenantOf: (name) => tenants.get(name) ?? unknownTenant(name, tenants),
    }
    const means = { accept: options.acceptChanges, receivers: webhooks, signal }
    const parts = createConnectionParts(vaultParts, means)
    made = parts
    const api = createConnectionsApi({ ...parts, store, basePath, onTrouble })
    const run = () => {
      running ??= keepRunning(parts, { clock, signal, onTrouble })
      return running
    }
    return { ...parts, ...api, store, run, close }
  } catch (error) {
    await close()
    throw error
  }
}

function tenantsOf(
  options: OpenConnectionsOptions['tenants'],
): ReadonlyMap<string, ConnectionTenant> {
  const read = ([name, { provider, url, app }]: [string, TenantOptions]) => {
    const settings = { ...app, options: app.options ?? {} }
    const tenant = { name, provider, url, login: {}, options: {}, app: settings }
    return [name, connectionTenant(tenant)] as const
  }
  return new Map(Object.entries(options).map(read))
}

function unknownTenant(name: string, tenants: ReadonlyMap<string, ConnectionTenant>): never {
  const known = [...tenants.keys()].join(', ')
  throw new RescindError(
    'tenant_unknown',
    `There is no tenant ${JSON.stringify(name)}. Known to openConnections: ${known}.`,
  )
}

async function keepRunning(
  { watch, notices }: ConnectionParts,
  {
    clock,
    signal,
    onTrouble,
  }: {
    readonly clock: Clock
    readonly signal: AbortSignal
    readonly onTrouble: (error: unknown) => void
  },
): Promise<void> {
  const send = async () => {
    await notices.send()
  }
  while (!signal.aborted) {
    try {
      await watch.run({ signal, tellFailed: onTrouble }, send)
    } catch (error) {
      onTrouble(error)
      await clock.sleep(TROUBLE_MS, signal).catch(() => {})
    }
  }
}
