import type { HttpResponse } from '../core/http.ts'
import { Secret } from '../core/secret.ts'
import type { SecretBook } from '../protocol/exchange.ts'
import type { Pairs } from './authenticate.ts'
import type { AuthorizationCode } from './code-flow.ts'
import type { Role } from './config.ts'

export type TokenKind = 'access' | 'refresh' | 'id'

/** A token that this run obtained, and the client that it was issued to. */
export interface HeldToken {
  readonly kind: TokenKind
  readonly value: Secret
  readonly role: Role
  /** Of the client itself: no user, no grant. */
  readonly service: boolean
}

/** All tokens of one answer of the token endpoint. */
export interface Grant {
  readonly role: Role
  readonly access: HeldToken
  readonly refresh: HeldToken | undefined
  readonly id: HeldToken | undefined
  readonly expiresInSeconds: number | undefined
  readonly scope: string | undefined
}

/** A grant that can be refreshed. */
export type RefreshableGrant = Grant & { readonly refresh: HeldToken }

export type User = 'first' | 'second'

/** Encodes a form; a name may stand twice. */
export function formOf(pairs: Pairs): string {
  return new URLSearchParams(
    pairs.map(([name, value]): [string, string] => [name, value]),
  ).toString()
}

/** The fields that redeem a code. @see RFC 6749 section 4.1.3 */
export function codePairs(made: AuthorizationCode): Pairs {
  return [
    ['grant_type', 'authorization_code'],
    ['code', made.code],
    ['redirect_uri', made.redirectUri],
    ['code_verifier', made.verifier],
  ]
}

/** Parses a JSON object; anything else is empty. */
export function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** Says in a few words what came back. */
export function brief(answer: HttpResponse): string {
  const { error } = parseObject(answer.body)
  return `HTTP ${answer.status}${typeof error === 'string' ? ` ${error.slice(0, 60)}` : ''}`
}

/** Reads the tokens of a JSON object, or undefined where it has none. */
export function grantOf(
  role: Role,
  said: Readonly<Record<string, unknown>>,
  service: boolean,
): Grant | undefined {
  const held = (kind: TokenKind, value: unknown): HeldToken | undefined =>
    typeof value === 'string' && value !== ''
      ? { kind, value: new Secret(value), role, service }
      : undefined
  const access = held('access', said.access_token)
  if (access === undefined) return undefined
  return {
    role,
    access,
    refresh: held('refresh', said.refresh_token),
    id: held('id', said.id_token),
    expiresInSeconds: typeof said.expires_in === 'number' ? said.expires_in : undefined,
    scope: typeof said.scope === 'string' ? said.scope : undefined,
  }
}

/** Makes the tokens of a grant known as secrets. */
export function known(grant: Grant, book: SecretBook): Grant {
  for (const token of [grant.access, grant.refresh, grant.id]) {
    if (token) book.add(token.value, `${token.kind}-token`)
  }
  return grant
}

/** Makes the tokens of an answer known as secrets, whoever asks for them. */
export function learn(answer: HttpResponse, book: SecretBook): void {
  const said = parseObject(answer.body)
  for (const kind of ['access', 'refresh', 'id']) {
    const value = said[`${kind}_token`]
    if (typeof value === 'string') book.add(new Secret(value), `${kind}-token`)
  }
}
