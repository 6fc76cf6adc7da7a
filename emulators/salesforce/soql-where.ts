import type { Query, WhereClause } from '@jetstreamapp/soql-parser-js'
import { SoqlError } from './soql-error.ts'
import { type Literal, readLiteral } from './soql-literal.ts'

/** One condition: a field path, an operator, and the literals on its right side. */
export interface Test {
  /** The path as the query writes it: `['User', 'IsActive']`. */
  readonly path: readonly string[]
  readonly operator: string
  readonly literals: readonly Literal[]
}

/** A WHERE clause as a tree. */
export type WhereTree =
  | { readonly kind: 'and' | 'or'; readonly parts: readonly WhereTree[] }
  | { readonly kind: 'not'; readonly part: WhereTree }
  | { readonly kind: 'test'; readonly test: Test }

/** What reading a clause needs besides the clause. */
export interface WhereContext {
  readonly nowMs: number
  /** The object's name and alias in lower case, which a path may begin with. */
  readonly prefixes: ReadonlySet<string>
  /** Runs the query of a semi-join and gives its one column. */
  readonly subquery: (query: Query) => readonly Literal[]
}

type Token = '(' | ')' | 'AND' | 'OR' | 'NOT' | Test

/** The parser's clause, loosened: its unions hide which parts a node has. */
interface ClauseNode {
  readonly left?: ConditionNode | null
  readonly operator?: string
  readonly right?: ClauseNode
}
interface ConditionNode {
  readonly openParen?: number
  readonly closeParen?: number
  readonly field?: string
  readonly fn?: { rawValue?: string }
  readonly operator?: string
  readonly value?: string | string[]
  readonly valueQuery?: Query
  readonly literalType?: string | string[]
}

/** Builds the tree of a WHERE or HAVING clause. Throws SoqlError where AND and OR stand together without parentheses. */
export function readWhere(clause: WhereClause, context: WhereContext): WhereTree {
  const tokens: Token[] = []
  for (let node: ClauseNode | undefined = clause as ClauseNode; node; node = node.right) {
    pushCondition(tokens, node.left, context)
    if (node.operator !== undefined) tokens.push(node.operator.toUpperCase() as Token)
  }
  const reader = { tokens, at: 0 }
  const tree = readLogic(reader)
  if (reader.at < tokens.length) throw new SoqlError('MALFORMED_QUERY', "unexpected token: ')'")
  return tree
}

function pushCondition(
  tokens: Token[],
  node: ConditionNode | null | undefined,
  context: WhereContext,
): void {
  if (node === null || node === undefined) return
  for (let n = 0; n < (node.openParen ?? 0); n += 1) tokens.push('(')
  if (node.operator !== undefined) tokens.push(readTest(node, context))
  for (let n = 0; n < (node.closeParen ?? 0); n += 1) tokens.push(')')
}

function readTest(node: ConditionNode, context: WhereContext): Test {
  const name = node.field ?? node.fn?.rawValue ?? ''
  if (node.field === undefined && context.prefixes.size > 0) {
    throw new SoqlError('MALFORMED_QUERY', `function not supported by this org: ${name}`)
  }
  return {
    path: pathOf(name, context.prefixes),
    operator: (node.operator ?? '=').toUpperCase(),
    literals: readLiterals(node, context),
  }
}

function readLiterals(node: ConditionNode, context: WhereContext): readonly Literal[] {
  if (node.valueQuery !== undefined) return context.subquery(node.valueQuery)
  const values = Array.isArray(node.value) ? node.value : [node.value ?? '']
  return values.map((value, at) => {
    const type = Array.isArray(node.literalType) ? node.literalType[at] : node.literalType
    return readLiteral(type ?? 'STRING', value, context.nowMs)
  })
}

/** Splits a field path, and takes off the object's name or alias at its front. */
export function pathOf(name: string, prefixes: ReadonlySet<string>): readonly string[] {
  const path = name.split('.')
  return path.length > 1 && prefixes.has(path[0]!.toLowerCase()) ? path.slice(1) : path
}

interface Reader {
  readonly tokens: readonly Token[]
  at: number
}

function readLogic(reader: Reader): WhereTree {
  const parts = [readOperand(reader)]
  let kind: 'and' | 'or' | undefined
  for (;;) {
    const token = reader.tokens[reader.at]
    if (token !== 'AND' && token !== 'OR') break
    const next = token === 'AND' ? 'and' : 'or'
    // The vendor refuses `a AND b OR c`: it wants the parentheses.
    if (kind !== undefined && kind !== next) {
      throw new SoqlError('MALFORMED_QUERY', `unexpected token: '${token}'`)
    }
    kind = next
    reader.at += 1
    parts.push(readOperand(reader))
  }
  return kind === undefined ? parts[0]! : { kind, parts }
}

function readOperand(reader: Reader): WhereTree {
  const token = reader.tokens[reader.at]
  reader.at += 1
  if (token === 'NOT') return { kind: 'not', part: readOperand(reader) }
  if (token === '(') {
    const inner = readLogic(reader)
    if (reader.tokens[reader.at] !== ')') {
      throw new SoqlError('MALFORMED_QUERY', "expecting a right parentheses, found '<EOF>'")
    }
    reader.at += 1
    return inner
  }
  if (token === undefined || typeof token === 'string') {
    throw new SoqlError('MALFORMED_QUERY', `unexpected token: '${token ?? '<EOF>'}'`)
  }
  return { kind: 'test', test: token }
}
