import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { AuthorityStore, Change } from '../../src/store/authority/contract.ts'
import { STORES } from './stores.ts'
import { type Delivery, openReceiver, type Receiver } from './webhook-receiver.ts'
import {
  EVENTS_MAX,
  openWorld,
  SECRET,
  SPEED,
  secret,
  takes,
  until,
  type World,
} from './webhook-world.ts'

/** Of a store whose deadline runs by the fast clock. */
const DEADLINE_MS = 10_000 * SPEED
/** What may be sent for one write of the cursor. */
const BATCH = 100

const refusing =
  (isPoison: (delivery: Delivery) => boolean, status = 400) =>
  (delivery: Delivery) =>
    isPoison(delivery) ? { status } : ('take' as const)
const ofUser = (user: string) => (delivery: Delivery) => delivery.body.data.user === user

/** The events of a type, oldest first. */
async function eventsOf({ store }: World, type: string) {
  return (await store.readEvents(null, EVENTS_MAX)).filter((event) => event.type === type)
}

/** Waits until the receiver has everything but what it refuses. */
async function gotAllBut(world: World, receiver: Receiver, isPoison: (id: string) => boolean) {
  await until(async () => {
    const ids = (await world.store.readEvents(null, EVENTS_MAX)).map(({ id }) => id)
    expect(new Set(receiver.taken)).toEqual(new Set(ids.filter((id) => !isPoison(id))))
  })
}

for (const { name, missing = '', open: openStore } of STORES) {
  // Skipped only where no PostgreSQL can be started: the title says why.
  describe.skipIf(missing !== '')(
    `an event that a receiver never takes, on ${name}${missing}`,
    () => {
      const openHere = () => openWorld((clock) => openStore(clock, DEADLINE_MS))

      it.each([400, 500])(
        'is set aside when it answers %d, and holds nothing up',
        async (status) => {
          await using world = await openHere()
          await using receiver = await openReceiver(SECRET)
          receiver.manner = refusing(ofUser('user1'), status)
          const authority = await world.open([{ url: receiver.url, secret }])
          await world.happen(5)
          const poison = (await eventsOf(world, 'grant.started')).find(
            ({ userId }) => userId === 'user1',
          )
          await gotAllBut(world, receiver, (id) => id === poison?.id)
          const [told, ...more] = await eventsOf(world, 'webhook.set_aside')
          expect(more).toEqual([])
          expect(JSON.parse(told?.detail ?? '')).toEqual({
            ...{ origin: new URL(receiver.url).origin, event: poison?.id, type: 'grant.started' },
            ...{ tries: 8, why: `it answered ${status}` },
          })
          expect(receiver.seen.filter(({ id }) => id === poison?.id)).toHaveLength(8)
          expect(receiver.taken).toHaveLength(new Set(receiver.taken).size)
          expect(world.trouble.at(-1)).toContain(`did not take the event ${poison?.id}`)
          expect(world.told.setAside).toBe(1)
          await until(async () =>
            expect(await authority.webhooks.status()).toMatchObject([
              {
                ...{ state: 'delivering', failures: 0, aside: [{ id: poison?.id, tries: 8 }] },
                // It has all the others, and yet not all.
                waitingSince: new Date(poison?.at ?? 0),
              },
            ]),
          )
        },
      )

      it('is sent again when it is asked for, with the id that it always had', async () => {
        await using world = await openHere()
        await using receiver = await openReceiver(SECRET)
        receiver.manner = refusing(ofUser('user0'))
        const { webhooks } = await world.open([{ url: receiver.url, secret }])
        await world.happen(2)
        await until(() => expect(world.told.setAside).toBe(1))
        const still = await webhooks.sendAgain(receiver.url)
        expect(still).toMatchObject({ taken: [], left: [{ tries: 9, why: 'it answered 400' }] })
        receiver.manner = 'take'
        const id = still.left[0]?.id
        expect(await webhooks.sendAgain(receiver.url)).toEqual({ taken: [id], left: [] })
        expect(receiver.taken.filter((one) => one === id)).toEqual([id])
        await until(async () =>
          expect(await webhooks.status()).toMatchObject([{ aside: [], waitingSince: null }]),
        )
        expect(receiver.seen.findLast((one) => one.id === id)).toMatchObject({ isSigned: true })
        expect(await webhooks.status()).toMatchObject([{ aside: [] }])
        await expect(webhooks.sendAgain('https://x.example')).rejects.toMatchObject({
          code: 'usage',
        })
      })
    },
  )
}

describe('what is set aside, and what is not', () => {
  it.concurrent('several in a row are got past, each after its own tries', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    const isPoison = (delivery: Delivery) =>
      ['user0', 'user1', 'user2'].some((user) => ofUser(user)(delivery))
    receiver.manner = refusing(isPoison)
    await world.open([{ url: receiver.url, secret }])
    await world.happen(5)
    await until(() => expect(world.told.setAside).toBe(3))
    const poison = new Set(receiver.seen.filter(isPoison).map(({ id }) => id))
    await gotAllBut(world, receiver, (id) => poison.has(id))
    expect(await eventsOf(world, 'webhook.set_aside')).toHaveLength(3)
  })

  it.concurrent('nothing, while the receiver takes nothing', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    receiver.manner = { status: 503 }
    const { webhooks } = await world.open([{ url: receiver.url, secret }])
    const ids = await world.happen(5)
    await until(() => expect(receiver.seen.length).toBeGreaterThan(10))
    expect(await webhooks.status()).toMatchObject([{ state: 'failing', aside: [] }])
    expect(world.told.setAside).toBe(0)
    receiver.manner = 'take'
    await takes(receiver, ids)
  })

  it.concurrent('nothing, while there is no other event to tell the two apart', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    receiver.manner = refusing(ofUser('user0'))
    await world.open([{ url: receiver.url, secret }])
    await world.happen(1)
    await until(() => expect(receiver.seen.filter(ofUser('user0')).length).toBeGreaterThan(8))
    expect(world.told.setAside).toBe(0)
    await world.happen(2)
    await until(() => expect(world.told.setAside).toBe(1))
  })

  it.concurrent('of what tells that one was set aside no more is told: it would never end', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    receiver.manner = refusing(
      ({ type, body }) => type.startsWith('webhook.') || body.data.user === 'user0',
    )
    const { webhooks } = await world.open([{ url: receiver.url, secret }])
    await world.happen(2)
    await until(() => expect(world.told.setAside).toBe(1))
    await world.happen(2)
    // The second is the event of the first, and the third that of user0 once more.
    await until(() => expect(world.told.setAside).toBe(3))
    expect(await eventsOf(world, 'webhook.set_aside')).toHaveLength(2)
    const [status] = await webhooks.status()
    expect(status?.aside.map(({ type }) => type)).toContain('webhook.set_aside')
  })

  it('far events tell the two apart where the receiver wants few of them', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    const isPoison = (delivery: Delivery) => delivery.body.data.user === 'ada'
    receiver.manner = refusing(isPoison)
    const authority = await world.open([{ url: receiver.url, secret, types: ['reach.revoked'] }])
    await authority.revoke({ user: 'ada' })
    await world.happen(2 * BATCH)
    await authority.revoke({ user: 'bob' })
    await until(() => expect(world.told.setAside).toBe(1))
    expect(receiver.seen.at(-1)).toMatchObject({ body: { data: { user: 'bob' } } })
  })

  it('of a receiver that gives no answer nothing more is sent again', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    receiver.manner = refusing((delivery) =>
      ['user0', 'user1'].some((user) => ofUser(user)(delivery)),
    )
    const { webhooks } = await world.open([{ url: receiver.url, secret, timeoutMs: 100 }])
    await world.happen(4)
    await until(() => expect(world.told.setAside).toBe(2))
    const poison = new Set((await webhooks.status())[0]?.aside.map(({ id }) => id))
    await gotAllBut(world, receiver, (id) => poison.has(id))
    receiver.manner = 'hang'
    const sent = receiver.seen.length
    const triesOf = (aside: readonly { tries: number }[] = []) => aside.map(({ tries }) => tries)
    const [first = 0, ...rest] = triesOf((await webhooks.status())[0]?.aside)
    const { taken, left } = await webhooks.sendAgain(receiver.url)
    expect([taken.length, triesOf(left)]).toEqual([0, [first + 1, ...rest]])
    expect(receiver.seen.length).toBe(sent + 1)
  })
})

describe('one write for many deliveries', () => {
  const isCursor = (change: Change) =>
    change.type === 'put_note' && change.key.startsWith('webhook:')

  /** Counts the writes of the cursor, and lets none through from when it is told to die. */
  function watched(store: AuthorityStore) {
    const seen = { writes: 0, isDead: false }
    const commit: AuthorityStore['commit'] = async (change) => {
      if (seen.isDead) throw new Error('killed')
      if (isCursor(change)) seen.writes += 1
      return store.commit(change)
    }
    return { seen, store: { ...store, commit } }
  }

  it('of a batch that is taken swiftly', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    const ids = await world.happen(3 * BATCH)
    const { seen, store } = watched(world.store)
    const authority = await world.open([{ url: receiver.url, secret }], store)
    await takes(receiver, ids)
    await authority.close()
    // The machine may be slow: then time runs out before the batch does.
    expect(seen.writes).toBeLessThan(ids.length / 4)
  })

  it('a slow receiver: every five seconds', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    receiver.manner = async () => {
      await sleep(2_000 / SPEED)
      return 'take' as const
    }
    const ids = await world.happen(20)
    const { seen, store } = watched(world.store)
    const authority = await world.open([{ url: receiver.url, secret }], store)
    await takes(receiver, ids)
    await authority.close()
    expect(seen.writes).toBeGreaterThan(20 / 3)
    expect(seen.writes).toBeLessThanOrEqual(20 + 2)
  })

  it('whoever is killed in a batch has it sent again, under the same ids, and loses nothing', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    const ids = await world.happen(BATCH)
    const { seen, store } = watched(world.store)
    receiver.manner = () => {
      if (receiver.taken.length === BATCH / 2) seen.isDead = true
      return 'take'
    }
    const killed = await world.open([{ url: receiver.url, secret }], store)
    await until(() => expect(seen.isDead).toBe(true))
    await killed.close()
    await world.open([{ url: receiver.url, secret }])
    await until(() => expect(receiver.taken.slice(-1)).toEqual(ids.slice(-1)))
    await until(() => expect([...new Set(receiver.taken)]).toEqual(ids))
    expect(receiver.taken.length).toBeGreaterThan(ids.length)
  })

  it('whoever is closed in a batch has nothing sent again', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    const ids = await world.happen(BATCH)
    const { promise: closing, resolve: close } = Promise.withResolvers<void>()
    receiver.manner = () => {
      if (receiver.taken.length === BATCH / 2) close()
      return 'take'
    }
    const first = await world.open([{ url: receiver.url, secret }])
    await closing
    await first.close()
    await world.open([{ url: receiver.url, secret }])
    await until(() => expect([...new Set(receiver.taken)]).toEqual(ids))
    // What was on its way when it was closed had no answer yet.
    expect(receiver.taken.length - ids.length).toBeLessThanOrEqual(1)
  })

  it('an operator who changes the cursor in a batch has nothing sent again', async () => {
    await using world = await openWorld()
    await using receiver = await openReceiver(SECRET)
    const ids = await world.happen(BATCH)
    const authority = await world.open([{ url: receiver.url, secret }])
    receiver.manner = async () => {
      if (receiver.taken.length === BATCH / 2) await authority.webhooks.enable(receiver.url)
      return 'take' as const
    }
    await takes(receiver, ids)
    const last = (await world.store.readEvents(null, EVENTS_MAX)).at(-1)
    await until(async () =>
      expect((await authority.webhooks.status())[0]?.position).toBe(last?.position),
    )
    expect(receiver.taken).toEqual(ids)
  })
})
