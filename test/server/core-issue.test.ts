import { describe, expect, test } from 'vitest'
import {
  activity,
  askedBy,
  CHALLENGE,
  code,
  eventsDuring,
  eventsOf,
  granted,
  issue,
  openWorld,
  redeem,
  rotate,
  type World,
} from './core-world.ts'

const UNKNOWN = { error: 'invalid_grant' }

describe('issue: a grant with its first tokens', () => {
  test('the answer has both tokens, the scope, and the lifetime in seconds', async () => {
    await using world = await openWorld({ lifetimes: { accessToken: 300 } })
    expect(await issue(world)).toEqual({
      access_token: expect.stringMatching(/^rsc_at_[\w-]{48}$/),
      refresh_token: expect.stringMatching(/^rsc_rt_[\w-]{48}$/),
      ...{ token_type: 'Bearer', expires_in: 300, scope: 'read write' },
    })
  })
  test('introspection says whose they are (RFC 7662 section 2.2)', async () => {
    await using world = await openWorld()
    const { access_token } = await issue(world, { session: 's1', scope: 'read' })
    const iat = world.clock.now() / 1000
    expect(await world.core.introspecting.token(access_token, null)).toEqual({
      ...{ active: true, iss: 'https://as.example', client_id: 'app', scope: 'read', sub: 'ada' },
      ...{ iat, exp: iat + 600, token_type: 'Bearer', sid: 's1' },
    })
  })
  test('without a refresh token where none is wanted', async () => {
    await using world = await openWorld()
    const { core, app } = world
    const answer = await core.issuing.start({
      ...{ client: app, userId: 'ada', scope: 'read', refreshable: false, asked: askedBy(app) },
      began: await core.issuing.begin(),
    })
    expect(answer).not.toHaveProperty('refresh_token')
    expect(await activity(world, answer.access_token)).toEqual([true])
  })
  test.each([
    ['access_token', 600],
    ['refresh_token', 30 * 86_400],
  ] as const)('the %s is dead from its %d. second on, and not before', async (name, seconds) => {
    await using world = await openWorld()
    const token = (await issue(world))[name]
    world.clock.advance(seconds - 0.001)
    expect(await activity(world, token)).toEqual([true])
    world.clock.advance(0.001)
    expect(await activity(world, token)).toEqual([false])
  })
  test('a token of another authority, with another key, is unknown', async () => {
    await using world = await openWorld()
    const { access_token } = await issue(world)
    await using elsewhere = await openWorld({ key: new Uint8Array(32).fill(8) })
    // Rows of the same ids are there.
    await issue(elsewhere)
    expect(await activity(elsewhere, access_token)).toEqual([false])
  })
})

describe('introspection tells a client no more than it may know', () => {
  test.each([
    ['own', 'app', true],
    ['own', 'other', false],
    ['none', 'app', false],
    ['all', 'other', true],
  ] as const)('"%s", asked by %s', async (introspect, id, expected) => {
    await using world = await openWorld()
    const { access_token, refresh_token } = await issue(world)
    const caller = { ...world.app, id, introspect }
    for (const token of [access_token, refresh_token]) {
      expect((await world.core.introspecting.token(token, caller)).active).toBe(expected)
    }
  })
  test('by audience (RFC 8707)', async () => {
    await using world = await openWorld()
    const { core, app, other } = world
    const answer = await core.issuing.start({
      ...{ client: app, userId: 'ada', scope: 'read', audience: 'https://api.example' },
      ...{ refreshable: false, asked: askedBy(app), began: await core.issuing.begin() },
    })
    for (const [audience, active] of [
      ['https://api.example', true],
      ['https://mail.example', false],
    ] as const) {
      const caller = { ...other, introspect: [audience] }
      expect((await core.introspecting.token(answer.access_token, caller)).active).toBe(active)
    }
  })
})

describe('a code is redeemed once (RFC 6749 section 4.1.3)', () => {
  test('for tokens of its grant', async () => {
    await using world = await openWorld()
    const given = await code(world)
    const happened = await eventsDuring(world, async () => {
      const pair = granted(await redeem(world, given))
      expect(await activity(world, pair.access_token, pair.refresh_token)).toEqual([true, true])
    })
    expect(happened).toEqual(['code.redeemed code'])
  })
  test('a second time kills all that the first gave (RFC 6749 section 4.1.2)', async () => {
    await using world = await openWorld()
    const given = await code(world)
    const first = granted(await redeem(world, given))
    const second = granted(await rotate(world, first.refresh_token))
    const happened = await eventsDuring(world, async () => {
      expect(await redeem(world, given)).toMatchObject(UNKNOWN)
    })
    expect(happened).toEqual(['grant.revoked code_reuse'])
    const tokens = [first.access_token, second.access_token, second.refresh_token]
    expect(await activity(world, ...tokens)).toEqual([false, false, false])
  })
  test('a third time tells of nothing more', async () => {
    await using world = await openWorld()
    const given = await code(world)
    for (let times = 0; times < 2; times += 1) await redeem(world, given)
    expect(await eventsDuring(world, () => redeem(world, given))).toEqual([])
  })
  test.each([
    ['a wrong verifier (RFC 7636 section 4.6)', () => ({ challenge: 'x'.repeat(43) })],
    ['another redirect_uri', () => ({ redirectUri: 'https://app.example/else' })],
    ['another client', ({ other }: World) => ({ client: other })],
  ])('%s is refused, spends nothing and kills nothing', async (_, wrong) => {
    await using world = await openWorld()
    const given = await code(world)
    expect(await redeem(world, given, wrong(world))).toMatchObject(UNKNOWN)
    const pair = granted(await redeem(world, given))
    expect(await redeem(world, given, wrong(world))).toMatchObject(UNKNOWN)
    expect(await activity(world, pair.access_token)).toEqual([true])
  })
  test('a code that is too old is refused', async () => {
    await using world = await openWorld()
    const given = await code(world)
    world.clock.advance(60)
    expect(await redeem(world, given)).toMatchObject(UNKNOWN)
  })
  test('a code of a user whose tokens were revoked meanwhile is refused', async () => {
    await using world = await openWorld()
    const given = await code(world)
    await world.core.revoking.reach({ user: 'ada' }, 'admin', { actor: 'admin' })
    const happened = await eventsDuring(world, async () => {
      expect(await redeem(world, given)).toMatchObject(UNKNOWN)
    })
    expect(happened).toEqual([])
  })
  test('a code is no token: it is not active, and cannot be refreshed with', async () => {
    await using world = await openWorld()
    const given = await code(world)
    expect(await activity(world, given)).toEqual([false])
    expect(await rotate(world, given)).toMatchObject(UNKNOWN)
    granted(await redeem(world, given))
  })
  test('a client without the refresh grant gets no refresh token', async () => {
    await using world = await openWorld()
    const given = await code(world)
    const client = { ...world.app, grantTypes: ['authorization_code' as const] }
    const answer = await redeem(world, given, { client, challenge: CHALLENGE })
    expect(answer).not.toHaveProperty('refresh_token')
  })
})

describe('client_credentials (RFC 6749 section 4.4)', () => {
  const own = ({ core, app }: World, scope = 'read') => core.issuing.clientCredentials(app, scope)
  test('gives an access token of the client itself, and no refresh token', async () => {
    await using world = await openWorld()
    const answer = await own(world)
    expect(answer).not.toHaveProperty('refresh_token')
    expect(await world.core.introspecting.token(answer.access_token, null)).toMatchObject({
      ...{ active: true, client_id: 'app', sub: 'app', scope: 'read' },
    })
  })
  test('all tokens of a client hang on one grant', async () => {
    await using world = await openWorld()
    for (let times = 0; times < 3; times += 1) await own(world)
    const reached = await world.core.revoking.count({ client: 'app' })
    expect(reached).toEqual({ grants: 1, tokens: 3 })
  })
  test('one event tells of the start of the grant, and none of each token', async () => {
    await using world = await openWorld()
    const happened = await eventsDuring(world, async () => {
      await Promise.all([own(world), own(world)])
      await own(world)
    })
    expect(happened).toEqual(['grant.started client_credentials'])
    const grant = (await eventsOf(world)).at(-1)
    expect(grant).toMatchObject({ actor: 'client:app', clientId: 'app', userId: null })
    await world.core.revoking.reach({ grant: grant!.grantId! }, 'admin', ADMIN)
    expect(await eventsDuring(world, () => own(world))).toEqual(happened)
  })
  test.each([
    ['its client', ({ core }: World) => core.revoking.reach({ client: 'app' }, 'admin', ADMIN)],
    [
      'its grant',
      async ({ core, store, clock }: World) => {
        const [grant] = await store.listGrants(
          { type: 'client', clientId: 'app' },
          clock.now(),
          0,
          9,
        )
        await core.revoking.reach({ grant: grant!.id }, 'admin', ADMIN)
      },
    ],
  ])('after the revocation of %s the old token is dead and a new one lives', async (_, end) => {
    await using world = await openWorld()
    const before = await own(world)
    await end(world)
    const after = await own(world)
    expect(await activity(world, before.access_token, after.access_token)).toEqual([false, true])
  })
  test('an idle client whose grant was forgotten gets one other, however many ask at once', async () => {
    await using world = await openWorld()
    await own(world)
    world.clock.advance(601)
    await world.store.commit({ type: 'log', events: [] })
    const answers = await Promise.all(Array.from({ length: 5 }, () => own(world)))
    const alive = await activity(world, ...answers.map(({ access_token }) => access_token))
    expect(alive).not.toContain(false)
    const reached = await world.core.revoking.count({ client: 'app' })
    expect(reached).toEqual({ grants: 1, tokens: 5 })
  })
  test('the grant is replaced before it ends, so that no token is cut short', async () => {
    await using world = await openWorld({ lifetimes: { grant: 1000, accessToken: 100 } })
    for (let tries = 0; tries < 30; tries += 1) {
      expect((await own(world)).expires_in).toBe(100)
      world.clock.advance(90)
    }
  })
})

const ADMIN = { actor: 'admin' }
