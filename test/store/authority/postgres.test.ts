import { describe } from 'vitest'
import { findPostgres, newDatabase } from '../../support/postgres-database.ts'
import { describeAuthorityStore } from './contract.ts'
import { postgresKind } from './kinds.ts'

const { missing } = await findPostgres()
describe.skipIf(missing !== undefined)(`with a PostgreSQL server${missing ?? ''}`, () => {
  describeAuthorityStore(postgresKind(newDatabase))
})
