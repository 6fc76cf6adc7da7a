import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { GRANT_CHANGES, type GrantChange } from '../connections/grant-change.ts'
import type { OpenConnectorsSettings } from '../connections/open-connectors/settings.ts'
import { RescindError } from '../core/errors.ts'
import { resolveReferences } from '../core/references.ts'
import { Secret } from '../core/secret.ts'
import { parseYaml } from '../core/yaml-file.ts'
import type { TenantConfig } from '../providers/provider.ts'
import type { SectionPlace } from './authority-config.ts'
import {
  type AuthorityConfig,
  address,
  addressOf,
  authoritySchema,
  type ListenAddress,
  readAuthority,
} from './authority-config.ts'
import { type DrillConfig, drillSchema, readDrill } from './drill-config.ts'
import { openConnectorsSchema, readOpenConnectors } from './open-connectors-config.ts'

/** A tenant's name appears in file names and tables. */
export const TENANT_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/i

const tenantSchema = z.strictObject({
  provider: z.string().describe('The provider: salesforce'),
  url: z.string().describe('The address of the tenant: https://acme.my.salesforce.com'),
  login: z
    .record(z.string(), z.unknown())
    .default({})
    .describe('How to log in; the keys are those of the provider'),
  options: z.record(z.string(), z.unknown()).default({}),
  app: z
    .strictObject({
      clientId: z.string().min(1),
      clientSecret: z.string().optional().describe('As ${env:NAME} or ${file:path}'),
      redirectUri: z
        .string()
        .describe('Where the provider sends the owner of a connection back to'),
      scopes: z.array(z.string()).default([]),
      options: z
        .record(z.string(), z.unknown())
        .default({})
        .describe('How its tokens behave, where that is not what the provider is known for'),
    })
    .optional()
    .describe('Our registration at the provider, for connections'),
})

/** The section `connections` of `rescind.yaml`. */
const connectionsSchema = z.strictObject({
  listen: address
    .default('127.0.0.1:9401')
    .describe(
      'Where rescind serve has their HTTP API and callback; a proxy that ends TLS stands before it',
    ),
  acceptChanges: z
    .array(z.enum(GRANT_CHANGES))
    .default([])
    .describe('What may be worse after a reconnect; each other change is refused'),
  webhooks: z
    .array(z.strictObject({ url: z.string(), secret: z.string() }))
    .default([])
    .describe(
      'Who is told when a connection breaks or heals; each secret as ${env:NAME} or ${file:path}',
    ),
})

/** The schema of `rescind.yaml`. */
export const configSchema = z.strictObject({
  home: z.string().optional().describe('The folder of the store and its key'),
  tenants: z
    .record(
      z.string().regex(TENANT_NAME, 'letters, digits, dot, dash and underscore'),
      tenantSchema,
    )
    .default({}),
  connections: connectionsSchema.optional().describe('The connections that are kept'),
  authority: authoritySchema.optional().describe('The authority that rescind serve runs'),
  drill: drillSchema.optional().describe('Who may be drilled, and how a test user consents'),
  openConnectors: openConnectorsSchema
    .optional()
    .describe('An account of SAP Open Connectors, or of Cloud Elements'),
})

export interface Config {
  /** The file it came from, or the one that `tenant add` will make. */
  readonly path: string
  readonly exists: boolean
  /** The folder of the store and its key. */
  readonly home: string
  readonly tenants: ReadonlyMap<string, TenantConfig>
  /** Who is told of connections. @throws RescindError `config_invalid` */
  receivers(): readonly { readonly url: string; readonly secret: Secret }[]
  /** How connections are served; undefined where the configuration has none. */
  connections(): ConnectionsConfig | undefined
  readonly hasAuthority: boolean
  /**
   * The authority of this configuration.
   *
   * @throws RescindError `config_missing` when there is none, `config_invalid`
   */
  authority(): AuthorityConfig
  /**
   * The account of Open Connectors of this configuration.
   *
   * @throws RescindError `config_missing` when there is none, `config_invalid`
   */
  openConnectors(): OpenConnectorsSettings
  /** Who may be drilled; nobody where there is no section. @throws RescindError `config_invalid` */
  drill(): DrillConfig
}

/** The section `connections`, read. */
export interface ConnectionsConfig {
  readonly listen: ListenAddress
  readonly acceptChanges: readonly GrantChange[]
}

/** What decides where the configuration is. */
export interface ConfigPlace {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** `--config FILE` */
  readonly file?: string | undefined
}

/**
 * Reads `rescind.yaml`: `--config`, else RESCIND_CONFIG, else the one in this folder, else the one
 * in the home folder. A missing file is an empty configuration, unless it was named.
 *
 * @throws RescindError `config_missing`, `config_invalid`
 */
export function loadConfig(place: ConfigPlace): Config {
  const { env, cwd } = place
  const standardHome = resolve(cwd, env.RESCIND_HOME || join(env.HOME ?? homedir(), '.rescind'))
  const named = place.file ?? env.RESCIND_CONFIG
  const candidates = named
    ? [resolve(cwd, named)]
    : [join(cwd, 'rescind.yaml'), join(standardHome, 'rescind.yaml')]
  for (const path of candidates) {
    const text = readIfThere(path)
    if (text !== undefined) return readConfig(path, text, place, standardHome)
  }
  const path = candidates[0] ?? join(cwd, 'rescind.yaml')
  if (place.file === undefined && named) {
    throw new RescindError('config_missing', `RESCIND_CONFIG names ${path}, which is not there.`)
  }
  return {
    ...{ path, exists: false, home: standardHome, tenants: new Map() },
    receivers: () => [],
    connections: () => undefined,
    hasAuthority: false,
    authority: () => noAuthority(path),
    openConnectors: () => noOpenConnectors(path),
    drill: () => readDrill(drillSchema.parse({}), nowhere(path)),
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    const message = `${path} cannot be read (${code}). Check its permissions.`
    throw new RescindError('config_missing', message, { cause: error })
  }
}

function readConfig(path: string, text: string, place: ConfigPlace, standardHome: string): Config {
  const { env } = place
  const raw = parseYaml(isEmpty(text) ? '{}' : text, configSchema, path, 'config_invalid')
  const folder = dirname(path)
  const tenants = new Map<string, TenantConfig>()
  for (const [name, tenant] of Object.entries(raw.tenants)) {
    const fill = (value: unknown, at: string) => resolveReferences(value, at, { env, folder, path })
    tenants.set(name, {
      name,
      provider: tenant.provider,
      get url() {
        return plain(fill(tenant.url, `tenants.${name}.url`))
      },
      login: fill(tenant.login, `tenants.${name}.login`) as Record<string, unknown>,
      options: tenant.options,
      ...(tenant.app && {
        get app() {
          return readApp(tenant.app as RawApp, (value, key) =>
            secretOf(fill(value, `tenants.${name}.app.${key}`), `tenants.${name}.app.${key}`, path),
          )
        },
      }),
    })
  }
  const fromFile = raw.home === undefined ? undefined : resolve(folder, raw.home)
  const home = env.RESCIND_HOME ? standardHome : (fromFile ?? standardHome)
  const fill = (value: unknown, at: string) => resolveReferences(value, at, { env, folder, path })
  const where = { path, folder, home, fill }
  const receivers = () =>
    (raw.connections?.webhooks ?? []).map(({ url, secret }, nth) => {
      const at = `connections.webhooks.${nth}.secret`
      return { url, secret: secretOf(fill(secret, at), at, path) }
    })
  return {
    ...{ path, exists: true, home, tenants, receivers },
    connections: () => raw.connections && connectionsOf(raw.connections),
    authority: () =>
      raw.authority === undefined ? noAuthority(path) : readAuthority(raw.authority, where),
    hasAuthority: raw.authority !== undefined,
    openConnectors: () =>
      raw.openConnectors === undefined
        ? noOpenConnectors(path)
        : readOpenConnectors(raw.openConnectors, where),
    drill: () => readDrill(raw.drill ?? drillSchema.parse({}), where),
  }
}

function connectionsOf({
  listen,
  acceptChanges,
}: z.output<typeof connectionsSchema>): ConnectionsConfig {
  return { listen: addressOf(listen), acceptChanges }
}

/** Of a file that is not there: nothing is filled in. */
function nowhere(path: string): SectionPlace {
  return { path, folder: dirname(path), home: '', fill: (value) => value }
}

function noOpenConnectors(path: string): never {
  throw new RescindError(
    'config_missing',
    `There is no account of Open Connectors in ${path}. Add one under openConnectors: docs/open-connectors.md shows how.`,
  )
}

type RawApp = NonNullable<z.output<typeof tenantSchema>['app']>

/** An app as its tenant has it; its secret is looked for when it is used. */
function readApp(
  { clientSecret, ...app }: RawApp,
  secretAt: (value: string, key: string) => Secret,
): NonNullable<TenantConfig['app']> {
  const secret = clientSecret === undefined ? null : secretAt(clientSecret, 'clientSecret')
  return { ...app, clientSecret: secret }
}

function secretOf(value: unknown, at: string, path: string): Secret {
  if (value instanceof Secret) return value
  throw new RescindError(
    'config_invalid',
    `${path}: ${at} is a secret that stands in the file. Name where it is: \${env:NAME} or \${file:path}.`,
  )
}

function noAuthority(path: string): never {
  throw new RescindError(
    'config_missing',
    `There is no authority in ${path}. Add one: authority: { issuer: "http://127.0.0.1:9400" }`,
  )
}

/** Nothing but comments, as a file is before its first tenant. */
function isEmpty(text: string): boolean {
  return text.replace(/^\s*#.*$/gm, '').trim() === ''
}

function plain(value: unknown): string {
  return value instanceof Secret ? value.reveal() : String(value)
}
