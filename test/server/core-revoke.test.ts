import { describe, expect, test } from 'vitest'
import type { RevokeReach } from '../../src/server/revoke.ts'
import { isGrantDead } from '../../src/store/authority/contract.ts'
import {
  activity,
  code,
  eventsDuring,
  eventsOf,
  granted,
  issue,
  openSecond,
  openWorld,
  type Pair,
  redeem,
  revoke,
  rotate,
  type World,
} from './core-world.ts'

const ADMIN = { actor: 'admin' }
const DAY = 86_400

describe('a client revokes one token (RFC 7009 section 2.1)', () => {
  test('a refresh token ends its grant', async () => {
    await using world = await openWorld()
    const first = await issue(world)
    const second = granted(await rotate(world, first.refresh_token))
    expect(await revoke(world, second.refresh_token)).toBe('revoked')
    expect(await activity(world, ...tokensOf(first, second))).toEqual([false, false, false, false])
    expect(await rotate(world, second.refresh_token)).toMatchObject({ error: 'invalid_grant' })
  })
  test.each([0, 3600])('a superseded refresh token ends its family, after %d s too', async (s) => {
    await using world = await openWorld()
    const first = await issue(world)
    const second = granted(await rotate(world, first.refresh_token))
    world.clock.advance(s)
    expect(await revoke(world, first.refresh_token)).toBe('revoked')
    expect(await activity(world, second.refresh_token)).toEqual([false])
  })
  test.each([
    ['token', [false, true]],
    ['grant', [false, false]],
  ] as const)('an access token takes down its %s', async (accessTokenCascade, expected) => {
    await using world = await openWorld({ accessTokenCascade })
    const pair = await issue(world)
    expect(await revoke(world, pair.access_token)).toBe('revoked')
    expect(await activity(world, pair.access_token, pair.refresh_token)).toEqual(expected)
  })
  test('an access token of the client itself takes down itself alone', async () => {
    await using world = await openWorld({ accessTokenCascade: 'grant' })
    const { core, app } = world
    const [one, two] = [
      await core.issuing.clientCredentials(app, 'read'),
      await core.issuing.clientCredentials(app, 'read'),
    ]
    expect(await revoke(world, one.access_token)).toBe('revoked')
    expect(await activity(world, one.access_token, two.access_token)).toEqual([false, true])
    expect(await revoke(world, one.access_token)).toBe('already_dead')
  })
  test('an expired token is dead already, whether or not it was forgotten', async () => {
    await using world = await openWorld({ accessTokenCascade: 'grant' })
    const first = await issue(world)
    world.clock.advance(20 * DAY)
    const second = granted(await rotate(world, first.refresh_token))
    world.clock.advance(10 * DAY)
    const happened = await eventsDuring(world, async () => {
      // Superseded and expired, and an access token that would take down its grant.
      expect(await revoke(world, first.refresh_token)).toBe('already_dead')
      expect(await revoke(world, second.access_token)).toBe('already_dead')
    })
    expect(happened).toEqual([])
    for (let times = 0; times < 20; times += 1) {
      await world.store.commit({ type: 'log', events: [] })
    }
    expect(await revoke(world, first.refresh_token)).toBe('unknown')
    expect(await activity(world, second.refresh_token)).toEqual([true])
    expect(await revoke(world, second.refresh_token)).toBe('revoked')
  })
  test.each([
    ['itself', (world: World, { refresh_token }: Pair) => revoke(world, refresh_token)],
    ['its user', ({ core }: World) => core.revoking.reach({ user: 'ada' }, 'admin', ADMIN)],
  ])('a refresh token that was revoked by %s is dead already, and no event', async (_, end) => {
    await using world = await openWorld()
    const first = await issue(world)
    await end(world, first)
    const happened = await eventsDuring(world, async () => {
      expect(await revoke(world, first.refresh_token)).toBe('already_dead')
    })
    expect(happened).toEqual([])
  })
  test.each([
    ['nonsense', 'nonsense'],
    ['a forged token', `rsc_at_${'A'.repeat(48)}`],
    ['an empty text', ''],
    ['what looks like a JWT', 'eyJhbGciOiJub25lIn0.e30.'],
  ])('%s is unknown, and no event', async (_, token) => {
    await using world = await openWorld()
    const happened = await eventsDuring(world, async () => {
      expect(await revoke(world, token)).toBe('unknown')
    })
    expect(happened).toEqual([])
  })
  test('a code is not revoked', async () => {
    await using world = await openWorld()
    const given = await code(world)
    expect(await revoke(world, given)).toBe('unknown')
    granted(await redeem(world, given))
  })
  test.each(['access_token', 'refresh_token'] as const)(
    'a foreign %s is untouched, and exactly one event',
    async (name) => {
      await using world = await openWorld()
      const pair = await issue(world)
      const happened = await eventsDuring(world, async () => {
        expect(await revoke(world, pair[name], world.other)).toBe('foreign')
      })
      expect(happened).toEqual(['revocation.foreign revocation_endpoint'])
      expect(await activity(world, ...tokensOf(pair))).toEqual([true, true])
      const event = (await eventsOf(world)).at(-1)
      expect(event).toMatchObject({ clientId: 'other', actor: 'client:other', userId: null })
      expect(event?.token).toMatch(/^fp_/)
    },
  )
  test('a foreign token that is presented again and again is told once for each client', async () => {
    await using world = await openWorld()
    const pair = await issue(world)
    const happened = await eventsDuring(world, async () => {
      for (let times = 0; times < 100; times += 1) {
        await revoke(world, pair.refresh_token, world.other)
        await revoke(world, pair.refresh_token, world.jwtApp)
      }
    })
    expect(happened).toEqual(Array(2).fill('revocation.foreign revocation_endpoint'))
  })
})

interface ReachCase {
  readonly reach: RevokeReach
  /** Who dies, of ada at app in session s1, ada at other in s2, bob at app in s3. */
  readonly dead: readonly boolean[]
}
const REACHES: readonly ReachCase[] = [
  { reach: { user: 'ada' }, dead: [true, true, false] },
  { reach: { client: 'app' }, dead: [true, false, true] },
  { reach: { user: 'ada', client: 'other' }, dead: [false, true, false] },
  { reach: { session: 's1' }, dead: [true, false, false] },
  { reach: { user: 'nobody' }, dead: [false, false, false] },
  { reach: { issuedBefore: new Date('2027-01-01') }, dead: [true, true, true] },
  { reach: { issuedBefore: new Date('2025-01-01') }, dead: [false, false, false] },
  { reach: { user: 'ada', issuedBefore: new Date('2027-01-01') }, dead: [true, true, false] },
]

describe('everything of a reach dies at once', () => {
  const people = async (world: World) => [
    await issue(world, { session: 's1' }),
    await issue(world, { client: world.other, session: 's2' }),
    await issue(world, { user: 'bob', session: 's3' }),
  ]
  test.each(REACHES)('$reach', async ({ reach, dead }) => {
    await using world = await openWorld()
    const pairs = await people(world)
    const counted = await world.core.revoking.count(reach)
    const happened = await eventsDuring(world, () =>
      world.core.revoking.reach(reach, 'admin', ADMIN),
    )
    expect(happened).toEqual(['reach.revoked admin'])
    const alive = dead.flatMap((isDead) => [!isDead, !isDead])
    expect(await activity(world, ...tokensOf(...pairs))).toEqual(alive)
    expect(await activity(await openSecond(world), ...tokensOf(...pairs))).toEqual(alive)
    if ('issuedBefore' in reach) return
    const grants = dead.filter(Boolean).length
    expect(counted).toEqual({ grants, tokens: 2 * grants })
  })
  test.each(REACHES.filter(({ dead }) => dead.includes(true)))(
    '$reach: no token comes out of it any more',
    async ({ reach, dead }) => {
      await using world = await openWorld()
      const pairs = await people(world)
      await world.core.revoking.reach(reach, 'admin', ADMIN)
      for (const [index, { refresh_token }] of pairs.entries()) {
        const client = index === 1 ? world.other : world.app
        const isRefused = 'error' in (await rotate(world, refresh_token, { client }))
        expect(isRefused).toBe(dead[index])
      }
    },
  )
  test.each(REACHES.filter(({ reach }) => !('issuedBefore' in reach)))(
    '$reach: a grant that is made afterwards lives',
    async ({ reach }) => {
      await using world = await openWorld()
      await world.core.revoking.reach(reach, 'admin', ADMIN)
      expect(await activity(world, ...tokensOf(...(await people(world))))).not.toContain(false)
    },
  )
  test('a grant, by its number', async () => {
    await using world = await openWorld()
    const [one, two] = [await issue(world), await issue(world)]
    const grant = (await eventsOf(world)).at(-2)?.grantId as number
    expect(await world.core.revoking.count({ grant })).toMatchObject({ grants: 1 })
    const happened = await eventsDuring(world, () =>
      world.core.revoking.reach({ grant }, 'admin', ADMIN),
    )
    expect(happened).toEqual(['grant.revoked admin'])
    expect(await activity(world, ...tokensOf(one, two))).toEqual([false, false, true, true])
    expect(await world.core.revoking.count({ grant })).toMatchObject({ grants: 0 })
  })
  test('a grant that its user took down is no longer counted', async () => {
    await using world = await openWorld()
    await issue(world)
    const grant = (await eventsOf(world)).at(-1)?.grantId as number
    await world.core.revoking.reach({ user: 'ada' }, 'admin', ADMIN)
    expect(await world.core.revoking.count({ grant })).toMatchObject({ grants: 0 })
  })
  test('a grant that does not exist', async () => {
    await using world = await openWorld()
    const work = () => world.core.revoking.reach({ grant: 4_711_000 }, 'admin', ADMIN)
    expect(await eventsDuring(world, work)).toEqual([])
  })
  test('issued before: what came earlier dies, what came later lives', async () => {
    await using world = await openWorld()
    const early = await issue(world)
    world.clock.advance(60)
    const before = new Date(world.clock.now())
    const late = await issue(world)
    await world.core.revoking.reach({ issuedBefore: before }, 'admin', ADMIN)
    expect(await activity(world, ...tokensOf(early, late))).toEqual([false, false, true, true])
  })
  test('issued before a moment to come: what is made until then is dead as well', async () => {
    await using world = await openWorld()
    const before = new Date(world.clock.now() + 60_000)
    await world.core.revoking.reach({ user: 'ada', issuedBefore: before }, 'admin', ADMIN)
    await expect(issue(world)).rejects.toMatchObject({ code: 'request_stale' })
    world.clock.advance(60)
    const late = await issue(world)
    expect(await activity(world, ...tokensOf(late))).toEqual([true, true])
    expect(await world.core.revoking.count({ user: 'ada' })).toEqual({ grants: 1, tokens: 2 })
  })
})

describe('what was revoked stays dead as long as its tokens could live', () => {
  /** Writes, so that the store forgets what has expired. */
  const forget = async ({ store }: World) => {
    for (let times = 0; times < 20; times += 1) await store.commit({ type: 'log', events: [] })
  }
  test('a mark outlasts the grants that it killed, though they got a longer time than new ones do', async () => {
    await using world = await openWorld({
      lifetimes: { grant: 300 * DAY, refreshToken: 200 * DAY },
    })
    const pair = await issue(world)
    const shorter = await openSecond(world, { lifetimes: { grant: 2 * DAY } })
    await shorter.core.revoking.reach({ user: 'ada' }, 'admin', ADMIN)
    world.clock.advance(3 * DAY)
    await forget(world)
    expect(await activity(world, pair.refresh_token)).toEqual([false])
    expect(await rotate(world, pair.refresh_token)).toMatchObject({ error: 'invalid_grant' })
  })
  test('a mark up to a moment to come outlasts the grants that are made until then', async () => {
    await using world = await openWorld({ lifetimes: { grant: 10 * DAY } })
    const before = new Date(world.clock.now() + 9 * DAY * 1000)
    await world.core.revoking.reach({ user: 'ada', issuedBefore: before }, 'admin', ADMIN)
    world.clock.advance(8 * DAY)
    await expect(issue(world)).rejects.toMatchObject({ code: 'request_stale' })
    const started = (await eventsOf(world)).find(({ type }) => type === 'grant.started')
    world.clock.advance(3 * DAY)
    await forget(world)
    const grant = await world.store.readGrant(started?.grantId ?? 0)
    expect(grant && isGrantDead(grant)).toBe(true)
  })
  test('a mark of a log out goes with the last token that it killed', async () => {
    await using world = await openWorld()
    const pair = await issue(world, { session: 's1' })
    await world.core.revoking.reach({ session: 's1' }, 'library', ADMIN)
    const marks = () => world.store.readMarks(['s:s1'], { born: 0, createdAt: 0 })
    for (const [days, count] of [
      [29, 1],
      [2, 0],
    ] as const) {
      world.clock.advance(days * DAY)
      await forget(world)
      expect(await activity(world, ...tokensOf(pair))).toEqual([false, false])
      expect(await marks()).toHaveLength(count)
    }
  })
  test('the ends of a token and a grant', async () => {
    await using world = await openWorld()
    const [one, two] = [await issue(world), await issue(world)]
    await revoke(world, one.refresh_token)
    await revoke(world, two.access_token)
    for (let days = 0; days < 400; days += 10) {
      await forget(world)
      expect(await activity(world, ...tokensOf(one), two.access_token)).not.toContain(true)
      world.clock.advance(10 * DAY)
    }
  })
})

describe('a client that is disabled', () => {
  test('loses all that it holds, and nobody else does', async () => {
    await using world = await openWorld()
    const mine = await issue(world)
    const own = await world.core.issuing.clientCredentials(world.app, 'read')
    const others = await issue(world, { client: world.other })
    await world.core.clients.disable('app')
    expect((await world.core.clients.get('app'))?.enabled).toBe(false)
    const mineNow = await activity(world, ...tokensOf(mine), own.access_token)
    expect(mineNow).toEqual([false, false, false])
    expect(await activity(world, ...tokensOf(others))).toEqual([true, true])
    expect(await rotate(world, mine.refresh_token)).toMatchObject({ error: 'invalid_grant' })
  })
  test.each([
    ['issue', (world: World) => issue(world)],
    ['a code', (world: World) => code(world)],
    ['client_credentials', ({ core, app }: World) => core.issuing.clientCredentials(app, 'read')],
  ])('%s: a request that had read it before gets nothing', async (_, ask) => {
    await using world = await openWorld()
    await world.core.clients.disable('app')
    await expect(ask(world)).rejects.toMatchObject({ code: 'client_unknown' })
    expect(await world.core.revoking.count({ client: 'app' })).toEqual({ grants: 0, tokens: 0 })
  })
  test('is disabled once: a second time only revokes again', async () => {
    await using world = await openWorld()
    await world.core.clients.disable('app')
    const happened = await eventsDuring(world, () => world.core.clients.disable('app'))
    expect(happened).toEqual(['reach.revoked client_disabled'])
  })
})

function tokensOf(...pairs: Pair[]): string[] {
  return pairs.flatMap(({ access_token, refresh_token }) => [access_token, refresh_token])
}
