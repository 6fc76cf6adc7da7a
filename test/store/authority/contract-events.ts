import { expect } from 'vitest'
import type { AuthorityStore, EventRow } from '../../../src/store/authority/contract.ts'
import {
  allEvents,
  type Check,
  countDone,
  endingGrant,
  newEvent,
  START,
  spending,
  startGrant,
  tokenRow,
} from './world.ts'

/** Changes that write while a reader pages through, on two stores. */
const WRITES = 400
/** Small pages: the reader is always just behind the writers. */
const PAGE = 7

/** Invariant 4, and the order in which events are read. */
export const EVENT_CHECKS: readonly Check[] = [
  {
    title: 'gives back an event as it was written, under an id of its own',
    async run({ store, other }) {
      const full = newEvent('token.revoked', {
        at: START + 1,
        cause: 'refresh_reuse',
        actor: 'client:shop',
        clientId: 'shop',
        userId: `O'Hara {"x"} 🔑`,
        grantId: 7,
        sessionId: 's1',
        token: 'fp_1',
        request: 'req-1',
        detail: '{"a":[1,null]}',
      })
      const bare = newEvent('log')
      expect(await store.commit({ type: 'log', events: [full, bare] })).toBe('done')
      const events = await allEvents(other)
      expect(events.map(({ id: _, position: __, ...event }) => event)).toEqual([full, bare])
      expect(new Set(events.map(({ id }) => id)).size).toBe(2)
    },
  },
  {
    title: 'logs what somebody sent, a NUL included',
    async run({ store }) {
      const odd = newEvent('client.unknown', { clientId: 'a\0b', detail: '\ud800' })
      expect(await store.commit({ type: 'log', events: [odd] })).toBe('done')
      expect((await allEvents(store)).map(({ type }) => type)).toEqual(['client.unknown'])
    },
  },
  {
    title: 'has the events of a change that is done, and of no other',
    async run({ store, other }) {
      const { grantId, tokenId } = await startGrant(store)
      const first = await store.reserveIds(20)
      const changes = Array.from({ length: 20 }, (_, no) => ({
        ...spending(tokenId, grantId, first + no),
        events: [newEvent('one', { grantId: no }), newEvent('two', { grantId: no })],
      }))
      const committed = await Promise.all(
        changes.map((change, no) => (no % 2 ? store : other).commit(change)),
      )
      expect(countDone(committed)).toBe(1)
      const events = await allEvents(store)
      const winner = committed.indexOf('done')
      expect(events.map(({ type, grantId }) => [type, grantId])).toEqual([
        ['one', winner],
        ['two', winner],
      ])
    },
  },
  {
    title: 'has the events of a note that was written, and of none that another was before',
    async run({ store, other }) {
      const write = (to: AuthorityStore, value: string, expected: number | null) =>
        to.commit({ type: 'put_note', key: 'n', value, expected, events: [newEvent(value)] })
      const made = await Promise.all([write(store, 'a', null), write(other, 'b', null)])
      const first = made.indexOf('done') === 0 ? 'a' : 'b'
      expect(countDone(made)).toBe(1)
      expect(await write(other, 'c', 1)).toBe('done')
      expect(await write(store, 'd', 1)).toBe('conflict')
      expect((await allEvents(store)).map(({ type }) => type)).toEqual([first, 'c'])
      expect(await store.readNote('n')).toEqual({ value: 'c', version: 2 })
    },
  },
  {
    title: 'says when the oldest event after a position happened',
    async run({ store, other }) {
      expect(await other.oldestEventAt(null)).toBeNull()
      const logged = [START + 3, START + 4].map((at) => newEvent('other', { at }))
      for (const event of logged) await store.commit({ type: 'log', events: [event] })
      expect(await other.oldestEventAt(null)).toBe(START + 3)
      await expect.poll(async () => (await allEvents(store)).length).toBe(2)
      const [first, last] = await allEvents(store)
      expect(await other.oldestEventAt(first?.position ?? null)).toBe(START + 4)
      expect(await other.oldestEventAt(last?.position ?? null)).toBeNull()
    },
  },
  {
    title: 'lists the events of a millisecond',
    async run({ store, other }) {
      const { grantId } = await startGrant(store)
      await store.commit(endingGrant(grantId, START + 3))
      await store.commit({ type: 'log', events: [newEvent('other', { at: START + 4 })] })
      const events = await other.eventsAt(START + 3, 10)
      expect(events.map(({ type }) => type)).toEqual(['grant.revoked'])
      expect(events).toEqual((await allEvents(other)).slice(0, 1))
      expect(await other.eventsAt(START + 5, 10)).toEqual([])
    },
  },
  {
    title: 'goes on after a position, by pages of any size',
    async run({ store }) {
      const names = Array.from({ length: 10 }, (_, no) => `event ${no}`)
      for (const name of names) await store.commit({ type: 'log', events: [newEvent(name)] })
      for (const size of [1, 3, 10, 100]) {
        expect((await allEvents(store, size)).map(({ type }) => type)).toEqual(names)
      }
      expect(await store.readEvents((await allEvents(store)).at(-1)?.position ?? '', 5)).toEqual([])
    },
  },
  {
    title: 'never lets a reader miss an event that is written while it pages through',
    async run({ store, other }) {
      const { grantId } = await startGrant(store)
      const first = await store.reserveIds(WRITES)
      const seen: EventRow[] = []
      let isOver = false
      const readPage = async () => {
        const page = await other.readEvents(seen.at(-1)?.position ?? null, PAGE)
        seen.push(...page)
        return page.length
      }
      const reading = (async () => {
        while (!isOver) await readPage()
        while ((await readPage()) > 0);
      })()
      const write = (no: number) => {
        const events = [newEvent('written', { grantId: no }), newEvent('more', { grantId: no })]
        const tokens = [tokenRow(first + no, grantId)]
        // Two types of change: they are in different transactions, which end in any order.
        return (no % 3 ? store : other).commit(
          no % 2 ? { type: 'log', events } : { type: 'add_tokens', grantId, tokens, events },
        )
      }
      for (let no = 0; no < WRITES; no += 20) {
        const wave = Array.from({ length: 20 }, (_, offset) => write(no + offset))
        expect(countDone(await Promise.all(wave))).toBe(20)
      }
      isOver = true
      await reading
      expect(seen.map(({ id }) => id)).toEqual((await allEvents(store, 1_000)).map(({ id }) => id))
      expect(seen).toHaveLength(2 * WRITES)
      expect(new Set(seen.map(({ grantId }) => grantId)).size).toBe(WRITES)
    },
  },
]
