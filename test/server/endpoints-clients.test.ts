import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { type CryptoKey, decodeJwt, exportJWK, generateKeyPair, SignJWT } from 'jose'
import * as oauth from 'oauth4webapi'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/core/clock.ts'
import { RescindError } from '../../src/core/errors.ts'
import { type Authority, createAuthority } from '../../src/server/authority.ts'
import { thumbprintOf } from '../../src/server/wire/client-auth.ts'
import type { AuthorityStore } from '../../src/store/authority/contract.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { tempHome } from '../support/temp-home.ts'
import { KEY } from './core-world.ts'
import { type EndpointWorld, FORM, openEndpoints } from './endpoints-world.ts'

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Self-signed, for CN=mtls-app; only its thumbprint counts. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBfTCCASOgAwIBAgIUeho09jOkOOQBSQWndu79XwY06YwwCgYIKoZIzj0EAwIw
EzERMA8GA1UEAwwIbXRscy1hcHAwIBcNMjYxMTIxMDUzNDU3WhgPMjEyNjEwMjgw
NTM0NTdaMBMxETAPBgNVBAMMCG10bHMtYXBwMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEnEF+xnJwVGC3zamcGt+B149UsyJ9tRaSwVGsOW2n4Z33MnhEug+ryY/d
gV73tVB0N4pJfErYRvgIIHrCVX/1zqNTMFEwHQYDVR0OBBYEFP/Uhcv94T+Dl9jt
fT4qYkAq0Ny7MB8GA1UdIwQYMBaAFP/Uhcv94T+Dl9jtfT4qYkAq0Ny7MA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgAxDMKFw0sANwm1MOKXcKBv2H
orR9pjIXUWe5tZscsbMCIQDkc2Wi9lXW2etlIag/vsiZhHLmAp/gGvWhfJQkFwqs
cQ==
-----END CERTIFICATE-----
`
/** Another one, which no client has. */
const OTHER_CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIUQqGNj8ttldhP7H6MNw0grQgzPhIwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFb3RoZXIwIBcNMjYxMTIxMDUzNDU3WhgPMjEyNjEwMjgwNTM0
NTdaMBAxDjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
AotSyoa0gBLMAbHPJj+J7eMr69VSnesnNsObujQYn8IqtkIFm5vEReccrdlgXRDu
yOBT8no4Wlh/yGIBJUqDeqNTMFEwHQYDVR0OBBYEFHJ2e/2s6euvpxPPvMWFrZky
JeFBMB8GA1UdIwQYMBaAFHJ2e/2s6euvpxPPvMWFrZkyJeFBMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgG1ST8VlCGkIGSvRXFfXRwY5l/r0GHyB3
nfiParA9y5wCIQD2KQVC2ISx/r/nx5MdFeLxYiT5dRgvCH4C6ICEjfJ+lQ==
-----END CERTIFICATE-----
`

const another = (letter: string) => (letter === 'x' ? 'y' : 'x')

describe('RFC 7009 section 2.1, RFC 7662 section 2.2: foreign and unknown are one answer', () => {
  /** Everything of an answer that does not change from second to second. */
  const bytesOf = async (response: Response) => {
    const headers = [...response.headers].filter(([name]) => name !== 'date')
    return JSON.stringify([response.status, headers, await response.text()])
  }

  it('byte for byte, at /revoke and at /introspect, for every kind of token', async () => {
    await using world = await openEndpoints()
    const thief = { id: 'thief', secret: await world.addClient({ id: 'thief' }) }
    await world.addClient({ id: 'app' })
    await world.addClient({ id: 'jwt-app', accessTokenFormat: 'jwt' })
    const [opaque, jwt] = [await world.issue('app'), await world.issue('jwt-app')]
    const dead = (await world.issue('thief')).access_token
    await world.post('/revoke', { token: dead }, thief)
    const foreign = [opaque.access_token, opaque.refresh_token, jwt.access_token]
    const unknown = [
      'nonsense',
      opaque.access_token.replace(/.$/, another),
      'eyJhbGciOiJub25lIn0.e30.',
    ]
    for (const path of ['/revoke', '/introspect']) {
      const answers = [...foreign, ...unknown, dead].map(async (token) =>
        bytesOf(await world.post(path, { token }, thief)),
      )
      expect(new Set(await Promise.all(answers)).size).toBe(1)
    }
    expect(await world.isActive(...foreign)).toEqual([true, true, true])
  })

  it('of a foreign one there is an event', async () => {
    await using world = await openEndpoints()
    const thief = { id: 'thief', secret: await world.addClient({ id: 'thief' }) }
    await world.addClient({ id: 'app' })
    const { access_token } = await world.issue('app')
    await world.post('/revoke', { token: access_token }, thief)
    await world.store.commit({ type: 'log', events: [] })
    expect(await world.events()).toContain('revocation.foreign')
  })
})

describe('RFC 7009 section 2.3: CORS by the registered origins of a client', () => {
  const ORIGIN = 'https://spa.example'
  async function open(): Promise<EndpointWorld> {
    const world = await openEndpoints()
    await world.addClient({ id: 'spa', authMethod: 'none', origins: [ORIGIN] })
    await world.addClient({ id: 'other', authMethod: 'none' })
    return world
  }
  const revokeFrom = (world: EndpointWorld, origin: string, form: Record<string, string>) =>
    world.call('/revoke', {
      method: 'POST',
      headers: { 'content-type': FORM, origin },
      body: new URLSearchParams(form).toString(),
    })
  const allowed = (response: Response) => response.headers.get('access-control-allow-origin')

  it('answers a preflight of a known origin alone', async () => {
    await using world = await open()
    for (const path of ['/token', '/revoke', '/introspect']) {
      const ask = (origin: string) => world.call(path, { method: 'OPTIONS', headers: { origin } })
      const known = await ask(ORIGIN)
      expect([known.status, allowed(known)]).toEqual([204, ORIGIN])
      expect(known.headers.get('access-control-allow-methods')).toBe('POST')
      expect(known.headers.get('access-control-allow-credentials')).toBeNull()
      expect(allowed(await ask('https://evil.example'))).toBeNull()
      expect(allowed(await ask('null'))).toBeNull()
    }
  })

  it('lets the origin of the client read answers and errors, and no other', async () => {
    await using world = await open()
    const { refresh_token: token } = await world.issue('spa')
    const evil = await revokeFrom(world, 'https://evil.example', { client_id: 'other', token })
    expect([evil.status, allowed(evil)]).toEqual([200, null])
    expect(allowed(await revokeFrom(world, ORIGIN, { client_id: 'other', token }))).toBeNull()
    const error = await revokeFrom(world, ORIGIN, { client_id: 'nobody', token })
    expect([error.status, allowed(error)]).toEqual([401, ORIGIN])
    expect(error.headers.get('vary')).toBe('Origin')
    expect(await world.isActive(token)).toEqual([true])
    const good = await revokeFrom(world, ORIGIN, { client_id: 'spa', token })
    expect([good.status, allowed(good)]).toEqual([200, ORIGIN])
    expect(await world.isActive(token)).toEqual([false])
  })

  it.each([
    ['503 of a store in trouble', new RescindError('store_down', 'It is down.'), 503],
    ['500', new Error('a mistake of ours'), 500],
  ])('lets a page read a %s, whichever it is', async (_, trouble, status) => {
    let isDown = false
    const openStore = async (clock: Clock) => {
      const store = await openSqliteAuthorityStore(':memory:', { clock })
      const down = async () => {
        throw trouble
      }
      return {
        ...store,
        readClient: (id: string) => (isDown ? down() : store.readClient(id)),
        listClients: () => (isDown ? down() : store.listClients()),
      }
    }
    await using world = await openEndpoints({ openStore })
    await world.addClient({ id: 'spa', authMethod: 'none', origins: [ORIGIN] })
    const preflight = () =>
      world.call('/revoke', { method: 'OPTIONS', headers: { origin: ORIGIN } })
    expect(allowed(await preflight())).toBe(ORIGIN)
    isDown = true
    world.clock.advance(60)
    const response = await revokeFrom(world, ORIGIN, { client_id: 'spa', token: 'x' })
    expect([response.status, allowed(response)]).toEqual([status, '*'])
    expect(allowed(await preflight())).toBe(ORIGIN)
  })

  it('lets everybody read the metadata and the keys', async () => {
    await using world = await open()
    for (const path of ['/jwks', '/.well-known/oauth-authorization-server']) {
      expect(allowed(await world.call(path, { headers: { origin: 'https://x.example' } }))).toBe(
        '*',
      )
    }
  })
})

describe('RFC 6749 section 2.3.1: guesses at a secret are slowed down', () => {
  it('for that client, with Retry-After; others at the same address go on, and so does who knows it', async () => {
    await using world = await openEndpoints()
    const app = { id: 'app', secret: await world.addClient({ id: 'app' }) }
    const other = { id: 'other', secret: await world.addClient({ id: 'other' }) }
    const form = { token: 'x' }
    for (let tries = 0; tries < 10; tries += 1) {
      const wrong = await world.post('/revoke', form, { id: 'app', secret: `guess${tries}` })
      expect(wrong.status).toBe(401)
    }
    const guess = { id: 'app', secret: 'one more' }
    const slowed = await world.post('/revoke', form, guess)
    expect(slowed.status).toBe(429)
    expect(Number(slowed.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await world.post('/introspect', form, guess)).status).toBe(429)
    expect((await world.post('/revoke', form, other)).status).toBe(200)
    // Guessing must not lock out the client, nor does its own success give the guesser new tries.
    expect((await world.post('/revoke', form, app)).status).toBe(200)
    expect((await world.post('/revoke', form, guess)).status).toBe(429)
    world.clock.advance(61)
    expect((await world.post('/revoke', form, guess)).status).toBe(401)
  })

  it.each([
    ['in the body', { client_id: 'spa', client_secret: 'x' }, undefined],
    ['in the header', {}, { id: 'spa', secret: 'x' }],
  ])(
    'a secret of a public client, which has none, %s: the client goes on',
    async (_, form, basic) => {
      await using world = await openEndpoints()
      await world.addClient({ id: 'spa', authMethod: 'none' })
      const { refresh_token: token } = await world.issue('spa')
      const statuses: number[] = []
      for (let tries = 0; tries < 11; tries += 1) {
        statuses.push((await world.post('/revoke', { ...form, token }, basic)).status)
      }
      expect(statuses).toEqual([...Array(10).fill(401), 429])
      expect(await world.isActive(token)).toEqual([true])
      expect((await world.post('/revoke', { client_id: 'spa', token })).status).toBe(200)
      expect(await world.isActive(token)).toEqual([false])
    },
  )

  it('an id alone guesses at nothing, and is not counted', async () => {
    await using world = await openEndpoints()
    const secret = await world.addClient({ id: 'app' })
    for (let tries = 0; tries < 11; tries += 1) {
      const form = { token: 'x', client_id: 'app' }
      expect((await world.post('/revoke', form)).status).toBe(401)
    }
    const wrong = { id: 'app', secret: `${secret}x` }
    expect((await world.post('/revoke', { token: 'x' }, wrong)).status).toBe(401)
  })
})

describe('a token is looked up for a client that has proven itself, and for no stranger', () => {
  it.each(['opaque', 'jwt'] as const)('%s', async (accessTokenFormat) => {
    let looks = 0
    const openStore = async (clock: Clock): Promise<AuthorityStore> => {
      const store = await openSqliteAuthorityStore(':memory:', { clock })
      const counted =
        <In extends unknown[], Out>(ask: (...given: In) => Out) =>
        (...given: In): Out => {
          looks += 1
          return ask(...given)
        }
      return {
        ...store,
        readToken: counted(store.readToken),
        readAsked: counted(store.readAsked),
        changeToken: counted(store.changeToken),
      }
    }
    await using world = await openEndpoints({ openStore })
    const secret = await world.addClient({ id: 'app', accessTokenFormat })
    const { access_token: token } = await world.issue('app')
    for (const path of ['/revoke', '/introspect']) {
      looks = 0
      const wrong = await world.post(path, { token }, { id: 'app', secret: 'wrong' })
      expect([wrong.status, looks]).toEqual([401, 0])
    }
    expect((await world.post('/introspect', { token }, { id: 'app', secret })).status).toBe(200)
    expect((await world.post('/revoke', { token }, { id: 'app', secret })).status).toBe(200)
    expect(looks).toBe(2)
    expect(await world.isActive(token)).toEqual([false])
  })
})

describe('a client that has proven itself before is asked for again with each request', () => {
  const OTHERS = [
    ['its secret was rotated', (other: Authority) => other.clients.rotateSecret('app')],
    ['it was disabled', (other: Authority) => other.clients.disable('app')],
  ] as const
  it.each(OTHERS)('%s by another process: 401, and nothing is told or done', async (_, change) => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const openStore = (clock: Clock) => openSqliteAuthorityStore(path, { clock })
    await using world = await openEndpoints({ openStore })
    const proof = { id: 'app', secret: await world.addClient({ id: 'app' }) }
    const [one, two] = [await world.issue('app'), await world.issue('app')]
    for (const path of ['/introspect', '/revoke']) {
      expect((await world.post(path, { token: one.access_token }, proof)).status).toBe(200)
    }
    const { clock } = world
    const other = await createAuthority({
      ...{ issuer: world.authority.issuer, key: KEY, clock },
      store: await openStore(clock),
    })
    await change(other)
    const events = await other.events()
    for (const path of ['/introspect', '/revoke']) {
      for (const token of [two.access_token, one.access_token, 'no-token']) {
        expect((await world.post(path, { token }, proof)).status, `${path} ${token}`).toBe(401)
      }
    }
    expect(await other.events()).toEqual(events)
    await other.close()
  })

  it('a secret that was proven while it was being replaced is refused once that time is over', async () => {
    await using world = await openEndpoints()
    const { clock, authority } = world
    const proof = { id: 'app', secret: await world.addClient({ id: 'app' }) }
    const { access_token: token } = await world.issue('app')
    await authority.clients.rotateSecret('app', 60)
    const until = clock.now() + 60_000
    const introspected = async (path = '/introspect') =>
      (await world.post(path, { token }, proof)).status
    for (let times = 0; times < 3; times += 1) expect(await introspected()).toBe(200)
    clock.advance((until - clock.now()) / 1000)
    for (const path of ['/introspect', '/revoke', '/introspect']) {
      expect(await introspected(path), path).toBe(401)
    }
    expect(await world.isActive(token)).toEqual([true])
  })
})

describe('RFC 9068: the jti of a JWT, which stands in logs, is no token', () => {
  it('under the prefix of one: inactive, and it takes nothing down', async () => {
    await using world = await openEndpoints()
    const proof = {
      id: 'app',
      secret: await world.addClient({ id: 'app', accessTokenFormat: 'jwt' }),
    }
    const { access_token: jwt } = await world.issue('app')
    const stolen = `rsc_at_${decodeJwt(jwt).jti}`
    // The first proves the client, the second is answered by how it was seen.
    for (let times = 0; times < 2; times += 1) {
      const answer = await world.post('/introspect', { token: stolen }, proof)
      expect(await answer.json()).toEqual({ active: false })
      expect((await world.post('/revoke', { token: stolen }, proof)).status).toBe(200)
    }
    expect(await world.isActive(jwt)).toEqual([true])
  })
})

describe('RFC 9110 section 15.5.2: a 401 names a way to authenticate', () => {
  it.each([
    ['/token', { client_id: 'app', client_secret: 'x', grant_type: 'client_credentials' }],
    ['/revoke', { client_id: 'app', client_secret: 'x', token: 'x' }],
    ['/revoke', { client_id: 'nobody', token: 'x' }],
    ['/revoke', { token: 'x' }],
    ['/introspect', { client_id: 'app', client_secret: 'x', token: 'x' }],
    ['/introspect', { client_id: 'spa', token: 'x' }],
  ])('%s with %o', async (path, form) => {
    await using world = await openEndpoints()
    await world.addClient({ id: 'app', authMethod: 'client_secret_post' })
    await world.addClient({ id: 'spa', authMethod: 'none' })
    const response = await world.post(path, form as Record<string, string>)
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toMatch(/^Basic realm="[^"]+"/)
  })
})

describe('RFC 7523 section 3: private_key_jwt', () => {
  async function open(alg = 'ES256') {
    const world = await openEndpoints()
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
    const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg }
    await world.addClient({ id: 'jwt', authMethod: 'private_key_jwt', jwks: { keys: [jwk] } })
    let count = 0
    const sign = async (change: Record<string, unknown> = {}, header = {}) => {
      count += 1
      const now = Math.floor(world.clock.now() / 1000)
      const claims = { iss: 'jwt', sub: 'jwt', aud: world.origin, jti: `j${count}`, exp: now + 60 }
      return new SignJWT({ ...claims, ...change })
        .setProtectedHeader({ alg, kid: 'k1', ...header })
        .sign(privateKey)
    }
    const revoke = async (client_assertion: string, more = {}) => {
      const form = { token: 'x', client_assertion_type: ASSERTION_TYPE, client_assertion, ...more }
      return (await world.post('/revoke', form)).status
    }
    return { world, sign, revoke, jwk }
  }

  it.each(['ES256', 'RS256', 'PS256', 'EdDSA'])('takes %s', async (alg) => {
    const { world, sign, revoke } = await open(alg)
    await using _ = world
    expect(await revoke(await sign())).toBe(200)
    expect(await revoke(await sign({ aud: `${world.origin}/token` }))).toBe(200)
    expect(await revoke(await sign({ aud: [`${world.origin}/revoke`] }))).toBe(200)
    expect(await revoke(await sign(), { client_id: 'jwt' })).toBe(200)
  })

  it('refuses what is not for us, not from the client, too old, too long, or unnamed', async () => {
    const { world, sign, revoke, jwk } = await open()
    await using _ = world
    const now = Math.floor(world.clock.now() / 1000)
    const wrong = [
      await sign({ aud: 'https://other.example' }),
      await sign({ iss: 'app' }),
      await sign({ sub: 'app' }),
      await sign({ exp: now - 60 }),
      await sign({ exp: now + 86_400 }),
      await sign({ exp: undefined }),
      await sign({ jti: undefined }),
      await sign({ nbf: now + 600 }),
      `${(await sign()).slice(0, -6)}AAAAAA`,
      await new SignJWT({ iss: 'jwt', sub: 'jwt', aud: world.origin, jti: 'h', exp: now + 60 })
        .setProtectedHeader({ alg: 'HS256', kid: 'k1' })
        .sign(new TextEncoder().encode(JSON.stringify(jwk).padEnd(64))),
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(
        JSON.stringify({ iss: 'jwt', sub: 'jwt', aud: world.origin, jti: 'n', exp: now + 60 }),
      ).toString('base64url')}.`,
      'eyJhbGciOiJFUzI1NiJ9.e30.AAAA',
      'no jwt',
    ]
    for (const assertion of wrong) {
      expect(await revoke(assertion)).toBe(401)
      // The tenth failure within a minute is the last that is looked at.
      if (assertion === wrong[6]) world.clock.advance(61)
    }
    expect(await revoke(await sign({}), { client_id: 'app' })).toBe(401)
    expect(await revoke(await sign({}), { client_assertion_type: 'x' })).toBe(401)
    expect(await revoke(await sign({}), { client_id: 'jwt', client_secret: 's' })).toBe(400)
  })

  it('takes a jti once; of many uses at once exactly one', async () => {
    const { world, sign, revoke } = await open()
    await using _ = world
    const one = await sign()
    expect([await revoke(one), await revoke(one)]).toEqual([200, 401])
    const other = await sign()
    const statuses = await Promise.all(Array.from({ length: 8 }, () => revoke(other)))
    expect(statuses.filter((status) => status === 200)).toHaveLength(1)
  })
})

describe('RFC 7523: the keys of a client that proves itself by private_key_jwt', () => {
  const pairOf = async (alg: string, options = {}) => {
    const pair = await generateKeyPair(alg, { extractable: true, ...options })
    return { ...pair, jwk: await exportJWK(pair.publicKey) }
  }
  const sign = (world: EndpointWorld, privateKey: CryptoKey, header = {}) =>
    new SignJWT({ iss: 'jwt', sub: 'jwt', aud: world.origin, jti: crypto.randomUUID() })
      .setExpirationTime(Math.floor(world.clock.now() / 1000) + 60)
      .setProtectedHeader({ alg: 'ES256', ...header })
      .sign(privateKey)
  const statusOf = async (world: EndpointWorld, client_assertion: string) => {
    const form = { token: 'x', client_assertion_type: ASSERTION_TYPE, client_assertion }
    return (await world.post('/revoke', form)).status
  }
  const adding = (world: EndpointWorld, keys: unknown) => {
    const jwks = { keys } as never
    return world.addClient({ id: 'jwt', authMethod: 'private_key_jwt', jwks })
  }

  it('of keys without a kid, any may have signed (RFC 7515 section 6)', async () => {
    await using world = await openEndpoints()
    const pairs = [await pairOf('ES256'), await pairOf('ES256'), await pairOf('ES256')]
    await adding(
      world,
      pairs.slice(0, 2).map(({ jwk }) => jwk),
    )
    const statuses: number[] = []
    for (const { privateKey } of pairs) {
      statuses.push(await statusOf(world, await sign(world, privateKey)))
    }
    expect(statuses).toEqual([200, 200, 401])
    const once = await sign(world, (pairs[1] as { privateKey: CryptoKey }).privateKey)
    expect([await statusOf(world, once), await statusOf(world, once)]).toEqual([200, 401])
  })

  it('a key in the store that is none refuses, and is no 500', async () => {
    await using world = await openEndpoints()
    const { jwk, privateKey } = await pairOf('ES256')
    await adding(world, [jwk])
    const row = (await world.store.readClient('jwt')) ?? expect.fail('no client')
    const bad = [{ ...jwk, x: 'AAAA' }, { kty: 'EC', crv: 'P-256' }, { kty: 'what' }, {}]
    for (const [index, key] of bad.entries()) {
      const settings = JSON.stringify({ ...JSON.parse(row.settings), jwks: { keys: [key] } })
      await world.store.commit({
        ...{ type: 'put_client', expected: row.version + index, events: [] },
        client: { id: 'jwt', enabled: true, settings },
      })
      expect(await statusOf(world, await sign(world, privateKey))).toBe(401)
    }
    expect(world.trouble).toEqual([])
  })

  it('what is no public key for signatures is refused when it is added', async () => {
    await using world = await openEndpoints()
    const { jwk, privateKey } = await pairOf('ES256')
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const wrong: readonly [string, unknown, RegExp][] = [
      ['a private key', [jwk, await exportJWK(privateKey)], /key 2 of its jwks is secret\./],
      ['a symmetric key', [{ kty: 'oct', k: 'geheim' }], /key 1 of its jwks is secret\./],
      ['a point that is not on the curve', [{ ...jwk, x: jwk.y }], /key 1 .*cannot be used/],
      ['a key without its numbers', [{ kty: 'EC', crv: 'P-256' }], /cannot be used/],
      ['a key of no kind', [{}], /cannot be used/],
      ['another curve', [(await pairOf('ES384')).jwk], /P-256/],
      ['another algorithm', [{ ...jwk, alg: 'ES384' }], /cannot be used/],
      ['a weak RSA key', [weak.publicKey.export({ format: 'jwk' })], /2048 bits/],
      ['keys for encryption alone', [{ ...jwk, use: 'enc' }], /no public key for signatures/],
      ['no keys', [], /no public key for signatures/],
      ['no list', jwk, /jwks\.keys: public keys stand in a set/],
      ['a text for a key', ['key'], /jwks\.keys\.0: public keys stand in a set/],
    ]
    for (const [title, keys, says] of wrong) {
      const refusal = await adding(world, keys).catch((error: unknown) => error)
      const message = expect.stringMatching(says)
      expect(refusal, title).toMatchObject({ code: 'usage', message })
      expect(String(refusal), title).not.toMatch(/geheim|[\w-]{43}/)
    }
    await expect(
      world.addClient({ id: 'jwt', authMethod: 'private_key_jwt' }),
    ).rejects.toMatchObject({ code: 'usage', message: 'Client "jwt": its jwks is missing.' })
    expect(await world.authority.clients.list()).toEqual([])
  })
})

describe('RFC 8705 section 2.2: a certificate by the header of a trusted proxy', () => {
  const header = 'x-client-cert'
  const thumbprint = thumbprintOf(encodeURIComponent(CERTIFICATE)) ?? ''
  async function statusOf(trustedProxies: readonly string[], certificate?: string, more = {}) {
    await using world = await openEndpoints({ certificates: { header, trustedProxies } })
    await world.addClient({
      id: 'm',
      authMethod: 'self_signed_tls_client_auth',
      certificates: [thumbprint],
    })
    const response = await world.call('/revoke', {
      method: 'POST',
      headers: {
        'content-type': FORM,
        ...(certificate === undefined ? {} : { [header]: certificate }),
        ...more,
      },
      body: 'client_id=m&token=x',
    })
    return response.status
  }

  it.each<[string, readonly string[], string | undefined, number]>([
    ['from the proxy', ['127.0.0.1'], encodeURIComponent(CERTIFICATE), 200],
    ['from somebody else', ['10.0.0.1'], encodeURIComponent(CERTIFICATE), 401],
    ['from a proxy of the range', ['127.0.0.0/8'], encodeURIComponent(CERTIFICATE), 200],
    ['from out of the range', ['10.0.0.0/8'], encodeURIComponent(CERTIFICATE), 401],
    ["another's", ['127.0.0.1'], encodeURIComponent(OTHER_CERTIFICATE), 401],
    ['none', ['127.0.0.1'], undefined, 401],
    ['what is no certificate', ['127.0.0.1'], 'CN%3Dm', 401],
    ['a broken escape', ['127.0.0.1'], '%zz', 401],
  ])('%s', async (_, trusted, certificate, status) => {
    expect(await statusOf(trusted, certificate)).toBe(status)
  })

  it.each([
    ['no certificate', []],
    ['a thumbprint in hex', [Buffer.from(thumbprint, 'base64url').toString('hex')]],
    ['the certificate itself', [CERTIFICATE]],
  ])('a client with %s could never prove itself, and is refused', async (_, certificates) => {
    await using world = await openEndpoints()
    const adding = world.addClient({
      ...{ id: 'm', authMethod: 'self_signed_tls_client_auth', certificates },
    })
    await expect(adding).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('certificate'),
    })
  })

  it('a header is the same in capitals', async () => {
    const certificates = { header: 'X-Client-Cert', trustedProxies: ['127.0.0.1'] }
    await using world = await openEndpoints({ certificates })
    const client = { id: 'm', certificates: [thumbprint] }
    await world.addClient({ ...client, authMethod: 'self_signed_tls_client_auth' })
    const headers = { 'content-type': FORM, [header]: encodeURIComponent(CERTIFICATE) }
    const body = 'client_id=m&token=x'
    const answer = await world.call('/revoke', { method: 'POST', headers, body })
    expect(answer.status).toBe(200)
  })

  it.each<[string, object, RegExp]>([
    ['no proxies', { header, trustedProxies: [] }, /trustedProxies must name the proxies/],
    ['a name for a proxy', { header, trustedProxies: ['localhost'] }, /proxy 1 must be an IP/],
    ['a header with a space', { header: 'x y', trustedProxies: ['127.0.0.1'] }, /key header must/],
    ['a misspelt key', { header, trustedProxy: ['127.0.0.1'] }, /no key trustedProxy\./],
  ])('certificates with %s are refused at start', async (_, certificates, message) => {
    const opening = openEndpoints({ certificates: certificates as never })
    await expect(opening).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(message),
    })
  })

  it('X-Forwarded-For makes nobody a trusted proxy', async () => {
    const forged = { 'x-forwarded-for': '10.0.0.1' }
    expect(await statusOf(['10.0.0.1'], encodeURIComponent(CERTIFICATE), forged)).toBe(401)
  })
})

describe('RFC 9701: signed answers of introspection', () => {
  it('are taken by oauth4webapi, active and not', async () => {
    await using world = await openEndpoints()
    const secret = await world.addClient({ id: 'rs', introspect: 'all' })
    await world.addClient({ id: 'app' })
    const { access_token } = await world.issue('app')
    const insecure = { [oauth.allowInsecureRequests]: true }
    const issuer = new URL(world.origin)
    const server = await oauth.processDiscoveryResponse(
      issuer,
      await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
    )
    const client: oauth.Client = {
      client_id: 'rs',
      introspection_signed_response_alg: 'ES256',
    }
    const introspect = async (token: string) => {
      const response = await oauth.introspectionRequest(
        ...[server, client, oauth.ClientSecretBasic(secret), token],
        { requestJwtResponse: true, ...insecure },
      )
      expect(response.headers.get('content-type')).toBe('application/token-introspection+jwt')
      const answer = await oauth.processIntrospectionResponse(server, client, response)
      await oauth.validateApplicationLevelSignature(server, response, insecure)
      return answer
    }
    expect(await introspect(access_token)).toMatchObject({ active: true, client_id: 'app' })
    expect(await introspect('nonsense')).toEqual({ active: false })
    await world.authority.revoke({ token: access_token, clientId: 'app' })
    expect(await introspect(access_token)).toEqual({ active: false })
  })
})
