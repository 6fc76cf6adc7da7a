import type { WireAnswer, WireRequest } from '../../core/wire.ts'
import { BODY_BYTES_MAX } from './requests.ts'

/** Says in place of a body that was not read to its end what is wrong with it: its size. */
const TOO_LARGE = new Uint8Array(BODY_BYTES_MAX + 1)

/** Returns a request that came through a mount as a `Request`, whose body is read when it is asked for. */
export function requestOf(wire: WireRequest): Request {
  const { method, path, query } = wire
  // HTTP/2 lists the parts of the request line among them, by names that are none of a header.
  const names = [...(wire.headerNames?.() ?? [])].filter((name) => !name.startsWith(':'))
  const isBodyless = method === 'GET' || method === 'HEAD'
  // Of the origin nothing is read: who the host is, its proxy knows.
  return new Request(`http://connections${path}${query === '' ? '' : `?${query}`}`, {
    method,
    headers: names.map((name): [string, string] => [name, wire.header(name) ?? '']),
    ...(isBodyless ? {} : { body: bodyOf(wire), duplex: 'half' }),
  })
}

/** Returns a `Response` of ours, which is text, as a mount sends it. */
export async function wireAnswerOf(response: Response): Promise<WireAnswer> {
  const { status, headers } = response
  return { status, headers: Object.fromEntries(headers), body: await response.text() }
}

function bodyOf(wire: WireRequest): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      async pull(controller) {
        const text = await wire.body(BODY_BYTES_MAX)
        controller.enqueue(text === null ? TOO_LARGE : new TextEncoder().encode(text))
        controller.close()
      },
    },
    // Nothing is read before it is asked for: who has no key is turned away first.
    { highWaterMark: 0 },
  )
}
