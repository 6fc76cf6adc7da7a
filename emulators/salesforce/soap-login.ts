import { type Answer, xmlAnswer } from '../answer.ts'
import type { Call } from './call.ts'
import { isUserLetIn, liveSession, type Org, openSession } from './org.ts'
import { forgetSession, SESSION_SECONDS_VALID } from './sessions.ts'
import { elementText, escapeXml, soapEnvelope, soapFault } from './soap-xml.ts'
import type { User } from './users.ts'

/** login() is absent from this version of the SOAP API on. */
const LOGIN_GONE_FROM = 65

/**
 * Answers the partner and enterprise SOAP API: login, logout, getUserInfo, invalidateSessions.
 * @see https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_login.htm
 */
export function answerSoap(call: Call, version: string): Answer {
  const { body } = call
  if (/<(?:\w+:)?login\b/.test(body)) {
    if (Number(version) >= LOGIN_GONE_FROM) {
      const message = `login is not available in API version ${version}`
      return soapFault('UNSUPPORTED_API_VERSION', message)
    }
    return login(call, version)
  }
  const session = liveSession(call.org, elementText(body, 'sessionId') ?? '')
  if (session === undefined) {
    return soapFault('INVALID_SESSION_ID', 'Invalid Session ID found in SessionHeader')
  }
  if (/<(?:\w+:)?logout\b/.test(body)) {
    forgetSession(call.org.sessions, session)
    return xmlAnswer(200, soapEnvelope('<logoutResponse/>'))
  }
  if (/<(?:\w+:)?getUserInfo\b/.test(body)) {
    const info = userInfo(call.org, call.org.users[session.user]!)
    const inner = `<getUserInfoResponse><result>${info}</result></getUserInfoResponse>`
    return xmlAnswer(200, soapEnvelope(inner))
  }
  if (/<(?:\w+:)?invalidateSessions\b/.test(body)) return invalidateSessions(call)
  return soapFault('UNKNOWN_EXCEPTION', 'operation not supported by this org')
}

function login(call: Call, version: string): Answer {
  const { org, body } = call
  const user = org.userByUsername.get(elementText(body, 'username') ?? '')
  const matches = user !== undefined && elementText(body, 'password') === passwordOf(user)
  if (!matches || !isUserLetIn(org, user)) {
    const message = 'Invalid username, password, security token; or user locked out.'
    return soapFault('INVALID_LOGIN', message)
  }
  const session = openSession(org, {
    user: user.index,
    app: -1,
    grant: -1,
    origin: 'SoapLogin',
    scope: '',
    createdMs: org.now(),
  })
  const url = `${org.origin}/services/Soap/u/${version}/${org.organizationId.slice(0, 15)}`
  const result =
    `<metadataServerUrl>${url.replace('/u/', '/m/')}</metadataServerUrl>` +
    '<passwordExpired>false</passwordExpired><sandbox>false</sandbox>' +
    `<serverUrl>${url}</serverUrl><sessionId>${session.token}</sessionId>` +
    `<userId>${user.id}</userId><userInfo>${userInfo(org, user)}</userInfo>`
  return xmlAnswer(200, soapEnvelope(`<loginResponse><result>${result}</result></loginResponse>`))
}

function passwordOf(user: User): string {
  return user.password + user.securityToken
}

function userInfo(org: Org, user: User): string {
  return (
    `<organizationId>${org.organizationId}</organizationId>` +
    `<organizationName>${escapeXml(org.name)}</organizationName>` +
    `<profileId>${user.profile.id}</profileId>` +
    `<sessionSecondsValid>${SESSION_SECONDS_VALID}</sessionSecondsValid>` +
    `<userEmail>${user.email}</userEmail><userFullName>${escapeXml(user.name)}</userFullName>` +
    `<userId>${user.id}</userId><userName>${user.username}</userName>` +
    `<userType>${user.userType}</userType>`
  )
}

function invalidateSessions(call: Call): Answer {
  const ids = [...call.body.matchAll(/<(?:\w+:)?sessionIds[^>]*>([^<]*)</g)].map((hit) => hit[1]!)
  const results = ids.map((id) => {
    const session = call.org.sessions.byToken.get(id)
    if (session !== undefined) forgetSession(call.org.sessions, session)
    return `<result><success>${session !== undefined}</success></result>`
  })
  const inner = `<invalidateSessionsResponse>${results.join('')}</invalidateSessionsResponse>`
  return xmlAnswer(200, soapEnvelope(inner))
}
