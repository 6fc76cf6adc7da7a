import { type Answer, jsonAnswer } from '../answer.ts'

const FORM_TYPE = 'application/x-www-form-urlencoded'

/** An error of the REST API: a JSON array with one entry, whatever the route. */
export function restError(
  status: number,
  errorCode: string,
  message: string,
  fields?: readonly string[],
): Answer {
  const entry = fields === undefined ? { message, errorCode } : { message, errorCode, fields }
  return jsonAnswer(status, [entry])
}

/** An error of the token endpoint and its siblings: a JSON object. */
export function oauthError(error: string, description: string, status = 400): Answer {
  return jsonAnswer(status, { error, error_description: description })
}

/**
 * An error of the revoke endpoint: form-encoded, as the real one answers a POST.
 * @see https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_revoke_token.htm
 */
export function formError(error: string, description: string): Answer {
  const body = `error=${error}&error_description=${encodeURIComponent(description)}`
  return { status: 400, type: FORM_TYPE, body }
}

/** The REST API's answer to a dead, unknown or missing session. */
export function invalidSession(message = 'Session expired or invalid'): Answer {
  return restError(401, 'INVALID_SESSION_ID', message)
}

/** The REST API's answer to an unknown path or record. */
export function notFound(message = 'The requested resource does not exist'): Answer {
  return restError(404, 'NOT_FOUND', message)
}

/** The REST API's answer where the session's user may not do it. */
export function insufficientAccess(message: string): Answer {
  return restError(403, 'INSUFFICIENT_ACCESS', message)
}
