import { describe, expect, test } from 'vitest'
import { seededRandom, systemClock } from '../../../src/core/clock.ts'
import { isRescindError } from '../../../src/core/errors.ts'
import type { Change } from '../../../src/store/authority/contract.ts'
import { openPostgresAuthorityStore } from '../../../src/store/authority/postgres.ts'
import { findPostgres, newDatabase } from '../../support/postgres-database.ts'
import { describeAuthorityStore } from './contract.ts'
import { askPostgres, postgresKind } from './kinds.ts'
import {
  countDone,
  endingGrant,
  endingToken,
  newEvent,
  START,
  spending,
  startGrants,
} from './world.ts'

/** Grants that several processes end at once, each in an order of its own. */
const GRANTS = 1_500
const PROCESSES = 4
/** Grants that expired long ago, each with a token. */
const BACKLOG = 20_000
/** Events of one change: more rows than a store writes without forgetting. */
const MANY_EVENTS = 250
/** A deadline that a slow database keeps with each statement, and not with all of a round. */
const SLOW_DEADLINE_MS = 1_500
/** Rounds of forgetting that are waited for. */
const ROUNDS = 4

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

  test('a round reads as many rows as it forgets, however long the backlog is', async () => {
    const { store, url } = await withBacklog()
    for (let round = 0; round < ROUNDS; round += 1) await store.commit(logging())
    await store.close()
    const [left] = await askPostgres(url, ROWS_LEFT)
    const forgotten = BACKLOG - Number(left?.tokens)
    expect(forgotten).toBeGreaterThanOrEqual(2 * MANY_EVENTS)
    expect(left?.grants).toBe(left?.tokens)
    expect(await usesOfTokenGrant(url, 'idx_scan')).toBeLessThan(5 * forgotten)
  })

  test('a mark that is due looks at one token of what it killed, however many there are', async () => {
    const { store, url } = await withBacklog()
    await askPostgres(
      url,
      `UPDATE rescind.grants SET expires_at = ${START + 9};
       UPDATE rescind.token SET grant_id = 1, expires_at = ${START + 9}`,
    )
    const reach = { type: 'client', clientId: 'shop' } as const
    await store.commit({ type: 'mark', reach, before: null, at: 1, keepUntil: 1, events: [] })
    await store.commit(logging())
    await store.close()
    const [kept] = await askPostgres(url, 'SELECT keep_until AS at FROM rescind.mark')
    expect(Number(kept?.at)).toBeGreaterThan(START)
    expect(await usesOfTokenGrant(url, 'idx_tup_read')).toBeLessThan(BACKLOG / 10)
  })

  test('a mark that was set often is looked up, set again and forgotten by a few of its settings', async () => {
    const { store, url } = await withBacklog()
    await askPostgres(
      url,
      `INSERT INTO rescind.mark VALUES ('c:shop', ${BACKLOG}, 0, ${2 * START});
       INSERT INTO rescind.mark_setting SELECT 'c:shop', i, 0, i, ${2 * START}
         FROM generate_series(1, ${BACKLOG}) AS i;
       UPDATE rescind.counter SET value = ${BACKLOG} WHERE name = 'epoch'`,
    )
    const reach = { type: 'client', clientId: 'shop' } as const
    const mark = { type: 'mark', reach, at: START, keepUntil: 2 * START, events: [] } as const
    for (const before of [null, START]) await store.commit({ ...mark, before })
    await store.commit(logging())
    const read = await store.readMarks(['c:shop'], { born: BACKLOG / 2, createdAt: 1 })
    expect(read).toMatchObject([{ epoch: BACKLOG / 2 + 1 }, { epoch: 0, before: START }])
    await store.close()
    const rows = `SELECT seq_tup_read + idx_tup_fetch + (SELECT sum(idx_tup_read)
      FROM pg_stat_user_indexes i WHERE i.relid = t.relid) AS n
      FROM pg_stat_user_tables t WHERE relname = 'mark_setting'`
    const walked = async () => Number((await askPostgres(url, rows))[0]?.n)
    await expect.poll(walked, { timeout: 10_000 }).toBeGreaterThan(0)
    expect(await walked()).toBeLessThan(BACKLOG / 2)
  })

  test('a round on a slow database takes no longer than a change may, and is told', async () => {
    const troubles: unknown[] = []
    const { store, url } = await withBacklog((error) => troubles.push(error), SLOW_DEADLINE_MS)
    const triggers = ['token', 'mark', 'mark_setting'].map(
      (table) => `CREATE TRIGGER slow BEFORE DELETE ON rescind.${table}
        FOR EACH STATEMENT EXECUTE FUNCTION slow();`,
    )
    await askPostgres(
      url,
      `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         PERFORM pg_sleep(${(SLOW_DEADLINE_MS * 0.9) / 1000}); RETURN NULL; END $$;
       ${triggers.join('\n')}`,
    )
    expect(await store.commit(logging())).toBe('done')
    const since = performance.now()
    // Waits for the lane.
    await store.close()
    expect(performance.now() - since).toBeLessThan(2 * SLOW_DEADLINE_MS)
    expect(troubles.map(String)).toEqual([expect.stringContaining('no answer in time')])
  })

  test('a round that takes too long is told, and the next ones forget less until one is done', async () => {
    const troubles: unknown[] = []
    const { store, url } = await withBacklog((error) => troubles.push(error))
    await askPostgres(
      url,
      `CREATE FUNCTION too_long() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF (SELECT count(*) FROM gone) > 100 THEN
           RAISE EXCEPTION 'canceled' USING ERRCODE = '57014';
         END IF; RETURN NULL; END $$;
       CREATE TRIGGER too_long AFTER DELETE ON rescind.token REFERENCING OLD TABLE AS gone
         FOR EACH STATEMENT EXECUTE FUNCTION too_long()`,
    )
    const forgetsSome = async () => {
      expect(await store.commit(logging())).toBe('done')
      return Number((await askPostgres(url, ROWS_LEFT))[0]?.tokens)
    }
    await expect.poll(forgetsSome, { timeout: 20_000 }).toBeLessThan(BACKLOG)
    await store.close()
    expect(troubles.length).toBeGreaterThan(0)
    for (const trouble of troubles) {
      expect(isRescindError(trouble, 'store_down'), String(trouble)).toBe(true)
      expect(String(trouble)).toContain('no answer in time')
    }
  })
})

const ROWS_LEFT = `SELECT (SELECT count(*) FROM rescind.token) AS tokens,
  (SELECT count(*) FROM rescind.grants) AS grants`

/** What the index of tokens by their grant was asked, as backends tell when they end. */
async function usesOfTokenGrant(url: string, column: 'idx_scan' | 'idx_tup_read') {
  const text = `SELECT ${column} AS n FROM pg_stat_user_indexes WHERE indexrelname = 'token_grant'`
  const uses = async () => Number((await askPostgres(url, text))[0]?.n)
  await expect.poll(uses, { timeout: 10_000 }).toBeGreaterThan(0)
  return uses()
}

function logging(): Change {
  const events = Array.from({ length: MANY_EVENTS }, () => newEvent('written', { at: START }))
  return { type: 'log', events }
}

/** A store whose database has many grants that expired, each with a token, and has not forgotten any. */
async function withBacklog(
  onTrouble: (error: unknown) => void = (error) => expect.fail(`${error}`),
  deadlineMs?: number,
) {
  const url = await newDatabase()
  const clock = { ...systemClock, now: () => START }
  const open = () =>
    openPostgresAuthorityStore({ connectionString: url, clock, onTrouble, deadlineMs })
  await (await open()).close()
  await askPostgres(
    url,
    `INSERT INTO rescind.grants SELECT i, 1, i + 1000, 0, 'shop', NULL, NULL, '', NULL
       FROM generate_series(1, ${BACKLOG}) AS i;
     INSERT INTO rescind.token SELECT i, i, 1, i + 900, 1, '\\x00', NULL
       FROM generate_series(1, ${BACKLOG}) AS i`,
  )
  return { store: await open(), url }
}
