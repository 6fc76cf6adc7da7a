import { isRescindError, type RescindError } from '../../core/errors.ts'
import type { ReconnectOutcome } from '../reauthorize.ts'
import { describeOutcome } from './shapes.ts'

const HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }
/** The one answer to a key that is missing, unknown or revoked, at whatever path. */
const CHALLENGE = { 'www-authenticate': 'Bearer realm="rescind connections"' }
const RETRY_S = '1'

export function jsonAnswer(
  value: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return Response.json(value, { status, headers: { ...HEADERS, ...headers } })
}

/** Answers with one sentence. */
export function refuse(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return jsonAnswer({ error: { code, message } }, status, headers)
}

export function refuseKey(): Response {
  return refuse(401, 'not_authenticated', 'The key is missing or not known.', CHALLENGE)
}

export function refuseMethod(): Response {
  const message = 'There is no such method here: /openapi.json lists what there is.'
  return refuse(405, 'invalid_request', message, { allow: 'GET, HEAD, POST, DELETE' })
}

/** Answers for an error that a handler threw. What is no error of ours says nothing of itself. */
export function refuseError(error: unknown): Response {
  if (!isRescindError(error)) return refuse(500, 'unexpected', 'Something went wrong here.')
  const { code } = error
  const status = statusOf(error)
  if (status === 503) {
    const why =
      code === 'store_closed' ? 'This process is being stopped' : 'The store is in trouble'
    return refuse(status, code, `${why}. Try again.`, { 'retry-after': RETRY_S })
  }
  return refuse(status, code, sentenceOf(error))
}

function statusOf({ code }: RescindError): number {
  if (code.startsWith('store_')) return 503
  switch (code) {
    case 'connection_unknown':
      return 404
    case 'tenant_unknown':
    case 'provider_unsupported':
      return 400
    case 'connection_disabled':
      return 409
    case 'host_unreachable':
    case 'tls_failed':
    case 'http_timeout':
    case 'http_reset':
    case 'http_too_large':
    case 'answer_invalid':
    case 'connection_unwell':
      return 502
    default:
      return 500
  }
}

/** Sentences for a terminal name files and commands of the machine: those are told in other words. */
function sentenceOf({ code, message }: RescindError): string {
  switch (code) {
    case 'connection_unknown':
      return 'There is no such connection.'
    case 'tenant_unknown':
      return 'There is no tenant of that name.'
    case 'provider_unsupported':
      return 'The provider of that tenant has no connections.'
    case 'connection_disabled':
      return 'The connection is disabled, or was disconnected.'
    case 'config_invalid':
      return 'The tenant is not configured for connections.'
    default:
      return message
  }
}

const OUTCOME_STATUS: Readonly<Record<Exclude<ReconnectOutcome['kind'], 'reconnected'>, number>> = {
  forged: 400,
  used: 409,
  late: 410,
  denied: 409,
  provider_error: 502,
  code_refused: 409,
  unreachable: 502,
  our_fault: 502,
  wrong_issuer: 400,
  changed: 403,
  unconfirmed: 502,
  gone: 409,
  not_stored: 503,
}

/** Answers a platform for a code that brought no grant. */
export function refuseOutcome(
  outcome: Exclude<ReconnectOutcome, { readonly kind: 'reconnected' }>,
): Response {
  return refuse(OUTCOME_STATUS[outcome.kind], outcome.kind, describeOutcome(outcome))
}
