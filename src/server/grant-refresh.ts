import type { GrantRow, TokenView } from '../store/authority/contract.ts'
import type { Client } from './client-settings.ts'
import { type Asked, eventOf } from './events.ts'
import { fingerprintOf } from './fingerprint.ts'
import { type Granting, type TokenAnswer, TRIES_MAX } from './grant.ts'
import { type Death, deathOf } from './judge.ts'
import type { AuthorityParts } from './options.ts'
import { type Refusal, refuse } from './refusal.ts'
import { detailOf, type Tokens } from './tokens.ts'

export interface Rotation {
  readonly refreshToken: string
  readonly client: Client
  readonly scope: string | null
  /** The thumbprint of the certificate that the access token is to be bound to. */
  readonly x5t?: string | undefined
  readonly asked: Asked
}

/** Returns what changes refresh tokens into the next ones (RFC 6749 section 6, RFC 9700 section 4.14.2). */
export function createRefreshing(
  { store, clock, lifetimes }: AuthorityParts,
  tokens: Tokens,
  granting: Granting,
) {
  const { accessToken, refreshToken, answerOf, endGrant } = granting
  /**
   * A second presentation of a spent token: an honest retry of a short while ago, or a theft. Whoever
   * comes within the grace is no thief because an answer died meanwhile; but what was revoked stays dead,
   * and an answer with it would say otherwise.
   */
  const retryOf = async (
    { end, grant }: TokenView,
    parent: Uint8Array,
  ): Promise<TokenAnswer | 'dead' | 'reused'> => {
    const isLate = end === null || clock.now() - end.at > lifetimes.refreshGrace * 1000
    if (isLate || end.successorId === null || lifetimes.refreshGrace === 0) return 'reused'
    const [refresh, access] = await Promise.all([
      store.readToken(end.successorId),
      store.readToken(end.successorId + 1),
    ])
    const now = clock.now()
    const death = refresh && deathOf(refresh, now)
    // What is forgotten may have been used before: only a row that is there shows that it was not.
    if (!refresh || death === 'used') return 'reused'
    if (death !== null || !access || !isRetriable(deathOf(access, now))) return 'dead'
    const again = (token: TokenView) =>
      tokens.make({
        ...{ kind: token.kind, id: token.id, grant, issuedAt: token.issuedAt },
        expiresAt: token.expiresAt,
        detail: detailOf(token),
        secret: tokens.childSecret(parent, token.kind),
      })
    return answerOf(grant, await again(access), await again(refresh))
  }
  return {
    async rotate(request: Rotation): Promise<TokenAnswer | Refusal> {
      const { refreshToken: text, client, scope, x5t, asked } = request
      const parsed = await tokens.parse(text)
      const unknown = refuse('invalid_grant', 'The refresh token is unknown, expired or revoked.')
      if (parsed?.kind !== 'refresh') return unknown
      for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
        const view = await tokens.find(parsed)
        if (!view || view.grant.clientId !== client.id) return unknown
        const { grant } = view
        const death = deathOf(view, clock.now())
        if (death === 'used') {
          const retried = await retryOf(view, parsed.secret)
          if (typeof retried === 'object') return retried
          if (retried === 'reused') await endGrant(grant, 'refresh_reuse', asked, view)
          return unknown
        }
        if (death !== null) return unknown
        const narrowed = narrow(grant, scope)
        if (narrowed === null) {
          return refuse('invalid_scope', 'The scope asked for is wider than what was granted.')
        }
        const id = await tokens.takeIds(2)
        const child = (kind: 'access' | 'refresh') => tokens.childSecret(parsed.secret, kind)
        const detail = { ...(narrowed === grant.scope ? {} : { scope: narrowed }), x5t }
        const access = await accessToken(id + 1, client, grant, detail, child('access'))
        const refresh = await refreshToken(id, grant, child('refresh'))
        const at = clock.now()
        const event = eventOf({
          ...{ at, type: 'token.rotated', cause: 'refresh', ...asked, grant },
          token: fingerprintOf(view),
        })
        const committed = await store.commit({
          ...{ type: 'spend_token', tokenId: view.id, grantId: grant.id, at, successorId: id },
          tokens: [refresh.row, access.row],
          events: [event],
        })
        if (committed === 'done') return answerOf(grant, access, refresh)
      }
      return unknown
    },
  }
}

/** An access token that ran out in a grace longer than its life is answered again: the refresh token beside it lives. */
function isRetriable(death: Death | null): boolean {
  return death === null || death === 'expired'
}

/** Returns the scope of a new access token: the grant's, or a part of it that was asked for; null when that is more. */
function narrow({ scope }: GrantRow, asked: string | null): string | null {
  if (asked === null) return scope
  const granted = new Set(scope.split(' '))
  return asked.split(' ').every((part) => granted.has(part)) ? asked : null
}
