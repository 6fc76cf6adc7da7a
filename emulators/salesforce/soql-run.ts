import { parseQuery, type Query } from '@jetstreamapp/soql-parser-js'
import type { Schema } from './objects.ts'
import type { Session } from './sessions.ts'
import { runAggregate } from './soql-aggregate.ts'
import { noSuchColumn, SoqlError } from './soql-error.ts'
import type { Literal } from './soql-literal.ts'
import { type ResolvedField, resolveField, type Scalar, type SObject } from './soql-object.ts'
import { createRowSorter } from './soql-order.ts'
import { pathOf, readWhere, type WhereTree } from './soql-where.ts'

/** A query's answer: how many rows match, and those that it gives out, ready to be written. */
export interface QueryResult {
  readonly object: SObject
  readonly columns: readonly Column[]
  /** How many rows matched, before any cap. */
  readonly matched: number
  /** How many rows the answer says it has. */
  readonly totalSize: number
  readonly rows: readonly unknown[]
  readonly write: (row: unknown, version: string) => Record<string, unknown>
}

/** One selected column, as `columns=true` describes it. */
export interface Column {
  readonly displayName: string
  readonly aggregate: boolean
}

/** What a query is run with. */
export interface QueryContext {
  readonly schema: Schema
  readonly caller: Session
  readonly nowMs: number
  readonly totalSizeOnCap: 'true-total' | 'capped'
}

/** A query that was parsed and checked against the schema. */
export interface PreparedQuery {
  readonly query: Query
  readonly object: SObject
  readonly prefixes: ReadonlySet<string>
  readonly where: WhereTree | undefined
}

/** Runs a query. Throws SoqlError where the org refuses it. */
export function runQuery(text: string, context: QueryContext): QueryResult {
  const prepared = prepare(parse(text), context)
  const { query } = prepared
  if (isCount(query)) return countRows(prepared, context)
  const aggregates = query.fields?.some(
    (field) => field.type === 'FieldFunctionExpression' && field.isAggregateFn === true,
  )
  if (aggregates === true || query.groupBy !== undefined) return runAggregate(prepared, context)
  return listRows(prepared, context)
}

function parse(text: string): Query {
  try {
    return parseQuery(text)
  } catch (error) {
    const message = error instanceof Error ? error.message.split('\n')[0]! : 'unexpected token'
    throw new SoqlError('MALFORMED_QUERY', `\n${text}\n^\nERROR at Row:1:Column:1\n${message}`)
  }
}

function prepare(query: Query, context: QueryContext): PreparedQuery {
  const name = query.sObject ?? ''
  const object = context.schema.get(name.toLowerCase())
  if (object === undefined) {
    throw new SoqlError('INVALID_TYPE', `sObject type '${name}' is not supported.`)
  }
  const prefixes = new Set([name.toLowerCase()])
  if (query.sObjectAlias !== undefined) prefixes.add(query.sObjectAlias.toLowerCase())
  const where =
    query.where === undefined
      ? undefined
      : readWhere(query.where, {
          nowMs: context.nowMs,
          prefixes,
          subquery: (inner) => runSemiJoin(inner, context),
        })
  return { query, object, prefixes, where }
}

function runSemiJoin(query: Query, context: QueryContext): readonly Literal[] {
  const prepared = prepare(query, context)
  const column = selectColumns(prepared)[0]
  if (column === undefined) throw new SoqlError('MALFORMED_QUERY', 'semi join without a column')
  const literals: Literal[] = []
  prepared.object.select(context.caller, prepared.where, (row) => {
    const value = column.get(row, context.caller)
    literals.push(value === null ? { type: 'null' } : { type: 'string', value: String(value) })
  })
  return literals
}

function isCount(query: Query): boolean {
  const field = query.fields?.length === 1 ? query.fields[0] : undefined
  return field?.type === 'FieldFunctionExpression' && /^count\(\s*\)$/i.test(field.rawValue ?? '')
}

function countRows(prepared: PreparedQuery, context: QueryContext): QueryResult {
  const matched = prepared.object.count(context.caller, prepared.where)
  const totalSize = Math.min(matched, prepared.query.limit ?? matched)
  const columns = [{ displayName: 'Count', aggregate: true }]
  return { object: prepared.object, columns, matched, totalSize, rows: [], write: () => ({}) }
}

function listRows(prepared: PreparedQuery, context: QueryContext): QueryResult {
  const { query, object, where } = prepared
  const offset = query.offset ?? 0
  checkOffset(object, offset)
  const columns = selectColumns(prepared)
  const rowsMax = Math.min(query.limit ?? Number.POSITIVE_INFINITY, object.rowsMax)
  const window = collectWindow(prepared, context.caller, offset, rowsMax)
  object.select(context.caller, where, window.add)
  const { matched, rows } = window.take()
  const wanted = Math.min(Math.max(matched - offset, 0), query.limit ?? Number.POSITIVE_INFINITY)
  return {
    object,
    columns: columns.map((column) => ({ displayName: column.names.join('.'), aggregate: false })),
    matched,
    totalSize: context.totalSizeOnCap === 'capped' ? rows.length : wanted,
    rows,
    write: writerOf(object, columns, context.caller),
  }
}

interface Window {
  readonly add: (row: unknown) => void
  readonly take: () => { readonly matched: number; readonly rows: readonly unknown[] }
}

/** Counts all rows and keeps those between the offset and the cap. */
function collectWindow(
  prepared: PreparedQuery,
  caller: Session,
  offset: number,
  rowsMax: number,
): Window {
  let matched = 0
  if (prepared.query.orderBy === undefined) {
    const rows: unknown[] = []
    const add = (row: unknown): void => {
      if (matched >= offset && matched < offset + rowsMax) rows.push(row)
      matched += 1
    }
    return { add, take: () => ({ matched, rows }) }
  }
  const sorter = createRowSorter(prepared, caller, offset + rowsMax)
  const add = (row: unknown): void => {
    matched += 1
    sorter.add(row)
  }
  return { add, take: () => ({ matched, rows: sorter.rows().slice(offset) }) }
}

function checkOffset(object: SObject, offset: number): void {
  if (offset <= object.offsetMax) return
  throw new SoqlError(
    'NUMBER_OUTSIDE_VALID_RANGE',
    `Maximum SOQL offset allowed is ${object.offsetMax}`,
  )
}

/** FIELDS(ALL) and its kin are refused without a limit of 200, as the vendor does it. */
const FIELDS_LIMIT = 200

function selectColumns(prepared: PreparedQuery): readonly ResolvedField[] {
  const { query, object, prefixes } = prepared
  return (query.fields ?? []).flatMap((field) => {
    if (field.type === 'FieldFunctionExpression' && field.functionName.toUpperCase() === 'FIELDS') {
      return allFields(prepared)
    }
    if (field.type === 'Field') return [resolveField(object, pathOf(field.field, prefixes))]
    if (field.type === 'FieldRelationship') {
      const path = pathOf([...field.relationships, field.field].join('.'), prefixes)
      return [resolveField(object, path)]
    }
    throw noSuchColumn('rawValue' in field ? (field.rawValue ?? '?') : '?', object.name)
  })
}

function allFields({ query, object }: PreparedQuery): readonly ResolvedField[] {
  if ((query.limit ?? Number.POSITIVE_INFINITY) > FIELDS_LIMIT) {
    throw new SoqlError(
      'MALFORMED_QUERY',
      `The SOQL FIELDS function must have a LIMIT of at most ${FIELDS_LIMIT}`,
    )
  }
  return [...object.fields.values()].map((field) => ({
    field,
    names: [field.name],
    get: field.get,
    parents: () => [],
  }))
}

function writerOf(
  object: SObject,
  columns: readonly ResolvedField[],
  caller: Session,
): QueryResult['write'] {
  return (row, version) => {
    const record = blankRecord(object, row, caller, version)
    for (const column of columns) writeColumn(record, column, row, caller, version)
    return record
  }
}

/** The id that stands in the address of a record which has none. */
const NO_ID = '000000000000000AAA'

function blankRecord(
  { name, fields }: SObject,
  row: unknown,
  caller: Session,
  version: string,
): Record<string, unknown> {
  const id = fields.get('id')?.get(row, caller) || NO_ID
  return { attributes: { type: name, url: `/services/data/v${version}/sobjects/${name}/${id}` } }
}

function writeColumn(
  record: Record<string, unknown>,
  column: ResolvedField,
  row: unknown,
  caller: Session,
  version: string,
): void {
  const parents = column.names.length === 1 ? [] : column.parents(row)
  let target = record
  for (const [at, parent] of parents.entries()) {
    const name = column.names[at]!
    const inner = target[name] ?? blankRecord(parent.object, parent.row, caller, version)
    target[name] = inner
    target = inner as Record<string, unknown>
  }
  // A missing parent is null as a whole, and not an object of nulls.
  const whole = parents.length === column.names.length - 1
  const value = whole ? formatValue(column, column.get(row, caller)) : null
  target[column.names[parents.length]!] = value
}

/** Writes a value as the REST API does: datetimes with milliseconds and `+0000`. */
export function formatValue(column: ResolvedField, value: Scalar): Scalar {
  if (column.field.type !== 'datetime' || typeof value !== 'number') return value
  return new Date(value).toISOString().replace('Z', '+0000')
}
