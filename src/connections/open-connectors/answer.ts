import { z } from 'zod'
import type { HttpResponse } from '../../core/http.ts'
import type { Secret } from '../../core/secret.ts'
import { vendorText } from '../../core/vendor-text.ts'
import type { OpenConnectorsSwitches } from './settings.ts'

/** Whose no it is; `unclear` where the answer alone does not tell, and a control call must. */
export type Whose = 'platform' | 'provider' | 'unclear'

/** A call that was refused. Its texts are the vendor's, without secrets. */
export interface Failure {
  readonly whose: Whose
  readonly status: number
  readonly message: string
  /** The provider's own words, where there are any. */
  readonly providerMessage: string | null
  /** What the vendor's support asks for. */
  readonly requestId: string | null
  readonly retryAfterMs: number | undefined
}

/** What a call came to. */
export type Answer<T> =
  | { readonly ok: true; readonly value: T; readonly status: number }
  | { readonly ok: false; readonly failure: Failure }

const wireError = z.looseObject({
  requestId: z.string().nullish(),
  message: z.string().nullish(),
  providerMessage: z.unknown().optional(),
})

/**
 * Judges an answer that is no success. The platform's own errors are `{requestId, message}`; one that
 * passes on a provider's adds `providerMessage`. The normalized 401 stands for both: without
 * the provider's words it is unclear.
 *
 * @param secrets what was sent, and might come back
 */
export function judgeFailure(
  { status, body, retryAfterMs }: Pick<HttpResponse, 'status' | 'body' | 'retryAfterMs'>,
  switches: OpenConnectorsSwitches,
  secrets: readonly Secret[] = [],
): Failure {
  const error = wireError.safeParse(jsonOf(body)).data
  const said = wordsOf(error?.providerMessage)
  const providerMessage = said === null ? null : vendorText(said, ...secrets)
  return {
    whose: whoseNo(status, providerMessage, switches),
    status,
    message: vendorText(error?.message ?? `HTTP ${status}`, ...secrets),
    providerMessage,
    requestId: shownRequestId(error?.requestId),
    retryAfterMs,
  }
}

/**
 * Judges a 2xx: a page of a proxy or of a maintenance, and an error in the platform's shape, show neither
 * life nor death. Null for an answer that does show what was asked for.
 *
 * @param secrets what was sent, and might come back
 */
export function judgeSuccess(
  { status, body, retryAfterMs }: Pick<HttpResponse, 'status' | 'body' | 'retryAfterMs'>,
  secrets: readonly Secret[] = [],
): Failure | null {
  const value = jsonOf(body)
  const error = wireError.safeParse(value).data
  const said = wordsOf(error?.providerMessage)
  const words = said ?? error?.message ?? ''
  const isError = said !== null || (error?.message && error.requestId)
  if (value !== undefined && !isError) return null
  return {
    ...{ whose: 'platform', status, providerMessage: null, retryAfterMs },
    message: value === undefined ? 'no JSON' : `an error: ${vendorText(words, ...secrets)}`,
    requestId: shownRequestId(error?.requestId),
  }
}

function whoseNo(
  status: number,
  providerMessage: string | null,
  { providerMessage: isTrusted }: OpenConnectorsSwitches,
): Whose {
  if (providerMessage !== null && isTrusted === 'trusted') return 'provider'
  // The normalized codes use 401 for the platform's secrets and for a refresh that failed.
  if (status === 401 || providerMessage !== null) return 'unclear'
  return 'platform'
}

/** A provider's words are a text, or JSON of its own. Blank ones are none. */
function wordsOf(value: unknown): string | null {
  if (value === null || value === undefined) return null
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.trim() === '' ? null : text
}

/** The vendor's are 24 hex digits; anything else that is short and harmless is shown as well. */
function shownRequestId(id: string | null | undefined): string | null {
  return id && /^[\w-]{1,64}$/.test(id) ? id : null
}

/** Reads JSON; undefined for a body that is none. */
export function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

/** The request id of any answer, for the trace. */
export function requestIdIn({ body, headers }: Pick<HttpResponse, 'body' | 'headers'>) {
  const inBody = body.length < 10_000 ? wireError.safeParse(jsonOf(body)).data?.requestId : null
  return shownRequestId(inBody ?? headers['elements-request-id'])
}
