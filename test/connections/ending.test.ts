import { describe, expect, onTestFinished, test } from 'vitest'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { Secret } from '../../src/core/secret.ts'
import { openGrantWorld, type ServerOptions } from './grant-world.ts'
import { openConnectionWorld, openVault, tokenDisk } from './world.ts'

const YES = { revokedAtProvider: 'yes', mayLive: false }
const NOTHING = { access: null, refresh: null }

describe('what comes while a disconnect waits for the provider is not thrown away', () => {
  test.each([true, false])(
    'its owner comes back: told that it is no more, and nothing lives (grantsApart: %s)',
    async (grantsApart) => {
      const world = await openGrantWorld({ options: { grantsApart } })
      const { vault, service, id } = world
      const { state } = await service.link(id)
      world.faults.set('/revocation', [{ slowMs: 800 }])
      const ending = vault.disconnect(id)
      await expect.poll(world.revokes).toBe(1)
      const answer = { state: state.reveal(), code: new Secret('code'), error: null, iss: null }
      expect((await service.callback(answer)).kind).toBe('gone')
      expect(await ending).toMatchObject(YES)
      expect(world.alive()).toEqual([false])
      expect(await vault.tokens(id)).toEqual(NOTHING)
    },
  )

  test.each([
    ['is ended too', true, [], YES, [false, false]],
    ['is ended too', false, [], YES, [false, false]],
    [
      'is said to live where the provider refuses to end it',
      ...[true, [{ status: 400 }, { status: 400 }], { revokedAtProvider: 'no', mayLive: true }],
      [false, true],
    ],
  ] as const)(
    'a grant whose code was presented before %s (grantsApart: %s)',
    async (_title, grantsApart, then, told, lives) => {
      const world = await openGrantWorld({ options: { grantsApart } })
      const { vault, id } = world
      world.faults.set('/token', [{ slowMs: 500 }])
      world.faults.set('/revocation', [{ slowMs: 1_500 }, ...then])
      const coming = world.callback()
      await expect.poll(() => world.alive().length).toBe(2)
      const ending = vault.disconnect(id)
      expect((await coming).kind).toBe('gone')
      expect(await ending).toMatchObject(told)
      expect(world.alive()).toEqual(lives)
      expect(await vault.replaced(id)).toBe(lives.filter((lives) => lives).length)
      expect(await vault.disconnect(id)).toMatchObject(YES)
      expect(world.alive()).toEqual([false, false])
    },
  )

  test.each([
    ['before the provider answers', 2_000, YES],
    // What it brings is not known then.
    ['after it', 0, { revokedAtProvider: 'unknown', mayLive: true }],
  ])('a refresh that outlives its lease and ends %s', async (_title, slowMs, told) => {
    const options = { rotation: 'may', grantsApart: true }
    const world = await openGrantWorld({ rotates: true, leaseMs: 300, options })
    const { vault, id, home, tenants } = world
    await using other = await openVault({ home, tenants, leaseMs: 300 })
    world.faults.set('/token', [{ slowMs: 1_500 }])
    world.faults.set('/revocation', [{ slowMs }])
    const late = vault.renew(id)
    await expect.poll(async () => (await world.store.connections.read(id))?.intent).toBe('sent')
    expect(await other.vault.disconnect(id)).toMatchObject(told)
    expect((await late).state).toBe('revoked')
    expect(world.alive()).toEqual([false])
    expect(await vault.replaced(id)).toBe(0)
    expect(await vault.disconnect(id)).toMatchObject(YES)
    expect(await vault.tokens(id)).toEqual(NOTHING)
  })

  test('a refresh that is under way is waited for: nothing is revoked before it ended', async () => {
    const world = await openGrantWorld({ rotates: true, options: { rotation: 'may' } })
    const { vault, store, id, home, tenants, server } = world
    await using other = await openVault({ home, tenants })
    world.faults.set('/token', [{ slowMs: 500 }])
    const renewing = vault.renew(id)
    await expect.poll(async () => (await store.connections.read(id))?.intent).toBe('sent')
    const ending = other.vault.disconnect(id)
    expect((await renewing).state).toBe('connected')
    const { refresh } = await vault.tokens(id)
    expect(await ending).toMatchObject(YES)
    const asked = server.requests.filter(({ path }) => path === '/revocation')
    const tokens = asked.map(({ body }) => new URLSearchParams(body).get('token'))
    expect(tokens).toEqual([refresh!.reveal()])
    expect(world.alive()).toEqual([false])
  })
})

test('a disconnect that another process began is waited for, and its provider asked once', async () => {
  const { vault, id, faults, revokes, home, tenants, alive, ...world } = await openGrantWorld()
  await using other = await openVault({ home, tenants })
  faults.set('/revocation', [{ slowMs: 800 }])
  const first = vault.disconnect(id)
  await expect.poll(revokes).toBe(1)
  const row = await world.store.connections.read(id)
  const second = other.vault.disconnect(id)
  await systemClock.sleep(300)
  // It has taken nothing over, and asked nobody.
  expect((await world.store.connections.read(id))?.fence).toBe(row!.fence)
  expect(revokes()).toBe(1)
  expect(await first).toMatchObject(YES)
  expect(await second).toMatchObject(YES)
  expect(revokes()).toBe(1)
  expect(alive()).toEqual([false])
})

test('of two tokens that end apart, one of which gave no answer: unknown', async () => {
  const { vault, id, faults, revokes } = await openGrantWorld({
    options: { revokeRefresh: 'token' },
  })
  faults.set('/revocation', [{}, ...Array(3).fill({ isReset: true })])
  expect(await vault.disconnect(id)).toMatchObject({ revokedAtProvider: 'unknown', mayLive: true })
  expect(revokes()).toBe(4)
  expect(await vault.disconnect(id)).toMatchObject(YES)
})

test('tokens that an ended connection holds too are not spared for its sake', async () => {
  const { vault, id, store, reconnect, alive } = await openGrantWorld()
  const { refresh: refreshToken } = await vault.tokens(id)
  await reconnect()
  const twin = await vault.create({ tenant: 'own', owner: 'b', accessToken: null, refreshToken })
  await store.connections.update(twin.id, () => ({ set: { state: 'revoked' } }))
  expect(await vault.replaced(id)).toBe(1)
  expect(await vault.disconnect(id)).toMatchObject(YES)
  expect(alive()).toEqual([false, false])
})

describe('a disconnect that is cut off', () => {
  /** The process is gone when the answer of the provider is to be written. */
  const open = async (options: ServerOptions = {}) => {
    let dies = false
    const world = await openGrantWorld({
      ...options,
      wrap: (store) => ({
        ...store,
        update: (id, decide) =>
          store.update(id, (row) => {
            const change = decide(row)
            const { revoked_at_provider: answer, intent } = change?.set ?? {}
            if (dies && answer && intent === null) throw new Error('killed')
            return change
          }),
      }),
    })
    const dying = async () => {
      dies = true
      await expect(world.vault.disconnect(world.id)).rejects.toThrow('killed')
      dies = false
    }
    await dying()
    const later: Clock = { ...systemClock, now: () => Date.now() + 120_000 }
    const { home, tenants } = world
    return { ...world, dying, next: () => openVault({ home, tenants, leaseMs: 300, clock: later }) }
  }

  test('is shown so, and nobody is given its tokens', async () => {
    const { vault, id } = await open()
    const cause = { code: 'by_us', text: expect.stringMatching(/not known yet/) }
    expect(await vault.get(id)).toMatchObject({ state: 'revoked', cause })
    const refused = { code: 'connection_disabled' }
    await expect(vault.accessToken(id)).rejects.toMatchObject(refused)
    await expect(vault.renew(id)).rejects.toMatchObject(refused)
    await expect(vault.enable(id)).rejects.toMatchObject(refused)
  })

  type Next = Awaited<ReturnType<typeof openVault>>
  test.each<[string, (next: Next, id: string) => Promise<unknown>]>([
    ['a check', ({ health }, id) => health.check(id)],
    ['the watch', ({ watch }) => watch.pass({ signal: new AbortController().signal })],
    ['another disconnect', ({ vault }, id) => vault.disconnect(id)],
  ])('%s goes on with it, and its owner is not asked to reconnect', async (_title, comes) => {
    const { id, revokes, alive, store, next } = await open()
    expect([alive(), revokes()]).toEqual([[false], 1])
    await using other = await next()
    await comes(other, id)
    const { vault } = other
    expect(await vault.get(id)).toMatchObject({
      state: 'revoked',
      cause: { text: expect.stringMatching(/revoked at the provider: yes/) },
    })
    expect(await vault.tokens(id)).toEqual(NOTHING)
    const row = await store.connections.read(id)
    expect(row).toMatchObject({ intent: null, due_at: null, revoked_at_provider: 'yes' })
    const types = (await vault.events(id)).map(({ type }) => type.slice('connection.'.length))
    expect(types).toEqual(['created', 'reconnecting', 'connected', 'revoked'])
    expect(await vault.disconnect(id)).toMatchObject({ why: 'it was revoked before' })
    expect(revokes()).toBe(2)
  })

  test('that was of a grant beside one which is dead: the check goes on with it too', async () => {
    const { id, vault, store, alive, next, dying } = await open({ options: { grantsApart: true } })
    await using other = await next()
    expect(await other.vault.disconnect(id)).toMatchObject(YES)
    const token = new Secret('rt of late')
    const superseded = [{ kind: 'refresh', token, identity: null } as const]
    await store.connections.update(id, () => ({ superseded }))
    await dying()
    expect(await vault.replaced(id)).toBe(0)
    await other.health.check(id)
    const row = await store.connections.read(id)
    expect(row).toMatchObject({ intent: null, due_at: null, revoked_at_provider: 'yes' })
    expect(alive()).toEqual([false])
  })
})

describe('a tenant that is configured no longer', () => {
  const UNASKED = {
    ...{ revokedAtProvider: 'unknown', mayLive: true },
    why: expect.stringMatching(/^the tenant "own" is not configured, so the provider/),
  }
  const open = async () => {
    const world = await openGrantWorld()
    await world.reconnect()
    const { home, tenants } = world
    const process = await openVault({ home, tenants: tenants.filter(({ name }) => name !== 'own') })
    onTestFinished(() => process[Symbol.asyncDispose]())
    return { ...world, without: process.vault }
  }

  test('its connection can be shown, without a count of tokens', async () => {
    const { without, id } = await open()
    expect(await without.get(id)).toMatchObject({ state: 'degraded', tenant: 'own' })
    expect([await without.budget(id), await without.replaced(id)]).toEqual([null, 1])
  })

  test('and ended: the tokens stay, and are revoked once the tenant is there again', async () => {
    const { without, vault, id, revokes, alive } = await open()
    for (const _ of ['once', 'again']) {
      const done = await without.disconnect(id)
      expect(done).toMatchObject({ ...UNASKED, connection: { state: 'revoked' } })
    }
    expect([revokes(), alive()]).toEqual([0, [true, true]])
    expect(await vault.tokens(id)).toMatchObject({ refresh: expect.any(Secret) })
    expect(await vault.disconnect(id)).toMatchObject(YES)
    expect(alive()).toEqual([false, false])
    expect(await without.disconnect(id)).toMatchObject(YES)
  })

  test('one that never had a grant has nothing to be revoked', async () => {
    const { without, service } = await open()
    const { id } = await service.create({ tenant: 'own', owner: 'nobody' })
    const none = { revokedAtProvider: 'no', why: 'no token is held', mayLive: false }
    expect(await without.disconnect(id)).toMatchObject(none)
  })
})

describe('RFC 7009 section 2.2.1: a provider that is busy is asked again', () => {
  const BUSY = { status: 503 }
  const KEPT = { revokedAtProvider: 'no', mayLive: true, leftAlone: false }
  test.each([
    ['once', [BUSY], YES, 2, 900],
    ['when it asks for it', [{ status: 503, retryAfterS: 2 }], YES, 2, 1_900],
    ['after 429 too', [{ status: 429, retryAfterS: 1 }], YES, 2, 900],
    ['no more than twice', [BUSY, BUSY, BUSY], KEPT, 3, 2_900],
    ['not where it asks for longer than there is', [{ status: 503, retryAfterS: 60 }], KEPT, 1, 0],
    ['not after another refusal', [{ status: 400 }], KEPT, 1, 0],
  ])('%s', async (_title, answers, told, times, waitMs) => {
    const { vault, id, faults, revokes } = await openGrantWorld()
    faults.set('/revocation', answers)
    const startedAt = Date.now()
    expect(await vault.disconnect(id)).toMatchObject(told)
    expect(revokes()).toBe(times)
    expect(Date.now() - startedAt).toBeGreaterThan(waitMs)
  })

  test('not for each of many tokens: somebody waits', async () => {
    const { vault, id, faults, revokes, reconnect } = await openGrantWorld()
    await reconnect()
    await reconnect()
    faults.set('/revocation', Array(9).fill(BUSY))
    expect(await vault.disconnect(id)).toMatchObject(KEPT)
    expect(revokes()).toBe(5)
  })
})

describe('tokens that the disconnect does not hold are not taken for dead', () => {
  test.each([
    ['before anybody looked', false],
    ['after it was found to be lost', true],
  ])('the answer to a refresh was lost: %s', async (_title, looks) => {
    await using world = await openConnectionWorld()
    const { id, deleteToken } = await world.connect()
    await world.vault.accessToken(id)
    world.org.setFaults([{ kind: 'reset_after_effect', on: 'token', nth: 1 }])
    await expect(world.vault.renew(id)).rejects.toThrow(/cannot be used now/)
    if (looks) await expect(world.vault.renew(id)).rejects.toThrow(/answer to a refresh was lost/)
    const lost = {
      revokedAtProvider: 'unknown',
      why: /answer to a refresh was lost/,
      mayLive: true,
    }
    for (const _ of ['once', 'again']) {
      const { why, ...said } = await world.vault.disconnect(id)
      expect({ ...said, why }).toMatchObject({ ...lost, why: expect.stringMatching(lost.why) })
    }
    expect(world.org.truth.isAlive(deleteToken)).toBe(true)
    expect((await world.vault.get(id)).state).toBe('revoked')
  })

  test.each([
    ['refused, so that one that is taken had no successor', true, 0, YES],
    ['taken in its grace too', true, 1_800_000, { revokedAtProvider: 'unknown', mayLive: true }],
    ['taken for as long as it likes', false, 0, { revokedAtProvider: 'unknown', mayLive: true }],
  ])(
    'a refresh was cut off where a spent token is %s',
    async (_title, replayKills, graceMs, told) => {
      const traits = { rotation: 'always', revokesTwice: 'refused', revokeRefresh: 'token' }
      const options = { ...traits, replayKills, graceMs }
      const { vault, store, id } = await openGrantWorld({ rotates: true, leaseMs: 300, options })
      await store.connections.update(id, () => ({ set: { intent: 'sent', intent_at: 1 } }))
      expect(await vault.disconnect(id)).toMatchObject(told)
    },
  )

  test('new tokens that could not be stored are revoked', async () => {
    const disk = tokenDisk()
    await using world = await openConnectionWorld(disk)
    const { id, deleteToken } = await world.connect()
    await world.vault.accessToken(id)
    disk.isFull = true
    await expect(world.vault.renew(id)).rejects.toThrow(/could not be stored/)
    disk.isFull = false
    expect(await world.vault.disconnect(id)).toMatchObject({
      ...{ revokedAtProvider: 'yes', mayLive: false },
    })
    expect(world.org.truth.isAlive(deleteToken)).toBe(false)
  })

  test('new tokens in the memory of a process that watches, of a connection that another one disconnected', async () => {
    const disk = tokenDisk()
    await using world = await openConnectionWorld({ wrap: disk.wrap, leaseMs: 300 })
    const { id, deleteToken } = await world.connect()
    await world.vault.accessToken(id)
    disk.isFull = true
    await expect(world.vault.renew(id)).rejects.toThrow(/could not be stored/)
    const other = await world.again({ wrap: (store) => store })
    const signal = new AbortController().signal
    const failed: string[] = []
    const tellFailed = (error: Error) => void failed.push(error.message)
    await world.watch.pass({ signal, tellFailed })
    expect(failed[0]).toMatch(/disk full/)
    expect(await other.vault.disconnect(id)).toMatchObject({ revokedAtProvider: 'unknown' })
    disk.isFull = false
    await world.watch.pass({ signal, tellFailed })
    expect(world.org.truth.isAlive(deleteToken)).toBe(false)
    expect(await other.vault.disconnect(id)).toMatchObject(YES)
  })
})

test('a provider that does not say whose a grant is holds up no revocation', async () => {
  const { vault, store, faults, id, alive } = await openGrantWorld({ together: true })
  await store.connections.update(id, () => ({ set: { identity: null } }))
  faults.set('/userinfo', [{ slowMs: 60_000 }])
  expect(await vault.disconnect(id)).toMatchObject(YES)
  expect(alive()).toEqual([false])
})
