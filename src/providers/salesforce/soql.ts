import { RescindError } from '../../core/errors.ts'
import type { Connection } from './connection.ts'

/** One row of a query, as JSON gives it. */
export type Row = Readonly<Record<string, unknown>>

export interface Asking {
  /** For messages: `the list of users`. */
  readonly what: string
  readonly signal?: AbortSignal | undefined
}

/** More pages than any query of ours has; a list that never ends is cut off here. */
const PAGES_MAX = 20_000

/**
 * Writes a text as a SOQL literal.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_quotedstringescapes.htm
 */
export function soqlText(value: string): string {
  const escaped = value
    .replace(/[\\'"]/g, (character) => `\\${character}`)
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
    .replaceAll('\t', '\\t')
    .replaceAll('\b', '\\b')
    .replaceAll('\f', '\\f')
  return `'${escaped}'`
}

/** Writes a moment, in milliseconds, as a SOQL literal of whole seconds. */
export function soqlTime(ms: number): string {
  return `${new Date(Math.floor(ms / 1000) * 1000).toISOString().slice(0, 19)}Z`
}

/** Joins conditions with AND; empty ones fall out. */
export function allOf(...conditions: readonly string[]): string {
  return conditions.filter((condition) => condition !== '').join(' AND ')
}

/** Writes ` WHERE …`, or nothing without a condition. */
export function where(condition: string): string {
  return condition === '' ? '' : ` WHERE ${condition}`
}

/** Asks how many rows there are; true even where a query shows fewer. */
export async function countRows(
  connection: Connection,
  object: string,
  condition: string,
  asking: Asking,
): Promise<number> {
  const soql = `SELECT COUNT() FROM ${object}${where(condition)}`
  const answer = await connection.read(queryPath(connection, soql), asking.what, asking.signal)
  const size = (answer as { totalSize?: unknown } | null)?.totalSize
  if (typeof size !== 'number') throw notAQueryAnswer(asking.what)
  return size
}

/** Streams the pages of a query, each as the vendor cuts it. */
export async function* queryPages(
  connection: Connection,
  soql: string,
  asking: Asking,
): AsyncGenerator<readonly Row[]> {
  let path = queryPath(connection, soql)
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer = await connection.read(path, asking.what, asking.signal)
    const { records, done, nextRecordsUrl } = answer as {
      records?: unknown
      done?: unknown
      nextRecordsUrl?: unknown
    }
    if (!Array.isArray(records)) throw notAQueryAnswer(asking.what)
    yield records as readonly Row[]
    if (done === true || typeof nextRecordsUrl !== 'string') return
    path = localPath(nextRecordsUrl, asking.what)
  }
  throw new RescindError('answer_invalid', `Salesforce's answer to ${asking.what} does not end.`)
}

/** Reads all rows of a query that is known to be short. */
export async function queryRows(
  connection: Connection,
  soql: string,
  asking: Asking,
): Promise<readonly Row[]> {
  const rows: Row[] = []
  for await (const page of queryPages(connection, soql, asking)) rows.push(...page)
  return rows
}

export function textOf(row: Row, field: string): string | null {
  const value = row[field]
  return typeof value === 'string' && value !== '' ? value : null
}

export function numberOf(row: Row, field: string): number | null {
  const value = row[field]
  return typeof value === 'number' ? value : null
}

export function flagOf(row: Row, field: string): boolean | null {
  const value = row[field]
  return typeof value === 'boolean' ? value : null
}

/** Reads a date and time (`2025-08-08T10:11:12.000+0000`) as milliseconds. */
export function timeOf(row: Row, field: string): number | null {
  const value = row[field]
  if (typeof value !== 'string') return null
  const ms = Date.parse(value.endsWith('+0000') ? `${value.slice(0, -5)}Z` : value)
  return Number.isNaN(ms) ? null : ms
}

/** Reads a related row (`AppMenuItem.ApplicationId` → its row). */
export function rowOf(row: Row, relation: string): Row | null {
  const value = row[relation]
  return typeof value === 'object' && value !== null ? (value as Row) : null
}

function queryPath(connection: Connection, soql: string): string {
  const query = new URLSearchParams({ q: soql })
  return `/services/data/v${connection.apiVersion}/query?${query}`
}

/** A next page stands on the same instance; an address elsewhere would get the session. */
function localPath(nextRecordsUrl: string, what: string): string {
  if (/^\/services\/data\/v\d+\.\d\/query\/[\w.-]+$/.test(nextRecordsUrl)) return nextRecordsUrl
  throw new RescindError(
    'answer_invalid',
    `Salesforce named a next page of ${what} that is not one of its own addresses.`,
  )
}

function notAQueryAnswer(what: string): RescindError {
  return new RescindError(
    'answer_invalid',
    `The answer to ${what} is not one of a Salesforce query. Check the tenant's url.`,
  )
}
