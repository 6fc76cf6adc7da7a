import { describe, expect, test } from 'vitest'
import { isRescindError } from '../../../src/core/errors.ts'
import { ASKED_CHECKS } from './contract-asked.ts'
import { END_CHECKS } from './contract-ends.ts'
import { EVENT_CHECKS } from './contract-events.ts'
import { MARK_CHECKS } from './contract-marks.ts'
import { ROW_CHECKS } from './contract-rows.ts'
import { TABLE_CHECKS } from './contract-tables.ts'
import { type Check, EVENTS_KEPT_MS, inWorld, manualClock, type StoreKind } from './world.ts'

/** All that the authority asks of a store, in the order of its contract. */
export const CONTRACT: readonly { readonly about: string; readonly checks: readonly Check[] }[] = [
  { about: 'rows', checks: ROW_CHECKS },
  { about: 'ends', checks: END_CHECKS },
  { about: 'changes by what is there', checks: ASKED_CHECKS },
  { about: 'marks', checks: MARK_CHECKS },
  { about: 'events', checks: EVENT_CHECKS },
  { about: 'tables', checks: TABLE_CHECKS },
]

/** Runs the contract of an authority's store over one kind of store. */
export function describeAuthorityStore(kind: StoreKind): void {
  describe(`the authority's store on ${kind.name}`, () => {
    for (const { about, checks } of CONTRACT) {
      describe(about, () => {
        test.each(checks)('$title', ({ run }) => inWorld(kind, run))
      })
    }

    test('refuses a database that a newer Rescind wrote', async () => {
      const place = await kind.create()
      const open = () => place.open({ clock: manualClock(), eventsKeptMs: EVENTS_KEPT_MS })
      try {
        await (await open()).close()
        await place.makeNewer()
        const error = await open().then(
          () => expect.fail('opened'),
          (reason: unknown) => reason,
        )
        expect(isRescindError(error, 'store_newer')).toBe(true)
        expect(String(error)).toMatch(/newer Rescind .*Update Rescind/)
      } finally {
        await place.remove()
      }
    })

    test('closes once however often it is told to, and then refuses each call with a code', async () => {
      const place = await kind.create()
      try {
        const store = await place.open({ clock: manualClock(), eventsKeptMs: EVENTS_KEPT_MS })
        const written = store.commit({ type: 'log', events: [] })
        const closes = [store.close(), store.close()]
        const asked = { tokenId: 1, clientId: 'app' }
        const calls: readonly Promise<unknown>[] = [
          ...[store.reserveIds(1), store.readToken(1), store.readGrant(1), store.readAsked(asked)],
          ...[store.readClient('app'), store.listClients(), store.readNote('issuer')],
          ...[store.commit({ type: 'log', events: [] }), store.changeToken(asked, () => null)],
          ...[store.countReach({ type: 'all' }, 0, null), store.readEvents(null, 1)],
          ...[store.listGrants({ type: 'all' }, 0, 0, 1), store.oldestEventAt(null)],
          ...[store.eventsAt(0, 1), store.readMarks([], { born: 0, createdAt: 0 })],
        ]
        const codes = await Promise.all(
          calls.map((call) => call.then(String, ({ code }: { code: string }) => code)),
        )
        expect([...new Set(codes)]).toEqual(['store_closed'])
        expect(await written).toBe('done')
        await Promise.all(closes)
        await store.close()
        await expect(store.readNote('issuer')).rejects.toMatchObject({ code: 'store_closed' })
      } finally {
        await place.remove()
      }
    })

    test('is made once by many that open it first at once', async () => {
      const place = await kind.create()
      const open = () => place.open({ clock: manualClock(), eventsKeptMs: EVENTS_KEPT_MS })
      try {
        const stores = await Promise.all(Array.from({ length: 6 }, open))
        const firsts = await Promise.all(stores.map((store) => store.reserveIds(1)))
        expect(new Set(firsts).size).toBe(6)
        await Promise.all(stores.map((store) => store.close()))
      } finally {
        await place.remove()
      }
    })
  })
}
