import { hostname, userInfo } from 'node:os'
import type { Command } from 'commander'
import { RescindError } from '../core/errors.ts'
import { createHttp, type Http } from '../core/http.ts'
import type { Means, Provider, ProviderSession, TenantConfig } from '../providers/provider.ts'
import { findProvider } from '../providers/registry.ts'
import { openStore, type Store } from '../store/store.ts'
import { type Config, loadConfig } from './config.ts'
import type { Io } from './io.ts'
import { type CommonOptions, type Output, openOutput, withCommonOptions } from './output.ts'

/** The options of a command that works on a tenant. */
export interface TenantOptions extends CommonOptions {
  readonly config?: string
  readonly tenant?: string
}

/** Adds the options of a command that works on a tenant. */
export function withTenantOptions(command: Command): Command {
  return withCommonOptions(command)
    .option(
      '--tenant <name>',
      'the tenant, as rescind.yaml names it; needed when there are several',
    )
    .option('--config <file>', 'the configuration (default: ./rescind.yaml, then ~/.rescind)')
}

/** What a command works with. Close it at the end. */
export interface Context {
  readonly io: Io
  readonly output: Output
  readonly config: Config
  readonly http: Http
  /** The person or job that acts, for the journal: user@host. */
  readonly actor: string
  /** The store; opened at first use. */
  store(): Promise<Store>
  /**
   * The tenant of this command: the named one, else the only one.
   *
   * @throws RescindError `tenant_unknown`
   */
  tenant(name?: string): TenantConfig
  provider(tenant: TenantConfig): Provider
  /** What a provider works with. */
  means(): Promise<Means>
  /** Logs in to a tenant. The session is closed with the context. */
  session(tenant: TenantConfig): Promise<ProviderSession>
  /** Work to be done before the way out and the store are closed. */
  atClose(work: () => Promise<void>): void
  close(): Promise<void>
}

/** Opens what a command works with, as its options and the environment say. */
export function openContext(io: Io, options: TenantOptions): Context {
  const output = openOutput(io, options)
  const config = loadConfig({ env: io.env, cwd: io.cwd, file: options.config })
  const http = createHttp({ clock: io.clock, acceptRisk: options.acceptRisk })
  const atClose: (() => Promise<void>)[] = []
  let opening: Promise<Store> | undefined
  const store = () => {
    const { RESCIND_KEY: key, RESCIND_VAULT_KEY: current } = io.env
    const vaultKeys = { current, previous: io.env.RESCIND_VAULT_KEY_PREVIOUS }
    opening ??= openStore({ home: config.home, key, vaultKeys, clock: io.clock })
    return opening
  }
  const means = async (): Promise<Means> => {
    const { credentials, fingerprint } = await store()
    return {
      http,
      clock: io.clock,
      random: io.random,
      vault: credentials,
      fingerprint,
      env: io.env,
      notice: output.note,
      signal: io.signal,
    }
  }
  return {
    io,
    output,
    config,
    http,
    actor: `${userInfo().username}@${hostname()}`,
    store,
    tenant(name) {
      if (options.config !== undefined && !config.exists) {
        const message = `The configuration ${config.path} is not there. Check --config.`
        throw new RescindError('config_missing', message)
      }
      return chooseTenant(config, name ?? options.tenant)
    },
    provider: (tenant) => findProvider(tenant.provider),
    means,
    async session(tenant) {
      const session = await findProvider(tenant.provider).open(tenant, await means())
      atClose.push(() => session.close())
      return session
    },
    atClose: (work) => void atClose.push(work),
    async close() {
      for (const work of atClose) await work()
      await http.close()
      await (await opening?.catch(() => undefined))?.close()
    },
  }
}

/** Runs a command's work in a context of its own, and closes it whatever happens. */
export async function withContext(
  io: Io,
  options: TenantOptions,
  work: (context: Context) => Promise<void>,
): Promise<void> {
  const context = openContext(io, options)
  try {
    await work(context)
  } finally {
    await context.close()
  }
}

function chooseTenant(config: Config, name: string | undefined): TenantConfig {
  const known = [...config.tenants.keys()]
  const chosen = name ?? (known.length === 1 ? known[0] : undefined)
  const tenant = chosen === undefined ? undefined : config.tenants.get(chosen)
  if (tenant) return tenant
  const list = known.length > 0 ? `Known in ${config.path}: ${known.join(', ')}.` : ''
  if (name !== undefined) {
    const hint = list || `${config.path} has none yet; add it with: rescind tenant add ${name}`
    throw new RescindError('tenant_unknown', `There is no tenant "${name}". ${hint}`)
  }
  throw new RescindError(
    'tenant_unknown',
    known.length === 0
      ? 'There is no tenant yet. Add one with: rescind tenant add NAME'
      : `Say which tenant with --tenant. ${list}`,
  )
}
