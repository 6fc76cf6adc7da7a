import { type Answer, jsonAnswer } from '../answer.ts'
import { oauthError } from './answer.ts'
import type { App } from './apps.ts'
import { type Call, formOf } from './call.ts'
import { STATE } from './grants.ts'
import { checkClient } from './oauth-client.ts'
import { isBlocked, isUserLetIn, liveSession, type Org } from './org.ts'
import { SESSION_SECONDS_VALID } from './sessions.ts'
import { identityUrl } from './token-response.ts'
import type { User } from './users.ts'

const INACTIVE = jsonAnswer(200, { active: false })

/**
 * Answers token introspection. Wrong client credentials give 401; a refresh token that this org never made gives 400;
 * a token of another app is inactive to a client that may introspect its own only.
 * @see https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oidc_token_introspection_endpoint.htm
 */
export function answerIntrospect(call: Call): Answer {
  const form = formOf(call)
  const client = checkClient(call, form)
  if ('refused' in client) return { ...client.refused, status: 401 }
  const token = form.get('token')
  if (token === null) return oauthError('invalid_request', 'missing required parameter: token')
  const session = liveSession(call.org, token)
  if (session !== undefined && session.app >= 0) {
    const user = call.org.users[session.user]!
    const issuedS = Math.floor(session.createdMs / 1000)
    const exp = Math.floor(session.lastModifiedMs / 1000) + SESSION_SECONDS_VALID
    const times = { iat: issuedS, nbf: issuedS, exp }
    return describe(call.org, client.app, call.org.apps[session.app]!, user, {
      scope: session.scope,
      token_type: 'access_token',
      ...times,
    })
  }
  return introspectRefresh(call.org, client.app, token, form.get('token_type_hint'))
}

function introspectRefresh(org: Org, client: App, token: string, hint: string | null): Answer {
  const place = org.codec.decode('refresh', token)
  if (place === undefined || place.row >= org.grants.count) {
    // Seen on real orgs: an unknown refresh token is an error there, not an inactive one.
    return hint === 'refresh_token' ? oauthError('invalid_token', 'invalid token') : INACTIVE
  }
  const { grants } = org
  const user = org.users[grants.user[place.row]!]!
  const app = org.apps[grants.app[place.row]!]!
  const alive =
    grants.state[place.row] === STATE.alive && grants.rotation[place.row] === place.rotation
  if (!alive || !isUserLetIn(org, user) || isBlocked(app)) return INACTIVE
  const iat = grants.createdS[place.row]!
  const scope = org.scopeByRow.get(place.row) ?? app.scopes.join(' ')
  return describe(org, client, app, user, { scope, token_type: 'refresh_token', iat, nbf: iat })
}

function describe(
  org: Org,
  client: App,
  owner: App,
  user: User,
  rest: Readonly<Record<string, unknown>>,
): Answer {
  const mayAll = client.introspectsAll || org.switches.introspect === 'all'
  if (client !== owner && !mayAll) return INACTIVE
  return jsonAnswer(200, {
    active: true,
    client_id: owner.clientId,
    username: user.username,
    sub: identityUrl(org, user),
    ...rest,
  })
}
