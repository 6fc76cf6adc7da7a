import type { Client } from './client-settings.ts'
import { type Asked, eventOf } from './events.ts'
import { fingerprintOf } from './fingerprint.ts'
import type { Granting, GrantRequest, TokenAnswer } from './grant.ts'
import { deathOf } from './judge.ts'
import type { AuthorityParts } from './options.ts'
import { type Refusal, refuse } from './refusal.ts'
import { detailOf, type Tokens } from './tokens.ts'

/** A code that is asked for: where it may be redeemed, and the S256 challenge of who may. */
export interface CodeRequest extends GrantRequest {
  readonly redirectUri: string
  readonly challenge: string
}

export interface Redemption {
  readonly code: string
  readonly client: Client
  readonly redirectUri: string | null
  /** The S256 challenge of the verifier that was presented. */
  readonly challenge: string | null
  /** The thumbprint of the certificate that the access token is to be bound to. */
  readonly x5t?: string | undefined
  readonly asked: Asked
}

/** Returns what makes authorization codes, and changes them into tokens, once. */
export function createCodeGrants(
  { store, clock, lifetimes }: AuthorityParts,
  tokens: Tokens,
  granting: Granting,
) {
  const { newGrant, accessToken, refreshToken, answerOf, start, endGrant, startOf } = granting
  return {
    async startWithCode(request: CodeRequest): Promise<string> {
      const grant = await newGrant(request)
      const { redirectUri, challenge, began, asked } = request
      const issuedAt = clock.now()
      const code = await tokens.make({
        ...{ kind: 'code', id: await tokens.takeIds(1), grant, issuedAt },
        expiresAt: issuedAt + lifetimes.code * 1000,
        detail: { redirectUri, challenge },
      })
      const events = [startOf(grant, 'authorization', asked)]
      await start(grant, { began, tokens: [code.row], events })
      return code.text
    },
    async redeem(request: Redemption): Promise<TokenAnswer | Refusal> {
      const { code, client, redirectUri, challenge, x5t, asked } = request
      const parsed = await tokens.parse(code)
      const unknown = refuse(
        'invalid_grant',
        'The authorization code is unknown, expired or spent.',
      )
      if (parsed?.kind !== 'code') return unknown
      const view = await tokens.find(parsed)
      if (!view || view.grant.clientId !== client.id) return unknown
      const bound = detailOf(view)
      if (bound.redirectUri !== redirectUri || bound.challenge !== challenge) return unknown
      const { grant } = view
      const death = deathOf(view, clock.now())
      if (death === 'used') {
        // The replay is otherwise valid: somebody else has the code, and what it was changed into.
        await endGrant(grant, 'code_reuse', asked, view)
        return unknown
      }
      if (death !== null) return unknown
      const id = await tokens.takeIds(2)
      const access = await accessToken(id + 1, client, grant, { x5t })
      const isRefreshable = client.grantTypes.includes('refresh_token')
      const refresh = isRefreshable ? await refreshToken(id, grant) : undefined
      const at = clock.now()
      const events = [
        eventOf({
          at,
          type: 'code.redeemed',
          cause: 'code',
          ...asked,
          grant,
          token: fingerprintOf(view),
        }),
      ]
      const committed = await store.commit({
        ...{ type: 'spend_token', tokenId: view.id, grantId: grant.id, at, events },
        successorId: refresh ? id : id + 1,
        tokens: refresh ? [refresh.row, access.row] : [access.row],
      })
      if (committed === 'done') return answerOf(grant, access, refresh)
      // Two valid redemptions at once are a replay as well; a revocation meanwhile is none.
      const now = await tokens.find(parsed)
      if (now && deathOf(now, clock.now()) === 'used') {
        await endGrant(grant, 'code_reuse', asked, view)
      }
      return unknown
    },
  }
}
