import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import type { TenantConfig } from '../../src/providers/provider.ts'
import { type RawServer, startRawServer } from '../cli/raw-server.ts'
import { scaledClock } from '../support/scaled-clock.ts'
import { tempHome } from '../support/temp-home.ts'
import { openVault, type VaultProcess } from './world.ts'

/** A server with an authorization and a token endpoint, and nothing else: no introspection, no userinfo. */
let server: RawServer
let home: ReturnType<typeof tempHome>
let answers: boolean
/** Whether the metadata never comes. */
let hangs: boolean
let presented: (string | null)[]
const open: VaultProcess[] = []

beforeEach(async () => {
  home = tempHome()
  answers = true
  hangs = false
  presented = []
  server = await startRawServer(({ path, body }, response) => {
    response.setHeader('content-type', 'application/json')
    if (path.startsWith('/.well-known/')) {
      if (hangs) return
      const at = (name: string) => [`${name}_endpoint`, `${server.url}/${name}`]
      const endpoints = Object.fromEntries([at('authorization'), at('token')])
      return response.end(JSON.stringify({ issuer: server.url, ...endpoints }))
    }
    presented.push(new URLSearchParams(body).get('refresh_token'))
    const nth = presented.length
    if (!answers) return response.destroy()
    const tokens = { access_token: `at-${nth}`, refresh_token: `rt-${nth}`, expires_in: 600 }
    response.end(JSON.stringify({ ...tokens, token_type: 'bearer' }))
  })
})
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]()
  await server.close()
  home[Symbol.dispose]()
})

function tenantWith(options: Readonly<Record<string, unknown>>): TenantConfig {
  return {
    ...{ name: 'plain', provider: 'oauth2', url: server.url, login: {}, options: {} },
    app: {
      ...{ clientId: 'app', clientSecret: null, redirectUri: 'http://127.0.0.1/cb', scopes: [] },
      options,
    },
  }
}

/** A vault with a connection there, and one refresh behind it. */
async function connect(options: Readonly<Record<string, unknown>> = {}) {
  const world = await openVault({ home: home.path, tenants: [tenantWith(options)] })
  open.push(world)
  const wish = { tenant: 'plain', owner: 'acme', accessToken: null }
  const { id } = await world.vault.create({ ...wish, refreshToken: new Secret('rt-0') })
  await world.vault.accessToken(id)
  return { ...world, id }
}

describe('RFC 7662 is optional: a provider that cannot say whether a token lives', () => {
  test('a refresh whose answer was lost: the owner is asked, and the token is not presented again', async () => {
    const { vault, health, id } = await connect()
    answers = false
    await expect(vault.renew(id)).rejects.toMatchObject({ code: 'connection_unwell' })
    answers = true
    const { connection } = await health.check(id)
    expect(connection).toMatchObject({
      state: 'reconnect_needed',
      cause: { code: 'rotated_token_lost', confidence: 'possible' },
    })
    await expect(vault.renew(id)).rejects.toMatchObject({ code: 'reconnect_needed' })
    expect(presented).toEqual(['rt-0', 'rt-1'])
  })

  test.each([
    ['never rotates', { rotation: 'never' }],
    ['forgives a replay', { replayKills: false }],
  ])(
    'where it %s, the token is presented again, and nobody is bothered',
    async (_title, options) => {
      const { vault, id } = await connect(options)
      answers = false
      await expect(vault.renew(id)).rejects.toMatchObject({ code: 'connection_unwell' })
      answers = true
      expect((await vault.renew(id)).state).toBe('connected')
      expect(presented).toEqual(['rt-0', 'rt-1', 'rt-1'])
    },
  )
})

describe('a provider with nothing to ask: no userinfo, no introspection, no probeUrl', () => {
  test('is said as such, once, with what to set; its tokens are given all the same', async () => {
    const { vault, health, id } = await connect()
    for (let checks = 0; checks < 2; checks += 1) {
      const { connection } = await health.check(id)
      expect(connection).toMatchObject({
        state: 'degraded',
        cause: { code: 'no_probe', text: expect.stringContaining('app.options.probeUrl') },
      })
      // That a token was given is no answer to the question.
      await vault.renew(id)
    }
    expect((await vault.accessToken(id)).token.reveal()).toBe('at-3')
    const types = (await vault.events(id)).map(({ type }) => type.replace('connection.', ''))
    expect(types).toEqual(['created', 'refreshed', 'degraded', 'refreshed', 'refreshed'])
  })
})

test('disconnect from a server that hangs before it says where to revoke: unknown, in time', async () => {
  const { id, parts } = await connect()
  hangs = true
  // Another process, which has not asked for the metadata.
  const tenants = [tenantWith({})]
  const other = await openVault({ home: home.path, tenants, clock: scaledClock(100) })
  open.push(other)
  expect(await other.vault.disconnect(id)).toMatchObject({
    ...{ revokedAtProvider: 'unknown', mayLive: true },
    why: 'the provider gave no answer: http_timeout',
  })
  expect((await parts.store.read(id))?.state).toBe('revoked')
}, 20_000)
