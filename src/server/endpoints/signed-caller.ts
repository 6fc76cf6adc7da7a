import { createHash } from 'node:crypto'
import {
  createLocalJWKSet,
  decodeJwt,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose'
import type { WireAnswer, WireRequest } from '../../core/wire.ts'
import type { Core } from '../core.ts'
import { refusalAnswer, throttledAnswer } from '../wire/answers.ts'
import { createThrottle } from '../wire/throttle.ts'

/** An assertion that lives longer must be remembered longer; this bounds both. */
const LIFETIME_MAX_S = 3_600
const CLOCK_SKEW_S = 5
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519']
const TYPE = 'global-token-revocation+jwt'
const REALM = 'global token revocation'

/** An identity provider that proves itself by a JWT which it signs for each request. */
export interface SigningCaller {
  readonly name: string
  /** Whose users it may name; null where there is but one tenant. */
  readonly tenant: string | null
  /** The `iss` of its JWTs. */
  readonly issuer: string
  /** Its public keys, or what finds them: `createRemoteJWKSet` of jose, for keys that change. */
  readonly keys: JSONWebKeySet | JWTVerifyGetKey
}

type Authenticated = { readonly caller: SigningCaller } | { readonly answer: WireAnswer }

/**
 * Returns what authenticates callers by a JWT as Bearer: of type `global-token-revocation+jwt`, from a
 * known issuer, for this endpoint, not expired, and never seen before. Null for what is no such JWT.
 *
 * @param audience the address of the endpoint
 * @see https://developer.okta.com/docs/guides/oin-universal-logout-overview/
 */
export function createSignedAuth(
  { store, clock }: Pick<Core, 'store' | 'clock'>,
  signers: readonly SigningCaller[],
  audience: string,
) {
  const throttle = createThrottle(clock)
  const known = new Map(
    signers.map((caller) => {
      const { keys, issuer } = caller
      return [issuer, { caller, find: typeof keys === 'function' ? keys : createLocalJWKSet(keys) }]
    }),
  )
  /** A JWT is good once: whoever reads it on its way cannot send it again with another subject. */
  const isFirst = async (issuer: string, jti: string, expiresAt: number): Promise<boolean> => {
    const name = createHash('sha256').update(`${issuer} ${jti}`).digest('base64url')
    const keepUntil = (expiresAt + CLOCK_SKEW_S) * 1000
    return (await store.commit({ type: 'use_once', key: `gtr:${name}`, keepUntil })) === 'done'
  }
  const isGood = async (jwt: string, issuer: string, find: JWTVerifyGetKey): Promise<boolean> => {
    const now = clock.now()
    const claims = await verified(jwt, find, {
      ...{ issuer, audience, algorithms: ALGORITHMS, typ: TYPE, clockTolerance: CLOCK_SKEW_S },
      ...{ requiredClaims: ['exp', 'jti'], currentDate: new Date(now) },
    })
    if (!claims?.jti || !claims.exp || claims.exp * 1000 > now + LIFETIME_MAX_S * 1000) return false
    return isFirst(issuer, claims.jti, claims.exp)
  }
  return async ({ header, address }: WireRequest): Promise<Authenticated | null> => {
    const jwt = /^bearer +(eyJ[\w.-]+)$/i.exec(header('authorization') ?? '')?.[1]
    const signer = jwt === undefined ? undefined : known.get(claimedIssuer(jwt) ?? '')
    if (jwt === undefined || !signer) return null
    const { caller, find } = signer
    if (await isGood(jwt, caller.issuer, find)) return { caller }
    const wait = throttle.failed(caller.issuer, address)
    if (wait > 0) return { answer: throttledAnswer(wait) }
    return {
      answer: refusalAnswer(
        { error: 'invalid_client', error_description: 'The assertion is not good, or was used.' },
        { challenge: `Bearer realm="${REALM}", error="invalid_token"` },
      ),
    }
  }
}

/** Whom a JWT says it is from, before anything of it is believed. */
function claimedIssuer(jwt: string): string | null {
  try {
    return decodeJwt(jwt).iss ?? null
  } catch {
    return null
  }
}

async function verified(
  jwt: string,
  find: JWTVerifyGetKey,
  options: Parameters<typeof jwtVerify>[2],
) {
  try {
    return (await jwtVerify(jwt, find, options)).payload
  } catch (error) {
    // Keys that cannot be fetched are trouble of ours, and say nothing of the JWT.
    const { code } = error as { code?: unknown }
    if (typeof code === 'string' && code.startsWith('ERR_J') && code !== 'ERR_JWKS_TIMEOUT')
      return null
    throw error
  }
}
