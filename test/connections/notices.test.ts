import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createNotices } from '../../src/connections/notices.ts'
import type { Clock } from '../../src/core/clock.ts'
import { Secret } from '../../src/core/secret.ts'
import { startRawServer } from '../cli/raw-server.ts'
import { openReceiver } from '../server/webhook-receiver.ts'
import { scaledClock } from '../support/scaled-clock.ts'
import { type ConnectionWorld, openConnectionWorld } from './world.ts'

const SECRET = Buffer.alloc(32, 5).toString('base64')
const secret = new Secret(`whsec_${SECRET}`)
/** So many seconds pass in one: a back-off is waited for in full, and soon over. */
const SPEED = 100

async function open() {
  const clock = scaledClock(SPEED)
  const world = await openConnectionWorld({ clock })
  const receiver = await openReceiver(SECRET)
  onTestFinished(async () => {
    await receiver[Symbol.asyncDispose]()
    await world[Symbol.asyncDispose]()
  })
  const notices = (url = receiver.url, at: Clock = clock) =>
    createNotices({
      ...{ store: world.store.connections, http: world.parts.http, clock: at },
      random: Math.random,
      ...{ receivers: [{ url, secret }], signal: new AbortController().signal },
    })
  return { world, receiver, clock, notices }
}

async function breakIt({ vault, org }: ConnectionWorld, id: string) {
  const { refresh } = await vault.tokens(id)
  const body = new URLSearchParams({ token: refresh?.reveal() ?? '' })
  await fetch(`${org.url}/services/oauth2/revoke`, { method: 'POST', body })
  await vault.accessToken(id).catch(() => null)
}

describe('Standard Webhooks: a notice when a connection breaks, and when it heals', () => {
  test('one each, signed, in order, and with no secret', async () => {
    const { world, receiver, notices } = await open()
    const { id } = await world.connect()
    await breakIt(world, id)
    await breakIt(world, id)
    const { userId } = world.org.credentials.admin
    const grant = world.org.addGrant({ userId, appId: world.org.credentials.tool.clientId })
    await world.vault.beginReconnect(id)
    await world.vault.adopt(id, {
      ...{ accessToken: new Secret('at'), refreshToken: new Secret(grant.refreshToken) },
      ...{ expiresInS: 600, scopes: null, identity: null, facts: {} },
    })
    const both = [notices().send(), notices().send()]
    const sent = (await Promise.all(both)).reduce((total, one) => total + one.sent, 0)
    expect(sent + (await notices().send()).sent).toBe(2)
    expect(receiver.seen.map(({ type, isSigned }) => [type, isSigned])).toEqual([
      ['connection.needs_reauth', true],
      ['connection.reconnected', true],
    ])
    const [broke] = receiver.seen
    expect(broke!.id).toMatch(/^cev_\d+$/)
    expect(broke!.body.data).toMatchObject({
      ...{ connection: id, owner: 'acme', tenant: 'org', from: 'connected' },
      ...{ to: 'reconnect_needed', cause: { code: 'revoked_or_expired' } },
    })
    for (const one of world.org.truth.secrets()) expect(broke!.raw).not.toContain(one)
  })

  test('who is stopped while a receiver is at it ends without an error, and the next sends it under the same id', async () => {
    const { world, receiver, notices, clock } = await open()
    const { id } = await world.connect()
    await breakIt(world, id)
    const stop = new AbortController()
    const silent = await startRawServer(() => stop.abort())
    onTestFinished(() => silent.close())
    const { store, parts } = world
    const stopped = createNotices({
      ...{ store: store.connections, http: parts.http, clock, random: Math.random },
      ...{ receivers: [{ url: silent.url, secret }], signal: stop.signal },
    })
    expect(await stopped.send()).toEqual({ sent: 0, failed: 0, aside: 0 })
    expect(silent.requests).toHaveLength(1)
    expect((await notices().send()).sent).toBe(1)
    expect(receiver.seen.map((one) => one.id)).toEqual([silent.requests[0]?.headers['webhook-id']])
  })

  test('what heals alone is no news', async () => {
    const { world, receiver, notices } = await open()
    const { id } = await world.connect()
    world.org.setFaults([{ kind: 'unavailable_503', on: 'token', nth: 1 }])
    await world.vault.accessToken(id).catch(() => null)
    await world.health.check(id)
    expect((await notices().send()).sent).toBe(0)
    expect(receiver.seen).toEqual([])
  })

  test('a receiver that is down: tried again under the same id, the later of a connection after the earlier', async () => {
    const { world, receiver, clock, notices } = await open()
    const [one, two] = [await world.connect('one'), await world.connect('two')]
    await world.vault.disable(one.id)
    await world.vault.enable(one.id)
    await world.vault.disable(one.id)
    await world.vault.disable(two.id)
    receiver.manner = { status: 500 }
    expect((await notices().send()).sent).toBe(0)
    // Only the first of each connection was tried, however often.
    const tried = [...new Set(receiver.seen.map(({ id }) => id))]
    expect(tried.length).toBe(2)
    receiver.manner = 'take'
    await clock.sleep(60_000)
    expect(await notices().send()).toMatchObject({ sent: 4, failed: 0 })
    expect(receiver.taken.slice(0, 2).sort()).toEqual(tried.sort())
    expect(new Set(receiver.taken).size).toBe(4)
  })

  test('410 is set aside, and holds up nothing', async () => {
    const { world, receiver, notices } = await open()
    const { id } = await world.connect()
    await world.vault.disable(id)
    receiver.manner = { status: 410 }
    expect(await notices().send()).toEqual({ sent: 0, failed: 0, aside: 1 })
    receiver.manner = 'take'
    await world.vault.enable(id)
    expect((await notices().send()).sent).toBe(1)
    expect(await world.store.connections.countNotices()).toEqual({ due: 0, aside: 1 })
  })

  test('a process that does not know a receiver leaves its notices to one that does, for five days', async () => {
    const { world, receiver, clock, notices } = await open()
    const { id } = await world.connect()
    await world.vault.disable(id)
    receiver.manner = { status: 500 }
    expect(await notices().send()).toMatchObject({ sent: 0, aside: 0 })
    const stray = notices('http://127.0.0.1:9/elsewhere')
    await clock.sleep(60_000)
    expect(await stray.send()).toMatchObject({ sent: 0, aside: 0 })
    receiver.manner = 'take'
    expect(await notices().send()).toEqual({ sent: 1, failed: 0, aside: 0 })

    await world.vault.enable(id)
    await world.vault.disable(id)
    receiver.manner = { status: 500 }
    await notices().send()
    const now = world.parts.clock.now() + 5 * 86_400_000
    const late = notices('http://127.0.0.1:9/elsewhere', { ...clock, now: () => now })
    // The two of the receiver that it does not know, and the one that its own never took.
    expect((await late.send()).aside).toBe(3)
    expect(await world.store.connections.countNotices()).toEqual({ due: 0, aside: 3 })
  })

  test.each([
    ['without receivers', []],
    ['with another receiver, as of a stray configuration', ['http://127.0.0.1:9/elsewhere']],
  ])(
    'a process %s sends first: the right receiver gets all the same, once',
    async (_title, urls) => {
      const { world, receiver, notices } = await open()
      const { id } = await world.connect()
      await world.vault.disable(id)
      const { store, http, clock, random } = world.parts
      const receivers = urls.map((url) => ({ url, secret }))
      const signal = new AbortController().signal
      const stray = createNotices({ store, http, clock, random, receivers, signal })
      expect(await stray.send()).toMatchObject({ sent: 0, aside: 0 })
      expect((await notices().send()).sent).toBe(1)
      await world.vault.enable(id)
      await stray.send()
      expect((await notices().send()).sent).toBe(1)
      expect((await notices().send()).sent).toBe(0)
      expect(receiver.seen.map(({ type }) => type)).toEqual([
        ...['connection.disabled', 'connection.enabled'],
      ])
    },
  )

  test('a new receiver gets what is not older than five days, or than the moment that it names', async () => {
    const { world, receiver, clock, notices } = await open()
    const { id } = await world.connect()
    await world.vault.disable(id)
    expect((await notices().send()).sent).toBe(1)
    const second = `${receiver.url}?second`
    const { store, http, random } = world.parts
    const signal = new AbortController().signal
    const from = clock.now() + 1
    const later = createNotices({
      ...{ store, http, clock, random, signal },
      receivers: [{ url: `${receiver.url}?third`, secret, from }],
    })
    expect((await later.send()).sent).toBe(0)
    expect((await notices(second).send()).sent).toBe(1)
    const at = { ...clock, now: () => clock.now() + 5 * 86_400_000 }
    expect((await notices(`${receiver.url}?fourth`, at).send()).sent).toBe(0)
    // What was forgotten is forgotten for those who had it, too.
    expect((await notices(second, at).send()).sent).toBe(0)
    expect(new Set(receiver.taken).size).toBe(1)
    using raw = new DatabaseSync(world.store.path)
    const rows = (table: string) => raw.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n
    expect([rows('notice'), rows('notice_cursor')]).toEqual([0, 0])
  })
})
