import { expect } from 'vitest'
import {
  type AuthorityStore,
  type Change,
  isGrantDead,
  markKey,
  markKeysOf,
  type Reach,
} from '../../../src/store/authority/contract.ts'
import {
  ANCIENT,
  allEvents,
  type Check,
  countDone,
  endingGrant,
  endingToken,
  grantRow,
  HOUR_MS,
  LIFE_MS,
  newEvent,
  START,
  startGrant,
  tokenRow,
} from './world.ts'

/** Grants that start while a mark is set, and marks that are set meanwhile. */
const MEETINGS = 60

/** Names that would run into each other if keys were put together carelessly. */
const GRANTS = {
  shopAda: { clientId: 'shop', userId: 'ada', sessionId: 's1' },
  shopAdaLater: { clientId: 'shop', userId: 'ada', sessionId: 's2' },
  shopBob: { clientId: 'shop', userId: 'bob', sessionId: 's3' },
  mailAda: { clientId: 'mail', userId: 'ada', sessionId: null },
  machine: { clientId: 'robot', userId: null, sessionId: null },
  oddUser: { clientId: 'mail', userId: 'shop ada', sessionId: 'ada' },
} as const
type Name = keyof typeof GRANTS
const NAMES = Object.keys(GRANTS) as Name[]

const REACHES: readonly { reach: Reach; dead: readonly Name[] }[] = [
  { reach: { type: 'all' }, dead: NAMES },
  { reach: { type: 'client', clientId: 'shop' }, dead: ['shopAda', 'shopAdaLater', 'shopBob'] },
  { reach: { type: 'client', clientId: 'robot' }, dead: ['machine'] },
  { reach: { type: 'user', userId: 'ada' }, dead: ['shopAda', 'shopAdaLater', 'mailAda'] },
  {
    reach: { type: 'user_client', userId: 'ada', clientId: 'shop' },
    dead: ['shopAda', 'shopAdaLater'],
  },
  { reach: { type: 'user_client', userId: 'shop ada', clientId: 'mail' }, dead: ['oddUser'] },
  { reach: { type: 'session', sessionId: 's1' }, dead: ['shopAda'] },
  { reach: { type: 'session', sessionId: 'ada' }, dead: ['oddUser'] },
  { reach: { type: 'user', userId: 'nobody' }, dead: [] },
]

function marking(reach: Reach, before: number | null = null, at = START): Change {
  const keepUntil = START + LIFE_MS
  return { type: 'mark', reach, before, at, keepUntil, events: [newEvent('all.revoked')] }
}

function putting(id: string, expected: number | null): Change {
  const client = { id, settings: '{}', enabled: true }
  return { type: 'put_client', client, expected, events: [newEvent('client.changed')] }
}

function disabling(clientId: string): Change {
  const keepUntil = START + LIFE_MS
  const events = [newEvent('client.changed', { clientId }), newEvent('all.revoked', { clientId })]
  return { type: 'disable_client', clientId, at: START, keepUntil, events }
}

async function startAll(store: AuthorityStore, createdAt: number, began?: number) {
  const started = NAMES.map((name) => startGrant(store, { ...GRANTS[name], createdAt }, began))
  return Object.fromEntries(
    (await Promise.all(started)).map((ids, index) => [NAMES[index], ids]),
  ) as Record<Name, { grantId: number; tokenId: number }>
}

async function isDead(store: AuthorityStore, tokenId: number): Promise<boolean> {
  const view = await store.readToken(tokenId)
  return view === null || isGrantDead(view.grant)
}

/** Invariant 6: one write ends everything of a reach, for every process, and nothing else. */
export const MARK_CHECKS: readonly Check[] = [
  ...REACHES.map(
    ({ reach, dead }): Check => ({
      title: `a mark on ${markKey(reach)} kills all its grants, no other, and none that starts later`,
      async run({ store, other }) {
        const grants = await startAll(store, START)
        expect(await store.commit(marking(reach))).toBe('done')
        const later = await startAll(other, START)
        for (const name of NAMES) {
          expect(await isDead(other, grants[name].tokenId), name).toBe(dead.includes(name))
          expect(await isDead(other, later[name].tokenId), `later ${name}`).toBe(false)
        }
        expect(await store.commit(marking(reach))).toBe('done')
        for (const name of NAMES) {
          expect(await isDead(other, later[name].tokenId), name).toBe(dead.includes(name))
        }
      },
    }),
  ),
  ...REACHES.map(
    ({ reach, dead }): Check => ({
      title: `a mark on ${markKey(reach)} kills grants that start later, where their requests began before`,
      async run({ store, other }) {
        const began = await other.readEpoch()
        expect(await store.commit(marking(reach))).toBe('done')
        const [now, sameNow] = [await store.readEpoch(), await other.readEpoch()]
        expect(now).toBeGreaterThan(began)
        expect(sameNow).toBe(now)
        const late = await startAll(other, START, began)
        const fresh = await startAll(other, START, now)
        for (const name of NAMES) {
          expect(await isDead(store, late[name].tokenId), name).toBe(dead.includes(name))
          expect(await isDead(store, fresh[name].tokenId), `fresh ${name}`).toBe(false)
          const { grantId } = late[name]
          const child = tokenRow(await store.reserveIds(1), grantId)
          const add: Change = { type: 'add_tokens', grantId, tokens: [child], events: [] }
          expect(await other.commit(add)).toBe(dead.includes(name) ? 'conflict' : 'done')
        }
      },
    }),
  ),
  {
    title: 'says of a grant whose request marks have overtaken which of them was the first',
    async run({ store, other }) {
      const ada: Reach = { type: 'user', userId: 'ada' }
      await store.commit(marking(ada, null, START + 1))
      const began = await other.readEpoch()
      await store.commit(marking(ada, null, START + 2))
      await store.commit(marking(ada, null, START + 3))
      const { grantId } = await startGrant(other, {}, began)
      const grant = (await store.readGrant(grantId)) ?? expect.fail('not there')
      expect(grant.born).toBe(began)
      expect(await store.readMarks(['u:ada'], grant)).toMatchObject([{ at: START + 2 }])
    },
  },
  {
    title: 'a grant is born no later than it is written',
    async run({ store, other }) {
      const { grantId } = await startGrant(store, {}, (await store.readEpoch()) + 1)
      await other.commit(marking({ type: 'user', userId: 'ada' }))
      const grant = (await store.readGrant(grantId)) ?? expect.fail('not there')
      expect(isGrantDead(grant)).toBe(true)
    },
  },
  {
    title:
      'a mark on what was issued before a moment kills older grants alone, whenever they start',
    async run({ store, other }) {
      const old = await startAll(store, START)
      const young = await startAll(store, START + 10)
      const reach: Reach = { type: 'user', userId: 'ada' }
      expect(await other.commit(marking(reach, START + 10))).toBe('done')
      const backdated = await startAll(store, START + 9)
      for (const name of NAMES) {
        const isAdas = GRANTS[name].userId === 'ada'
        expect(await isDead(store, old[name].tokenId), name).toBe(isAdas)
        expect(await isDead(store, backdated[name].tokenId), name).toBe(isAdas)
        expect(await isDead(store, young[name].tokenId), name).toBe(false)
      }
      // A younger mark with an older moment takes nothing back.
      await store.commit(marking(reach, START + 1))
      expect(await isDead(store, old.shopAda.tokenId)).toBe(true)
      expect(await isDead(store, backdated.shopAda.tokenId)).toBe(true)
    },
  },
  {
    title:
      'disabling a client marks it in the same change: once, with its events, for every process',
    async run({ store, other }) {
      await store.commit(putting('shop', null))
      const grants = await startAll(store, START)
      const disablings = Array.from({ length: 16 }, (_, no) =>
        (no % 2 ? store : other).commit(disabling('shop')),
      )
      expect(countDone(await Promise.all(disablings))).toBe(1)
      const read = await other.readClient('shop')
      expect(read).toMatchObject({ id: 'shop', settings: '{}', enabled: false, version: 2 })
      for (const name of NAMES) {
        const isShops = GRANTS[name].clientId === 'shop'
        expect(await isDead(other, grants[name].tokenId), name).toBe(isShops)
      }
      const [mark] = await store.readMarks(['c:shop'], ANCIENT)
      expect(mark).toMatchObject({ key: 'c:shop', before: 0, at: START })
      const { tokenId } = await startGrant(store)
      expect(await isDead(other, tokenId)).toBe(false)
      expect(await store.commit(disabling('shop'))).toBe('conflict')
      expect(await store.commit(disabling('nobody'))).toBe('conflict')
      expect(await store.readMarks(['c:nobody'], ANCIENT)).toEqual([])
      expect(await isDead(other, tokenId)).toBe(false)
      // Whoever had read the client before cannot enable it by what it writes.
      expect(await other.commit(putting('shop', 1))).toBe('conflict')
      // On PostgreSQL events wait for the transactions of others.
      const told = async () => (await allEvents(store)).map(({ type }) => type)
      const all = ['client.changed', 'client.changed', 'all.revoked']
      await expect.poll(told, { timeout: 10_000 }).toEqual(all)
    },
  },
  {
    title: 'no look-up sees a client disabled and its old grants alive, however they meet',
    async run({ store, other }) {
      await store.commit(putting('shop', null))
      const { tokenId } = await startGrant(store)
      let isDone = false
      const seen: boolean[] = []
      const watch = async () => {
        while (!isDone) {
          const client = await other.readClient('shop')
          if (client?.enabled === false) seen.push(await isDead(other, tokenId))
        }
      }
      const watching = watch()
      await store.commit(disabling('shop'))
      expect((await other.readClient('shop'))?.enabled).toBe(false)
      expect(await isDead(other, tokenId)).toBe(true)
      isDone = true
      await watching
      expect(seen).not.toContain(false)
    },
  },
  {
    title: 'a mark is there for the other process at its next look-up',
    async run({ store, other }) {
      const { grantId, tokenId } = await startGrant(store)
      expect(await isDead(other, tokenId)).toBe(false)
      await store.commit(marking({ type: 'session', sessionId: 'browser-1' }))
      expect(await isDead(other, tokenId)).toBe(true)
      const dead = (await other.readGrant(grantId)) ?? expect.fail('not there')
      expect(isGrantDead(dead)).toBe(true)
    },
  },
  ...[null, START + 1].map(
    (before): Check => ({
      title: `adds nothing to a grant that a mark${before ? ' with a moment' : ''} has killed, nor spends a token of it`,
      async run({ store, other }) {
        const { grantId, tokenId } = await startGrant(store)
        const child = await store.reserveIds(1)
        const tokens = [tokenRow(child, grantId)]
        await store.commit(marking({ type: 'client', clientId: 'shop' }, before))
        const add: Change = { type: 'add_tokens', grantId, tokens, events: [] }
        const change = { tokenId, grantId, successorId: child, at: START, tokens, events: [] }
        expect(await other.commit(add)).toBe('conflict')
        expect(await other.commit({ type: 'spend_token', ...change })).toBe('conflict')
        expect(await other.readToken(child)).toBeNull()
        expect(await store.countReach({ type: 'all' }, START, null)).toEqual({
          grants: 0,
          tokens: 0,
        })
      },
    }),
  ),
  {
    title: 'no grant that started before a mark was asked for outlives it, however they meet',
    async run({ store, other }) {
      const born: { tokenId: number; isOld: boolean }[] = []
      let isAsked = false
      const starts = Array.from({ length: MEETINGS }, async (_, no) => {
        const isOld = !isAsked
        const { tokenId } = await startGrant(no % 2 ? store : other)
        // Old: done before the mark was asked for. Others may be on either side.
        born.push({ tokenId, isOld: isOld && !isAsked })
      })
      await Promise.all(starts.slice(0, MEETINGS / 2))
      isAsked = true
      const marks = [other, store].map((each) =>
        each.commit(marking({ type: 'user', userId: 'ada' })),
      )
      await Promise.all([...marks, ...starts])
      for (const { tokenId, isOld } of born) {
        if (isOld) expect(await isDead(store, tokenId)).toBe(true)
      }
      expect(born.some(({ isOld }) => isOld)).toBe(true)
      expect(await isDead(other, (await startGrant(store)).tokenId)).toBe(false)
    },
  },
  {
    title: 'reads marks by name: their epochs grow with every mark',
    async run({ store, other }) {
      const ada: Reach = { type: 'user', userId: 'ada' }
      const shop: Reach = { type: 'client', clientId: 'shop' }
      await store.commit(marking(ada))
      await other.commit(marking(shop, START + 7))
      await other.commit(marking({ type: 'all' }))
      const marks = await store.readMarks(markKeysOf(grantRow(1)), ANCIENT)
      const byKey = new Map(marks.map((mark) => [mark.key, mark]))
      expect([...byKey.keys()].sort()).toEqual(['a', 'c:shop', 'u:ada'])
      expect(byKey.get('a')?.epoch).toBeGreaterThan(byKey.get('u:ada')?.epoch ?? 99)
      expect(byKey.get('c:shop')).toMatchObject({ epoch: 0, before: START + 7, at: START })
    },
  },
  {
    title: 'reads by which setting of a mark a grant died first: by its birth, and by its making',
    async run({ store, other, place }) {
      const ada: Reach = { type: 'user', userId: 'ada' }
      await store.commit(marking(ada, null, START + 1))
      await other.commit(marking(ada, START + 7, START + 2))
      await other.commit(marking(ada, null, START + 3))
      // Everything that this kills is dead already.
      await store.commit(marking(ada, START + 5, START + 4))
      await store.commit(marking(ada, START + 7, START + 5))
      await store.commit(marking(ada, START + 9, START + 6))
      const read = (born: number, createdAt: number) =>
        other.readMarks(['u:ada', 'c:shop'], { born, createdAt })
      const first = await read(0, START)
      expect(first).toMatchObject([
        { key: 'u:ada', before: 0, at: START + 1 },
        { key: 'u:ada', epoch: 0, before: START + 7, at: START + 2 },
      ])
      const second = await read(first[0]?.epoch ?? 0, START + 7)
      expect(second).toMatchObject([
        { key: 'u:ada', before: 0, at: START + 3 },
        { key: 'u:ada', epoch: 0, before: START + 9, at: START + 6 },
      ])
      expect(second[0]?.epoch).toBeGreaterThan(first[0]?.epoch ?? 99)
      expect(await read(second[0]?.epoch ?? 0, START + 9)).toEqual([])
      expect((await place.countRows()).mark_setting).toBe(4)
    },
  },
  ...REACHES.map(
    ({ reach, dead }): Check => ({
      title: `counts and lists what a mark on ${markKey(reach)} would reach`,
      async run({ store, other }) {
        const grants = await startAll(store, START)
        const now = START + HOUR_MS
        const all = dead.map((name) => grants[name].grantId).sort((a, b) => a - b)
        const list = async (after: number, limit: number) =>
          (await other.listGrants(reach, now, after, limit)).map(({ id }) => id)
        expect(await other.countReach(reach, now, null)).toEqual({
          grants: all.length,
          tokens: all.length,
        })
        expect(await list(0, 100)).toEqual(all)
        expect(await list(all[0] ?? 0, 2)).toEqual(all.slice(1, 3))
        expect(await other.countReach(reach, START + LIFE_MS + 1, null)).toEqual({
          grants: 0,
          tokens: 0,
        })
        expect(await other.listGrants(reach, START + LIFE_MS + 1, 0, 9)).toEqual([])
        await store.commit(marking(reach))
        expect(await other.countReach(reach, now, null)).toEqual({ grants: 0, tokens: 0 })
        expect(await list(0, 100)).toEqual([])
      },
    }),
  ),
  {
    title: 'counts no grant that has ended, and no token',
    async run({ store }) {
      const reach: Reach = { type: 'user', userId: 'ada' }
      const [first, second] = [await startGrant(store), await startGrant(store)]
      const extra = await store.reserveIds(1)
      const tokens = [tokenRow(extra, second.grantId, { expiresAt: START + 5 })]
      await store.commit({ type: 'add_tokens', grantId: second.grantId, tokens, events: [] })
      expect(await store.countReach(reach, START, null)).toEqual({ grants: 2, tokens: 3 })
      expect(await store.countReach(reach, START, START)).toEqual({ grants: 0, tokens: 0 })
      expect(await store.countReach(reach, START, START + 1)).toEqual({ grants: 2, tokens: 3 })
      const one = { type: 'grant', grantId: second.grantId } as const
      expect(await store.countReach(one, START, null)).toEqual({ grants: 1, tokens: 2 })
      expect(await store.countReach(reach, START + 5, null)).toEqual({ grants: 2, tokens: 2 })
      await store.commit(endingToken(second.tokenId))
      expect(await store.countReach(reach, START, null)).toEqual({ grants: 2, tokens: 2 })
      // What has no live token is no grant that would die.
      expect(await store.countReach(reach, START + 5, null)).toEqual({ grants: 1, tokens: 1 })
      const ids = (await store.listGrants(reach, START + 5, 0, 10)).map(({ id }) => id)
      expect(ids).toEqual([first.grantId])
      await store.commit(endingGrant(first.grantId))
      expect(await store.countReach(reach, START, null)).toEqual({ grants: 1, tokens: 1 })
      const listed = await store.listGrants(reach, START, 0, 10)
      expect(listed).toEqual([await store.readGrant(second.grantId)])
    },
  },
]
