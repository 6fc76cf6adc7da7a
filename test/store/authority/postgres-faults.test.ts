import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { inspect } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { isRescindError } from '../../../src/core/errors.ts'
import { Secret } from '../../../src/core/secret.ts'
import type { AuthorityStore, Change, Committed } from '../../../src/store/authority/contract.ts'
import { openPostgresAuthorityStore } from '../../../src/store/authority/postgres.ts'
import { type PostgresServer, startPostgres } from '../../support/postgres.ts'
import { findPostgres } from '../../support/postgres-database.ts'
import { askPostgres } from './kinds.ts'
import {
  allEvents,
  endingGrant,
  endingToken,
  newEvent,
  START,
  spending,
  startGrant,
  startGrants,
  tokenRow,
} from './world.ts'

/** Short, so that a test of silence is quick; long enough for a busy machine. */
const DEADLINE_MS = 1_000
/** Tokens that are spent while the server dies. */
const TOKENS = 1_000
/** Spends under way at once. */
const SPENDERS = 8

/** The rows of these tests are of a day in the past, and their time passes. */
const clock: Clock = { ...systemClock, now: () => START + Math.floor(performance.now()) }

const { missing } = await findPostgres()

describe.skipIf(missing !== undefined)(`a PostgreSQL that fails${missing ?? ''}`, () => {
  // A server of its own: this one is killed.
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
  })
  afterAll(() => server?.stop())

  async function withStore(
    work: (store: AuthorityStore, connectionString: string) => Promise<void>,
  ): Promise<void> {
    const connectionString = await server.createDatabase()
    const store = await openPostgresAuthorityStore({
      connectionString: new Secret(connectionString),
      deadlineMs: DEADLINE_MS,
      clock,
    })
    try {
      await work(store, connectionString)
    } finally {
      await store.close()
    }
  }

  /** Runs some work while another connection holds a lock that it needs. */
  async function whileLocked(url: string, lock: string, work: () => Promise<void>): Promise<void> {
    const holder = new pg.Client({ connectionString: url })
    await holder.connect()
    try {
      await holder.query('BEGIN')
      await holder.query(lock)
      await work()
    } finally {
      await holder.end()
    }
  }

  test('is store_down when it refuses the connection, and no text has the password', async () => {
    await withStore(async (store, url) => {
      const { tokenId } = await startGrant(store)
      await server.kill()
      const calls = [
        () => store.readToken(tokenId),
        () => store.commit(endingToken(tokenId)),
        () => store.reserveIds(1),
        () => store.readEvents(null, 10),
        () => store.countReach({ type: 'all' }, 0, null),
      ]
      for (const call of calls) expectDown(await errorOf(call()), url)
      expectDown(await errorOf(openPostgresAuthorityStore({ connectionString: url, clock })), url)
      await server.restart()
      expect((await store.readToken(tokenId))?.end).toBeNull()
      expect(await store.commit(endingToken(tokenId))).toBe('done')
    })
  })

  test.each([
    {
      title: 'killed',
      break: async () => {
        await server.kill()
        await server.restart()
      },
    },
    {
      title: 'made to drop every connection',
      break: (url: string) =>
        askPostgres(
          url,
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid()`,
        ),
    },
  ])('$title in the middle, leaves each change whole or undone', async (fault) => {
    await withStore(async (store, url) => {
      const grants = await startGrants(store, TOKENS)
      const first = await store.reserveIds(TOKENS)
      const spends = grants.map((ids, no) => spending(ids.tokenId, ids.grantId, first + no))
      const answers: (Committed | Error)[] = []
      const waiting = [...spends.entries()]
      const spender = async () => {
        for (let next = waiting.shift(); next; next = waiting.shift()) {
          const [no, spend] = next
          answers[no] = await store.commit(spend).catch((error: Error) => error)
        }
      }
      const spenders = Array.from({ length: SPENDERS }, spender)
      while (waiting.length > TOKENS * 0.8) await later(1)
      const hasFailed = () => answers.some((answer) => answer instanceof Error)
      while (waiting.length > 0 && !hasFailed()) await fault.break(url)
      await Promise.all(spenders)
      expect(hasFailed()).toBe(true)
      expect(answers).toContain('done')
      const judge = async (answer: Committed | Error, no: number) => {
        const spend = spends[no] ?? expect.fail('not asked')
        const isSpent = (await store.readToken(spend.tokenId))?.end?.successorId === first + no
        if (answer instanceof Error) expectDown(answer, url)
        else expect(isSpent, 'an answer that was given holds').toBe(true)
        expect((await store.readToken(first + no)) !== null).toBe(isSpent)
        // Sent again, it is done if it was not, and once in any case.
        expect(await store.commit(spend)).toBe(isSpent ? 'conflict' : 'done')
      }
      await Promise.all(answers.map(judge))
      const events = await allEvents(store)
      expect(new Set(events.map(({ token }) => token)).size).toBe(TOKENS)
      expect(events).toHaveLength(TOKENS)
    })
  })

  test('is store_down within the deadline when it is silent, and leaves nothing behind', async () => {
    await withStore(async (store, url) => {
      const { tokenId } = await startGrant(store)
      await whileLocked(url, 'LOCK TABLE rescind.token_end IN SHARE MODE', async () => {
        expectDown(await errorOf(store.commit(endingToken(tokenId))), url)
        // What does not need the lock goes on.
        expect((await store.readToken(tokenId))?.end).toBeNull()
        expect(await store.commit({ type: 'log', events: [newEvent('other')] })).toBe('done')
      })
      await later(2 * DEADLINE_MS)
      expect((await store.readToken(tokenId))?.end).toBeNull()
      expect(await store.commit(endingToken(tokenId))).toBe('done')
    })
  })

  test('is store_down when every lane is stuck, and turns away what waits too long', async () => {
    await withStore(async (store, url) => {
      const ids = await startGrants(store, 4)
      await whileLocked(url, 'LOCK TABLE rescind.token_end, rescind.event', async () => {
        const changes: Change[] = ids.map(({ tokenId }) => endingToken(tokenId))
        const stuck: Promise<unknown>[] = []
        for (const change of changes) {
          stuck.push(errorOf(store.commit(change)))
          await later(10)
        }
        stuck.push(errorOf(store.commit({ type: 'log', events: [newEvent('waits')] })))
        for (const error of await Promise.all(stuck)) expectDown(error, url)
      })
      expect(await store.commit(endingToken(ids[0]?.tokenId ?? 0))).toBe('done')
    })
  })

  test.each([
    { code: '53100', says: 'its disk is full' },
    { code: '53200', says: 'it is out of memory' },
    { code: '25006', says: 'it is read-only' },
  ])(
    'is store_down when the server says $code in the transaction: $says',
    async ({ code, says }) => {
      await withStore(async (store, url) => {
        const { grantId, tokenId } = await startGrant(store)
        await askPostgres(
          url,
          `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql
           AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '${code}'; END $$;
         CREATE TRIGGER fail BEFORE INSERT ON rescind.event FOR EACH ROW EXECUTE FUNCTION fail()`,
        )
        const child = await store.reserveIds(1)
        const error = await errorOf(store.commit(spending(tokenId, grantId, child)))
        expectDown(error, url)
        expect(String(error)).toContain(says)
        expect((await store.readToken(tokenId))?.end).toBeNull()
        expect(await store.readToken(child)).toBeNull()
        await askPostgres(url, 'DROP TRIGGER fail ON rescind.event')
        expect(await store.commit(spending(tokenId, grantId, child))).toBe('done')
      })
    },
  )

  test('is store_down when it has no connection left, and works when one is free', async () => {
    const url = await server.createDatabase()
    const name = new URL(url).pathname.slice(1)
    await askPostgres(url, `CREATE ROLE guest LOGIN PASSWORD 'p4ssw0rd'`)
    await askPostgres(url, `ALTER DATABASE ${name} OWNER TO guest`)
    await askPostgres(url, `ALTER DATABASE ${name} CONNECTION LIMIT 1`)
    const asGuest = url.replace(/\/\/.*@/, '//guest:p4ssw0rd@')
    const only = new pg.Client({ connectionString: asGuest })
    await only.connect()
    const open = () => openPostgresAuthorityStore({ connectionString: asGuest })
    const error = await errorOf(open())
    expectDown(error, asGuest)
    expect(String(error)).toContain('it has no connection left')
    await only.end()
    await later(100)
    await (await open()).close()
  })

  test.each([
    { title: 'a wrong password', change: (url: string) => url.replace(/:\w+@/, ':wr0ng-pass@') },
    { title: 'a database that is not there', change: (url: string) => `${url}_not` },
    {
      title: 'a host that is not there',
      change: (url: string) => url.replace('127.0.0.1', 'a.invalid'),
    },
  ])('says in one sentence what is wrong with $title', async ({ change }) => {
    const url = change(await server.createDatabase())
    const error = await errorOf(openPostgresAuthorityStore({ connectionString: url, clock }))
    expectDown(error, url)
    expect(String(error)).toMatch(/refused our login|does not exist|no such host/)
  })

  test('refuses a connection string that is none, without quoting it', async () => {
    const connectionString = 'postgres://me:s3cret-pass@[host/db'
    const error = await errorOf(openPostgresAuthorityStore({ connectionString, clock }))
    expect(isRescindError(error, 'config_invalid')).toBe(true)
    expect(inspect(error, { depth: 9 })).not.toContain('s3cret-pass')
  })

  test('begins a new era of events when the database came from another server', async () => {
    const connectionString = await server.createDatabase()
    const open = () => openPostgresAuthorityStore({ connectionString, clock })
    const before = await open()
    await before.commit({ type: 'log', events: [newEvent('first'), newEvent('second')] })
    await before.close()
    // As a dump brings it from a server whose transactions have much higher numbers.
    await askPostgres(connectionString, `UPDATE rescind.event SET xid = '4000000000'`)
    const after = await open()
    try {
      await after.commit({ type: 'log', events: [newEvent('third')] })
      const types = (await allEvents(after)).map(({ type }) => type)
      expect(types).toEqual(['first', 'second', 'third'])
      const [first] = await after.readEvents(null, 1)
      const rest = await after.readEvents(first?.position ?? null, 10)
      expect(rest.map(({ type }) => type)).toEqual(['second', 'third'])
      await (await open()).close()
      await after.commit({ type: 'log', events: [newEvent('fourth')] })
      const eras = await askPostgres(connectionString, 'SELECT DISTINCT era FROM rescind.event')
      expect(eras).toHaveLength(2)
    } finally {
      await after.close()
    }
  })

  test('a change waits for whoever is forgetting its grant, and then adds nothing to it', async () => {
    await withStore(async (store, url) => {
      const { grantId } = await startGrant(store)
      const id = await store.reserveIds(1)
      const forgetter = new pg.Client({ connectionString: url })
      await forgetter.connect()
      await forgetter.query('BEGIN')
      await forgetter.query('DELETE FROM rescind.grants WHERE id = $1', [grantId])
      const tokens = [tokenRow(id, grantId)]
      const added = store.commit({ type: 'add_tokens', grantId, tokens, events: [] })
      const first = await Promise.race([added, later(DEADLINE_MS / 3).then(() => 'waits')])
      await forgetter.query('COMMIT')
      expect([first, await added]).toEqual(['waits', 'conflict'])
      expect(await askPostgres(url, `SELECT id FROM rescind.token WHERE id = ${id}`)).toEqual([])
      await forgetter.end()
    })
  })

  test('events wait for a transaction that has written and is open, and nothing else does', async () => {
    await withStore(async (store, url) => {
      const { grantId, tokenId } = await startGrant(store)
      // In another database of the server.
      const idler = new pg.Client({ connectionString: await server.createDatabase() })
      await idler.connect()
      await idler.query('CREATE TABLE mine (n integer)')
      await idler.query('BEGIN')
      await idler.query('INSERT INTO mine VALUES (1)')
      expect(await store.commit(endingGrant(grantId))).toBe('done')
      expect((await store.readToken(tokenId))?.grant.endedAt).toBe(START)
      expect(await store.readEvents(null, 10)).toEqual([])
      expect(await store.oldestEventAt(null)).toBe(START)
      const [first] = await askPostgres(url, documentedQuery())
      expect(first?.query).toBe('INSERT INTO mine VALUES (1)')
      await idler.query('COMMIT')
      expect(await allEvents(store)).toHaveLength(1)
      await idler.end()
    })
  })

  test('refuses a server that does not flush (fsync = off), and makes nothing there', async () => {
    const lax = await startPostgres({ fsync: 'off' })
    try {
      const connectionString = await lax.createDatabase()
      const error = await errorOf(openPostgresAuthorityStore({ connectionString, clock }))
      expect(isRescindError(error, 'store_unfit')).toBe(true)
      expect(String(error)).toMatch(/fsync = off.*Turn it on/)
      const made = await askPostgres(connectionString, `SELECT to_regnamespace('rescind') AS made`)
      expect(made).toEqual([{ made: null }])
    } finally {
      await lax.stop()
    }
  })

  test('writes durably where the server was told not to wait for its disk', async () => {
    await withStore(async (store, url) => {
      const name = new URL(url).pathname.slice(1)
      await askPostgres(url, `ALTER DATABASE ${name} SET synchronous_commit = off`)
      const again = await openPostgresAuthorityStore({ connectionString: url, clock })
      const { tokenId } = await startGrant(again)
      expect(await again.commit(endingToken(tokenId))).toBe('done')
      await server.kill()
      await server.restart()
      expect((await store.readToken(tokenId))?.end?.state).toBe('revoked')
      await again.close()
    })
  })
})

/** What docs/authority.md says that an administrator asks when no events come. */
function documentedQuery(): string {
  const page = readFileSync(resolve(import.meta.dirname, '../../../docs/authority.md'), 'utf8')
  return /```sql\n(SELECT pid.*?;)/s.exec(page)?.[1] ?? expect.fail('the page has no query')
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => expect.fail(`no error, but ${inspect(value)}`),
    (error: unknown) => error,
  )
}

/** Every way that an error may be printed is free of the password. */
function expectDown(error: unknown, url: string): void {
  expect(isRescindError(error, 'store_down'), String(error)).toBe(true)
  const { host, password } = new URL(url)
  expect(String(error)).toContain(host)
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(password)
  expect(String(error)).toMatch(/cannot be reached or cannot work|does not keep up/)
}
