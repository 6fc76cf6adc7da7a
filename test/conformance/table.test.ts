import { expect, test } from 'vitest'
import { LEVELS } from '../../src/conformance/case.ts'
import { GROUPS } from '../../src/conformance/table.ts'

const CASES = GROUPS.flatMap(({ cases }) => cases)

test('each case has a number of its own, a level, a title and a section that it stands on', () => {
  expect(new Set(CASES.map(({ id }) => id)).size).toBe(CASES.length)
  for (const { id, level, title, cites } of CASES) {
    expect(LEVELS).toContain(level)
    expect(title, String(id)).toMatch(/^\S.*[^.\s]$/)
    expect(cites.length, String(id)).toBeGreaterThan(0)
    for (const { url } of cites) expect(URL.canParse(url)).toBe(true)
  }
})
