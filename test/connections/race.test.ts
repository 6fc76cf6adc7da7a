import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import {
  type Connections,
  type OpenConnectionsOptions,
  openConnections,
} from '../../src/connections/index.ts'
import { createReauthorizing } from '../../src/connections/reauthorize.ts'
import { Secret } from '../../src/core/secret.ts'
import { walkLogin } from '../emulators/clients/login-walk.ts'
import { ask, race, startChild } from './race.ts'
import type { ChildOptions } from './race-child.ts'
import { type ConnectionWorld, openConnectionWorld } from './world.ts'

/** Long after a holder that did not look again would have presented. */
const PRESENTED_BY_MS = 250

describe('section 5.4: one refresh at a time, within and across processes', () => {
  test('64 callers in 4 processes, clocks an hour off: one refresh a round, and the grant lives', async () => {
    await race(4)
  })
})

describe('kill -9 of who refreshes: a lost rotated token is never reported healthy', () => {
  test.each<[NonNullable<ChildOptions['dies']>, string, string | undefined, number]>([
    // The provider says that the token lives: it was not spent, and nobody is asked to reconnect.
    ['before send', 'connected', undefined, 2],
    ['after send', 'reconnect_needed', 'rotated_token_lost', 2],
    ['after answer', 'reconnect_needed', 'rotated_token_lost', 2],
    ['after commit', 'connected', undefined, 2],
  ])('%s: ends %s', async (dies, state, cause, requests) => {
    await using world = await openConnectionWorld({ leaseMs: 400 })
    const { id, deleteToken } = await world.connect()
    const { version } = await world.vault.accessToken(id)
    world.org.setFaults([{ kind: 'slow', ms: 400, on: 'token', nth: 1 }])
    const child = await startChild(world, { dies })
    const ended = once(child, 'exit')
    child.send({ id, refused: version, callers: 4 })
    expect((await ended)[1]).toBe('SIGKILL')
    world.org.setFaults([])
    // At once, and by whoever looks: what is not sure is not shown as well.
    const found = await world.vault.get(id)
    expect(found.state).toBe(dies === 'after commit' ? 'connected' : 'degraded')
    const { connection } = await world.health.check(id)
    expect([connection.state, connection.cause?.code]).toEqual([state, cause])
    expect(world.tokenRequests()).toBe(requests)
    // Nothing was presented twice.
    expect(world.org.truth.isAlive(deleteToken)).toBe(true)
    const events = (await world.vault.events(id)).map(({ type }) => type)
    expect(events.filter((type) => type === 'connection.needs_reauth').length).toBe(
      state === 'connected' ? 0 : 1,
    )
  })
})

test('kill -9 of who refreshes, where no token rotates: a revocation after it is told as one', async () => {
  await using world = await openConnectionWorld({
    ...{ leaseMs: 400, org: { switches: { rotation: 'none' } }, appOptions: { rotation: 'off' } },
  })
  const { id, deleteToken } = await world.connect()
  const { version } = await world.vault.accessToken(id)
  const child = await startChild(world, { dies: 'after answer' })
  const ended = once(child, 'exit')
  child.send({ id, refused: version, callers: 1 })
  expect((await ended)[1]).toBe('SIGKILL')
  const body = new URLSearchParams({ token: deleteToken })
  await fetch(`${world.org.url}/services/oauth2/revoke`, { method: 'POST', body })
  const { connection } = await world.health.check(id)
  expect([connection.state, connection.cause?.code]).toEqual([
    ...['reconnect_needed', 'revoked_or_expired'],
  ])
})

describe('a holder that slept for longer than its lease', () => {
  test('presents nothing when it wakes up: neither what was spent, nor its successor', async () => {
    await using world = await openConnectionWorld({ leaseMs: 400 })
    const { id, deleteToken } = await world.connect()
    const { version } = await world.vault.accessToken(id)
    const child = await startChild(world, { sleeps: true })
    const answered = ask(child, { id, refused: version, callers: 4 })
    await expect.poll(async () => (await world.store.connections.read(id))?.intent).toBe('sent')
    expect((await world.health.check(id)).connection.state).toBe('connected')
    expect(world.tokenRequests()).toBe(2)
    child.kill('SIGCONT')
    const { versions, errors } = await answered
    expect([new Set(versions), errors]).toEqual([new Set([version + 1]), []])
    expect(world.tokenRequests()).toBe(2)
    expect(world.org.truth.isAlive(deleteToken)).toBe(true)
    child.disconnect()
  })
})

describe('a holder whose refresh another process has taken over', () => {
  const takeOver = ({ store }: ConnectionWorld, id: string) =>
    store.connections.update(id, ({ fence }) => ({ set: { fence: fence + 1, intent: 'sent' } }))
  const letGo = ({ store }: ConnectionWorld, id: string) =>
    store.connections.update(id, () => ({ set: { intent: null, intent_at: null } }))

  test('presents nothing that it read before', async () => {
    let taken: (() => Promise<unknown>) | undefined
    await using world = await openConnectionWorld({
      wrap: (store) => ({
        ...store,
        async tokens(row) {
          const tokens = await store.tokens(row)
          await taken?.()
          taken = undefined
          return tokens
        },
      }),
    })
    const { id } = await world.connect()
    taken = () => takeOver(world, id)
    const answered = world.vault.accessToken(id)
    await expect.poll(() => taken).toBe(undefined)
    await sleep(PRESENTED_BY_MS)
    expect(world.tokenRequests()).toBe(0)
    await letGo(world, id)
    await answered
    expect(world.tokenRequests()).toBe(1)
  })

  test('presents nothing after a look at what was in doubt', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    await world.store.connections.update(id, () => ({ set: { intent: 'doubt' } }))
    const { http } = world.parts
    const { fetch } = http
    Object.assign(http, {
      fetch: async (...args: Parameters<typeof fetch>) => {
        const answer = await fetch(...args)
        if (String(args[0]).endsWith('/introspect')) {
          await takeOver(world, id)
          Object.assign(http, { fetch })
        }
        return answer
      },
    })
    const answered = world.vault.accessToken(id)
    await expect.poll(() => http.fetch === fetch).toBe(true)
    await sleep(PRESENTED_BY_MS)
    expect(world.tokenRequests()).toBe(0)
    await letGo(world, id)
    await answered
    expect(world.tokenRequests()).toBe(1)
  })

  test('calls nothing dead by an answer that came after it', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const { refresh } = await world.vault.tokens(id)
    const body = new URLSearchParams({ token: refresh?.reveal() ?? '' })
    await fetch(`${world.org.url}/services/oauth2/revoke`, { method: 'POST', body })
    world.org.setFaults([{ kind: 'slow', ms: 500, on: 'token', nth: 1 }])
    const answered = world.vault.accessToken(id)
    await expect.poll(async () => (await world.store.connections.read(id))?.intent).toBe('sent')
    await takeOver(world, id)
    await expect(answered).rejects.toMatchObject({ code: 'connection_unwell' })
    expect(await world.store.connections.read(id)).toMatchObject({
      ...{ state: 'connected', cause: null, intent: 'sent' },
    })
  })
})

describe('a host that closes waits for what is under way, and begins nothing more', () => {
  async function openHost(
    world: ConnectionWorld,
    more: Partial<OpenConnectionsOptions> = {},
  ): Promise<Connections> {
    const { url, provider, app } = world.tenant
    const tenants = { [world.tenant.name]: { provider, url, app: app! } }
    return openConnections({ home: world.home, tenants, ...more })
  }

  test('a refresh, whose token would be lost', async () => {
    await using world = await openConnectionWorld()
    const { id, deleteToken } = await world.connect()
    const { id: other } = await world.connect('other')
    const host = await openHost(world)
    world.org.setFaults([{ kind: 'slow', ms: 1_000, on: 'token', nth: 1 }])
    const asked = host.vault.accessToken(id)
    await expect.poll(async () => (await world.store.connections.read(id))?.intent).toBe('sent')
    const closed = host.close()
    // Begun now, it would be answered when nobody can store it.
    const late = host.vault.accessToken(other).catch(({ code }) => code)
    await closed
    expect(await late).toBe('store_closed')
    expect((await asked).token.isEmpty).toBe(false)
    expect(await world.vault.get(id)).toMatchObject({ state: 'connected', cause: null })
    expect((await world.vault.renew(id)).state).toBe('connected')
    expect(world.org.truth.isAlive(deleteToken)).toBe(true)
  })

  test('a callback, whose grant nobody else would know of', async () => {
    await using world = await openConnectionWorld()
    const host = await openHost(world)
    const { id, answer } = await invite(world, host)
    const { answer: second } = await invite(world, host)
    world.org.setFaults([{ kind: 'slow', ms: 500, on: 'token', nth: 1 }])
    const brought = host.reauthorizing.callback(answer)
    const closed = host.close()
    await expect(host.reauthorizing.callback(second)).rejects.toMatchObject({
      code: 'store_closed',
    })
    await closed
    expect((await brought).kind).toBe('reconnected')
    expect((await world.vault.renew(id)).state).toBe('connected')
    // Its link was not used up.
    const { callback } = createReauthorizing(world.parts, world.vault)
    expect((await callback(second)).kind).toBe('reconnected')
  })

  test('and not for the refresh of another process, nor begins one after it', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const { store } = world.parts
    await store.update(id, () => ({ set: { intent: 'sent', fence: 1, due_at: 0 } }))
    const host = await openHost(world)
    const asked = host.vault.accessToken(id).catch(({ code }) => code)
    void host.run()
    await sleep(300)
    await host.close()
    expect(await asked).toBe('store_closed')
    expect(world.tokenRequests()).toBe(0)
    expect(await store.read(id)).toMatchObject({ state: 'connected', intent: 'sent', fence: 1 })
  })

  test('and not for a look, which is cut off and says nothing of the connection', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    await world.health.check(id)
    const before = await world.parts.store.read(id)
    world.org.setFaults([{ kind: 'slow', ms: 60_000, on: 'userinfo' }])
    const trouble: unknown[] = []
    const host = await openHost(world, { onTrouble: (error) => trouble.push(error) })
    await world.parts.store.update(id, () => ({ set: { due_at: 0 } }))
    void host.run()
    await expect.poll(async () => (await world.parts.store.read(id))?.due_at).not.toBe(0)
    await sleep(100)
    await host.close()
    expect(trouble).toEqual([])
    // Given back: it is as due as it was, and nothing else is said of it.
    const { due_at: dueAt, ...after } = (await world.parts.store.read(id))!
    expect(dueAt).toBeLessThanOrEqual(Date.now())
    expect({ ...after, due_at: before?.due_at }).toEqual(before)
  })

  test('and whoever comes after it is told so', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const host = await openHost(world)
    await host.vault.accessToken(id)
    await Promise.all([host.close(), host.close()])
    const { vault, reauthorizing } = host
    for (const call of [vault.accessToken(id), vault.get(id), reauthorizing.link(id)]) {
      await expect(call).rejects.toMatchObject({ code: 'store_closed' })
    }
  })

  test('a disconnect, whose answer would not be known', async () => {
    await using world = await openConnectionWorld()
    const { id, deleteToken } = await world.connect()
    const host = await openHost(world)
    world.org.setFaults([{ kind: 'slow', ms: 500, on: 'revoke', nth: 1 }])
    const ended = host.vault.disconnect(id)
    await expect.poll(async () => (await world.vault.get(id)).state).toBe('revoked')
    await host.close()
    expect(await ended).toMatchObject({ revokedAtProvider: 'yes' })
    expect(world.org.truth.isAlive(deleteToken)).toBe(false)
  })
})

async function invite(world: ConnectionWorld, { reauthorizing }: Connections) {
  const { id } = await reauthorizing.create({ tenant: world.tenant.name, owner: 'acme' })
  const { url, state } = await reauthorizing.link(id)
  const person = { ...world.org.credentials.admin, decision: 'Allow' } as const
  const query = await walkLogin(url, world.tenant.app!.redirectUri, person)
  const code = new Secret(query.get('code') ?? '')
  return { id, answer: { state: state.reveal(), code, error: null, iss: null } }
}
