import { createHash, sign } from 'node:crypto'
import type { Answer } from '../answer.ts'
import { oauthError } from './answer.ts'
import type { App } from './apps.ts'
import type { Call } from './call.ts'
import { checkClient } from './oauth-client.ts'
import { type Approval, CODE_LIFE_MS, type OauthDesk } from './oauth-desk.ts'
import { approveApp, type Org } from './org.ts'
import type { SigningKeys } from './signing-keys.ts'
import { identityUrl, issueTokens, refusal } from './token-response.ts'
import type { User } from './users.ts'

/** What the exchange of a code needs besides the call. */
export interface CodeDesk {
  readonly oauth: OauthDesk
  readonly keys: SigningKeys
}

/**
 * Answers the authorization_code grant. A code works once, for a quarter of an hour, for its own client, with the
 * redirect URI and the verifier (RFC 7636) that belong to it.
 */
export function answerCode(call: Call, form: URLSearchParams, desks: CodeDesk): Answer {
  const client = checkClient(call, form)
  if ('refused' in client) return client.refused
  const { codes } = desks.oauth
  const code = form.get('code') ?? ''
  const approval = codes.get(code)
  codes.delete(code)
  const expired = approval === undefined || call.org.now() - approval.issuedMs >= CODE_LIFE_MS
  if (expired || approval.app !== client.app.index) {
    return oauthError('invalid_grant', 'expired authorization code')
  }
  if (form.get('redirect_uri') !== approval.redirectUri) {
    return oauthError('redirect_uri_mismatch', 'redirect_uri must match configuration')
  }
  if (!verifies(approval.codeChallenge, form.get('code_verifier'))) {
    return oauthError('invalid_grant', 'invalid code verifier')
  }
  const user = call.org.users[approval.user]!
  return issueApproved(call.org, { ...approval, code }, client.app, user, desks.keys)
}

function verifies(challenge: string | undefined, verifier: string | null): boolean {
  if (challenge === undefined) return true
  if (verifier === null) return false
  const hashed = createHash('sha256').update(verifier).digest('base64url')
  return hashed === challenge.replace(/=+$/, '')
}

/** The part of an approval that a token needs, whichever flow it came by. */
export interface Approved extends Pick<Approval, 'scope' | 'nonce'> {
  readonly code: string
  readonly origin?: 'OauthWebServer' | 'OauthDevice'
}

/** Turns an approval into a grant with its tokens: with a refresh token only where the scope asks for one. */
export function issueApproved(
  org: Org,
  approved: Approved,
  app: App,
  user: User,
  keys: SigningKeys,
): Answer {
  const refused = refusal(org, app, user)
  if (refused !== undefined) return refused
  const scopes = approved.scope.split(' ')
  const lasting = scopes.includes('refresh_token') || scopes.includes('offline_access')
  const grant = lasting ? approveApp(org, user.index, app.index) : -1
  if (lasting) {
    org.codeByRow.set(grant, approved.code)
    org.scopeByRow.set(grant, approved.scope)
  }
  return issueTokens(org, {
    app,
    user,
    grant,
    origin: approved.origin ?? 'OauthWebServer',
    scope: approved.scope,
    refreshToken: lasting ? org.codec.encode('refresh', grant, 0) : undefined,
    idToken: scopes.includes('openid') ? idToken(org, app, user, approved.nonce, keys) : undefined,
  })
}

const ID_TOKEN_LIFE_S = 120

function idToken(
  org: Org,
  app: App,
  user: User,
  nonce: string | undefined,
  keys: SigningKeys,
): string {
  const key = keys.idToken()
  const iat = Math.floor(org.now() / 1000)
  const claims = {
    iss: org.origin,
    sub: identityUrl(org, user),
    aud: app.clientId,
    iat,
    exp: iat + ID_TOKEN_LIFE_S,
    ...(nonce === undefined ? {} : { nonce }),
  }
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'RS256', typ: 'JWT', kid: key.keyId })}.${part(claims)}`
  return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), key.privateKey).toString('base64url')}`
}
