import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { AuthorityStore, Change } from '../../src/store/authority/contract.ts'
import { findPostgres, newDatabase } from '../support/postgres-database.ts'
import { withSteps } from '../support/store-steps.ts'
import { tempHome } from '../support/temp-home.ts'
import { checkKills, checkPowerCuts } from './durability-run.ts'

const ROUNDS = 5
const CUTS = 12
/** `DURABILITY_SEED=7 npx vitest run test/server/durability.test.ts` takes other moments. */
const SEED = Number(process.env.DURABILITY_SEED ?? 1)
/** Longer than an answer takes. */
const DISK_MS = 20
const answersEarly = (type: Change['type']) => (store: AuthorityStore) =>
  withSteps(store, {
    async commit(change) {
      // What has no event is the authority's trial of the store, which would find out.
      const isTrial = !('events' in change) || change.events.length === 0
      if (change.type !== type || isTrial) return store.commit(change)
      // As a slow disk would have it; a store that is closed by then loses it.
      sleep(DISK_MS)
        .then(() => store.commit(change))
        .catch(() => {})
      return 'done'
    },
  })

/** Stores that are not durable, by what they do. */
const SPOILED: Readonly<Record<string, (store: AuthorityStore) => AuthorityStore>> = {
  "answers a user's end before it is on disk": answersEarly('mark'),
  "answers an access token's end before it is on disk": answersEarly('end_token'),
  'writes events after the change': (store) =>
    withSteps(store, {
      async commit(change) {
        if (!('events' in change) || change.type === 'mark') return store.commit(change)
        const committed = await store.commit({ ...change, events: [] })
        if (committed === 'done') await store.commit({ type: 'log', events: change.events })
        return committed
      },
    }),
}

/** A run that checked less than this showed nothing. */
const CHECKED_MIN = 20

const { missing } = await findPostgres()

describe('what was answered survives (design: a 200 is committed to disk, and final)', () => {
  test(`SQLite: SIGKILL, ${ROUNDS} times under load, seed ${SEED}`, async () => {
    using home = tempHome()
    const place = join(home.path, 'authority.db')
    const checked = await checkKills({ place, rounds: ROUNDS, least: CHECKED_MIN, seed: SEED })
    expect(Math.min(checked.dead, checked.alive, checked.deadAccess)).toBeGreaterThan(CHECKED_MIN)
  })
  // Skipped only where no PostgreSQL can be started: the title says why.
  test.skipIf(missing)(
    `PostgreSQL: SIGKILL, ${ROUNDS} times under load, seed ${SEED}${missing ?? ''}`,
    async () => {
      const place = await newDatabase()
      const checked = await checkKills({ place, rounds: ROUNDS, least: CHECKED_MIN, seed: SEED })
      expect(Math.min(checked.dead, checked.alive, checked.deadAccess)).toBeGreaterThan(CHECKED_MIN)
    },
  )
  test(`SQLite: power lost in the moment of an answer, ${CUTS} times, seed ${SEED}`, async () => {
    using home = tempHome()
    const checked = await checkPowerCuts({ folder: home.path, cuts: CUTS, seed: SEED })
    expect(Math.min(checked.dead, checked.alive, checked.deadAccess)).toBeGreaterThan(CHECKED_MIN)
  })
  test.each(Object.entries(SPOILED))('a store that %s is caught', async (_, spoil) => {
    using home = tempHome()
    const checked = checkPowerCuts({ folder: home.path, cuts: CUTS, seed: SEED, spoil })
    await expect(checked).rejects.toThrow(/undone|its event/)
  })
})
