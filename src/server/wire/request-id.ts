/** What a host or a proxy may call a request: visible ASCII, since logs and terminals show it. */
const FIT = /^[\x21-\x7e]{1,128}$/

/** The header by which hosts and proxies name a request. */
export const REQUEST_ID = 'x-request-id'

/** Returns the name that a request came with; undefined where there is none, or one that is not fit to be shown. */
export function requestIdOf(
  header: string | readonly string[] | null | undefined,
): string | undefined {
  return typeof header === 'string' && FIT.test(header) ? header : undefined
}
