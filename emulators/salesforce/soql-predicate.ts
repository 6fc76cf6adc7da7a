import { shortId } from './record-id.ts'
import type { Session } from './sessions.ts'
import { SoqlError } from './soql-error.ts'
import type { Literal } from './soql-literal.ts'
import { type Field, resolveField, type Scalar, type SObject } from './soql-object.ts'
import type { Test, WhereTree } from './soql-where.ts'

export type Predicate = (row: unknown) => boolean

/** Compiles a clause into a function of a row. Throws SoqlError where a field or a value does not fit. */
export function compileWhere(object: SObject, tree: WhereTree, caller: Session): Predicate {
  switch (tree.kind) {
    case 'test':
      return compileTest(object, tree.test, caller)
    case 'not': {
      const inner = compileWhere(object, tree.part, caller)
      return (row) => !inner(row)
    }
    case 'and': {
      const parts = tree.parts.map((part) => compileWhere(object, part, caller))
      return (row) => parts.every((part) => part(row))
    }
    case 'or': {
      const parts = tree.parts.map((part) => compileWhere(object, part, caller))
      return (row) => parts.some((part) => part(row))
    }
  }
}

function compileTest(object: SObject, test: Test, caller: Session): Predicate {
  const { field, get } = resolveField(object, test.path)
  if (!field.filterable) {
    throw new SoqlError(
      'INVALID_FIELD',
      `field '${field.name}' can not be filtered in a query call`,
    )
  }
  const accepts = compileCondition(field, test)
  return (row) => accepts(get(row, caller))
}

/** Compiles one condition into a function of the field's value. */
export function compileCondition(field: Field, test: Test): (value: Scalar) => boolean {
  const { operator, literals } = test
  for (const literal of literals) checkLiteral(field, literal)
  switch (operator) {
    case 'IN':
      return anyOf(field, literals)
    case 'NOT IN': {
      const inside = anyOf(field, literals)
      return (value) => !inside(value)
    }
    case '!=':
    case '<>': {
      const same = equals(field, literals[0]!)
      return (value) => !same(value)
    }
    case '=':
      return equals(field, literals[0]!)
    case 'LIKE':
      return likes(field, literals[0]!)
    case '<':
    case '<=':
    case '>':
    case '>=':
      return compares(field, operator, literals[0]!)
    default:
      throw new SoqlError(
        'MALFORMED_QUERY',
        `operator not supported for ${field.name}: ${operator}`,
      )
  }
}

const ACCEPTS: Readonly<Record<Field['type'], readonly Literal['type'][]>> = {
  id: ['string', 'null'],
  text: ['string', 'null'],
  token: ['string', 'null'],
  boolean: ['boolean', 'null'],
  int: ['number', 'null'],
  datetime: ['datetime', 'span', 'null'],
}

function checkLiteral(field: Field, literal: Literal): void {
  if (!ACCEPTS[field.type].includes(literal.type)) {
    const wanted = field.type === 'datetime' ? 'dateTime' : field.type
    throw new SoqlError(
      'INVALID_FIELD',
      `value of filter criterion for field '${field.name}' must be of type ${wanted}${literal.type === 'string' ? ' and should not be enclosed in quotes' : ''}`,
    )
  }
  if (field.type === 'id' && literal.type === 'string' && !isId(literal.value)) {
    throw new SoqlError('INVALID_QUERY_FILTER_OPERATOR', `invalid ID field: ${literal.value}`)
  }
}

function isId(value: string): boolean {
  return value === '' || /^([A-Za-z0-9]{15}|[A-Za-z0-9]{18})$/.test(value)
}

/** Brings a value into the form in which its type compares. */
function comparable(field: Field, value: Scalar): Scalar {
  if (typeof value !== 'string') return value
  if (field.type === 'id') return shortId(value)
  return field.type === 'text' ? value.toLowerCase() : value
}

function scalarOf(literal: Literal): Scalar {
  return literal.type === 'null' || literal.type === 'span' ? null : literal.value
}

function equals(field: Field, literal: Literal): (value: Scalar) => boolean {
  if (literal.type === 'span') {
    const { fromMs, toMs } = literal
    return (value) => typeof value === 'number' && value >= fromMs && value < toMs
  }
  const wanted = comparable(field, scalarOf(literal))
  return (value) => comparable(field, value) === wanted
}

function anyOf(field: Field, literals: readonly Literal[]): (value: Scalar) => boolean {
  const wanted = new Set(literals.map((literal) => comparable(field, scalarOf(literal))))
  return (value) => wanted.has(comparable(field, value))
}

function likes(field: Field, literal: Literal): (value: Scalar) => boolean {
  if (literal.type !== 'string') {
    throw new SoqlError('INVALID_FIELD', `LIKE needs a text for field '${field.name}'`)
  }
  const source = literal.value.replace(/\\?[\s\S]/g, (char) => {
    if (char === '%') return '[\\s\\S]*'
    if (char === '_') return '[\\s\\S]'
    return char.replace(/^\\/, '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  })
  const pattern = new RegExp(`^${source}$`, 'i')
  return (value) => typeof value === 'string' && pattern.test(value)
}

function compares(field: Field, operator: string, literal: Literal): (value: Scalar) => boolean {
  const [low, high] =
    literal.type === 'span'
      ? [literal.fromMs, literal.toMs]
      : [comparable(field, scalarOf(literal)), undefined]
  return (value) => {
    const left = comparable(field, value)
    if (left === null || low === null) return false
    // A span is before what follows it: `> TODAY` begins where today ends.
    if (operator === '<') return left < low
    if (operator === '>=') return left >= low
    if (typeof high === 'number' && typeof left === 'number') {
      return operator === '<=' ? left < high : left >= high
    }
    return operator === '<=' ? left <= low : left > low
  }
}
