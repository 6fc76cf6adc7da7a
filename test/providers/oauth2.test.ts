import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createHttp, type Http } from '../../src/core/http.ts'
import { Secret } from '../../src/core/secret.ts'
import type { ConnectionApp } from '../../src/providers/connection-way.ts'
import { oauth2 } from '../../src/providers/oauth2.ts'
import { type RawHandler, type RawServer, startRawServer } from '../cli/raw-server.ts'

const way = oauth2.connection!
const TOKEN = new Secret('a-token-of-somebody')
let server: RawServer
let http: Http
let endpoints: readonly string[]
let answer: RawHandler

beforeEach(async () => {
  http = createHttp()
  endpoints = ['authorization', 'token']
  server = await startRawServer((request, response, nth) => {
    if (!request.path.startsWith('/.well-known/')) return answer(request, response, nth)
    const at = endpoints.map((name) => [`${name}_endpoint`, `${server.url}/${name}`])
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ issuer: server.url, ...Object.fromEntries(at) }))
  })
})
afterEach(async () => {
  await http.close()
  await server.close()
})

const app = (more: Partial<ConnectionApp> = {}): ConnectionApp => ({
  ...{ url: server.url, clientId: 'app', clientSecret: new Secret('hunter22'), options: {} },
  ...{ redirectUri: 'https://app.example/cb', scopes: ['read'], ...more },
})

describe('where an owner consents', () => {
  test.each([
    ['the first time', false, null],
    ['again', true, 'consent'],
  ])(
    '%s: offline access is asked for, or Google gives no refresh token',
    async (_title, force, prompt) => {
      const request = { state: 'st', challenge: 'ch', force }
      const { searchParams } = new URL(await way.authorizationUrl(app(), request, { http }))
      expect(searchParams.get('access_type')).toBe('offline')
      expect(searchParams.get('prompt')).toBe(prompt)
    },
  )
})

describe('RFC 9110 section 10.2.3: a token endpoint that asks to wait', () => {
  const HOUR = 3_600_000
  test.each([
    ['in seconds', 0, () => '30'],
    ['by a date', 0, (now: number) => new Date(now + 30_000).toUTCString()],
    [
      'by a date of a clock an hour ahead',
      HOUR,
      (now: number) => new Date(now + 30_000).toUTCString(),
    ],
    [
      'by a date of a clock an hour behind',
      -HOUR,
      (now: number) => new Date(now + 30_000).toUTCString(),
    ],
  ])('%s', async (_title, skew, retryAfter) => {
    answer = (_request, response) => {
      const now = Date.now() + skew
      const headers = { 'retry-after': retryAfter(now), date: new Date(now).toUTCString() }
      response.writeHead(503, headers).end()
    }
    const { status, retryAfterMs } = await way.refresh(app(), TOKEN, { http })
    expect([status, retryAfterMs]).toEqual([503, 30_000])
  })
})

describe('a server that cannot say whether a token lives', () => {
  const look = () => way.look!(app(), { kind: 'refresh', token: TOKEN }, { http })

  test('without introspection: it is unable, and nothing is sent', async () => {
    expect(await look()).toBe('unable')
    const asked = server.requests.filter(({ path }) => !path.startsWith('/.well-known/'))
    expect(asked).toEqual([])
  })

  test.each([
    ['refuses our client', 401, '{"error":"invalid_client"}', 'unable'],
    ['lets no client look', 403, '{"error":"access_denied"}', 'unable'],
    ['is busy', 429, '', 'unclear'],
    ['is down', 503, '', 'unclear'],
    ['says that it is down', 400, '{"error":"temporarily_unavailable"}', 'unclear'],
  ])('with introspection that %s', async (_title, status, body, looked) => {
    endpoints = [...endpoints, 'introspection']
    answer = (_request, response) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(body)
    expect(await look()).toBe(looked)
  })

  test('without userinfo, introspection and probeUrl there is no probe: neither life nor death', async () => {
    expect(await way.probe(app(), TOKEN, { http })).toEqual({
      ...{ verdict: 'unclear', status: null, code: 'no_probe' },
    })
  })
})
