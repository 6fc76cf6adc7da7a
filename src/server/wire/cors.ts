import type { Clock } from '../../core/clock.ts'
import type { WireAnswer, WireRequest } from '../../core/wire.ts'
import type { Client } from '../client-settings.ts'
import type { Clients } from '../clients.ts'

/** How long the origins of all clients are believed; a preflight names no client. */
const ORIGINS_KEPT_MS = 10_000
const PREFLIGHT_KEPT_S = '600'

/** Lets browser applications of registered origins read answers, errors too (RFC 7009 section 2.3). */
export interface Cors {
  /** The answer to a preflight, which names no client: any registered origin may ask. */
  preflight(request: WireRequest): Promise<WireAnswer>
  /** Adds what lets the origin read the answer, when it is one of this client's, or of any before it is known. */
  allow(request: WireRequest, answer: WireAnswer, client: Client | null): Promise<WireAnswer>
}

export function createCors(clients: Clients, clock: Clock): Cors {
  let known: { readonly at: number; readonly origins: ReadonlySet<string> } | undefined
  const isKnown = async (origin: string): Promise<boolean> => {
    if (!known || clock.now() - known.at > ORIGINS_KEPT_MS) {
      // While the store is in trouble, what was known last lets a page read that it is.
      const all = await clients.list().catch((error: unknown) => {
        if (!known) throw error
      })
      if (all) known = { at: clock.now(), origins: new Set(all.flatMap(({ origins }) => origins)) }
    }
    return known?.origins.has(origin) === true
  }
  return {
    async preflight(request) {
      const origin = request.header('origin')
      const headers = { 'cache-control': 'no-store', vary: 'Origin' }
      if (origin === undefined || !(await isKnown(origin))) {
        return { status: 204, headers, body: '' }
      }
      return {
        status: 204,
        headers: {
          ...headers,
          'access-control-allow-origin': origin,
          'access-control-allow-methods': 'POST',
          'access-control-allow-headers': 'Authorization, Content-Type',
          'access-control-max-age': PREFLIGHT_KEPT_S,
        },
        body: '',
      }
    },
    async allow(request, answer, client) {
      const origin = request.header('origin')
      if (origin === undefined) return answer
      const isAllowed = client ? client.origins.includes(origin) : await isKnown(origin)
      const headers = { ...answer.headers, vary: 'Origin' }
      if (!isAllowed) return { ...answer, headers }
      return { ...answer, headers: { ...headers, 'access-control-allow-origin': origin } }
    },
  }
}
