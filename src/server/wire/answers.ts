import { isRescindError } from '../../core/errors.ts'
import type { WireAnswer } from '../../core/wire.ts'
import { type OAuthErrorCode, type Refusal, refuse } from '../refusal.ts'

/** What a client should wait when the store is in trouble. */
const RETRY_AFTER_S = 1

/** Every 401 names a way to authenticate (RFC 9110 section 15.5.2): the one that all servers take. */
const CHALLENGE = 'Basic realm="OAuth clients", charset="UTF-8"'

const NO_STORE = { 'cache-control': 'no-store', pragma: 'no-cache' }
const JSON_HEADERS = { ...NO_STORE, 'content-type': 'application/json' }
const EMPTY: WireAnswer = { status: 200, headers: NO_STORE, body: '' }

/** The answer of every revocation that is over (RFC 7009 section 2.2): the same for all of them. */
export function emptyAnswer(): WireAnswer {
  return EMPTY
}

export function jsonAnswer(value: unknown, status = 200): WireAnswer {
  return { status, headers: JSON_HEADERS, body: JSON.stringify(value) }
}

/**
 * Returns the answer of a refusal, by RFC 6749 section 5.2.
 *
 * @param challenge what `WWW-Authenticate` says at a 401; that of clients, when it is not said
 */
export function refusalAnswer(
  { error, error_description }: Refusal,
  { status = statusOf(error), challenge = CHALLENGE }: { status?: number; challenge?: string } = {},
): WireAnswer {
  const headers = status === 401 ? { 'www-authenticate': challenge } : {}
  return {
    status,
    headers: { ...JSON_HEADERS, ...headers },
    body: JSON.stringify({ error, error_description }),
  }
}

/** Only the methods of the endpoint are served; GET with a token in the query is not one of them. */
export function methodAnswer(allowed: string): WireAnswer {
  const refusal: Refusal = { error: 'invalid_request', error_description: `Use ${allowed}.` }
  const answer = refusalAnswer(refusal, { status: 405 })
  return { ...answer, headers: { ...answer.headers, allow: allowed } }
}

/** A request about a token that names none. */
export const NO_TOKEN: WireAnswer = refusalAnswer(
  refuse('invalid_request', 'The parameter token is missing.'),
)

/** Too many failed attempts: this client at this address waits. */
export function throttledAnswer(seconds: number): WireAnswer {
  const description = 'Too many failed attempts; wait before the next.'
  const answer = refusalAnswer(
    { error: 'invalid_client', error_description: description },
    { status: 429 },
  )
  return { ...answer, headers: { ...answer.headers, 'retry-after': String(seconds) } }
}

/**
 * Returns the answer to an error: 503 when the store is in trouble, and 500 for what should not be. A
 * change is there whole or not at all, and its answer may have been lost: the client sends the request
 * again, which does no harm (RFC 7009 section 2.2.1). Any page may read it: it tells nothing of anybody,
 * and whose page it is the store in trouble cannot say.
 *
 * @param isRead whether the request asks alone, so that nothing can have been done
 */
export function troubleAnswer(error: unknown, isRead = false): WireAnswer {
  // The client was disabled while its request was under way.
  if (isRescindError(error, 'client_unknown')) {
    return refusalAnswer(refuse('invalid_client', 'Client authentication failed.'))
  }
  const again = againText(error, isRead)
  const answer =
    again === null
      ? refusalAnswer({ error: 'server_error', error_description: 'The server failed.' })
      : refusalAnswer({ error: 'temporarily_unavailable', error_description: again })
  const headers = { ...answer.headers, 'access-control-allow-origin': '*' }
  return {
    ...answer,
    headers: again !== null ? { ...headers, 'retry-after': String(RETRY_AFTER_S) } : headers,
  }
}

/** Says why a request is to be sent again; null when that does not help. */
function againText(error: unknown, isRead: boolean): string | null {
  if (!isRescindError(error)) return null
  if (error.code === 'request_stale') {
    return 'The client was changed or revoked while this was under way. Send the request again.'
  }
  if (!error.code.startsWith('store_')) return null
  return isRead
    ? 'The store is in trouble, and cannot be asked. Send the request again.'
    : 'The store is in trouble, and it is not known whether this was done. Send the request again.'
}

function statusOf(error: OAuthErrorCode): number {
  switch (error) {
    case 'invalid_client':
      return 401
    case 'temporarily_unavailable':
      return 503
    case 'server_error':
      return 500
    case 'access_denied':
      return 403
    case 'invalid_request':
    case 'invalid_grant':
    case 'invalid_scope':
    case 'invalid_target':
    case 'unauthorized_client':
    case 'unsupported_grant_type':
    case 'unsupported_response_type':
    case 'unsupported_token_type':
      return 400
  }
}
