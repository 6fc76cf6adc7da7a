import { expect, vi } from 'vitest'
import {
  type AuthorityStore,
  type Change,
  type GrantRow,
  isGrantDead,
  markKey,
  type Reach,
  SETTINGS_KEPT,
} from '../../../src/store/authority/contract.ts'
import {
  ANCIENT,
  type Check,
  EVENTS_KEPT_MS,
  endingGrant,
  endingToken,
  grantRow,
  HOUR_MS,
  JUST_NOW,
  LIFE_MS,
  newEvent,
  START,
  startGrant,
  tokenRow,
  type World,
} from './world.ts'

/** Grants of one generation; each writes a row in every table. */
const GENERATION = 150
/** Generations that follow each other: without forgetting, as many times the rows. */
const GENERATIONS = 8

/** Grants may live much longer than their tokens do, as those of people who come back. */
const GRANT_LIFE_MS = 365 * LIFE_MS
/** Grants that are idle for long, and get a token when they are being forgotten. */
const IDLE = 40
/** Rounds in which they do: enough that each comes first. */
const ROUNDS = 8
/** Revocations of one reach, and how many of them fall in the life of a grant. */
const REVOCATIONS = 40
const REVOCATIONS_A_LIFE = 8
/** Events of one change: more rows than a store writes without forgetting. */
const MANY_EVENTS = 400

/** A store may forget a little after it has answered, and goes on as more is written. */
function soon({ store, clock }: World, check: () => Promise<void>): Promise<void> {
  const tried = async () => {
    await store.commit(logging(MANY_EVENTS, clock.now()))
    await check()
  }
  return vi.waitFor(tried, { timeout: 10_000, interval: 20 })
}

/** Writes one generation: grants with tokens that are used up, revoked or left, marks, names, events. */
async function writeGeneration({ store, clock }: World): Promise<void> {
  const now = clock.now()
  const expiresAt = now + LIFE_MS
  const first = await store.reserveIds(GENERATION * 3)
  const changesOf = (no: number): Change[][] => {
    const id = first + no * 3
    const grant = grantRow(id, {
      ...{ userId: `user ${id}`, createdAt: now, expiresAt: now + GRANT_LIFE_MS },
    })
    const token = tokenRow(id + 1, id, { expiresAt })
    const child = tokenRow(id + 2, id, { expiresAt })
    const spend = { tokenId: id + 1, grantId: id, successorId: id + 2, at: now, tokens: [child] }
    const events = [newEvent('written', { at: now })]
    const reach = { type: 'user', userId: `user ${id}` } as const
    return [
      [{ type: 'start_grant', began: JUST_NOW, grant, tokens: [token], events }],
      [{ type: 'spend_token', ...spend, events }],
      [
        endingToken(id + 2, now),
        endingGrant(id, now),
        { type: 'mark', reach, before: null, at: now, keepUntil: now, events },
        { type: 'use_once', key: `name ${id}`, keepUntil: expiresAt },
      ],
    ]
  }
  const all = Array.from({ length: GENERATION }, (_, no) => changesOf(no))
  for (const step of [0, 1, 2]) {
    await Promise.all(all.flatMap((changes) => changes[step] ?? []).map(store.commit))
  }
}

/** Starts a grant of a long time whose one token has a short one. */
async function startIdle(store: AuthorityStore, some: Partial<GrantRow> = {}): Promise<number> {
  const id = await store.reserveIds(2)
  const grant = grantRow(id, { expiresAt: START + GRANT_LIFE_MS, ...some })
  const tokens = [tokenRow(id + 1, id, { expiresAt: START + LIFE_MS })]
  expect(
    await store.commit({ type: 'start_grant', began: JUST_NOW, grant, tokens, events: [] }),
  ).toBe('done')
  return id
}

function logging(count: number, at: number): Change {
  return { type: 'log', events: Array.from({ length: count }, () => newEvent('written', { at })) }
}

async function generationRows(world: World): Promise<Readonly<Record<string, number>>> {
  await writeGeneration(world)
  return world.place.countRows()
}

/** Invariant 5: tables stay as large as what is alive, and nothing is forgotten too soon. */
export const TABLE_CHECKS: readonly Check[] = [
  {
    title: 'forgets what has expired as new rows come, and grows no further',
    async run(world) {
      const first = await generationRows(world)
      let last = first
      for (let generation = 1; generation < GENERATIONS; generation += 1) {
        world.clock.set(world.clock.now() + EVENTS_KEPT_MS + HOUR_MS)
        last = await generationRows(world)
      }
      for (const [table, rows] of Object.entries(last)) {
        expect(first[table], table).toBeGreaterThanOrEqual(GENERATION)
        expect(rows, table).toBeLessThan((first[table] ?? 0) * 3)
      }
    },
  },
  {
    title: 'forgets a grant with its last token and not before, and takes nothing for it then',
    async run(world) {
      const { store, other, clock } = world
      const start = clock.now()
      const idle = await startIdle(store)
      const busy = await startIdle(store)
      const id = await store.reserveIds(2)
      const late = tokenRow(id, busy, { expiresAt: start + GRANT_LIFE_MS })
      await store.commit({ type: 'add_tokens', grantId: busy, tokens: [late], events: [] })
      await store.commit(endingGrant(idle))
      clock.set(start + 2 * LIFE_MS)
      await writeGeneration(world)
      await soon(world, async () => expect(await other.readGrant(idle)).toBeNull())
      expect(await other.readGrant(busy)).toMatchObject({ id: busy, endedAt: null })
      expect((await other.readToken(id))?.grantId).toBe(busy)
      const tokens = [tokenRow(id + 1, idle)]
      const add: Change = { type: 'add_tokens', grantId: idle, tokens, events: [] }
      expect(await other.commit(add)).toBe('conflict')
      expect(await other.commit(endingGrant(idle))).toBe('conflict')
      expect(await other.readToken(id + 1)).toBeNull()
    },
  },
  {
    title: 'forgets a grant that never got a token, among those that have one',
    async run(world) {
      const { store, other, clock } = world
      const first = await store.reserveIds(MANY_EVENTS)
      const ids = Array.from({ length: MANY_EVENTS }, (_, no) => first + no)
      const grants = ids.map((id) => grantRow(id, { expiresAt: START + LIFE_MS }))
      await Promise.all(ids.slice(0, GENERATION).map(() => startGrant(store)))
      for (const grant of grants) {
        await store.commit({ type: 'start_grant', began: JUST_NOW, grant, tokens: [], events: [] })
      }
      expect(await other.readGrant(first)).not.toBeNull()
      clock.set(START + 2 * LIFE_MS)
      await soon(world, async () => {
        const left = await Promise.all(ids.map((id) => other.readGrant(id)))
        expect(left.filter((grant) => grant !== null)).toEqual([])
      })
    },
  },
  {
    title: 'adds a token to a grant that is being forgotten whole, or not at all',
    async run({ store, other, clock }) {
      for (let round = 0; round < ROUNDS; round += 1) {
        const grants = await Promise.all(Array.from({ length: IDLE }, () => startIdle(store)))
        clock.set(clock.now() + 2 * LIFE_MS)
        const first = await store.reserveIds(IDLE)
        const expiresAt = clock.now() + LIFE_MS
        const forgetting = [0, 1, 2].map(() => store.commit(logging(MANY_EVENTS, clock.now())))
        const committed = await Promise.all(
          grants.map(async (grantId, no) => {
            for (let turns = 0; turns < no; turns += 1) await clock.sleep(0)
            const tokens = [tokenRow(first + no, grantId, { expiresAt })]
            return other.commit({ type: 'add_tokens', grantId, tokens, events: [] })
          }),
        )
        await Promise.all(forgetting)
        for (const [no, each] of committed.entries()) {
          const view = await other.readToken(first + no)
          expect(view?.grantId ?? null, each).toBe(each === 'done' ? grants[no] : null)
        }
      }
    },
  },
  ...(['session', 'client', 'user', 'user_client'] as const).map(
    (type): Check => ({
      title: `keeps a mark on a ${type} as long as what it killed is there, and no longer`,
      async run(world) {
        const { store, other, clock } = world
        const start = clock.now()
        const names = { clientId: 'shop', userId: 'shop eve', sessionId: 's 1' }
        const grantId = await startIdle(store, names)
        const reach = { type, ...names } as Reach
        const began = await other.readEpoch()
        const mark = { type: 'mark', reach, before: null, at: start, events: [] } as const
        await store.commit({ ...mark, keepUntil: start + HOUR_MS })
        // One that is born later has nothing to do with it.
        const later = await startIdle(store, { ...names, expiresAt: start + GRANT_LIFE_MS })
        const tokens = [
          tokenRow(await store.reserveIds(1), later, { expiresAt: start + 9 * LIFE_MS }),
        ]
        await store.commit({ type: 'add_tokens', grantId: later, tokens, events: [] })
        const marks = () => store.readMarks([markKey(reach)], ANCIENT)
        // What is under way, and starts when the mark is about to be forgotten.
        clock.set(start + HOUR_MS - 1)
        const longer = { ...names, expiresAt: start + 1.5 * LIFE_MS }
        const { grantId: overtaken } = await startGrant(other, longer, began)
        const looks = [
          { id: grantId, at: start + LIFE_MS - 1 },
          { id: overtaken, at: start + 1.25 * LIFE_MS },
        ]
        for (const { id, at } of looks) {
          clock.set(at)
          await writeGeneration(world)
          const killed = await other.readGrant(id)
          expect(killed !== null && isGrantDead(killed)).toBe(true)
        }
        for (const lives of [2, 4]) {
          clock.set(start + lives * LIFE_MS)
          await writeGeneration(world)
        }
        await soon(world, async () => expect(await marks()).toEqual([]))
        const alive = await other.readGrant(later)
        expect(alive !== null && !isGrantDead(alive)).toBe(true)
      },
    }),
  ),
  ...(['session', 'client', 'user', 'user_client'] as const).map(
    (type): Check => ({
      title: `keeps of a ${type} that is revoked again and again what each grant died by first`,
      async run(world) {
        const { store, other, place } = world
        const names = { clientId: 'shop', userId: 'shop eve', sessionId: 's 1' }
        const reach = { type, ...names } as Reach
        let at = START
        const revoke = async (times: number) => {
          for (let time = 0; time < times; time += 1) {
            at += 1
            const mark = { type: 'mark', reach, before: null, at, events: [] } as const
            expect(await store.commit({ ...mark, keepUntil: at + HOUR_MS })).toBe('done')
          }
        }
        const died: { grantId: number; at: number }[] = []
        await revoke(3)
        for (const times of [SETTINGS_KEPT, SETTINGS_KEPT / 2, SETTINGS_KEPT, 3]) {
          const { grantId } = await startGrant(store, names)
          died.push({ grantId, at: at + 1 })
          await revoke(times)
        }
        const settings = async () => (await place.countRows()).mark_setting
        await soon(world, async () =>
          expect(await settings()).toBeLessThanOrEqual(SETTINGS_KEPT + died.length),
        )
        expect(await settings()).toBeGreaterThanOrEqual(SETTINGS_KEPT)
        for (const { grantId, at } of died) {
          const grant = (await other.readGrant(grantId)) ?? expect.fail('not there')
          expect(await other.readMarks([markKey(reach)], grant)).toMatchObject([{ at }])
        }
      },
    }),
  ),
  ...(['session', 'client', 'user', 'user_client', 'all'] as const).flatMap((type) =>
    [false, true].map(
      (hasMoment): Check => ({
        title: `forgets of ${type === 'all' ? 'everything' : `a ${type}`} that is revoked again and again${hasMoment ? ' by a moment' : ''} what no grant died by first that is there`,
        async run(world) {
          const { store, other, place, clock } = world
          const names = { clientId: 'shop', userId: 'shop eve', sessionId: 's 1' }
          const reach = { type, ...names } as Reach
          const died: { grantId: number; at: number; expiresAt: number }[] = []
          for (let time = 0; time < REVOCATIONS; time += 1) {
            const now = START + (time * LIFE_MS) / REVOCATIONS_A_LIFE
            clock.set(now)
            const expiresAt = now + LIFE_MS
            const { grantId } = await startGrant(store, { ...names, createdAt: now, expiresAt })
            const at = now + 1
            died.push({ grantId, at, expiresAt })
            const before = hasMoment ? at : null
            const mark = { type: 'mark', reach, before, at, keepUntil: at + HOUR_MS } as const
            expect(await store.commit({ ...mark, events: [] })).toBe('done')
            await store.commit(logging(MANY_EVENTS, now))
            for (const one of died.filter(({ expiresAt }) => expiresAt > now)) {
              const grant = (await other.readGrant(one.grantId)) ?? expect.fail('not there')
              expect(isGrantDead(grant)).toBe(true)
              const read = await other.readMarks([markKey(reach)], grant)
              expect(read).toMatchObject([{ at: one.at }])
            }
          }
          // What killed a grant is looked at again a day later, which is as long as one lives here.
          await soon(world, async () =>
            expect((await place.countRows()).mark_setting).toBeLessThanOrEqual(
              2 * REVOCATIONS_A_LIFE,
            ),
          )
        },
      }),
    ),
  ),
  {
    title: 'forgets nothing before its time: what has ended stays ended, marked stays dead',
    async run(world) {
      const { store, other, clock } = world
      const start = clock.now()
      const marked = await startGrant(store, { userId: 'eve' })
      const ended = await startGrant(store)
      const endedToken = await startGrant(store)
      await store.commit(endingGrant(ended.grantId))
      await store.commit(endingToken(endedToken.tokenId))
      await store.commit({ type: 'use_once', key: 'jti', keepUntil: start + LIFE_MS })
      const reach = { type: 'user', userId: 'eve' } as const
      const keepUntil = start + LIFE_MS
      await store.commit({ type: 'mark', reach, before: null, at: start, keepUntil, events: [] })
      clock.set(start + LIFE_MS - 1)
      await writeGeneration(world)
      const [first, second] = [
        await other.readToken(marked.tokenId),
        await other.readGrant(ended.grantId),
      ]
      expect(first !== null && isGrantDead(first.grant)).toBe(true)
      expect(second !== null && isGrantDead(second)).toBe(true)
      expect((await other.readToken(endedToken.tokenId))?.end?.state).toBe('revoked')
      expect(await other.commit({ type: 'use_once', key: 'jti', keepUntil })).toBe('conflict')
    },
  },
  {
    title: 'keeps a mark as long as the longest grant that it killed, whatever it was told',
    async run(world) {
      const { store, other, clock } = world
      const start = clock.now()
      const long = await startGrant(store, {
        userId: 'eve',
        expiresAt: start + 10 * EVENTS_KEPT_MS,
      })
      const reach = { type: 'user', userId: 'eve' } as const
      const keepUntil = start + HOUR_MS
      await store.commit({ type: 'mark', reach, before: null, at: start, keepUntil, events: [] })
      for (let generation = 1; generation < 4; generation += 1) {
        clock.set(start + generation * EVENTS_KEPT_MS)
        await writeGeneration(world)
        const view = await other.readToken(long.tokenId)
        expect(view !== null && isGrantDead(view.grant)).toBe(true)
      }
    },
  },
]
