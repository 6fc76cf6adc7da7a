import { RescindError } from '../../core/errors.ts'
import { type HttpResponse, hadNoEffect } from '../../core/http.ts'
import type { KillAnswer } from '../provider.ts'
import { readRestError } from './rest-answer.ts'

/** What of an answer its judge looks at. */
export type JudgedAnswer = Pick<HttpResponse, 'status' | 'body' | 'retryAfterMs'>

/**
 * Judges an answer of the revocation endpoint, whichever token was presented. Its errors are
 * form-encoded or JSON, and every one of its own is a 400; but an error is one under any status.
 *
 * @see https://developer.salesforce.com/docs/platform/mobile-sdk/guide/oauth-revoking-tokens.html
 */
export function judgeRevocation(answer: JudgedAnswer): KillAnswer {
  const { status, body, retryAfterMs } = answer
  const error = formError(body) ?? jsonError(answer)
  const code = error ?? `http_${status}`
  if (status >= 200 && status < 300) {
    if (error !== undefined) return { outcome: 'refused', code }
    // A login or maintenance page with a 200 comes from something else than the endpoint.
    const isMarkup = /^\s*</.test(body)
    return isMarkup ? { outcome: 'in_doubt', code: 'web_page' } : { outcome: 'revoked', code }
  }
  // Dead before, or mangled, or of another org or instance: not a proof of death.
  if (status === 400 && code === 'invalid_token') return { outcome: 'already_dead', code }
  // A session id, for instance, ends by other calls; so this is a no, not "no call can".
  if (status === 400) return { outcome: 'refused', code }
  // Seen in the field with this text, and the token lives on.
  if (status === 404) {
    return { outcome: 'failed', code: /\bBad_Id\b/.test(body) ? BAD_ID : code }
  }
  return judgeOtherStatus(status, code, retryAfterMs)
}

/** An endpoint that knows the token says now and then that it does not: trying again helps. */
export const BAD_ID = 'Bad_Id'

/** What a DELETE was meant to end. */
export type Deleted = 'one' | 'many'

/**
 * Judges an answer to a DELETE of a session, of a usage token (`one`), or of all tokens of an app
 * or of a user and app (`many`). Of many that are not found nothing is known: they may be dead, or
 * named wrongly, and only a look can tell.
 */
export function judgeDeletion(answer: JudgedAnswer, deleted: Deleted): KillAnswer {
  const { status, retryAfterMs } = answer
  if (status >= 200 && status < 300) return { outcome: 'revoked', code: `http_${status}` }
  const code = jsonError(answer) ?? `http_${status}`
  if (status === 404 || code === 'ENTITY_IS_DELETED') {
    return { outcome: deleted === 'one' ? 'already_dead' : 'in_doubt', code }
  }
  if (status === 401) return { outcome: 'failed', code, credentialTrouble: true }
  if (status === 400) return { outcome: 'refused', code }
  return judgeOtherStatus(status, code, retryAfterMs)
}

/** Judges a kill that got no answer. */
export function judgeKillError(error: unknown): KillAnswer {
  if (!(error instanceof RescindError)) throw error
  const { code } = error
  if (hadNoEffect(error)) return { outcome: 'failed', code }
  switch (code) {
    case 'login_needed':
    case 'not_authenticated':
      return { outcome: 'failed', code, credentialTrouble: true }
    case 'not_permitted':
      return { outcome: 'refused', code }
    default:
      return { outcome: 'in_doubt', code }
  }
}

function judgeOtherStatus(
  status: number,
  code: string,
  retryAfterMs: number | undefined,
): KillAnswer {
  if (status === 429 || status === 503 || code === 'REQUEST_LIMIT_EXCEEDED') {
    return { outcome: 'failed', code, congested: true, retryAfterMs }
  }
  if (status >= 500) return { outcome: 'in_doubt', code }
  if (status === 403 || status === 405) return { outcome: 'refused', code }
  // A redirect is never followed: it would carry the handle elsewhere, or drop it.
  return { outcome: 'failed', code }
}

function formError(body: string): string | undefined {
  const error = new URLSearchParams(body.trim()).get('error')
  return error !== null && /^[\w-]{1,60}$/.test(error) ? error : undefined
}

function jsonError(answer: JudgedAnswer): string | undefined {
  const { code } = readRestError(answer)
  return code === `http_${answer.status}` ? undefined : code
}
