import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkKills, checkPowerCuts } from '../server/durability-run.ts'
import { PostgresMissing, startPostgres } from '../support/postgres.ts'
import { tempHome } from '../support/temp-home.ts'

/** `KILLS=200 KILL_SEED=7 npm run test:soak` takes more moments, and others. */
const KILLS = Number(process.env.KILLS ?? 100)
const SEED = Number(process.env.KILL_SEED ?? 1)
/** A store is given up for a new one after so many: all that it holds is checked each time. */
const KILLS_A_STORE = 20

const SEEDS = Array.from({ length: Math.ceil(KILLS / KILLS_A_STORE) }, (_, index) => ({
  seed: SEED * 100 + index,
  rounds: Math.min(KILLS_A_STORE, KILLS - index * KILLS_A_STORE),
}))

test.each(SEEDS)('SQLite: SIGKILL $rounds times, seed $seed', async (given) => {
  using home = tempHome()
  const checked = await checkKills({ place: join(home.path, 'authority.db'), ...given })
  expect(Math.min(checked.dead, checked.alive, checked.deadAccess)).toBeGreaterThan(given.rounds)
})

test.each(SEEDS)('PostgreSQL: SIGKILL $rounds times, seed $seed', async (given) => {
  const server = await startPostgres().catch((error: unknown) => {
    if (error instanceof PostgresMissing) return null
    throw error
  })
  // Without a PostgreSQL this shows nothing, and says so by failing.
  if (!server) return expect.fail('there is no PostgreSQL on this machine')
  try {
    const place = await server.createDatabase()
    const checked = await checkKills({ place, ...given, killsBackends: true })
    expect(Math.min(checked.dead, checked.alive, checked.deadAccess)).toBeGreaterThan(given.rounds)
  } finally {
    await server.stop()
  }
})

test.each(SEEDS)('SQLite: power lost at $rounds answers, seed $seed', async ({ rounds, seed }) => {
  using home = tempHome()
  const checked = await checkPowerCuts({ folder: home.path, cuts: rounds, seed })
  expect(Math.min(checked.dead, checked.alive, checked.deadAccess)).toBeGreaterThan(rounds)
})
