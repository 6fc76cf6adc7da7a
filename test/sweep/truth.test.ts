import { expect, test } from 'vitest'
import { checkNthCall, checkStormySeed, KILL_FAULT_KINDS } from '../support/truth-run.ts'

/** The full matrix and more seeds are in `npm run test:soak`. */
const SEEDS = Array.from({ length: 12 }, (_, at) => at + 1)
const CALLS = Array.from({ length: 40 }, (_, at) => at + 1)
/** Kinds of fault tried at each call here; over the calls, each kind has its turn. */
const KINDS_A_CALL = 2

test.concurrent.for(SEEDS)(
  'all faults at once, seed %i: nothing living is called dead, nothing planned is missed, nothing else is touched',
  { timeout: 120_000 },
  async (seed) => {
    await expect(checkStormySeed(seed)).resolves.toBeUndefined()
  },
)

test.concurrent.for(CALLS)('one fault at exactly the kill number %i', async (nth) => {
  for (let n = 0; n < KINDS_A_CALL; n += 1) {
    const kind = KILL_FAULT_KINDS[(nth * KINDS_A_CALL + n) % KILL_FAULT_KINDS.length] ?? 'hang'
    await expect(checkNthCall(kind, nth), kind).resolves.toBeUndefined()
  }
})
