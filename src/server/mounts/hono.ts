import type { Handle } from '../../core/wire.ts'
import { NO_ENDPOINT } from '../../core/wire.ts'
import { checkHandle } from './check-handle.ts'
import { answerResponse, fetchRequest } from './fetch.ts'

/** What is used of Hono; Hono itself is not imported. */
export interface HonoContext {
  readonly req: { readonly raw: Request }
  // biome-ignore lint/suspicious/noExplicitAny: each runtime puts something else here
  readonly env: any
}

export interface HonoMountOptions {
  /** Says the address of the client; of itself the mount knows it on Node alone. */
  readonly address?: ((context: HonoContext) => string | undefined) | undefined
}

/**
 * Returns the authority, or connections, as a middleware of Hono: `app.use(mountHono(authority.handle))`.
 * What is not theirs goes on to the next one. Paths are those of the issuer, or of `basePath`, whatever
 * the base path of Hono.
 *
 * @throws RescindError `usage` for what is no handle
 * @see https://hono.dev/docs/guides/middleware
 */
export function mountHono(handle: Handle, { address = nodeAddress }: HonoMountOptions = {}) {
  checkHandle(handle)
  return async (context: HonoContext, next: () => Promise<void>): Promise<Response | undefined> => {
    const { raw } = context.req
    const peer = nodeAddress(context)
    const answer = await handle({ ...fetchRequest(raw, address(context) ?? ''), peer })
    if (answer !== NO_ENDPOINT) return answerResponse(raw, answer)
    await next()
    return undefined
  }
}

/** @see https://github.com/honojs/node-server#accessing-nodejs-api */
function nodeAddress({ env }: HonoContext): string | undefined {
  return env?.incoming?.socket?.remoteAddress
}
