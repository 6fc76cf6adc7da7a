import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Fault } from '../../emulators/index.ts'
import { createHealth } from '../../src/connections/health.ts'
import { createVault } from '../../src/connections/vault.ts'
import { createWatch } from '../../src/connections/watch.ts'
import { RescindError } from '../../src/core/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import type { TenantConfig } from '../../src/providers/provider.ts'
import { tempHome } from '../support/temp-home.ts'
import { openConnectionWorld, openVault, SIZE } from './world.ts'

describe('a check', () => {
  test('an access token that is revoked heals by itself, with one refresh and no word to anybody', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const { token } = await world.vault.accessToken(id)
    const body = new URLSearchParams({ token: token.reveal() })
    await fetch(`${world.org.url}/services/oauth2/revoke`, { method: 'POST', body })
    const { connection, probe } = await world.health.check(id)
    expect([connection.state, probe?.verdict]).toEqual(['connected', 'alive'])
    expect(world.tokenRequests()).toBe(2)
    const events = await world.vault.events(id)
    expect(events.map(({ type }) => type)).toEqual([
      'connection.created',
      'connection.refreshed',
      'connection.refreshed',
    ])
  })

  test('learns who the token belongs to, and is told when it is another', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const { connection } = await world.health.check(id)
    expect(connection.identity).toMatchObject({ user: world.org.credentials.admin.userId })
    await world.store.connections.update(id, () => ({
      set: { identity: JSON.stringify({ user: '005xx', org: '00Dxx', name: null }) },
    }))
    const other = await world.health.check(id)
    expect(other.connection).toMatchObject({
      state: 'degraded',
      cause: { code: 'identity_changed', confidence: 'certain' },
    })
  })

  test.each<[string, readonly Fault[], string]>([
    ['userinfo is down', [{ kind: 'unavailable_503', on: 'userinfo' }], 'provider_down'],
    ['userinfo limits', [{ kind: 'too_many_429', on: 'userinfo' }], 'rate_limited'],
    ['userinfo is a web page', [{ kind: 'html_200', on: 'userinfo' }], 'malformed_answer'],
    [
      'nothing answers',
      [
        { kind: 'reset_before_effect', on: 'userinfo' },
        { kind: 'reset_before_effect', on: 'discovery' },
      ],
      'provider_down',
    ],
    ['only userinfo does not answer', [{ kind: 'reset_before_effect', on: 'userinfo' }], 'network'],
  ])('%s: degraded, never dead, once; and it heals', async (_title, faults, code) => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    await world.health.check(id)
    world.org.setFaults(faults)
    for (const _ of [1, 2, 3]) {
      const { connection } = await world.health.check(id)
      expect([connection.state, connection.cause?.code]).toEqual(['degraded', code])
    }
    world.org.setFaults([])
    expect((await world.health.check(id)).connection.state).toBe('connected')
    const events = (await world.vault.events(id)).map(({ type }) => type)
    expect(events.filter((type) => type !== 'connection.refreshed')).toEqual([
      'connection.created',
      'connection.degraded',
      'connection.healed',
    ])
    expect(world.tokenRequests()).toBe(1)
  })

  test('a frozen user: a fresh token that is refused is no death', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    await world.health.check(id)
    // Every session ends as soon as it is used: as where an org locks sessions to an address.
    world.org.setFaults([{ kind: 'session_expired', on: 'userinfo' }])
    const { connection } = await world.health.check(id)
    expect([connection.state, connection.cause?.code]).toEqual(['degraded', 'forbidden'])
    world.org.setFaults([])
    expect((await world.health.check(id)).connection.state).toBe('connected')
  })

  test('a check of what is broken, disabled or revoked asks nobody', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    await world.vault.disable(id)
    world.org.clearLog()
    expect((await world.health.check(id)).connection.state).toBe('disabled')
    expect(world.org.log.length).toBe(0)
  })
})

/** A provider whose tokens never end, and have nothing behind them: Notion, Intercom, monday. */
async function startEndless() {
  const manner = { userinfo: 200, metadata: 200 }
  /** What the answer to a token waits for. */
  const held = new Map<string, Promise<void>>()
  const asked = new Set<string>()
  const server = createServer(async (request, response) => {
    const answer = (status: number, body: object, headers = {}) =>
      response.writeHead(status, headers).end(JSON.stringify(body))
    const issuer = `http://${request.headers.host}`
    if (request.url?.startsWith('/.well-known')) {
      return answer(manner.metadata, {
        ...{ issuer, token_endpoint: `${issuer}/token`, userinfo_endpoint: `${issuer}/me` },
        revocation_endpoint: `${issuer}/revoke`,
      })
    }
    if (request.url === '/revoke') return answer(503, {})
    const token = request.headers.authorization?.replace('Bearer ', '') ?? ''
    asked.add(token)
    await held.get(token)
    if (manner.userinfo === 200) return answer(200, { sub: 'bot' })
    const challenge = 'Bearer error="invalid_token"'
    return answer(
      manner.userinfo,
      {},
      manner.userinfo === 401 ? { 'www-authenticate': challenge } : {},
    )
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const tenant: TenantConfig = {
    ...{ name: 'notion', provider: 'oauth2', url: `http://127.0.0.1:${port}` },
    ...{ login: {}, options: {} },
    app: {
      ...{ clientId: 'app', clientSecret: null, redirectUri: 'http://127.0.0.1/cb' },
      ...{ scopes: [], options: {} },
    },
  }
  return { manner, tenant, held, asked }
}

describe('section 6, 14: a token that never ends, with no refresh token behind it', () => {
  async function open() {
    const { manner, tenant } = await startEndless()
    const home = tempHome()
    const world = await openVault({ home: home.path, tenants: [tenant] })
    onTestFinished(async () => {
      await world[Symbol.asyncDispose]()
      home[Symbol.dispose]()
    })
    const { id } = await world.vault.create({
      ...{ tenant: 'notion', owner: 'acme', refreshToken: null },
      accessToken: new Secret('endless'),
    })
    return { ...world, manner, id }
  }

  test('is probed, and dead only by the words of a provider that is well', async () => {
    const { health, manner, id, vault } = await open()
    expect((await health.check(id)).connection.state).toBe('connected')
    manner.userinfo = 503
    expect((await health.check(id)).connection.state).toBe('degraded')
    manner.userinfo = 403
    expect((await health.check(id)).connection.cause?.code).toBe('forbidden')
    Object.assign(manner, { userinfo: 401, metadata: 503 })
    expect((await health.check(id)).connection.state).toBe('degraded')
    manner.metadata = 200
    expect((await health.check(id)).connection).toMatchObject({
      state: 'reconnect_needed',
      cause: { code: 'revoked_or_expired' },
    })
    await expect(vault.accessToken(id)).rejects.toMatchObject({ code: 'reconnect_needed' })
  })
})

describe('the watch', () => {
  test('two processes check each connection once, and what is broken stands alone', async () => {
    await using world = await openConnectionWorld({ org: { size: SIZE } })
    const made = []
    for (let n = 0; n < 40; n += 1) made.push(await world.connect(`owner ${n}`))
    const { refresh } = await world.vault.tokens(made[7]!.id)
    const body = new URLSearchParams({ token: refresh?.reveal() ?? '' })
    await fetch(`${world.org.url}/services/oauth2/revoke`, { method: 'POST', body })
    await dueNow(world)
    world.org.clearLog()
    const other = await world.again()
    const signal = new AbortController().signal
    const passes = await Promise.all([world.watch.pass({ signal }), other.watch.pass({ signal })])
    expect(passes.map(({ failed }) => failed)).toEqual([[], []])
    expect(passes[0]!.checked + passes[1]!.checked).toBe(40)
    const sum = (state: 'connected' | 'reconnect_needed') =>
      passes.reduce((total, { states }) => total + (states[state] ?? 0), 0)
    expect([sum('connected'), sum('reconnect_needed')]).toEqual([39, 1])
    expect(world.tokenRequests()).toBe(40)
    expect(world.org.counters().get('userinfo')).toBe(39)
    // The next one is not due before its time.
    expect((await world.watch.pass({ signal })).checked).toBe(0)
  })

  test('quiet news are written all the same: when each was checked, and when it is next', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    await world.health.check(id)
    await dueNow(world)
    const before = await world.store.connections.read(id)
    const signal = new AbortController().signal
    expect((await world.watch.pass({ signal })).states).toEqual({ connected: 1 })
    const after = await world.store.connections.read(id)
    expect(after!.checked_at! >= before!.checked_at!).toBe(true)
    expect(after!.due_at! > Date.now() + 50 * 60_000).toBe(true)
  })

  test('one that nobody would look at again is, once a check of all found it well', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    await world.health.check(id)
    await world.store.connections.update(id, () => ({ set: { due_at: null } }))
    await world.watch.all({ signal: new AbortController().signal })
    const { due_at } = (await world.store.connections.read(id))!
    expect(due_at! > Date.now() + 50 * 60_000).toBe(true)
  })

  test('what a watch that ends has taken and not checked is due at once, and what it checked is not', async () => {
    await using world = await openConnectionWorld()
    for (let n = 0; n < 12; n += 1) await world.connect(`owner ${n}`)
    await world.health.check((await world.connect('told')).id)
    await dueNow(world)
    const ended = new AbortController()
    world.org.setFaults([{ kind: 'unavailable_503', on: 'token' }])
    const { checked } = await world.watch.pass({
      ...{ signal: ended.signal, lanes: 2 },
      tell: () => ended.abort(),
    })
    world.org.setFaults([])
    expect(checked < 6).toBe(true)
    const { signal } = new AbortController()
    expect((await world.watch.pass({ signal })).checked).toBe(13 - checked)
  })

  test('what a watch that is killed has taken is due within minutes', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    await dueNow(world)
    const taken = new Promise<number>((resolve) => {
      const { claimDue } = world.store.connections
      world.parts.store.claimDue = async (now, until, limit) => {
        resolve(until - now)
        return claimDue(now, until, limit)
      }
    })
    await world.watch.pass({ signal: new AbortController().signal })
    expect((await taken) <= 5 * 60_000 + 1_000).toBe(true)
    expect((await world.health.check(id)).connection.state).toBe('connected')
  })

  test('tells once of each that it cannot check, whose state is not shown as well', async () => {
    await using world = await openConnectionWorld()
    const made = [await world.connect('one'), await world.connect('two')].map(({ id }) => id)
    for (const id of made) await world.health.check(id)
    const other = await world.again({ tenants: [] })
    const missing = new RescindError('tenant_unknown', 'There is no tenant "org".')
    const lacking = {
      ...other.parts,
      tenantOf: () => {
        throw missing
      },
    }
    const vault = createVault(lacking)
    const watch = createWatch(lacking, createHealth(lacking, vault))
    const told: string[] = []
    const ended = new AbortController()
    let passes = 0
    await watch.run(
      { signal: ended.signal, tellFailed: ({ message }) => void told.push(message) },
      async () => {
        passes += 1
        if (passes === 3) ended.abort()
        await dueNow(world)
      },
    )
    const sentence = (id: string) =>
      `The connection ${id} could not be checked. There is no tenant "org".`
    expect(told.sort()).toEqual(made.map(sentence).sort())
    expect(await vault.get(made[0] as string)).toMatchObject({
      ...{ state: 'degraded', cause: { code: 'not_configured' } },
    })
    // Where it is configured it is well.
    expect((await world.vault.get(made[0] as string)).state).toBe('connected')
  })
})

describe('a connection that changes while others of its batch are checked stays as it then is', () => {
  type World = Awaited<ReturnType<typeof open>>
  async function open() {
    const { tenant, ...provider } = await startEndless()
    const home = tempHome()
    const options = { home: home.path, tenants: [tenant] }
    const [world, other] = [await openVault(options), await openVault(options)]
    onTestFinished(async () => {
      await other[Symbol.asyncDispose]()
      await world[Symbol.asyncDispose]()
      home[Symbol.dispose]()
    })
    const make = async (token: string) => {
      const { id } = await world.vault.create({
        ...{ tenant: 'notion', owner: token, refreshToken: null },
        accessToken: new Secret(token),
      })
      await world.health.check(id)
      return id
    }
    return { ...world, ...provider, other, ids: [await make('first'), await make('second')] }
  }

  /** Checks the first, and holds the second up until it may go on. */
  async function beginBatch(world: World, way: 'pass' | 'all') {
    const { watch, held, asked } = world
    await dueNow(world)
    asked.clear()
    const { promise, resolve: goOn } = Promise.withResolvers<void>()
    held.set('second', promise)
    const batch = watch[way]({ signal: new AbortController().signal, lanes: 1 })
    await expect.poll(() => [...asked]).toEqual(['first', 'second'])
    return { batch, goOn }
  }

  const changes: [string, (world: World, id: string) => Promise<unknown>, object][] = [
    [
      'refused to a caller: due at once',
      async ({ other: { vault } }, id) => {
        const { version } = await vault.accessToken(id)
        const refused = vault.accessToken(id, { refused: version })
        await expect(refused).rejects.toMatchObject({ code: 'connection_unwell' })
      },
      { state: 'connected', isSoon: true },
    ],
    [
      'disabled: never due',
      ({ other }, id) => other.vault.disable(id),
      { state: 'disabled', due_at: null },
    ],
    [
      'degraded: looked at again soon',
      async ({ manner, other }, id) => {
        manner.userinfo = 503
        await other.health.check(id)
        manner.userinfo = 200
      },
      { state: 'degraded', failures: 1, isSoon: true },
    ],
    [
      'a disconnect that is cut off: gone on with soon',
      ({ other }, id) => {
        const { update } = other.parts.store
        let written = 0
        other.parts.store.update = async (...args) => {
          if (++written === 2) throw new Error('killed')
          return update(...args)
        }
        return expect(other.vault.disconnect(id)).rejects.toThrow('killed')
      },
      { state: 'revoked', intent: 'ending', isSoon: true },
    ],
  ]
  test('taken by another process too, for it takes long: what was found is written', async () => {
    const world = await open()
    const { store, ids } = world
    const { batch, goOn } = await beginBatch(world, 'pass')
    const claimed = await store.connections.claimDue(
      Date.now() + 3_600_000,
      Date.now() + 7_200_000,
      9,
    )
    expect(claimed).toHaveLength(2)
    goOn()
    await batch
    for (const id of ids) {
      const row = (await store.connections.read(id))!
      expect(row.checked_at).not.toBe(claimed.find((one) => one.id === id)?.checked_at)
      expect(row.due_at).toBeLessThan(Date.now() + 7_000_000)
    }
  })

  test.each(
    (['pass', 'all'] as const).flatMap((way) => changes.map((change) => [way, ...change] as const)),
  )('%s: %s', async (way, _title, change, expected) => {
    const world = await open()
    const { store, ids } = world
    const { batch, goOn } = await beginBatch(world, way)
    await change(world, ids[0]!)
    const row = await store.connections.read(ids[0]!)
    goOn()
    expect(await batch).toMatchObject({ checked: 2, states: { connected: 2 }, failed: [] })
    const after = await store.connections.read(ids[0]!)
    expect(after).toEqual(row)
    const { due_at } = after!
    expect({ ...after, isSoon: due_at !== null && due_at < Date.now() + 100_000 }).toMatchObject(
      expected,
    )
    // The other one is as it was, and well for an hour.
    const other = await store.connections.read(ids[1]!)
    expect(other!.due_at! > Date.now() + 50 * 60_000).toBe(true)
  })
})

async function dueNow({ store }: { readonly store: { readonly path: string } }) {
  const { DatabaseSync } = await import('node:sqlite')
  using raw = new DatabaseSync(store.path)
  raw.exec('UPDATE connection SET due_at = 1 WHERE due_at IS NOT NULL')
}
