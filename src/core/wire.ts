/** What an endpoint needs of a request, whatever framework it came through. */
export interface WireRequest {
  /** Upper case. */
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** As it was sent, without the question mark. */
  readonly query: string
  /** Takes a name in lower case; several lines of one name come joined by a comma. */
  header(name: string): string | undefined
  /** The names of all headers, in lower case, where the mount can list them. */
  headerNames?(): Iterable<string>
  /** Reads the body as text; null when it is larger than `limit` bytes, and then without reading it all. */
  body(limit: number): Promise<string | null>
  /** The address of the peer, or what a trusted proxy says of it; empty when it is not known. */
  readonly address: string
  /** The address at the other end of the socket, where `address` is what a proxy says. */
  readonly peer?: string | undefined
  /** What the host or a proxy calls the request; its events bear it. */
  readonly id?: string | undefined
}

export interface WireAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Lines of `Set-Cookie`, which cannot be joined; only a host's own answer has any. */
  readonly cookies?: readonly string[] | undefined
}

/** One endpoint, or all of them. */
export type Handle = (request: WireRequest) => Promise<WireAnswer>

/** Nothing of ours is at this address. A mount hands the request on to its host instead. */
export const NO_ENDPOINT: WireAnswer = {
  status: 404,
  headers: { 'cache-control': 'no-store', pragma: 'no-cache', 'content-type': 'application/json' },
  body: JSON.stringify({
    error: 'invalid_request',
    error_description: 'There is no such endpoint.',
  }),
}
