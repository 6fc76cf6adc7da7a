import { test } from 'vitest'
import { race } from '../connections/race.ts'

test('section 5.4: 200 rounds of 64 callers in 4 processes: one refresh a round, and the grant lives', async () => {
  await race(200)
})
