import { describe, expect, test } from 'vitest'
import type { Fault } from '../../emulators/index.ts'
import { systemClock } from '../../src/core/clock.ts'
import { Secret } from '../../src/core/secret.ts'
import { openGrantWorld } from './grant-world.ts'
import { type ConnectionWorld, openConnectionWorld, tokenDisk } from './world.ts'

const types = async ({ vault }: ConnectionWorld, id: string) =>
  (await vault.events(id)).map(({ type, from, to }) => `${type.slice(11)} ${from}>${to}`)

describe('an access token', () => {
  test('is had once, and read from memory until something is written', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const first = await world.vault.accessToken(id)
    for (let n = 0; n < 50; n += 1) {
      expect(await world.vault.accessToken(id)).toEqual(first)
    }
    expect(world.tokenRequests()).toBe(1)
    expect(first.facts.instance_url).toBe(world.org.url)
  })

  test('that another process replaced is seen at once', async () => {
    await using world = await openConnectionWorld()
    const other = await world.again()
    const { id } = await world.connect()
    const { version, token } = await world.vault.accessToken(id)
    await other.vault.renew(id)
    const next = await world.vault.accessToken(id)
    expect(next.version).toBe(version + 1)
    expect(next.token.reveal()).not.toBe(token.reveal())
    await other.vault.disable(id)
    await expect(world.vault.accessToken(id)).rejects.toMatchObject({ code: 'connection_disabled' })
  })

  test('that the provider refused is renewed once, however many say so', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const { version } = await world.vault.accessToken(id)
    world.org.expireSessions()
    const all = await Promise.all(
      Array.from({ length: 20 }, () => world.vault.accessToken(id, { refused: version })),
    )
    expect(new Set(all.map((one) => one.version))).toEqual(new Set([version + 1]))
    expect(world.tokenRequests()).toBe(2)
  })

  test('that the provider refused is not given back by a refresh that began before', async () => {
    await using world = await openConnectionWorld()
    const other = await world.again()
    const { id } = await world.connect()
    const { version } = await world.vault.accessToken(id)
    world.org.setFaults([{ kind: 'slow', ms: 800, on: 'token', nth: 1 }])
    const theirs = other.vault.accessToken(id, { refused: version })
    const intent = async () => (await world.store.connections.read(id))?.intent
    await expect.poll(intent).toBe('sent')
    const waiting = world.vault.accessToken(id, { refused: version })
    const refused = (await theirs).version
    // Ours still waits for theirs, and will find this one.
    const given = await world.vault.accessToken(id, { refused })
    expect([refused, given.version]).toEqual([version + 1, version + 2])
    await waiting
    expect(world.tokenRequests()).toBe(3)
  })
})

describe('section 4: what a refusal does', () => {
  test('a revoked grant needs its owner, and is told once', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const { refresh } = await world.vault.tokens(id)
    await revoke(world, refresh)
    for (const _ of [1, 2, 3]) {
      await expect(world.vault.accessToken(id)).rejects.toMatchObject({ code: 'reconnect_needed' })
    }
    const { state, cause } = await world.vault.get(id)
    expect(state).toBe('reconnect_needed')
    expect(cause).toMatchObject({ code: 'revoked_or_expired', confidence: 'likely' })
    expect(await types(world, id)).toEqual([
      'created null>connected',
      'needs_reauth connected>reconnect_needed',
    ])
    expect(world.tokenRequests()).toBe(1)
  })

  test('a refresh that brings the tokens of another person degrades, and nobody is given them', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const before = { user: '005xx', org: '00Dxx', name: null }
    await world.store.connections.update(id, () => ({ set: { identity: JSON.stringify(before) } }))
    expect(await world.vault.renew(id)).toMatchObject({
      ...{ state: 'degraded', version: 2, identity: before },
      cause: { code: 'identity_changed', confidence: 'certain' },
    })
    await expect(world.vault.accessToken(id)).rejects.toMatchObject({ code: 'connection_unwell' })
    expect(await types(world, id)).toEqual([
      'created null>connected',
      'degraded connected>degraded',
    ])
  })

  test.each<[string, Fault]>([
    ['503', { kind: 'unavailable_503', on: 'token' }],
    ['429', { kind: 'too_many_429', on: 'token' }],
    ['a page in HTML', { kind: 'html_200', on: 'token' }],
    ['a reset before the effect', { kind: 'reset_before_effect', on: 'token' }],
  ])('%s degrades, and heals: the token was not spent', async (_title, fault) => {
    await using world = await openConnectionWorld()
    const { id, deleteToken } = await world.connect()
    world.org.setFaults([{ ...fault, nth: 1 }])
    await expect(world.vault.accessToken(id)).rejects.toMatchObject({ code: 'connection_unwell' })
    expect((await world.vault.get(id)).state).toBe('degraded')
    const { connection } = await world.health.check(id)
    expect(connection.state).toBe('connected')
    expect(world.org.truth.isAlive(deleteToken)).toBe(true)
    expect(await types(world, id)).toEqual([
      'created null>connected',
      'degraded connected>degraded',
      'healed degraded>connected',
    ])
  })

  test.each<[string, Fault]>([
    ['lost after the effect', { kind: 'reset_after_effect', on: 'token' }],
    ['answered with 500 after the effect', { kind: 'error_500_after_effect', on: 'token' }],
  ])('a rotated token that was %s is never replayed', async (_title, fault) => {
    await using world = await openConnectionWorld()
    const { id, deleteToken } = await world.connect()
    world.org.setFaults([{ ...fault, nth: 1 }])
    await expect(world.vault.accessToken(id)).rejects.toMatchObject({ code: 'connection_unwell' })
    const { connection } = await world.health.check(id)
    expect(connection.state).toBe('reconnect_needed')
    expect(connection.cause).toMatchObject({ code: 'rotated_token_lost', confidence: 'likely' })
    expect(world.tokenRequests()).toBe(1)
    // The grant is not ended by a replay of ours.
    expect(world.org.truth.isAlive(deleteToken)).toBe(true)
  })

  test('a client that is refused is our fault, and heals when it is mended', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const wrong = { ...world.tenant.app!, clientSecret: new Secret('WRONG') }
    const other = await world.again({ tenants: [{ ...world.tenant, app: wrong }] })
    await expect(other.vault.accessToken(id)).rejects.toMatchObject({ code: 'not_authenticated' })
    const { state, cause } = await world.vault.get(id)
    expect([state, cause?.code]).toEqual(['degraded', 'our_client_refused'])
    expect((await world.health.check(id)).connection.state).toBe('connected')
  })

  test('no rotation: a lost answer costs nothing but another try', async () => {
    await using world = await openConnectionWorld({
      org: { switches: { rotation: 'none' } },
      appOptions: { rotation: 'off' },
    })
    const { id } = await world.connect()
    world.org.setFaults([{ kind: 'reset_after_effect', on: 'token', nth: 1 }])
    await expect(world.vault.accessToken(id)).rejects.toMatchObject({ code: 'connection_unwell' })
    await world.vault.accessToken(id)
    expect((await world.vault.get(id)).state).toBe('connected')
  })
})

describe('new tokens', () => {
  test('that cannot be stored are not used, not reported healthy, and stored as soon as they can be', async () => {
    const disk = tokenDisk()
    await using world = await openConnectionWorld(disk)
    const { id } = await world.connect()
    const { version } = await world.vault.accessToken(id)
    disk.isFull = true
    await expect(world.vault.accessToken(id, { refused: version })).rejects.toThrow(/not be stored/)
    await expect(world.vault.accessToken(id)).rejects.toThrow(/not be stored/)
    expect(await world.vault.get(id)).toMatchObject({
      state: 'degraded',
      cause: { code: 'store_failed' },
    })
    // Another process sees that a refresh began and did not end.
    const other = await world.again()
    expect(await other.vault.get(id)).toMatchObject({
      state: 'degraded',
      cause: { code: 'rotated_token_lost', confidence: 'possible' },
    })
    disk.isFull = false
    expect((await world.vault.accessToken(id)).version).toBe(version + 1)
    expect((await world.vault.get(id)).state).toBe('connected')
    expect(world.tokenRequests()).toBe(2)
  })

  test('that cannot be stored ahead of the end of the old one: that one is not given either', async () => {
    let broken = false
    let ahead = 0
    const { vault, id } = await openGrantWorld({
      clock: {
        now: () => Date.now() + ahead,
        sleep: (ms, signal) => systemClock.sleep(ms / 100, signal),
      },
      wrap: (store) => ({
        ...store,
        update: (of, decide) =>
          store.update(of, (row) => {
            const change = decide(row)
            if (broken && change?.tokens) throw new Error('disk full')
            return change
          }),
      }),
    })
    broken = true
    ahead = 550_000
    await expect(vault.accessToken(id)).rejects.toThrow(/not be stored/)
    broken = false
    expect((await vault.accessToken(id)).version).toBe(3)
  })

  test('that come late are stored, although another took the refresh for cut off', async () => {
    await using world = await openConnectionWorld({ leaseMs: 300 })
    const { id } = await world.connect()
    world.org.setFaults([{ kind: 'slow', ms: 1_500, on: 'token', nth: 1 }])
    const slow = world.vault.accessToken(id)
    await expect.poll(() => world.tokenRequests(), { timeout: 4_000 }).toBe(0)
    const other = await world.again()
    await expect(other.vault.renew(id)).rejects.toMatchObject({ code: 'reconnect_needed' })
    expect((await other.vault.get(id)).state).toBe('reconnect_needed')
    await slow
    expect((await other.vault.get(id)).state).toBe('connected')
    expect(world.tokenRequests()).toBe(1)
    expect(await types(world, id)).toEqual([
      'created null>connected',
      'needs_reauth connected>reconnect_needed',
      'healed reconnect_needed>connected',
    ])
  })
})

test('tokens that come for a connection which was disconnected meanwhile are kept until they are dead', async () => {
  await using world = await openConnectionWorld({ leaseMs: 300 })
  const { id, deleteToken } = await world.connect()
  // What never was of use there may be another org's, and is kept for good.
  const { version } = await world.vault.accessToken(id)
  world.org.setFaults([
    { kind: 'slow', ms: 1_500, on: 'token' },
    { kind: 'unavailable_503', on: 'revoke' },
  ])
  const slow = expect(world.vault.accessToken(id, { refused: version })).rejects.toMatchObject({
    code: 'connection_disabled',
  })
  await expect.poll(async () => (await world.store.connections.read(id))?.intent).toBe('sent')
  const other = await world.again()
  expect(await other.vault.disconnect(id)).toMatchObject({ mayLive: true })
  await slow
  expect(await world.vault.replaced(id)).toBe(1)
  world.org.setFaults([])
  expect(await world.vault.disconnect(id)).toMatchObject({ mayLive: false })
  expect(world.org.truth.isAlive(deleteToken)).toBe(false)
  expect(await world.vault.replaced(id)).toBe(0)
})

describe('section 5.4: the vault', () => {
  test('a token opens for its own connection and field alone', async () => {
    await using world = await openConnectionWorld()
    const [one, two] = [await world.connect('one'), await world.connect('two')]
    const rows = await Promise.all([one, two].map(({ id }) => world.store.connections.read(id)))
    const { DatabaseSync } = await import('node:sqlite')
    using raw = new DatabaseSync(world.store.path)
    raw
      .prepare(
        'UPDATE connection_token SET refresh = (SELECT refresh FROM connection_token WHERE connection = ?) WHERE connection = ?',
      )
      .run(rows[0]!.no, rows[1]!.no)
    await expect(world.vault.tokens(two.id)).rejects.toMatchObject({ code: 'store_unsealable' })
  })

  test('a connection that is not there is guessed', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    await expect(world.vault.get(`${id.slice(0, -1)}!`)).rejects.toMatchObject({
      code: 'connection_unknown',
      message: expect.stringContaining(`Did you mean ${id}, of acme?`),
    })
  })

  test('enable of one whose token was lost while it was disabled: its owner is needed', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    await world.vault.disable(id)
    await world.store.connections.update(id, () => ({ set: { intent: 'lost' } }))
    expect((await world.vault.enable(id)).state).toBe('reconnect_needed')
    await expect(world.vault.accessToken(id)).rejects.toMatchObject({ code: 'reconnect_needed' })
    expect(world.tokenRequests()).toBe(0)
  })

  test('disable and enable: degraded until a check says more', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    await world.vault.disable(id)
    await world.vault.disable(id)
    await expect(world.vault.accessToken(id)).rejects.toMatchObject({ code: 'connection_disabled' })
    expect((await world.vault.enable(id)).state).toBe('degraded')
    expect((await world.health.check(id)).connection.state).toBe('connected')
    expect(await types(world, id)).toEqual([
      'created null>connected',
      'disabled connected>disabled',
      'enabled disabled>degraded',
      'healed degraded>connected',
    ])
  })
})

function revoke({ org }: ConnectionWorld, token: Secret | null) {
  const body = new URLSearchParams({ token: token?.reveal() ?? '' })
  return fetch(`${org.url}/services/oauth2/revoke`, { method: 'POST', body })
}
