import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { createReauthorizing } from '../../src/connections/reauthorize.ts'
import { Secret } from '../../src/core/secret.ts'
import type { ConnectionRow } from '../../src/store/connections.ts'
import { openGrantWorld as open, type ServerOptions } from './grant-world.ts'
import { type ConnectionWorld, openConnectionWorld, openVault } from './world.ts'

describe('section 5.4: never overwrite with nothing, in a reconnect too', () => {
  test.each([
    ['at once', false, 0],
    ['after a refresh, whose access token replaces it', true, 1],
  ])(
    'an answer without a refresh token keeps the one of the same person; disconnect ends both grants, %s',
    async (_title, isRenewed, replaced) => {
      const { reconnect, refresh, vault, id, alive } = await open()
      expect(await reconnect({ refresh: false })).toMatchObject({ state: 'connected', cause: null })
      expect(await refresh()).toBe('rt-1')
      if (isRenewed) expect((await vault.renew(id)).state).toBe('connected')
      expect(await vault.replaced(id)).toBe(replaced)
      expect(alive()).toEqual([true, true])
      expect((await vault.disconnect(id)).revokedAtProvider).toBe('yes')
      expect(alive()).toEqual([false, false])
    },
  )

  test('where the access token beside a kept refresh token is not revoked, that is said, and asked for again', async () => {
    const { reconnect, vault, id, alive, down } = await open({ options: { grantsApart: true } })
    await reconnect({ refresh: false })
    down.add('/revocation')
    expect(await vault.disconnect(id)).toMatchObject({ revokedAtProvider: 'no', mayLive: true })
    down.clear()
    expect(await vault.disconnect(id)).toMatchObject({ revokedAtProvider: 'yes', mayLive: false })
    expect(alive()).toEqual([false, false])
  })

  test('a refresh token that was lost does not stay, of a disabled connection either', async () => {
    const { reconnect, refresh, vault, store, id, alive } = await open()
    await vault.disable(id)
    await store.connections.update(id, () => ({ set: { intent: 'lost' } }))
    expect((await reconnect({ refresh: false })).state).toBe('disabled')
    expect(await refresh()).toBeNull()
    expect((await vault.disconnect(id)).revokedAtProvider).toBe('yes')
    expect(alive()).toEqual([false, false])
  })

  test('after invalid_grant the old one stays away, and what is there is said: no refresh token', async () => {
    const { reconnect, refresh, vault, health, id, grants, revokes } = await open()
    grants[0]!.alive = false
    await expect(vault.renew(id)).rejects.toMatchObject({ code: 'reconnect_needed' })
    const told = { state: 'degraded', cause: { code: 'no_refresh_token', confidence: 'certain' } }
    expect(await reconnect({ refresh: false })).toMatchObject(told)
    expect(await refresh()).toBeNull()
    expect((await vault.events(id)).at(-1)).toMatchObject({
      ...{ type: 'connection.reconnected', to: 'degraded', cause: told.cause },
    })
    expect((await vault.accessToken(id)).token.isEmpty).toBe(false)
    // A probe shows that it works now, and not that it will.
    for (const _ of ['once', 'twice']) {
      expect((await health.check(id)).connection).toMatchObject(told)
    }
    expect(revokes()).toBe(0)
    expect(await reconnect()).toMatchObject({ state: 'connected', cause: null })
    expect((await health.check(id)).connection).toMatchObject({ state: 'connected', cause: null })
  })

  test('another person who is accepted does not get the refresh token of the one before', async () => {
    const { reconnect, refresh, vault, id, alive } = await open()
    expect(await reconnect({ refresh: false, user: 'bob' })).toMatchObject({ state: 'degraded' })
    expect(await refresh()).toBeNull()
    expect((await vault.disconnect(id)).revokedAtProvider).toBe('yes')
    expect(alive()[0]).toBe(false)
  })

  test.each([
    ['an access token that ends', 600, 'degraded no_refresh_token'],
    ['one that has no end', null, 'connected'],
  ])('a first grant of %s alone: %s seconds, %s', async (_title, expiresInS, expected) => {
    const { vault, health, id } = await open({ first: { refresh: false, expiresInS } })
    const { connection } = await health.check(id)
    for (const { state, cause } of [await vault.get(id), connection]) {
      expect(`${state} ${cause?.code ?? ''}`.trim()).toBe(expected)
    }
  })
})

describe('what is told of a new grant', () => {
  test('the first is connected, each one after it reconnected; both go to receivers', async () => {
    const { reconnect, vault, store, id } = await open()
    await reconnect()
    const types = (await vault.events(id)).map(({ type }) => type.slice('connection.'.length))
    expect(types).toEqual(['created', 'reconnecting', 'connected', 'reconnected'])
    await store.connections.fanOut([{ receiver: 'r', from: 0 }], 0)
    const [told] = await store.connections.claimNotices(['r'], Date.now(), Date.now() + 1, 9)
    expect(told?.type).toBe('connection.connected')
  })

  test('a name that a probe shows is written, and outlives an answer without one', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const { user, org, name } = (await world.health.check(id)).connection.identity!
    expect(name).toMatch(/@/)
    const nameless = { user, org, name: null }
    const { fresh } = newGrant(world)
    const adopted = await world.vault.adopt(id, { ...fresh, identity: nameless })
    expect(adopted.identity).toEqual({ user, org, name })
    const bare = await world.vault.create({
      ...{ tenant: 'org', owner: 'b', accessToken: null, identity: nameless },
      refreshToken: newGrant(world).fresh.refreshToken,
    })
    expect((await world.health.check(bare.id)).connection.identity).toEqual({ user, org, name })
  })
})

describe('a grant that a reconnect replaced', () => {
  test('where a revocation may reach the new one (Google), it is left alone until the disconnect', async () => {
    const { reconnect, vault, id, alive, revokes } = await open({ together: true })
    await reconnect()
    expect([alive(), revokes()]).toEqual([[true, true], 0])
    expect((await vault.renew(id)).state).toBe('connected')
    expect((await vault.disconnect(id)).revokedAtProvider).toBe('yes')
    expect(alive()).toEqual([false, false])
  })

  test('where a revocation ends all of a person, and another one is taken: it is revoked at once', async () => {
    const { reconnect, vault, id, alive } = await open({ together: true })
    await reconnect({ user: 'bob' })
    expect(alive()).toEqual([false, true])
    expect((await vault.renew(id)).state).toBe('connected')
  })

  test('disconnect ends each of them, and says what may live', async () => {
    const { reconnect, vault, store, id, alive, down } = await open()
    await reconnect()
    await reconnect()
    const file = await store.connections.superseded((await store.connections.read(id))!)
    expect(file.map(({ kind, token }) => [kind, token.reveal()])).toEqual([
      ['refresh', 'rt-1'],
      ['refresh', 'rt-2'],
    ])
    expect(await vault.replaced(id)).toBe(2)
    down.add('/revocation')
    expect(await vault.disconnect(id)).toMatchObject({ revokedAtProvider: 'no', mayLive: true })
    down.clear()
    expect(await vault.disconnect(id)).toMatchObject({ revokedAtProvider: 'yes', mayLive: false })
    expect(alive()).toEqual([false, false, false])
  })

  test('of the tokens that a refresh brought while the reconnect was stored: those are ended', async () => {
    let between = async () => {}
    const world = await open({
      ...{ rotates: true, options: { rotation: 'may' } },
      wrap: (store) => ({
        ...store,
        async tokens(row) {
          const held = await store.tokens(row)
          await between()
          return held
        },
      }),
    })
    const { reconnect, vault, id, alive, home, tenants } = world
    await using other = await openVault({ home, tenants })
    between = async () => {
      between = async () => {}
      await other.vault.renew(id)
    }
    expect((await reconnect()).version).toBe(4)
    expect((await vault.disconnect(id)).revokedAtProvider).toBe('yes')
    expect(alive()).toEqual([false, false])
  })

  test('it is forgotten when the provider said yes, and not when its answer was lost', async () => {
    const { reconnect, vault, id, alive, faults } = await open({ options: { grantsApart: true } })
    faults.set('/revocation', [{ isReset: true }])
    await reconnect()
    expect([alive(), await vault.replaced(id)]).toEqual([[true, true], 1])
    await reconnect()
    expect([alive(), await vault.replaced(id)]).toEqual([[false, false, true], 0])
  })

  test('it is forgotten by who ended it, and no newer one in its place', async () => {
    const { vault, store, id } = await open()
    const keep = (token: string) =>
      store.connections.update(id, () => ({
        superseded: [{ kind: 'refresh', token: new Secret(token), identity: null }],
      }))
    const kept = async () =>
      store.connections.superseded((await store.connections.read(id)) as ConnectionRow)
    await keep('first')
    const [first] = await kept()
    // Two end it at once, and one is kept in between.
    await store.connections.forgetSuperseded(first!)
    await keep('second')
    expect((await kept())[0]?.no).toBe(first?.no)
    await store.connections.forgetSuperseded(first!)
    expect(await vault.replaced(id)).toBe(1)
  })

  test('beside a grant that a connection of another app lives on it is left alone too', async () => {
    const { reconnect, vault, id, alive } = await open({ together: true })
    const { identity } = await reconnect()
    const { refresh: refreshToken } = await vault.tokens(id)
    const { id: twin } = await vault.create({
      ...{ tenant: 'another', owner: 'b', accessToken: null, refreshToken, identity },
    })
    expect(await vault.disconnect(id)).toMatchObject({ mayLive: true, leftAlone: true })
    expect(alive()).toEqual([true, true])
    expect((await vault.renew(twin)).state).toBe('connected')
  })

  test('beside a grant that another connection lives on it is left alone, and said to live', async () => {
    const { reconnect, vault, id, alive, revokes } = await open()
    await reconnect()
    const { refresh: refreshToken } = await vault.tokens(id)
    const twin = await vault.create({ tenant: 'own', owner: 'b', accessToken: null, refreshToken })
    expect(await vault.disconnect(id)).toMatchObject({
      ...{ revokedAtProvider: 'no', mayLive: true, leftAlone: true },
      why: expect.stringMatching(new RegExp(`${twin.id}; of a grant that a reconnect replaced`)),
    })
    expect([alive(), revokes()]).toEqual([[true, true], 0])
    await vault.disconnect(twin.id)
    expect((await vault.disconnect(id)).revokedAtProvider).toBe('yes')
    expect(alive()).toEqual([false, false])
  })

  test('where grants stand apart it is revoked at once; what fails then waits for the next time', async () => {
    const { reconnect, alive, down, vault, id } = await open({ options: { grantsApart: true } })
    await reconnect()
    expect(alive()).toEqual([false, true])
    down.add('/revocation')
    await reconnect()
    down.clear()
    expect(alive()).toEqual([false, true, true])
    await reconnect()
    expect(alive()).toEqual([false, false, false, true])
    expect((await vault.renew(id)).state).toBe('connected')
  })
})

describe('a grant of which nobody says whose it is, where that was known before', () => {
  const unconfirmed = async (options: ServerOptions) => {
    const server = await open(options)
    server.down.add('/userinfo')
    return { ...server, once: () => server.callback() }
  }

  test('where grants stand apart it is revoked, as often as it comes', async () => {
    const { once, alive, vault, id } = await unconfirmed({ options: { grantsApart: true } })
    for (let nth = 0; nth < 3; nth += 1) expect((await once()).kind).toBe('unconfirmed')
    expect(alive()).toEqual([true, false, false, false])
    expect((await vault.renew(id)).state).toBe('connected')
  })

  test('elsewhere it waits for the disconnect', async () => {
    const { once, alive, vault, id, revokes } = await unconfirmed({ together: true })
    expect((await once()).kind).toBe('unconfirmed')
    expect([alive(), revokes(), await vault.replaced(id)]).toEqual([[true, true], 0, 1])
    expect((await vault.disconnect(id)).revokedAtProvider).toBe('yes')
    expect(alive()).toEqual([false, false])
  })

  test('it may be of anybody: while another connection lives, it is left alone, and said to live', async () => {
    const { callback, connectBob, alive, vault, id, down } = await open({ together: true })
    const other = await connectBob()
    down.add('/userinfo')
    expect((await callback({ user: 'bob' })).kind).toBe('unconfirmed')
    expect(await vault.disconnect(id)).toMatchObject({ revokedAtProvider: 'no', mayLive: true })
    expect(alive()).toEqual([false, true, true])
    expect((await vault.renew(other)).state).toBe('connected')
    expect((await vault.disconnect(other)).revokedAtProvider).toBe('yes')
    expect((await vault.disconnect(id)).revokedAtProvider).toBe('yes')
    expect(alive()).toEqual([false, false, false])
  })
})

describe('where a revocation ends all of a person (Google), no disconnect takes along another connection', () => {
  const LEFT = {
    ...{ revokedAtProvider: 'no', why: expect.stringMatching(/left alone/) },
    ...{ mayLive: true, leftAlone: true },
  }

  test('of the same person: it is left alone, with what it replaced, and the last one ends them all', async () => {
    const { reconnect, connect, alive, revokes, vault, id } = await open({ together: true })
    await reconnect()
    const other = await connect('ada')
    for (const _ of ['once', 'again']) expect(await vault.disconnect(id)).toMatchObject(LEFT)
    expect([alive(), revokes()]).toEqual([[true, true, true], 0])
    expect((await vault.renew(other)).state).toBe('connected')
    expect((await vault.disconnect(other)).revokedAtProvider).toBe('yes')
    expect(alive()).toEqual([false, false, false])
    expect(await vault.disconnect(id)).toMatchObject({ revokedAtProvider: 'yes', mayLive: false })
  })

  test('that began after a first disconnect got no answer', async () => {
    const { connect, alive, vault, id, down } = await open({ together: true })
    down.add('/revocation')
    expect(await vault.disconnect(id)).toMatchObject({ mayLive: true })
    down.clear()
    const other = await connect('ada')
    expect(await vault.disconnect(id)).toMatchObject(LEFT)
    expect(alive()).toEqual([true, true])
    expect((await vault.renew(other)).state).toBe('connected')
  })

  test('of the same person, and both end at once: what each left to the other is ended', async () => {
    const { connect, vault, id, alive } = await open({ together: true })
    const other = await connect('ada')
    await Promise.all([vault.disconnect(id), vault.disconnect(other)])
    expect(alive()).toEqual([false, false])
  })

  test('that began before a grant which came too late is ended', async () => {
    const server = await open({ together: true })
    const { service, connect, alive, vault, id, down, parts } = server
    const { state } = await service.link(id)
    // Its owner comes back while it is disconnected.
    const adopt: typeof vault.adopt = async (...of) => {
      expect(await vault.disconnect(id)).toMatchObject({
        ...{ revokedAtProvider: 'unknown', mayLive: true },
        why: expect.stringMatching(/^a consent of its owner is under way/),
      })
      down.add('/revocation')
      return vault.adopt(...of)
    }
    const answer = { state: state.reveal(), code: new Secret('code'), error: null, iss: null }
    await createReauthorizing(parts, { ...vault, adopt }, {}).callback(answer)
    down.clear()
    expect(await vault.replaced(id)).toBe(1)
    const other = await connect('ada')
    expect(await vault.disconnect(id)).toMatchObject({ mayLive: true })
    expect(alive().at(-1)).toBe(true)
    expect((await vault.renew(other)).state).toBe('connected')
  })

  test('of a person whom nobody had asked for yet: the provider is, before it', async () => {
    const { connect, vault, store, id, alive } = await open({ together: true })
    const other = await connect('ada')
    await store.connections.update(id, () => ({ set: { identity: null } }))
    expect(await vault.disconnect(id)).toMatchObject(LEFT)
    expect(alive()).toEqual([true, true])
    expect((await vault.renew(other)).state).toBe('connected')
  })

  test('two persons whom nobody knows are not taken for one', async () => {
    const { service, callback, alive, vault, down } = await open({ together: true })
    down.add('/userinfo')
    const [one, other] = [
      (await service.create({ tenant: 'own', owner: 'one' })).id,
      (await service.create({ tenant: 'own', owner: 'other' })).id,
    ]
    await callback({ user: 'eve' }, one)
    await callback({ user: 'eve' }, other)
    await callback({ user: 'zed' }, one)
    expect(await vault.disconnect(one)).toMatchObject({ revokedAtProvider: 'no', mayLive: true })
    expect(alive()).toEqual([true, true, true, false])
    expect((await vault.renew(other)).state).toBe('connected')
  })

  test('a replaced grant of a store of before it was written whose it is: it may be of anybody', async () => {
    const { callback, connect, alive, vault, id, home, tenants } = await open({ together: true })
    const other = await connect('ada')
    await callback({ user: 'bob' })
    {
      using raw = new DatabaseSync(join(home, 'rescind.db'))
      raw.exec('ALTER TABLE superseded_token DROP COLUMN identity')
      raw.exec('DROP TABLE former_grant')
      raw.exec('ALTER TABLE reconnect DROP COLUMN intent')
      raw.exec("DELETE FROM kysely_migration WHERE name >= '0005_superseded_identity'")
    }
    await using later = await openVault({ home, tenants })
    expect(await later.vault.disconnect(id)).toMatchObject({ mayLive: true })
    expect(alive()).toEqual([true, true, false])
    expect((await vault.renew(other)).state).toBe('connected')
  })

  test.each([
    ['same-app', LEFT, [true, true]],
    ['another', { revokedAtProvider: 'yes' }, [false, false]],
  ])('of another tenant, which has the same app or another: %s', async (tenant, told, lives) => {
    const { connect, alive, vault, id } = await open({ together: true })
    await connect('ada', tenant)
    expect(await vault.disconnect(id)).toMatchObject(told)
    // The server here knows one app.
    expect(alive()).toEqual(lives)
  })

  test.each([
    ['of the same app, spelt otherwise', 'same-app-by-another-spelling', LEFT],
    ['of the same client id at another server', 'elsewhere', { revokedAtProvider: 'yes' }],
  ])('of a tenant %s', async (_title, tenant, told) => {
    const { vault, id } = await open({ together: true })
    const { identity } = await vault.get(id)
    await vault.create({
      ...{ tenant, owner: 'other', identity, refreshToken: null },
      accessToken: new Secret('of another grant'),
    })
    expect(await vault.disconnect(id)).toMatchObject(told)
  })

  test('of a tenant that is not configured in this process, which may be of the same app', async () => {
    const { connect, id, alive, home, tenants } = await open({ together: true })
    await connect('ada', 'same-app')
    await using without = await openVault({
      home,
      tenants: tenants.filter(({ name }) => name !== 'same-app'),
    })
    expect(await without.vault.disconnect(id)).toMatchObject(LEFT)
    expect(alive()).toEqual([true, true])
  })

  test('of nobody known, who may be the same person', async () => {
    const { vault, id, alive } = await open({ together: true })
    const token = new Secret('of another grant')
    await vault.create({ tenant: 'own', owner: 'b', accessToken: token, refreshToken: null })
    expect(await vault.disconnect(id)).toMatchObject(LEFT)
    expect(alive()).toEqual([true])
  })

  test('a grant of a person who lives in another tenant of the app is not ended by the next reconnect', async () => {
    const { callback, connect, alive, vault } = await open({ together: true })
    const other = await connect('bob', 'same-app')
    await callback({ user: 'bob' })
    await callback({ user: 'ada' })
    expect(alive().slice(1)).toEqual([true, true, true])
    expect((await vault.renew(other)).state).toBe('connected')
  })
})

/** Another grant of the same user, as a reconnect brings it. */
function newGrant({ org }: ConnectionWorld) {
  const { userId } = org.credentials.admin
  const { refreshToken, deleteToken } = org.addGrant({
    userId,
    appId: org.credentials.tool.clientId,
  })
  const fresh = {
    ...{ accessToken: new Secret('at'), refreshToken: new Secret(refreshToken) },
    ...{ expiresInS: null, scopes: null, identity: null, facts: {} },
  }
  return { fresh, deleteToken }
}

describe('Salesforce: each code is a grant of its own', () => {
  test('five reconnects leave one grant', async () => {
    await using world = await openConnectionWorld()
    const { id, deleteToken } = await world.connect()
    const made = [deleteToken]
    for (let nth = 0; nth < 5; nth += 1) {
      const { fresh, deleteToken: next } = newGrant(world)
      made.push(next)
      await world.vault.adopt(id, fresh)
    }
    expect(made.map((one) => world.org.truth.isAlive(one))).toEqual([
      ...[false, false, false, false, false, true],
    ])
    expect((await world.vault.renew(id)).state).toBe('connected')
  })

  test('one that another connection lives on is left alone', async () => {
    await using world = await openConnectionWorld({ appOptions: { rotation: 'off' } })
    const { id, deleteToken } = await world.connect()
    const twin = await world.vault.create({
      ...{ tenant: world.tenant.name, owner: 'twin', accessToken: null },
      refreshToken: (await world.vault.tokens(id)).refresh,
    })
    await world.vault.adopt(id, newGrant(world).fresh)
    expect(world.org.truth.isAlive(deleteToken)).toBe(true)
    expect((await world.vault.renew(twin.id)).state).toBe('connected')
    expect((await world.vault.disconnect(id)).revokedAtProvider).toBe('yes')
    expect(world.org.truth.isAlive(deleteToken)).toBe(true)
  })

  test.each([
    [true, 'at once', 0],
    [false, 'by the disconnect', 1],
  ])(
    'one that was thought to be dead, and lives (its user was frozen): grantsApart %s, it is ended %s',
    async (grantsApart, _when, replaced) => {
      await using world = await openConnectionWorld({ appOptions: { grantsApart } })
      const { id, deleteToken } = await world.connect()
      const { userId } = world.org.credentials.admin
      world.org.setUserFrozen(userId, true)
      await expect(world.vault.renew(id)).rejects.toMatchObject({ code: 'reconnect_needed' })
      world.org.setUserFrozen(userId, false)
      await world.vault.adopt(id, newGrant(world).fresh)
      expect(await world.vault.replaced(id)).toBe(replaced)
      expect(world.org.truth.isAlive(deleteToken)).toBe(!grantsApart)
      expect((await world.vault.disconnect(id)).revokedAtProvider).toBe('yes')
      expect(world.org.truth.isAlive(deleteToken)).toBe(false)
    },
  )

  test('one that a crash left behind is ended by the disconnect', async () => {
    await using world = await openConnectionWorld()
    const { id, deleteToken } = await world.connect()
    // Committed, and not revoked.
    const dying = await world.again({
      wrap: (store) => ({ ...store, superseded: () => Promise.reject(new Error('killed')) }),
    })
    await expect(dying.vault.adopt(id, newGrant(world).fresh)).rejects.toThrow('killed')
    expect(world.org.truth.isAlive(deleteToken)).toBe(true)
    expect((await world.vault.disconnect(id)).revokedAtProvider).toBe('yes')
    expect(world.org.truth.isAlive(deleteToken)).toBe(false)
  })

  test('a refresh token that stays is renewed by the refresh that was under way', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const { identity, version } = (await world.health.check(id)).connection
    world.org.setFaults([{ kind: 'slow', ms: 500, on: 'token', nth: 1 }])
    const renewing = world.vault.renew(id, version)
    await expect.poll(async () => (await world.store.connections.read(id))?.intent).toBe('sent')
    await world.vault.adopt(id, { ...newGrant(world).fresh, refreshToken: null, identity })
    expect((await renewing).version).toBe(version + 2)
    const row = await world.store.connections.read(id)
    expect(row).toMatchObject({ intent: null, state: 'connected' })
    // The access token of the reconnect, which that refresh replaced.
    const superseded = await world.store.connections.superseded(row!)
    expect(superseded.map(({ kind, token }) => [kind, token.reveal()])).toEqual([['access', 'at']])
    expect((await world.vault.renew(id)).state).toBe('connected')
  })

  test('what a refresh brings after the reconnect dies with the disconnect', async () => {
    await using world = await openConnectionWorld({ appOptions: { grantsApart: false } })
    const { id, deleteToken } = await world.connect()
    // What never was of use there may be another org's, and is kept.
    await world.vault.accessToken(id)
    world.org.setFaults([{ kind: 'slow', ms: 500, on: 'token' }])
    const renewing = world.vault.renew(id)
    await expect.poll(async () => (await world.store.connections.read(id))?.intent).toBe('sent')
    await world.vault.adopt(id, newGrant(world).fresh)
    await renewing
    expect(world.org.truth.isAlive(deleteToken)).toBe(true)
    const row = await world.store.connections.read(id)
    expect(await world.store.connections.superseded(row!)).toHaveLength(2)
    expect((await world.vault.disconnect(id)).revokedAtProvider).toBe('yes')
    expect(world.org.truth.isAlive(deleteToken)).toBe(false)
  })
})
