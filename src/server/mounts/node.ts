import type {
  IncomingMessage,
  OutgoingHttpHeaders,
  RequestListener,
  ServerResponse,
} from 'node:http'
import { constants, type ServerHttp2Stream } from 'node:http2'
import { RescindError } from '../../core/errors.ts'
import type { Handle, WireAnswer, WireRequest } from '../../core/wire.ts'
import { NO_ENDPOINT } from '../../core/wire.ts'
import { REQUEST_ID, requestIdOf } from '../wire/request-id.ts'
import { checkHandle } from './check-handle.ts'

/**
 * Returns the authority, or connections, as a listener of `node:http`; the fastest way in, with nothing between.
 *
 * @param otherwise gets what is not theirs; without it, that is answered with 404
 * @throws RescindError `usage` for what is no handle
 */
export function mountNode(handle: Handle, otherwise?: RequestListener) {
  checkHandle(handle)
  return (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    handle(wireRequest(incoming)).then(
      (answer) => {
        if (answer === NO_ENDPOINT && otherwise) return otherwise(incoming, outgoing)
        const { status, headers, body, cookies } = answer
        if (status >= 400) dropBody(incoming, outgoing)
        if (cookies?.length) outgoing.setHeader('set-cookie', cookies)
        outgoing.writeHead(status, lengthened({ status, headers, body }))
        outgoing.end(incoming.method === 'HEAD' ? undefined : body)
      },
      (error: unknown) => outgoing.destroy(error as Error),
    )
  }
}

/** What is left of a body that is not wanted is not waited for. */
export function dropBody(incoming: IncomingMessage, outgoing: ServerResponse): void {
  if (incoming.complete) return
  outgoing.shouldKeepAlive = false
  const { stream } = outgoing as { readonly stream?: ServerHttp2Stream }
  // HTTP/2 has a stream for each request: it ends after the answer (RFC 9113 section 8.1).
  stream?.once('finish', () => stream.close(constants.NGHTTP2_NO_ERROR))
}

/** A 204 has no length (RFC 9110 section 8.6). */
export function lengthened({ status, headers, body }: WireAnswer): OutgoingHttpHeaders {
  return status === 204 ? headers : { ...headers, 'content-length': Buffer.byteLength(body) }
}

/** Reads what the endpoints need of a request of `node:http`. */
export function wireRequest(incoming: IncomingMessage): WireRequest {
  const url = incoming.url ?? '/'
  const mark = url.indexOf('?')
  return {
    method: incoming.method ?? 'GET',
    path: mark < 0 ? url : url.slice(0, mark),
    query: mark < 0 ? '' : url.slice(mark + 1),
    header: (name) => {
      const value = incoming.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
    headerNames: () => Object.keys(incoming.headers),
    body: (limit) => readBody(incoming, limit),
    address: incoming.socket.remoteAddress ?? '',
    id: requestIdOf(incoming.headers[REQUEST_ID]),
  }
}

function readBody(incoming: IncomingMessage, limit: number): Promise<string | null> {
  return new Promise((resolve, reject) => {
    // It would never come.
    if (incoming.readableDidRead) return reject(bodyTaken())
    if (Number(incoming.headers['content-length'] ?? 0) > limit) return resolve(null)
    // Nearly every body comes in one piece: nothing is joined then.
    let whole: Buffer | undefined
    incoming.on('data', (part: Buffer) => {
      whole = whole === undefined ? part : Buffer.concat([whole, part])
      if (whole.length <= limit) return
      incoming.pause()
      resolve(null)
    })
    incoming.on('end', () => resolve(whole === undefined ? '' : whole.toString('utf8')))
    incoming.on('error', reject)
    incoming.on('close', () => {
      if (!incoming.complete) reject(new Error('The request was cut off.'))
    })
  })
}

/** A body that was parsed before has lost what must be judged: a parameter that is there twice. */
function bodyTaken(): RescindError {
  return new RescindError(
    'usage',
    'The body of a request was read before the mount saw it. Mount the authority, or connections, before any body parser.',
  )
}
