import { expect, test } from 'vitest'
import { checkKill9 } from '../support/kill9-run.ts'

/** A hundred in a row are in `npm run test:soak`. */
const KILLS = 5

test(`SIGKILL at ${KILLS} random moments of apply and resume: what was answered is not sent again, what was in doubt is looked at first`, async () => {
  await expect(checkKill9(7, KILLS)).resolves.toBeUndefined()
})
