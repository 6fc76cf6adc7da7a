import { describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { Secret } from '../../src/core/secret.ts'
import type { TenantConfig } from '../../src/providers/provider.ts'
import { answer, startRawServer } from '../cli/raw-server.ts'
import { tempHome } from '../support/temp-home.ts'
import { openVault } from './world.ts'

type Said = 'alive' | 'dead' | 'plain 401'

/** A connection with an access token alone, at a provider that answers probes as it is told. */
async function open({ expiresInS }: { readonly expiresInS?: number } = {}) {
  const manner = {
    /** What the next probes are answered with; the last stays. */
    says: ['alive'] as Said[],
    control: 200,
    /** Is done before a probe is answered. */
    during: async (_nth: number): Promise<void> => {},
    probes: 0,
  }
  const server = await startRawServer(async ({ path }, response) => {
    if (path.startsWith('/.well-known/')) {
      const at = (name: string) => [`${name}_endpoint`, `${server.url}/${name}`]
      const endpoints = Object.fromEntries(['token', 'userinfo', 'revocation'].map(at))
      return answer(response, manner.control, { issuer: server.url, ...endpoints })
    }
    manner.probes += 1
    await manner.during(manner.probes)
    const said = manner.says.length > 1 ? manner.says.shift() : manner.says[0]
    if (said === 'alive') return answer(response, 200, { sub: 'bot' })
    if (said === 'plain 401') return answer(response, 401, { code: 'unauthorized' })
    const words = { 'www-authenticate': 'Bearer error="invalid_token"' }
    answer(response, 401, {}, words)
  })
  const home = tempHome()
  const tenant: TenantConfig = {
    ...{ name: 'notion', provider: 'oauth2', url: server.url, login: {}, options: {} },
    app: {
      ...{ clientId: 'app', clientSecret: null, redirectUri: 'http://127.0.0.1/cb' },
      ...{ scopes: [], options: {} },
    },
  }
  let skippedMs = 0
  const clock = { ...systemClock, now: () => systemClock.now() + skippedMs }
  const world = await openVault({ home: home.path, tenants: [tenant], clock, leaseMs: 300 })
  onTestFinished(async () => {
    await world[Symbol.asyncDispose]()
    await server.close()
    home[Symbol.dispose]()
  })
  const { id } = await world.vault.create({
    ...{ tenant: 'notion', owner: 'acme', refreshToken: null, expiresInS },
    accessToken: new Secret('bare'),
  })
  const told = async () =>
    (await world.vault.events(id)).map(({ type }) => type.replace('connection.', ''))
  const skip = (ms: number) => {
    skippedMs += ms
  }
  return { ...world, clock, skip, manner, id, told }
}

const NEW_GRANT = {
  ...{ accessToken: new Secret('new'), refreshToken: null, expiresInS: null },
  ...{ scopes: null, identity: null, facts: {} },
}

describe('the refusal that one caller met', () => {
  test('is no death: the caller is told to wait, others get the token, and a check is due', async () => {
    const { vault, store, health, watch, id, told, clock } = await open()
    await health.check(id)
    const { version } = await vault.accessToken(id)
    const refused = Array.from({ length: 8 }, () => vault.accessToken(id, { refused: version }))
    for (const outcome of await Promise.allSettled(refused)) {
      expect(outcome).toMatchObject({ reason: { code: 'connection_unwell' } })
    }
    expect((await vault.accessToken(id)).version).toBe(version)
    expect(await vault.get(id)).toMatchObject({ state: 'connected', cause: null })
    expect((await store.connections.read(id))!.due_at! <= clock.now()).toBe(true)
    const { signal } = new AbortController()
    expect(await watch.pass({ signal })).toMatchObject({ checked: 1, states: { connected: 1 } })
    expect(await told()).toEqual(['created'])
    expect(await store.connections.read(id)).toMatchObject({ intent: null })
  })

  test('of a token that is dead is confirmed by the check, and told once', async () => {
    const { vault, watch, manner, id, told } = await open()
    manner.says = ['dead']
    const { version } = await vault.accessToken(id)
    await expect(vault.accessToken(id, { refused: version })).rejects.toMatchObject({
      code: 'connection_unwell',
    })
    await watch.pass({ signal: new AbortController().signal })
    await expect(vault.accessToken(id)).rejects.toMatchObject({ code: 'reconnect_needed' })
    expect(await told()).toEqual(['created', 'needs_reauth'])
  })

  test('a disconnect that was killed before it sent anything is no death either', async () => {
    const { vault, store, health, id, clock } = await open()
    await store.connections.update(id, ({ fence }) => ({
      set: { fence: fence + 1, intent: 'sent', intent_at: clock.now() },
    }))
    expect((await health.check(id)).connection).toMatchObject({ state: 'connected', cause: null })
    expect((await vault.accessToken(id)).version).toBe(1)
  })
})

describe('the end of the token by our clock', () => {
  test('until then it is given and probed; from then on it is dead, for certain', async () => {
    const { vault, health, id, skip, told } = await open({ expiresInS: 60 })
    skip(50_000)
    expect((await vault.accessToken(id)).version).toBe(1)
    const { connection, probe } = await health.check(id)
    expect(probe?.verdict).toBe('alive')
    expect(connection).toMatchObject({
      ...{ state: 'degraded', cause: { code: 'no_refresh_token', confidence: 'certain' } },
    })
    skip(10_000)
    await expect(vault.accessToken(id)).rejects.toMatchObject({ code: 'reconnect_needed' })
    expect(await vault.get(id)).toMatchObject({
      ...{ state: 'reconnect_needed', cause: { code: 'no_refresh_token', confidence: 'certain' } },
    })
    expect(await told()).toEqual(['created', 'degraded', 'needs_reauth'])
  })
})

describe('Notion, Intercom, monday: a 401 with words of their own', () => {
  test('of two checks is the death of a token, where the provider is well', async () => {
    const { health, manner, id, told } = await open()
    manner.says = ['plain 401']
    expect((await health.check(id)).connection).toMatchObject({
      ...{ state: 'degraded', cause: { code: 'forbidden' } },
    })
    manner.control = 503
    expect((await health.check(id)).connection).toMatchObject({
      ...{ state: 'degraded', cause: { code: 'provider_down' } },
    })
    manner.control = 200
    expect((await health.check(id)).connection.state).toBe('degraded')
    expect((await health.check(id)).connection).toMatchObject({
      ...{ state: 'reconnect_needed' },
      cause: { code: 'revoked_or_expired', confidence: 'likely' },
    })
    expect(await told()).toEqual(['created', 'degraded', 'needs_reauth'])
  })

  test('that does not come again is none', async () => {
    const { health, manner, id, told } = await open()
    manner.says = ['plain 401', 'plain 401', 'alive']
    expect((await health.check(id)).connection.state).toBe('degraded')
    expect((await health.check(id)).connection).toMatchObject({ state: 'connected', cause: null })
    expect(await told()).toEqual(['created', 'degraded', 'healed'])
  })
})

describe('what comes between a probe and its judgement', () => {
  test('the words of death that are taken back at the second look are none', async () => {
    const { health, manner, id, told } = await open()
    manner.says = ['dead', 'alive']
    expect((await health.check(id)).connection).toMatchObject({ state: 'connected', cause: null })
    expect(manner.probes).toBe(2)
    expect(await told()).toEqual(['created'])
  })

  test('a new grant is not dead of the old one', async () => {
    const { vault, health, manner, id, told } = await open()
    manner.says = ['dead']
    manner.during = async (nth) => {
      if (nth === 2) await vault.adopt(id, NEW_GRANT)
    }
    expect((await health.check(id)).connection).toMatchObject({ state: 'connected', version: 2 })
    expect(await told()).toEqual(['created', 'reconnected'])
  })

  test.each<[string, Said[]]>([
    ['alive', ['alive']],
    ['dead', ['dead']],
  ])('one that was disabled stays so, although it is %s', async (_title, says) => {
    const { vault, health, manner, id, told } = await open()
    manner.says = says
    manner.during = async () => void (await vault.disable(id))
    expect((await health.check(id)).connection.state).toBe('disabled')
    expect(await told()).toEqual(['created', 'disabled'])
  })

  test('one that another process began to refresh is not well for being alive', async () => {
    const { store, health, manner, id, told } = await open()
    manner.says = ['plain 401']
    await health.check(id)
    manner.says = ['alive']
    manner.during = async () =>
      void (await store.connections.update(id, ({ fence }) => ({
        set: { fence: fence + 1, intent: 'sent' },
      })))
    expect((await health.check(id)).connection.state).toBe('degraded')
    expect(await store.connections.read(id)).toMatchObject({ state: 'degraded', intent: 'sent' })
    expect(await told()).toEqual(['created', 'degraded'])
  })
})
