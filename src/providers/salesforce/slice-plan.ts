import { createLanes, READ_LANES } from './lanes.ts'
import { type Axis, cutRange, joinNeighbours, ROWS_MAX } from './slice-cuts.ts'
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

interface Part {
  readonly fixed: string
  readonly axisIndex: number
  readonly axis: Axis
  readonly low: number
  readonly high: number
  readonly count: number
}

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
    if (rows <= ROWS_MAX) return [sliceOf(fixed, rows)]
    const source = questions.axes[axisIndex]
    if (!source) return [{ condition: fixed, count: rows, tooLarge: true }]
    const axis = await inLane(() => source(fixed))
    if (!axis) return enter(fixed, rows, axisIndex + 1)
    const nullCondition = allOf(fixed, `${axis.field} = null`)
    const nulls = await counted(nullCondition)
    const { low, high } = axis
    const [ofNulls, ofValues] = await Promise.all([
      enter(nullCondition, nulls, axisIndex + 1),
      cut({ fixed, axisIndex, axis, low, high, count: rows - nulls }),
    ])
    return [...ofNulls, ...ofValues]
  }

  const cut = async (part: Part): Promise<Slice[]> => {
    const { axis, low, high } = part
    const own = allOf(part.fixed, axis.condition(low, high))
    if (part.count <= ROWS_MAX) return [sliceOf(own, Math.max(part.count, 0))]
    if (high - low <= 1) return enter(own, part.count, part.axisIndex + 1)
    const pieces = await Promise.all(
      cutRange(part).map(async (range) => ({
        ...range,
        count: await counted(allOf(part.fixed, axis.condition(range.low, range.high))),
      })),
    )
    const slices = await Promise.all(
      joinNeighbours(pieces).map((piece) => cut({ ...part, ...piece })),
    )
    return slices.flat()
  }

  return enter(condition, count, 0)
}

function sliceOf(condition: string, count: number): Slice {
  return { condition, count, tooLarge: false }
}
