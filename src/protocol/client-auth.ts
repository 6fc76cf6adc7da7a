import { createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import { RescindError } from '../core/errors.ts'
import type { Secret } from '../core/secret.ts'

/** The ways a client proves who it is that Rescind speaks. */
export const CLIENT_AUTH_METHODS = [
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
  'none',
] as const

export type ClientAuthMethod = (typeof CLIENT_AUTH_METHODS)[number]

/** The client that a token was issued to, and how it authenticates. */
export type OAuthClient =
  /** A public client; without an id the request names no client at all. */
  | { readonly method: 'none'; readonly clientId: string | undefined }
  | {
      readonly method: 'client_secret_basic' | 'client_secret_post'
      readonly clientId: string
      readonly secret: Secret
    }
  | {
      readonly method: 'private_key_jwt'
      readonly clientId: string
      /** A private key as PEM or JWK text. */
      readonly key: Secret
    }
  | {
      readonly method: 'private_key_jwt'
      readonly clientId: string
      /** An assertion that was signed elsewhere, where the key cannot leave. */
      readonly assertion: Secret
    }

/** The algorithms that a kind of key can sign with, the most widely supported first. */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  rsa: ['RS256', 'PS256', 'RS384', 'PS384', 'RS512', 'PS512'],
  'rsa-pss': ['PS256', 'PS384', 'PS512'],
  'ec:prime256v1': ['ES256'],
  'ec:secp384r1': ['ES384'],
  'ec:secp521r1': ['ES512'],
  ed25519: ['Ed25519', 'EdDSA'],
}

/** The hash and curve parameters of each algorithm, as Web Crypto names them. */
const WEB_CRYPTO: Readonly<Record<string, { name: string; hash?: string; namedCurve?: string }>> = {
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  RS384: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-384' },
  RS512: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-512' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  PS384: { name: 'RSA-PSS', hash: 'SHA-384' },
  PS512: { name: 'RSA-PSS', hash: 'SHA-512' },
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  ES384: { name: 'ECDSA', namedCurve: 'P-384' },
  ES512: { name: 'ECDSA', namedCurve: 'P-521' },
  Ed25519: { name: 'Ed25519' },
  EdDSA: { name: 'Ed25519' },
}

/**
 * Returns the function that adds a client's authentication to a request.
 *
 * @param algorithms what the server accepts for assertions, when its metadata says so
 * @throws RescindError `key_invalid` when a private key cannot sign
 * @see RFC 6749 section 2.3, RFC 7523 section 2.2
 */
export async function openClientAuth(
  client: OAuthClient,
  algorithms?: readonly string[] | undefined,
): Promise<oauth.ClientAuth> {
  switch (client.method) {
    case 'none':
      return client.clientId === undefined ? () => undefined : oauth.None()
    case 'client_secret_basic':
      return oauth.ClientSecretBasic(client.secret.reveal())
    case 'client_secret_post':
      return oauth.ClientSecretPost(client.secret.reveal())
    case 'private_key_jwt':
      return 'key' in client ? privateKeyJwt(client.key, algorithms) : presentJwt(client.assertion)
  }
}

/** Returns the client as oauth4webapi names it; it wants an id even where none is sent. */
export function wireClient(client: OAuthClient): oauth.Client {
  return { client_id: client.clientId ?? 'none' }
}

/** Returns the secrets of a client, to be kept out of every message. */
export function secretsOf(client: OAuthClient): readonly Secret[] {
  switch (client.method) {
    case 'none':
      return []
    case 'client_secret_basic':
    case 'client_secret_post':
      return [client.secret]
    case 'private_key_jwt':
      return ['key' in client ? client.key : client.assertion]
  }
}

/**
 * Returns the client authentication to use when none was named: what the credential allows, and the
 * server takes. RFC 8414 section 2 makes client_secret_basic the default of a server that says nothing.
 */
export function chooseMethod(
  has: { readonly secret: boolean; readonly key: boolean },
  supported: readonly string[] | undefined,
): ClientAuthMethod {
  if (has.key) return 'private_key_jwt'
  if (!has.secret) return 'none'
  const postOnly =
    supported?.includes('client_secret_post') && !supported.includes('client_secret_basic')
  return postOnly ? 'client_secret_post' : 'client_secret_basic'
}

function presentJwt(assertion: Secret): oauth.ClientAuth {
  return (_server, client, body) => {
    body.set('client_id', client.client_id)
    body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
    body.set('client_assertion', assertion.reveal())
  }
}

async function privateKeyJwt(
  secret: Secret,
  algorithms: readonly string[] | undefined,
): Promise<oauth.ClientAuth> {
  const text = secret.reveal().trim()
  const jwk = text.startsWith('{') ? parseJwk(text) : undefined
  const key = readPrivateKey(jwk ?? text)
  const algorithm = chooseAlgorithm(key, jwk?.alg, algorithms)
  try {
    const params = WEB_CRYPTO[algorithm]! as Parameters<KeyObject['toCryptoKey']>[0]
    const cryptoKey = key.toCryptoKey(params, false, ['sign'])
    return oauth.PrivateKeyJwt(jwk?.kid ? { key: cryptoKey, kid: jwk.kid } : cryptoKey)
  } catch {
    throw keyError(`cannot sign with ${algorithm}`)
  }
}

function chooseAlgorithm(
  key: KeyObject,
  wanted: string | undefined,
  supported: readonly string[] | undefined,
): string {
  const curve = key.asymmetricKeyDetails?.namedCurve
  const kind = curve ? `${key.asymmetricKeyType}:${curve}` : String(key.asymmetricKeyType)
  const able = ALGORITHMS[kind] ?? []
  if (able.length === 0) throw keyError(`is of a kind (${kind}) that OAuth does not sign with`)
  const candidates = wanted === undefined ? able : able.filter((name) => name === wanted)
  const chosen = supported ? candidates.find((name) => supported.includes(name)) : candidates[0]
  if (chosen) return chosen
  throw keyError(
    supported && candidates.length > 0
      ? `signs ${candidates.join(' or ')}, and the server takes ${supported.join(', ').slice(0, 200)}`
      : 'names an algorithm ("alg") that does not fit its kind',
  )
}

function parseJwk(text: string): JsonWebKey & { alg?: string; kid?: string } {
  try {
    const jwk = JSON.parse(text) as JsonWebKey & { kid?: unknown }
    const kid = typeof jwk.kid === 'string' ? { kid: jwk.kid } : {}
    return { ...jwk, ...kid } as JsonWebKey & { kid?: string }
  } catch {
    // The parser's own message quotes the text, which is the key.
    throw keyError('looks like a JWK and is not valid JSON')
  }
}

function readPrivateKey(material: string | JsonWebKey): KeyObject {
  if (typeof material === 'string' && /ENCRYPTED/.test(material)) {
    throw keyError('is encrypted: decrypt it first, for instance with "openssl pkey"')
  }
  try {
    return typeof material === 'string'
      ? createPrivateKey(material)
      : createPrivateKey({ key: material as never, format: 'jwk' })
  } catch {
    // The cause may quote the material.
    throw keyError('is not a private key as PEM or JWK')
  }
}

function keyError(what: string): RescindError {
  return new RescindError('key_invalid', `The client's private key ${what}.`)
}
