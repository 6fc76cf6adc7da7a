/** One call as a person may see it: no secret is in its address, and its body is not there. */
export interface TracedCall {
  readonly method: string
  /** Path and query; what may be secret is `…`. */
  readonly url: string
  /** Null when no answer came. */
  readonly status: number | null
  readonly requestId: string | null
  readonly ms: number
}

/** Query parameters whose values are addresses, names or flags. All others are hidden. */
const SHOWN_PARAMETERS = new Set([
  'apiKey',
  'callbackUrl',
  'hydrate',
  'pageSize',
  'reAuthenticate',
  'redirect_uri',
  'response_type',
  'client_id',
  'scope',
  'siteAddress',
])

/** Returns an address without what may be secret: the vendor puts `apiSecret` into one. */
export function traceableUrl(url: string | URL): string {
  const { origin, pathname, searchParams } = new URL(url)
  const query = [...searchParams].map(
    ([name, value]) => `${name}=${SHOWN_PARAMETERS.has(name) ? encodeURIComponent(value) : '…'}`,
  )
  return origin + pathname + (query.length > 0 ? `?${query.join('&')}` : '')
}

/** Writes a traced call as one line. */
export function traceLine({ method, url, status, requestId, ms }: TracedCall): string {
  const request = requestId === null ? '' : ` · request ${requestId}`
  return `${method} ${url} → ${status ?? 'no answer'} · ${ms} ms${request}`
}
