import { describe, expect, test } from 'vitest'
import type { Lifetimes } from '../../src/server/options.ts'
import {
  activity,
  eventsDuring,
  granted,
  issue,
  openWorld,
  type Pair,
  revoke,
  rotate,
  type World,
} from './core-world.ts'
import { STORES } from './stores.ts'

const GRACE = 10
const REFUSED = { error: 'invalid_grant' }

for (const { name, missing = '', open: openStore } of STORES) {
  // Skipped only where no PostgreSQL can be started: the title says why.
  describe.skipIf(missing !== '')(`a retry whose answer died, on ${name}${missing}`, () => {
    const open = (lifetimes: Partial<Lifetimes> = {}) => openWorld({ openStore, lifetimes })

    test.each(['opaque', 'jwt'] as const)(
      'the %s access token was revoked: refused, nothing comes back, and the family lives',
      async (format) => {
        await using world = await open()
        const client = format === 'jwt' ? world.jwtApp : world.app
        const first = await issue(world, { client })
        const second = granted(await rotate(world, first.refresh_token, { client }))
        expect(await revoke(world, second.access_token, client)).toBe('revoked')
        await expectQuiet(world, () => rotate(world, first.refresh_token, { client }))
        expect(await activity(world, ...tokensOf(first, second))).toEqual([
          ...[true, false],
          ...[false, true],
        ])
        const third = granted(await rotate(world, second.refresh_token, { client }))
        expect(await activity(world, third.access_token)).toEqual([true])
      },
    )

    test('as often as it is asked, at the same time too', async () => {
      await using world = await open()
      const first = await issue(world)
      const second = granted(await rotate(world, first.refresh_token))
      await revoke(world, second.access_token)
      await Promise.all([1, 2, 3].map(() => expectQuiet(world, () => again(world, first))))
      expect(await activity(world, second.refresh_token)).toEqual([true])
    })

    test('the access token ran out: the same answer, with no time left on it', async () => {
      await using world = await open({ accessToken: 5 })
      const first = await issue(world)
      const second = granted(await again(world, first))
      world.clock.advance(GRACE)
      expect(await again(world, first)).toEqual({ ...second, expires_in: 0 })
      expect(await activity(world, second.access_token, second.refresh_token)).toEqual([
        false,
        true,
      ])
    })

    test('past the grace it is reuse, whatever died before: the family dies', async () => {
      await using world = await open()
      const first = await issue(world)
      const second = granted(await again(world, first))
      await revoke(world, second.access_token)
      world.clock.advance(GRACE + 0.001)
      const happened = await eventsDuring(world, () => again(world, first))
      expect(happened).toEqual(['grant.revoked refresh_reuse'])
      expect(await activity(world, ...tokensOf(first, second))).toEqual(Array(4).fill(false))
    })

    test('a second generation was there already: reuse, though its access token is revoked', async () => {
      await using world = await open()
      const first = await issue(world)
      const second = granted(await again(world, first))
      await revoke(world, second.access_token)
      const third = granted(await rotate(world, second.refresh_token))
      const happened = await eventsDuring(world, () => again(world, first))
      expect(happened).toEqual(['grant.revoked refresh_reuse'])
      expect(await activity(world, ...tokensOf(third))).toEqual([false, false])
    })

    test('where an access token takes down its grant, the revocation stands', async () => {
      await using world = await openWorld({ openStore, accessTokenCascade: 'grant' })
      const first = await issue(world)
      const second = granted(await again(world, first))
      await revoke(world, second.access_token)
      await expectQuiet(world, () => again(world, first))
      expect(await activity(world, ...tokensOf(first, second))).toEqual(Array(4).fill(false))
    })
  })
}

const again = (world: World, { refresh_token }: Pair) => rotate(world, refresh_token)

async function expectQuiet(world: World, work: () => Promise<unknown>): Promise<void> {
  const happened = await eventsDuring(world, async () => {
    expect(await work()).toMatchObject(REFUSED)
  })
  expect(happened).toEqual([])
}

function tokensOf(...pairs: Pair[]): string[] {
  return pairs.flatMap(({ refresh_token, access_token }) => [access_token, refresh_token])
}
