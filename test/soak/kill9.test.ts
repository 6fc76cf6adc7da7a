import { expect, test } from 'vitest'
import { checkKill9 } from '../support/kill9-run.ts'

/** `KILLS=5 KILL_SEED=7 npm run test:soak` takes other moments. */
const KILLS = Number(process.env.KILLS ?? 100)
const SEED = Number(process.env.KILL_SEED ?? 1)

test(`SIGKILL ${KILLS} times in a row, at moments of seed ${SEED}`, async () => {
  await expect(checkKill9(SEED, KILLS), `seed ${SEED}`).resolves.toBeUndefined()
})
