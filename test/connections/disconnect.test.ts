import { describe, expect, test } from 'vitest'
import { type Budget, budgetText, evictsOldest } from '../../src/connections/budget.ts'
import { Secret } from '../../src/core/secret.ts'
import { type ConnectionWorld, openConnectionWorld } from './world.ts'

describe('disconnect: at the provider first, here either way', () => {
  test('yes: the grant is dead, the tokens are gone, and a second time says so', async () => {
    await using world = await openConnectionWorld()
    const { id, deleteToken } = await world.connect()
    await world.vault.accessToken(id)
    const done = await world.vault.disconnect(id)
    expect(done).toMatchObject({
      revokedAtProvider: 'yes',
      connection: { state: 'revoked', accessFingerprint: null, refreshFingerprint: null },
    })
    expect(world.org.truth.isAlive(deleteToken)).toBe(false)
    expect(await world.vault.tokens(id)).toEqual({ access: null, refresh: null })
    expect((await world.vault.disconnect(id)).revokedAtProvider).toBe('yes')
    const events = await world.vault.events(id)
    expect(events.at(-1)).toMatchObject({
      ...{ type: 'connection.revoked', from: 'connected', to: 'revoked' },
      cause: { code: 'by_us' },
    })
    expect(events.filter(({ type }) => type === 'connection.revoked').length).toBe(1)
    await expect(world.vault.accessToken(id)).rejects.toMatchObject({ code: 'connection_disabled' })
  })

  test('dead before (Salesforce: 400): yes, for that is what was asked for', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    await world.vault.accessToken(id)
    const { refresh } = await world.vault.tokens(id)
    const body = new URLSearchParams({ token: refresh?.reveal() ?? '' })
    await fetch(`${world.org.url}/services/oauth2/revoke`, { method: 'POST', body })
    expect((await world.vault.disconnect(id)).revokedAtProvider).toBe('yes')
  })

  test('unknown: a tombstone, and the token kept for another try', async () => {
    await using world = await openConnectionWorld()
    const { id, deleteToken } = await world.connect()
    world.org.setFaults([{ kind: 'reset_before_effect', on: 'revoke' }])
    const done = await world.vault.disconnect(id)
    expect([done.revokedAtProvider, done.connection.state]).toEqual(['unknown', 'revoked'])
    expect(world.org.truth.isAlive(deleteToken)).toBe(true)
    world.org.setFaults([])
    expect((await world.vault.disconnect(id)).revokedAtProvider).toBe('yes')
    expect(world.org.truth.isAlive(deleteToken)).toBe(false)
  })

  test('busy: asked again', async () => {
    await using world = await openConnectionWorld()
    const { id, deleteToken } = await world.connect()
    world.org.setFaults([{ kind: 'unavailable_503', on: 'revoke', nth: 1 }])
    expect((await world.vault.disconnect(id)).revokedAtProvider).toBe('yes')
    expect(world.org.truth.isAlive(deleteToken)).toBe(false)
  })

  test('no: another connection lives on the same grant, which is left alone', async () => {
    // Where tokens rotate, a second one with the same token is refused.
    await using world = await openConnectionWorld({ appOptions: { rotation: 'off' } })
    const { id, deleteToken } = await world.connect()
    const { refresh } = await world.vault.tokens(id)
    const twin = await world.vault.create({
      ...{ tenant: world.tenant.name, owner: 'twin', accessToken: null },
      refreshToken: refresh as Secret,
    })
    const done = await world.vault.disconnect(id)
    expect(done).toMatchObject({
      revokedAtProvider: 'no',
      why: expect.stringContaining(twin.id),
      connection: { state: 'revoked' },
    })
    expect(world.org.truth.isAlive(deleteToken)).toBe(true)
    expect((await world.vault.disconnect(twin.id)).revokedAtProvider).toBe('yes')
    expect(world.org.truth.isAlive(deleteToken)).toBe(false)
  })

  test('a refresh that is under way is waited for, and what it brings dies too', async () => {
    await using world = await openConnectionWorld()
    const { id, deleteToken } = await world.connect()
    world.org.setFaults([{ kind: 'slow', ms: 400, on: 'token', nth: 1 }])
    const renewing = world.vault.accessToken(id)
    await expect.poll(async () => (await world.store.connections.read(id))?.intent).toBe('sent')
    const [done] = await Promise.all([world.vault.disconnect(id), renewing.catch(() => null)])
    expect(done.revokedAtProvider).toBe('yes')
    expect(world.org.truth.isAlive(deleteToken)).toBe(false)
    const left = world.org.truth.sessions().filter((one) => one.deleteToken === deleteToken)
    expect(left.every(({ alive }) => !alive)).toBe(true)
  })
})

describe('one refresh token that rotates, two connections', () => {
  const make = (world: ConnectionWorld, refreshToken: Secret) =>
    world.vault.create({ tenant: 'org', owner: 'twin', accessToken: null, refreshToken })

  test('the second is refused, whether the first has refreshed or not, and two at once make one', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const { refresh: first } = await world.vault.tokens(id)
    const refused = {
      code: 'usage',
      message: expect.stringContaining(`The connection ${id} of acme`),
    }
    await expect(make(world, first!)).rejects.toMatchObject(refused)
    await world.vault.renew(id)
    const { refresh: second } = await world.vault.tokens(id)
    expect(second!.reveal()).not.toBe(first!.reveal())
    for (const token of [first!, second!]) {
      await expect(make(world, token)).rejects.toMatchObject(refused)
    }
    const both = [make(world, new Secret('of two')), make(world, new Secret('of two'))]
    const made = (await Promise.allSettled(both)).map(({ status }) => status)
    expect(made.sort()).toEqual(['fulfilled', 'rejected'])
  })

  test('no plain hash of it is stored', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const { refresh } = await world.vault.tokens(id)
    const row = await world.store.connections.read(id)
    expect(row?.made_fingerprint).toBe(world.store.fingerprint(refresh!))
  })
})

describe('section 0, 7: the budget of live tokens', () => {
  test.each<[string, Budget, boolean | null, RegExp]>([
    ['counted, and room', { live: 3, max: 5, complete: true }, false, /^3 of 5/],
    ['counted, and none left', { live: 5, max: 5, complete: true }, true, /^5 of 5 .* ends the/],
    ['not counted', { live: 3, max: 5, complete: false }, null, /^At least 3 of 5 .* may end the/],
    ['nothing is known', { live: 0, max: 5, complete: false }, null, /^How many .* not known: /],
    ['the least is all', { live: 5, max: 5, complete: false }, true, /^At least 5 .* ends the/],
  ])('%s: says of one more grant what is known', (_title, budget, evicts, words) => {
    expect(evictsOldest(budget)).toBe(evicts)
    expect(budgetText(budget)).toMatch(words)
  })

  test('the fifth token of a user and app warns that one more ends the oldest', async () => {
    await using world = await openConnectionWorld({ appOptions: { appName: 'Rescind' } })
    const { userId } = world.org.credentials.admin
    const identity = { user: userId, org: world.org.organizationId, name: null }
    const make = async (n: number) => {
      const grant = world.org.addGrant({ userId, appId: world.org.credentials.tool.clientId })
      const { id } = await world.vault.create({
        ...{ tenant: world.tenant.name, owner: `owner ${n}`, accessToken: null, identity },
        refreshToken: new Secret(grant.refreshToken),
      })
      return (await world.vault.events(id)).map(({ type }) => type)
    }
    for (let n = 1; n <= 4; n += 1) expect(await make(n)).toEqual(['connection.created'])
    expect(await make(5)).toEqual(['connection.created', 'connection.budget_low'])
    expect(await make(6)).toEqual(['connection.created', 'connection.budget_low'])
    const ids: string[] = []
    for await (const { id } of world.vault.list()) ids.push(id)
    const [, told] = await world.vault.events(ids[5]!)
    expect(told?.cause).toMatchObject({
      confidence: 'likely',
      text: expect.stringContaining(`the oldest, that of ${ids[0]}.`),
    })
  })

  const EVICTED = /^6 grants .* lets 5 tokens live: it has likely ended the oldest, that of FIRST\./
  test.each<[string, readonly number[], number | null, object, RegExp | null]>([
    ['one grant, seven connections', [1, 1, 1, 1, 1, 1, 1], 2, { live: 2, complete: true }, null],
    ['the same, not counted', [1, 1, 1, 1, 1, 1, 1], null, { live: 1, complete: false }, null],
    ['six, not counted', [1, 1, 2, 3, 4, 5, 6], null, { live: 5, complete: false }, EVICTED],
    ['six, and five are counted', [1, 1, 2, 3, 4, 5, 6], 5, { live: 5, complete: true }, EVICTED],
    ['six, and all live', [1, 2, 3, 4, 5, 6], 7, { live: 7, complete: true }, /^7 of 5 .*one more/],
    ['six, and more died than it ends', [1, 2, 3, 4, 5, 6], 3, { live: 3, complete: true }, null],
  ])('grants are counted, and not connections: %s', async (_title, on, counted, budget, said) => {
    await using world = await openConnectionWorld({
      appOptions: { appName: 'Rescind', rotation: 'off' },
      org: { switches: { rotation: 'none' } },
    })
    const { org, vault, health, tenant } = world
    const { admin, tool } = org.credentials
    const identity = { user: admin.userId, org: org.organizationId, name: null }
    const grants = Array.from({ length: Math.max(...on) }, () =>
      org.addGrant({ userId: admin.userId, appId: tool.clientId }),
    )
    const make = (n: number, accessToken: Secret | null) =>
      vault.create({
        ...{ tenant: tenant.name, owner: 'acme', accessToken, identity },
        refreshToken: new Secret(grants[n - 1]!.refreshToken),
      })
    const first = await make(on[0]!, null)
    for (const n of on.slice(1, -1)) await make(n, null)
    const asker = await make(on.at(-1)!, null)
    await health.check(asker.id)
    const { access } = await vault.tokens(asker.id)
    // Of those that died nobody told us; the org has one of its own beside them.
    const dead = counted === null ? 0 : grants.length + 1 - counted
    for (const { deleteToken } of grants.slice(0, dead)) {
      const body = new URLSearchParams({ token: deleteToken })
      await fetch(`${org.url}/services/oauth2/revoke`, { method: 'POST', body })
    }
    if (counted === null) org.setFaults([{ kind: 'unavailable_503', on: 'query' }])
    const { id } = await make(on.at(-1)!, access)
    expect(await vault.budget(id)).toEqual({ max: 5, ...budget })
    const text = (await vault.events(id)).find(({ type }) => type === 'connection.budget_low')
      ?.cause?.text
    if (said === null) expect(text).toBeUndefined()
    else expect(text?.replace(first.id, 'FIRST')).toMatch(said)
  })

  test('a count of none, asked with a token that lives, is none: the app has another name there', async () => {
    await using world = await openConnectionWorld({ appOptions: { appName: 'No such app' } })
    const { id } = await world.connect()
    await world.health.check(id)
    expect(await world.vault.budget(id)).toBeNull()
  })

  test('the org is asked where the user may: others hold tokens too', async () => {
    await using world = await openConnectionWorld({ appOptions: { appName: 'Rescind' } })
    const { id } = await world.connect()
    for (let n = 0; n < 3; n += 1) {
      const { userId } = world.org.credentials.admin
      world.org.addGrant({ userId, appId: world.org.credentials.tool.clientId })
    }
    await world.health.check(id)
    const counted = await world.vault.budget(id)
    expect(counted).toMatchObject({ max: 5, complete: true })
    expect(counted!.live).toBeGreaterThanOrEqual(4)
  })

  test('a provider that does not count holds up nothing: what we hold ourselves is the least', async () => {
    await using world = await openConnectionWorld({ appOptions: { appName: 'Rescind' } })
    const { id } = await world.connect()
    await world.health.check(id)
    world.org.setFaults([{ kind: 'hang', on: 'query' }])
    expect(await world.vault.budget(id)).toEqual({ live: 1, max: 5, complete: false })
  }, 20_000)
})
