import { describe, expect, test } from 'vitest'
import { seededRandom, systemClock } from '../../../src/core/clock.ts'
import type { Change } from '../../../src/store/authority/contract.ts'
import { openPostgresAuthorityStore } from '../../../src/store/authority/postgres.ts'
import { findPostgres, newDatabase } from '../../support/postgres-database.ts'
import { describeAuthorityStore } from './contract.ts'
import { askPostgres, postgresKind } from './kinds.ts'
import { countDone, endingGrant, endingToken, START, spending, startGrants } from './world.ts'

/** Grants that several processes end at once, each in an order of its own. */
const GRANTS = 1_500
const PROCESSES = 4

const { missing } = await findPostgres()

describe.skipIf(missing !== undefined)(`with a PostgreSQL server${missing ?? ''}`, () => {
  describeAuthorityStore(postgresKind(newDatabase))

  test('transactions that want the same rows in any order never wait in a circle', async () => {
    const connectionString = await newDatabase()
    const clock = { ...systemClock, now: () => START }
    const stores = await Promise.all(
      Array.from({ length: PROCESSES }, () =>
        openPostgresAuthorityStore({ connectionString, clock }),
      ),
    )
    const [first] = stores
    if (!first) return expect.fail('no store')
    const grants = await startGrants(first, GRANTS)
    const children = await first.reserveIds(GRANTS)
    const random = seededRandom(1)
    const committed = stores.map((store) => {
      const changes: Change[] = grants.flatMap(({ grantId, tokenId }, no) => [
        endingToken(tokenId),
        spending(tokenId, grantId, children + no),
        { type: 'use_once', key: `name ${no}`, keepUntil: START },
        endingGrant(grantId),
      ])
      const shuffled = changes.map((change) => ({ change, at: random() }))
      shuffled.sort((a, b) => a.at - b.at)
      return Promise.all(shuffled.map(({ change }) => store.commit(change)))
    })
    const done = (await Promise.all(committed)).map(countDone).reduce((sum, n) => sum + n, 0)
    // Each grant, name and token ends once.
    expect(done).toBe(3 * GRANTS)
    await Promise.all(stores.map((store) => store.close()))
    const [row] = await askPostgres(
      connectionString,
      'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
    )
    expect(Number(row?.deadlocks)).toBe(0)
  })
})
