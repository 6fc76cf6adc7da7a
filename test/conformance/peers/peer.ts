import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ConformanceConfig } from '../../../src/conformance/config.ts'

/** A server under test, with the clients that the suite uses. */
export interface Peer {
  readonly config: ConformanceConfig
  close(): Promise<void>
}

/** Starts a listener on a free loopback port; what answers is made when the address is known. */
export async function listen(
  make: (origin: string) => RequestListener | Promise<RequestListener>,
): Promise<{ origin: string; close(): Promise<void> }> {
  let listener: RequestListener | undefined
  const server = createServer((request, response) => listener?.(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  listener = await make(origin)
  return {
    origin,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
