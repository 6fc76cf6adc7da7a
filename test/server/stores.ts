import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { AuthorityStore } from '../../src/store/authority/contract.ts'
import { openPostgresAuthorityStore } from '../../src/store/authority/postgres.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { findPostgres, newDatabase } from '../support/postgres-database.ts'

const { missing } = await findPostgres()

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
    open: async ({ now }, deadlineMs = 10_000) =>
      openPostgresAuthorityStore({
        connectionString: await newDatabase(),
        clock: { ...systemClock, now },
        deadlineMs,
      }),
  },
]
