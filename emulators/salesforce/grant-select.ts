import { eachRowOf, firstRowSince, type Postings, rowCountOf, STATE } from './grants.ts'
import { isPermitted, isShown, type Org } from './org.ts'
import type { Session } from './sessions.ts'
import type { Literal } from './soql-literal.ts'
import type { SObject } from './soql-object.ts'
import { compileWhere, type Predicate } from './soql-predicate.ts'
import type { Test, WhereTree } from './soql-where.ts'

/** OauthToken as seen from its user alone and from its app alone. */
export interface OwnerViews {
  readonly users: SObject
  readonly apps: SObject
}

/** One selection on OauthToken. */
export interface GrantSelection {
  readonly object: SObject
  readonly views: OwnerViews
  readonly caller: Session
  readonly where: WhereTree | undefined
  /** Dead rows too, as `queryAll` may show them. */
  readonly withRevoked: boolean
}

/** What is left of a clause once the tables can answer part of it. */
interface Narrowing {
  fromS: number
  toS: number
  users: Uint8Array | null
  apps: Uint8Array | null
  rows: number[] | null
  readonly rest: Predicate[]
  readonly shows: (row: number) => boolean
}

/** Above every second that a row can hold. */
const END_S = 0x1_0000_0000
/** Following an index costs about so many steps of the plain scan. */
const INDEX_COST = 4

/** Calls `visit` with the rows of a selection, in the order of the table. */
export function selectGrants(
  org: Org,
  selection: GrantSelection,
  visit: (row: number) => void,
): void {
  const narrowing = narrow(org, selection)
  const accepts = acceptor(org, narrowing)
  const start = org.switches.rowOrder === 'shuffled' ? org.random.int(org.grants.count + 1) : 0
  if (start === 0) {
    scan(org, narrowing, (row) => accepts(row) && visit(row))
    return
  }
  const rows: number[] = []
  scan(org, narrowing, (row) => accepts(row) && rows.push(row))
  const cut = start % (rows.length + 1)
  for (const row of [...rows.slice(cut), ...rows.slice(0, cut)]) visit(row)
}

/** Counts the rows of a selection: by the state column alone where nothing but times narrows it. */
export function countGrants(org: Org, selection: GrantSelection): number {
  const narrowing = narrow(org, selection)
  const { users, apps, rows, rest, shows } = narrowing
  const accepts = acceptor(org, narrowing)
  let count = 0
  if (users !== null || apps !== null || rows !== null || rest.length > 0) {
    scan(org, narrowing, (row) => {
      if (accepts(row)) count += 1
    })
    return count
  }
  const { grants } = org
  const last = firstRowSince(grants, narrowing.toS)
  for (let row = firstRowSince(grants, narrowing.fromS); row < last; row += 1) {
    if (grants.state[row] === STATE.alive || shows(row)) count += 1
  }
  for (let row = grants.base; row < grants.count; row += 1) if (accepts(row)) count += 1
  return count
}

function narrow(org: Org, selection: GrantSelection): Narrowing {
  const { caller, where, object } = selection
  const narrowing: Narrowing = {
    fromS: 0,
    toS: END_S,
    users: null,
    apps: null,
    rows: null,
    rest: [],
    shows: selection.withRevoked ? () => true : (row) => isShown(org, row),
  }
  if (!isPermitted(org, caller, 'CustomizeApplication')) {
    narrowing.users = maskOf(org.users.length, (user) => user === caller.user)
  }
  if (!org.switches.ecaInOauthToken) {
    narrowing.apps = maskOf(org.apps.length, (app) => org.apps[app]!.kind !== 'external')
  }
  if (where === undefined) return narrowing
  // Compiled whole first: so that a wrong column is refused whichever table answers it.
  compileWhere(object, where, caller)
  for (const part of where.kind === 'and' ? where.parts : [where]) {
    absorb(org, selection, narrowing, part)
  }
  return narrowing
}

function absorb(org: Org, selection: GrantSelection, narrowing: Narrowing, part: WhereTree): void {
  const { caller, object, views } = selection
  const heads = headsOf(part)
  if (part.kind === 'test' && absorbTest(org, narrowing, part.test)) return
  if (heads.every((head) => head === 'userid' || head === 'user')) {
    const accepts = compileWhere(views.users, part, caller)
    narrowing.users = maskOf(
      org.users.length,
      (at) => (narrowing.users?.[at] ?? 1) === 1 && accepts(org.users[at]),
    )
  } else if (heads.every((head) => head === 'appname' || head.startsWith('appmenuitem'))) {
    const accepts = compileWhere(views.apps, part, caller)
    narrowing.apps = maskOf(
      org.apps.length,
      (at) => (narrowing.apps?.[at] ?? 1) === 1 && accepts(org.apps[at]),
    )
  } else {
    narrowing.rest.push(compileWhere(object, part, caller))
  }
}

function headsOf(tree: WhereTree): readonly string[] {
  if (tree.kind === 'test') return [tree.test.path[0]?.toLowerCase() ?? '']
  if (tree.kind === 'not') return headsOf(tree.part)
  return tree.parts.flatMap(headsOf)
}

/** Takes a condition on CreatedDate or DeleteToken into the bounds. Gives false where it cannot. */
function absorbTest(org: Org, narrowing: Narrowing, test: Test): boolean {
  if (test.path.length !== 1) return false
  const field = test.path[0]?.toLowerCase()
  if (field === 'createddate') return absorbCreated(narrowing, test)
  if (field !== 'deletetoken' || !['=', 'IN'].includes(test.operator)) return false
  const rows = test.literals.flatMap((literal) => rowOfDeleteToken(org, literal))
  const known = narrowing.rows
  narrowing.rows = known === null ? rows : rows.filter((row) => known.includes(row))
  return true
}

function rowOfDeleteToken(org: Org, literal: Literal): number[] {
  const place = literal.type === 'string' ? org.codec.decode('delete', literal.value) : undefined
  return place !== undefined && place.row < org.grants.count ? [place.row] : []
}

function absorbCreated(narrowing: Narrowing, { operator, literals }: Test): boolean {
  const literal = literals[0]
  if (literal === undefined || literals.length !== 1) return false
  if (literal.type !== 'datetime' && literal.type !== 'span') return false
  const fromMs = literal.type === 'span' ? literal.fromMs : literal.value
  // A row's second lies in [from, to) of the literal; a datetime is a span of one millisecond.
  const toMs = literal.type === 'span' ? literal.toMs : literal.value + 1
  const since = (ms: number): void => {
    narrowing.fromS = Math.max(narrowing.fromS, Math.ceil(ms / 1000))
  }
  const before = (ms: number): void => {
    narrowing.toS = Math.min(narrowing.toS, Math.ceil(ms / 1000))
  }
  if (operator === '>=' || operator === '=') since(fromMs)
  if (operator === '>') since(toMs)
  if (operator === '<') before(fromMs)
  if (operator === '<=' || operator === '=') before(toMs)
  return ['>=', '>', '<', '<=', '='].includes(operator)
}

function maskOf(length: number, accepts: (at: number) => boolean): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (accepts(at) ? 1 : 0))
}

function acceptor(org: Org, narrowing: Narrowing): (row: number) => boolean {
  const { grants } = org
  const { fromS, toS, users, apps, rest, shows } = narrowing
  return (row) => {
    if (grants.state[row] !== STATE.alive && !shows(row)) return false
    const createdS = grants.createdS[row]!
    if (createdS < fromS || createdS >= toS) return false
    if (users !== null && users[grants.user[row]!] === 0) return false
    if (apps !== null && apps[grants.app[row]!] === 0) return false
    for (const part of rest) if (!part(row)) return false
    return true
  }
}

/** Visits the fewest rows that can hold the answer, by whichever index knows them. */
function scan(org: Org, narrowing: Narrowing, visit: (row: number) => void): void {
  const { grants } = org
  const first = firstRowSince(grants, narrowing.fromS)
  const last = firstRowSince(grants, narrowing.toS)
  const inRange = last - first + (grants.count - grants.base)
  const byUser = countOwned(grants.byUser, narrowing.users)
  const byApp = countOwned(grants.byApp, narrowing.apps)
  if (narrowing.rows !== null) {
    for (const row of narrowing.rows) visit(row)
  } else if (Math.min(byUser, byApp) * INDEX_COST < inRange) {
    const ofUser = byUser <= byApp
    const [postings, mask] = ofUser
      ? [grants.byUser, narrowing.users]
      : [grants.byApp, narrowing.apps]
    eachOwned(postings, mask, visit)
  } else {
    for (let row = first; row < last; row += 1) visit(row)
    for (let row = grants.base; row < grants.count; row += 1) visit(row)
  }
}

function countOwned(postings: Postings, mask: Uint8Array | null): number {
  if (mask === null) return Number.POSITIVE_INFINITY
  let count = 0
  for (let owner = 0; owner < mask.length; owner += 1) {
    if (mask[owner] === 1) count += rowCountOf(postings, owner)
  }
  return count
}

function eachOwned(
  postings: Postings,
  mask: Uint8Array | null,
  visit: (row: number) => void,
): void {
  const rows: number[] = []
  mask?.forEach((chosen, owner) => {
    if (chosen === 1) eachRowOf(postings, owner, (row) => rows.push(row))
  })
  // In the order of the table, so that the same query pages the same way whichever index served it.
  for (const row of Uint32Array.from(rows).sort()) visit(row)
}
