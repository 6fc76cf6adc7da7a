import { z } from 'zod'
import { type ReferenceSources, resolveReferences } from '../core/references.ts'
import { Secret } from '../core/secret.ts'
import { parseYaml } from '../core/yaml-file.ts'

/** The clients that cases ask for, and what each is. */
export const ROLES = {
  c1: 'a confidential client',
  c2: 'a second confidential client',
  cp: 'a confidential client that authenticates in the body (client_secret_post)',
  cj: 'a confidential client that authenticates by private_key_jwt',
  cm: 'a client that authenticates by a certificate',
  p1: 'a public client',
  p2: 'a second public client',
  rs1: 'a resource server that may introspect the tokens of the others',
  rs2: 'a resource server that may not introspect them',
  cx: 'a disabled client',
} as const

export type Role = keyof typeof ROLES

const ROLE_NAMES = Object.keys(ROLES) as [Role, ...Role[]]

/** A text, or a Secret that a reference has put there. */
const secretText = z.custom<Secret | string>(
  (value) => (typeof value === 'string' && value !== '') || value instanceof Secret,
  'a text, ${env:NAME} or ${file:PATH}',
)

const url = z.url({ protocol: /^https?$/, error: 'a web address, like https://login.example.com' })

const codeFlow = z.strictObject({
  by: z.literal('code'),
  redirectUri: z.string().optional().describe('A registered redirect URI; nothing listens there'),
  scope: z.string().optional(),
  parameters: z.record(z.string(), z.string()).default({}).describe('More for the authorization'),
  fields: z
    .record(z.string(), secretText)
    .default({})
    .describe('The fields of the login and consent pages, by the names of their inputs'),
  secondUser: z
    .record(z.string(), secretText)
    .optional()
    .describe('The same fields, as a second user fills them in'),
})

const clientCredentials = z.strictObject({
  by: z.literal('client_credentials'),
  scope: z.string().optional(),
  parameters: z.record(z.string(), z.string()).default({}),
})

const command = z.strictObject({
  by: z.literal('command'),
  run: z
    .array(z.string())
    .min(1)
    .describe('A program and its arguments; it prints one JSON object with access_token'),
})

const client = z.strictObject({
  id: z.string().min(1),
  auth: z
    .enum([
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
      'tls_client_auth',
      'self_signed_tls_client_auth',
      'none',
    ])
    .describe('How it authenticates'),
  secret: secretText.optional(),
  key: secretText.optional().describe('The private key, PEM or JWK, for private_key_jwt'),
  certificate: z
    .strictObject({
      header: z.string().describe('The header in which the server has it from its proxy'),
      pem: secretText.describe('The certificate itself, PEM'),
    })
    .optional()
    .describe('The certificate by which it authenticates, where the run stands in for the proxy'),
  redirectUri: z.string().optional(),
  scope: z.string().optional(),
})

/** The schema of the file of `rescind conformance --config`. */
export const conformanceSchema = z.strictObject({
  issuer: url.optional().describe('The issuer, whose metadata says where its endpoints are'),
  endpoints: z
    .strictObject({
      authorization: url.optional(),
      token: url.optional(),
      revocation: url.optional(),
      introspection: url.optional(),
      secondIntrospection: url.optional().describe('The introspection endpoint of another node'),
    })
    .default({}),
  clients: z.partialRecord(z.enum(ROLE_NAMES), client).default({}),
  tokens: z
    .strictObject({
      user: z.discriminatedUnion('by', [codeFlow, command]).optional(),
      service: z.discriminatedUnion('by', [clientCredentials, command]).optional(),
    })
    .default({}),
  resource: z
    .strictObject({ url, method: z.enum(['GET', 'POST']).default('GET') })
    .optional()
    .describe('Something that takes an access token as a bearer and answers 401 to a dead one'),
})

/** What is tested, and with which clients. Everything is optional; what is missing is not tested. */
export type ConformanceConfig = z.output<typeof conformanceSchema>
export type ClientConfig = z.output<typeof client>
export type TokenAdapter =
  | z.output<typeof codeFlow>
  | z.output<typeof clientCredentials>
  | z.output<typeof command>
export type CodeFlowConfig = z.output<typeof codeFlow>

/** The keys whose values no file should hold in the clear; a name that ends so is a secret. */
export interface ConfigText {
  readonly text: string
  readonly sources: ReferenceSources
}

/**
 * Reads a file of clients: YAML, with `${env:NAME}` and `${file:PATH}` for what is secret.
 *
 * @throws RescindError `config_invalid` with line and column
 */
export function readConformanceConfig({ text, sources }: ConfigText): ConformanceConfig {
  const raw = parseYaml(
    text.trim() === '' ? '{}' : text,
    conformanceSchema,
    sources.path,
    'config_invalid',
  )
  return resolveDeep(resolveReferences(raw, 'config', sources)) as ConformanceConfig
}

/** References are resolved when they are read: here all are, so that a missing one is told at once. */
function resolveDeep(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(resolveDeep)
  if (value === null || typeof value !== 'object' || value instanceof Secret) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolveDeep(inner)]))
}

/** Returns a configured text as the Secret that it is, wherever it was written. */
export function asSecret(value: Secret | string): Secret {
  return value instanceof Secret ? value : new Secret(value)
}
