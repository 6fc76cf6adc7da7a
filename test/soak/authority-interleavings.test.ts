import { expect, test } from 'vitest'
import { seededRandom } from '../../src/core/clock.ts'
import {
  enumerateMeetings,
  FAMILY_ACTORS,
  meetAtRandom,
  meetingsOf,
} from '../server/interleavings-world.ts'
import { randomOf } from '../support/schedule.ts'

/** `INTERLEAVINGS=100000 INTERLEAVING_SEED=7 npm run test:soak` takes more orders, and others. */
const RUNS = Number(process.env.INTERLEAVINGS ?? 20_000)
const SEED = Number(process.env.INTERLEAVING_SEED ?? 1)

/** The same one twice is in the orders of three, and in those at random. */
const FOURS = meetingsOf(FAMILY_ACTORS, 4).filter((names) => new Set(names).size === 4)

test.each([0, 10])('every order of any 4 that differ, grace %d s', async (graceSeconds) => {
  const orders = await enumerateMeetings(FOURS, { graceSeconds })
  expect(orders).toBeGreaterThan(FOURS.length)
})

test.each([0, 10])(`${RUNS} orders of 4 to 6, seed ${SEED}, grace %d s`, async (graceSeconds) => {
  const random = seededRandom(SEED)
  await meetAtRandom({ graceSeconds, runs: RUNS, random, choose: randomOf(random) })
})
