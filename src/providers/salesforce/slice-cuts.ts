import { allOf, soqlText, soqlTime } from './soql.ts'

/**
 * A query over OauthToken stops at this many rows, without a word.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_oauthtoken.htm
 */
export const ROWS_MAX = 2_500
/**
 * The rows that a cut aims at: nearly the five pages of 500 that a query shows, less what an even
 * spread scatters (three times the square root), so that few pieces must be cut again.
 */
const ROWS_AIMED = 2_340
/** Counts made of one cut; a skewed range is cut again where it is full, not everywhere. */
const PIECES_MAX = 64

/** An order of the rows, with integer positions, by which they can be told apart. */
export interface Axis {
  readonly field: 'CreatedDate' | 'UserId' | 'LastUsedDate' | 'AppName'
  /** The positions that exist: from `low`, up to but without `high`. */
  readonly low: number
  readonly high: number
  /** The SOQL of `[low, high)`; the ends of the axis itself are open, so that nothing falls outside. */
  condition(low: number, high: number): string
}

/** An axis of seconds. */
export function timeAxis(field: 'CreatedDate' | 'LastUsedDate', firstMs: number, lastMs: number) {
  const low = Math.floor(firstMs / 1000)
  const high = Math.floor(lastMs / 1000) + 1
  return axisOver(field, low, high, (second) => soqlTime(second * 1000))
}

/** An axis of known values, in the order of their characters. */
export function valueAxis(field: 'UserId' | 'AppName', values: Iterable<string>): Axis {
  const sorted = [...new Set(values)].sort()
  return axisOver(field, 0, Math.max(sorted.length, 1), (index) => soqlText(sorted[index] ?? ''))
}

function axisOver(
  field: Axis['field'],
  axisLow: number,
  axisHigh: number,
  literal: (position: number) => string,
): Axis {
  const condition = (low: number, high: number) =>
    allOf(
      low > axisLow ? `${field} >= ${literal(low)}` : '',
      high < axisHigh ? `${field} < ${literal(high)}` : '',
    ) || `${field} != null`
  return { field, low: axisLow, high: axisHigh, condition }
}

export interface Range {
  readonly low: number
  readonly high: number
}

export interface CountedRange extends Range {
  readonly count: number
}

/** Cuts a range into pieces of equal width, as many as its rows need, each at least one position. */
export function cutRange({ low, high, count }: CountedRange): readonly Range[] {
  const width = high - low
  const pieces = Math.min(width, PIECES_MAX, Math.max(2, Math.ceil(count / ROWS_AIMED)))
  const edges = Array.from({ length: pieces + 1 }, (_, index) =>
    Math.round(low + (width * index) / pieces),
  )
  return edges.slice(1).map((edge, index) => ({ low: edges[index] ?? low, high: edge }))
}

/** Joins neighbours while together they fit into one slice; empty ones join as well. */
export function joinNeighbours(pieces: readonly CountedRange[]): readonly CountedRange[] {
  const joined: CountedRange[] = []
  for (const piece of pieces) {
    const last = joined.at(-1)
    if (last && last.count + piece.count <= ROWS_MAX) {
      joined[joined.length - 1] = {
        low: last.low,
        high: piece.high,
        count: last.count + piece.count,
      }
    } else joined.push(piece)
  }
  return joined
}
