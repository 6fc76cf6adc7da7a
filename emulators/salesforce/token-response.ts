import { createHmac } from 'node:crypto'
import { type Answer, jsonAnswer } from '../answer.ts'
import { oauthError } from './answer.ts'
import type { App } from './apps.ts'
import { isBlocked, isUserLetIn, type Org, openSession } from './org.ts'
import type { Session, SessionOrigin } from './sessions.ts'
import type { User } from './users.ts'

/** What a grant of the token endpoint gives. */
export interface Issue {
  readonly app: App
  readonly user: User
  /** The row of the grant behind it, or -1 where there is none. */
  readonly grant: number
  readonly origin: SessionOrigin
  readonly scope: string
  /** Present only where this grant gives one. */
  readonly refreshToken?: string | undefined
  readonly idToken?: string | undefined
}

/** Opens a session and writes the token endpoint's answer of success. */
export function issueTokens(org: Org, issue: Issue): Answer {
  const { app, user, grant, origin, scope } = issue
  const createdMs = org.now()
  const session = openSession(org, {
    user: user.index,
    app: app.index,
    grant,
    origin,
    scope,
    createdMs,
  })
  user.lastLoginMs = createdMs
  return jsonAnswer(200, responseBody(org, issue, session))
}

function responseBody(org: Org, issue: Issue, session: Session): Record<string, unknown> {
  const id = identityUrl(org, issue.user)
  const issuedAt = String(session.createdMs)
  return {
    access_token: session.token,
    ...(issue.refreshToken === undefined ? {} : { refresh_token: issue.refreshToken }),
    ...(issue.idToken === undefined ? {} : { id_token: issue.idToken }),
    signature: createHmac('sha256', issue.app.clientSecret)
      .update(id + issuedAt)
      .digest('base64'),
    scope: issue.scope,
    instance_url: org.origin,
    id,
    token_type: 'Bearer',
    issued_at: issuedAt,
    token_format: 'opaque',
    api_instance_url: org.origin,
  }
}

/** Gives the identity URL of a user, on the emulator's own origin. */
export function identityUrl(org: Org, user: User): string {
  return `${org.origin}/id/${org.organizationId}/${user.id}`
}

/**
 * Refuses a user or an app that gets no tokens, in the words of the vendor's list of errors.
 * @see https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_flow_errors.htm
 */
export function refusal(org: Org, app: App, user: User): Answer | undefined {
  if (!user.isActive) return oauthError('invalid_grant', 'inactive user')
  if (!isUserLetIn(org, user)) return oauthError('invalid_grant', 'authentication failure')
  if (isBlocked(app)) return oauthError('invalid_grant', 'this app is blocked by admin')
  if (exceedsLoginRate(org, user)) return oauthError('invalid_grant', 'login rate exceeded')
  return undefined
}

/** A user may log in 3,600 times an hour. */
const LOGINS_PER_HOUR = 3_600
const HOUR_MS = 3_600_000

function exceedsLoginRate(org: Org, user: User): boolean {
  const hour = Math.floor(org.now() / HOUR_MS)
  const rate = org.loginRates.get(user.index)
  const count = rate?.hour === hour ? rate.count + 1 : 1
  org.loginRates.set(user.index, { hour, count })
  return count > LOGINS_PER_HOUR
}
