import type { Connection } from './connection.ts'
import { toLongId } from './ids.ts'
import { isRefusal } from './rest-answer.ts'
import { type Axis, ROWS_MAX, timeAxis, valueAxis } from './slice-cuts.ts'
import type { AxisSource, Slice, SliceQuestions } from './slice-plan.ts'
import {
  type Asking,
  allOf,
  countRows,
  numberOf,
  queryPages,
  type Row,
  rowOf,
  textOf,
  timeOf,
  where,
} from './soql.ts'

/** A row of OauthToken as we read it: never its AccessToken or RequestToken. */
export interface OauthTokenRow {
  readonly deleteToken: string | null
  readonly userId: string | null
  readonly appName: string | null
  /** The installed app, when the row names one. */
  readonly applicationId: string | null
  readonly createdAt: number | null
  readonly lastUsedAt: number | null
  readonly useCount: number | null
}

const OBJECT = 'OauthToken'
const FIELDS =
  'DeleteToken, UserId, AppName, AppMenuItem.ApplicationId, CreatedDate, LastUsedDate, UseCount'
/** Readings of one slice until its rows and its count agree. */
const READINGS_MAX = 4
/** What refuses an ordering or a filter: the org does not have it, and another way is taken. */
const UNSUPPORTED = ['INVALID_FIELD', 'MALFORMED_QUERY', 'INVALID_FIELD_FOR_INSERT_UPDATE']
/** An OFFSET that an org does not allow. */
const OFFSET_REFUSED = ['NUMBER_OUTSIDE_VALID_RANGE', 'MALFORMED_QUERY', 'INVALID_FIELD']
/** A cursor that ran out while it was read; the slice is read again. */
const CURSOR_LOST = ['INVALID_QUERY_LOCATOR', 'INVALID_QUERY_CURSOR']

/** What a reading of one slice gave. */
export interface SliceRead {
  readonly rows: readonly OauthTokenRow[]
  /** The rows' number, which a count confirmed if `whole`. */
  readonly count: number
  readonly state: 'whole' | 'moving' | 'grown' | 'too_large'
}

/** Counts the tokens under a condition. */
export function countTokens(connection: Connection, condition: string, signal?: AbortSignal) {
  return countRows(connection, OBJECT, condition, { what: 'a count of tokens', signal })
}

/** Returns what planning asks, against a real org. */
export function sliceQuestions(
  connection: Connection,
  known: { readonly userIds: Iterable<string>; readonly labels: Iterable<string> },
  signal?: AbortSignal,
): SliceQuestions {
  const asking = { what: 'the range of tokens', signal }
  return {
    count: (condition) => countTokens(connection, condition, signal),
    axes: [
      timeSource(connection, 'CreatedDate', asking),
      async () => valueAxis('UserId', known.userIds),
      timeSource(connection, 'LastUsedDate', asking),
      async () => valueAxis('AppName', known.labels),
    ],
  }
}

/** The axis between the first and the last moment under a condition, if the org can order by it. */
function timeSource(
  connection: Connection,
  field: 'CreatedDate' | 'LastUsedDate',
  asking: Asking,
): AxisSource {
  const end = async (condition: string, direction: 'ASC' | 'DESC') => {
    const filter = where(allOf(condition, `${field} != null`))
    const soql = `SELECT ${field} FROM ${OBJECT}${filter} ORDER BY ${field} ${direction} LIMIT 1`
    for await (const [row] of queryPages(connection, soql, asking)) {
      if (row) return timeOf(row, field)
    }
    return null
  }
  return async (condition): Promise<Axis | undefined> => {
    try {
      const [first, last] = [await end(condition, 'ASC'), await end(condition, 'DESC')]
      return first === null || last === null ? undefined : timeAxis(field, first, last)
    } catch (error) {
      if (isRefusal(error, ...UNSUPPORTED)) return undefined
      throw error
    }
  }
}

/**
 * Reads one slice until its distinct rows and its count agree. A slice that grew past what a query
 * shows is `grown`: it must be cut again.
 */
export async function readSlice(
  connection: Connection,
  slice: Slice,
  signal?: AbortSignal,
): Promise<SliceRead> {
  let { count } = slice
  let rows: readonly OauthTokenRow[] = []
  for (let reading = 0; reading < READINGS_MAX; reading += 1) {
    const read = await readOnce(connection, slice, count, signal)
    if (read === 'offset_refused') return tooLarge(connection, slice, signal)
    if (read === 'cursor_lost') continue
    rows = read
    if (rows.length === count) return { rows, count, state: 'whole' }
    count = await countTokens(connection, slice.condition, signal)
    if (rows.length === count) return { rows, count, state: 'whole' }
    if (count > ROWS_MAX && !slice.tooLarge) return { rows: [], count, state: 'grown' }
  }
  return { rows, count, state: 'moving' }
}

async function readOnce(
  connection: Connection,
  slice: Slice,
  count: number,
  signal?: AbortSignal,
): Promise<readonly OauthTokenRow[] | 'offset_refused' | 'cursor_lost'> {
  try {
    return slice.tooLarge
      ? await readByOffset(connection, slice.condition, count, signal)
      : await readUpToCap(connection, slice.condition, signal)
  } catch (error) {
    if (isRefusal(error, ...CURSOR_LOST)) return 'cursor_lost'
    if (slice.tooLarge && isRefusal(error, ...OFFSET_REFUSED)) return 'offset_refused'
    throw error
  }
}

async function tooLarge(connection: Connection, slice: Slice, signal?: AbortSignal) {
  const rows = await readUpToCap(connection, slice.condition, signal)
  return { rows, count: slice.count, state: 'too_large' as const }
}

/** Reads the rows under a condition, as many as a query shows. */
export async function readUpToCap(
  connection: Connection,
  condition: string,
  signal?: AbortSignal,
): Promise<readonly OauthTokenRow[]> {
  return readTokens(connection, `SELECT ${FIELDS} FROM ${OBJECT}${where(condition)}`, signal)
}

/**
 * Reads past the cap by OFFSET, in the order of the handles, so that the windows do not overlap.
 * Some orgs allow it on this object, although not on others.
 */
async function readByOffset(
  connection: Connection,
  condition: string,
  count: number,
  signal?: AbortSignal,
): Promise<readonly OauthTokenRow[]> {
  const rows: OauthTokenRow[] = []
  for (let offset = 0; offset < count; offset += ROWS_MAX) {
    const window = `ORDER BY DeleteToken LIMIT ${ROWS_MAX} OFFSET ${offset}`
    const soql = `SELECT ${FIELDS} FROM ${OBJECT}${where(condition)} ${window}`
    const read = await readTokens(connection, soql, signal)
    for (const row of read) rows.push(row)
    if (read.length === 0) break
  }
  return distinct(rows)
}

async function readTokens(
  connection: Connection,
  soql: string,
  signal?: AbortSignal,
): Promise<readonly OauthTokenRow[]> {
  const asking = { what: 'the list of tokens', signal }
  const rows: OauthTokenRow[] = []
  for await (const page of queryPages(connection, soql, asking)) {
    for (const row of page) rows.push(tokenOf(row))
  }
  return distinct(rows)
}

/** Rows move between pages while they are read; the handle is the only key of a row. */
function distinct(rows: readonly OauthTokenRow[]): readonly OauthTokenRow[] {
  const seen = new Set<string>()
  return rows.filter(({ deleteToken }) => {
    if (deleteToken === null) return true
    if (seen.has(deleteToken)) return false
    seen.add(deleteToken)
    return true
  })
}

function tokenOf(row: Row): OauthTokenRow {
  const userId = textOf(row, 'UserId')
  const app = rowOf(row, 'AppMenuItem')
  const applicationId = app === null ? null : textOf(app, 'ApplicationId')
  return {
    deleteToken: textOf(row, 'DeleteToken'),
    userId: userId === null ? null : toLongId(userId),
    appName: textOf(row, 'AppName'),
    applicationId: applicationId === null ? null : toLongId(applicationId),
    createdAt: timeOf(row, 'CreatedDate'),
    lastUsedAt: timeOf(row, 'LastUsedDate'),
    useCount: numberOf(row, 'UseCount'),
  }
}
