import type { IncomingMessage, ServerResponse } from 'node:http'
import type { WireAnswer, WireRequest } from '../../core/wire.ts'
import { dropBody, lengthened, wireRequest } from './node.ts'

/** What a framework knows better than the request of `node:http` that it wraps. */
export interface HostView {
  /** As the client sent it: a router may have taken a prefix off the other one. */
  readonly url: string
  /** The address of the client, by the framework's own trust in proxies. */
  readonly address: string | undefined
}

/** Reads what the endpoints need of a request that came through a framework on `node:http`. */
export function hostedRequest(incoming: IncomingMessage, { url, address }: HostView): WireRequest {
  const mark = url.indexOf('?')
  const own = wireRequest(incoming)
  return {
    ...own,
    path: mark < 0 ? url : url.slice(0, mark),
    query: mark < 0 ? '' : url.slice(mark + 1),
    address: address ?? own.address,
    peer: own.address,
  }
}

/** Writes an answer, and lets go of the connection where a body that is not wanted is still coming. */
export function writeAnswer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { status, headers, body, cookies }: WireAnswer,
): void {
  if (status >= 400) dropBody(incoming, outgoing)
  // What ran before may have set some of its own.
  if (cookies?.length) outgoing.appendHeader('set-cookie', cookies)
  outgoing.writeHead(status, lengthened({ status, headers, body }))
  outgoing.end(incoming.method === 'HEAD' ? undefined : body)
}
