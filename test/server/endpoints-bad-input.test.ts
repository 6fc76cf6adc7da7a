import { describe } from 'vitest'
import { openPostgresAuthorityStore } from '../../src/store/authority/postgres.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { findPostgres, newDatabase } from '../support/postgres-database.ts'
import { describeBadInput } from './bad-input-suite.ts'

const { missing } = await findPostgres()

describe('on SQLite', () => {
  describeBadInput((clock) => openSqliteAuthorityStore(':memory:', { clock }))
})

// Skipped only where no PostgreSQL can be started: the title says why.
describe.skipIf(missing !== undefined)(`on PostgreSQL${missing ?? ''}`, () => {
  describeBadInput(async (clock) =>
    openPostgresAuthorityStore({ connectionString: await newDatabase(), clock }),
  )
})
