import { RescindError } from '../../core/errors.ts'
import type { HttpResponse } from '../../core/http.ts'
import { vendorText } from '../../core/vendor-text.ts'

/** Salesforce said no, with a code of its own that callers may act on. */
export class VendorRefusal extends RescindError {
  /** The vendor's code: `INVALID_FIELD`, `INSUFFICIENT_ACCESS`, or `http_418` where it gave none. */
  readonly vendorCode: string
  readonly status: number

  constructor(
    code: 'not_permitted' | 'answer_invalid' | 'provider_busy',
    message: string,
    vendor: { code: string; status: number; detail?: string },
  ) {
    super(code, message, vendor.detail === undefined ? {} : { detail: vendor.detail })
    this.vendorCode = vendor.code
    this.status = vendor.status
  }
}

/** Says whether Salesforce refused, for one of these reasons of its own when some are given. */
export function isRefusal(error: unknown, ...codes: readonly string[]): error is VendorRefusal {
  return error instanceof VendorRefusal && (codes.length === 0 || codes.includes(error.vendorCode))
}

/** Says whether Salesforce refused for a reason that stays: not for want of capacity. */
export function isLastingRefusal(error: unknown): error is VendorRefusal {
  return isRefusal(error) && error.code !== 'provider_busy'
}

/** What one answer of the REST API means. */
export type RestVerdict =
  | { readonly kind: 'ok' }
  /** The session is not accepted any more; a renewed one may be. */
  | { readonly kind: 'session_dead' }
  /** Short of capacity: the same request may succeed later. */
  | { readonly kind: 'busy'; readonly refusal: VendorRefusal }
  | { readonly kind: 'refused'; readonly refusal: VendorRefusal }

/** The vendor's codes that mean "no permission" rather than "wrong question". */
const PERMISSION_CODES = new Set([
  'INSUFFICIENT_ACCESS',
  'INSUFFICIENT_ACCESS_OR_READONLY',
  'API_DISABLED_FOR_ORG',
  'API_CURRENTLY_DISABLED',
  'FUNCTIONALITY_NOT_ENABLED',
  'FORBIDDEN',
])
const BUSY_STATUSES = new Set([420, 429, 500, 502, 503, 504])

/**
 * Judges an answer of the REST API. Errors are a JSON array of `{message, errorCode, fields}`.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm
 */
export function judgeRestAnswer(answer: HttpResponse, what: string): RestVerdict {
  if (answer.status >= 200 && answer.status < 300) return { kind: 'ok' }
  const { code, message } = readRestError(answer)
  const vendor = { code, status: answer.status, detail: message }
  if (answer.status === 401 || /Bad_OAuth_Token/i.test(answer.body)) {
    // The same code stands for a live session that this API does not accept; renewing cannot help.
    if (/not valid for use with|not attached to agent/i.test(message)) {
      const said = `Salesforce does not accept this session for ${what}: ${message}`
      return { kind: 'refused', refusal: new VendorRefusal('not_permitted', said, vendor) }
    }
    return { kind: 'session_dead' }
  }
  if (code === 'REQUEST_LIMIT_EXCEEDED') {
    const said = `The org is at its limit of API requests: ${message} Try again later.`
    const refusal = new VendorRefusal('provider_busy', said, vendor)
    // The daily limit does not come back within a run; the concurrent one does.
    return { kind: /TotalRequests/i.test(message) ? 'refused' : 'busy', refusal }
  }
  if (BUSY_STATUSES.has(answer.status) || code === 'QUERY_TIMEOUT') {
    const said = `Salesforce could not answer ${what} (HTTP ${answer.status}). Try again later.`
    return { kind: 'busy', refusal: new VendorRefusal('provider_busy', said, vendor) }
  }
  if (answer.status === 403 || PERMISSION_CODES.has(code)) {
    const said = `Salesforce does not permit ${what}: ${message}`
    return { kind: 'refused', refusal: new VendorRefusal('not_permitted', said, vendor) }
  }
  // A web page gives none of the vendor's codes: something else stands at that address.
  const isVendors = code !== `http_${answer.status}`
  const said = isVendors
    ? `Salesforce refused ${what} (${code}): ${message}`
    : `The answer to ${what} is not one of a Salesforce API (HTTP ${answer.status}). Check the tenant's url.`
  return { kind: 'refused', refusal: new VendorRefusal('answer_invalid', said, vendor) }
}

/** Reads the vendor's code and sentence from an error answer; both are safe to print. */
export function readRestError(answer: Pick<HttpResponse, 'status' | 'body'>): {
  code: string
  message: string
} {
  const first = firstError(answer.body)
  const code = first?.errorCode ?? first?.error ?? `http_${answer.status}`
  const message = first?.message ?? first?.error_description ?? `HTTP ${answer.status}.`
  return {
    code: /^[\w-]{1,60}$/.test(code) ? code : `http_${answer.status}`,
    message: vendorText(message),
  }
}

/**
 * Reads the JSON of an answer.
 *
 * @throws RescindError `answer_invalid`
 */
export function parseJson(answer: HttpResponse, what: string): unknown {
  try {
    return JSON.parse(answer.body)
  } catch {
    throw new RescindError(
      'answer_invalid',
      `Salesforce answered ${what} with something that is not JSON (HTTP ${answer.status}). Check the tenant's url.`,
    )
  }
}

interface RestError {
  readonly errorCode?: string
  readonly message?: string
  readonly error?: string
  readonly error_description?: string
}

function firstError(body: string): RestError | undefined {
  try {
    const parsed: unknown = JSON.parse(body)
    const first = Array.isArray(parsed) ? parsed[0] : parsed
    if (typeof first !== 'object' || first === null) return undefined
    return Object.fromEntries(
      Object.entries(first).filter(([, value]) => typeof value === 'string'),
    ) as RestError
  } catch {
    return undefined
  }
}
