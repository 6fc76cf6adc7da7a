import type { Handle, WireAnswer, WireRequest } from '../../core/wire.ts'
import { REQUEST_ID, requestIdOf } from '../wire/request-id.ts'
import { checkHandle } from './check-handle.ts'

/** Where a request came from, which a `Request` cannot say. */
export interface FetchContext {
  /** The address of the peer, or what a trusted proxy says of it. */
  readonly address?: string | undefined
}

/**
 * Returns the authority as a function from `Request` to `Response`, for any runtime and framework.
 *
 * @throws RescindError `usage` for what is no handle
 */
export function mountFetch(handle: Handle) {
  checkHandle(handle)
  return async (request: Request, { address = '' }: FetchContext = {}): Promise<Response> =>
    answerResponse(request, await handle(fetchRequest(request, address)))
}

/** Returns an answer as the `Response` to a `Request`. */
export function answerResponse(
  { method }: Pick<Request, 'method'>,
  { status, headers, body, cookies = [] }: WireAnswer,
): Response {
  const isBodyless = status === 204 || status === 304 || method === 'HEAD' || body === ''
  const response = new Response(isBodyless ? null : body, { status, headers })
  for (const cookie of cookies) response.headers.append('set-cookie', cookie)
  return response
}

/** Reads what the endpoints need of a `Request`. */
export function fetchRequest(request: Request, address: string): WireRequest {
  const { pathname, search } = new URL(request.url)
  return {
    method: request.method,
    path: pathname,
    query: search.slice(1),
    header: (name) => request.headers.get(name) ?? undefined,
    headerNames: () => request.headers.keys(),
    body: (limit) => readBody(request, limit),
    address,
    id: requestIdOf(request.headers.get(REQUEST_ID)),
  }
}

async function readBody(request: Request, limit: number): Promise<string | null> {
  if (Number(request.headers.get('content-length') ?? 0) > limit) return null
  if (!request.body) return ''
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of request.body) {
    size += part.byteLength
    if (size > limit) return null
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}
