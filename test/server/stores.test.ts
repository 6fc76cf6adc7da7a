import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { findPostgres, newDatabase } from '../support/postgres-database.ts'
import { eventsDuring, issue, openWorld } from './core-world.ts'
import { STORES } from './stores.ts'

const { missing = '' } = await findPostgres()
/** Longer than two reads take. */
const OPEN_MS = 300

// Skipped only where no PostgreSQL can be started: the title says why.
test.skipIf(missing !== '')(
  `a test reads what it has written while another transaction of the server is open${missing}`,
  async () => {
    const openStore = STORES.find(({ name }) => name === 'PostgreSQL')?.open
    if (!openStore) throw new Error('There is no PostgreSQL among the stores.')
    await using world = await openWorld({ openStore })
    const other = new pg.Client({ connectionString: await newDatabase() })
    await other.connect()
    await other.query('BEGIN')
    await other.query('SELECT pg_current_xact_id()')
    const ended = sleep(OPEN_MS).then(() => other.query('COMMIT'))
    expect(await eventsDuring(world, () => issue(world))).toEqual(['grant.started issue'])
    await ended
    await other.end()
  },
)
