import { test } from 'vitest'
import { atOnce, checkNthCall, checkStormySeed, KILL_FAULT_KINDS } from '../support/truth-run.ts'

/** `SEEDS=1 FROM_SEED=17 npm run test:soak` runs one seed again. */
const FROM_SEED = Number(process.env.FROM_SEED ?? 1)
const SEEDS = Number(process.env.SEEDS ?? 200)
const CALLS = 40
const AT_ONCE = 4

test(`all faults at once, ${SEEDS} seeds from ${FROM_SEED}`, async () => {
  const seeds = Array.from({ length: SEEDS }, (_, at) => FROM_SEED + at)
  await atOnce(seeds, AT_ONCE, async (seed) => {
    await checkStormySeed(seed).catch((error: unknown) => {
      throw new Error(`seed ${seed}: run it alone with SEEDS=1 FROM_SEED=${seed}`, { cause: error })
    })
  })
})

test.for(KILL_FAULT_KINDS)('%s at each of the first kills', async (kind) => {
  const calls = Array.from({ length: CALLS }, (_, at) => at + 1)
  await atOnce(calls, AT_ONCE, async (nth) => {
    await checkNthCall(kind, nth).catch((error: unknown) => {
      throw new Error(`${kind} at kill number ${nth}`, { cause: error })
    })
  })
})
