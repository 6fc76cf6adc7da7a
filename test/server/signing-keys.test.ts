import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { issue, openSecond, openWorld, revoke, type World } from './core-world.ts'

const HOUR_S = 3_600

const kidOf = (jwt: string) => decodeProtectedHeader(jwt).kid
const kidsOf = async ({ core }: World) => (await core.keys.published()).keys.map(({ kid }) => kid)
const issueJwt = async (world: World) => (await issue(world, { client: world.jwtApp })).access_token

describe('signing keys are changed without a token that stops to work', () => {
  it('a new key is published before it signs', async () => {
    await using world = await openWorld()
    const before = kidOf(await issueJwt(world))
    const { kid, signsFrom } = await world.core.keys.rotate()
    expect(await kidsOf(world)).toEqual([before, kid])
    expect(kidOf(await issueJwt(world))).toBe(before)
    world.clock.advance((signsFrom.getTime() - world.clock.now()) / 1000)
    expect(kidOf(await issueJwt(world))).toBe(kid)
  })

  it('a JWT of a retired key is introspected, verified by /jwks, and revocable', async () => {
    await using world = await openWorld({ lifetimes: { accessToken: 2 * HOUR_S } })
    const [kept, killed] = [await issueJwt(world), await issueJwt(world)]
    const { kid } = await world.core.keys.rotate()
    world.clock.advance(HOUR_S)
    expect(kidOf(await issueJwt(world))).toBe(kid)
    const jwks = createLocalJWKSet(await world.core.keys.published())
    const currentDate = new Date(world.clock.now())
    await expect(jwtVerify(kept, jwks, { currentDate })).resolves.toBeDefined()
    expect(await world.core.introspecting.token(killed, null)).toMatchObject({ active: true })
    expect(await revoke(world, killed, world.jwtApp)).toBe('revoked')
    expect(await world.core.introspecting.token(killed, null)).toEqual({ active: false })
    expect(await world.core.introspecting.token(kept, null)).toMatchObject({ active: true })
  })

  it('a retired key goes when all that it signed is dead', async () => {
    await using world = await openWorld()
    const old = kidOf(await issueJwt(world))
    const { kid } = await world.core.keys.rotate()
    world.clock.advance(HOUR_S)
    expect(await kidsOf(world)).toEqual([kid])
    const next = await world.core.keys.rotate()
    expect(await kidsOf(world)).toEqual([kid, next.kid])
    expect(await kidsOf(world)).not.toContain(old)
  })

  it('no JWT of one process is unknown to another, at any moment of a change', async () => {
    await using world = await openWorld()
    const other = await openSecond(world)
    await issueJwt(other)
    const { signsFrom } = await world.core.keys.rotate()
    const until = signsFrom.getTime() + 300_000
    while (world.clock.now() < until) {
      for (const [maker, reader] of [
        [world, other],
        [other, world],
      ] as const) {
        const jwt = await issueJwt({ ...maker, jwtApp: world.jwtApp })
        expect(await reader.core.introspecting.token(jwt, null)).toMatchObject({ active: true })
      }
      world.clock.advance(20)
    }
  })

  it('two changes at once are two changes', async () => {
    await using world = await openWorld()
    const other = await openSecond(world)
    const first = kidOf(await issueJwt(world))
    const made = await Promise.all([world.core.keys.rotate(), other.core.keys.rotate()])
    const kids = await kidsOf(world)
    expect(new Set(kids)).toEqual(new Set([first, ...made.map(({ kid }) => kid)]))
  })
})
