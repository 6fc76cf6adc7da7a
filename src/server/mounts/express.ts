import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Handle } from '../../core/wire.ts'
import { NO_ENDPOINT } from '../../core/wire.ts'
import { checkHandle } from './check-handle.ts'
import { hostedRequest, writeAnswer } from './incoming.ts'

/** What is used of a request of Express; Express itself is not imported. */
export interface ExpressRequest extends IncomingMessage {
  readonly originalUrl: string
  /** By the application's setting `trust proxy`. */
  readonly ip?: string | undefined
}

/**
 * Returns the authority, or connections, as a middleware of Express 5: `app.use(mountExpress(authority.handle))`,
 * before any body parser. What is not theirs goes on to the next one. Paths are those of the
 * issuer, or of `basePath`, wherever it is mounted.
 *
 * @throws RescindError `usage` for what is no handle
 * @see https://expressjs.com/en/guide/using-middleware.html
 */
export function mountExpress(handle: Handle) {
  checkHandle(handle)
  return (
    request: ExpressRequest,
    response: ServerResponse,
    next: (error?: unknown) => void,
  ): void => {
    const { originalUrl: url, ip: address } = request
    handle(hostedRequest(request, { url, address })).then((answer) => {
      if (answer === NO_ENDPOINT) next()
      else writeAnswer(request, response, answer)
    }, next)
  }
}
