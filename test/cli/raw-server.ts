import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface RawRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface RawServer {
  readonly url: string
  readonly requests: RawRequest[]
  close(): Promise<void>
}

export type RawHandler = (request: RawRequest, response: ServerResponse, nth: number) => void

/** Starts a server that answers as a test says, and remembers what it was asked. */
export async function startRawServer(handler: RawHandler): Promise<RawServer> {
  const requests: RawRequest[] = []
  const server = createServer(async (incoming, response) => {
    let body = ''
    for await (const chunk of incoming) body += chunk
    const { method = '', url: path = '', headers } = incoming
    const request = { method, path, headers, body }
    requests.push(request)
    handler(request, response, requests.filter((other) => other.path === path).length)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Answers with a status, JSON or text, and headers. */
export function answer(
  response: ServerResponse,
  status: number,
  body: unknown = '',
  headers: Record<string, string> = {},
): void {
  const json = typeof body !== 'string'
  response.writeHead(status, {
    ...(json && { 'content-type': 'application/json' }),
    ...headers,
  })
  response.end(json ? JSON.stringify(body) : body)
}
