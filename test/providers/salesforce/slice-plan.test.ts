import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Axis,
  cutRange,
  joinNeighbours,
  ROWS_MAX,
  timeAxis,
  valueAxis,
} from '../../../src/providers/salesforce/slice-cuts.ts'
import { planSlices, type Slice } from '../../../src/providers/salesforce/slice-plan.ts'

/** A row by its place on each axis; null as the org has it. */
interface Row {
  readonly CreatedDate: number | null
  readonly UserId: number | null
}

/** An axis whose conditions this test can evaluate: they name the positions. */
function testAxis(field: 'CreatedDate' | 'UserId', low: number, high: number): Axis {
  return { field, low, high, condition: (from, to) => `${field} ${from} ${to}` }
}

/** Evaluates the conditions that planning wrote; ends of the axis are open. */
function matches(row: Row, condition: string, axes: readonly Axis[]): boolean {
  return condition
    .split(' AND ')
    .filter(Boolean)
    .every((part) => {
      const isNull = /^(\w+) = null$/.exec(part)
      if (isNull) return row[isNull[1] as keyof Row] === null
      const [field, from, to] = part.split(' ')
      const value = row[field as keyof Row]
      const axis = axes.find((one) => one.field === field)
      if (value === null || !axis) return false
      const [low, high] = [Number(from), Number(to)]
      return (low === axis.low || value >= low) && (high === axis.high || value < high)
    })
}

async function plan(rows: readonly Row[]): Promise<{ slices: readonly Slice[]; asked: number }> {
  const created = rows.flatMap((row) => row.CreatedDate ?? [])
  const axes = [
    testAxis('CreatedDate', Math.min(...created, 0), Math.max(...created, 0) + 1),
    testAxis('UserId', 0, 50),
  ]
  let asked = 0
  const count = async (condition: string) => {
    asked += 1
    return rows.filter((row) => matches(row, condition, axes)).length
  }
  const sources = axes.map((axis) => async () => axis)
  const slices = await planSlices({ count, axes: sources }, rows.length)
  for (const row of rows) {
    const inSlices = slices.filter((slice) => matches(row, slice.condition, axes))
    if (inSlices.length !== 1) throw new Error(`a row is in ${inSlices.length} slices`)
  }
  return { slices, asked }
}

/** Heaps of rows: spread out, in one second, of one user, without a date. */
const heap = fc.record({
  size: fc.integer({ min: 0, max: 6_000 }),
  second: fc.oneof(fc.integer({ min: 0, max: 1_000_000 }), fc.constant(null)),
  width: fc.constantFrom(1, 1, 60, 100_000),
  user: fc.option(fc.integer({ min: 0, max: 49 })),
})

describe('slices of a list of which one query shows 2,500 rows', () => {
  it('hold every row once, and add up to the whole, at any skew', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(heap, { minLength: 1, maxLength: 4 }), async (heaps) => {
        const rows = heaps.flatMap(({ size, second, width, user }) =>
          Array.from({ length: size }, (_, index) => ({
            CreatedDate: second === null ? null : second + (index % width),
            UserId: user ?? index % 50,
          })),
        )
        const { slices } = await plan(rows)
        expect(slices.reduce((sum, slice) => sum + slice.count, 0)).toBe(rows.length)
        for (const slice of slices) expect(slice.count <= ROWS_MAX || slice.tooLarge).toBe(true)
      }),
      { numRuns: 40, seed: 5 },
    )
  })

  it.each<[string, number, (index: number) => Row, number]>([
    ['one query is enough', 2_500, (index) => ({ CreatedDate: index, UserId: 1 }), 1],
    ['rows spread evenly', 50_000, (index) => ({ CreatedDate: index * 20, UserId: 1 }), 23],
    [
      '5,000 in one second, of many users',
      5_000,
      (index) => ({ CreatedDate: 7, UserId: index % 50 }),
      4,
    ],
    ['no dates at all', 6_000, (index) => ({ CreatedDate: null, UserId: index % 50 }), 4],
  ])('%s', async (_title, size, make, slicesMax) => {
    const { slices } = await plan(Array.from({ length: size }, (_, index) => make(index)))
    const full = slices.filter(({ count }) => count > 0)
    expect(full.length).toBeLessThanOrEqual(slicesMax)
    expect(full.every(({ tooLarge }) => !tooLarge)).toBe(true)
  })

  it('says so when nothing tells the rows apart', async () => {
    const rows = Array.from({ length: 3_000 }, () => ({ CreatedDate: 7, UserId: 1 }))
    const { slices } = await plan(rows)
    expect(slices.filter(({ tooLarge }) => tooLarge)).toHaveLength(1)
  })

  it('costs few counts', async () => {
    const rows = Array.from({ length: 60_000 }, (_, index) => ({
      CreatedDate: index * 10,
      UserId: index % 50,
    }))
    const { slices, asked } = await plan(rows)
    expect(asked).toBeLessThan(slices.length * 1.2)
  })
})

describe('cuts and joins', () => {
  it('cuts a range into pieces without a gap', () => {
    fc.assert(
      fc.property(
        fc.nat(1_000_000),
        fc.integer({ min: 2, max: 1_000_000 }),
        fc.nat(5_000_000),
        (low, width, count) => {
          const pieces = cutRange({ low, high: low + width, count })
          expect(pieces[0]?.low).toBe(low)
          expect(pieces.at(-1)?.high).toBe(low + width)
          for (const [index, piece] of pieces.entries()) {
            expect(piece.high).toBeGreaterThan(piece.low)
            if (index > 0) expect(piece.low).toBe(pieces[index - 1]?.high)
          }
        },
      ),
      { seed: 5 },
    )
  })

  it('joins neighbours as far as one query shows them', () => {
    const pieces = [1_000, 1_000, 1_000, 0, 2_600, 0, 100].map((count, index) => ({
      low: index,
      high: index + 1,
      count,
    }))
    expect(joinNeighbours(pieces).map(({ low, high, count }) => [low, high, count])).toEqual([
      [0, 2, 2_000],
      [2, 4, 1_000],
      [4, 5, 2_600],
      [5, 7, 100],
    ])
  })
})

describe('axes as SOQL', () => {
  const day = Date.UTC(2025, 7, 8)
  const time = timeAxis('CreatedDate', day, day + 3_600_000)
  const users = valueAxis('UserId', ["b'", 'a', 'c', 'a'])
  it.each([
    ['both ends open', time.condition(time.low, time.high), 'CreatedDate != null'],
    ['low end open', time.condition(time.low, time.low + 60), 'CreatedDate < 2025-08-08T00:01:00Z'],
    [
      'high end open',
      time.condition(time.high - 1, time.high),
      'CreatedDate >= 2025-08-08T01:00:00Z',
    ],
    [
      'a second',
      time.condition(time.low + 1, time.low + 2),
      'CreatedDate >= 2025-08-08T00:00:01Z AND CreatedDate < 2025-08-08T00:00:02Z',
    ],
    ['values, escaped', users.condition(1, 2), "UserId >= 'b\\'' AND UserId < 'c'"],
    ['values without known ones', valueAxis('UserId', []).condition(0, 1), 'UserId != null'],
  ])('%s', (_title, condition, expected) => {
    expect(condition).toBe(expected)
  })
})
