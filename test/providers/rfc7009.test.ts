import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { createHttp } from '../../src/core/http.ts'
import { fingerprinter, Secret } from '../../src/core/secret.ts'
import type { KillToken, Means, TenantConfig } from '../../src/providers/provider.ts'
import { rfc7009 } from '../../src/providers/rfc7009.ts'
import { type OidcServer, SECRET, startOidcServer } from '../protocol/oidc-server.ts'

const http = createHttp()
const fingerprint = fingerprinter(new Uint8Array(32))
const means: Means = {
  http,
  clock: systemClock,
  random: Math.random,
  // This provider keeps no credential.
  vault: undefined as never,
  fingerprint,
  env: {},
  notice: () => undefined,
}

let server: OidcServer

beforeAll(async () => {
  server = await startOidcServer()
})
afterAll(async () => {
  await http.close()
  await server.close()
})

function tenant(login: Record<string, unknown>, options: Record<string, unknown> = {}) {
  const tenant: TenantConfig = {
    name: 'issuer',
    provider: 'rfc7009',
    url: server.issuer,
    login,
    options,
  }
  return tenant
}

const post = () => tenant({ clientId: 'post-client', clientSecret: new Secret(SECRET) })

function held(value: string): KillToken {
  const handle = new Secret(value)
  const nobody = { userId: null, appId: null, createdAt: null }
  return { fingerprint: fingerprint(handle), kind: 'grant', handle, ...nobody }
}

const killOf = (token: KillToken) => ({
  reach: { kind: 'token', token: token.fingerprint } as const,
  tokens: [token],
})

describe('provider rfc7009, at oidc-provider', () => {
  test('kills a token and sees it gone', async () => {
    const session = await rfc7009.open(post(), means)
    const token = held((await server.grantTokens('post-client')).refresh)
    expect([...(await session.look([token])).present]).toEqual([token.fingerprint])
    expect(await session.kill(killOf(token))).toMatchObject({ outcome: 'revoked' })
    const { present, unclear } = await session.look([token])
    expect([present.size, unclear.size]).toEqual([0, 0])
  })

  test('a token that was never seen alive is unclear, not gone', async () => {
    const session = await rfc7009.open(post(), means)
    const token = held('nobody-issued-this')
    expect([...(await session.look([token])).unclear]).toEqual([token.fingerprint])
  })

  test('RFC 7662 section 2.2: a live token of another client is unclear to a public one', async () => {
    const session = await rfc7009.open(tenant({ clientId: 'public-client' }), means)
    const { access } = await server.grantTokens('post-client')
    const token = held(access)
    await session.kill(killOf(token))
    expect([...(await session.look([token])).unclear]).toEqual([token.fingerprint])
    expect(await server.isAlive('AccessToken', access)).toBe(true)
  })

  test('authenticates the client by the method of its login', async () => {
    const nobody = await rfc7009.open(tenant({ method: 'none', clientId: 'post-client' }), means)
    const token = held((await server.grantTokens('post-client')).access)
    expect(await nobody.kill(killOf(token))).toMatchObject({ code: 'invalid_client' })
    const login = { ...post().login, method: 'client_secret_post' }
    const client = await rfc7009.open(tenant(login), means)
    expect(await client.kill(killOf(token))).toMatchObject({ outcome: 'revoked' })
  })

  test('supports what it says: one token at a time, and no other reach', async () => {
    const session = await rfc7009.open(post(), means)
    expect(rfc7009.supports.kill).toEqual(['token'])
    const app = { reach: { kind: 'app', app: 'x' } as const, tokens: [] }
    await expect(session.kill(app)).rejects.toMatchObject({ code: 'provider_unsupported' })
    expect(session.block).toBeUndefined()
    expect(rfc7009.supports.block).toBe(false)
  })

  test('a wrong secret is trouble with our credential', async () => {
    const wrong = tenant({ clientId: 'post-client', clientSecret: new Secret('wrong-secret') })
    const session = await rfc7009.open(wrong, means)
    const token = held((await server.grantTokens('post-client')).access)
    expect(await session.kill(killOf(token))).toMatchObject({
      outcome: 'refused',
      code: 'invalid_client',
      credentialTrouble: true,
    })
  })

  test('has no list', async () => {
    const session = await rfc7009.open(post(), means)
    expect(() => session.inventory()).toThrow(/no list of tokens/)
    expect(rfc7009.supports.inventory).toBe(false)
  })

  const WRONG: readonly [string, () => TenantConfig, RegExp][] = [
    ['an unknown key', () => tenant({ clientID: 'x' }), /login has an unknown key clientID/],
    [
      'a secret in the clear',
      () => tenant({ clientSecret: 'x' }),
      /login\.clientSecret is a secret, which is named/,
    ],
    [
      'an unknown option',
      () => tenant({}, { endpoints: 'x' }),
      /options has an unknown key endpoints/,
    ],
    [
      'a method that is none',
      () => tenant({ method: 'web' }),
      /login\.method is not one of client_/,
    ],
    [
      'a method without its secret',
      () => tenant({ method: 'client_secret_post', clientId: 'x' }),
      /does not fit together. It needs clientSecret/,
    ],
    [
      'a secret for a client that has none',
      () => tenant({ method: 'none', clientSecret: new Secret('x') }),
      /does not fit together/,
    ],
  ]
  for (const [title, config, message] of WRONG) {
    test(`config_invalid: ${title}`, async () => {
      await expect(rfc7009.open(config(), means)).rejects.toMatchObject({
        code: 'config_invalid',
        message: expect.stringMatching(message),
      })
    })
  }
})
