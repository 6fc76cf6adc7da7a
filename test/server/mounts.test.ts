import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import express from 'express'
import { fastify } from 'fastify'
import { Hono } from 'hono'
import { describe, expect, test } from 'vitest'
import { start as startExpress } from '../../examples/authority-express/server.ts'
import { start as startFastify } from '../../examples/authority-fastify/server.ts'
import { start as startHono } from '../../examples/authority-hono/server.ts'
import { start as startNode } from '../../examples/authority-node/server.ts'
import {
  type Authority,
  type AuthorityOptions,
  behindProxy,
  createAuthority,
  mountExpress,
  mountFastify,
  mountHono,
  mountNode,
  onlyEndpoints,
  openSqliteAuthorityStore,
} from '../../src/server/index.ts'
import { thumbprintOf } from '../../src/server/wire/client-auth.ts'
import { CERTIFICATE } from '../support/client-certificate.ts'
import { freePort } from '../support/free-port.ts'
import { tempHome } from '../support/temp-home.ts'

const EXAMPLES = [
  ['node:http', startNode],
  ['Express 5', startExpress],
  ['Fastify 5', startFastify],
  ['Hono', startHono],
] as const

const post = (url: string, form: Record<string, string>, headers: Record<string, string> = {}) =>
  fetch(url, { method: 'POST', body: new URLSearchParams(form), headers })

describe.each(EXAMPLES)('the example of %s', (_, start) => {
  test('token → protected route → revoke → refused', async () => {
    using home = tempHome()
    const url = `http://127.0.0.1:${await freePort()}`
    const { authority, close } = await start(url, home.path)
    try {
      const grantTypes = ['client_credentials' as const]
      const { secret } = await authority.clients.add({ id: 'app', grantTypes })
      const client = { client_id: 'app', client_secret: secret?.reveal() ?? '' }
      const answer = await post(`${url}/token`, { ...client, grant_type: 'client_credentials' })
      expect(answer.status).toBe(200)
      const { access_token: token } = (await answer.json()) as { access_token: string }
      const hello = () => fetch(`${url}/hello`, { headers: { authorization: `Bearer ${token}` } })
      const greeted = await hello()
      expect([greeted.status, await greeted.json()]).toEqual([200, { hello: 'app' }])
      const revoked = await post(`${url}/revoke`, { ...client, token })
      expect([revoked.status, await revoked.text()]).toEqual([200, ''])
      const refused = await hello()
      expect(refused.status).toBe(401)
      expect(refused.headers.get('www-authenticate')).toContain('invalid_token')
    } finally {
      await close()
    }
  })
})

interface Hosted extends AsyncDisposable {
  readonly url: string
}

/** An application of a framework that has the authority, and a route and a fallback of its own. */
type Host = (authority: Authority) => Promise<Hosted>

async function listen(listener: RequestListener, after = async () => {}): Promise<Hosted> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await after()
    },
  }
}

const expressAt =
  (...path: [string?]): Host =>
  async ({ handle }) => {
    const app = express()
    app.use(path[0] ?? '/', mountExpress(handle))
    app.use(express.urlencoded())
    app.post('/auth/own', (request, response) => void response.json(request.body))
    return listen(app)
  }

const fastifyAt =
  (prefix?: string): Host =>
  async ({ handle }) => {
    const app = fastify()
    app.register(mountFastify(handle), prefix === undefined ? {} : { prefix })
    app.addContentTypeParser(
      /^application\/x-www/,
      { parseAs: 'string' },
      async (_: unknown, b: unknown) => Object.fromEntries(new URLSearchParams(String(b))),
    )
    app.post('/auth/own', async (request) => request.body)
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    return { url, [Symbol.asyncDispose]: () => app.close() }
  }

const honoAt =
  (path?: string): Host =>
  async ({ handle }) => {
    const app = new Hono()
    if (path === undefined) app.use(mountHono(handle))
    else app.route(path, new Hono().use(mountHono(handle)))
    app.post('/auth/own', async (context) => context.json(await context.req.parseBody()))
    const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 })
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return { url, [Symbol.asyncDispose]: async () => void server.close() }
  }

const nodeAlone: Host = ({ handle }) => listen(mountNode(handle))

const HOSTS: readonly (readonly [string, Host])[] = [
  ['Express 5 at the root', expressAt()],
  ['Express 5 under a path', expressAt('/auth')],
  ['Fastify 5 at the root', fastifyAt()],
  ['Fastify 5 under a prefix', fastifyAt('/auth')],
  ['Hono at the root', honoAt()],
  ['Hono under a path', honoAt('/auth')],
]

async function openAuthority(more: Partial<AuthorityOptions> = {}): Promise<Authority> {
  return createAuthority({
    ...more,
    issuer: 'https://login.example/auth',
    store: await openSqliteAuthorityStore(':memory:'),
    key: new Uint8Array(32).fill(3),
    onTrouble: (error) => troubles.push(String(error)),
  })
}
let troubles: string[] = []

describe.each(HOSTS)('%s, with an issuer that has a path', (_, host) => {
  test('serves what is of the issuer, and passes on what is not', async () => {
    const authority = await openAuthority()
    await using hosted = await host(authority)
    const { secret } = await authority.clients.add({ id: 'app', authMethod: 'client_secret_post' })
    const client = { client_id: 'app', client_secret: secret?.reveal() ?? '' }
    const issued = await authority.issue({ clientId: 'app', userId: 'ann', scope: '' })
    const token = issued.access_token
    const look = async () =>
      (await post(`${hosted.url}/auth/introspect`, { ...client, token })).json()
    expect(await look()).toMatchObject({ active: true, sub: 'ann' })
    expect((await post(`${hosted.url}/auth/revoke`, { ...client, token })).status).toBe(200)
    expect(await look()).toEqual({ active: false })
    const own = await post(`${hosted.url}/auth/own`, { a: 'b' })
    expect([own.status, await own.json()]).toEqual([200, { a: 'b' }])
    const missing = await post(`${hosted.url}/revoke`, { ...client, token })
    expect(missing.status).toBe(404)
    expect(missing.headers.get('cache-control')).toBe(null)
    await authority.close()
  })
  test.each([
    ['one', 'req-1', 'req-1'],
    ['one that is too long to be shown', 'x'.repeat(129), null],
    ['words', 'two words', null],
    ['what a terminal would obey', '\u009b2J', null],
    ['none', undefined, null],
  ])('an event bears the X-Request-Id of its request: %s', async (_, sent, request) => {
    const authority = await openAuthority()
    await using hosted = await host(authority)
    await authority.clients.add({ id: 'app', authMethod: 'none' })
    const { access_token: token } = await authority.issue({
      ...{ clientId: 'app', userId: 'ann', scope: '' },
    })
    const headers = sent === undefined ? {} : { 'x-request-id': sent }
    await post(`${hosted.url}/auth/revoke`, { client_id: 'app', token }, headers)
    expect(await authority.explain(token)).toMatchObject({ death: 'revoked', request })
    await authority.close()
  })
  test('judges the form itself: a parameter that is there twice is refused', async () => {
    const authority = await openAuthority()
    await using hosted = await host(authority)
    await authority.clients.add({ id: 'pub', authMethod: 'none' })
    const answer = await fetch(`${hosted.url}/auth/revoke`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'client_id=pub&token=a&token=b',
    })
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: 'invalid_request' }])
    await authority.close()
  })
  test('refuses a body that is too large without reading it, HEAD has no body, GET is 405', async () => {
    const authority = await openAuthority()
    await using hosted = await host(authority)
    const large = await post(`${hosted.url}/auth/revoke`, { token: 'x'.repeat(70_000) })
    expect(large.status).toBe(413)
    const head = await fetch(`${hosted.url}/auth/jwks`, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
    expect(head.headers.get('content-type')).toContain('application/json')
    const get = await fetch(`${hosted.url}/auth/revoke?token=x`)
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST'])
    await authority.close()
  })
})

describe('the cookies of a login page of the host, a line each (RFC 6265 section 3)', () => {
  const COOKIES = ['session=a; Path=/; HttpOnly', 'csrf=b; Expires=Thu, 01 Jan 2037 00:00:00 GMT']
  const query = new URLSearchParams({
    ...{ client_id: 'app', redirect_uri: 'https://app.example/callback', response_type: 'code' },
    ...{ code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM' },
    code_challenge_method: 'S256',
  })
  const openWithLogin = async () => {
    const authority = await openAuthority({
      authorize: async () => {
        const headers = COOKIES.map((cookie) => ['set-cookie', cookie] as [string, string])
        return new Response('<form>', { headers })
      },
    })
    const redirectUris = ['https://app.example/callback']
    await authority.clients.add({ id: 'app', authMethod: 'none', redirectUris })
    return authority
  }
  const cookiesOf = async (answer: Response) => [
    answer.status,
    await answer.text(),
    answer.headers.getSetCookie(),
  ]

  test.each([...HOSTS, ['node:http', nodeAlone] as const])('%s', async (_, host) => {
    const authority = await openWithLogin()
    await using hosted = await host(authority)
    const page = await fetch(`${hosted.url}/auth/authorize?${query}`)
    expect(await cookiesOf(page)).toEqual([200, '<form>', COOKIES])
    await authority.close()
  })
  test('fetch', async () => {
    const authority = await openWithLogin()
    const page = await authority.fetch(new Request(`https://login.example/auth/authorize?${query}`))
    expect(await cookiesOf(page)).toEqual([200, '<form>', COOKIES])
    await authority.close()
  })
  test('Express, with a cookie of a middleware before', async () => {
    const authority = await openWithLogin()
    const app = express().use((_, response, next) => {
      response.cookie('own', '1')
      next()
    }, mountExpress(authority.handle))
    await using hosted = await listen(app)
    const page = await fetch(`${hosted.url}/auth/authorize?${query}`)
    expect(page.headers.getSetCookie()).toEqual(['own=1; Path=/', ...COOKIES])
    await authority.close()
  })
})

test('Express: a body that was parsed before is an error that says what to do, not a wait', async () => {
  troubles = []
  const authority = await openAuthority()
  const app = express().use(express.urlencoded(), mountExpress(authority.handle))
  await using hosted = await listen(app)
  const answer = await post(`${hosted.url}/auth/revoke`, { client_id: 'pub', token: 'x' })
  expect(answer.status).toBe(500)
  expect(troubles.join()).toContain('Mount the authority, or connections, before any body parser.')
  await authority.close()
})

test('some endpoints alone: the host keeps its others', async () => {
  const authority = await openAuthority()
  const app = express().use(mountExpress(onlyEndpoints(authority, ['revoke', 'jwks'])))
  app.post('/auth/token', (_, response) => void response.send('mine'))
  await using hosted = await listen(app)
  expect((await fetch(`${hosted.url}/auth/jwks`)).status).toBe(200)
  expect(await (await post(`${hosted.url}/auth/token`, {})).text()).toBe('mine')
  expect((await post(`${hosted.url}/auth/revoke`, {})).status).toBe(401)
  await authority.close()
})

describe('behind a proxy, guesses are counted for whoever guesses (RFC 6749 section 2.3.1)', () => {
  const GUESSES = 10
  const proxied = ({ handle }: Authority) => mountNode(behindProxy(handle, ['127.0.0.1']))
  const trusting = ({ handle }: Authority) =>
    express().set('trust proxy', 'loopback').use(mountExpress(handle))
  test.each([
    ['node:http with behindProxy', proxied],
    ['Express with trust proxy', trusting],
  ])('%s', async (_, listener) => {
    const authority = await openAuthority()
    const { secret } = await authority.clients.add({ id: 'app' })
    await using hosted = await listen(listener(authority) as RequestListener)
    const ask = async (from: string, client_secret: string) => {
      const form = { client_id: 'app', client_secret, token: 'x' }
      return (await post(`${hosted.url}/auth/revoke`, form, { 'x-forwarded-for': from })).status
    }
    for (let nth = 0; nth < GUESSES; nth += 1) {
      // What stands before the proxy's own word is the guesser's invention.
      expect(await ask(`198.51.100.${nth}, 203.0.113.9`, 'wrong')).toBe(401)
    }
    expect(await ask('203.0.113.9', 'wrong')).toBe(429)
    expect(await ask('203.0.113.10', secret?.reveal() ?? '')).toBe(200)
    await authority.close()
  })
  test.each([
    ['a range', ['127.0.0.0/8', '203.0.113.0/28']],
    ['an address of IPv6', ['::ffff:127.0.0.1', '203.0.113.9']],
  ])('proxies are named by %s, all of a chain', async (_, proxies) => {
    const seen: string[] = []
    const handle = behindProxy(async ({ address }) => {
      seen.push(address)
      return { status: 200, headers: {}, body: '' }
    }, proxies)
    await using hosted = await listen(mountNode(handle))
    const headers = { 'x-forwarded-for': '198.51.100.1, 192.0.2.7, 203.0.113.9' }
    await fetch(hosted.url, { headers })
    expect(seen).toEqual(['192.0.2.7'])
  })
  test.each([
    ...[
      'localhost',
      'proxy.example',
      '',
      '10.0.0.0/33',
      '10.0.0.0/0',
      '::/0',
      '::/1',
      '::ffff:0:0/96',
      '::/129',
      '10.0.0',
    ],
    ...['127.0.0.1:80', '[::1]', '10.0.0.0/', '10.0.0.0/8/8', ' 127.0.0.1', 7, null],
  ])('%s is no proxy, and is refused at start', (proxy) => {
    expect(() => behindProxy(async () => expect.fail('served'), [proxy as string])).toThrow(
      'The trusted proxy 1 must be an IP address, or a range like 10.0.0.0/8.',
    )
  })
  test('a text for a list of proxies is refused at start', () => {
    const mount = () => behindProxy(async () => expect.fail('served'), '127.0.0.1' as never)
    expect(mount).toThrow('The trustedProxies must be a list')
  })
  test('a peer that is no proxy is not believed', async () => {
    const authority = await openAuthority()
    await authority.clients.add({ id: 'app' })
    await using hosted = await listen(mountNode(behindProxy(authority.handle, ['192.0.2.1'])))
    const ask = async (from: string) => {
      const form = { client_id: 'app', client_secret: 'wrong', token: 'x' }
      return (await post(`${hosted.url}/auth/revoke`, form, { 'x-forwarded-for': from })).status
    }
    for (let nth = 0; nth < GUESSES; nth += 1) expect(await ask(`203.0.113.${nth}`)).toBe(401)
    expect(await ask('203.0.113.99')).toBe(429)
    await authority.close()
  })
})

test.each([
  ['of a proxy that is trusted', '127.0.0.1', 'req-1'],
  ['of a peer that is no proxy', '192.0.2.1', null],
])('behind a proxy, the X-Request-Id %s', async (_, trusted, request) => {
  const authority = await openAuthority()
  await authority.clients.add({ id: 'app', authMethod: 'none' })
  await using hosted = await listen(mountNode(behindProxy(authority.handle, [trusted])))
  const { access_token: token } = await authority.issue({
    ...{ clientId: 'app', userId: 'ann', scope: '' },
  })
  const named = { 'x-request-id': 'req-1' }
  await post(`${hosted.url}/auth/revoke`, { client_id: 'app', token }, named)
  expect(await authority.explain(token)).toMatchObject({ death: 'revoked', request })
  await authority.close()
})

describe('a certificate is believed of the proxy at the socket, whoever the client says to be (RFC 8705)', () => {
  const header = 'x-client-cert'
  test.each([
    ['the proxy itself, with a client behind it', '127.0.0.1', '203.0.113.9', 200],
    ['a client that says it is the proxy', '192.0.2.1', '192.0.2.1', 401],
  ])('%s', async (_, trusted, from, status) => {
    const authority = await openAuthority({ certificates: { header, trustedProxies: [trusted] } })
    const certificate = encodeURIComponent(CERTIFICATE)
    const certificates = [thumbprintOf(certificate) ?? '']
    await authority.clients.add({
      id: 'app',
      authMethod: 'self_signed_tls_client_auth',
      certificates,
    })
    const form = { client_id: 'app', token: 'x' }
    const headers = { [header]: certificate, 'x-forwarded-for': from }
    const naive = express().set('trust proxy', true).use(mountExpress(authority.handle))
    const listeners = [naive, mountNode(behindProxy(authority.handle, ['127.0.0.1']))]
    for (const listener of listeners) {
      await using hosted = await listen(listener as RequestListener)
      expect((await post(`${hosted.url}/auth/revoke`, form, headers)).status).toBe(status)
    }
    await authority.close()
  })
})
