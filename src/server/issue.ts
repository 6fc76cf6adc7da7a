import type { Beginning } from './beginning.ts'
import type { Client } from './client-settings.ts'
import type { Asked } from './events.ts'
import { createGranting, type GrantRequest, type TokenAnswer } from './grant.ts'
import { type CodeRequest, createCodeGrants, type Redemption } from './grant-code.ts'
import { createOwnGrants } from './grant-own.ts'
import { createRefreshing, type Rotation } from './grant-refresh.ts'
import type { AuthorityParts } from './options.ts'
import type { Refusal } from './refusal.ts'
import type { Tokens } from './tokens.ts'

/** Makes grants and tokens, and changes codes and refresh tokens into new ones. */
export interface Issuing {
  /** Begins a request for a grant, whose user and session are asked for from now on. */
  begin(): Promise<Beginning>
  /** Starts a grant and returns its first tokens, for hosts that keep their own login. */
  start(request: GrantRequest & { readonly refreshable: boolean }): Promise<TokenAnswer>
  /** Starts a grant and returns its code (RFC 6749 section 4.1.2). */
  startWithCode(request: CodeRequest): Promise<string>
  /** RFC 6749 section 4.4. */
  clientCredentials(
    client: Client,
    scope: string,
    audience?: string,
    asked?: Asked,
    /** The thumbprint of the certificate that the token is to be bound to. */
    x5t?: string,
  ): Promise<TokenAnswer>
  /** RFC 6749 section 4.1.3, RFC 7636 section 4.6. */
  redeem(request: Redemption): Promise<TokenAnswer | Refusal>
  /** RFC 6749 section 6, with rotation. */
  rotate(request: Rotation): Promise<TokenAnswer | Refusal>
}

export function createIssuing(parts: AuthorityParts, tokens: Tokens): Issuing {
  const granting = createGranting(parts, tokens)
  const { newGrant, accessToken, refreshToken, answerOf, start, startOf } = granting
  return {
    begin: parts.beginnings.begin,
    ...createCodeGrants(parts, tokens, granting),
    ...createOwnGrants(parts, tokens, granting),
    ...createRefreshing(parts, tokens, granting),
    async start(request) {
      const grant = await newGrant(request)
      const id = await tokens.takeIds(2)
      const access = await accessToken(id + 1, request.client, grant, {})
      const refresh = request.refreshable ? await refreshToken(id, grant) : undefined
      const made = refresh ? [refresh.row, access.row] : [access.row]
      const events = [startOf(grant, 'issue', request.asked)]
      await start(grant, { began: request.began, tokens: made, events })
      return answerOf(grant, access, refresh)
    },
  }
}
