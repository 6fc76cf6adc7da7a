import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { RescindError } from '../../core/errors.ts'
import { createMemo } from '../../core/memo.ts'
import {
  type AskedRows,
  type ClientRow,
  type CountedReach,
  type EventRow,
  type GrantRow,
  type GrantView,
  type MarkRow,
  type Marks,
  markKeysOf,
  type NewEvent,
  type Note,
  type Reach,
  type ReachCount,
  type TokenAsked,
  type TokenKind,
  type TokenView,
} from './contract.ts'
import { type RecentEnds, tokenEnd } from './sqlite-recent-ends.ts'

/** Rows of a statement that returns arrays: half the cost of objects on the hot path. */
type Cells = readonly (string | number | bigint | null | Uint8Array)[]

const KINDS: readonly TokenKind[] = ['code', 'access', 'refresh']
const GRANT_COLUMNS =
  'g.id, g.client_id, g.user_id, g.session_id, g.scope, g.created_at, g.expires_at, g.born, g.detail, ge.at'
/** Grants kept at hand; up to twice as many are, some 20 MB with names of usual lengths. */
const GRANTS_KEPT = 20_000
/** A grant that nothing has ended; takes the moment as its one parameter. */
const LIVE = `ge.id IS NULL AND g.expires_at > ? AND NOT EXISTS (SELECT 1 FROM mark m
  WHERE m.key IN ('a', 'c:' || g.client_id, 'u:' || g.user_id,
    'x:' || g.client_id || ' ' || g.user_id, 's:' || g.session_id)
  AND (m.epoch > g.born OR m.before > g.created_at))`
/** A token `t` that nothing has ended; takes the moment as its one parameter. */
const LIVE_TOKEN = `t.expires_at > ? AND NOT EXISTS (SELECT 1 FROM token_end e WHERE e.id = t.id)
  AND t.id NOT IN (SELECT id FROM token_end_recent)`
/**
 * How far the order of events and that of their moments may lie apart: a change waits for the lock. One
 * event in 64 is in the index of moments; an entry for each would cost a revocation as much as its event.
 */
const EVENT_LAG_MS = 10_000
const NO_MARKS: Marks = { epoch: 0, before: 0 }

/** What of a grant never changes. */
type BornGrant = GrantRow & Pick<GrantView, 'born'>

/** The number that stands for a kind of token in the database. */
export function kindNumber(kind: TokenKind): number {
  return KINDS.indexOf(kind)
}

export type Lookups = ReturnType<typeof createLookups>

/** Prepares what reads the authority's tables. */
export function createLookups(database: DatabaseSync, recentEnds: RecentEnds) {
  const prepare = (sql: string) => {
    const statement = database.prepare(sql)
    statement.setReturnArrays(true)
    const one = (...values: SQLInputValue[]) => statement.get(...values) as Cells | undefined
    const all = (...values: SQLInputValue[]) => statement.all(...values) as unknown as Cells[]
    return { one, all, statement }
  }
  const tokenById = prepare(
    `SELECT t.grant_id, ge.at, t.kind, hex(t.hash), t.issued_at, t.expires_at, t.detail,
       e.state, e.at, e.successor
     FROM token t LEFT JOIN grant_end ge ON ge.id = t.grant_id LEFT JOIN token_end e ON e.id = t.id
     WHERE t.id = ?`,
  )
  const grantById = prepare(
    `SELECT ${GRANT_COLUMNS} FROM "grant" g LEFT JOIN grant_end ge ON ge.id = g.id WHERE g.id = ?`,
  )
  const youngestMarks = prepare(
    'SELECT max(epoch), max(before) FROM mark WHERE key IN (?, ?, ?, ?, ?)',
  )
  const firstByBirth = prepare(`SELECT key, epoch, before, at FROM mark_setting
    WHERE key = ? AND epoch > ? ORDER BY epoch LIMIT 1`)
  // Of those with a moment a younger one has a later moment: the first is the lowest.
  const firstByMoment = prepare(`SELECT key, epoch, before, at FROM mark_setting
    WHERE key = ? AND epoch = 0 AND before > ? ORDER BY before LIMIT 1`)
  const latest = prepare(`SELECT (SELECT value FROM counter WHERE name = 'epoch'),
    (SELECT value FROM counter WHERE name = 'before')`)
  // What one snapshot is asked again and again: its client, and how young the youngest of all marks is.
  let snapshot: { marks?: Marks; readonly clients: Map<string, ClientRow | null> } | null = null
  const readLatest = (): Marks => {
    const [epoch, before] = latest.one() as [epoch: number, before: number]
    return { epoch, before }
  }
  const latestMarks = (): Marks => {
    if (!snapshot) return readLatest()
    snapshot.marks ??= readLatest()
    return snapshot.marks
  }
  const clientById = prepare('SELECT id, settings, enabled, version FROM client WHERE id = ?')
  const allClients = prepare('SELECT id, settings, enabled, version FROM client ORDER BY id')
  const noteByKey = prepare('SELECT value, version FROM note WHERE key = ?')
  const eventsAfter = prepare(`SELECT seq, at, told FROM event WHERE seq > ? ORDER BY seq LIMIT ?`)
  const oldestAfter = prepare('SELECT at FROM event WHERE seq > ? ORDER BY seq LIMIT 1')
  const eventsOfMoment = prepare(
    `SELECT seq, at, told FROM event WHERE at = ?1 AND seq >=
       coalesce((SELECT seq FROM event WHERE seq % 64 = 0 AND at < ?1 - ${EVENT_LAG_MS}
         ORDER BY at DESC LIMIT 1), 0)
     AND seq <=
       coalesce((SELECT seq FROM event WHERE seq % 64 = 0 AND at > ?1 + ${EVENT_LAG_MS}
         ORDER BY at LIMIT 1), ${Number.MAX_SAFE_INTEGER})
     ORDER BY seq LIMIT ?2`,
  )

  /** The youngest marks on a grant; of one that was born after all of them there is nothing to ask. */
  const marksOn = (grant: BornGrant): Marks => {
    const latest = latestMarks()
    if (latest.epoch <= grant.born && latest.before <= grant.createdAt) return NO_MARKS
    const [all, client, user = null, both = null, session = null] = markKeysOf(grant)
    const cells = youngestMarks.one(all as string, client as string, user, both, session)
    return { epoch: (cells?.[0] ?? 0) as number, before: (cells?.[1] ?? 0) as number }
  }
  const grantView = (grant: BornGrant, endedAt: number | null): GrantView => {
    const { id, clientId, userId, sessionId, scope, createdAt, expiresAt, born, detail } = grant
    // biome-ignore format: one line for what is the same
    return {
      id, clientId, userId, sessionId, scope, createdAt, expiresAt, born, detail,
      endedAt, marks: marksOn(grant),
    }
  }
  const viewOfCells = (cells: Cells) => grantView(grantRow(cells), cells[9] as number | null)
  // A row of a grant never changes, and is there as long as any of its tokens.
  const grants = createMemo<number, BornGrant>(GRANTS_KEPT)
  const grantOfToken = (id: number): BornGrant | null => {
    const known = grants.get(id)
    if (known) return known
    const cells = grantById.one(id)
    if (!cells) return null
    const grant = grantRow(cells)
    grants.set(id, grant)
    return grant
  }
  const token = (id: number): TokenView | null => {
    // Before the row: what another process moves between the two is in the row then.
    const recentEnd = recentEnds.get(id)
    const cells = tokenById.statement.get(id) as Cells | undefined
    if (!cells) return null
    const grantId = cells[0] as number
    const grant = grantOfToken(grantId)
    if (!grant) return null
    return {
      id,
      kind: KINDS[cells[2] as number] as TokenKind,
      // As text: each blob that SQLite hands out is memory of its own, which costs more than the look-up.
      hash: Buffer.from(cells[3] as string, 'hex'),
      grantId,
      issuedAt: cells[4] as number,
      expiresAt: cells[5] as number,
      detail: cells[6] as string | null,
      end: recentEnd ?? (cells[7] === null ? null : tokenEnd(cells[7], cells[8], cells[9])),
      grant: grantView(grant, cells[1] as number | null),
    }
  }
  const client = (id: string): ClientRow | null => {
    const known = snapshot?.clients.get(id)
    if (known !== undefined) return known
    const cells = clientById.one(id)
    const row = cells ? clientRow(cells) : null
    snapshot?.clients.set(id, row)
    return row
  }
  return {
    latestMarks,
    /** From here to the next call all look-ups may see one state: nothing is written between them. */
    beginSnapshot() {
      snapshot = { clients: new Map() }
      recentEnds.begin()
    },
    token,
    grant(id: number): GrantView | null {
      const cells = grantById.one(id)
      return cells ? viewOfCells(cells) : null
    },
    /** Drops what is kept of a transaction that was rolled back. */
    abandon: grants.clear,
    client,
    asked: ({ tokenId, clientId }: TokenAsked): AskedRows => ({
      token: token(tokenId),
      client: client(clientId),
    }),
    clients: (): readonly ClientRow[] => allClients.all().map(clientRow),
    note(key: string): Note | null {
      const cells = noteByKey.one(key)
      return cells ? { value: cells[0] as string, version: cells[1] as number } : null
    },
    marks: (
      keys: readonly string[],
      { born, createdAt }: Pick<GrantView, 'born' | 'createdAt'>,
    ): readonly MarkRow[] =>
      keys
        .flatMap((key) => [...firstByBirth.all(key, born), ...firstByMoment.all(key, createdAt)])
        .map(markRow),
    events: (after: string | null, limit: number): readonly EventRow[] =>
      eventsAfter.all(readPosition(after), limit).map(eventRow),
    oldestEventAt: (after: string | null): number | null =>
      (oldestAfter.one(readPosition(after))?.[0] ?? null) as number | null,
    eventsAt: (at: number, limit: number): readonly EventRow[] =>
      eventsOfMoment.all(at, limit).map(eventRow),
    listGrants(reach: Reach, now: number, after: number, limit: number): readonly GrantView[] {
      const { sql, values } = whereReach(reach)
      const grants = prepare(
        `SELECT ${GRANT_COLUMNS} FROM "grant" g LEFT JOIN grant_end ge ON ge.id = g.id
         WHERE ${sql} AND ${LIVE} AND g.id > ?
           AND EXISTS (SELECT 1 FROM token t WHERE t.grant_id = g.id AND ${LIVE_TOKEN})
         ORDER BY g.id LIMIT ?`,
      )
      return grants.all(...values, now, after, now, limit).map(viewOfCells)
    },
    countReach(reach: CountedReach, now: number, before: number | null): ReachCount {
      const { sql, values } = whereReach(reach)
      const counts = prepare(
        `SELECT count(DISTINCT g.id), count(t.id) FROM "grant" g
         LEFT JOIN grant_end ge ON ge.id = g.id
         JOIN token t ON t.grant_id = g.id AND ${LIVE_TOKEN}
         WHERE ${sql} AND ${LIVE} AND g.created_at < ?`,
      )
      const [grants, tokens] =
        counts.one(now, ...values, now, before ?? Number.MAX_SAFE_INTEGER) ?? []
      return { grants: grants as number, tokens: tokens as number }
    },
  }
}

function grantRow(cells: Cells): BornGrant {
  return {
    id: cells[0] as number,
    clientId: cells[1] as string,
    userId: cells[2] as string | null,
    sessionId: cells[3] as string | null,
    scope: cells[4] as string,
    createdAt: cells[5] as number,
    expiresAt: cells[6] as number,
    born: cells[7] as number,
    detail: cells[8] as string | null,
  }
}

function whereReach(reach: CountedReach): { sql: string; values: SQLInputValue[] } {
  switch (reach.type) {
    case 'all':
      return { sql: 'true', values: [] }
    case 'client':
      return { sql: 'g.client_id = ?', values: [reach.clientId] }
    case 'user':
      return { sql: 'g.user_id = ?', values: [reach.userId] }
    case 'user_client':
      return { sql: 'g.user_id = ? AND g.client_id = ?', values: [reach.userId, reach.clientId] }
    case 'session':
      return { sql: 'g.session_id = ?', values: [reach.sessionId] }
    case 'grant':
      return { sql: 'g.id = ?', values: [reach.grantId] }
  }
}

function readPosition(after: string | null): number {
  if (after === null) return 0
  if (/^\d{1,15}$/.test(after)) return Number(after)
  throw new RescindError('usage', 'A position among the events is one that an event has.')
}

function markRow([key, epoch, before, at]: Cells): MarkRow {
  return {
    key: key as string,
    epoch: epoch as number,
    before: before as number,
    at: at as number,
  }
}

function clientRow(cells: Cells): ClientRow {
  const [id, settings, enabled, version] = cells
  return {
    id: id as string,
    settings: settings as string,
    enabled: enabled === 1,
    version: version as number,
  }
}

/** Returns what an event says, as the database has it: {@link eventRow} reads it again. */
export function toldText(event: NewEvent): string {
  const { type, cause, actor, clientId, userId, grantId, sessionId, token, request, detail } = event
  const told = [type, cause, actor, clientId, userId, grantId, sessionId, token, request, detail]
  return JSON.stringify(told)
}

function eventRow([seq, at, told]: Cells): EventRow {
  const [type, cause, actor, clientId, userId, grantId, sessionId, token, request, detail] =
    JSON.parse(told as string)
  const id = `evt_${seq}`
  const position = String(seq)
  // biome-ignore format: one line for what is the same
  return {
    id, position, at: at as number,
    type, cause, actor, clientId, userId, grantId, sessionId, token, request, detail,
  }
}
