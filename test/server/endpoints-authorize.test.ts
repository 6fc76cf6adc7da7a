import * as oauth from 'oauth4webapi'
import { describe, expect, it } from 'vitest'
import type { Authorize, AuthorizeAsk } from '../../src/server/endpoints/authorize.ts'
import { isSameAddress } from '../../src/server/endpoints/authorize.ts'
import { CALLBACK, CHALLENGE } from './core-world.ts'
import { type EndpointWorld, FORM, openEndpoints } from './endpoints-world.ts'

const ADA: Authorize = async () => ({ userId: 'ada', sessionId: 's1' })
const GOOD = {
  response_type: 'code',
  client_id: 'app',
  redirect_uri: CALLBACK,
  code_challenge: CHALLENGE,
  code_challenge_method: 'S256',
  state: 'a b&c',
}

async function open(authorize: Authorize = ADA): Promise<EndpointWorld> {
  const world = await openEndpoints({ authorize })
  await world.addClient({ id: 'app', authMethod: 'none' })
  return world
}

function authorizeAt(world: EndpointWorld, change: Record<string, string | undefined> = {}) {
  const given = Object.entries({ ...GOOD, ...change }).filter(([, value]) => value !== undefined)
  return world.call(`/authorize?${new URLSearchParams(given as [string, string][])}`)
}

/** What a redirect tells the client. */
function told(response: Response): Record<string, string> {
  expect(response.status).toBe(303)
  const location = response.headers.get('location') ?? ''
  expect(location.startsWith(`${CALLBACK}?`)).toBe(true)
  return Object.fromEntries(new URL(location).searchParams)
}

describe('RFC 6749 section 4.1, with PKCE', () => {
  it('gives oauth4webapi a code and tokens, for the resource that was asked for', async () => {
    await using world = await open()
    const issuer = new URL(world.origin)
    const insecure = { [oauth.allowInsecureRequests]: true }
    const server = await oauth.processDiscoveryResponse(
      issuer,
      await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
    )
    const verifier = oauth.generateRandomCodeVerifier()
    const url = new URL(server.authorization_endpoint ?? '')
    const asked = {
      ...GOOD,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      resource: 'https://api.example/v1',
      scope: 'read',
    }
    url.search = new URLSearchParams(asked).toString()
    const response = await fetch(url, { redirect: 'manual' })
    const client = { client_id: 'app' }
    const back = new URL(response.headers.get('location') ?? '')
    const parameters = oauth.validateAuthResponse(server, client, back, GOOD.state)
    const answer = await oauth.processAuthorizationCodeResponse(
      server,
      client,
      await oauth.authorizationCodeGrantRequest(
        ...[server, client, oauth.None(), parameters, CALLBACK, verifier, insecure],
      ),
    )
    expect(await world.authority.introspect(answer.access_token)).toMatchObject({
      ...{ active: true, sub: 'ada', sid: 's1', scope: 'read', aud: 'https://api.example/v1' },
    })
  })

  it('tells the host what is asked, and shows it the request with its cookies', async () => {
    const asks: AuthorizeAsk[] = []
    const requests: Request[] = []
    await using world = await open(async (request, ask) => {
      asks.push(ask)
      requests.push(request)
      return { userId: 'ada', scope: 'read' }
    })
    await world.call(`/authorize?${new URLSearchParams({ ...GOOD, login_hint: 'ada' })}`, {
      headers: { cookie: 'session=1', 'x-forwarded-user': 'ada' },
    })
    expect(asks[0]).toMatchObject({ client: { id: 'app', name: '' }, scope: 'read write' })
    expect(asks[0]?.parameters.get('login_hint')).toBe('ada')
    expect(requests[0]?.headers.get('cookie')).toBe('session=1')
    expect(requests[0]?.headers.get('x-forwarded-user')).toBe('ada')
    expect(requests[0]?.url.startsWith(`${world.origin}/authorize?`)).toBe(true)
  })

  it("sends the host's own response as it is, each cookie in a line", async () => {
    const headers: [string, string][] = [
      ['content-type', 'text/html'],
      ['set-cookie', 'a=1; Path=/'],
      ['set-cookie', 'b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT'],
    ]
    await using world = await open(async () => new Response('<p>log in', { status: 401, headers }))
    const response = await authorizeAt(world)
    expect(response.status).toBe(401)
    expect(await response.text()).toBe('<p>log in')
    expect(response.headers.getSetCookie()).toEqual([headers[1]?.[1], headers[2]?.[1]])
  })

  it('takes a login form that is posted to the same address', async () => {
    await using world = await open(async (request) => {
      if (request.method === 'GET') return new Response('who are you?')
      const form = await request.formData()
      return form.get('password') === 'right' ? { userId: String(form.get('user')) } : null
    })
    const query = new URLSearchParams(GOOD)
    expect(await (await world.call(`/authorize?${query}`)).text()).toBe('who are you?')
    const post = (body: string) =>
      world.call(`/authorize?${query}`, { method: 'POST', headers: { 'content-type': FORM }, body })
    expect(told(await post('user=bob&password=right'))).toHaveProperty('code')
    expect(told(await post('user=bob&password=wrong')).error).toBe('access_denied')
    const inBody = new URLSearchParams({ ...GOOD, user: 'bob', password: 'right' }).toString()
    const headers = { 'content-type': FORM }
    const response = await world.call('/authorize', { method: 'POST', headers, body: inBody })
    expect(told(response)).toHaveProperty('code')
  })

  it('is not there without the host, and not in the metadata', async () => {
    await using world = await openEndpoints()
    expect((await world.call('/authorize')).status).toBe(404)
    const metadata = (await (
      await world.call('/.well-known/oauth-authorization-server')
    ).json()) as Record<string, unknown>
    expect(metadata).not.toHaveProperty('authorization_endpoint')
    expect(metadata).not.toHaveProperty('global_token_revocation_endpoint')
    expect(metadata.response_types_supported).toEqual([])
    expect(metadata.grant_types_supported).not.toContain('authorization_code')
  })
})

describe('RFC 6749 section 4.1.2.1: what is told to the person, and never redirected', () => {
  const cases: [string, Record<string, string | undefined>][] = [
    ['no client', { client_id: undefined }],
    ['an unknown client', { client_id: 'nobody' }],
    ['no address', { redirect_uri: undefined }],
    ['another address', { redirect_uri: 'https://evil.example/callback' }],
    ['a longer address', { redirect_uri: `${CALLBACK}/` }],
    ['an address with a query', { redirect_uri: `${CALLBACK}?a=1` }],
    ['another case', { redirect_uri: CALLBACK.replace('app', 'APP') }],
  ]
  it.each(cases)('%s', async (_, change) => {
    await using world = await open()
    const response = await authorizeAt(world, change)
    expect(response.status).toBe(400)
    expect(response.headers.get('location')).toBeNull()
    expect(response.headers.get('content-type')).toContain('text/html')
    const page = await response.text()
    expect(page).not.toContain('evil')
    expect(page).not.toContain('a b&c')
  })

  it('a disabled client, a parameter that is there twice, a broken escape', async () => {
    await using world = await open()
    await world.addClient({ id: 'off' })
    await world.authority.clients.disable('off')
    expect((await authorizeAt(world, { client_id: 'off' })).status).toBe(400)
    const query = new URLSearchParams(GOOD)
    expect((await world.call(`/authorize?${query}&client_id=app`)).status).toBe(400)
    expect((await world.call(`/authorize?${query}&x=%zz`)).status).toBe(400)
    expect((await world.call('/authorize', { method: 'PUT' })).status).toBe(405)
  })
})

describe('RFC 6749 section 4.1.2.1: what is redirected, with state and RFC 9207 iss', () => {
  const cases: [string, Record<string, string | undefined>, string][] = [
    ['no response_type', { response_type: undefined }, 'invalid_request'],
    ['the implicit grant', { response_type: 'token' }, 'unsupported_response_type'],
    ['no PKCE (RFC 7636 section 4.4.1)', { code_challenge: undefined }, 'invalid_request'],
    ['plain PKCE', { code_challenge_method: 'plain' }, 'invalid_request'],
    [
      'PKCE without a method, which is plain',
      { code_challenge_method: undefined },
      'invalid_request',
    ],
    ['a challenge that is none', { code_challenge: 'short' }, 'invalid_request'],
    ['a scope that the client has not', { scope: 'admin' }, 'invalid_scope'],
    ['a malformed scope', { scope: 'read  write' }, 'invalid_scope'],
    [
      'a fragment in the resource (RFC 8707)',
      { resource: 'https://a.example/#b' },
      'invalid_target',
    ],
    ['another response mode', { response_mode: 'fragment' }, 'invalid_request'],
    ['a request object', { request: 'eyJ' }, 'invalid_request'],
  ]
  it.each(cases)('%s', async (_, change, error) => {
    await using world = await open()
    const answer = told(await authorizeAt(world, change))
    expect(answer).toMatchObject({ error, state: GOOD.state, iss: world.origin })
    expect(answer).not.toHaveProperty('code')
  })

  it('a client without the grant type, a user who says no, a host that fails', async () => {
    let decide: Authorize = async () => null
    await using world = await open((request, ask) => decide(request, ask))
    await world.addClient({ id: 'machine', grantTypes: ['client_credentials'] })
    const machine = told(await authorizeAt(world, { client_id: 'machine' }))
    expect(machine.error).toBe('unauthorized_client')
    expect(told(await authorizeAt(world)).error).toBe('access_denied')
    decide = async () => {
      throw new Error('the login is down: hunter2')
    }
    const failed = told(await authorizeAt(world))
    expect(failed.error).toBe('server_error')
    expect(JSON.stringify(failed)).not.toContain('hunter2')
    decide = async () => ({ userId: 'ada', scope: 'read admin' })
    expect(told(await authorizeAt(world)).error).toBe('server_error')
    decide = async () => ({ userId: '' })
    expect(told(await authorizeAt(world)).error).toBe('server_error')
    expect(world.trouble).toHaveLength(3)
  })

  it.each<[string, object, RegExp]>([
    ['a user that is an object', { userId: { id: 'ada' } }, /userId needs a name/],
    ['a session that is an object', { userId: 'ada', sessionId: {} }, /sessionId needs a name/],
    ['a misspelt session', { userId: 'ada', sessionID: 's1' }, /no key sessionID/],
    ['a scope that is a list', { userId: 'ada', scope: ['read'] }, /scope needs/],
  ])('a host that returns %s: no code, and the host is told', async (_, decided, says) => {
    await using world = await open(async () => decided as never)
    expect(told(await authorizeAt(world))).toMatchObject({ error: 'server_error' })
    const message = expect.stringMatching(says)
    expect(world.trouble).toMatchObject([{ code: 'usage', message }])
    expect(await world.events()).not.toContain('grant.started')
  })
})

describe('RFC 9700 section 4.15: a user who is named like the client', () => {
  it('is denied with the reason, and the host is told', async () => {
    await using world = await open(async () => ({ userId: 'app' }))
    expect(told(await authorizeAt(world))).toMatchObject({
      error: 'access_denied',
      error_description: expect.stringContaining('named like the application'),
      state: GOOD.state,
    })
    const message = expect.stringMatching(/"app" is named like the client/)
    expect(world.trouble).toMatchObject([{ code: 'usage', message }])
    expect(await world.events()).not.toContain('grant.started')
  })
})

describe('RFC 8252 section 7.3: any port of loopback, and nothing else', () => {
  it.each([
    ['http://127.0.0.1/cb', 'http://127.0.0.1:5000/cb', true],
    ['http://127.0.0.1:1/cb', 'http://127.0.0.1:5000/cb', true],
    ['http://[::1]/cb', 'http://[::1]:5000/cb', true],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:5000/other', false],
    ['http://127.0.0.1/cb', 'http://[::1]:5000/cb', false],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:5000@evil.example/cb', false],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:99999/cb', false],
    ['http://127.0.0.1/cb', 'http://127.0.0.1.evil.example/cb', false],
    ['http://127.0.0.1/cb', 'https://127.0.0.1:5000/cb', false],
    ['http://localhost/cb', 'http://localhost:5000/cb', false],
    ['https://app.example/cb', 'https://app.example:444/cb', false],
  ])('%s, asked %s: %s', (registered, asked, expected) => {
    expect(isSameAddress(registered, asked)).toBe(expected)
  })

  it.each(['javascript:alert(1)', 'https://a.example/#x', '/callback', 'https://ä.example/'])(
    'a client is not registered with %s',
    async (uri) => {
      await using world = await openEndpoints()
      const added = world.authority.clients.add({ id: 'bad', redirectUris: [uri] })
      await expect(added).rejects.toMatchObject({ code: 'usage' })
    },
  )
})
