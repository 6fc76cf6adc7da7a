import { expect, test } from 'vitest'
import { createRequestIds } from '../../src/cli/serve/request-ids.ts'

test('ids of requests: none twice, one length, and a draw of random bytes for hundreds', () => {
  let draws = 0
  const newId = createRequestIds((bytes) => {
    draws += 1
    return crypto.getRandomValues(bytes)
  })
  const ids = Array.from({ length: 2_000 }, newId)
  expect(new Set(ids).size).toBe(2_000)
  for (const id of ids) expect(id).toMatch(/^[\w-]{16}$/)
  expect(draws).toBe(4)
})
