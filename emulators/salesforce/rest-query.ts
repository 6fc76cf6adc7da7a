import { type Answer, jsonAnswer } from '../answer.ts'
import { notFound, restError } from './answer.ts'
import { type Call, queryOf, withSession } from './call.ts'
import { defineSchema, type Schema } from './objects.ts'
import type { Org } from './org.ts'
import { PREFIX, recordId } from './record-id.ts'
import type { Session } from './sessions.ts'
import { SoqlError } from './soql-error.ts'
import { type QueryResult, runQuery } from './soql-run.ts'

/** A query whose later pages can be fetched. */
interface Cursor {
  readonly user: number
  readonly result: QueryResult
  readonly caller: Session
  readonly openedMs: number
  readonly pageRows: number
}

/** The queries of one org: its schema, and the cursors left open. */
export interface QueryDesk {
  readonly schema: Schema
  /** What queryAll is run over. */
  readonly schemaOfAll: Schema
  readonly cursors: Map<string, Cursor>
  opened: number
}

/** A user may hold ten cursors; the next one closes the oldest. */
export const CURSORS_MAX = 10
/** A cursor lives a quarter of an hour. */
export const CURSOR_LIFE_MS = 15 * 60_000
const BATCH_MIN = 200

/** Makes the query desk of an org. */
export function createQueryDesk(org: Org): QueryDesk {
  const schema = defineSchema(org, false)
  const schemaOfAll = org.switches.queryAll === 'same' ? schema : defineSchema(org, true)
  return { schema, schemaOfAll, cursors: new Map(), opened: 0 }
}

/** Answers GET /query and /queryAll, and the pages behind a locator. */
export function answerQuery(desk: QueryDesk, call: Call, version: string, rest: string): Answer {
  const locator = /\/([^/]+)\/?$/.exec(rest)?.[1]
  return withSession(call, (session) => {
    if (locator !== undefined) return nextPage(desk, call, version, locator, session)
    const text = queryOf(call).get('q')
    if (text === null) return restError(400, 'MALFORMED_QUERY', 'the parameter q is missing')
    const all = /\/queryAll/i.test(call.path)
    const result = tryQuery(desk, call.org, text, session, all)
    if (!('object' in result)) return result
    if (queryOf(call).get('columns') === 'true') return jsonAnswer(200, describeColumns(result))
    return firstPage(desk, call, version, result, session)
  })
}

/** Answers the Tooling API's query: this org has none of its objects, save those that both have. */
export function answerToolingQuery(desk: QueryDesk, call: Call, version: string): Answer {
  const text = queryOf(call).get('q') ?? ''
  if (/\bfrom\s+SandboxProcess\b/i.test(text)) return withSession(call, () => notFound())
  return answerQuery(desk, call, version, '')
}

/** Runs a query and turns a refusal into the REST API's answer. */
export function tryQuery(
  desk: QueryDesk,
  org: Org,
  text: string,
  caller: Session,
  all = false,
): QueryResult | Answer {
  try {
    return runQuery(text, {
      schema: all ? desk.schemaOfAll : desk.schema,
      caller,
      nowMs: org.now(),
      totalSizeOnCap: org.switches.totalSizeOnCap,
    })
  } catch (error) {
    if (error instanceof SoqlError) return restError(400, error.errorCode, error.message)
    throw error
  }
}

/** The column list that the `sf` command asks for with `columns=true`. */
function describeColumns(result: QueryResult): unknown {
  return {
    columnMetadata: result.columns.map(({ displayName, aggregate }) => ({
      aggregate,
      booleanType: false,
      columnName: displayName,
      custom: false,
      displayName,
      foreignKeyName: null,
      insertable: false,
      joinColumns: [],
      numberType: false,
      textType: true,
      updatable: false,
    })),
    entityName: result.object.name,
    groupBy: false,
    idSelected: false,
    keyPrefix: result.object.keyPrefix,
  }
}

function firstPage(
  desk: QueryDesk,
  call: Call,
  version: string,
  result: QueryResult,
  session: Session,
): Answer {
  const pageRows = pageRowsOf(call, result)
  if (result.rows.length <= pageRows) {
    return page(call, version, { result, from: 0, pageRows, id: '' })
  }
  desk.opened += 1
  const id = `${recordId(PREFIX.queryLocator, desk.opened)}`
  const openedMs = call.org.now()
  const cursor = { user: session.user, result, caller: session, openedMs, pageRows }
  dropOldCursors(desk, session.user, openedMs)
  desk.cursors.set(id, cursor)
  return page(call, version, { result, from: 0, pageRows, id })
}

/** The batch size is a wish; OauthToken keeps to its 500. */
function pageRowsOf(call: Call, result: QueryResult): number {
  const wish = /batchSize=(\d+)/i.exec(String(call.headers['sforce-query-options'] ?? ''))?.[1]
  if (wish === undefined || result.object.name === 'OauthToken') return result.object.pageRows
  return Math.min(Math.max(Number(wish), BATCH_MIN), result.object.pageRows)
}

function dropOldCursors(desk: QueryDesk, user: number, nowMs: number): void {
  for (const [id, cursor] of desk.cursors) {
    if (nowMs - cursor.openedMs >= CURSOR_LIFE_MS) desk.cursors.delete(id)
  }
  const own = [...desk.cursors].filter(([, cursor]) => cursor.user === user)
  for (const [id] of own.slice(0, Math.max(0, own.length - CURSORS_MAX + 1))) {
    desk.cursors.delete(id)
  }
}

function nextPage(
  desk: QueryDesk,
  call: Call,
  version: string,
  locator: string,
  session: Session,
): Answer {
  const [id = '', from = ''] = locator.split('-', 2)
  const cursor = desk.cursors.get(id)
  const isOpen = cursor !== undefined && call.org.now() - cursor.openedMs < CURSOR_LIFE_MS
  if (!isOpen || cursor.user !== session.user || !/^\d+$/.test(from)) {
    return restError(400, 'INVALID_QUERY_LOCATOR', 'invalid query locator')
  }
  const { result, pageRows } = cursor
  return page(call, version, { result, from: Number(from), pageRows, id })
}

interface Page {
  readonly result: QueryResult
  readonly from: number
  readonly pageRows: number
  readonly id: string
}

function page(call: Call, version: string, { result, from, pageRows, id }: Page): Answer {
  const to = from + pageRows
  const rows = withFault(call, result.rows.slice(from, to)).filter((row) =>
    isStillThere(call.org, result, row, from),
  )
  const done = to >= result.rows.length
  const next = done ? {} : { nextRecordsUrl: `/services/data/v${version}/query/${id}-${to}` }
  return jsonAnswer(200, {
    totalSize: result.totalSize,
    done,
    ...next,
    records: rows.map((row) => result.write(row, version)),
  })
}

function withFault(call: Call, rows: readonly unknown[]): readonly unknown[] {
  const kind = call.fault?.kind
  if ((kind !== 'drop_row' && kind !== 'duplicate_row') || rows.length === 0) return rows
  const struck = call.org.random.int(rows.length)
  return rows.flatMap((row, at) => {
    if (at !== struck) return [row]
    return kind === 'drop_row' ? [] : [row, row]
  })
}

function isStillThere(org: Org, result: QueryResult, row: unknown, from: number): boolean {
  if (from === 0 || org.switches.cursorRows === 'snapshot') return true
  if (result.object.name !== 'OauthToken' || typeof row !== 'number') return true
  return org.grants.state[row] === 0
}
