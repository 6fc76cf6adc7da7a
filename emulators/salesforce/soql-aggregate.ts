import type { FieldFunctionExpression, FieldType, HavingClause } from '@jetstreamapp/soql-parser-js'
import { SoqlError } from './soql-error.ts'
import { type ResolvedField, resolveField, type Scalar } from './soql-object.ts'
import { compileCondition } from './soql-predicate.ts'
import { formatValue, type PreparedQuery, type QueryContext, type QueryResult } from './soql-run.ts'
import { pathOf, readWhere, type WhereTree } from './soql-where.ts'

/** One column of an aggregate's answer: a group's field, or a function over the group. */
interface Cell {
  readonly name: string
  /** The function as the query writes it, in lower case without blanks. */
  readonly source: string
  readonly aggregate: boolean
  readonly resolved: ResolvedField | undefined
  readonly fold: (rows: readonly unknown[]) => Scalar
}

/** Runs a query with aggregate functions, grouped or not. Throws SoqlError where the object cannot be grouped. */
export function runAggregate(prepared: PreparedQuery, context: QueryContext): QueryResult {
  const { query, object, where } = prepared
  const keys = groupKeys(prepared)
  if (keys.length > 0 && !object.groups) {
    throw new SoqlError('MALFORMED_QUERY', `Grouped query on ${object.name} is not supported`)
  }
  const cells = cellsOf(prepared, context)
  const groups = new Map<string, unknown[]>()
  let matched = 0
  object.select(context.caller, where, (row) => {
    const key = JSON.stringify(keys.map((field) => field.get(row, context.caller)))
    const rows = groups.get(key)
    if (rows === undefined) groups.set(key, [row])
    else rows.push(row)
    matched += 1
  })
  if (keys.length === 0 && groups.size === 0) groups.set('', [])
  const accepts = havingOf(prepared, cells, context)
  const chosen = [...groups.values()].filter(accepts)
  const offset = query.offset ?? 0
  const rows = chosen.slice(offset, offset + (query.limit ?? chosen.length))
  return {
    object,
    columns: cells.map(({ name, aggregate }) => ({ displayName: name, aggregate })),
    matched,
    totalSize: rows.length,
    rows,
    write: (group) => writeGroup(cells, group as readonly unknown[]),
  }
}

function writeGroup(cells: readonly Cell[], rows: readonly unknown[]): Record<string, unknown> {
  const values = cells.map((cell) => {
    const value = cell.fold(rows)
    return [cell.name, cell.resolved === undefined ? value : formatValue(cell.resolved, value)]
  })
  return { attributes: { type: 'AggregateResult' }, ...Object.fromEntries(values) }
}

function groupKeys({ query, object, prefixes }: PreparedQuery): readonly ResolvedField[] {
  const clauses = query.groupBy === undefined ? [] : [query.groupBy].flat()
  return clauses.map((clause) => {
    if (!('field' in clause)) {
      throw new SoqlError('MALFORMED_QUERY', 'grouping by a function is not supported by this org')
    }
    const resolved = resolveField(object, pathOf(clause.field, prefixes))
    if (!resolved.field.groupable) {
      throw new SoqlError('MALFORMED_QUERY', `field '${clause.field}' can not be grouped`)
    }
    return resolved
  })
}

function cellsOf(prepared: PreparedQuery, context: QueryContext): readonly Cell[] {
  let unnamed = 0
  return (prepared.query.fields ?? []).map((field) => {
    if (field.type === 'FieldFunctionExpression') {
      const name = field.alias ?? `expr${unnamed++}`
      return functionCell(name, field, prepared, context)
    }
    return groupCell(field, prepared, context)
  })
}

function groupCell(field: FieldType, prepared: PreparedQuery, context: QueryContext): Cell {
  const name =
    field.type === 'Field'
      ? field.field
      : field.type === 'FieldRelationship'
        ? [...field.relationships, field.field].join('.')
        : ''
  const resolved = resolveField(prepared.object, pathOf(name, prepared.prefixes))
  return {
    name: ('alias' in field ? field.alias : undefined) ?? resolved.field.name,
    source: name.toLowerCase(),
    aggregate: false,
    resolved,
    fold: (rows) => (rows.length === 0 ? null : resolved.get(rows[0], context.caller)),
  }
}

function functionCell(
  name: string,
  field: FieldFunctionExpression,
  prepared: PreparedQuery,
  context: QueryContext,
): Cell {
  const parameter = field.parameters[0]
  const path = typeof parameter === 'string' ? pathOf(parameter, prepared.prefixes) : undefined
  const resolved = path === undefined ? undefined : resolveField(prepared.object, path)
  const kind = field.functionName.toUpperCase()
  const keepsType = kind === 'MIN' || kind === 'MAX'
  return {
    name,
    source: sourceOf(field.rawValue ?? ''),
    aggregate: true,
    resolved: keepsType ? resolved : undefined,
    fold: (rows) => {
      if (resolved === undefined) return rows.length
      return foldValues(
        kind,
        resolved,
        rows.map((row) => resolved.get(row, context.caller)),
      )
    },
  }
}

function sourceOf(text: string): string {
  return text.toLowerCase().replaceAll(/\s/g, '')
}

function foldValues(kind: string, { field }: ResolvedField, all: readonly Scalar[]): Scalar {
  const values = all.filter((value) => value !== null)
  switch (kind) {
    case 'COUNT':
      // An Id is never missing in a table that has rows, though OauthToken shows none.
      return field.name === 'Id' ? all.length : values.length
    case 'COUNT_DISTINCT':
      return new Set(values).size
    case 'MIN':
      return values.reduce<Scalar>(
        (low, value) => (low === null || value < low ? value : low),
        null,
      )
    case 'MAX':
      return values.reduce<Scalar>(
        (high, value) => (high === null || value > high ? value : high),
        null,
      )
    case 'SUM':
    case 'AVG': {
      const sum = values.reduce<number>((total, value) => total + Number(value), 0)
      return kind === 'SUM' ? sum : values.length === 0 ? null : sum / values.length
    }
    default:
      throw new SoqlError('MALFORMED_QUERY', `function not supported by this org: ${kind}`)
  }
}

function havingOf(
  prepared: PreparedQuery,
  cells: readonly Cell[],
  context: QueryContext,
): (rows: readonly unknown[]) => boolean {
  const clause: HavingClause | undefined = prepared.query.having
  if (clause === undefined) return () => true
  // Read with the WHERE reader, which wants no object's name in front of a function.
  const tree = readWhere(clause as Parameters<typeof readWhere>[0], {
    nowMs: context.nowMs,
    prefixes: new Set(),
    subquery: () => [],
  })
  return (rows) => judgeHaving(tree, cells, rows)
}

function judgeHaving(tree: WhereTree, cells: readonly Cell[], rows: readonly unknown[]): boolean {
  switch (tree.kind) {
    case 'and':
      return tree.parts.every((part) => judgeHaving(part, cells, rows))
    case 'or':
      return tree.parts.some((part) => judgeHaving(part, cells, rows))
    case 'not':
      return !judgeHaving(tree.part, cells, rows)
    case 'test': {
      const name = sourceOf(tree.test.path.join('.'))
      const cell = cells.find(({ source, name: alias }) => source === name || alias === name)
      if (cell === undefined) throw new SoqlError('MALFORMED_QUERY', `unknown in HAVING: ${name}`)
      const number = { name, type: 'int', get: () => 0 } as const
      const field = cell.resolved?.field ?? {
        ...number,
        filterable: true,
        groupable: true,
        sortable: true,
      }
      return compileCondition(field, tree.test)(cell.fold(rows))
    }
  }
}
