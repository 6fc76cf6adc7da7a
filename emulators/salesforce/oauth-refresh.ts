import type { Answer } from '../answer.ts'
import { oauthError } from './answer.ts'
import type { App } from './apps.ts'
import type { Call } from './call.ts'
import { STATE } from './grants.ts'
import { checkClient } from './oauth-client.ts'
import { killGrant, type Org } from './org.ts'
import type { TokenPlace } from './token-codec.ts'
import { issueTokens, refusal } from './token-response.ts'

/** The one answer for a refresh token that is revoked, expired, evicted or unknown. */
const EXPIRED = oauthError('invalid_grant', 'expired access/refresh token')

/**
 * Answers the refresh_token grant. With rotation each refresh gives a new token, and presenting a spent one ends
 * the whole grant with its access tokens.
 * @see https://help.salesforce.com/s/articleView?id=005316711&type=1
 */
export function answerRefresh(call: Call, form: URLSearchParams): Answer {
  const client = checkClient(call, form)
  if ('refused' in client) return client.refused
  const { org } = call
  if (form.has('scope') && org.switches.refreshScope === 'refused') {
    return oauthError('invalid_request', 'scope parameter not supported')
  }
  const place = refreshPlace(org, form.get('refresh_token') ?? '')
  if (place === undefined) return EXPIRED
  const { row, rotation } = place
  if (org.grants.app[row] !== client.app.index) {
    return oauthError('invalid_grant', 'token was not issued to this client')
  }
  noteUse(org, row)
  if (org.switches.refreshTokenPolicy === 'expires-at-once') return EXPIRED
  if (org.grants.state[row] !== STATE.alive) return EXPIRED
  if (rotation !== org.grants.rotation[row]) {
    if (org.switches.replay === 'kills-grant') killGrant(org, row, 'replay')
    return EXPIRED
  }
  return refreshGrant(org, client.app, row)
}

/** Gives the grant of a refresh token, live, spent or dead; undefined where this org never made it. */
export function refreshPlace({ codec, grants }: Org, token: string): TokenPlace | undefined {
  const place = codec.decode('refresh', token)
  return place !== undefined && place.row < grants.count ? place : undefined
}

function refreshGrant(org: Org, app: App, row: number): Answer {
  const user = org.users[org.grants.user[row]!]!
  const refused = refusal(org, app, user)
  if (refused !== undefined) return refused
  return issueTokens(org, {
    app,
    user,
    grant: row,
    origin: 'OauthRefreshToken',
    scope: org.scopeByRow.get(row) ?? app.scopes.join(' '),
    refreshToken: rotate(org, app, row),
  })
}

/** Failed attempts move both columns too, as the vendor says of them. */
function noteUse(org: Org, row: number): void {
  org.grants.useCount[row]! += 1
  org.grants.lastUsedS[row] = Math.floor(org.now() / 1000)
}

/** Gives the new refresh token where the app rotates, or undefined where the old one stays. */
function rotate(org: Org, app: App, row: number): string | undefined {
  const { rotation } = org.switches
  const rotates = rotation === 'all' || (rotation === 'per-app' && app.rotatesRefreshTokens)
  if (!rotates) return undefined
  org.grants.rotation[row]! += 1
  return org.codec.encode('refresh', row, org.grants.rotation[row]!)
}
