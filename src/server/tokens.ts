import { timingSafeEqual } from 'node:crypto'
import type { GrantRow, TokenKind, TokenRow, TokenView } from '../store/authority/contract.ts'
import { createIds, type TakeIds } from './ids.ts'
import type { JwtTokens } from './jwt.ts'
import type { AuthorityParts } from './options.ts'
import { type ParsedToken, TOKEN_SECRET_BYTES, type TokenFormat } from './token-format.ts'

/** Random bytes drawn at once: a system call for each token would cost more than its hash. */
const RANDOM_POOL_BYTES = TOKEN_SECRET_BYTES * 512

/** What is particular to one token, beside its grant. Stored as JSON. */
export interface TokenDetail {
  /** Narrower than the grant's. */
  readonly scope?: string | undefined
  /** Whom it is for (RFC 8707). */
  readonly aud?: string | undefined
  /** The thumbprint of the certificate that it is bound to (RFC 8705 section 3.1). */
  readonly x5t?: string | undefined
  /** It went out as a JWT (RFC 9068). */
  readonly jwt?: true | undefined
  /** Of a code: where it may be redeemed, and the challenge (RFC 7636). */
  readonly redirectUri?: string | undefined
  readonly challenge?: string | undefined
}

/** A token that was made and not yet written down. */
export interface MadeToken {
  readonly row: TokenRow
  readonly text: string
}

export interface NewTokenOf {
  readonly kind: TokenKind
  readonly id: number
  readonly grant: Pick<GrantRow, 'id' | 'clientId' | 'userId' | 'sessionId' | 'scope' | 'expiresAt'>
  readonly issuedAt: number
  readonly expiresAt: number
  readonly detail?: TokenDetail | undefined
  /** Random when it is not given. */
  readonly secret?: Uint8Array | undefined
}

/** A token as its text tells it, and the form that it was presented in. */
export interface PresentedToken extends ParsedToken {
  readonly isJwt: boolean
}

/** Makes tokens, and finds those that are presented. */
export interface Tokens {
  readonly takeIds: TakeIds
  make(token: NewTokenOf): Promise<MadeToken>
  /** Reads a text of any form; null where no token of ours has that text. No look-up. */
  parse(text: string): Promise<PresentedToken | null>
  /** The same, of an access or refresh token; null for a code too: that is no token. */
  parseToken(text: string): PresentedToken | null | Promise<PresentedToken | null>
  /** Says whether a row is the one that was issued with the token that is presented. */
  isPresented(view: TokenView | null, presented: PresentedToken): view is TokenView
  /** Looks a parsed token up; null when it is not the one that was issued. */
  find(presented: PresentedToken): Promise<TokenView | null>
  /** Parses and finds an access or refresh token; null for everything else. */
  look(text: string): Promise<TokenView | null>
  childSecret: TokenFormat['childSecret']
}

/** Says whether a text may be a JWT of ours: to read one, its signature must be checked. */
export function isLikeJwt(text: string): boolean {
  return text.startsWith('eyJ')
}

export function createTokens(
  { store, random }: AuthorityParts,
  format: TokenFormat,
  jwts: JwtTokens,
): Tokens {
  const nextSecret = secretPool(random)
  const parseJwt = async (text: string): Promise<PresentedToken | null> => {
    const jti = await jwts.verify(text)
    const parsed = jti === null ? null : format.readBody('access', jti)
    return parsed && { ...parsed, isJwt: true }
  }
  const parseOpaque = (text: string): PresentedToken | null => {
    const parsed = format.read(text)
    return parsed && { ...parsed, isJwt: false }
  }
  const parse: Tokens['parse'] = async (text) =>
    isLikeJwt(text) ? parseJwt(text) : parseOpaque(text)
  const isPresented = (
    view: TokenView | null,
    { kind, hash, isJwt }: PresentedToken,
  ): view is TokenView => {
    if (view?.kind !== kind || !timingSafeEqual(view.hash, hash)) return false
    // A `jti` stands in logs and is no secret: whoever has it alone does not have the token.
    return (detailOf(view).jwt === true) === isJwt
  }
  const find: Tokens['find'] = async (presented) => {
    const view = await store.readToken(presented.id)
    return isPresented(view, presented) ? view : null
  }
  const parseToken: Tokens['parseToken'] = (text) =>
    isLikeJwt(text) ? parseJwt(text).then(unlessCode) : unlessCode(parseOpaque(text))
  return {
    takeIds: createIds(store),
    childSecret: format.childSecret,
    async make({ kind, id, grant, issuedAt, expiresAt, detail, secret = nextSecret() }) {
      const { text, hash } = format.write(kind, id, secret)
      const isDetailed = detail !== undefined && Object.values(detail).some((value) => value)
      const row: TokenRow = {
        ...{ id, kind, hash, grantId: grant.id, issuedAt },
        expiresAt: Math.min(expiresAt, grant.expiresAt),
        detail: isDetailed ? JSON.stringify(detail) : null,
      }
      if (!detail?.jwt) return { row, text }
      return { row, text: await jwts.sign({ row, grant, detail, jti: format.bodyOf(text) }) }
    },
    parse,
    parseToken,
    isPresented,
    find,
    async look(text) {
      const presented = await parseToken(text)
      return presented && find(presented)
    },
  }
}

/** Returns what is particular to a token. */
export function detailOf({ detail }: Pick<TokenRow, 'detail'>): TokenDetail {
  return detail === null ? {} : (JSON.parse(detail) as TokenDetail)
}

/** A token's proof of possession, as JWTs and introspection tell it; nothing where it is bound to none. */
export function confirmationOf({ x5t }: TokenDetail): { readonly cnf?: Confirmation } {
  return x5t === undefined ? {} : { cnf: { 'x5t#S256': x5t } }
}

/** @see https://www.rfc-editor.org/rfc/rfc8705#section-3.1 */
export interface Confirmation {
  readonly 'x5t#S256': string
}

function unlessCode(presented: PresentedToken | null): PresentedToken | null {
  return presented?.kind === 'code' ? null : presented
}

function secretPool(random: AuthorityParts['random']): () => Uint8Array {
  let pool = new Uint8Array(0)
  let used = 0
  return () => {
    if (used + TOKEN_SECRET_BYTES > pool.length) {
      pool = new Uint8Array(random(new Uint8Array(RANDOM_POOL_BYTES)))
      used = 0
    }
    used += TOKEN_SECRET_BYTES
    return pool.slice(used - TOKEN_SECRET_BYTES, used)
  }
}
