import { type Answer, jsonAnswer } from '../answer.ts'
import { formError } from './answer.ts'
import { type Call, formOf, queryOf } from './call.ts'
import type { Fault } from './faults.ts'
import type { Cause } from './grants.ts'
import { killGrant, type Org, planReturn } from './org.ts'
import { endSession, isSessionAlive } from './sessions.ts'

/** What a presented token was, and whether it lived. */
type Presented = 'revoked' | 'dead' | 'unknown' | 'refused'

/** How long a row lingers under `delayed_visibility` where the fault names no time. */
const LINGER_MS = 2_000
const FORM_TYPE = 'application/x-www-form-urlencoded'

/**
 * Answers the revoke endpoint: a token from the body or the query string, whatever the content type, and no
 * authentication of the client. Errors are form-encoded with 400; JSONP answers with a call of the function named.
 * @see https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_revoke_token.htm
 */
export function answerRevoke(call: Call): Answer {
  const form = tokenForm(call)
  const token = form.get('token') ?? ''
  const error = token === '' ? MISSING : judge(call, presentToken(call, token))
  const callback = call.method === 'GET' ? queryOf(call).get('callback') : null
  if (callback !== null) return jsonpAnswer(callback, error?.error)
  return error === undefined ? SUCCESS : formError(error.error, error.description)
}

const SUCCESS: Answer = { status: 200, type: FORM_TYPE, body: '' }
const MISSING = {
  error: 'unsupported_token_type',
  description: 'this token type is not supported',
}

function tokenForm(call: Call): URLSearchParams {
  if (call.search !== '') return formOf(call)
  return new URLSearchParams(call.body)
}

function judge(call: Call, presented: Presented): typeof MISSING | undefined {
  const second = presented === 'dead' && call.org.switches.secondRevoke === '200'
  if (presented === 'revoked' || second) return undefined
  if (presented === 'refused') return MISSING
  return { error: 'invalid_token', description: 'invalid token' }
}

function jsonpAnswer(callback: string, error: string | undefined): Answer {
  const argument = JSON.stringify(error === undefined ? {} : { error })
  // Only a plain function name, so that the answer cannot be made into another script.
  const name = /^[\w$.]{1,64}$/.test(callback) ? callback : 'callback'
  return { ...jsonAnswer(200, null), type: 'application/javascript', body: `${name}(${argument});` }
}

function presentToken(call: Call, token: string): Presented {
  const { org, fault } = call
  if (org.switches.revokeCountsAsApiCall) org.apiRequests += 1
  const handle = org.codec.decode('delete', token)
  if (handle !== undefined && handle.row < org.grants.count) {
    const seen = org.grants.presented
    seen[handle.row] = Math.min(seen[handle.row]! + 1, 65_535)
    return endGrant(org, handle.row, 'delete_token', fault)
  }
  const refresh = org.codec.decode('refresh', token)
  if (refresh !== undefined && refresh.row < org.grants.count) {
    const current = org.grants.rotation[refresh.row] === refresh.rotation
    return current ? endGrant(org, refresh.row, 'refresh_token', fault) : 'dead'
  }
  return endAccessToken(org, token, fault)
}

function endGrant(org: Org, row: number, cause: Cause, fault: Fault | undefined): Presented {
  const wasAlive = org.grants.state[row] === 0
  if (fault?.kind === 'ok_without_effect') return 'revoked'
  const lingerMs = fault?.kind === 'delayed_visibility' ? (fault.ms ?? LINGER_MS) : 0
  killGrant(org, row, cause, lingerMs)
  if (wasAlive && fault?.kind === 'reauthorise') planReturn(org, row, fault.ms ?? 0)
  return wasAlive ? 'revoked' : 'dead'
}

function endAccessToken(org: Org, token: string, fault: Fault | undefined): Presented {
  const session = org.sessions.byToken.get(token)
  if (session === undefined) return 'unknown'
  if (session.origin === 'SoapLogin' && org.switches.revokeSessionId === 'refused') return 'refused'
  const wasAlive = isSessionAlive(session, org.now())
  if (fault?.kind !== 'ok_without_effect') endSession(org.sessions, session, org.now())
  return wasAlive ? 'revoked' : 'dead'
}
