/**
 * The grants of an org, one row each, in typed arrays: about 35 bytes a grant.
 *
 * Rows [0, base) come from the generator and are sorted by creation; later rows follow in the order in
 * which they were added. A row is never removed: a dead grant keeps its row, and only its state changes.
 */
export interface GrantTable {
  count: number
  /** How many rows the generator made; they are sorted by `createdS`. */
  base: number
  sealed: boolean
  /** Seconds since 1970, as the vendor's CreatedDate has no finer part. */
  createdS: Uint32Array
  /** Seconds since 1970; 0 where the grant was never used. */
  lastUsedS: Uint32Array
  useCount: Uint32Array
  user: Uint32Array
  app: Uint16Array
  state: Uint8Array
  /** How often the refresh token was replaced by a new one. */
  rotation: Uint16Array
  /** Milliseconds since 1970; 0 while the grant lives. */
  diedAtMs: Float64Array
  cause: Uint8Array
  /** How often the delete token was presented to the revoke endpoint. */
  presented: Uint16Array
  byUser: Postings
  byApp: Postings
}

/** Rows by owner: the generator's as one packed list, later ones as a list an owner. */
export interface Postings {
  start: Uint32Array
  rows: Uint32Array
  readonly later: Map<number, number[]>
}

/** The states of a row. A lingering row is dead and still shown by queries. */
export const STATE = { alive: 0, lingering: 1, gone: 2 } as const

/** What ended a grant, by the code stored in its row. */
export const CAUSES = [
  'none',
  'delete_token',
  'refresh_token',
  'replay',
  'sixth_approval',
  'usage_api',
  'user_deactivated',
  'logged_out',
  'test',
] as const
export type Cause = (typeof CAUSES)[number]

/** What a new grant starts with. */
export interface NewGrant {
  readonly user: number
  readonly app: number
  readonly createdS: number
  readonly lastUsedS: number
  readonly useCount: number
}

/** A user may have five approvals of one app; the sixth ends the oldest. */
export const APPROVALS_MAX = 5

const EMPTY = new Uint32Array(0)

/** Makes a table with room for so many rows. */
export function createGrantTable(capacity: number): GrantTable {
  const room = Math.max(capacity, 16)
  return {
    count: 0,
    base: 0,
    sealed: false,
    createdS: new Uint32Array(room),
    lastUsedS: new Uint32Array(room),
    useCount: new Uint32Array(room),
    user: new Uint32Array(room),
    app: new Uint16Array(room),
    state: new Uint8Array(room),
    rotation: new Uint16Array(room),
    diedAtMs: new Float64Array(room),
    cause: new Uint8Array(room),
    presented: new Uint16Array(room),
    byUser: { start: EMPTY, rows: EMPTY, later: new Map() },
    byApp: { start: EMPTY, rows: EMPTY, later: new Map() },
  }
}

/** Declares the rows so far to be the generator's, and indexes them by user and by app. */
export function sealBase(table: GrantTable, users: number, apps: number): void {
  table.base = table.count
  table.sealed = true
  fillPostings(table.byUser, table.user, table.count, users)
  fillPostings(table.byApp, table.app, table.count, apps)
}

function fillPostings(
  postings: Postings,
  owner: Uint32Array | Uint16Array,
  count: number,
  owners: number,
): void {
  const start = new Uint32Array(owners + 1)
  for (let row = 0; row < count; row += 1) start[owner[row]! + 1]! += 1
  for (let at = 0; at < owners; at += 1) start[at + 1]! += start[at]!
  const next = start.slice()
  const rows = new Uint32Array(count)
  for (let row = 0; row < count; row += 1) rows[next[owner[row]!]!++] = row
  postings.start = start
  postings.rows = rows
}

/** Adds a grant and gives its row. */
export function appendGrant(table: GrantTable, grant: NewGrant): number {
  const row = table.count
  if (row === table.createdS.length) growTable(table, row * 2)
  table.createdS[row] = grant.createdS
  table.lastUsedS[row] = grant.lastUsedS
  table.useCount[row] = grant.useCount
  table.user[row] = grant.user
  table.app[row] = grant.app
  table.count = row + 1
  if (table.sealed) {
    addPosting(table.byUser, grant.user, row)
    addPosting(table.byApp, grant.app, row)
  }
  return row
}

function addPosting(postings: Postings, owner: number, row: number): void {
  const rows = postings.later.get(owner)
  if (rows === undefined) postings.later.set(owner, [row])
  else rows.push(row)
}

function growTable(table: GrantTable, capacity: number): void {
  const grown = createGrantTable(capacity)
  const columns = [
    'createdS',
    'lastUsedS',
    'useCount',
    'user',
    'app',
    'state',
    'rotation',
    'diedAtMs',
    'cause',
    'presented',
  ] as const
  for (const column of columns) {
    grown[column].set(table[column])
    Object.assign(table, { [column]: grown[column] })
  }
}

/** Calls `visit` with each row of one owner, in the order of creation. */
export function eachRowOf(postings: Postings, owner: number, visit: (row: number) => void): void {
  const end = postings.start[owner + 1] ?? 0
  for (let at = postings.start[owner] ?? 0; at < end; at += 1) visit(postings.rows[at]!)
  for (const row of postings.later.get(owner) ?? []) visit(row)
}

/** Gives how many rows an owner has, dead ones included. */
export function rowCountOf(postings: Postings, owner: number): number {
  const packed = (postings.start[owner + 1] ?? 0) - (postings.start[owner] ?? 0)
  return packed + (postings.later.get(owner)?.length ?? 0)
}

/** Gives the first of the generator's rows that was created at or after a second. */
export function firstRowSince(table: GrantTable, createdS: number): number {
  let low = 0
  let high = table.base
  while (low < high) {
    const middle = (low + high) >>> 1
    if (table.createdS[middle]! < createdS) low = middle + 1
    else high = middle
  }
  return low
}
