import { type KeyObject, verify } from 'node:crypto'
import type { Answer } from '../answer.ts'
import { oauthError } from './answer.ts'
import type { App } from './apps.ts'
import type { Call } from './call.ts'
import { eachRowOf, STATE } from './grants.ts'
import { checkClient } from './oauth-client.ts'
import { approveApp, liveSession, type Org } from './org.ts'
import type { SigningKeys } from './signing-keys.ts'
import { issueTokens, refusal } from './token-response.ts'
import type { User } from './users.ts'

/** The grants that need no person and give no refresh token. */

/** Answers the password grant: the password with the security token behind it. */
export function answerPassword(call: Call, form: URLSearchParams): Answer {
  const client = checkClient(call, form)
  if ('refused' in client) return client.refused
  const user = call.org.userByUsername.get(form.get('username') ?? '')
  if (user === undefined || form.get('password') !== user.password + user.securityToken) {
    return oauthError('invalid_grant', 'authentication failure')
  }
  const refused = refusal(call.org, client.app, user)
  if (refused !== undefined) return refused
  // The password grant leaves no row in OauthToken, as its app shows on no usage page.
  const [origin, scope] = ['OauthUsernamePassword', 'api web id'] as const
  return issueTokens(call.org, { app: client.app, user, grant: -1, origin, scope })
}

/** Answers the client_credentials grant, which runs as the one user that the app names. */
export function answerClientCredentials(call: Call, form: URLSearchParams): Answer {
  const client = checkClient(call, form)
  if ('refused' in client) return client.refused
  const { app } = client
  if (app.clientCredentialsUser === null) {
    return oauthError('invalid_grant', 'no client credentials user enabled')
  }
  const user = call.org.users[app.clientCredentialsUser]!
  return issueToMachine(call.org, app, user, 'OauthClientCredentials')
}

/** Answers the token exchange: a live access token of this org for another app's. */
export function answerTokenExchange(call: Call, form: URLSearchParams): Answer {
  const client = checkClient(call, form)
  if ('refused' in client) return client.refused
  const subject = liveSession(call.org, form.get('subject_token') ?? '')
  if (subject === undefined) return oauthError('invalid_grant', 'invalid subject token')
  const user = call.org.users[subject.user]!
  return issueToMachine(call.org, client.app, user, 'OauthTokenExchange')
}

/**
 * Answers the JWT bearer grant: RS256 by the registered key, a known audience, not expired.
 * @see https://www.rfc-editor.org/rfc/rfc7523#section-3
 */
export function answerJwtBearer(call: Call, form: URLSearchParams, keys: SigningKeys): Answer {
  const { org } = call
  const claims = readAssertion(form.get('assertion') ?? '', () => keys.assertion().publicKey)
  if (claims === undefined) return oauthError('invalid_grant', 'invalid assertion')
  const app = org.appByClientId.get(claims.iss)
  if (app === undefined) return oauthError('invalid_client_id', 'client identifier invalid')
  if (!app.jwtBearer) return oauthError('invalid_grant', 'invalid assertion')
  if (!audiencesOf(org).includes(claims.aud.replace(/\/$/, ''))) {
    return oauthError('invalid_grant', 'Audience validation failed')
  }
  if (expiryMs(claims.exp) <= org.now()) {
    return oauthError('invalid_grant', 'expired authorization code')
  }
  const user = org.userByUsername.get(claims.sub)
  if (user === undefined || !hasApproved(org, app, user)) {
    return oauthError('invalid_grant', "user hasn't approved this consumer")
  }
  return issueToMachine(org, app, user, 'OauthJwtBearer')
}

interface Claims {
  readonly iss: string
  readonly sub: string
  readonly aud: string
  readonly exp: number
}

function readAssertion(assertion: string, key: () => KeyObject): Claims | undefined {
  const [head = '', body = '', signature = ''] = assertion.split('.')
  try {
    const header = JSON.parse(Buffer.from(head, 'base64url').toString('utf8'))
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'))
    const signed = Buffer.from(`${head}.${body}`)
    if (header.alg !== 'RS256') return undefined
    if (!verify('RSA-SHA256', signed, key(), Buffer.from(signature, 'base64url'))) return undefined
    const aud = [claims.aud].flat()[0]
    return { iss: `${claims.iss}`, sub: `${claims.sub}`, aud: `${aud}`, exp: Number(claims.exp) }
  } catch {
    return undefined
  }
}

function audiencesOf(org: Org): readonly string[] {
  return [org.origin, 'https://login.salesforce.com', 'https://test.salesforce.com']
}

/** The `sf` command writes `exp` in milliseconds, and the real org takes it. */
const MILLISECONDS_ABOVE = 100_000_000_000

function expiryMs(exp: number): number {
  return exp > MILLISECONDS_ABOVE ? exp : exp * 1000
}

function hasApproved(org: Org, app: App, user: User): boolean {
  if (app.adminApproved) return user.profile.permissions.has('ManageRemoteAccess')
  let found = false
  eachRowOf(org.grants.byUser, user.index, (row) => {
    found ||= org.grants.app[row] === app.index && org.grants.state[row] === STATE.alive
  })
  return found
}

function issueToMachine(
  org: Org,
  app: App,
  user: User,
  origin: 'OauthJwtBearer' | 'OauthClientCredentials' | 'OauthTokenExchange',
): Answer {
  const refused = refusal(org, app, user)
  if (refused !== undefined) return refused
  const grant = org.switches.machineGrantsInOauthToken ? approveApp(org, user.index, app.index) : -1
  return issueTokens(org, { app, user, grant, origin, scope: 'api web id' })
}
