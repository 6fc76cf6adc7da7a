import { once } from 'node:events'
import { createServer, type RequestListener, request } from 'node:http'
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createServer as createHttp2,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { serve } from '@hono/node-server'
import express from 'express'
import { fastify } from 'fastify'
import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  type Connections,
  type OpenConnectionsOptions,
  openConnections,
  Secret,
} from '../../src/connections/index.ts'
import { LINK_MS } from '../../src/connections/reauthorize.ts'
import { systemClock } from '../../src/core/clock.ts'
import { mountExpress, mountFastify, mountHono, mountNode } from '../../src/server/index.ts'
import { tempHome } from '../support/temp-home.ts'

const KEY = 'rsk_a-key-that-is-long-enough-for-anybody'
const BASE = '/api/connections'
const NEW = { tenant: 'crm', owner: 'acme' }

const APP = {
  ...{ clientId: 'app', clientSecret: null, scopes: ['api', 'refresh_token'] },
  redirectUri: `http://127.0.0.1:8080${BASE}/callback`,
}
const TENANT = { provider: 'salesforce', url: 'http://127.0.0.1:9', app: APP }

let home: ReturnType<typeof tempHome>
let connections: Connections
let troubles: string[]
beforeEach(async () => {
  home = tempHome()
  troubles = []
  connections = await openConnections({
    ...{ home: home.path, tenants: { crm: TENANT }, basePath: BASE },
    onTrouble: (error) => troubles.push(String(error)),
  })
  await connections.store.addApiKey(new Secret(KEY), 'test')
})
afterEach(async () => {
  await connections.close()
  home[Symbol.dispose]()
})

type OnHttp2 = (request: Http2ServerRequest, response: Http2ServerResponse) => void

interface Hosted extends AsyncDisposable {
  readonly url: string
}

/** An application of a framework that has the connections, and a route of its own: `POST /api/own`. */
type Host = (connections: Connections) => Promise<Hosted>

async function listen(listener: RequestListener): Promise<Hosted> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

const expressAt =
  (path: string): Host =>
  async ({ handle }) => {
    const app = express().use(path, mountExpress(handle)).use(express.json())
    app.post('/api/own', (request, response) => void response.json(request.body))
    return listen(app)
  }

const fastifyAt =
  (prefix?: string): Host =>
  async ({ handle }) => {
    const app = fastify()
    app.register(mountFastify(handle), prefix === undefined ? {} : { prefix })
    app.post('/api/own', async (request) => request.body)
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    return { url, [Symbol.asyncDispose]: () => app.close() }
  }

const honoAt =
  (path: string): Host =>
  async ({ handle }) => {
    const app = new Hono().route(path, new Hono().use(mountHono(handle)))
    app.post('/api/own', async (context) => context.json(await context.req.json()))
    const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 })
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return { url, [Symbol.asyncDispose]: async () => void server.close() }
  }

const node: Host = ({ handle }) =>
  listen(
    mountNode(handle, (request, response) => {
      if (request.url === '/api/own') {
        response.setHeader('content-type', 'application/json')
        return void request.pipe(response)
      }
      response.writeHead(404).end()
    }),
  )

describe.each<readonly [string, Host]>([
  ['node:http', node],
  ['Express 5 at the root', expressAt('/')],
  ['Express 5 under a path', expressAt('/api')],
  ['Fastify 5 at the root', fastifyAt()],
  ['Fastify 5 under a prefix', fastifyAt('/api')],
  ['Hono at the root', honoAt('/')],
  ['Hono under a path', honoAt('/api')],
])('connections in %s', (_, host) => {
  const ask = async (url: string, method: string, path: string, body?: unknown, key = KEY) => {
    const answer = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: body === undefined ? null : JSON.stringify(body),
    })
    const text = await answer.text()
    const isJson = answer.headers.get('content-type')?.includes('json') ?? false
    // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects
    return { status: answer.status, body: (isJson && text !== '' ? JSON.parse(text) : text) as any }
  }

  test('serves the API and the callback below basePath', async () => {
    await using hosted = await host(connections)
    const made = await ask(hosted.url, 'POST', BASE, NEW)
    expect(made).toMatchObject({ status: 201, body: { owner: 'acme', state: 'reconnect_needed' } })
    const { id } = made.body
    expect(await ask(hosted.url, 'GET', `${BASE}?owner=acme`)).toMatchObject({
      ...{ status: 200, body: { connections: [{ id }] } },
    })
    expect(await ask(hosted.url, 'POST', `${BASE}/${id}/disable`)).toMatchObject({ status: 200 })
    const page = await ask(hosted.url, 'GET', `${BASE}/callback?state=none`)
    expect(page).toMatchObject({ status: 400, body: expect.stringContaining('<!doctype html>') })
    expect((await ask(hosted.url, 'HEAD', `${BASE}/openapi.json`)).status).toBe(200)
    expect((await ask(hosted.url, 'GET', `${BASE}/openapi.json`)).body).toHaveProperty([
      ...['paths', `${BASE}/callback`],
    ])
  })

  test('passes on what is not below basePath, with its body', async () => {
    await using hosted = await host(connections)
    expect(await ask(hosted.url, 'POST', '/api/own', { a: 'b' })).toEqual({
      ...{ status: 200, body: { a: 'b' } },
    })
    for (const path of ['/connections', `${BASE}x`, '/']) {
      expect((await ask(hosted.url, 'GET', path)).status, path).toBe(404)
    }
  })

  test('gives who has no key one 401 everywhere below it, and refuses what is too large', async () => {
    await using hosted = await host(connections)
    const large = { ...NEW, owner: 'x'.repeat(20_000) }
    for (const [method, path, body] of [
      ['GET', BASE],
      ['GET', `${BASE}/con_0000000000`],
      ['GET', `${BASE}/a/b/c`],
      ['POST', BASE, large],
    ] as const) {
      const refused = await ask(hosted.url, method, path, body, 'wrong')
      expect(refused, path).toMatchObject({
        ...{ status: 401, body: { error: { code: 'not_authenticated' } } },
      })
    }
    expect((await ask(hosted.url, 'POST', BASE, large)).status).toBe(413)
    const stream = new Blob([JSON.stringify(large)]).stream()
    const chunked = await fetch(hosted.url + BASE, {
      ...{ method: 'POST', body: stream, duplex: 'half' },
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    } as RequestInit)
    expect(chunked.status).toBe(413)
    expect(troubles).toEqual([])
  })
})

/** With each stream that came, as the server sees it. */
type Http2Host = (
  connections: Connections,
) => Promise<Hosted & { readonly streams: readonly ServerHttp2Stream[] }>

describe.each<readonly [string, Http2Host]>([
  [
    'node:http2',
    async ({ handle }) => {
      const server = createHttp2(mountNode(handle) as unknown as OnHttp2).listen(0, '127.0.0.1')
      const streams: ServerHttp2Stream[] = []
      server.on('stream', (stream) => streams.push(stream))
      await once(server, 'listening')
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      return { url, streams, [Symbol.asyncDispose]: async () => void server.close() }
    },
  ],
  [
    'Fastify',
    async ({ handle }) => {
      const app = fastify({ http2: true })
      app.register(mountFastify(handle))
      const streams: ServerHttp2Stream[] = []
      app.server.on('stream', (stream) => streams.push(stream))
      const url = await app.listen({ port: 0, host: '127.0.0.1' })
      return { url, streams, [Symbol.asyncDispose]: () => app.close() }
    },
  ],
])('over HTTP/2 of %s', (_, host) => {
  const statusOf = async (client: ClientHttp2Session, headers: object, body?: string) => {
    const stream = client.request({ ':path': BASE, authorization: `Bearer ${KEY}`, ...headers })
    stream.end(body)
    const [answer] = await once(stream, 'response')
    stream.resume()
    return answer[':status']
  }

  test('answers, takes no method that is not written as one, and waits for no body that is too large', async () => {
    await using hosted = await host(connections)
    const client = connectHttp2(hosted.url)
    try {
      expect(await statusOf(client, { ':path': `${BASE}/openapi.json` })).toBe(200)
      expect(await statusOf(client, {})).toBe(200)
      expect(await statusOf(client, { authorization: 'Bearer wrong' })).toBe(401)
      // A router of the host may know no such method.
      for (const method of ['TRACE', 'trace', 'get']) {
        expect([404, 405], method).toContain(await statusOf(client, { ':method': method }))
      }
      const post = { ':method': 'POST', 'content-type': 'application/json' }
      const refused = { ...post, authorization: 'Bearer wrong' }
      expect(await statusOf(client, refused, 'x'.repeat(3_000_000))).toBe(401)
      expect(await statusOf(client, post, 'x'.repeat(3_000_000))).toBe(413)
      expect(await statusOf(client, post, JSON.stringify(NEW))).toBe(201)
      await expect.poll(() => hosted.streams.every(({ closed }) => closed)).toBe(true)
    } finally {
      client.destroy()
    }
    expect(troubles).toEqual([])
  })
})

test('a method that no API has is 405, and no trouble', async () => {
  await using hosted = await node(connections)
  const asked = request(hosted.url + BASE, { method: 'TRACE' }).end()
  const [answer] = await once(asked, 'response')
  expect([answer.statusCode, answer.headers.allow]).toEqual([405, 'GET, HEAD, POST, DELETE'])
  expect(JSON.parse(await text(answer)).error.code).toBe('invalid_request')
  for (const method of ['CONNECT', 'TRACK']) {
    const wire = { method, path: BASE, query: '', header: () => undefined, address: '' }
    const answer = await connections.handle({ ...wire, body: async () => '' })
    expect(answer.status, method).toBe(405)
  }
  expect(troubles).toEqual([])
})

test.each<readonly [string, Host]>([
  ['Express', ({ handle }) => listen(express().use(express.json(), mountExpress(handle)))],
  [
    'node:http',
    ({ handle }) =>
      listen(async (request, response) => {
        await text(request)
        mountNode(handle)(request, response)
      }),
  ],
])('%s: a body that was read before is an error that says what to do', async (_, host) => {
  await using hosted = await host(connections)
  const post = (key: string) =>
    fetch(hosted.url + BASE, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(NEW),
    })
  const answer = await post(KEY)
  const message =
    'The body of a request was read before the mount saw it. Mount the authority, or connections, before any body parser.'
  expect([answer.status, await answer.json()]).toEqual([500, { error: { code: 'usage', message } }])
  expect(troubles.join()).toContain(message)
  expect((await post('wrong')).status).toBe(401)
})

describe('openConnections', () => {
  const open = (more: object) => {
    const options = { home: home.path, tenants: { crm: TENANT }, ...more }
    return openConnections(options as OpenConnectionsOptions).then(
      (opened) => opened.close().then(() => 'opened'),
      (error) => `${error.code}: ${error.message}`,
    )
  }
  const crm = (more: object) => ({ tenants: { crm: { ...TENANT, ...more } } })
  const app = (more: object) => crm({ app: { ...APP, ...more } })

  test.each<[string, object, RegExp]>([
    ['no home', { home: undefined }, /^usage: The option home must be a text\.$/],
    ['no tenants', { tenants: undefined }, /^usage: The option tenants must be an object: /],
    ['a misspelt option', { tennants: {} }, /^usage: .* knows no option "tennants"\.$/],
    ['a tenant without an app', crm({ app: undefined }), /option tenants\.crm\.app must be an obj/],
    ['a misspelt key of an app', app({ redirectUrl: '' }), /"redirectUrl" in tenants\.crm\.app\.$/],
    ['a bare secret', app({ clientSecret: 's3cret' }), /clientSecret must be a Secret that is not/],
    ['an empty secret', app({ clientSecret: new Secret('') }), /clientSecret must be a Secret tha/],
    ['scopes in one text', app({ scopes: 'api web' }), /app\.scopes must be a list of texts\.$/],
    ['an app’s option that is none', app({ options: { rotation: 'x' } }), /^config_invalid: /],
    ['an unknown provider', crm({ provider: 'none' }), /^provider_unknown: /],
    ['plain http', crm({ url: 'http://crm.example' }), /^url_plain_http: tenants\.crm\.url /],
    ['a callback that is none', app({ redirectUri: '/cb' }), /^url_invalid: .*app\.redirectUri /],
    [
      'a path with a slash at its end',
      { basePath: '/api/' },
      /^usage: basePath "\/api\/" is no pa/,
    ],
    ['an empty path', { basePath: '' }, /^usage: basePath "" is no path\./],
    ['a change that is none', { acceptChanges: ['all'] }, /acceptChanges\.0 must be of another_p/],
    [
      'a bare secret of a webhook',
      { webhooks: [{ url: 'https://x.example', secret: 'whsec_' }] },
      /webhooks\.0\.secret must be a Secret/,
    ],
    ['onTrouble that is none', { onTrouble: 'log' }, /onTrouble must be a function\.$/],
  ])('refuses %s with one sentence', async (_, more, sentence) => {
    const said = await open(more)
    expect(said).toMatch(sentence)
    expect(said).not.toContain('s3cret')
  })

  test('names the tenants that there are', async () => {
    const made = connections.reauthorizing.create({ tenant: 'none', owner: 'acme' })
    await expect(made).rejects.toThrow('There is no tenant "none". Known to openConnections: crm.')
  })

  test('running, tells onTrouble of a connection that it cannot check', async () => {
    const { id } = await connections.vault.create({
      ...{ tenant: 'crm', owner: 'acme', accessToken: null, refreshToken: new Secret('rt') },
    })
    const later = { ...systemClock, now: () => systemClock.now() + 2 * 3_600_000 }
    const told: unknown[] = []
    const other = await openConnections({
      ...{ home: home.path, tenants: { renamed: TENANT }, clock: later },
      onTrouble: (error) => void told.push(error),
    })
    const running = other.run()
    await expect
      .poll(() => told, { timeout: 5_000 })
      .toMatchObject([
        {
          code: 'tenant_unknown',
          message: `The connection ${id} could not be checked. There is no tenant "crm". Known to openConnections: renamed.`,
        },
      ])
    await other.close()
    await running
  })

  test('runs until it is closed: links that ran out are given up', async () => {
    let later = 0
    const clock = { ...systemClock, now: () => systemClock.now() + later }
    const other = await openConnections({ home: home.path, tenants: { crm: TENANT }, clock })
    const { id } = await other.reauthorizing.create(NEW)
    await other.reauthorizing.link(id)
    later = LINK_MS + 1
    const running = other.run()
    expect(other.run()).toBe(running)
    await expect
      .poll(async () => (await other.vault.get(id)).state, { timeout: 5_000 })
      .toBe('reconnect_needed')
    await other.close()
    await running
    expect(await open({})).toBe('opened')
  })
})
