import { once } from 'node:events'
import { createServer, type RequestListener, ServerResponse } from 'node:http'
import { type AddressInfo, Server } from 'node:net'
import type { Clock } from '../../core/clock.ts'
import { RescindError } from '../../core/errors.ts'
import type { ListenAddress } from '../authority-config.ts'

/** Longer than the idle time of the usual proxies, which would meet a closing connection otherwise. */
const KEEP_ALIVE_MS = 75_000
/** What a request may take to arrive; a form of a few kilobytes needs a moment. */
const REQUEST_MS = 10_000
/** How long a stop waits for answers that are under way. */
const DRAIN_MS = 10_000
/**
 * How long a stop lets connections be idle: the next request of a busy client is on its way meanwhile, and
 * would meet a reset. Its answer says that it is the last.
 */
const IDLE_MS = 500
/** Between two looks at connections that have become idle. */
const DRAIN_LOOK_MS = 25

/** A server that listens. */
export interface Listening {
  readonly url: string
  /** Takes no more connections, lets answers under way be finished, tells clients to close, and closes. */
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
  let isStopping = false
  class Response extends ServerResponse {
    // The way of every answer: its headers are made here, be it called or not.
    override writeHead(...given: never[]): this {
      if (isStopping) this.shouldKeepAlive = false
      return super.writeHead(...(given as unknown as [number]))
    }
  }
  const server = createServer(
    {
      ...{ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: REQUEST_MS },
      ...{ headersTimeout: REQUEST_MS, ServerResponse: Response },
    },
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
      const startedAt = clock.now()
      let isClosed = false
      isStopping = true
      // That of HTTP closes what is idle at once.
      Server.prototype.close.call(server, () => {
        isClosed = true
      })
      while (!isClosed) {
        const drainedMs = clock.now() - startedAt
        if (drainedMs >= DRAIN_MS) server.closeAllConnections()
        else if (drainedMs >= IDLE_MS) server.closeIdleConnections()
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
