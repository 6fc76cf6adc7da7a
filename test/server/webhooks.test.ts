import { describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { Secret } from '../../src/core/secret.ts'
import type { Webhook } from '../../src/server/webhook-endpoint.ts'
import type { AuthorityStore } from '../../src/store/authority/contract.ts'
import { openPostgresAuthorityStore } from '../../src/store/authority/postgres.ts'
import { findPostgres, newDatabase } from '../support/postgres-database.ts'
import { scaledClock } from '../support/scaled-clock.ts'
import { openReceiver } from './webhook-receiver.ts'
import {
  EVENTS_MAX,
  openWorld,
  SECRET,
  SPEED,
  secret,
  settled,
  takes,
  until,
} from './webhook-world.ts'

const { missing } = await findPostgres()

describe('Standard Webhooks: what is sent', () => {
  it('every event once, in order, signed, and without a token', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    const authority = await world.open([{ url: receiver.url, secret }])
    const answer = await authority.issue({ clientId: 'app', userId: 'ada', scope: 'read' })
    await authority.revoke({ token: answer.refresh_token ?? '', clientId: 'app' })
    await takes(receiver, await world.happen())
    expect(receiver.seen.every(({ isSigned }) => isSigned)).toBe(true)
    const revoked = receiver.seen.find(({ type }) => type === 'grant.revoked')
    expect(revoked?.body.data).toMatchObject({ id: revoked?.id, user: 'ada', client: 'app' })
    expect(revoked?.body.data.token).toMatch(/^fp_/)
    expect(revoked?.body.timestamp).toBe(revoked?.body.data.at)
    const all = receiver.seen.map(({ raw }) => raw).join()
    expect(all).not.toContain(answer.access_token)
    expect(all).not.toContain(answer.refresh_token)
  })

  it('two signatures while the secret is changed; another secret is told from it', async () => {
    await using world = await openWorld()
    await using old = await openReceiver(SECRET)
    await using stranger = await openReceiver(Buffer.alloc(32, 9).toString('base64'))
    const fresh = new Secret(`whsec_${Buffer.alloc(24, 6).toString('base64')}`)
    await world.open([
      { url: old.url, secret: [fresh, secret] },
      { url: stranger.url, secret },
    ])
    const ids = await world.happen()
    await takes(old, ids)
    await takes(stranger, ids)
    expect(old.seen.every(({ isSigned }) => isSigned)).toBe(true)
    expect(stranger.seen.some(({ isSigned }) => isSigned)).toBe(false)
  })

  it('only the types that it wants', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    const authority = await world.open([{ url: receiver.url, secret, types: ['reach.revoked'] }])
    await world.happen(150)
    await authority.revoke({ user: 'user1' })
    await world.happen(2)
    await settled(world, authority)
    expect(receiver.seen.map(({ type }) => type)).toEqual(['reach.revoked'])
  })
})

describe('a receiver in trouble loses nothing, and gets it in order', () => {
  it('that answers 500 for a while', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    receiver.manner = { status: 500 }
    const authority = await world.open([{ url: receiver.url, secret }])
    const ids = await world.happen()
    await until(() => expect(receiver.seen.length).toBeGreaterThan(2))
    expect(new Set(receiver.seen.map(({ id }) => id))).toEqual(new Set([ids[0]]))
    expect(await authority.webhooks.status()).toMatchObject([{ state: 'failing' }])
    receiver.manner = 'take'
    await takes(receiver, ids)
    await until(async () =>
      expect(await authority.webhooks.status()).toMatchObject([
        { state: 'delivering', failures: 0, nextAt: null },
      ]),
    )
    expect(world.trouble).toHaveLength(1)
    expect(world.trouble[0]).toContain('it answered 500')
  })

  it('that hangs', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    receiver.manner = 'hang'
    await world.open([{ url: receiver.url, secret, timeoutMs: 100 }])
    const ids = await world.happen()
    await until(() => expect(receiver.seen.length).toBeGreaterThan(1))
    receiver.manner = 'take'
    await takes(receiver, ids)
  })

  it('that is down, and comes back at the same address', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    await world.open([{ url: receiver.url, secret }])
    await takes(receiver, await world.happen())
    await receiver.stop()
    const ids = await world.happen()
    await until(() => expect(world.trouble).toHaveLength(1))
    await receiver.restart()
    await takes(receiver, ids)
  })

  it('that redirects: nothing is sent elsewhere', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    await using elsewhere = await openReceiver(SECRET)
    receiver.manner = { status: 307, headers: { location: elsewhere.url } }
    await world.open([{ url: receiver.url, secret }])
    await world.happen()
    await until(() => expect(receiver.seen.length).toBeGreaterThan(1))
    expect(elsewhere.seen).toEqual([])
  })

  it('that fails for days is disabled, with an event, and goes on where it stopped', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    receiver.manner = { status: 503, headers: { 'retry-after': '1' } }
    const webhook = { url: receiver.url, secret, disableAfterDays: 20 / 86_400 }
    const authority = await world.open([webhook])
    await world.happen()
    await until(() => expect(world.trouble.at(-1)).toContain('disabled'))
    expect(await authority.webhooks.status()).toMatchObject([{ state: 'disabled' }])
    const tries = receiver.seen.length
    receiver.manner = 'take'
    const ids = await world.happen()
    expect((await authority.events(null, EVENTS_MAX)).map(({ type }) => type)).toContain(
      'webhook.disabled',
    )
    expect(receiver.seen).toHaveLength(tries)
    await authority.webhooks.enable(receiver.url)
    await takes(receiver, ids)
    await expect(authority.webhooks.enable('https://x.example')).rejects.toMatchObject({
      code: 'usage',
    })
  })

  it('that says 410 Gone is disabled at once', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    receiver.manner = { status: 410 }
    const authority = await world.open([{ url: receiver.url, secret }])
    await world.happen()
    await until(async () =>
      expect(await authority.webhooks.status()).toMatchObject([{ state: 'disabled' }]),
    )
    expect(receiver.seen).toHaveLength(1)
  })
})

describe('several processes on one store', () => {
  it('deliver each event once while a lease lasts, and one goes on when the other is closed', async () => {
    // At the machine's own pace no stall outlasts a lease.
    await using world = await openWorld(undefined, systemClock)
    await using receiver = await openReceiver(SECRET)
    const webhooks = [{ url: receiver.url, secret }]
    const [first] = [await world.open(webhooks), await world.open(webhooks)]
    await takes(receiver, await world.happen(40))
    await settled(world, first)
    await first.close()
    await takes(receiver, await world.happen(10))
  })

  it('one that fell asleep before it took the lease sends nothing after another took it', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    const { promise: woken, resolve: wake } = Promise.withResolvers<void>()
    let asleep = 0
    const sleepy: AuthorityStore = {
      ...world.store,
      async readEvents(after, limit) {
        const events = await world.store.readEvents(after, limit)
        if (events.length > 0) {
          asleep += 1
          await woken
        }
        return events
      },
    }
    const webhooks = [{ url: receiver.url, secret }]
    await world.open(webhooks, sleepy)
    await until(() => expect(asleep).toBe(1))
    receiver.manner = 'hang'
    await world.open([{ url: receiver.url, secret, timeoutMs: 300 }])
    await until(() => expect(receiver.seen).toHaveLength(1))
    wake()
    const ids = await world.happen()
    receiver.manner = 'take'
    // The first is sent again when its time is up; of the one that slept there is nothing between.
    await takes(receiver, ids)
    expect(receiver.seen).toHaveLength(ids.length + 1)
  })

  it('one that was killed in a delivery holds it up for its lease alone', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    let isKilled = false
    const dying: AuthorityStore = {
      ...world.store,
      commit: (change) =>
        isKilled ? Promise.reject(new Error('killed')) : world.store.commit(change),
    }
    receiver.manner = 'hang'
    const killed = await world.open([{ url: receiver.url, secret }], dying)
    const ids = await world.happen()
    await until(() => expect(receiver.seen).toHaveLength(1))
    isKilled = true
    await killed.close()
    receiver.manner = 'take'
    await world.open([{ url: receiver.url, secret }])
    await takes(receiver, ids)
  })

  it('closing does not wait for a receiver that hangs, and gives the lease back', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    receiver.manner = 'hang'
    const authority = await world.open([{ url: receiver.url, secret }])
    const ids = await world.happen()
    await until(() => expect(receiver.seen).toHaveLength(1))
    await authority.close()
    receiver.manner = 'take'
    const next = await world.open([{ url: receiver.url, secret }])
    await takes(receiver, ids)
    expect(await next.webhooks.status()).toMatchObject([{ failures: 0 }])
  })
})

// Skipped only where no PostgreSQL can be started: the title says why.
describe.skipIf(missing !== undefined)(`several machines on one PostgreSQL${missing ?? ''}`, () => {
  const openMachines = async (clock: Clock, deadlineMs: number) => {
    const connectionString = await newDatabase()
    const openStore = () => openPostgresAuthorityStore({ connectionString, clock, deadlineMs })
    return { world: await openWorld(await openStore(), clock), openStore }
  }

  it('deliver each event once while a lease lasts, in order, and one goes on when the others are closed', async () => {
    // At the machine's own pace no stall outlasts a lease.
    const { world: opened, openStore } = await openMachines(systemClock, 10_000)
    await using world = opened
    await using receiver = await openReceiver(SECRET)
    const webhooks = [{ url: receiver.url, secret }]
    const [first, second] = await Promise.all([
      world.open(webhooks, await openStore()),
      world.open(webhooks, await openStore()),
      world.open(webhooks, await openStore()),
    ])
    await takes(receiver, await world.happen(30))
    await settled(world, first)
    await Promise.all([first.close(), second.close()])
    await takes(receiver, await world.happen(10))
    expect(world.trouble).toEqual([])
  })

  it('repeat what a lease ran out over under the same id, and lose nothing', async () => {
    // The store waits for its database by the same fast clock.
    const { world: opened, openStore } = await openMachines(scaledClock(SPEED), 10_000 * SPEED)
    await using world = opened
    await using receiver = await openReceiver(SECRET)
    const { promise: woken, resolve: wake } = Promise.withResolvers<void>()
    receiver.manner = async ({ id }) => {
      // The first answer comes when another has taken over, and has sent the same event.
      if (receiver.seen.filter((one) => one.id === id).length > 1) wake()
      await woken
      return 'take' as const
    }
    const webhooks = [{ url: receiver.url, secret }]
    await Promise.all([
      world.open(webhooks, await openStore()),
      world.open(webhooks, await openStore()),
    ])
    const ids = await world.happen(30)
    await until(() => expect([...new Set(receiver.taken)]).toEqual(ids))
    expect(receiver.seen.filter(({ id }) => id === ids[0]).length).toBeGreaterThan(1)
    const bodyOf = new Map(receiver.seen.map(({ id, raw }) => [id, raw]))
    for (const { id, raw } of receiver.seen) expect(raw).toBe(bodyOf.get(id))
    expect(world.trouble).toEqual([])
  })
})

describe('a wrong setting fails at the start', () => {
  const url = 'https://hooks.example/x'
  it.each<[string, Webhook, string]>([
    ['plain http', { url: 'http://hooks.example', secret }, 'url_plain_http'],
    ['no address', { url: 'hooks', secret }, 'url_invalid'],
    ['a secret without its prefix', { url, secret: new Secret(SECRET) }, 'key_invalid'],
    ['a short secret', { url, secret: new Secret('whsec_c2hvcnQ=') }, 'key_invalid'],
    ['no secret', { url, secret: [] }, 'key_invalid'],
    ['a timeout beyond the lease', { url, secret, timeoutMs: 60_000 }, 'usage'],
  ])('%s', async (_, webhook, code) => {
    await using world = await openWorld()
    await expect(world.open([webhook])).rejects.toMatchObject({ code })
  })
})
