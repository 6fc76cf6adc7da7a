import { createLocalJWKSet, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import type { GrantRow, TokenRow } from '../store/authority/contract.ts'
import type { SigningKeys } from './signing-keys.ts'
import { confirmationOf, type TokenDetail } from './tokens.ts'

/** Access tokens as JWTs (RFC 9068), revocable like any other: `jti` is the body of an opaque token. */
export interface JwtTokens {
  sign(token: {
    readonly row: TokenRow
    readonly grant: Pick<GrantRow, 'clientId' | 'userId' | 'sessionId' | 'scope'>
    readonly detail: TokenDetail
    readonly jti: string
  }): Promise<string>
  /** Returns the `jti` of a JWT that we signed, expired or not; null for any other text. */
  verify(text: string): Promise<string | null>
}

/** @see https://www.rfc-editor.org/rfc/rfc9068#section-2.2 */
export function createJwtTokens(issuer: string, keys: SigningKeys): JwtTokens {
  const knownKeys = keepKeySet(keys)
  return {
    async sign({ row, grant, detail, jti }) {
      const { kid, alg, privateKey } = await keys.current()
      const claims: JWTPayload = {
        iss: issuer,
        aud: detail.aud ?? issuer,
        sub: grant.userId ?? grant.clientId,
        client_id: grant.clientId,
        scope: detail.scope ?? grant.scope,
        iat: Math.floor(row.issuedAt / 1000),
        exp: Math.floor(row.expiresAt / 1000),
        jti,
        ...(grant.sessionId === null ? {} : { sid: grant.sessionId }),
        ...confirmationOf(detail),
      }
      return new SignJWT(claims).setProtectedHeader({ alg, kid, typ: 'at+jwt' }).sign(privateKey)
    },
    async verify(text) {
      try {
        const { payload } = await jwtVerify(text, await knownKeys(), {
          issuer,
          typ: 'at+jwt',
          // An expired token is still known: what it is worth is judged by its row.
          currentDate: new Date(0),
        })
        return payload.jti ?? null
      } catch (error) {
        if (isJoseError(error)) return null
        throw error
      }
    },
  }
}

/** A key set keeps the keys that it has imported: it is made anew only when other keys are published. */
function keepKeySet({ published }: SigningKeys) {
  let kept = { kids: '', keySet: createLocalJWKSet({ keys: [] }) }
  return async () => {
    const set = await published()
    // A key is never changed: its id stands for it.
    const kids = set.keys.map(({ kid }) => kid).join()
    if (kids !== kept.kids) kept = { kids, keySet: createLocalJWKSet(set) }
    return kept.keySet
  }
}

/** jose's own errors say that the text is no JWT of ours; a store's error says nothing of it. */
function isJoseError(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && code.startsWith('ERR_J')
}
