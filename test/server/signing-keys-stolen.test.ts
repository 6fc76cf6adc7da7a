import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import {
  activity,
  eventsDuring,
  eventsOf,
  granted,
  issue,
  openSecond,
  openWorld,
  revoke,
  rotate,
  type World,
} from './core-world.ts'
import { STORES } from './stores.ts'

const HOUR_S = 3_600
const kidOf = (jwt: string) => decodeProtectedHeader(jwt).kid
const kidsOf = async ({ core }: World) => (await core.keys.published()).keys.map(({ kid }) => kid)
const statesOf = async ({ core }: World) => (await core.keys.list()).map(({ state }) => state)

for (const { name, missing = '', open: openStore } of STORES) {
  // Skipped only where no PostgreSQL can be started: the title says why.
  describe.skipIf(missing !== '')(`a signing key was stolen, on ${name}${missing}`, () => {
    const open = () => openWorld({ openStore })

    test('it leaves /jwks at once, and its JWTs are not active, on every process', async () => {
      await using world = await open()
      const other = await openSecond(world)
      const client = world.jwtApp
      const opaque = await issue(world)
      const held = await issue(world, { client })
      const theirs = await issue(other, { client })
      for (const one of [world, other]) {
        expect(await activity(one, held.access_token, theirs.access_token)).toEqual([true, true])
      }
      const { kid } = await world.core.keys.replace()
      for (const one of [world, other]) {
        expect(await kidsOf(one)).toEqual([kid])
        expect(await activity(one, held.access_token, theirs.access_token)).toEqual([false, false])
        expect(await activity(one, opaque.access_token, held.refresh_token)).toEqual([true, true])
        const next = await issue(one, { client })
        expect(kidOf(next.access_token)).toBe(kid)
        for (const reader of [world, other]) {
          expect(await activity(reader, next.access_token)).toEqual([true])
        }
      }
      const refreshed = granted(await rotate(other, held.refresh_token, { client }))
      expect(await activity(world, refreshed.access_token)).toEqual([true])
      const jwks = createLocalJWKSet(await other.core.keys.published())
      const currentDate = new Date(world.clock.now())
      await expect(jwtVerify(held.access_token, jwks, { currentDate })).rejects.toThrow()
      await expect(jwtVerify(refreshed.access_token, jwks, { currentDate })).resolves.toBeDefined()
    })

    test('the next one and retired ones go as well, and one event tells which', async () => {
      await using world = await open()
      const client = world.jwtApp
      await issue(world, { client })
      const retired = await kidsOf(world)
      await world.core.keys.rotate()
      expect(await statesOf(world)).toEqual(['signs', 'next'])
      world.clock.advance(6 * 60)
      expect(await statesOf(world)).toEqual(['retired', 'signs'])
      await world.core.keys.rotate()
      const dropped = await kidsOf(world)
      expect(dropped).toEqual([...retired, ...dropped.slice(1)])
      expect(dropped).toHaveLength(3)
      const asked = { actor: 'operator:ann' }
      const happened = await eventsDuring(world, () =>
        world.core.keys.replace('command_line', asked),
      )
      expect(happened).toEqual(['key.replaced command_line'])
      const told = (await eventsOf(world)).at(-1)
      expect(told).toMatchObject(asked)
      expect(JSON.parse(told?.detail ?? '')).toEqual({ kid: (await kidsOf(world))[0], dropped })
      expect(await statesOf(world)).toEqual(['signs'])
    })

    test('two replacements at once leave one key, which signs', async () => {
      await using world = await open()
      const other = await openSecond(world)
      await issue(world, { client: world.jwtApp })
      const made = await Promise.all([world.core.keys.replace(), other.core.keys.replace()])
      const kids = await kidsOf(world)
      expect(kids).toHaveLength(1)
      expect(made.map(({ kid }) => kid)).toContain(kids[0])
      expect(await kidsOf(other)).toEqual(kids)
    })

    test('a JWT of it is unknown to /revoke, and explained', async () => {
      await using world = await open()
      const client = world.jwtApp
      const { access_token, refresh_token } = await issue(world, { client })
      await revoke(world, (await issue(world, { client })).access_token, client)
      const fingerprint = (await eventsOf(world)).at(-1)?.token ?? ''
      expect((await world.core.explain(fingerprint))?.state).toBe('dead')
      const alive = (await world.core.explain(access_token))?.fingerprint ?? ''
      expect((await world.core.explain(alive))?.cascade).toBe('The access token is alive.')
      world.clock.advance(1)
      await world.core.keys.replace()
      expect(await revoke(world, access_token, client)).toBe('unknown')
      expect((await world.core.explain(alive))?.cascade).toContain('whose key was dropped')
      expect((await world.core.explain(refresh_token))?.cascade).toBe('The refresh token is alive.')
    })

    test('a change that is not urgent keeps a key until the last JWT that it signed expires', async () => {
      await using world = await openWorld({ openStore, lifetimes: { accessToken: HOUR_S } })
      const client = world.jwtApp
      const old = kidOf((await issue(world, { client })).access_token)
      const { signsFrom, kid } = await world.core.keys.rotate()
      const told = (await eventsOf(world)).at(-1)
      expect([told?.type, JSON.parse(told?.detail ?? '').kid]).toEqual(['key.rotated', kid])
      world.clock.advance((signsFrom.getTime() - world.clock.now()) / 1000 - 1)
      const last = await issue(world, { client })
      expect(kidOf(last.access_token)).toBe(old)
      world.clock.advance(HOUR_S - 1)
      expect(await kidsOf(world)).toEqual([old, kid])
      expect(await activity(world, last.access_token)).toEqual([true])
      world.clock.advance(120)
      expect(await kidsOf(world)).toEqual([kid])
    })
  })
}
