import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../../src/core/clock.ts'
import type { Secret } from '../../src/core/secret.ts'
import {
  type Authority,
  type AuthorityOptions,
  createAuthority,
} from '../../src/server/authority.ts'
import { GRANT_TYPES } from '../../src/server/client-settings.ts'
import type { NewClient } from '../../src/server/clients.ts'
import { mountNode } from '../../src/server/mounts/node.ts'
import type { AuthorityStore } from '../../src/store/authority/contract.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { CALLBACK, type HandClock, handClock, KEY } from './core-world.ts'

/** More events than any test makes. */
const EVENTS_MAX = 10_000

export const FORM = 'application/x-www-form-urlencoded'

/** An authority behind a real socket, a clock in the test's hand, and what went wrong unseen. */
export interface EndpointWorld extends AsyncDisposable {
  readonly authority: Authority
  readonly store: AuthorityStore
  readonly clock: HandClock
  readonly origin: string
  readonly trouble: unknown[]
  /** Registers a client that may do everything, and returns its secret. */
  addClient(client: NewClient): Promise<string>
  call(path: string, init?: RequestInit): Promise<Response>
  /** Posts a form, with Basic credentials where they are given. */
  post(
    path: string,
    form: Readonly<Record<string, string>>,
    basic?: { readonly id: string; readonly secret: string },
  ): Promise<Response>
  /** Gets tokens of a user, as a host does that keeps its own login. */
  issue(clientId: string, userId?: string, sessionId?: string): Promise<Required<Tokens>>
  isActive(...tokens: string[]): Promise<boolean[]>
  events(): Promise<string[]>
}

interface Tokens {
  readonly access_token: string
  readonly refresh_token?: string
}

/** Opens the store of one world; each a new one. */
export type OpenStore = (clock: Clock) => Promise<AuthorityStore>

const openSqlite: OpenStore = (clock) => openSqliteAuthorityStore(':memory:', { clock })

export async function openEndpoints(
  options: Partial<AuthorityOptions> & {
    readonly path?: string
    readonly openStore?: OpenStore
  } = {},
): Promise<EndpointWorld> {
  const { path = '', openStore = openSqlite, ...rest } = options
  const clock = handClock(Math.floor(Date.now() / 1000) * 1000)
  const store = await openStore(clock)
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const trouble: unknown[] = []
  const authority = await createAuthority({
    ...{ issuer: `${origin}${path}`, key: KEY, clock, store },
    onTrouble: (error) => trouble.push(error),
    ...rest,
  })
  server.on('request', mountNode(authority.handle))
  const call = (where: string, init: RequestInit = {}) =>
    fetch(`${origin}${where}`, { redirect: 'manual', ...init })
  return {
    ...{ authority, store, clock, origin, trouble, call },
    async addClient(client) {
      const grantTypes = GRANT_TYPES.filter(
        (type) => client.authMethod !== 'none' || type !== 'client_credentials',
      )
      const { secret } = await authority.clients.add({
        ...{ scope: 'read write', redirectUris: [CALLBACK], grantTypes },
        ...client,
      })
      return (secret as Secret | null)?.reveal() ?? ''
    },
    post: (where, form, basic) =>
      call(where, {
        method: 'POST',
        headers: { 'content-type': FORM, ...(basic ? basicHeader(basic) : {}) },
        body: new URLSearchParams(form).toString(),
      }),
    async issue(clientId, userId = 'ada', sessionId) {
      const scope = 'read write'
      return (await authority.issue({ clientId, userId, sessionId, scope })) as Required<Tokens>
    },
    isActive: (...tokens) =>
      Promise.all(tokens.map(async (token) => (await authority.introspect(token)).active)),
    events: async () => (await authority.events(null, EVENTS_MAX)).map(({ type }) => type),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await authority.close()
    },
  }
}

export function basicHeader({ id, secret }: { id: string; secret: string }) {
  const text = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`
  return { authorization: `Basic ${Buffer.from(text).toString('base64')}` }
}

export function bearer(key: string): { authorization: string } {
  return { authorization: `Bearer ${key}` }
}
