import { formatCount, formatCounted } from '../../core/counts.ts'
import type { Connection } from './connection.ts'
import { inLanes, READ_LANES } from './lanes.ts'
import { countTokens, type OauthTokenRow, readSlice, sliceQuestions } from './oauth-tokens.ts'
import { planSlices, type Slice, type SliceQuestions } from './slice-plan.ts'

/** Rounds of reading again what moved; past these, the org changes faster than it can be read. */
const SETTLE_ROUNDS_MAX = 4
/** How often one slice may outgrow its query while it is read. */
const REGROWTHS_MAX = 3

export type TokenPart =
  | { readonly type: 'rows'; readonly slice: number; readonly rows: readonly OauthTokenRow[] }
  /** The rows of this slice that were given before are void. */
  | { readonly type: 'again'; readonly slice: number }

/** How the reading ended. */
export interface TokenVerdict {
  /** Counted before the last round of reading. */
  readonly before: number
  readonly after: number
  readonly slices: number
  readonly rows: number
  /** The slices' rows add up to the count after, and each slice is as long as its count. */
  readonly whole: boolean
  /** One sentence. */
  readonly why: string
}

interface Entry {
  readonly no: number
  readonly slice: Slice
  readonly rows: number
  readonly state: 'whole' | 'moving' | 'too_large'
}

interface Read {
  readonly slice: Slice
  readonly rows: readonly OauthTokenRow[]
  readonly state: Entry['state']
}

/** What the reading needs to know of the org. */
export interface KnownOfOrg {
  readonly userIds: Iterable<string>
  readonly labels: Iterable<string>
}

/**
 * Reads all tokens, slice by slice, and proves that they are all: the rows of each slice are as many
 * as its count, and the slices together as many as the whole list's count afterwards. What moved
 * in between is read again.
 *
 * @param before the count of all tokens, taken just now
 */
export async function* readAllTokens(
  connection: Connection,
  known: KnownOfOrg,
  before: number,
  signal?: AbortSignal,
): AsyncGenerator<TokenPart, TokenVerdict> {
  const questions = sliceQuestions(connection, known, signal)
  const ledger = new Map<number, Entry>()
  let nextNo = 0

  async function* readInto(slices: Iterable<Slice>): AsyncGenerator<TokenPart> {
    const work = (slice: Slice) => readWhole(connection, questions, slice, signal)
    for await (const reads of inLanes(slices, READ_LANES, work)) {
      for (const { slice, rows, state } of reads) {
        const no = nextNo
        nextNo += 1
        ledger.set(no, { no, slice, rows: rows.length, state })
        if (rows.length > 0) yield { type: 'rows', slice: no, rows }
      }
    }
  }

  yield* readInto(await planSlices(questions, before))
  let roundBefore = before
  for (let round = 0; ; round += 1) {
    const after = await countTokens(connection, '', signal)
    const total = sumOfRows(ledger)
    const moving = [...ledger.values()].some(({ state }) => state === 'moving')
    // A round proves the list only when nothing was counted differently before it and after it.
    const settled = roundBefore === after && total === after && !moving
    if (settled || round >= SETTLE_ROUNDS_MAX) {
      const entries = [...ledger.values()]
      return judgeReading({ first: before, before: roundBefore, after, total, settled, entries })
    }
    roundBefore = after
    // What was read is what the org counts now; that it stays so is asked once more.
    const agrees = total === after && !moving
    const moved = agrees ? [] : await findMoved(connection, ledger, signal)
    for (const { no } of moved) {
      ledger.delete(no)
      yield { type: 'again', slice: no }
    }
    yield* readInto(moved.map(({ slice }) => slice))
  }
}

/** Reads a slice, cut again as often as it outgrows one query while it is read. */
async function readWhole(
  connection: Connection,
  questions: SliceQuestions,
  slice: Slice,
  signal: AbortSignal | undefined,
  regrowths = 0,
): Promise<readonly Read[]> {
  if (slice.count === 0) return [{ slice, rows: [], state: 'whole' }]
  const read = await readSlice(connection, slice, signal)
  const current = { ...slice, count: read.count }
  switch (read.state) {
    case 'whole':
    case 'moving':
    case 'too_large':
      return [{ slice: current, rows: read.rows, state: read.state }]
    case 'grown': {
      if (regrowths >= REGROWTHS_MAX) return [{ slice: current, rows: [], state: 'moving' }]
      const parts = await planSlices(questions, read.count, slice.condition)
      const reads: Read[] = []
      for (const part of parts) {
        reads.push(...(await readWhole(connection, questions, part, signal, regrowths + 1)))
      }
      return reads
    }
  }
}

/** Counts every slice again and returns those whose rows are not what the org counts now. */
async function findMoved(
  connection: Connection,
  ledger: ReadonlyMap<number, Entry>,
  signal: AbortSignal | undefined,
): Promise<readonly Entry[]> {
  const moved: Entry[] = []
  const recount = async (entry: Entry): Promise<Entry> => ({
    ...entry,
    slice: { ...entry.slice, count: await countTokens(connection, entry.slice.condition, signal) },
  })
  for await (const entry of inLanes(ledger.values(), READ_LANES, recount)) {
    const stuck = entry.state === 'too_large' && entry.slice.tooLarge
    if (entry.state === 'moving' || (entry.slice.count !== entry.rows && !stuck)) moved.push(entry)
  }
  return moved
}

function sumOfRows(ledger: ReadonlyMap<number, Entry>): number {
  let total = 0
  for (const { rows } of ledger.values()) total += rows
  return total
}

/** Says whether the reading is whole, and why. */
export function judgeReading(reading: {
  /** Counted before anything was read. */
  readonly first: number
  readonly before: number
  readonly after: number
  readonly total: number
  readonly settled: boolean
  readonly entries: readonly { readonly slice: Slice; readonly rows: number; state: string }[]
}): TokenVerdict {
  const { first, before, after, total, settled, entries } = reading
  const verdict = { before, after, slices: entries.length, rows: total }
  const tooLarge = entries.find(({ state }) => state === 'too_large')
  if (tooLarge) {
    const why = `slice too large: ${formatCounted(tooLarge.slice.count, 'token')} that nothing tells apart, of which the org shows ${formatCount(tooLarge.rows)}`
    return { ...verdict, whole: false, why }
  }
  if (!settled) {
    const why = `count moved: the org counted ${formatCounted(before, 'token')} before and ${formatCount(after)} after, and read were ${formatCount(total)}`
    return { ...verdict, whole: false, why }
  }
  const moved =
    first === after
      ? ''
      : ` (the count moved from ${formatCount(first)}; what moved was read again)`
  const slices = entries.filter(({ rows }) => rows > 0).length
  const why = `each of ${formatCounted(slices, 'slice')} has as many tokens as its count, and together they are the ${formatCount(after)} that the org counts${moved}`
  return { ...verdict, whole: true, why }
}
