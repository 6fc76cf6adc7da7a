import { describe, expect, test } from 'vitest'
import { RescindError } from '../../src/core/errors.ts'
import type { AuthorityStore } from '../../src/store/authority/contract.ts'
import { withSteps } from '../support/store-steps.ts'
import {
  activity,
  code,
  eventsOf,
  granted,
  issue,
  openSecond,
  openWorld,
  redeem,
  revoke,
  rotate,
  type World,
} from './core-world.ts'

const ADMIN = { actor: 'admin' }
/** More operations than any flow has. */
const OPERATIONS_MAX = 30

/** The operation fails before it has an effect, or has it and its answer is lost. */
type Moment = 'before' | 'after'
const MOMENTS: readonly Moment[] = ['before', 'after']
const CODES = { before: 'store_full', after: 'store_down' } as const

interface Held {
  readonly superseded: string
  readonly refresh: string
  readonly access: string
  readonly code: string
}

interface Flow {
  readonly title: string
  readonly run: (world: World, held: Held) => Promise<unknown>
  /** What of refresh token and access token is alive when the flow has been tried again. */
  readonly alive: readonly [boolean, boolean]
}

const FLOWS: readonly Flow[] = [
  { title: 'issue', run: (world) => issue(world), alive: [true, true] },
  { title: 'a code', run: (world) => code(world), alive: [true, true] },
  { title: 'redeem', run: (world, held) => redeem(world, held.code), alive: [true, true] },
  { title: 'rotate', run: (world, held) => rotate(world, held.refresh), alive: [false, true] },
  { title: 'reuse', run: (world, held) => rotate(world, held.superseded), alive: [false, false] },
  {
    title: 'client_credentials',
    run: ({ core, app }) => core.issuing.clientCredentials(app, 'read'),
    alive: [true, true],
  },
  { title: 'introspect', run: (world, held) => activity(world, held.access), alive: [true, true] },
  {
    title: 'revoke a refresh token',
    run: (world, held) => revoke(world, held.refresh),
    alive: [false, false],
  },
  {
    title: 'revoke a superseded refresh token',
    run: (world, held) => revoke(world, held.superseded),
    alive: [false, false],
  },
  {
    title: 'revoke an access token',
    run: (world, held) => revoke(world, held.access),
    alive: [true, false],
  },
  {
    title: 'revoke a user',
    run: ({ core }) => core.revoking.reach({ user: 'ada' }, 'admin', ADMIN),
    alive: [false, false],
  },
  {
    title: 'revoke what was issued before',
    run: ({ core }) =>
      core.revoking.reach({ issuedBefore: new Date('2027-01-01') }, 'admin', ADMIN),
    alive: [false, false],
  },
  {
    title: 'disable a client',
    run: ({ core }) => core.clients.disable('app'),
    alive: [false, false],
  },
]

/** Fails the `nth` operation of a store; `trouble` tells whether there were so many. */
function failing(store: AuthorityStore, nth: number, moment: Moment) {
  let count = 0
  const trouble = { met: false }
  const tried = async <T>(work: () => Promise<T>): Promise<T> => {
    count += 1
    if (count !== nth) return work()
    trouble.met = true
    if (moment === 'after') await work()
    throw new RescindError(CODES[moment], 'The store is in trouble.')
  }
  const faulty: AuthorityStore = {
    ...withSteps(store, {
      readToken: (id) => tried(() => store.readToken(id)),
      readClient: (id) => tried(() => store.readClient(id)),
      commit: (change) => tried(() => store.commit(change)),
    }),
    reserveIds: (number) => tried(() => store.reserveIds(number)),
    readGrant: (id) => tried(() => store.readGrant(id)),
  }
  return { faulty, trouble }
}

/** Brings a world to where the flows begin: R superseded S outside the grace, and a code is at hand. */
async function prepare(world: World): Promise<Held> {
  const first = await issue(world)
  const second = granted(await rotate(world, first.refresh_token))
  world.clock.advance(11)
  return {
    superseded: first.refresh_token,
    refresh: second.refresh_token,
    access: second.access_token,
    code: await code(world, 'bob'),
  }
}

/** All that can be seen of a world: who lives, how many tokens there are, and what was told. */
async function look(world: World, { refresh, access }: Held) {
  const events = await eventsOf(world)
  const { tokens } = await world.store.countReach({ type: 'all' }, world.clock.now(), null)
  const alive = await activity(world, refresh, access)
  return JSON.stringify({ alive, tokens, events: events.map(({ type }) => type) })
}

/** Opens a second authority whose store fails at its `nth` operation, from when it is open. */
async function openFailing(world: World, nth: number, moment: Moment) {
  let current = world.store
  const store: AuthorityStore = {
    ...withSteps(world.store, {
      readToken: (id) => current.readToken(id),
      readClient: (id) => current.readClient(id),
      commit: (change) => current.commit(change),
    }),
    reserveIds: (count) => current.reserveIds(count),
    readGrant: (id) => current.readGrant(id),
  }
  const place = await openSecond(world, { store })
  const { faulty, trouble } = failing(world.store, nth, moment)
  current = faulty
  return { place, trouble }
}

describe.each(MOMENTS)('the store fails %s an operation has its effect', (moment) => {
  test.each(FLOWS)('$title: at every one of its operations', async (flow) => {
    let nth = 1
    for (; nth <= OPERATIONS_MAX; nth += 1) {
      await using world = await openWorld()
      const held = await prepare(world)
      const before = await look(world, held)
      const { place, trouble } = await openFailing(world, nth, moment)
      const outcome = await flow.run(place, held).then(
        (answer) => ({ answer }),
        (error: { code: string }) => ({ code: error.code }),
      )
      if (!trouble.met) break
      expect(outcome, `operation ${nth}`).toEqual({ code: CODES[moment] })
      const after = await look(world, held)
      expect([before, await whole(flow)]).toContain(after)
      // The fault is over; the request comes again, at another process.
      await flow.run(world, held)
      expect(await activity(world, held.refresh, held.access)).toEqual(flow.alive)
    }
    expect(nth).toBeGreaterThan(1)
    expect(nth).toBeLessThanOrEqual(OPERATIONS_MAX)
  })
})

test('the event of a foreign token cannot be written: the answer stays, and the trouble is told', async () => {
  await using world = await openWorld()
  const held = await prepare(world)
  const troubles: unknown[] = []
  const full = async () => {
    throw new RescindError('store_full', 'The disk of the authority is full.')
  }
  const { commit } = world.store
  const place = await openSecond(world, {
    store: withSteps(world.store, {
      commit: (change) => (change.type === 'log' ? full() : commit(change)),
    }),
    onTrouble: (error) => troubles.push(error),
  })
  expect(await revoke(place, held.access, world.other)).toBe('foreign')
  await commit({ type: 'log', events: [] })
  expect(troubles).toHaveLength(1)
  expect(await activity(world, held.access)).toEqual([true])
})

/** What a flow leaves when nothing fails. */
async function whole(flow: Flow): Promise<string> {
  await using world = await openWorld()
  const held = await prepare(world)
  await flow.run(world, held)
  return await look(world, held)
}
