import type { TokenView } from '../store/authority/contract.ts'
import type { Client } from './client-settings.ts'
import { deathOf } from './judge.ts'
import type { AuthorityParts } from './options.ts'
import {
  type Confirmation,
  confirmationOf,
  detailOf,
  type TokenDetail,
  type Tokens,
} from './tokens.ts'

/** An answer of the introspection endpoint (RFC 7662 section 2.2). */
export type Introspection = { readonly active: false } | ActiveToken

export interface ActiveToken {
  readonly active: true
  readonly iss: string
  readonly client_id: string
  readonly scope: string
  readonly sub: string
  readonly iat: number
  readonly exp: number
  readonly token_type?: 'Bearer'
  readonly aud?: string
  readonly sid?: string
  readonly jti?: string
  /** The token is good with this certificate alone: whoever serves resources compares it. */
  readonly cnf?: Confirmation
}

const INACTIVE: Introspection = { active: false }

/**
 * Says what a token is, as a caller may see it; null for the host itself. Whoever may not know a token
 * is told the same as of one that does not exist.
 */
function introspectFound(
  { issuer, clock }: AuthorityParts,
  view: TokenView | null,
  caller: Client | null,
): Introspection {
  if (!view || deathOf(view, clock.now()) !== null) return INACTIVE
  const detail = detailOf(view)
  const isShown = caller === null || maySee(caller, view, detail)
  return isShown ? activeOf(issuer, view, detail) : INACTIVE
}

/** Introspects tokens. Trouble of the store is thrown, and never an `active: false`. */
export interface Introspecting {
  /** @param caller null for the host itself */
  token(token: string, caller: Client | null): Promise<Introspection>
  /** The same, for a client that proved itself as it was last seen; null when it has changed since. */
  tokenIfUnchanged(token: string, caller: Client): Promise<Introspection | null>
}

export function createIntrospecting(parts: AuthorityParts, tokens: Tokens): Introspecting {
  return {
    async token(token, caller) {
      return introspectFound(parts, await tokens.look(token), caller)
    },
    async tokenIfUnchanged(text, caller) {
      const { store } = parts
      const parsed = tokens.parseToken(text)
      const presented = parsed instanceof Promise ? await parsed : parsed
      const { token, client } = presented
        ? await store.readAsked({ tokenId: presented.id, clientId: caller.id })
        : { token: null, client: await store.readClient(caller.id) }
      if (client?.version !== caller.version) return null
      const isPresented = presented !== null && tokens.isPresented(token, presented)
      return introspectFound(parts, isPresented ? token : null, caller)
    },
  }
}

function maySee({ id, introspect }: Client, { grant }: TokenView, { aud }: TokenDetail): boolean {
  if (introspect === 'all') return true
  if (introspect === 'none') return false
  if (introspect === 'own') return grant.clientId === id
  return grant.clientId === id || (aud !== undefined && introspect.includes(aud))
}

function activeOf(issuer: string, view: TokenView, detail: TokenDetail): ActiveToken {
  const { scope, aud } = detail
  const { grant } = view
  const expiresAt = Math.min(view.expiresAt, grant.expiresAt)
  return {
    active: true,
    iss: issuer,
    client_id: grant.clientId,
    scope: scope ?? grant.scope,
    sub: grant.userId ?? grant.clientId,
    iat: Math.floor(view.issuedAt / 1000),
    exp: Math.floor(expiresAt / 1000),
    ...(view.kind === 'access' ? { token_type: 'Bearer' as const } : {}),
    ...(aud === undefined ? {} : { aud }),
    ...(grant.sessionId === null ? {} : { sid: grant.sessionId }),
    ...confirmationOf(detail),
  }
}
