import { expect } from 'vitest'
import type { AuthorityStore, Change } from '../../../src/store/authority/contract.ts'
import {
  ANCIENT,
  allEvents,
  type Check,
  countDone,
  grantRow,
  JUST_NOW,
  newEvent,
  START,
  startGrant,
  startGrants,
  tokenRow,
} from './world.ts'

/** Text that a database could bend: quotes, a backslash, a brace, signs beyond the BMP. */
const ODD_TEXT = `O'Hara "x" \\ {NULL,1} 🔑 ünï % _`

const client = (id: string, settings: string, expected: number | null): Change => ({
  type: 'put_client',
  client: { id, settings, enabled: true },
  expected,
  events: [newEvent('client.changed', { clientId: id })],
})

const note = (key: string, value: string, expected: number | null): Change => ({
  type: 'put_note',
  key,
  value,
  expected,
  events: [],
})

async function put(store: AuthorityStore, ...changes: Change[]): Promise<void> {
  for (const change of changes) expect(await store.commit(change)).toBe('done')
}

/** What is written is read back, and what has a version is written by whoever read it last. */
export const ROW_CHECKS: readonly Check[] = [
  {
    title: 'reserves ids that no other process gets, and that grow',
    async run({ store, other }) {
      const sizes = [1, 5, 100, 1, 7, 3]
      const firsts = await Promise.all(
        sizes.map((size, index) => (index % 2 === 0 ? store : other).reserveIds(size)),
      )
      const ids = firsts.flatMap((first, index) =>
        Array.from({ length: sizes[index] as number }, (_, offset) => first + offset),
      )
      expect(new Set(ids).size).toBe(ids.length)
      expect(Math.min(...ids)).toBeGreaterThan(0)
      expect(await store.reserveIds(1)).toBeGreaterThan(Math.max(...ids))
    },
  },
  {
    title: 'gives back a grant and its tokens as they were written',
    async run({ store, other }) {
      const id = await store.reserveIds(3)
      const grant = grantRow(id, { userId: ODD_TEXT, sessionId: null, detail: '{"a":"\\u0000"}' })
      const hash = Buffer.from([0, 255, 92, 34, 39, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
      const tokens = [
        tokenRow(id + 1, id, { kind: 'access', hash, detail: ODD_TEXT }),
        tokenRow(id + 2, id, { kind: 'code', expiresAt: START + 60_000 }),
      ]
      await put(store, { type: 'start_grant', began: JUST_NOW, grant, tokens, events: [] })
      const views = await Promise.all(tokens.map((token) => other.readToken(token.id)))
      for (const [index, view] of views.entries()) {
        const { end, grant: granted, hash: read, ...rest } = view ?? expect.fail('not there')
        const { hash: written, ...token } = tokens[index] ?? expect.fail('not written')
        expect(rest).toEqual(token)
        expect(Buffer.from(read)).toEqual(Buffer.from(written))
        expect(end).toBeNull()
        expect(granted).toMatchObject({ ...grant, endedAt: null })
      }
      expect(await other.readGrant(id)).toEqual(views[0]?.grant)
    },
  },
  {
    title: 'gives null for what is not there, a key with a NUL included',
    async run({ store }) {
      expect(await store.readToken(1_000_000)).toBeNull()
      expect(await store.readGrant(1_000_000)).toBeNull()
      expect(await store.readClient('nobody')).toBeNull()
      expect(await store.readClient('no\0body')).toBeNull()
      expect(await store.readNote('no\0note')).toBeNull()
      expect(await store.readMarks(['u:nobody', 'u:no\0body'], ANCIENT)).toEqual([])
    },
  },
  {
    title: 'answers each of many look-ups at once with its own row',
    async run({ store }) {
      const grants = await startGrants(store, 50)
      const ids = [...grants, ...grants].map(({ tokenId }) => tokenId)
      const views = await Promise.all([...ids, 999_999].map((id) => store.readToken(id)))
      expect(views.map((view) => view?.id ?? null)).toEqual([...ids, null])
    },
  },
  {
    title: 'writes a client for whoever read its last version, and lists all by id',
    async run({ store, other }) {
      await put(store, client('b', ODD_TEXT, null), client('a', '{}', null))
      expect(await other.commit(client('b', 'again', null))).toBe('conflict')
      await put(other, client('b', '{"v":2}', (await other.readClient('b'))?.version ?? null))
      expect(await store.commit(client('c', '{}', 1))).toBe('conflict')
      const read = await store.readClient('b')
      expect(read).toMatchObject({ id: 'b', settings: '{"v":2}', enabled: true })
      expect((await store.listClients()).map(({ id }) => id)).toEqual(['a', 'b'])
      expect(await allEvents(store)).toHaveLength(3)
    },
  },
  {
    title: 'lets one of many writers of a client or a note through',
    async run({ store, other }) {
      await put(store, client('shop', '{}', null), note('key', 'v1', null))
      const clientVersion = (await store.readClient('shop'))?.version ?? 0
      const noteVersion = (await store.readNote('key'))?.version ?? 0
      const writers = Array.from({ length: 20 }, (_, no) => (no % 2 === 0 ? store : other))
      const clients = writers.map((each, no) => each.commit(client('shop', `${no}`, clientVersion)))
      const notes = writers.map((each, no) => each.commit(note('key', `${no}`, noteVersion)))
      const made = writers.map((each, no) => each.commit(note('new', `${no}`, null)))
      for (const committed of [clients, notes, made]) {
        expect(countDone(await Promise.all(committed))).toBe(1)
      }
    },
  },
  {
    title: 'keeps notes, with a version that changes',
    async run({ store, other }) {
      await put(store, note('cursor', ODD_TEXT, null))
      const first = await other.readNote('cursor')
      expect(first?.value).toBe(ODD_TEXT)
      await put(other, note('cursor', 'two', first?.version ?? null))
      expect(await store.commit(note('cursor', 'three', first?.version ?? null))).toBe('conflict')
      expect((await store.readNote('cursor'))?.value).toBe('two')
    },
  },
  {
    title: 'lets a name be used once',
    async run({ store, other }) {
      const use = (each: AuthorityStore, key: string) =>
        each.commit({ type: 'use_once', key, keepUntil: START + 60_000 })
      const uses = Array.from({ length: 64 }, (_, no) => use(no % 2 ? store : other, 'jti-1'))
      expect(countDone(await Promise.all(uses))).toBe(1)
      expect(await use(other, 'jti-1')).toBe('conflict')
      expect(await use(other, 'jti-2')).toBe('done')
    },
  },
  {
    title: 'has everything when it is opened again',
    async run({ store, place, clock }) {
      const { tokenId } = await startGrant(store)
      await put(store, client('shop', '{}', null))
      const ids = await store.reserveIds(1)
      const again = await place.open({ clock, eventsKeptMs: START })
      try {
        expect((await again.readToken(tokenId))?.id).toBe(tokenId)
        expect(await again.readClient('shop')).not.toBeNull()
        expect(await again.reserveIds(1)).toBeGreaterThan(ids)
      } finally {
        await again.close()
      }
    },
  },
]
