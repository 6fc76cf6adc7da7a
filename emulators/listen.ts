import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server that listens, and how to end it. */
export interface Listening {
  /** Scheme, host and port, without a path. */
  readonly url: string
  close(): Promise<void>
}

/** Where an emulator listens. */
export interface ListenOptions {
  /** The TCP port; 0 takes a free one. */
  readonly port?: number | undefined
  /** The address to listen on; 127.0.0.1 unless told. */
  readonly host?: string | undefined
}

/** Serves a handler on a port of its own and resolves once it listens. Throws RangeError where it cannot be had. */
export async function listen(handler: RequestListener, options: ListenOptions): Promise<Listening> {
  // As long as a client may keep its pool: the end of an idle connection is a fault of its own.
  const server = createServer({ keepAliveTimeout: 120_000 }, handler)
  const { port = 0, host = '127.0.0.1' } = options
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'another process listens there' : cause.code
      const message = `${host}:${port} cannot be listened on (${why}): take another port or address`
      reject(new RangeError(message, { cause }))
    })
    server.listen(port, host, resolve)
  })
  const address = server.address() as AddressInfo
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`
  return { url, close: () => stop(server) }
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
