import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

/** A body above this is cut off: no request that an emulator knows is near it. */
const BODY_BYTES_MAX = 4 * 1024 * 1024

/** Makes a handler that has the whole body before it serves. */
export function receive(
  serve: (request: IncomingMessage, response: ServerResponse, body: string) => void,
): RequestListener {
  return (request, response) => {
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > BODY_BYTES_MAX) request.destroy()
      else chunks.push(chunk)
    })
    request.on('end', () => serve(request, response, joinChunks(chunks)))
    request.on('error', () => response.destroy())
  }
}

function joinChunks(chunks: readonly Buffer[]): string {
  if (chunks.length === 1) return chunks[0]!.toString('utf8')
  return chunks.length === 0 ? '' : Buffer.concat(chunks).toString('utf8')
}
