import { z } from 'zod'
import { RescindError } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'
import type { TenantConfig } from '../provider.ts'
import { checkTenantUrl } from './tenant-url.ts'

/**
 * The API version that is spoken unless `options.apiVersion` says another: old enough for every org,
 * new enough for the usage calls of external client apps (59.0) and their policies (60.0).
 */
export const API_VERSION = '62.0'

/** A plain value; `${env:NAME}` gives it as a secret, although it is none. */
const text = z
  .union([z.string(), z.instanceof(Secret)])
  .transform((value) => (value instanceof Secret ? value.reveal() : value).trim())
  .refine((value) => value.length > 0, 'is empty')

const secret = z
  .union([z.string(), z.instanceof(Secret)])
  .transform((value) => (value instanceof Secret ? value : new Secret(value)))
  .refine((value) => !value.isEmpty, 'is empty')

const jwt = z.strictObject({
  method: z.literal('jwt'),
  clientId: text,
  username: text,
  privateKey: secret,
  /** The login URL unless it is said: a My Domain host is an audience too. */
  audience: text.optional(),
})
const clientCredentials = z.strictObject({
  method: z.literal('client_credentials'),
  clientId: text,
  clientSecret: secret,
})
const refreshToken = z.strictObject({
  method: z.literal('refresh_token'),
  clientId: text,
  clientSecret: secret.optional(),
  refreshToken: secret,
})
const password = z.strictObject({
  method: z.literal('password'),
  clientId: text,
  clientSecret: secret,
  username: text,
  password: secret,
  securityToken: secret.optional(),
})
const accessToken = z.strictObject({ method: z.literal('access_token'), accessToken: secret })
const sf = z.strictObject({ method: z.literal('sf'), org: text })
const web = z.strictObject({
  method: z.literal('web'),
  clientId: text,
  clientSecret: secret.optional(),
  redirectUri: text.optional(),
})

const login = z.discriminatedUnion('method', [
  jwt,
  clientCredentials,
  refreshToken,
  password,
  accessToken,
  sf,
  web,
])

const options = z.strictObject({
  apiVersion: z
    .union([z.string(), z.number().transform((value) => value.toFixed(1))])
    .refine((value) => /^[1-9]\d\.0$/.test(value), 'must look like 62.0')
    .default(API_VERSION),
  /** `off` when the app does not rotate refresh tokens: a lost answer then costs nothing. */
  rotation: z.enum(['on', 'off', 'unknown']).default('unknown'),
  /** Whether blocking a connected app also sets the High Assurance level, which some orgs demand. */
  blockWithSessionLevel: z.boolean().default(false),
})

export type LoginConfig = z.output<typeof login>
export type LoginOf<Method extends LoginConfig['method']> = Extract<LoginConfig, { method: Method }>
export type SalesforceOptions = z.output<typeof options>

export const LOGIN_METHODS: readonly LoginConfig['method'][] = [
  'jwt',
  'client_credentials',
  'refresh_token',
  'password',
  'access_token',
  'sf',
  'web',
]

/** The keys of the logins above that hold secrets. */
export const LOGIN_SECRETS: readonly string[] = [
  'privateKey',
  'clientSecret',
  'refreshToken',
  'password',
  'securityToken',
  'accessToken',
]

/**
 * Checks a Salesforce tenant, whether its secrets are resolved or not.
 *
 * @throws RescindError `config_invalid`, `url_invalid`
 */
export function checkConfig(tenant: TenantConfig): void {
  checkTenantUrl(tenant)
  parseLogin(tenant)
  parseOptions(tenant)
}

/**
 * Reads the `login` of a Salesforce tenant.
 *
 * @throws RescindError `config_invalid`
 */
export function parseLogin(tenant: TenantConfig): LoginConfig {
  const method = tenant.login.method
  if (!(LOGIN_METHODS as readonly unknown[]).includes(method)) {
    const found = typeof method === 'string' ? `"${method.slice(0, 40)}"` : 'missing'
    throw new RescindError(
      'config_invalid',
      `The login method of tenant "${tenant.name}" is ${found}. Use one of: ${LOGIN_METHODS.join(', ')}.`,
    )
  }
  return parseWith(login, tenant.login, `login of tenant "${tenant.name}"`)
}

/**
 * Reads the `options` of a Salesforce tenant.
 *
 * @throws RescindError `config_invalid`
 */
export function parseOptions(tenant: TenantConfig): SalesforceOptions {
  return parseWith(options, tenant.options, `options of tenant "${tenant.name}"`)
}

function parseWith<Schema extends z.ZodType>(schema: Schema, value: unknown, where: string) {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  // Only paths and reasons: the values may be secrets.
  const reasons = parsed.error.issues.map((issue) => {
    const path = issue.path.map(String).join('.')
    if (issue.code === 'unrecognized_keys') return `unknown key ${issue.keys.join(', ')}`
    if (issue.code === 'custom') return `${path} ${issue.message}`
    return `${path} is missing or of the wrong kind`
  })
  throw new RescindError('config_invalid', `The ${where} is wrong: ${reasons.join('; ')}.`)
}
