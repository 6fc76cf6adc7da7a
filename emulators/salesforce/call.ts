import type { IncomingHttpHeaders } from 'node:http'
import type { Answer } from '../answer.ts'
import { invalidSession, restError } from './answer.ts'
import type { Fault } from './faults.ts'
import { liveSession, type Org } from './org.ts'
import type { Session } from './sessions.ts'

/** One request, as the routes see it. */
export interface Call {
  readonly org: Org
  readonly method: string
  /** The path with duplicate slashes and a site's prefix taken off. */
  readonly path: string
  readonly search: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** The fault that strikes this call, where the route itself must act on it. */
  readonly fault: Fault | undefined
}

/** Gives the parameters of the query string. */
export function queryOf(call: Call): URLSearchParams {
  return new URLSearchParams(call.search)
}

/** Gives the parameters of a form in the body, with those of the query string behind them. */
export function formOf(call: Call): URLSearchParams {
  const form = new URLSearchParams(call.body)
  for (const [name, value] of queryOf(call)) {
    if (!form.has(name)) form.append(name, value)
  }
  return form
}

/** Gives the JSON object of the body; an empty one where there is none. */
export function jsonOf(call: Call): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(call.body)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** Gives the bearer token of the Authorization header; the vendor takes `OAuth` for `Bearer` too. */
export function bearerOf(call: Call): string | undefined {
  const [scheme, token] = (call.headers.authorization ?? '').split(' ', 2)
  return /^(bearer|oauth)$/i.test(scheme ?? '') ? token : undefined
}

/** Gives client credentials from HTTP Basic or from the form. */
export function clientOf(call: Call, form: URLSearchParams): { id: string; secret: string } {
  const [scheme, value] = (call.headers.authorization ?? '').split(' ', 2)
  if (/^basic$/i.test(scheme ?? '') && value !== undefined) {
    const [id = '', secret = ''] = Buffer.from(value, 'base64').toString('utf8').split(':', 2)
    return { id: decode(id), secret: decode(secret) }
  }
  return { id: form.get('client_id') ?? '', secret: form.get('client_secret') ?? '' }
}

/** Basic credentials are form-encoded by RFC 6749 section 2.3.1, and many clients do not. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

/** Runs a route of the REST API for the session behind the request, or refuses. */
export function withSession(call: Call, run: (session: Session) => Answer): Answer {
  const token = bearerOf(call)
  const session = token === undefined ? undefined : liveSession(call.org, token)
  if (session === undefined) return invalidSession()
  if (call.org.apiRequests >= call.org.apiRequestsMax) {
    return restError(403, 'REQUEST_LIMIT_EXCEEDED', 'TotalRequests Limit exceeded.')
  }
  session.lastModifiedMs = call.org.now()
  const answer = run(session)
  call.org.apiRequests += 1
  return { ...answer, headers: { ...answer.headers, 'sforce-limit-info': limitInfo(call.org) } }
}

function limitInfo(org: Org): string {
  return `api-usage=${org.apiRequests}/${org.apiRequestsMax}`
}
