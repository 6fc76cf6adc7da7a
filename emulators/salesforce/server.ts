import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { type Answer, htmlAnswer, jsonAnswer, withRetryAfter } from '../answer.ts'
import { answerControl, isControlPath } from '../control.ts'
import { deliver } from '../deliver.ts'
import { receive } from '../receive.ts'
import { restError } from './answer.ts'
import { type Call, clientOf, formOf } from './call.ts'
import { controlValue } from './control.ts'
import type { Fault, RouteName } from './faults.ts'
import { refreshPlace } from './oauth-refresh.ts'
import { approveByChance, endByChance, expireSessions, type Org, tick } from './org.ts'
import { GRANT_TYPES, type RequestLog, type RequestRecord } from './request-log.ts'
import { type Desks, findRoute } from './routes.ts'
import type { GroundTruth } from './truth.ts'

/** What a running org is made of, for the handler and the control plane. */
export interface Estate {
  readonly org: Org
  readonly desks: Desks
  readonly log: RequestLog
  readonly truth: GroundTruth
}

/** Makes the handler of an org for any node:http server. */
export function createHandler(estate: Estate): RequestListener {
  return receive((request, response, body) => serve(estate, request, response, body))
}

function serve(
  estate: Estate,
  request: IncomingMessage,
  response: ServerResponse,
  body: string,
): void {
  const { org, desks } = estate
  const method = request.method ?? 'GET'
  const { path, search } = splitTarget(request.url ?? '/')
  tick(org)
  if (isControlPath(path)) {
    const answerOf = (name: string, text: string) => controlValue(estate, name, text)
    void answerControl({ method, path, body }, response, answerOf)
    return
  }
  const route = findRoute(desks, method, path)
  const fault = org.faults.strike(route.name)
  const call: Call = { org, method, path, search, headers: request.headers, body, fault }
  const before = fault === undefined ? undefined : faultBefore(org, fault, path)
  if (before === 'cut') {
    note(estate, call, route.name, 0)
    request.socket.resetAndDestroy()
    return
  }
  deliver({
    request,
    response,
    answer: before ?? safely(() => route.answer(call)),
    fault,
    latencyMs: org.latencyMs,
    unexpected: UNEXPECTED,
    note: (status) => note(estate, call, route.name, status),
  })
}

/** Takes apart the request target: a site's path in front and duplicate slashes go. */
export function splitTarget(target: string): { readonly path: string; readonly search: string } {
  const mark = target.indexOf('?')
  const raw = mark < 0 ? target : target.slice(0, mark)
  const single = raw.includes('//') ? raw.replaceAll(/\/{2,}/g, '/') : raw
  const site = single.indexOf('/services/')
  return {
    path: site > 0 ? single.slice(site) : single,
    search: mark < 0 ? '' : target.slice(mark + 1),
  }
}

function safely(run: () => Answer): Answer {
  try {
    return run()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return restError(500, 'UNKNOWN_EXCEPTION', `the emulator failed: ${message}`)
  }
}

/** What a fault does before the call takes effect: an answer of its own, a cut, or nothing. */
function faultBefore(org: Org, fault: Fault, path: string): Answer | 'cut' | undefined {
  switch (fault.kind) {
    case 'reset_before_effect':
      return 'cut'
    case 'bad_id_404':
      return { status: 404, type: 'text/plain', body: 'Bad_Id' }
    case 'too_many_429':
      return withRetryAfter(
        restError(429, 'TOO_MANY_REQUESTS', 'Too many requests'),
        fault.retryAfterS ?? 1,
      )
    case 'unavailable_503':
      return withRetryAfter(
        restError(503, 'SERVER_UNAVAILABLE', 'Service unavailable'),
        fault.retryAfterS,
      )
    case 'error_500_before_effect':
    // Which is never sent.
    case 'hang_before_effect':
      return UNEXPECTED
    case 'redirect_302':
      return { status: 302, type: '', body: '', headers: { location: `${org.origin}${path}` } }
    case 'request_limit_403':
      return restError(403, 'REQUEST_LIMIT_EXCEEDED', 'TotalRequests Limit exceeded.')
    case 'html_200':
      return htmlAnswer(200, '<!doctype html><title>Maintenance</title><p>Back soon.')
    case 'malformed_200':
      return { ...jsonAnswer(200, null), body: '{"access_token":"00D' }
    case 'error_in_200':
      return jsonAnswer(200, { error: 'server_error', error_description: 'try again later' })
    case 'empty_200':
      return jsonAnswer(200, { ok: true })
    case 'invalid_client_401':
      return jsonAnswer(401, { error: 'invalid_client', error_description: 'invalid client' })
    case 'forbidden_403':
      return jsonAnswer(403, { error: 'access_denied', error_description: 'not allowed' })
    case 'session_expired':
      expireSessions(org)
      return undefined
    case 'new_grant':
      approveByChance(org)
      return undefined
    case 'grant_vanishes':
      endByChance(org)
      return undefined
    case 'error_500_after_effect':
    case 'reset_after_effect':
    case 'hang':
    case 'slow':
    case 'ok_without_effect':
    case 'delayed_visibility':
    case 'reauthorise':
    case 'drop_row':
    case 'duplicate_row':
    case 'truncated_body':
      return undefined
  }
}

const UNEXPECTED = restError(500, 'UNKNOWN_EXCEPTION', 'An unexpected error occurred')

function note({ org, log }: Estate, call: Call, route: RouteName, status: number): void {
  const { method, path } = call
  const asked = route === 'token' ? askedOf(call) : NOT_ASKED
  const fault = call.fault?.kind ?? null
  log.add({ at: org.now(), method, path, route, ...asked, status, fault })
}

type Asked = Pick<RequestRecord, 'grantType' | 'clientId' | 'grant'>

const NOT_ASKED: Asked = { grantType: null, clientId: null, grant: null }

/** Only what the org knows: anything else may be a secret that was pasted into the wrong field. */
function askedOf(call: Call): Asked {
  const { org } = call
  const form = formOf(call)
  return {
    grantType: GRANT_TYPES.find((known) => known === form.get('grant_type')) ?? null,
    clientId: org.appByClientId.get(clientOf(call, form).id)?.clientId ?? null,
    grant: refreshPlace(org, form.get('refresh_token') ?? '')?.row ?? null,
  }
}
