import { closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import type { AuthorityStore, Change } from '../../../src/store/authority/contract.ts'
import { openSqliteAuthorityStore } from '../../../src/store/authority/sqlite.ts'
import { createChanges } from '../../../src/store/authority/sqlite-changes.ts'
import { createLookups } from '../../../src/store/authority/sqlite-lookups.ts'
import { createRecentEnds } from '../../../src/store/authority/sqlite-recent-ends.ts'
import { SQLITE_MIGRATIONS } from '../../../src/store/authority/sqlite-schema.ts'
import { tempHome } from '../../support/temp-home.ts'
import { describeAuthorityStore } from './contract.ts'
import { SQLITE } from './kinds.ts'
import {
  ANCIENT,
  grantRow,
  JUST_NOW,
  LIFE_MS,
  manualClock,
  newEvent,
  START,
  tokenRow,
} from './world.ts'

describeAuthorityStore(SQLITE)

const PAGE_BYTES = 4096
/** Grants that expired long ago, each with two tokens: what a store finds that was closed for long. */
const BACKLOG = 200_000
/** Changes that meet them, and what they may all read: a walk over all grants and their tokens is many times as much. */
const CHANGES = 40
const CHANGES_BYTES = 1_000_000
const LATER = { expiresAt: Date.now() + 3_600_000 }

async function startedWith(store: AuthorityStore, count: number): Promise<number[]> {
  const grantId = await store.reserveIds(count + 1)
  const ids = Array.from({ length: count }, (_, index) => grantId + 1 + index)
  const tokens = ids.map((id) => tokenRow(id, grantId, LATER))
  const grant = grantRow(grantId, LATER)
  await store.commit({ type: 'start_grant', began: JUST_NOW, grant, tokens, events: [] })
  return ids
}

const endingNow = (tokenId: number): Change => {
  const at = Date.now()
  return { type: 'end_token', tokenId, at, events: [newEvent('token.revoked', { at })] }
}

const endAll = (store: AuthorityStore, ids: readonly number[]) =>
  Promise.all(ids.map((tokenId) => store.commit({ type: 'end_token', tokenId, at: 1, events: [] })))

/** What this process has read of files, in bytes, from Linux's own books. */
const bytesRead = () => Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1])

describe("the authority's store in an SQLite file", () => {
  test('settings of marks from before they had a time of their own stay as long as their mark', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const until = START + LIFE_MS
    {
      using database = new DatabaseSync(path)
      for (const sql of SQLITE_MIGRATIONS.slice(0, 2)) database.exec(sql)
      database.exec(`PRAGMA user_version = 2;
        INSERT INTO mark VALUES ('u:ada', 2, ${START}, ${until});
        INSERT INTO mark_setting VALUES ('u:ada', 2, 0, 7), ('u:ada', 0, ${START}, 8)`)
    }
    const clock = manualClock()
    const store = await openSqliteAuthorityStore(path, { clock })
    const read = async () => {
      await store.commit({ type: 'log', events: [newEvent('written', { at: clock.now() })] })
      return (await store.readMarks(['u:ada'], ANCIENT)).map(({ at }) => at)
    }
    expect(await read()).toEqual([7, 8])
    clock.set(until - 1)
    expect(await read()).toEqual([7, 8])
    clock.set(until)
    expect(await read()).toEqual([])
    await store.close()
  })

  test('the ends of many tokens are moved, and each token still ends once', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const store = await openSqliteAuthorityStore(path)
    const other = await openSqliteAuthorityStore(path)
    const ids = await startedWith(store, 5_000)
    const [first, last] = [ids.slice(0, 4_500), ids.slice(4_500)]
    expect(new Set(await endAll(store, first))).toEqual(new Set(['done']))
    expect(new Set(await endAll(other, first))).toEqual(new Set(['conflict']))
    for (const id of first) expect((await other.readToken(id))?.end?.state).toBe('revoked')
    for (const id of last) expect((await other.readToken(id))?.end).toBeNull()
    await Promise.all([store.close(), other.close()])
  })

  test('an end says the same before it is moved and after, to who moved it and to the other', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const store = await openSqliteAuthorityStore(path)
    const other = await openSqliteAuthorityStore(path)
    const ids = await startedWith(store, 4_100)
    const at = Date.now()
    const end = (tokenId: number, index: number) =>
      store.commit({ type: 'end_token', tokenId, at: at + index, events: [] })
    await Promise.all(ids.map(end))
    for (const reader of [store, other, store]) {
      for (const index of [0, 1, 3_000, 4_050, 4_099]) {
        const ended = { state: 'revoked', at: at + index, successorId: null }
        expect((await reader.readToken(ids[index] ?? 0))?.end).toEqual(ended)
      }
    }
    await Promise.all([store.close(), other.close()])
  })

  test('a token that another process ended is forgotten with its own end, and with no other', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    let now = START
    const clock = { now: () => now, sleep: systemClock.sleep }
    const store = await openSqliteAuthorityStore(path, { clock })
    const other = await openSqliteAuthorityStore(path, { clock })
    const grantId = await store.reserveIds(4)
    const soon = grantId + 1
    const later = [grantId + 2, grantId + 3]
    const tokens = [
      tokenRow(soon, grantId, { expiresAt: START + 10 }),
      ...later.map((id) => tokenRow(id, grantId)),
    ]
    await store.commit({
      type: 'start_grant',
      began: JUST_NOW,
      grant: grantRow(grantId),
      tokens,
      events: [],
    })
    for (const tokenId of [soon, ...later]) {
      await store.commit({ type: 'end_token', tokenId, at: START, events: [] })
    }
    now += 20
    await other.commit({ type: 'log', events: [] })
    expect(await other.readToken(soon)).toBeNull()
    const fresh = await openSqliteAuthorityStore(path, { clock })
    for (const reader of [fresh, store, other]) {
      for (const id of later) expect((await reader.readToken(id))?.end?.state).toBe('revoked')
    }
    await Promise.all([store.close(), other.close(), fresh.close()])
  })

  test('the ends that many short processes leave are moved as well', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const first = await openSqliteAuthorityStore(path)
    const ids = await startedWith(first, 6_000)
    await first.close()
    for (let no = 0; no < 6; no += 1) {
      const store = await openSqliteAuthorityStore(path)
      await endAll(store, ids.slice(no * 1_000, (no + 1) * 1_000))
      await store.close()
    }
    using database = new DatabaseSync(path)
    const left = Number(database.prepare('SELECT count(*) AS n FROM token_end_recent').get()?.n)
    expect(left).toBeLessThanOrEqual(2_001)
  })

  test('a change forgets of a long backlog what it would of a short one, and reads no more', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    await (await openSqliteAuthorityStore(path)).close()
    using database = new DatabaseSync(path)
    const numbers = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ${BACKLOG})`
    // The first tokens of all expire before the second of any: forgetting them empties no grant.
    database.exec(`BEGIN; ${numbers} INSERT INTO "grant"
        SELECT i, 'shop', NULL, NULL, '', 1, i + 2 * ${BACKLOG}, 0, NULL FROM n;
      ${numbers} INSERT INTO token SELECT i, 1, x'00', i, 1, i, NULL FROM n;
      ${numbers} INSERT INTO token
        SELECT i + ${BACKLOG}, 1, x'00', i, 1, i + ${BACKLOG}, NULL FROM n; COMMIT`)
    const count = (table: string) =>
      Number(database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n)
    const store = await openSqliteAuthorityStore(path)
    const before = bytesRead()
    for (let no = 1; no <= CHANGES; no += 1) {
      const events = [newEvent('written', { at: Date.now() })]
      expect(await store.commit({ type: 'log', events })).toBe('done')
    }
    const bytes = bytesRead() - before
    expect(count('token')).toBeLessThanOrEqual(2 * (BACKLOG - CHANGES))
    expect(count('"grant"')).toBe(BACKLOG)
    expect(bytes).toBeLessThan(CHANGES_BYTES)
    await store.close()
  })

  test('a mark that is due looks at one token of what it killed, however many there are', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const store = await openSqliteAuthorityStore(path)
    const [first = 0] = await startedWith(store, 3)
    using database = new DatabaseSync(path)
    database.exec(`UPDATE token SET expires_at = ${2 * LATER.expiresAt} WHERE id = ${first}`)
    const reach = { type: 'client', clientId: 'shop' } as const
    const mark = { type: 'mark', reach, before: null, at: 1, keepUntil: 1, events: [] } as const
    expect(await store.commit(mark)).toBe('done')
    const kept = Number(database.prepare('SELECT keep_until AS at FROM mark').get()?.at)
    // Looked at again tomorrow, and not when the last of all has expired: that one was not looked for.
    expect(kept).toBeGreaterThanOrEqual(LATER.expiresAt)
    expect(kept).toBeLessThan(2 * LATER.expiresAt)
    await store.close()
  })

  test('a store that another process holds says how long a change has waited for it', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const store = await openSqliteAuthorityStore(path, { deadlineMs: 100 })
    const [id = 0] = await startedWith(store, 1)
    using holder = new DatabaseSync(path)
    holder.exec('BEGIN IMMEDIATE')
    await expect(endAll(store, [id])).rejects.toMatchObject({
      code: 'store_locked',
      message: expect.stringContaining('for more than 0.1 s'),
    })
    await expect(openSqliteAuthorityStore(path, { deadlineMs: 200 })).rejects.toThrow(
      'for more than 0.2 s',
    )
    holder.exec('ROLLBACK')
    expect(await endAll(store, [id])).toEqual(['done'])
    await store.close()
  })

  test.each(['before', 'behind'])(
    'a change that no database can take fails alone, %s others',
    async (where) => {
      using home = tempHome()
      const store = await openSqliteAuthorityStore(join(home.path, 'authority.db'))
      const ids = await startedWith(store, 20)
      const spoiled = grantRow(await store.reserveIds(1), { ...LATER, userId: {} as string })
      const wrong: Change = {
        type: 'start_grant',
        began: JUST_NOW,
        grant: spoiled,
        tokens: [],
        events: [],
      }
      const ends = ids.map(endingNow)
      const changes = where === 'before' ? [wrong, ...ends] : [...ends, wrong]
      const committed = await Promise.allSettled(changes.map((change) => store.commit(change)))
      const refused = committed.splice(changes.indexOf(wrong), 1)
      expect(refused.map(({ status }) => status)).toEqual(['rejected'])
      expect(committed).toEqual(ids.map(() => ({ status: 'fulfilled', value: 'done' })))
      for (const id of ids) expect((await store.readToken(id))?.end?.state).toBe('revoked')
      expect(await store.readEvents(null, 100)).toHaveLength(ids.length)
      await store.close()
    },
  )

  test('a process that moves the ends without having asked, and one that opens after it, hide none', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const open = () => openSqliteAuthorityStore(path)
    const [one, two] = [await open(), await open()]
    const ids = await startedWith(one, 4_300)
    // With the last of them `one` moves all; `two` still counts them.
    for (const some of [ids.slice(0, 3_999), ids.slice(3_999, 4_000)]) {
      await endAll(one, some)
      await two.readToken(ids[0] as number)
    }
    const three = await open()
    await endAll(three, ids.slice(4_000, 4_050))
    await two.commit({ type: 'log', events: [newEvent('told', { at: Date.now() })] })
    const four = await open()
    const last = ids.at(-1) as number
    expect(await four.commit(endingNow(last))).toBe('done')
    for (const store of [one, two, three, four]) {
      expect((await store.readToken(last))?.end?.state).toBe('revoked')
      expect(await store.commit(endingNow(last))).toBe('conflict')
    }
    await Promise.all([one, two, three, four].map((store) => store.close()))
  })

  test('the end of a token is asked for by what was written before it in the same transaction', async () => {
    using home = tempHome()
    const store = await openSqliteAuthorityStore(join(home.path, 'authority.db'))
    const [tokenId = 0] = await startedWith(store, 1)
    const clientId = 'shop'
    const put = (expected: number | null): Change => ({
      ...{ type: 'put_client', expected, events: [] },
      client: { id: clientId, settings: '{}', enabled: true },
    })
    await store.commit(put(null))
    const seen: unknown[] = []
    const ask = () =>
      store.changeToken({ tokenId, clientId }, ({ token, client }) => {
        seen.push([token?.grant.marks.epoch, client?.version])
        return null
      })
    await Promise.all([ask(), store.commit(put(1)), ask()])
    const reach = { type: 'client', clientId } as const
    const mark = { type: 'mark', reach, before: null, at: 1, keepUntil: 1, events: [] } as const
    await Promise.all([ask(), store.commit(mark), ask()])
    expect(seen).toEqual([
      [0, 1],
      [0, 2],
      [0, 2],
      [1, 2],
    ])
    await store.close()
  })

  test('a grant is judged as it was written, and not as a transaction had it that was rolled back', () => {
    const database = new DatabaseSync(':memory:')
    for (const sql of SQLITE_MIGRATIONS) database.exec(sql)
    const recentEnds = createRecentEnds(database)
    const lookups = createLookups(database, recentEnds)
    const clock = systemClock
    const changes = createChanges(database, { lookups, recentEnds, clock, eventsKeptMs: 1 })
    const bornIn = (epoch: number) => {
      database.exec('BEGIN')
      changes.begin()
      database.exec(`UPDATE counter SET value = ${epoch} WHERE name = 'epoch'`)
      const tokens = [tokenRow(2, 1, LATER)]
      changes.apply({
        type: 'start_grant',
        began: JUST_NOW,
        grant: grantRow(1, LATER),
        tokens,
        events: [],
      })
      return lookups.token(2)?.grant.born
    }
    expect(bornIn(3)).toBe(3)
    database.exec('ROLLBACK')
    changes.abandon()
    expect(bornIn(5)).toBe(5)
    database.close()
  })

  test('events that an older version wrote are read as before', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const database = new DatabaseSync(path)
    for (const sql of SQLITE_MIGRATIONS.slice(0, 2)) database.exec(sql)
    database.exec('PRAGMA user_version = 2')
    const insert = database.prepare(`INSERT INTO event VALUES (${Array(12).fill('?').join()})`)
    const names = ['type', 'cause', 'actor', 'shop', 'a"da']
    insert.run(7, START, ...names, 4, 'browser', 'fp', 'r', '{}')
    database.close()
    const store = await openSqliteAuthorityStore(path)
    expect(await store.readEvents(null, 10)).toEqual([
      {
        ...{ id: 'evt_7', position: '7', at: START, type: 'type', cause: 'cause', actor: 'actor' },
        ...{ clientId: 'shop', userId: 'a"da', grantId: 4, sessionId: 'browser', token: 'fp' },
        ...{ request: 'r', detail: '{}' },
      },
    ])
    await store.close()
    const after = new DatabaseSync(path)
    const plan = after.prepare(
      'EXPLAIN QUERY PLAN SELECT * FROM event WHERE seq % 64 = 0 AND at < 1',
    )
    expect(plan.get()?.detail).toContain('event_milestone')
    after.close()
  })

  test('a damaged file is told as store_corrupt, and ends nothing but the look-up', async () => {
    using home = tempHome()
    const path = join(home.path, 'authority.db')
    const before = await openSqliteAuthorityStore(path)
    const ids = await startedWith(before, 6_000)
    await before.close()
    const file = openSync(path, 'r+')
    for (let page = 31; page * PAGE_BYTES < statSync(path).size; page += 2) {
      writeSync(file, Buffer.alloc(PAGE_BYTES, 0x5a), 0, PAGE_BYTES, page * PAGE_BYTES)
    }
    closeSync(file)
    const store = await openSqliteAuthorityStore(path, { clock: systemClock })
    const looks = await Promise.allSettled(ids.map((id) => store.readToken(id)))
    const codes = looks.flatMap((look) =>
      look.status === 'rejected' ? [(look.reason as { code?: string }).code] : [],
    )
    expect(codes.length).toBeGreaterThan(100)
    expect(new Set(codes)).toEqual(new Set(['store_corrupt']))
    await store.close()
  })
})
