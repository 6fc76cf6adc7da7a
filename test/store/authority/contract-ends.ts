import { expect } from 'vitest'
import { type Change, isGrantDead } from '../../../src/store/authority/contract.ts'
import {
  allEvents,
  type Check,
  countDone,
  endingGrant,
  endingToken,
  grantRow,
  JUST_NOW,
  newEvent,
  START,
  spending,
  startGrant,
  tokenRow,
  type World,
} from './world.ts'

/** Contenders for one end, half of them on each store. */
const CONTENDERS = 64
/** Rounds of two changes that meet: enough that each comes first many times. */
const ROUNDS = 40

const adding = (grantId: number, tokenId: number): Change => ({
  type: 'add_tokens',
  grantId,
  tokens: [tokenRow(tokenId, grantId, { kind: 'access' })],
  events: [newEvent('token.issued', { grantId })],
})

/** Commits each change at once, one half on each store. */
function race({ store, other }: World, changes: readonly Change[]) {
  return Promise.all(changes.map((change, no) => (no % 2 ? store : other).commit(change)))
}

/** Invariants 1 to 4: ends are decided once, and nothing grows on what is dead. */
export const END_CHECKS: readonly Check[] = [
  {
    title: 'spends a token once: its successor is there, and the second conflicts whole',
    async run({ store, other }) {
      const { grantId, tokenId } = await startGrant(store)
      const child = await store.reserveIds(2)
      expect(await store.commit(spending(tokenId, grantId, child))).toBe('done')
      expect(await other.commit(spending(tokenId, grantId, child + 1))).toBe('conflict')
      const end = { state: 'used', at: START, successorId: child }
      expect((await other.readToken(tokenId))?.end).toEqual(end)
      expect((await other.readToken(child))?.end).toBeNull()
      expect(await other.readToken(child + 1)).toBeNull()
      expect(await allEvents(other)).toHaveLength(1)
    },
  },
  {
    title: 'lets one of 64 spenders of a token through',
    async run(world) {
      const { grantId, tokenId } = await startGrant(world.store)
      const first = await world.store.reserveIds(CONTENDERS)
      const spends = Array.from({ length: CONTENDERS }, (_, no) =>
        spending(tokenId, grantId, first + no),
      )
      expect(countDone(await race(world, spends))).toBe(1)
      const children = await Promise.all(
        spends.map(({ successorId }) => world.store.readToken(successorId ?? 0)),
      )
      const born = children.filter((view) => view !== null)
      expect(born).toHaveLength(1)
      expect((await world.store.readToken(tokenId))?.end?.successorId).toBe(born[0]?.id)
      expect(await allEvents(world.store)).toHaveLength(1)
    },
  },
  {
    title: 'lets one of 64 through that spend or revoke a token',
    async run(world) {
      const { grantId, tokenId } = await startGrant(world.store)
      const first = await world.store.reserveIds(CONTENDERS)
      const ends = Array.from({ length: CONTENDERS }, (_, no) =>
        no % 4 < 2 ? spending(tokenId, grantId, first + no) : endingToken(tokenId),
      )
      expect(countDone(await race(world, ends))).toBe(1)
      expect(await allEvents(world.store)).toHaveLength(1)
    },
  },
  {
    title: 'revokes a token once, and then nothing spends it',
    async run({ store, other }) {
      const { grantId, tokenId } = await startGrant(store)
      const child = await store.reserveIds(1)
      expect(await store.commit(endingToken(tokenId))).toBe('done')
      expect(await other.commit(endingToken(tokenId))).toBe('conflict')
      expect(await other.commit(spending(tokenId, grantId, child))).toBe('conflict')
      const end = { state: 'revoked', at: START, successorId: null }
      expect((await other.readToken(tokenId))?.end).toEqual(end)
      expect(await other.readToken(child)).toBeNull()
    },
  },
  {
    title: 'revokes a grant once of 64 times, and its tokens see it',
    async run(world) {
      const { grantId, tokenId } = await startGrant(world.store)
      const ends = Array.from({ length: CONTENDERS }, () => endingGrant(grantId, START + 5))
      expect(countDone(await race(world, ends))).toBe(1)
      const view = await world.other.readToken(tokenId)
      expect(view?.end).toBeNull()
      expect(view?.grant.endedAt).toBe(START + 5)
      expect(await allEvents(world.other)).toHaveLength(1)
    },
  },
  {
    title: 'adds nothing to a grant that has ended',
    async run({ store, other }) {
      const { grantId, tokenId } = await startGrant(store)
      const child = await store.reserveIds(2)
      expect(await store.commit(endingGrant(grantId))).toBe('done')
      expect(await other.commit(adding(grantId, child))).toBe('conflict')
      expect(await other.commit(spending(tokenId, grantId, child + 1))).toBe('conflict')
      expect(await store.readToken(child)).toBeNull()
      expect(await store.readToken(child + 1)).toBeNull()
      expect((await store.readToken(tokenId))?.end).toBeNull()
      expect(await allEvents(store)).toHaveLength(1)
    },
  },
  {
    title: 'takes nothing for a grant or a token that is not there',
    async run({ store }) {
      const id = await store.reserveIds(4)
      expect(await store.commit(adding(id, id + 1))).toBe('conflict')
      expect(await store.commit(spending(id + 2, id, id + 1))).toBe('conflict')
      expect(await store.commit(endingToken(id + 2))).toBe('conflict')
      expect(await store.commit(endingGrant(id))).toBe('conflict')
      expect(await allEvents(store)).toEqual([])
    },
  },
  {
    title: 'never leaves a live token under a grant that ended while tokens were added',
    async run(world) {
      const { store, other } = world
      for (let round = 0; round < ROUNDS; round += 1) {
        const { grantId, tokenId } = await startGrant(store)
        const child = await store.reserveIds(2)
        const changes = [
          adding(grantId, child),
          endingGrant(grantId),
          spending(tokenId, grantId, child + 1),
        ]
        const turned = [...changes.slice(round % 3), ...changes.slice(0, round % 3)]
        await race(world, turned)
        for (const id of [tokenId, child, child + 1]) {
          const view = await other.readToken(id)
          expect(view === null || isGrantDead(view.grant)).toBe(true)
        }
        expect(await store.commit(adding(grantId, await store.reserveIds(1)))).toBe('conflict')
      }
    },
  },
  {
    title: 'applies a change once that is sent again because nobody heard the answer',
    async run({ store, other }) {
      const { grantId, tokenId } = await startGrant(store)
      const id = await store.reserveIds(4)
      const grant = grantRow(id)
      const changes: readonly Change[] = [
        {
          type: 'start_grant',
          began: JUST_NOW,
          grant,
          tokens: [tokenRow(id + 1, id)],
          events: [newEvent('new')],
        },
        adding(grantId, id + 2),
        spending(tokenId, grantId, id + 3),
        endingGrant(grantId),
      ]
      for (const change of changes) {
        expect(await store.commit(change)).toBe('done')
        expect(await other.commit(change)).toBe('conflict')
      }
      expect(await allEvents(store)).toHaveLength(changes.length)
    },
  },
  {
    title: 'applies the good changes that arrive together with a bad one',
    async run({ store }) {
      const { grantId } = await startGrant(store)
      const ids = await store.reserveIds(20)
      const taken = grantRow(grantId)
      const bad = store.commit({
        type: 'start_grant',
        began: JUST_NOW,
        grant: taken,
        tokens: [tokenRow(ids + 19, grantId)],
        events: [],
      })
      const good = Array.from({ length: 5 }, (_, no) =>
        store.commit({
          type: 'start_grant',
          began: JUST_NOW,
          grant: grantRow(ids + no),
          tokens: [],
          events: [],
        }),
      )
      expect(await bad).toBe('conflict')
      expect(countDone(await Promise.all(good))).toBe(5)
      expect(await store.readToken(ids + 19)).toBeNull()
    },
  },
]
