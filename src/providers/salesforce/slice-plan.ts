import { createLanes, READ_LANES } from './lanes.ts'
import { type Axis, type CountedRange, cutRange, joinNeighbours, ROWS_MAX } from './slice-cuts.ts'
import { allOf } from './soql.ts'

/** A part of the list that one query shows whole, or that nothing can cut further. */
export interface Slice {
  /** The SOQL condition; empty for the whole list. */
  readonly condition: string
  readonly count: number
  /** More rows than one query shows, and no axis left: only OFFSET may reach the rest. */
  readonly tooLarge: boolean
}

/** What planning asks of the org. */
export interface SliceQuestions {
  count(condition: string): Promise<number>
  /** The axes, in the order in which they are tried. */
  readonly axes: readonly AxisSource[]
}

/** An axis whose ends are asked for; undefined when the org cannot order by it. */
export type AxisSource = (condition: string) => Promise<Axis | undefined>

/**
 * Cuts the list into slices that one query each shows whole. The pieces of an axis are disjoint,
 * its ends are open and its nulls are a piece of their own, so that the slices' counts must add up
 * to the list's.
 */
export function planSlices(
  questions: SliceQuestions,
  count: number,
  condition = '',
): Promise<readonly Slice[]> {
  const inLane = createLanes(READ_LANES)
  const counted = (soql: string) => inLane(() => questions.count(soql))

  /** Cuts the rows of one condition along the first axis that the org has from this one on. */
  const enter = async (fixed: string, rows: number, axisIndex: number): Promise<Slice[]> => {
    if (rows <= ROWS_MAX) return [{ condition: fixed, count: rows, tooLarge: false }]
    const source = questions.axes[axisIndex]
    if (!source) return [{ condition: fixed, count: rows, tooLarge: true }]
    const axis = await inLane(() => source(fixed))
    if (!axis) return enter(fixed, rows, axisIndex + 1)
    const nullCondition = allOf(fixed, `${axis.field} = null`)
    const nulls = await counted(nullCondition)
    const { low, high } = axis
    const leaves = await cut(fixed, axis, { low, high, count: Math.max(rows - nulls, 0) })
    const slices = await Promise.all([
      enter(nullCondition, nulls, axisIndex + 1),
      ...joinNeighbours(leaves).map((leaf) =>
        enter(allOf(fixed, axis.condition(leaf.low, leaf.high)), leaf.count, axisIndex + 1),
      ),
    ])
    return slices.flat()
  }

  /** Cuts a range of an axis until each piece fits, or is one position. */
  const cut = async (
    fixed: string,
    axis: Axis,
    range: CountedRange,
  ): Promise<readonly CountedRange[]> => {
    if (range.count <= ROWS_MAX || range.high - range.low <= 1) return [range]
    const ranges = cutRange(range)
    const counts = await Promise.all(
      ranges
        .slice(0, -1)
        .map((piece) => counted(allOf(fixed, axis.condition(piece.low, piece.high)))),
    )
    // The last piece holds the rest. Should the rest have moved, its reading finds out.
    const rest = counts.reduce((left, count) => left - count, range.count)
    const pieces = ranges.map((piece, index) => ({
      ...piece,
      count: counts[index] ?? Math.max(rest, 0),
    }))
    return (await Promise.all(pieces.map((piece) => cut(fixed, axis, piece)))).flat()
  }

  return enter(condition, count, 0)
}
