import { decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { describe, expect, test, vi } from 'vitest'
import {
  activity,
  eventsDuring,
  granted,
  issue,
  openSecond,
  openWorld,
  revoke,
  rotate,
  type World,
} from './core-world.ts'

const DAY_S = 86_400
const issueJwt = (world: World) => issue(world, { client: world.jwtApp, session: 's1' })

/** Changes one character in the middle of a part of a JWT. */
function alter(token: string, part: 0 | 1 | 2): string {
  const parts = token.split('.')
  const text = parts[part] as string
  const at = Math.floor(text.length / 2)
  parts[part] = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
  return parts.join('.')
}

describe('an access token as a JWT (RFC 9068)', () => {
  test('section 2: header and claims', async () => {
    await using world = await openWorld()
    const { access_token } = await issueJwt(world)
    expect(decodeProtectedHeader(access_token)).toMatchObject({ typ: 'at+jwt', alg: 'ES256' })
    const iat = world.clock.now() / 1000
    expect(decodeJwt(access_token)).toEqual({
      ...{ iss: 'https://as.example', aud: 'https://as.example', sub: 'ada', sid: 's1' },
      ...{ client_id: 'jwt-app', scope: 'read write', iat, exp: iat + 600 },
      jti: expect.stringMatching(/^[\w-]{48}$/),
    })
  })
  test('introspection knows it, until it expires', async () => {
    await using world = await openWorld()
    const { access_token } = await issueJwt(world)
    expect(await activity(world, access_token)).toEqual([true])
    world.clock.advance(600)
    expect(await activity(world, access_token)).toEqual([false])
  })
  test('a key is imported once for all that it signed, and a new one when it comes', async () => {
    await using world = await openWorld()
    const tokens = [await issueJwt(world), await issueJwt(world)].map((pair) => pair.access_token)
    const imports = vi.spyOn(crypto.subtle, 'importKey')
    try {
      expect(await activity(world, ...tokens, ...tokens)).toEqual([true, true, true, true])
      expect(await activity(world, ...tokens)).toEqual([true, true])
      expect(imports).toHaveBeenCalledTimes(1)
      const { signsFrom } = await world.core.keys.rotate()
      world.clock.advance((signsFrom.getTime() - world.clock.now()) / 1000)
      const { access_token: later } = await issueJwt(world)
      expect(await activity(world, later, tokens[0] as string)).toEqual([true, true])
    } finally {
      imports.mockRestore()
    }
  })
  test('is revoked by itself, at once, on every process, and tells of it once', async () => {
    await using world = await openWorld()
    const pair = await issueJwt(world)
    const elsewhere = await openSecond(world)
    expect(await activity(elsewhere, pair.access_token)).toEqual([true])
    const happened = await eventsDuring(world, async () => {
      expect(await revoke(world, pair.access_token, world.jwtApp)).toBe('revoked')
      expect(await revoke(world, pair.access_token, world.jwtApp)).toBe('already_dead')
    })
    expect(happened).toEqual(['token.revoked revocation_endpoint'])
    for (const place of [world, elsewhere]) {
      expect(await activity(place, pair.access_token, pair.refresh_token)).toEqual([false, true])
    }
  })
  test('takes down its grant where that is the option', async () => {
    await using world = await openWorld({ accessTokenCascade: 'grant' })
    const pair = await issueJwt(world)
    expect(await revoke(world, pair.access_token, world.jwtApp)).toBe('revoked')
    expect(await activity(world, pair.refresh_token)).toEqual([false])
  })
  test("another client's is foreign, and untouched", async () => {
    await using world = await openWorld()
    const { access_token } = await issueJwt(world)
    expect(await revoke(world, access_token, world.other)).toBe('foreign')
    expect(await activity(world, access_token)).toEqual([true])
  })
  test('dies with its user', async () => {
    await using world = await openWorld()
    const { access_token } = await issueJwt(world)
    await world.core.revoking.reach({ user: 'ada' }, 'admin', { actor: 'admin' })
    expect(await activity(world, access_token)).toEqual([false])
  })
  test('an honest retry gets the same token: its jti, its claims, and no other row', async () => {
    await using world = await openWorld()
    const first = await issueJwt(world)
    const client = world.jwtApp
    const second = granted(await rotate(world, first.refresh_token, { client }))
    const again = granted(await rotate(world, first.refresh_token, { client }))
    expect(again.refresh_token).toBe(second.refresh_token)
    expect(decodeJwt(again.access_token)).toEqual(decodeJwt(second.access_token))
    await revoke(world, again.access_token, client)
    expect(await activity(world, second.access_token)).toEqual([false])
  })
})

describe('keys that were replaced', () => {
  const rotations = [1, 2]
  test.each(rotations)('%d times: what they signed is known and revoked', async (times) => {
    const lifetimes = { accessToken: 30 * DAY_S }
    await using world = await openWorld({ lifetimes })
    const old = await issueJwt(world)
    for (let count = 0; count < times; count += 1) {
      await world.core.keys.rotate()
      world.clock.advance(3600)
    }
    const fresh = await issueJwt(world)
    const kids = [old, fresh].map(({ access_token }) => decodeProtectedHeader(access_token).kid)
    expect(kids[0]).not.toBe(kids[1])
    const elsewhere = await openSecond(world, { lifetimes })
    for (const place of [world, elsewhere]) {
      const tokens = [old.access_token, fresh.access_token]
      expect(await activity(place, ...tokens)).toEqual([true, true])
    }
    expect(await revoke(elsewhere, old.access_token, world.jwtApp)).toBe('revoked')
    expect(await activity(world, old.access_token, fresh.access_token)).toEqual([false, true])
  })
  test('a process that was open before the rotation knows the new key when it signs', async () => {
    await using world = await openWorld()
    const before = await openSecond(world)
    await issueJwt(before)
    await world.core.keys.rotate()
    world.clock.advance(3600)
    const { access_token } = await issueJwt(world)
    expect(await revoke(before, access_token, world.jwtApp)).toBe('revoked')
  })
  test('two processes that make the first key at once agree on one', async () => {
    await using world = await openWorld()
    const elsewhere = await openSecond(world)
    const [one, two] = await Promise.all([issueJwt(world), issueJwt(elsewhere)])
    const tokens = [one.access_token, two.access_token]
    expect(await activity(world, ...tokens)).toEqual([true, true])
    expect(await activity(elsewhere, ...tokens)).toEqual([true, true])
  })
})

describe('a JWT that is not ours is unknown, and kills nothing', () => {
  const forge = async (token: string, header: { alg: string; typ?: string; kid?: string }) => {
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    const jwk = await exportJWK(publicKey)
    return new SignJWT(decodeJwt(token)).setProtectedHeader({ ...header, jwk }).sign(privateKey)
  }
  const FORGED: Readonly<Record<string, (token: string) => string | Promise<string>>> = {
    'its claims are altered': (token) => alter(token, 1),
    'its signature is altered': (token) => alter(token, 2),
    'its header is altered': (token) => alter(token, 0),
    'it has no signature (RFC 8725 section 2.1)': (token) => {
      const header = Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')
      return `${header}.${token.split('.')[1]}.`
    },
    'another key signed it, and it brings that along': (token) =>
      forge(token, { alg: 'ES256', typ: 'at+jwt' }),
    'another key signed it under the name of ours': (token) => {
      const { kid } = decodeProtectedHeader(token)
      return forge(token, { alg: 'ES256', typ: 'at+jwt', ...(kid ? { kid } : {}) })
    },
  }
  test.each(Object.entries(FORGED))('%s', async (_, forged) => {
    await using world = await openWorld()
    const { access_token } = await issueJwt(world)
    const token = await forged(access_token)
    expect(await revoke(world, token, world.jwtApp)).toBe('unknown')
    expect(await activity(world, token, access_token)).toEqual([false, true])
  })
  test('the bare jti is not the token', async () => {
    await using world = await openWorld()
    const { access_token } = await issueJwt(world)
    const { jti } = decodeJwt(access_token)
    expect(await activity(world, jti as string)).toEqual([false])
  })
  test('the jti, which stands in logs, is no token under the prefix of one either', async () => {
    await using world = await openWorld()
    const { access_token } = await issueJwt(world)
    const opaque = `rsc_at_${decodeJwt(access_token).jti}`
    expect(await activity(world, opaque)).toEqual([false])
    expect(await revoke(world, opaque, world.jwtApp)).toBe('unknown')
    expect(await activity(world, access_token)).toEqual([true])
  })
})
