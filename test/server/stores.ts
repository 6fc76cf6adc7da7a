import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { AuthorityStore } from '../../src/store/authority/contract.ts'
import { openPostgresAuthorityStore } from '../../src/store/authority/postgres.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { findPostgres, newDatabase } from '../support/postgres-database.ts'

/** Between two looks whether what was open has ended. */
const LOOK_MS = 5

const { missing } = await findPostgres()

/**
 * An event is shown once every transaction that was open when it was written has ended: the server's own
 * too, as when it analyzes a table. A test that has just written something reads when they have.
 */
function readingWhenShown(store: AuthorityStore, connectionString: string): AuthorityStore {
  const pool = new pg.Pool({ connectionString, max: 1 }).on('error', () => {})
  const ask = async (query: string, values: string[] = []) =>
    (await pool.query(query, values)).rows[0].answer
  const shown = async () => {
    const written = await ask('SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS answer')
    const query = 'SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8 AS answer'
    while (!(await ask(query, [written]))) await sleep(LOOK_MS)
  }
  return {
    ...store,
    async readEvents(after, limit) {
      await shown()
      return store.readEvents(after, limit)
    },
    async close() {
      await store.close()
      await pool.end()
    },
  }
}

/** Every kind of store, for tests of the authority that must hold on each. */
export const STORES: readonly {
  readonly name: string
  /** Why it cannot be had on this machine; for the title. */
  readonly missing?: string | undefined
  /** Opens an empty one that tells the time by a test's clock; a fast one needs a longer deadline. */
  open(clock: Clock, deadlineMs?: number): Promise<AuthorityStore>
}[] = [
  { name: 'SQLite', open: (clock) => openSqliteAuthorityStore(':memory:', { clock }) },
  {
    name: 'PostgreSQL',
    missing,
    // It waits for its database in real time.
    async open({ now }, deadlineMs = 10_000) {
      const connectionString = await newDatabase()
      const clock = { ...systemClock, now }
      const store = await openPostgresAuthorityStore({ connectionString, clock, deadlineMs })
      return readingWhenShown(store, connectionString)
    },
  },
]
