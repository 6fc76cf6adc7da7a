import { z } from 'zod'
import { SCOPE } from './scope.ts'

/** How a client proves who it is at the token, revocation and introspection endpoints. */
export const CLIENT_AUTH_METHODS = [
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
  'self_signed_tls_client_auth',
  'none',
] as const
export type ClientAuthMethod = (typeof CLIENT_AUTH_METHODS)[number]

export const GRANT_TYPES = ['authorization_code', 'refresh_token', 'client_credentials'] as const
export type GrantType = (typeof GRANT_TYPES)[number]

const REDIRECT_URI =
  'a redirect address is an absolute URI in ASCII without a fragment, and not one that a browser runs'
const THUMBPRINT = 'a certificate is known by its SHA-256 thumbprint, in base64url'
const SCOPES = 'scopes are ASCII without quotes and backslashes, separated by single spaces'
const ORIGIN = 'a web origin has no path: https://app.example.com'
const JWKS = 'public keys stand in a set: {"keys":[…]}'
/** What a browser would run, or show as ours. */
const RUNNABLE = /^(javascript|data|vbscript|blob|about):/i

/** @see https://www.rfc-editor.org/rfc/rfc6749#section-3.1.2 */
function isRedirectUri(uri: string): boolean {
  const isText = /^[\x21-\x7e]+$/.test(uri) && !uri.includes('#')
  return isText && URL.canParse(uri) && !RUNNABLE.test(uri)
}

/** Says whether a text is a web origin, as browsers write it (RFC 6454 section 6.1). */
export function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text
}

const secret = z.strictObject({
  /** SHA-256 of the secret, base64url. A generated secret has 256 bits: nothing slower protects it better. */
  hash: z.string(),
  createdAt: z.number(),
  expiresAt: z.number().nullable(),
})

/** What is known of a client, beside its id. Stored as JSON. */
export const clientSettings = z.strictObject({
  name: z.string().default(''),
  authMethod: z.enum(CLIENT_AUTH_METHODS).default('client_secret_basic'),
  secrets: z.array(secret).default([]),
  /** Public keys of `private_key_jwt`. */
  jwks: z.object({ keys: z.array(z.record(z.string(), z.unknown(), JWKS), JWKS) }, JWKS).optional(),
  /** SHA-256 thumbprints of self-signed client certificates, base64url (RFC 8705 section 2.2). */
  certificates: z.array(z.string().regex(/^[\w-]{43}$/, THUMBPRINT)).default([]),
  /** Its access tokens are good with the certificate alone that it showed for them (RFC 8705 section 3.4). */
  certificateBoundAccessTokens: z.boolean().default(false),
  grantTypes: z.array(z.enum(GRANT_TYPES)).default(['authorization_code', 'refresh_token']),
  redirectUris: z.array(z.string().refine(isRedirectUri, REDIRECT_URI)).default([]),
  /** Origins of browser applications that may read answers (CORS). */
  origins: z.array(z.string()).default([]),
  /** Scopes that it may ask for, separated by spaces. */
  scope: z.string().default(''),
  accessTokenFormat: z.enum(['opaque', 'jwt']).default('opaque'),
  /** Which tokens it may introspect: its own, or all (a resource server), or those of some audiences. */
  introspect: z.union([z.enum(['none', 'own', 'all']), z.array(z.string())]).default('own'),
})
export type ClientSettings = z.infer<typeof clientSettings>

/** What a new client must keep besides: one that a store has already is still known, and can be revoked. */
export const newClientSettings = clientSettings.extend({
  scope: clientSettings.shape.scope.refine((text) => text === '' || SCOPE.test(text), SCOPES),
  origins: z.array(z.string().refine(isOrigin, ORIGIN)).default([]),
})

/** A client as the endpoints see it. */
export interface Client extends ClientSettings {
  readonly id: string
  readonly enabled: boolean
  readonly version: number
}

/** A public client keeps no secret: it is known by its id alone. */
export function isPublic({ authMethod }: Pick<ClientSettings, 'authMethod'>): boolean {
  return authMethod === 'none'
}
