import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/core/clock.ts'
import { RescindError } from '../../src/core/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import type { SubjectIdentifier } from '../../src/server/endpoints/global-revocation.ts'
import type { Change } from '../../src/store/authority/contract.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { CALLBACK, CHALLENGE } from './core-world.ts'
import { basicHeader, bearer, type EndpointWorld, openEndpoints } from './endpoints-world.ts'

const ADMIN = 'admin-key-0123456789abcdef'
const OTHER = 'other-key-0123456789abcdef'
const OKTA = 'okta-key-0123456789abcdefg'
const hashOf = (key: string) => createHash('sha256').update(key).digest('base64url')

async function open(options: Parameters<typeof openEndpoints>[0] = {}): Promise<EndpointWorld> {
  const world = await openEndpoints({ adminKeys: [hashOf(OTHER), new Secret(ADMIN)], ...options })
  await world.addClient({ id: 'app' })
  await world.addClient({ id: 'other' })
  return world
}

function send(
  { call }: EndpointWorld,
  body: unknown,
  { path = '/admin/revoke', key = ADMIN, type = 'application/json' } = {},
): Promise<Response> {
  return call(path, {
    method: 'POST',
    headers: { 'content-type': type, ...bearer(key) },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

describe('POST /admin/revoke', () => {
  it('counts when it is asked to, and kills what is named, and nothing beside it', async () => {
    await using world = await open()
    const tokens = {
      ada: (await world.issue('app', 'ada', 's1')).refresh_token,
      adaOther: (await world.issue('other', 'ada', 's2')).refresh_token,
      bob: (await world.issue('app', 'bob', 's3')).refresh_token,
    }
    const alive = () => world.isActive(tokens.ada, tokens.adaOther, tokens.bob)
    const dry = await send(world, { user: 'ada', dryRun: true })
    expect(await dry.json()).toEqual({ counted: { grants: 2, tokens: 4 }, revoked: false })
    expect(await alive()).toEqual([true, true, true])
    const narrow = await send(world, { user: 'ada', client: 'app' })
    expect(await narrow.json()).toEqual({ revoked: true })
    expect(await alive()).toEqual([false, true, true])
    await send(world, { session: 's3' })
    expect(await alive()).toEqual([false, true, false])
    await send(world, { client: 'other' })
    expect(await alive()).toEqual([false, false, false])
  })

  it('kills without a count: none that fails or never ends holds a revocation up', async () => {
    await using world = await open({
      openStore: async (clock) => ({
        ...(await openSqliteAuthorityStore(':memory:', { clock })),
        countReach: () => new Promise(() => {}),
      }),
    })
    const [ada, bob] = [await world.issue('app', 'ada'), await world.issue('app', 'bob')]
    expect((await send(world, { user: 'ada' })).status).toBe(200)
    await world.authority.revoke({ user: 'bob' })
    expect(await world.isActive(ada.refresh_token, bob.refresh_token)).toEqual([false, false])
  })

  it('kills one grant, and what was issued before a moment', async () => {
    await using world = await open()
    const [first, second] = [await world.issue('app'), await world.issue('app')]
    const events = await world.authority.events()
    const event = events.find(({ type }) => type === 'grant.started')
    await send(world, { grant: event?.grantId })
    expect(await world.isActive(first.access_token, second.access_token)).toEqual([false, true])
    world.clock.advance(10)
    const third = await world.issue('app')
    const issuedBefore = new Date(world.clock.now() - 5_000).toISOString()
    expect((await send(world, { issuedBefore })).status).toBe(200)
    expect(await world.isActive(second.access_token, third.access_token)).toEqual([false, true])
  })

  it('says of a grant that never was that nothing was revoked, and tells no event', async () => {
    await using world = await open()
    await world.issue('app')
    const events = await world.authority.events()
    const never = await send(world, { grant: 999_999 })
    expect([never.status, await never.json()]).toEqual([200, { revoked: false }])
    expect(await world.authority.events()).toEqual(events)
    const grant = events.find(({ type }) => type === 'grant.started')?.grantId
    for (const _ of ['alive', 'dead already']) {
      expect(await (await send(world, { grant })).json()).toEqual({ revoked: true })
    }
  })

  it.each([{ client: 'nope' }, { client: 'nope', user: 'ada' }])(
    'says of a client that is not there that nothing was revoked, and tells no event: %j',
    async (reach) => {
      await using world = await open()
      await world.issue('app')
      const events = await world.authority.events()
      const never = await send(world, reach)
      expect([never.status, await never.json()]).toEqual([200, { revoked: false }])
      expect(await world.authority.events()).toEqual(events)
    },
  )

  it('knows the key dryRun where one is misspelt', async () => {
    await using world = await open()
    const answer = await send(world, { user: 'ada', dry_run: true })
    const { error_description: said } = (await answer.json()) as Record<string, string>
    expect([answer.status, said]).toEqual([400, expect.stringMatching(/dry_run.*, dryRun\.$/)])
  })

  it('tells who asked, and by which request, in the event', async () => {
    await using world = await open()
    await world.call('/admin/revoke', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(OTHER), 'x-request-id': 'req-1' },
      body: '{"user":"ada"}',
    })
    const last = (await world.authority.events()).at(-1)
    expect(last).toMatchObject({ type: 'reach.revoked', cause: 'admin', actor: 'admin' })
    expect(last).toMatchObject({ userId: 'ada', request: 'req-1' })
  })

  const wrong: [string, unknown, number][] = [
    ['no JSON', 'user=ada', 400],
    ['no object', '["ada"]', 400],
    ['null', 'null', 400],
    ['nothing named', {}, 400],
    ['only dryRun', { dryRun: true }, 400],
    ['a key twice', '{"user":"ada","user":"bob"}', 400],
    ['a key twice, once escaped', '{"user":"ada","us\\u0065r":"bob"}', 400],
    ['an unknown key', { user: 'ada', usr: 'bob' }, 400],
    ['__proto__', '{"user":"ada","__proto__":{"dryRun":true}}', 400],
    ['a number for a user', { user: 1 }, 400],
    ['null for a user', { user: null }, 400],
    ['a list for a user', { user: ['ada'] }, 400],
    ['an empty user', { user: '' }, 400],
    ['NUL in a user', { user: 'a\0b' }, 400],
    ['half a surrogate pair', '{"user":"\\ud800"}', 400],
    ['a user of 513 characters', { user: 'a'.repeat(513) }, 400],
    ['a client with a space, which would be a user', { client: 'app ada' }, 400],
    ['a grant as text', { grant: '1' }, 400],
    ['a grant that is no whole number', { grant: 1.5 }, 400],
    ['a session and a user', { session: 's', user: 'ada' }, 400],
    ['a session and a grant', { session: 's', grant: 1 }, 400],
    ['a grant and a moment', { grant: 1, issuedBefore: '2026-01-01T00:00:00Z' }, 400],
    ['a day for a moment', { issuedBefore: '2026-01-01' }, 400],
    ['a moment without a zone', { issuedBefore: '2026-01-01T00:00:00' }, 400],
    ['a moment that has not come', { issuedBefore: '2999-01-01T00:00:00Z' }, 400],
    ['dryRun as text', { user: 'ada', dryRun: 'true' }, 400],
    ['deep nesting', `${'{"user":'.repeat(20)}1${'}'.repeat(20)}`, 400],
    ['a body of 20 KB', { user: 'a'.repeat(20_000) }, 413],
  ]
  it.each(wrong)('refuses %s with one sentence, and does nothing', async (_, body, status) => {
    await using world = await open()
    const token = (await world.issue('app')).access_token
    const response = await send(world, body)
    expect(response.status).toBe(status)
    const { error, error_description } = (await response.json()) as Record<string, string>
    expect(error).toBe('invalid_request')
    expect(error_description).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]{5,160}\.$/)
    expect(await world.isActive(token)).toEqual([true])
  })

  it('refuses another type, a query and another method', async () => {
    await using world = await open()
    expect((await send(world, { user: 'a' }, { type: 'text/plain' })).status).toBe(415)
    expect((await send(world, { user: 'a' }, { path: '/admin/revoke?user=a' })).status).toBe(400)
    const response = await world.call('/admin/revoke')
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
  })

  it('is for its own keys: no client, no token and no hash of a key opens it', async () => {
    await using world = await open()
    const secret = await world.addClient({ id: 'conf' })
    const { access_token } = await world.issue('app')
    for (const key of [access_token, hashOf(ADMIN), hashOf(OTHER), `${ADMIN}x`]) {
      const response = await send(world, { user: 'ada' }, { key })
      expect(response.status).toBe(401)
      expect(response.headers.get('www-authenticate')).toContain('error="invalid_token"')
    }
    const basic = await world.call('/admin/revoke', {
      method: 'POST',
      headers: basicHeader({ id: 'conf', secret }),
    })
    expect(basic.status).toBe(401)
    expect(await world.isActive(access_token)).toEqual([true])
  })

  it('slows down who guesses', async () => {
    await using world = await open()
    const guess = async () => (await send(world, { user: 'ada' }, { key: 'guess' })).status
    const statuses: number[] = []
    for (let tries = 0; tries < 11; tries += 1) statuses.push(await guess())
    expect(statuses.at(-1)).toBe(429)
    // Who has the key is not locked out by who guesses at it.
    expect((await send(world, { user: 'ada' })).status).toBe(200)
    expect(await guess()).toBe(429)
    world.clock.advance(61)
    expect(await guess()).toBe(401)
  })

  it('is not there without a key, and a key that is none is refused at the start', async () => {
    await using world = await openEndpoints()
    expect((await send(world, { user: 'ada' })).status).toBe(404)
    expect((await world.call('/admin/events')).status).toBe(404)
    for (const key of ['plain-text-key', new Secret('short')]) {
      await expect(openEndpoints({ adminKeys: [key] })).rejects.toMatchObject({
        code: 'key_invalid',
      })
    }
  })
})

describe('a store in trouble', () => {
  it('503 with Retry-After, and nothing is dead', async () => {
    let isDown = false
    const openStore = async (clock: Clock) => {
      const store = await openSqliteAuthorityStore(':memory:', { clock })
      const down = async () => {
        throw new RescindError('store_full', 'The disk is full.')
      }
      return { ...store, commit: (change: Change) => (isDown ? down() : store.commit(change)) }
    }
    const callers = [{ name: 'okta', key: new Secret(OKTA), tenant: null }]
    const authorize = async () => ({ userId: 'ada' })
    await using world = await open({ openStore, globalRevocation: { callers }, authorize })
    const { access_token } = await world.issue('app')
    isDown = true
    const path = '/global-token-revocation'
    for (const response of [
      await send(world, { user: 'ada' }),
      await send(world, { sub_id: { format: 'opaque', id: 'ada' } }, { path, key: OKTA }),
    ]) {
      expect(response.status).toBe(503)
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
    }
    const query = new URLSearchParams({
      ...{ client_id: 'app', redirect_uri: CALLBACK, response_type: 'code' },
      ...{ code_challenge: CHALLENGE, code_challenge_method: 'S256' },
    })
    const redirected = (await world.call(`/authorize?${query}`)).headers.get('location')
    expect(redirected).toContain('error=temporarily_unavailable')
    expect(await world.isActive(access_token)).toEqual([true])
    isDown = false
    expect((await send(world, { user: 'ada' })).status).toBe(200)
    expect(await world.isActive(access_token)).toEqual([false])
  })
})

describe('GET /admin/events', () => {
  it('gives every event once, page by page', async () => {
    await using world = await open()
    for (let count = 0; count < 5; count += 1) await world.issue('app')
    const seen: string[] = []
    let after = ''
    for (;;) {
      const path = `/admin/events?limit=2${after && `&after=${after}`}`
      const page = (await (await world.call(path, { headers: bearer(ADMIN) })).json()) as {
        events: { id: string; type: string }[]
        next: string
      }
      if (page.events.length === 0) break
      seen.push(...page.events.map(({ id }) => id))
      after = page.next
    }
    const all = await world.authority.events()
    expect(seen).toEqual(all.map(({ id }) => id))
  })

  it.each([
    'limit=0',
    'limit=1001',
    'limit=x',
    'limit=1&limit=2',
    'after=%00',
    "after='--",
    'after=rsc',
    'after=1-x',
    'x=1',
  ])('refuses %s', async (query) => {
    await using world = await open()
    const response = await world.call(`/admin/events?${query}`, { headers: bearer(ADMIN) })
    expect(response.status).toBe(400)
  })

  it('is for its keys alone', async () => {
    await using world = await open()
    expect((await world.call('/admin/events')).status).toBe(401)
    const response = await world.call('/admin/events', { method: 'POST', headers: bearer(ADMIN) })
    expect(response.status).toBe(405)
  })
})

describe('Global Token Revocation', () => {
  const path = '/global-token-revocation'
  const callers = [{ name: 'okta', key: new Secret(OKTA), tenant: null }]

  it.each<[string, (origin: string) => unknown]>([
    ['sub_id, opaque', () => ({ sub_id: { format: 'opaque', id: 'ada' } })],
    ['subject, of the older drafts', () => ({ subject: { format: 'opaque', id: 'ada' } })],
    ['iss_sub', (origin) => ({ sub_id: { format: 'iss_sub', iss: origin, sub: 'ada' } })],
  ])('%s: all of the user, and 204', async (_, body) => {
    await using world = await open({ globalRevocation: { callers } })
    const [ada, bob] = [await world.issue('app'), await world.issue('app', 'bob')]
    const response = await send(world, body(world.origin), { path, key: OKTA })
    expect([response.status, await response.text()]).toEqual([204, ''])
    expect(response.headers.get('content-length')).toBeNull()
    expect(await world.isActive(ada.access_token, ada.refresh_token)).toEqual([false, false])
    expect(await world.isActive(bob.access_token)).toEqual([true])
    const last = (await world.authority.events()).at(-1)
    expect(last).toMatchObject({ cause: 'global_token_revocation', actor: 'caller:okta' })
    const metadata = await world.call('/.well-known/oauth-authorization-server')
    expect(await metadata.json()).toHaveProperty('global_token_revocation_endpoint')
  })

  it('a caller reaches the users of its own tenant alone', async () => {
    const users: Record<string, string> = {
      'acme ada@x.example': 'ada',
      'beta bob@x.example': 'bob',
    }
    const resolveSubject = async (subject: SubjectIdentifier, tenant: string | null) =>
      subject.format === 'email' ? (users[`${tenant} ${subject.email}`] ?? null) : null
    const acme = { name: 'okta', key: new Secret(OKTA), tenant: 'acme' }
    const globalRevocation = { callers: [acme], resolveSubject }
    await using world = await open({ globalRevocation })
    const [ada, bob] = [await world.issue('app'), await world.issue('app', 'bob')]
    const kill = (email: string) =>
      send(world, { sub_id: { format: 'email', email } }, { path, key: OKTA })
    expect((await kill('bob@x.example')).status).toBe(404)
    expect((await kill('ada@x.example')).status).toBe(204)
    expect(await world.isActive(ada.access_token, bob.access_token)).toEqual([false, true])
    const unscoped = open({ globalRevocation: { callers: [acme] } })
    await expect(unscoped).rejects.toMatchObject({ code: 'usage' })
  })

  it.each<[string, unknown, number]>([
    ['no subject', {}, 400],
    [
      'both keys',
      { sub_id: { format: 'opaque', id: 'a' }, subject: { format: 'opaque', id: 'b' } },
      400,
    ],
    ['a string', { sub_id: 'ada' }, 400],
    ['an unknown format', { sub_id: { format: 'did', url: 'did:x' } }, 400],
    ['a member too many', { sub_id: { format: 'opaque', id: 'a', sub: 'b' } }, 400],
    ['a member twice', '{"sub_id":{"format":"opaque","id":"a","id":"b"}}', 400],
    ['NUL', { sub_id: { format: 'opaque', id: 'a\0' } }, 400],
    [
      'another issuer',
      { sub_id: { format: 'iss_sub', iss: 'https://x.example', sub: 'ada' } },
      404,
    ],
    ['a mail address that nobody resolves', { sub_id: { format: 'email', email: 'a@b.c' } }, 404],
  ])('refuses %s', async (_, body, status) => {
    await using world = await open({ globalRevocation: { callers } })
    const { access_token } = await world.issue('app')
    expect((await send(world, body, { path, key: OKTA })).status).toBe(status)
    expect((await send(world, body, { path, key: ADMIN })).status).toBe(401)
    expect(await world.isActive(access_token)).toEqual([true])
  })
})
