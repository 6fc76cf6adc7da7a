import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Handle } from '../../core/wire.ts'
import { NO_ENDPOINT } from '../../core/wire.ts'
import { checkHandle } from './check-handle.ts'
import { hostedRequest } from './incoming.ts'
import { dropBody } from './node.ts'

/** What is used of Fastify; Fastify itself is not imported. */
export interface FastifyHost {
  addHook(
    name: 'onRequest',
    hook: (request: FastifyRequestView, reply: FastifyReplyView) => Promise<unknown>,
  ): unknown
}

export interface FastifyRequestView {
  readonly raw: IncomingMessage
  readonly originalUrl: string
  /** By the server's option `trustProxy`. */
  readonly ip: string
}

export interface FastifyReplyView {
  readonly raw: ServerResponse
  code(status: number): unknown
  headers(headers: Record<string, string | string[]>): unknown
  send(body: string | undefined): unknown
}

/** Fastify keeps the hooks of a plugin to the plugin, unless it bears this mark. */
const SKIP_OVERRIDE = Symbol.for('skip-override')
const NAME = Symbol.for('fastify.display-name')

/**
 * Returns the authority, or connections, as a plugin of Fastify 5: `app.register(mountFastify(authority.handle))`.
 * It answers in the hook before any body is parsed; what is not theirs goes on to its route.
 * Paths are those of the issuer, or of `basePath`, whatever prefix it is registered with.
 *
 * @throws RescindError `usage` for what is no handle
 * @see https://fastify.dev/docs/latest/Reference/Hooks/#onrequest
 */
export function mountFastify(handle: Handle) {
  checkHandle(handle)
  const plugin = async (host: FastifyHost): Promise<void> => {
    host.addHook('onRequest', async (request, reply) => {
      const { raw, originalUrl: url, ip: address } = request
      const answer = await handle(hostedRequest(raw, { url, address }))
      if (answer === NO_ENDPOINT) return undefined
      const { status, headers, body, cookies } = answer
      if (status >= 400) dropBody(raw, reply.raw)
      reply.code(status)
      reply.headers({ ...headers })
      if (cookies?.length) reply.headers({ 'set-cookie': [...cookies] })
      reply.send(body === '' ? undefined : body)
      return reply
    })
  }
  return Object.assign(plugin, { [SKIP_OVERRIDE]: true, [NAME]: 'rescind' })
}
