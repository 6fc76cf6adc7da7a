import { expect } from 'vitest'
import { type Change, isGrantDead } from '../../../src/store/authority/contract.ts'
import {
  type Check,
  EVENTS_KEPT_MS,
  endingGrant,
  endingToken,
  grantRow,
  HOUR_MS,
  LIFE_MS,
  newEvent,
  startGrant,
  tokenRow,
  type World,
} from './world.ts'

/** Grants of one generation; each writes a row in every table. */
const GENERATION = 150
/** Generations that follow each other: without forgetting, as many times the rows. */
const GENERATIONS = 8

/** Writes one generation: grants with tokens that are used up, revoked or left, marks, names, events. */
async function writeGeneration({ store, clock }: World): Promise<void> {
  const now = clock.now()
  const expiresAt = now + LIFE_MS
  const first = await store.reserveIds(GENERATION * 3)
  const changesOf = (no: number): Change[][] => {
    const id = first + no * 3
    const grant = grantRow(id, { userId: `user ${id}`, createdAt: now, expiresAt })
    const token = tokenRow(id + 1, id, { expiresAt })
    const child = tokenRow(id + 2, id, { expiresAt })
    const spend = { tokenId: id + 1, grantId: id, successorId: id + 2, at: now, tokens: [child] }
    const events = [newEvent('written', { at: now })]
    const reach = { type: 'user', userId: `user ${id}` } as const
    return [
      [{ type: 'start_grant', grant, tokens: [token], events }],
      [{ type: 'spend_token', ...spend, events }],
      [
        endingToken(id + 2, now),
        endingGrant(id, now),
        { type: 'mark', reach, before: null, at: now, keepUntil: expiresAt, events },
        { type: 'use_once', key: `name ${id}`, keepUntil: expiresAt },
      ],
    ]
  }
  const all = Array.from({ length: GENERATION }, (_, no) => changesOf(no))
  for (const step of [0, 1, 2]) {
    await Promise.all(all.flatMap((changes) => changes[step] ?? []).map(store.commit))
  }
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
