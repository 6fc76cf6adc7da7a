import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect } from 'vitest'
import { createConnectionsApi } from '../../src/connections/api.ts'
import { createReauthorizing } from '../../src/connections/reauthorize.ts'
import { createVault } from '../../src/connections/vault.ts'
import { connectionTenant, type VaultParts } from '../../src/connections/vault-parts.ts'
import { RescindError } from '../../src/core/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import { walkLogin } from '../emulators/clients/login-walk.ts'
import { type ConnectionWorld, openConnectionWorld } from './world.ts'

export const KEY = 'rsk_a-key-that-is-long-enough-for-anybody'
const CALLBACK = 'http://127.0.0.1:50123/callback'
/** A tenant whose server nobody can reach. */
export const NOWHERE = 'nowhere'

export interface Answered {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects
  readonly body: any
  readonly text: string
  readonly headers: Headers
}

/** The HTTP API of a vault over a socket; each answer is held against the document that it serves. */
export interface ApiWorld extends AsyncDisposable {
  readonly world: ConnectionWorld
  readonly origin: string
  /** What was told to `onTrouble`. */
  readonly troubles: unknown[]
  // biome-ignore lint/suspicious/noExplicitAny: the document is what is tested
  readonly document: any
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answered>
  /** Keeps a connection, with a token. */
  connect(): Promise<string>
  /** Walks the pages of the login, as a browser does. */
  consent(
    url: string,
    how?: { readonly decision?: 'Allow' | 'Deny'; readonly as?: 'admin' | 'limited' },
  ): Promise<URLSearchParams>
  /** From now on the store throws, but for what finds a key. */
  breakStore(error: Error): void
}

export async function openApi(): Promise<ApiWorld> {
  const world = await openConnectionWorld()
  const troubles: unknown[] = []
  let broken: Error | undefined
  await world.parts.store.addApiKey(new Secret(KEY), 'test')
  const store = new Proxy(world.parts.store, {
    get(target, name, receiver) {
      const isBroken = broken !== undefined && name !== 'findApiKey'
      return isBroken ? () => Promise.reject(broken) : Reflect.get(target, name, receiver)
    },
  })
  const parts: VaultParts = { ...world.parts, store, tenantOf: (name) => tenantOf(world, name) }
  const vault = createVault(parts)
  const reauthorizing = createReauthorizing(parts, vault)
  const onTrouble = (error: unknown) => void troubles.push(error)
  const api = createConnectionsApi({ vault, reauthorizing, store, onTrouble })
  const server = createServer(getRequestListener(api.fetch))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  const document = await (await fetch(`${origin}/connections/openapi.json`)).json()
  return {
    ...{ world, origin, troubles, document },
    async call(method, path, body, headers = {}) {
      const answer = await fetch(`${origin}/connections${path}`, {
        method,
        redirect: 'manual',
        headers: {
          authorization: `Bearer ${KEY}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
      })
      const text = await answer.text()
      const isJson = answer.headers.get('content-type')?.startsWith('application/json') ?? false
      const parsed = isJson && text !== '' ? JSON.parse(text) : undefined
      holdAgainst(document, { method, path, answer, body: isJson ? parsed : text })
      return { status: answer.status, body: parsed, text, headers: answer.headers }
    },
    async connect() {
      const { id } = await world.connect()
      await world.health.check(id)
      return id
    },
    consent: (url, { decision = 'Allow', as = 'admin' } = {}) =>
      walkLogin(url, CALLBACK, { ...world.org.credentials[as], decision }),
    breakStore(error) {
      broken = error
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await world[Symbol.asyncDispose]()
    },
  }
}

function tenantOf(world: ConnectionWorld, name: string) {
  if (name === 'org') return world.parts.tenantOf(name)
  if (name === NOWHERE) {
    const url = 'http://127.0.0.1:9'
    return connectionTenant({ ...world.tenant, name, provider: 'oauth2', url, app: APP })
  }
  throw new RescindError('tenant_unknown', 'Known in /home/x/rescind.yaml: org.')
}

const APP = {
  ...{ clientId: 'a', clientSecret: null, redirectUri: CALLBACK, scopes: [], options: {} },
}

/** Every answer of every test is one that the document promises, in the shape that it promises. */
function holdAgainst(
  // biome-ignore lint/suspicious/noExplicitAny: the document is what is tested
  document: any,
  {
    method,
    path,
    answer,
    body,
  }: {
    readonly method: string
    readonly path: string
    readonly answer: Response
    readonly body: unknown
  },
): void {
  const { status, headers } = answer
  const bare = path.split('?')[0] ?? ''
  const template =
    `/connections${bare}` in document.paths
      ? `/connections${bare}`
      : `/connections${bare.replace(/^\/[^/]+/, '/{id}')}`
  const operation = document.paths[template]?.[method.toLowerCase()]
  if (!operation) return
  const promised = operation.responses[status]
  expect(promised, `${method} ${template} answered ${status}`).toBeDefined()
  const type = headers.get('content-type')?.split(';')[0] ?? ''
  expect(Object.keys(promised.content), `${method} ${template} ${status}`).toEqual([type])
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true })
  const isValid = ajv.validate(promised.content[type].schema, body)
  expect(isValid, `${template} ${status}: ${ajv.errorsText()} ${JSON.stringify(body)}`).toBe(true)
}
