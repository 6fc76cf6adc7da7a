import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import type { ClientSettings } from './client-settings.ts'

/** What an assertion may be signed by (RFC 7523); metadata and the check of assertions say the same. */
export const ASSERTION_ALGS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']
/** RFC 7518 section 3.3. */
const RSA_BITS_MIN = 2_048
/** The members of a JWK that are secret, by any type of key (RFC 7518 section 6). */
const SECRET_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

type Jwks = NonNullable<ClientSettings['jwks']>

/** Returns why a set of keys cannot prove a client, or null. Shows nothing of a key. */
export function keysFlaw({ keys }: Jwks): string | null {
  for (const [index, jwk] of keys.entries()) {
    const nth = `key ${index + 1} of its jwks`
    if (SECRET_MEMBERS.some((member) => member in jwk)) {
      return `${nth} is secret. Give public keys alone`
    }
    if (isForSignatures(jwk) && !canVerify(jwk)) {
      return `${nth} cannot be used. Take an RSA key of ${RSA_BITS_MIN} bits or more, a P-256 or an Ed25519 key`
    }
  }
  return keys.some(isForSignatures) ? null : 'its jwks has no public key for signatures'
}

function isForSignatures({ use }: Jwks['keys'][number]): boolean {
  return use === undefined || use === 'sig'
}

function canVerify(jwk: Jwks['keys'][number]): boolean {
  const isAlg = jwk.alg === undefined || ASSERTION_ALGS.includes(String(jwk.alg))
  try {
    return isAlg && isStrong(createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' }))
  } catch {
    // Whatever is wrong with it, it is no key.
    return false
  }
}

function isStrong({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  switch (asymmetricKeyType) {
    case 'rsa':
      return (asymmetricKeyDetails?.modulusLength ?? 0) >= RSA_BITS_MIN
    case 'ec':
      return asymmetricKeyDetails?.namedCurve === 'prime256v1'
    default:
      return asymmetricKeyType === 'ed25519'
  }
}
