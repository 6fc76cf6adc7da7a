import type { WireAnswer, WireRequest } from '../../core/wire.ts'

/** What every host looks at, where a mount cannot list the headers of a request. */
const HEADERS_ALWAYS = [
  'accept',
  'accept-language',
  'authorization',
  'content-type',
  'cookie',
  'host',
  'origin',
  'referer',
  'user-agent',
  'x-request-id',
]

/**
 * Returns a `Request` for a function of the host's.
 *
 * @param body the body of a POST, which was read before
 */
export function hostRequest(issuer: string, request: WireRequest, body: string | null): Request {
  const { method, path, query } = request
  const headers = new Headers()
  for (const name of request.headerNames?.() ?? HEADERS_ALWAYS) {
    const value = name.startsWith(':') ? undefined : request.header(name)
    if (value !== undefined) headers.set(name, value)
  }
  const url = new URL(query === '' ? path : `${path}?${query}`, issuer)
  return new Request(url, { method, headers, ...(body === null ? {} : { body }) })
}

/** Returns what a function of the host's answered, as it is. Cookies keep a line each. */
export async function wireAnswer(response: Response): Promise<WireAnswer> {
  const headers = Object.fromEntries(response.headers)
  delete headers['set-cookie']
  const cookies = response.headers.getSetCookie()
  return { status: response.status, headers, body: await response.text(), cookies }
}
