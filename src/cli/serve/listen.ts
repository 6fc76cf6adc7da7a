import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../../core/clock.ts'
import { RescindError } from '../../core/errors.ts'
import type { ListenAddress } from '../authority-config.ts'

/** Longer than the idle time of the usual proxies, which would meet a closing connection otherwise. */
const KEEP_ALIVE_MS = 75_000
/** What a request may take to arrive; a form of a few kilobytes needs a moment. */
const REQUEST_MS = 10_000
/** How long a stop waits for answers that are under way. */
const DRAIN_MS = 10_000
/** Between two looks at connections that have become idle. */
const DRAIN_LOOK_MS = 25

/** A server that listens. */
export interface Listening {
  readonly url: string
  /** Takes no more connections, lets answers under way be finished, and closes. */
  stop(): Promise<void>
}

/**
 * Listens at an address.
 *
 * @throws RescindError `usage` when the address cannot be had
 */
export async function listen(
  listener: RequestListener,
  { host, port }: ListenAddress,
  clock: Clock,
): Promise<Listening> {
  const server = createServer(
    { keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
    listener,
  )
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    throw notHad(`${host}:${port}`, error as NodeJS.ErrnoException)
  }
  const bound = server.address() as AddressInfo
  const name = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address
  return {
    url: `http://${name}:${bound.port}`,
    async stop() {
      const until = clock.now() + DRAIN_MS
      let isClosed = false
      server.close(() => {
        isClosed = true
      })
      while (!isClosed) {
        if (clock.now() < until) server.closeIdleConnections()
        else server.closeAllConnections()
        await clock.sleep(DRAIN_LOOK_MS)
      }
    },
  }
}

function notHad(place: string, error: NodeJS.ErrnoException): RescindError {
  const why =
    error.code === 'EADDRINUSE'
      ? 'another process listens there'
      : error.code === 'EACCES'
        ? 'this user may not'
        : `${error.code}`
  return new RescindError(
    'usage',
    `rescind serve cannot listen on ${place}: ${why}. Choose another address in rescind.yaml.`,
    { cause: error },
  )
}
