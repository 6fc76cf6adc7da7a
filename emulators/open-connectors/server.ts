import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { type Answer, htmlAnswer, withRetryAfter } from '../answer.ts'
import { answerControl, isControlPath } from '../control.ts'
import { deliver } from '../deliver.ts'
import { receive } from '../receive.ts'
import { type Account, makeRequestId, resetUserSecret } from './account.ts'
import { platformError, unauthorized } from './answers.ts'
import type { Call } from './call.ts'
import { controlValue } from './control.ts'
import type { Fault } from './faults.ts'
import { type RequestLog, recordOf } from './request-log.ts'
import { findRoute } from './routes.ts'
import type { AccountTruth } from './truth.ts'

/** What a running account is made of, for the handler and the control plane. */
export interface Estate {
  readonly account: Account
  readonly log: RequestLog
  readonly truth: AccountTruth
}

/** Below this path lies the whole API. */
export const API_PATH = '/elements/api-v2'

/** Makes the handler of an account for any node:http server. */
export function createHandler(estate: Estate): RequestListener {
  return receive((request, response, body) => void serve(estate, request, response, body))
}

async function serve(
  estate: Estate,
  request: IncomingMessage,
  response: ServerResponse,
  body: string,
): Promise<void> {
  const { account, log } = estate
  const { method = 'GET', headers } = request
  // Not by URL, which throws where a target is none.
  const [pathname = '', ...search] = (request.url ?? '/').split('?')
  if (isControlPath(pathname)) {
    const answerOf = (name: string, text: string) => controlValue(estate, name, text)
    return answerControl({ method, path: pathname, body }, response, answerOf)
  }
  const path = pathname.startsWith(`${API_PATH}/`) ? pathname.slice(API_PATH.length) : ''
  const route = findRoute(method, path)
  const fault = account.faults.strike(route.name)
  const requestId = makeRequestId(account)
  const query = new URLSearchParams(search.join('?'))
  const call: Call = { account, requestId, method, path, query, headers, body, fault }
  const note = (status: number): void =>
    log.add(recordOf(call, route.name, status, fault?.kind ?? null))
  const before = fault === undefined ? undefined : faultBefore(call, fault)
  if (before === 'cut') {
    note(0)
    request.socket.resetAndDestroy()
    return
  }
  const answer = before ?? (await safely(call, route.answer))
  const unexpected = platformError(call, 500, 'Server error')
  const { latencyMs } = account
  deliver({ request, response, answer, fault, latencyMs, unexpected, note })
}

async function safely(
  call: Call,
  answer: (call: Call) => Answer | Promise<Answer>,
): Promise<Answer> {
  try {
    return await answer(call)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return platformError(call, 500, `the emulator failed: ${message}`)
  }
}

/** What a fault does before the call takes effect: an answer of its own, a cut, or nothing. */
function faultBefore(call: Call, fault: Fault): Answer | 'cut' | undefined {
  const { account } = call
  switch (fault.kind) {
    case 'reset_before_effect':
      return 'cut'
    case 'unauthorized_401':
      return unauthorized(call)
    case 'too_many_429':
      return withRetryAfter(platformError(call, 429, 'Too many requests'), fault.retryAfterS ?? 1)
    case 'bad_gateway_502':
      return platformError(call, 502, 'Bad gateway')
    case 'unavailable_503':
      return withRetryAfter(platformError(call, 503, 'Service unavailable'), fault.retryAfterS)
    case 'error_500_before_effect':
      return platformError(call, 500, 'Server error')
    case 'redirect_302':
      return { status: 302, type: '', body: '', headers: { location: `${API_PATH}${call.path}` } }
    case 'html_200':
      return htmlAnswer(200, '<!doctype html><title>Maintenance</title><p>Back soon.')
    case 'user_secret_reset':
      resetUserSecret(account)
      return undefined
    case 'error_500_after_effect':
    case 'reset_after_effect':
    case 'hang':
    case 'slow':
    case 'ok_without_effect':
    case 'truncated_body':
      return undefined
  }
}
