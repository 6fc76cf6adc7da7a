import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type JsonWebKey,
  type KeyObject,
  X509Certificate,
} from 'node:crypto'
import { SignJWT } from 'jose'
import { RescindError } from '../core/errors.ts'
import { asSecret, type ClientConfig } from './config.ts'
import type { Target } from './target.ts'

/** A form's fields in order; a name may stand twice. */
export type Pairs = readonly (readonly [string, string])[]

/** What a client adds to a request to show who it is. */
export interface Authentication {
  readonly headers: Readonly<Record<string, string>>
  readonly pairs: Pairs
}

/** An assertion lives this long: enough for one request. */
const ASSERTION_SECONDS = 60

export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** What of an assertion is not as it should be. */
export interface AssertionWish {
  readonly aud?: string | undefined
  readonly iss?: string | undefined
  readonly jti?: string | undefined
  readonly expired?: boolean | undefined
  /** Signed with the public key as an HMAC secret, as a library that mixes them up would take. */
  readonly hmacWithPublicKey?: boolean | undefined
}

/**
 * Returns a client's own authentication.
 *
 * @throws RescindError `config_invalid`, `key_invalid`
 */
export async function authenticate(
  client: ClientConfig,
  target: Target,
  random: () => string,
): Promise<Authentication> {
  const id: Pairs = [['client_id', client.id]]
  switch (client.auth) {
    case 'none':
      return { headers: {}, pairs: id }
    case 'client_secret_basic':
      return { headers: basicHeader(client.id, secretOf(client)), pairs: [] }
    case 'client_secret_post':
      return { headers: {}, pairs: [...id, ['client_secret', secretOf(client)]] }
    case 'private_key_jwt':
      return withAssertion(client, await signAssertion(client, target, random))
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
      return { headers: certificateHeader(client), pairs: id }
  }
}

/**
 * Writes a certificate as a proxy that ends TLS hands it on: PEM, percent-encoded.
 *
 * @param pem another than the client's own
 * @throws RescindError `config_invalid`
 * @see RFC 8705 section 2
 */
export function certificateHeader(client: ClientConfig, pem?: string): Record<string, string> {
  const { header, pem: own } = certificateOf(client)
  return { [header.toLowerCase()]: encodeURIComponent(pem ?? asSecret(own).reveal()) }
}

/**
 * Returns the SHA-256 thumbprint of a client's certificate, base64url, as `x5t#S256` has it.
 *
 * @throws RescindError `config_invalid`
 * @see RFC 8705 section 3.1
 */
export function certificateThumbprint(client: ClientConfig): string {
  const pem = asSecret(certificateOf(client).pem).reveal()
  try {
    const { fingerprint256 } = new X509Certificate(pem)
    return Buffer.from(fingerprint256.replaceAll(':', ''), 'hex').toString('base64url')
  } catch {
    const message = `The certificate of the client ${client.id} is not one as PEM.`
    throw new RescindError('config_invalid', message)
  }
}

function certificateOf(client: ClientConfig): NonNullable<ClientConfig['certificate']> {
  if (client.certificate !== undefined) return client.certificate
  const message = `The client ${client.id} authenticates by ${client.auth} and has no certificate: add it.`
  throw new RescindError('config_invalid', message)
}

/**
 * Writes HTTP Basic with both parts form-encoded first.
 *
 * @see RFC 6749 section 2.3.1
 */
export function basicHeader(id: string, secret: string): Record<string, string> {
  const encode = (text: string) => new URLSearchParams({ v: text }).toString().slice(2)
  return { authorization: `Basic ${btoa(`${encode(id)}:${encode(secret)}`)}` }
}

/** Returns a client's secret in the clear, for the wire. @throws RescindError `config_invalid` */
export function secretOf(client: ClientConfig): string {
  if (client.secret === undefined) {
    const message = `The client ${client.id} authenticates by ${client.auth} and has no secret: add it.`
    throw new RescindError('config_invalid', message)
  }
  return asSecret(client.secret).reveal()
}

/** Returns the parameters of a client assertion. @see RFC 7523 section 2.2 */
export function withAssertion(client: ClientConfig, assertion: string): Authentication {
  return {
    headers: {},
    pairs: [
      ['client_id', client.id],
      ['client_assertion_type', ASSERTION_TYPE],
      ['client_assertion', assertion],
    ],
  }
}

/**
 * Signs a client assertion, right or wrong as wished.
 *
 * @see RFC 7523 section 3
 */
export async function signAssertion(
  client: ClientConfig,
  target: Target,
  random: () => string,
  wish: AssertionWish = {},
): Promise<string> {
  const { key, alg, kid } = readKey(client)
  const now = Math.floor(target.now() / 1000)
  const jwt = new SignJWT({})
    .setIssuer(wish.iss ?? client.id)
    .setSubject(client.id)
    .setAudience(wish.aud ?? target.assertionAudience)
    .setJti(wish.jti ?? random())
    .setIssuedAt(wish.expired ? now - 2 * 3600 : now)
    .setExpirationTime(wish.expired ? now - 3600 : now + ASSERTION_SECONDS)
  if (!wish.hmacWithPublicKey) return await jwt.setProtectedHeader({ alg, ...kid }).sign(key)
  const shared = createSecretKey(Buffer.from(publicPem(key)))
  return await jwt.setProtectedHeader({ alg: 'HS256', ...kid }).sign(shared)
}

/** Returns the claims of an assertion without any signature. @see RFC 8725 section 3.1 */
export function unsignedAssertion(client: ClientConfig, target: Target, jti: string): string {
  const now = Math.floor(target.now() / 1000)
  const claims = { iss: client.id, sub: client.id, aud: target.assertionAudience, jti }
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none' })}.${part({ ...claims, iat: now, exp: now + ASSERTION_SECONDS })}.`
}

const CURVE_ALGORITHMS: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
}

function readKey(client: ClientConfig) {
  const text = client.key === undefined ? '' : asSecret(client.key).reveal().trim()
  try {
    const jwk = text.startsWith('{') ? (JSON.parse(text) as JsonWebKey & Named) : undefined
    const key = jwk
      ? createPrivateKey({ key: jwk as never, format: 'jwk' })
      : createPrivateKey(text)
    return { key, alg: jwk?.alg ?? algorithmOf(key), kid: jwk?.kid ? { kid: jwk.kid } : {} }
  } catch {
    // The cause may quote the key.
    const message = `The key of the client ${client.id} is not a private key as PEM or JWK.`
    throw new RescindError('key_invalid', message)
  }
}

interface Named {
  readonly alg?: string
  readonly kid?: string
}

function algorithmOf(key: KeyObject): string {
  const curve = key.asymmetricKeyDetails?.namedCurve
  if (curve !== undefined) return CURVE_ALGORITHMS[curve] ?? 'ES256'
  return key.asymmetricKeyType === 'ed25519' ? 'EdDSA' : 'RS256'
}

function publicPem(key: KeyObject): string {
  return createPublicKey(key).export({ type: 'spki', format: 'pem' }) as string
}
