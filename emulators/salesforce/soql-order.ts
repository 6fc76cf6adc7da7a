import type { OrderByClause } from '@jetstreamapp/soql-parser-js'
import type { Session } from './sessions.ts'
import { SoqlError } from './soql-error.ts'
import { resolveField, type Scalar } from './soql-object.ts'
import type { PreparedQuery } from './soql-run.ts'
import { pathOf } from './soql-where.ts'

interface SortKey {
  readonly valueOf: (row: unknown) => Scalar
  readonly descending: boolean
  readonly nullsLast: boolean
}

/** Collects rows and keeps the first ones of an order, so that sorting a million rows holds few of them. */
export interface RowSorter {
  add(row: unknown): void
  /** Gives the kept rows in order. */
  rows(): unknown[]
}

interface Entry {
  readonly row: unknown
  readonly values: readonly Scalar[]
}

/** Rows gathered beyond those to keep before they are sorted and cut. */
const SLACK_ROWS = 5_000

/** Makes a sorter by the ORDER BY of a query that keeps `keepMax` rows; nulls come first unless it says otherwise. */
export function createRowSorter(
  prepared: PreparedQuery,
  caller: Session,
  keepMax: number,
): RowSorter {
  const keys = sortKeys(prepared, caller)
  let entries: Entry[] = []
  let bar: Entry | undefined
  const cut = (): void => {
    entries.sort((a, b) => compareEntries(keys, a.values, b.values))
    entries = entries.slice(0, keepMax)
    bar = entries.length === keepMax ? entries.at(-1) : undefined
  }
  return {
    add: (row) => {
      const values = keys.map((key) => key.valueOf(row))
      // A row behind the last kept one can never come back; ties stay out too, as the sort is stable.
      if (bar !== undefined && compareEntries(keys, values, bar.values) >= 0) return
      entries.push({ row, values })
      if (entries.length >= keepMax + SLACK_ROWS) cut()
    },
    rows: () => {
      cut()
      return entries.map((entry) => entry.row)
    },
  }
}

function sortKeys({ query, object, prefixes }: PreparedQuery, caller: Session): SortKey[] {
  const clauses = query.orderBy === undefined ? [] : [query.orderBy].flat()
  return clauses.map((clause: OrderByClause) => {
    if (!('field' in clause)) {
      throw new SoqlError('MALFORMED_QUERY', 'ordering by a function needs GROUP BY')
    }
    const { field, get } = resolveField(object, pathOf(clause.field, prefixes))
    if (!field.sortable) {
      throw new SoqlError(
        'INVALID_FIELD',
        `field '${field.name}' can not be sorted in a query call`,
      )
    }
    const fold = field.type === 'text'
    return {
      valueOf: (row) => {
        const value = get(row, caller)
        return fold && typeof value === 'string' ? value.toLowerCase() : value
      },
      descending: clause.order === 'DESC',
      nullsLast: clause.nulls === 'LAST',
    }
  })
}

function compareEntries(
  keys: readonly SortKey[],
  left: readonly Scalar[],
  right: readonly Scalar[],
): number {
  for (let at = 0; at < keys.length; at += 1) {
    const order = compareValues(keys[at]!, left[at] ?? null, right[at] ?? null)
    if (order !== 0) return order
  }
  return 0
}

function compareValues(key: SortKey, left: Scalar, right: Scalar): number {
  if (left === right) return 0
  if (left === null) return key.nullsLast ? 1 : -1
  if (right === null) return key.nullsLast ? -1 : 1
  const order = left < right ? -1 : 1
  return key.descending ? -order : order
}
