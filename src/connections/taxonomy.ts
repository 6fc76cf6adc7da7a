import type { ProbeAnswer, TokenAnswer } from '../providers/connection-way.ts'
import { DEAD_CODES } from '../providers/token-answer.ts'
import type { Cause, CauseCode } from './connection.ts'

/**
 * What an answer says of a connection.
 *
 * - `alive`: it works.
 * - `permanent`: the grant is dead, by the provider's own words; believed after the store was read again.
 * - `transient`: of the network, or of a provider that is not well. It may heal alone.
 * - `ambiguous`: neither life nor death. It is looked at again.
 * - `ours`: our registration or our request is refused. No customer can mend it.
 */
export type Verdict =
  | { readonly kind: 'alive' }
  | { readonly kind: 'permanent' | 'ambiguous' | 'ours'; readonly cause: Cause }
  | {
      readonly kind: 'transient'
      readonly cause: Cause
      readonly retryAfterMs?: number | undefined
    }

export interface RefreshVerdict {
  readonly verdict: Verdict
  /** Whether the refresh token that was presented may be spent, on a provider that rotates. */
  readonly maybeSpent: boolean
}

/**
 * Judges what came back on a refresh. Only words about the grant itself are `permanent`; a status alone
 * never is, a 429 never, and a client that is refused is our own fault.
 *
 * @see RFC 6749 section 5.2
 */
export function judgeRefresh(answer: TokenAnswer): RefreshVerdict {
  const { status } = answer
  if (answer.tokens) return { verdict: { kind: 'alive' }, maybeSpent: true }
  if (status === null) return { verdict: judgeNoAnswer(answer), maybeSpent: answer.mayHaveActed }
  // What a server says while it fails is not what it found out of the grant.
  if (status >= 500) {
    return { verdict: down(answer), maybeSpent: true }
  }
  if (status === 429) return { verdict: limited(answer), maybeSpent: false }
  const known = answer.error === null ? undefined : judgeCode(answer.error, answer)
  if (known) return { verdict: known, maybeSpent: false }
  return { verdict: judgeStatus(status, answer), maybeSpent: status < 300 }
}

const SPENT_CODES = new Set(['refresh_token_reused', 'token_already_used'])
const OURS_CODES = new Set([
  ...['invalid_client', 'unauthorized_client', 'invalid_client_id', 'invalid_client_secret'],
  ...['bad_client_secret', 'app_not_found', 'unsupported_grant_type', 'invalid_request'],
  ...['invalid_scope', 'redirect_uri_mismatch', 'invalid_app_id'],
])
const BUSY_CODES = new Set(['temporarily_unavailable', 'server_error', 'internal_error'])
const LIMITED_CODES = new Set(['slow_down', 'ratelimited', 'rate_limited', 'rate_limit_exceeded'])

function judgeCode(error: string, answer: TokenAnswer): Verdict | undefined {
  const code = error.toLowerCase()
  if (SPENT_CODES.has(code)) return permanent('rotated_token_lost', 'certain', SPENT)
  if (DEAD_CODES.has(code)) return judgeGrant(answer)
  if (OURS_CODES.has(code)) return { kind: 'ours', cause: ourClient(answer) }
  if (LIMITED_CODES.has(code)) return limited(answer)
  if (BUSY_CODES.has(code)) return down(answer)
  if (code === 'access_denied') return ambiguous('forbidden', 'likely', says(answer))
  return undefined
}

const SPENT =
  'The provider says that the refresh token was used before: a newer one was lost, or another program has it.'

/** What vendors mean by `invalid_grant`, by their texts. The first that fits counts. */
const GRANT_TEXTS: readonly (readonly [
  shape: RegExp,
  verdict: (answer: TokenAnswer) => Verdict,
])[] = [
  // Oracle, OpenAI: a race or a lost successor, and nobody revoked.
  [
    /already (been )?(consumed|used|redeemed)|\breused?\b/i,
    () => permanent('rotated_token_lost', 'likely', SPENT),
  ],
  // Salesforce locks sessions to addresses, and blocks whole apps: the grant lives on.
  [
    /\bip (address )?(is )?restrict|restricted ip|not (allowed|approved) from this ip/i,
    (answer) => ambiguous('forbidden', 'likely', says(answer)),
  ],
  [/blocked by admin/i, (answer) => ambiguous('forbidden', 'certain', says(answer))],
  [/login rate exceeded|too many/i, limited],
  [
    /not issued to (this|the) client|client (id )?(does not|doesn't) match|AADSTS7000(0\d\d|2\d\d)?\b(?=.*client)/i,
    (answer) => ({ kind: 'ours', cause: ourClient(answer) }),
  ],
  [
    /AADSTS(50076|50079|50158)\b/,
    (answer) => dead('certain', `The owner must prove again who it is: ${says(answer)}`),
  ],
  [
    /AADSTS65001\b|consent_required|hasn't approved/i,
    (answer) => dead('certain', `The owner's consent is gone: ${says(answer)}`),
  ],
  [
    /AADSTS(700082|70008|700084)\b|inactiv/i,
    (answer) =>
      dead('certain', `It was not used for too long, or its user is inactive: ${says(answer)}`),
  ],
  [
    /AADSTS50173\b|password/i,
    (answer) => dead('certain', `It was revoked, as by a new password: ${says(answer)}`),
  ],
  [
    /invalid_rapt/i,
    (answer) => dead('certain', `The owner's organization wants a new login: ${says(answer)}`),
  ],
]

function judgeGrant(answer: TokenAnswer): Verdict {
  const text = `${answer.error} ${answer.description ?? ''}`
  const known = GRANT_TEXTS.find(([shape]) => shape.test(text))
  if (known) return known[1](answer)
  // Few providers say who revoked, and whether anybody did.
  return dead('likely', `The provider refuses the grant: ${says(answer)}`)
}

function judgeNoAnswer(answer: TokenAnswer): Verdict {
  if (answer.error === 'issuer_mismatch') return { kind: 'ours', cause: wrongIssuer(answer) }
  return transient('network', answer.mayHaveActed ? 'likely' : 'certain', says(answer))
}

function judgeStatus(status: number, answer: TokenAnswer): Verdict {
  if (status === 401 || status === 403) return ambiguous('forbidden', 'possible', says(answer))
  return ambiguous('malformed_answer', 'likely', says(answer))
}

/**
 * Judges a probe of a token with no refresh token behind it: the cause of its death, or null where nothing
 * is said of it. Vendors of such tokens have a 401 and words of their own; one may be a proxy's.
 */
export function judgeLast(answer: ProbeAnswer): Cause | null {
  if (answer.verdict === 'dead') return unknownToken(answer)
  if (answer.verdict !== 'refused' || answer.status !== 401) return null
  const text = `The provider refuses the access token again and again (${answer.code}), and there is no refresh token.`
  return cause('revoked_or_expired', 'likely', text)
}

/** Judges what a probe showed, with the answer to the control call where one was made. */
export function judgeProbe(answer: ProbeAnswer, controlOk?: boolean): Verdict {
  const { verdict, status } = answer
  switch (verdict) {
    case 'alive':
      return { kind: 'alive' }
    case 'dead':
      return { kind: 'permanent', cause: unknownToken(answer) }
    case 'refused': {
      const said = `The provider refuses the call (${answer.code}), which says nothing of the token's life.`
      if (status === 429) return transient('rate_limited', 'certain', said)
      return ambiguous('forbidden', 'likely', said)
    }
    case 'unclear': {
      const said = `The probe gave no usable answer (${answer.code}).`
      const code = answer.code.toLowerCase()
      if (status === 429 || LIMITED_CODES.has(code)) {
        return transient('rate_limited', 'certain', said)
      }
      if ((status !== null && status >= 500) || BUSY_CODES.has(code)) {
        return transient('provider_down', 'certain', said)
      }
      if (status !== null) return ambiguous('malformed_answer', 'likely', said)
      if (answer.code === 'no_probe') return ambiguous('no_probe', 'certain', NO_PROBE)
      // Nothing came back: whether it is the way there, or the provider, the control call tells.
      return transient('network', controlOk === true ? 'possible' : 'likely', said)
    }
  }
}

const NO_PROBE =
  'Whether the token works cannot be asked: the provider has neither userinfo nor introspection. Name a cheap read as app.options.probeUrl of the tenant.'

function says({ status, error, description, body }: TokenAnswer): string {
  const what = error ?? (body === 'html' ? 'a web page' : body === 'none' ? 'no body' : 'no tokens')
  const where = status === null ? '' : `HTTP ${status}, `
  return `${where}${what}${description ? ` (${description})` : ''}.`
}

function cause(code: CauseCode, confidence: Cause['confidence'], text: string): Cause {
  return { code, confidence, text }
}

function ourClient(answer: TokenAnswer): Cause {
  const text = `The provider refuses our client or our request: ${says(answer)} Check clientId, clientSecret and scopes of the tenant; no customer can mend it.`
  return cause('our_client_refused', 'certain', text)
}

/** @see RFC 9207 section 2.4 */
function wrongIssuer({ description }: TokenAnswer): Cause {
  const text = `${description} It does not come from the right server, so its code was sent nowhere.`
  return cause('issuer_mismatch', 'certain', text)
}

function unknownToken({ code }: Extract<ProbeAnswer, { readonly verdict: 'dead' }>): Cause {
  const text = `The provider does not know the access token (${code}).`
  return cause('revoked_or_expired', 'likely', text)
}

function dead(confidence: Cause['confidence'], text: string): Verdict {
  return permanent('revoked_or_expired', confidence, text)
}

function permanent(code: CauseCode, confidence: Cause['confidence'], text: string): Verdict {
  return { kind: 'permanent', cause: cause(code, confidence, text) }
}

function ambiguous(code: CauseCode, confidence: Cause['confidence'], text: string): Verdict {
  return { kind: 'ambiguous', cause: cause(code, confidence, text) }
}

function transient(code: CauseCode, confidence: Cause['confidence'], text: string): Verdict {
  return { kind: 'transient', cause: cause(code, confidence, text) }
}

function down(answer: TokenAnswer): Verdict {
  const { retryAfterMs } = answer
  return { kind: 'transient', cause: cause('provider_down', 'certain', says(answer)), retryAfterMs }
}

function limited(answer: TokenAnswer): Verdict {
  const text = `The provider limits our calls: ${says(answer)}`
  const { retryAfterMs } = answer
  return { kind: 'transient', cause: cause('rate_limited', 'certain', text), retryAfterMs }
}
