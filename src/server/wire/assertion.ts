import { createHash } from 'node:crypto'
import {
  type CryptoKey,
  createLocalJWKSet,
  decodeJwt,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  jwtVerify,
} from 'jose'
import type { AuthorityStore } from '../../store/authority/contract.ts'
import { ASSERTION_ALGS } from '../client-keys.ts'
import type { Client } from '../client-settings.ts'

/** An assertion that lives longer must be remembered longer; this bounds both. */
const LIFETIME_MAX_S = 3_600
const CLOCK_SKEW_S = 5

export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Returns whom an assertion says it is from, before anything of it is believed. */
export function claimedClient(assertion: string): string | null {
  try {
    return decodeJwt(assertion).sub ?? null
  } catch {
    return null
  }
}

/**
 * Says whether an assertion proves the client: signed with its key, from and about itself, for us, not
 * expired, and never seen before.
 *
 * @param audiences the issuer, and the endpoints' addresses
 * @see https://www.rfc-editor.org/rfc/rfc7523#section-3
 */
export async function isAssertionGood(
  assertion: string,
  client: Client,
  { audiences, store, now }: { audiences: string[]; store: AuthorityStore; now: number },
): Promise<boolean> {
  if (!client.jwks) return false
  const claims = await verified(assertion, client.jwks as unknown as JSONWebKeySet, {
    audience: audiences,
    issuer: client.id,
    subject: client.id,
    algorithms: ASSERTION_ALGS,
    clockTolerance: CLOCK_SKEW_S,
    requiredClaims: ['exp', 'jti'],
    currentDate: new Date(now),
  })
  if (!claims?.jti || !claims.exp || claims.exp * 1000 > now + LIFETIME_MAX_S * 1000) return false
  // The client names its assertions; a long name must not be a long key.
  const name = createHash('sha256').update(`${client.id} ${claims.jti}`).digest('base64url')
  const keepUntil = (claims.exp + CLOCK_SKEW_S) * 1000
  const committed = await store.commit({ type: 'use_once', key: `jti:${name}`, keepUntil })
  return committed === 'done'
}

async function verified(
  assertion: string,
  jwks: JSONWebKeySet,
  options: Parameters<typeof jwtVerify>[2],
): Promise<JWTPayload | null> {
  try {
    return (await jwtVerify(assertion, createLocalJWKSet(jwks), options)).payload
  } catch (error) {
    // Keys without a name: any of them may have signed (RFC 7515 section 6).
    if (error instanceof errors.JWKSMultipleMatchingKeys) {
      for await (const key of error) {
        const payload = await verifiedBy(assertion, key, options)
        if (payload) return payload
      }
    }
    // No store is asked here: whatever fails, of the assertion or of a key, proves nothing.
    return null
  }
}

async function verifiedBy(
  assertion: string,
  key: CryptoKey,
  options: Parameters<typeof jwtVerify>[2],
): Promise<JWTPayload | null> {
  try {
    return (await jwtVerify(assertion, key, options)).payload
  } catch {
    return null
  }
}
