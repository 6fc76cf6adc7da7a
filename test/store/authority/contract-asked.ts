import { expect } from 'vitest'
import type { Change, TokenView } from '../../../src/store/authority/contract.ts'
import {
  allEvents,
  type Check,
  countDone,
  endingGrant,
  endingToken,
  START,
  spending,
  startGrant,
  type World,
} from './world.ts'

/** Contenders for one end, half of them on each store. */
const CONTENDERS = 64
const CLIENT = { id: 'shop', settings: '{}', enabled: true }
const ASKED = { clientId: CLIENT.id }
const putClient = (expected: number | null): Change => ({
  ...{ type: 'put_client', client: CLIENT, expected, events: [] },
})

/** Ends a token where it is seen to live, and else leaves it. */
const endingLive = (tokenId: number, seen: unknown[] = []) => {
  return ({ token }: { readonly token: TokenView | null }): Change | null => {
    seen.push(token?.end ?? token?.grant.endedAt ?? null)
    return token?.end === null && token.grant.endedAt === null ? endingToken(tokenId) : null
  }
}

/** A change that is decided by what is there, and the look-up that goes with it. */
export const ASKED_CHECKS: readonly Check[] = [
  {
    title: 'shows the token and the client that asks, and null where there is none',
    async run({ store, other }) {
      const { tokenId } = await startGrant(store)
      expect(await other.readAsked({ tokenId, ...ASKED })).toMatchObject({ client: null })
      await store.commit(putClient(null))
      const { token, client } = await other.readAsked({ tokenId, ...ASKED })
      expect(token).toEqual(await store.readToken(tokenId))
      expect(client).toEqual({ ...CLIENT, version: 1 })
      const none = { tokenId: tokenId + 99, clientId: 'nobody' }
      expect(await store.readAsked(none)).toEqual({ token: null, client: null })
    },
  },
  {
    title: 'applies what is decided, and nothing where null is',
    async run({ store, other }) {
      const { tokenId } = await startGrant(store)
      await store.commit(putClient(null))
      const asked = { tokenId, ...ASKED }
      expect(await store.changeToken(asked, () => null)).toBeNull()
      expect(await allEvents(other)).toEqual([])
      const versions: unknown[] = []
      const committed = await store.changeToken(asked, ({ token, client }) => {
        versions.push(client?.version)
        return token && endingToken(token.id)
      })
      expect(committed).toBe('done')
      expect(new Set(versions)).toEqual(new Set([1]))
      expect((await other.readToken(tokenId))?.end?.state).toBe('revoked')
      expect(await allEvents(other)).toHaveLength(1)
    },
  },
  {
    title: 'conflicts where the change that is decided does, and leaves no event',
    async run({ store, other }) {
      const { grantId, tokenId } = await startGrant(store)
      const child = await store.reserveIds(1)
      await other.commit(endingGrant(grantId))
      const decide = () => spending(tokenId, grantId, child)
      expect(await store.changeToken({ tokenId, ...ASKED }, decide)).toBe('conflict')
      expect(await other.readToken(child)).toBeNull()
      expect(await allEvents(other)).toHaveLength(1)
    },
  },
  {
    title: 'decides by what is there, in the order of the changes',
    async run({ store }) {
      const { grantId, tokenId } = await startGrant(store)
      const seen: unknown[] = []
      const ask = () => store.changeToken({ tokenId, ...ASKED }, endingLive(tokenId, seen))
      expect([await ask(), await ask()]).toEqual(['done', null])
      await store.commit(endingGrant(grantId, START + 5))
      expect(await ask()).toBeNull()
      expect(seen.filter((end) => end === null).length).toBe(1)
    },
  },
  {
    title: 'lets one of 64 through that end a token as they see it, or blindly',
    async run(world) {
      const { tokenId } = await startGrant(world.store)
      const outcomes = await raceForEnd(world, tokenId)
      expect(countDone(outcomes.filter((outcome) => outcome !== null))).toBe(1)
      expect(await allEvents(world.store)).toHaveLength(1)
    },
  },
  {
    title: 'sees a mark and a client that were written just before, on the same store or another',
    async run({ store, other }) {
      const { tokenId } = await startGrant(store)
      await store.commit(putClient(null))
      const seen: unknown[] = []
      for (const place of [store, other]) {
        const at = START + 1
        const reach = { type: 'client', ...ASKED } as const
        const mark = { type: 'mark', reach, before: null, at, keepUntil: at, events: [] } as const
        const version = (await place.readClient(CLIENT.id))?.version ?? null
        const [, , committed] = await Promise.all([
          store.commit(mark),
          store.commit(putClient(version)),
          store.changeToken({ tokenId, ...ASKED }, () => null),
        ])
        expect(committed).toBeNull()
        await place.changeToken({ tokenId, ...ASKED }, ({ token, client }) => {
          seen.push([token?.grant.marks.epoch, client?.version])
          return null
        })
      }
      expect(seen).toEqual([
        [1, 2],
        [2, 3],
      ])
    },
  },
]

function raceForEnd({ store, other }: World, tokenId: number) {
  return Promise.all(
    Array.from({ length: CONTENDERS }, (_, no) => {
      const place = no % 2 ? store : other
      return no % 4 < 2
        ? place.changeToken({ tokenId, ...ASKED }, endingLive(tokenId))
        : place.commit(endingToken(tokenId))
    }),
  )
}
