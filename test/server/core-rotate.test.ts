import { describe, expect, test } from 'vitest'
import {
  activity,
  eventsDuring,
  granted,
  issue,
  openSecond,
  openWorld,
  type Pair,
  revoke,
  rotate,
} from './core-world.ts'

const GRACE = 10
const REFUSED = { error: 'invalid_grant' }
const another = (letter: string) => (letter === '_' ? '-' : '_')

describe('a refresh token is changed into new tokens (RFC 6749 section 6)', () => {
  test('the new ones live, the old refresh token does not, the old access token does', async () => {
    await using world = await openWorld()
    const first = await issue(world)
    const second = granted(await rotate(world, first.refresh_token))
    expect(second.refresh_token).not.toBe(first.refresh_token)
    expect(
      await activity(
        ...[world, first.refresh_token, first.access_token],
        ...[second.refresh_token, second.access_token],
      ),
    ).toEqual([false, true, true, true])
  })
  test.each([
    ['the scope may be narrowed', 'read', 'read'],
    ['no scope keeps the whole', null, 'read write'],
  ])('%s', async (_, scope, expected) => {
    await using world = await openWorld()
    const { refresh_token } = await issue(world)
    const answer = granted(await rotate(world, refresh_token, { scope }))
    expect(answer.scope).toBe(expected)
    expect(await world.core.introspecting.token(answer.access_token, null)).toMatchObject({
      scope: expected,
    })
    expect(granted(await rotate(world, answer.refresh_token)).scope).toBe('read write')
  })
  test('a wider scope is refused, and spends nothing', async () => {
    await using world = await openWorld()
    const { refresh_token } = await issue(world, { scope: 'read' })
    expect(await rotate(world, refresh_token, { scope: 'read write' })).toMatchObject({
      error: 'invalid_scope',
    })
    expect(await activity(world, refresh_token)).toEqual([true])
  })
  test("another client's refresh token is refused, and lives on", async () => {
    await using world = await openWorld()
    const { refresh_token } = await issue(world)
    const answer = await rotate(world, refresh_token, { client: world.other })
    expect(answer).toMatchObject(REFUSED)
    expect(await activity(world, refresh_token)).toEqual([true])
  })
  test.each([
    ['an access token', ({ access_token }: Pair) => access_token],
    ['a text of the right form', ({ refresh_token }: Pair) => refresh_token.replace(/.$/, another)],
    ['nothing', () => ''],
  ])('%s is refused', async (_, pick) => {
    await using world = await openWorld()
    const pair = await issue(world)
    expect(await rotate(world, pick(pair))).toMatchObject(REFUSED)
    expect(await activity(world, pair.refresh_token)).toEqual([true])
  })
  test('one that was not used for its lifetime is refused', async () => {
    await using world = await openWorld({ lifetimes: { refreshToken: 100 } })
    const { refresh_token } = await issue(world)
    world.clock.advance(100)
    expect(await rotate(world, refresh_token)).toMatchObject(REFUSED)
  })
  test('no token outlives its grant', async () => {
    await using world = await openWorld({ lifetimes: { grant: 1000, refreshToken: 900 } })
    const first = await issue(world)
    world.clock.advance(800)
    const second = granted(await rotate(world, first.refresh_token))
    expect(second.expires_in).toBe(200)
    world.clock.advance(200)
    expect(await activity(world, second.access_token, second.refresh_token)).toEqual([false, false])
    expect(await rotate(world, second.refresh_token)).toMatchObject(REFUSED)
  })
})

describe('an honest retry within the grace gets the same answer', () => {
  test.each([0, 1, GRACE])('after %d s', async (seconds) => {
    await using world = await openWorld()
    const { refresh_token } = await issue(world)
    const first = granted(await rotate(world, refresh_token))
    world.clock.advance(seconds)
    const again = granted(await rotate(world, refresh_token))
    expect(again).toEqual({ ...first, expires_in: first.expires_in - seconds })
    expect(await activity(world, again.access_token, again.refresh_token)).toEqual([true, true])
  })
  test('as often as it is asked, at the same time too, with the scope of the first', async () => {
    await using world = await openWorld()
    const { refresh_token } = await issue(world)
    const scopes = ['read', null, 'read', null]
    const answers = await Promise.all(
      scopes.map((scope) => rotate(world, refresh_token, { scope })),
    )
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(granted(answers[0]!).scope).toBe('read')
  })
  test('from another process on the same store as well', async () => {
    await using world = await openWorld()
    const { refresh_token } = await issue(world)
    const first = await rotate(world, refresh_token)
    const elsewhere = await openSecond(world)
    expect(await rotate(elsewhere, refresh_token)).toEqual(first)
  })
  test('no event tells of it', async () => {
    await using world = await openWorld()
    const { refresh_token } = await issue(world)
    await rotate(world, refresh_token)
    expect(await eventsDuring(world, () => rotate(world, refresh_token))).toEqual([])
  })
})

describe('reuse of a superseded refresh token kills its family (RFC 9700 section 4.14.2)', () => {
  test.each([
    ['after the grace', GRACE, GRACE + 0.001],
    ['at once, with a grace of 0', 0, 0],
    ['later, with a grace of 0', 0, 5],
  ])('%s', async (_, refreshGrace, seconds) => {
    await using world = await openWorld({ lifetimes: { refreshGrace } })
    const first = await issue(world)
    const second = granted(await rotate(world, first.refresh_token))
    world.clock.advance(seconds)
    const happened = await eventsDuring(world, async () => {
      expect(await rotate(world, first.refresh_token)).toMatchObject(REFUSED)
    })
    expect(happened).toEqual(['grant.revoked refresh_reuse'])
    expect(await activity(world, ...tokensOf(first, second))).toEqual([false, false, false, false])
    expect(await rotate(world, second.refresh_token)).toMatchObject(REFUSED)
  })
  test('within the grace too, when the successor was used already', async () => {
    await using world = await openWorld()
    const first = await issue(world)
    const second = granted(await rotate(world, first.refresh_token))
    const third = granted(await rotate(world, second.refresh_token))
    expect(await rotate(world, first.refresh_token)).toMatchObject(REFUSED)
    expect(await activity(world, third.access_token, third.refresh_token)).toEqual([false, false])
  })
  test('of another grant nothing dies', async () => {
    await using world = await openWorld({ lifetimes: { refreshGrace: 0 } })
    const first = await issue(world)
    const bystander = await issue(world)
    await rotate(world, first.refresh_token)
    await rotate(world, first.refresh_token)
    expect(await activity(world, ...tokensOf(bystander))).toEqual([true, true])
  })
  test("another client's presentation of it kills nothing", async () => {
    await using world = await openWorld({ lifetimes: { refreshGrace: 0 } })
    const first = await issue(world)
    const second = granted(await rotate(world, first.refresh_token))
    await rotate(world, first.refresh_token, { client: world.other })
    expect(await activity(world, ...tokensOf(second))).toEqual([true, true])
  })
})

describe('a deliberate revocation beats the grace', () => {
  test.each([
    ['of the superseded refresh token', (first: Pair) => first.refresh_token],
    ['of its successor', (_: Pair, second: Pair) => second.refresh_token],
    ['of the new access token', (_: Pair, second: Pair) => second.access_token],
  ])('%s: a retry is refused', async (_, pick) => {
    await using world = await openWorld()
    const first = await issue(world)
    const second = granted(await rotate(world, first.refresh_token))
    expect(await revoke(world, pick(first, second))).toBe('revoked')
    expect(await rotate(world, first.refresh_token)).toMatchObject(REFUSED)
    expect(await activity(world, second.access_token)).toEqual([false])
  })
  test('by user: a retry is refused', async () => {
    await using world = await openWorld()
    const first = await issue(world)
    await rotate(world, first.refresh_token)
    await world.core.revoking.reach({ user: 'ada' }, 'admin', { actor: 'admin' })
    const happened = await eventsDuring(world, async () => {
      expect(await rotate(world, first.refresh_token)).toMatchObject(REFUSED)
    })
    expect(happened).toEqual([])
  })
})

function tokensOf(...pairs: Pair[]): string[] {
  return pairs.flatMap(({ access_token, refresh_token }) => [access_token, refresh_token])
}
