import { expect, test } from 'vitest'
import { seededRandom } from '../../src/core/clock.ts'
import {
  CODE_ACTORS,
  enumerateMeetings,
  FAMILY_ACTORS,
  meetAtRandom,
  meetingsOf,
} from '../server/interleavings-world.ts'
import { randomOf } from '../support/schedule.ts'

/** `INTERLEAVINGS=100000 INTERLEAVING_SEED=7 npm run test:soak` takes more orders, and others. */
const RUNS = Number(process.env.INTERLEAVINGS ?? 20_000)
const SEED = Number(process.env.INTERLEAVING_SEED ?? 1)

const CASES = [0, 10].flatMap((graceSeconds) =>
  [FAMILY_ACTORS, CODE_ACTORS].map((names) => ({ graceSeconds, names })),
)

test.each(CASES)('every order of any 4 of $names, grace $graceSeconds s', async (given) => {
  const meetings = meetingsOf<(typeof FAMILY_ACTORS)[number] | 'redeem'>(given.names, 4)
  const own = meetings.filter((names) => given.names !== CODE_ACTORS || names.includes('redeem'))
  const orders = await enumerateMeetings(own, { graceSeconds: given.graceSeconds })
  expect(orders).toBeGreaterThan(own.length)
})

test.each([0, 10])(`${RUNS} orders of 4 to 6, seed ${SEED}, grace %d s`, async (graceSeconds) => {
  const random = seededRandom(SEED)
  await meetAtRandom({ graceSeconds, runs: RUNS, random, choose: randomOf(random) })
})
