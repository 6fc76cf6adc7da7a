import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { type Answer, htmlAnswer, restError } from './answer.ts'
import type { Call } from './call.ts'
import { answerControl, isControlPath } from './control.ts'
import type { Fault, RouteName } from './faults.ts'
import { approveByChance, endByChance, expireSessions, type Org, tick } from './org.ts'
import type { RequestLog } from './request-log.ts'
import { type Desks, findRoute } from './routes.ts'
import type { GroundTruth } from './truth.ts'

/** What a running org is made of, for the handler and the control plane. */
export interface Estate {
  readonly org: Org
  readonly desks: Desks
  readonly log: RequestLog
  readonly truth: GroundTruth
}

/** A body above this is cut off: no request that the org knows is near it. */
const BODY_BYTES_MAX = 4 * 1024 * 1024

/** Makes the handler of an org for any node:http server. */
export function createHandler(estate: Estate): RequestListener {
  return (request, response) => {
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > BODY_BYTES_MAX) request.destroy()
      else chunks.push(chunk)
    })
    request.on('end', () => serve(estate, request, response, joinChunks(chunks)))
    request.on('error', () => response.destroy())
  }
}

function joinChunks(chunks: readonly Buffer[]): string {
  if (chunks.length === 1) return chunks[0]!.toString('utf8')
  return chunks.length === 0 ? '' : Buffer.concat(chunks).toString('utf8')
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
    answerControl(estate, { method, path, body }, response)
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
  const answer = before ?? safely(() => route.answer(call))
  deliver(estate, { call, route: route.name, answer, request, response })
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
      return withRetryAfter(restError(429, 'TOO_MANY_REQUESTS', 'Too many requests'), fault, 1)
    case 'unavailable_503':
      return withRetryAfter(restError(503, 'SERVER_UNAVAILABLE', 'Service unavailable'), fault)
    case 'error_500_before_effect':
      return UNEXPECTED
    case 'redirect_302':
      return { status: 302, type: '', body: '', headers: { location: `${org.origin}${path}` } }
    case 'request_limit_403':
      return restError(403, 'REQUEST_LIMIT_EXCEEDED', 'TotalRequests Limit exceeded.')
    case 'html_200':
      return htmlAnswer(200, '<!doctype html><title>Maintenance</title><p>Back soon.')
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

function withRetryAfter(answer: Answer, fault: Fault, defaultS?: number): Answer {
  const seconds = fault.retryAfterS ?? defaultS
  if (seconds === undefined) return answer
  return { ...answer, headers: { 'retry-after': String(seconds) } }
}

interface Delivery {
  readonly call: Call
  readonly route: RouteName
  readonly answer: Answer
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

/** Writes the answer, after the latency and with what a fault does to it once the call took effect. */
function deliver(estate: Estate, delivery: Delivery): void {
  const { call } = delivery
  const extraMs = call.fault?.kind === 'slow' ? (call.fault.ms ?? 1_000) : 0
  const delayMs = estate.org.latencyMs + extraMs
  if (delayMs <= 0) finish(estate, delivery)
  else setTimeout(() => finish(estate, delivery), delayMs)
}

function finish(estate: Estate, delivery: Delivery): void {
  const { call, route, answer, request, response } = delivery
  const { fault } = call
  const kind = fault?.kind
  if (kind === 'reset_after_effect' || kind === 'hang' || kind === 'truncated_body') {
    note(estate, call, route, 0)
    if (kind === 'truncated_body') truncate(response, request, answer)
    else if (kind === 'reset_after_effect') request.socket.resetAndDestroy()
    else if (fault?.ms !== undefined) setTimeout(() => request.socket.destroy(), fault.ms).unref()
    return
  }
  const sent = kind === 'error_500_after_effect' ? UNEXPECTED : answer
  note(estate, call, route, sent.status)
  send(response, sent)
}

const UNEXPECTED = restError(500, 'UNKNOWN_EXCEPTION', 'An unexpected error occurred')

function note({ org, log }: Estate, call: Call, route: RouteName, status: number): void {
  const { method, path } = call
  log.add({ at: org.now(), method, path, route, status, fault: call.fault?.kind ?? null })
}

function send(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, headersOf(answer))
  response.end(answer.body)
}

function headersOf(answer: Answer): Record<string, string | number> {
  const length = Buffer.byteLength(answer.body)
  const headers: Record<string, string | number> = { ...answer.headers }
  if (answer.type !== '') headers['content-type'] = answer.type
  if (answer.status !== 204) headers['content-length'] = length
  return headers
}

function truncate(response: ServerResponse, request: IncomingMessage, answer: Answer): void {
  const body = Buffer.from(answer.body === '' ? ' ' : answer.body)
  response.writeHead(answer.status, { ...headersOf(answer), 'content-length': body.length + 1 })
  response.write(body.subarray(0, Math.ceil(body.length / 2)), () => request.socket.destroy())
}
