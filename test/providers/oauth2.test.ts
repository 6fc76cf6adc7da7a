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

describe('what a read by the access token showed', () => {
  const OK = { ok: true }
  test.each<[title: string, status: number, body: unknown, challenge: string | null, said: string]>(
    [
      ['whose it is', 200, { sub: 'ada' }, null, 'alive'],
      ['something else than whose it is', 200, OK, null, 'alive'],
      ['no error', 200, { error: null, ...OK }, null, 'alive'],
      ['an empty error', 200, { error: '', ...OK }, null, 'alive'],
      ['a list', 200, [OK], null, 'unclear answer_invalid'],
      ['a web page', 200, '<html>', null, 'unclear answer_invalid'],
      ['Slack: revoked', 200, { ok: false, error: 'token_revoked' }, null, 'dead token_revoked'],
      ['Slack: expired', 200, { ok: false, error: 'token_expired' }, null, 'dead token_expired'],
      ['Slack: not known', 200, { ok: false, error: 'invalid_auth' }, null, 'dead invalid_auth'],
      [
        'Slack: of nobody',
        200,
        { ok: false, error: 'account_inactive' },
        null,
        'dead account_inactive',
      ],
      ['the word of RFC 6750', 200, { error: 'invalid_token' }, null, 'dead invalid_token'],
      ['in capitals', 200, { error: 'TOKEN_REVOKED' }, null, 'dead TOKEN_REVOKED'],
      ['Slack: a scope', 200, { ok: false, error: 'missing_scope' }, null, 'unclear missing_scope'],
      ['Slack: too often', 200, { ok: false, error: 'ratelimited' }, null, 'unclear ratelimited'],
      ['Slack: busy', 200, { ok: false, error: 'internal_error' }, null, 'unclear internal_error'],
      ['an error beside ok', 200, { ...OK, error: 'no_text' }, null, 'unclear no_text'],
      ['not ok, and no word', 200, { ok: false }, null, 'unclear http_200'],
      ['not ok, and a text', 200, { ok: false, error: 'It was revoked' }, null, 'unclear http_200'],
      ['RFC 6750 section 3.1', 401, {}, 'Bearer error="invalid_token"', 'dead invalid_token'],
      [
        'a vendor’s word, with its status',
        401,
        { error: 'token_revoked' },
        null,
        'dead token_revoked',
      ],
      ['a proxy', 401, {}, 'Basic realm="x"', 'refused http_401'],
      [
        'RFC 6750: a scope',
        403,
        {},
        'Bearer error="insufficient_scope"',
        'refused insufficient_scope',
      ],
      [
        'a word with a wrong status',
        403,
        { error: 'token_revoked' },
        null,
        'refused token_revoked',
      ],
      ['a word while it fails', 503, { error: 'token_revoked' }, null, 'unclear token_revoked'],
    ],
  )('%s: HTTP %d, %j, %s is %s', async (_title, status, body, challenge, said) => {
    answer = (_request, response) => {
      const type = { 'content-type': 'application/json' }
      response.writeHead(status, { ...type, ...(challenge && { 'www-authenticate': challenge }) })
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    }
    const options = { probeUrl: `${server.url}/me` }
    const probe = await way.probe(app({ options }), TOKEN, { http })
    expect(`${probe.verdict} ${'code' in probe ? probe.code : ''}`.trim()).toBe(said)
  })
})

describe('what a revocation showed', () => {
  test.each<[title: string, status: number, body: string, revoked: string, alreadyDead: boolean]>([
    ['RFC 7009 section 2.2: done', 200, '', 'yes', false],
    ['Google: dead before', 400, '{"error":"invalid_token"}', 'yes', true],
    ['accepted, and not done yet', 202, '', 'unknown', false],
    ['a web page of something else', 200, '<html></html>', 'unknown', false],
    ['a failure that may have acted', 500, '', 'unknown', false],
    ['its word for such a failure', 400, '{"error":"server_error"}', 'unknown', false],
    ['RFC 7009 section 2.2.1: too busy', 503, '', 'no', false],
    ['our client is refused', 401, '{"error":"invalid_client"}', 'no', false],
    ['a kind that is not revoked', 400, '{"error":"unsupported_token_type"}', 'no', false],
  ])('%s: HTTP %d, %s is %s', async (_title, status, body, revoked, alreadyDead) => {
    endpoints = [...endpoints, 'revocation']
    answer = (_request, response) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(body)
    const said = await way.revoke(app(), { kind: 'refresh', token: TOKEN }, { http })
    expect(said).toMatchObject({ revoked, alreadyDead, status })
  })
})

describe('RFC 9207 section 2.4: a server that promises no issuer at the callback', () => {
  test.each<[title: string, iss: () => string | null, isSent: boolean]>([
    ['none came', () => null, true],
    ['its own came all the same', () => server.url, true],
    ['one came that begins as its own', () => `${server.url}/realms/other`, false],
    ['another’s came', () => 'https://evil.example', false],
  ])('%s', async (_title, iss, isSent) => {
    answer = (_request, response) => response.end('{"access_token":"at","token_type":"bearer"}')
    const grant = { code: new Secret('code'), verifier: new Secret('v'.repeat(43)), iss: iss() }
    const { error } = await way.redeem(app(), grant, { http })
    expect(error).toBe(isSent ? null : 'issuer_mismatch')
    const asked = server.requests.filter(({ path }) => path === '/token')
    expect(asked).toHaveLength(isSent ? 1 : 0)
  })
})
