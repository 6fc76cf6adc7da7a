import { isRescindError } from '../core/errors.ts'
import { type HttpResponse, mayHaveHadEffect } from '../core/http.ts'
import { redact, Secret } from '../core/secret.ts'
import { vendorText } from '../core/vendor-text.ts'
import type { FreshTokens, Identity, TokenAnswer } from './connection-way.ts'

/** RFC 6749 has codes of up to 25 characters, vendors some more; what is longer is a text. */
const CODE = /^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/
/** What a header can carry: RFC 6749 appendix A.12, and spaces at an end are lost (RFC 9110 section 5.5). */
const ACCESS_TOKEN = /^(?! )[\x20-\x7e]+(?<! )$/
/** A token that lives longer than this never ends for our purposes; what is larger is a slip. */
const EXPIRES_S_MAX = 10 * 365 * 86_400

/** Words of a grant or a token that is dead, in lower case: RFC 6749's own, Slack's, HubSpot's, Entra's. */
export const DEAD_CODES: ReadonlySet<string> = new Set([
  ...['invalid_grant', 'bad_refresh_token', 'invalid_refresh_token', 'token_revoked'],
  ...['token_expired', 'account_inactive', 'invalid_auth', 'interaction_required'],
  ...['consent_required', 'login_required'],
])

type Body = Readonly<Record<string, unknown>>

/** What of a successful answer a vendor reads in a way of its own. */
export interface TokenReading {
  readonly identity?: (body: Body) => Identity | null
  readonly facts?: (body: Body) => Readonly<Record<string, string>>
}

/**
 * Reads what a token endpoint said, and judges nothing: tokens, an OAuth error under whatever status,
 * a vendor's own error, a web page, or what cannot be read.
 *
 * @param secrets what was sent, lest a description repeat what the answer echoes
 * @see RFC 6749 sections 5.1 and 5.2
 */
export function readTokenAnswer(
  answer: Pick<HttpResponse, 'status' | 'body' | 'retryAfterMs'>,
  secrets: readonly Secret[],
  reading: TokenReading = {},
): TokenAnswer {
  const { status, retryAfterMs } = answer
  const text = answer.body.trim()
  const body = objectIn(text)
  const isGood = status >= 200 && status < 300
  const error = body && errorIn(body, isGood)
  const tokens = isGood && body && error === null ? tokensIn(body, reading) : null
  return {
    ...{ status, tokens, error: error ?? null, mayHaveActed: true, retryAfterMs },
    description: body && error !== null ? descriptionIn(body, secrets) : null,
    body: tokens ? 'tokens' : kindOf(text, error ?? null),
  }
}

/** What a request to a token endpoint that got no answer says. @throws what is no HTTP trouble */
export function lostTokenAnswer(error: unknown): TokenAnswer {
  if (!isRescindError(error)) throw error
  return {
    ...{ status: null, tokens: null, error: error.code, description: error.message },
    ...{ mayHaveActed: mayHaveHadEffect(error), retryAfterMs: undefined, body: 'none' },
  }
}

/** A refusal of ours, before anything was sent. */
export function unsentTokenAnswer(error: string, description: string): TokenAnswer {
  return {
    ...{ status: null, tokens: null, error, description },
    ...{ mayHaveActed: false, retryAfterMs: undefined, body: 'none' },
  }
}

/**
 * A code that another server gave is not sent to this one.
 *
 * @see RFC 9207 section 2.4
 */
export function otherIssuer(iss: string | null): TokenAnswer {
  const said =
    iss === null ? 'names no issuer, which this server always does' : 'is of another issuer'
  return unsentTokenAnswer('issuer_mismatch', `The answer at the callback ${said}.`)
}

function kindOf(text: string, error: string | null): TokenAnswer['body'] {
  if (error !== null) return 'oauth_error'
  if (text === '') return 'none'
  return /^<(!doctype html|html|head|body)\b/i.test(text) ? 'html' : 'malformed'
}

function tokensIn(body: Body, { identity, facts }: TokenReading): FreshTokens | null {
  const { access_token: access, refresh_token: refresh, expires_in: expires, scope } = body
  if (typeof access !== 'string' || !ACCESS_TOKEN.test(access)) return null
  const seconds = Number(expires)
  const known = expires !== null && expires !== '' && seconds > 0 && seconds <= EXPIRES_S_MAX
  return {
    accessToken: new Secret(access),
    // Never over the stored one with nothing: what an answer leaves out stays.
    refreshToken: typeof refresh === 'string' && refresh !== '' ? new Secret(refresh) : null,
    expiresInS: known ? seconds : null,
    scopes: typeof scope === 'string' && scope.trim() !== '' ? scope.trim().split(/[ ,]+/) : null,
    identity: identity?.(body) ?? null,
    facts: facts?.(body) ?? {},
  }
}

/** `error` as OAuth and Slack have it; `status` as HubSpot does; null where there is none. */
function errorIn(body: Body, isGood: boolean): string | null {
  const { error, ok, status } = body
  if (typeof error === 'string' && CODE.test(error)) return redact(error)
  if (ok === false) return 'unknown_error'
  const isOwn = typeof status === 'string' && /^[A-Z][A-Z_]{3,60}$/.test(status)
  return isOwn && !isGood ? status : null
}

function descriptionIn(body: Body, secrets: readonly Secret[]): string | null {
  const codes = Array.isArray(body.error_codes) ? body.error_codes.map((one) => `AADSTS${one}`) : []
  const parts = [
    body.error_description ?? body.message,
    body.suberror,
    body.error_subtype,
    ...codes,
  ]
  const texts = parts.filter((part) => typeof part === 'string' && part !== '') as string[]
  if (texts.length === 0) return null
  return vendorText(texts.join(' '), ...secrets)
}

function objectIn(text: string): Body | null {
  if (/^error=|&error=/.test(text)) return Object.fromEntries(new URLSearchParams(text))
  if (!text.startsWith('{')) return null
  try {
    return JSON.parse(text) as Body
  } catch {
    return null
  }
}
