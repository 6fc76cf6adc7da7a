import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { RescindError } from '../../core/errors.ts'
import {
  type ClientRow,
  type CountedReach,
  type EventRow,
  type GrantView,
  type MarkRow,
  markKeysOf,
  type Note,
  type Reach,
  type ReachCount,
  type TokenEnd,
  type TokenKind,
  type TokenView,
} from './contract.ts'

/** Rows of a statement that returns arrays: half the cost of objects on the hot path. */
type Cells = readonly (string | number | bigint | null | Uint8Array)[]

const KINDS: readonly TokenKind[] = ['code', 'access', 'refresh']
const GRANT_COLUMNS =
  'g.id, g.client_id, g.user_id, g.session_id, g.scope, g.created_at, g.expires_at, g.born, g.detail, ge.at'
const GRANT_WIDTH = 10
/** A grant that nothing has ended; takes the moment as its one parameter. */
const LIVE = `ge.id IS NULL AND g.expires_at > ? AND NOT EXISTS (SELECT 1 FROM mark m
  WHERE m.key IN ('a', 'c:' || g.client_id, 'u:' || g.user_id,
    'x:' || g.client_id || ' ' || g.user_id, 's:' || g.session_id)
  AND (m.epoch > g.born OR m.before > g.created_at))`
/**
 * How far the order of events and that of their moments may lie apart: a change waits for the lock. One
 * event in 64 is in the index of moments; an entry for each would cost a revocation as much as its event.
 */
const EVENT_LAG_MS = 10_000
const EVENT_COLUMNS =
  'seq, at, type, cause, actor, client_id, user_id, grant_id, session_id, token, request, detail'

/** The number that stands for a kind of token in the database. */
export function kindNumber(kind: TokenKind): number {
  return KINDS.indexOf(kind)
}

/** Prepares what reads the authority's tables. */
export function createLookups(database: DatabaseSync) {
  const prepare = (sql: string) => {
    const statement = database.prepare(sql)
    statement.setReturnArrays(true)
    const one = (...values: SQLInputValue[]) => statement.get(...values) as Cells | undefined
    const all = (...values: SQLInputValue[]) => statement.all(...values) as unknown as Cells[]
    return { one, all }
  }
  const tokenById = prepare(
    `SELECT ${GRANT_COLUMNS}, t.id, t.kind, hex(t.hash), t.issued_at, t.expires_at, t.detail,
       coalesce(r.state, e.state), coalesce(r.at, e.at), coalesce(r.successor, e.successor)
     FROM token t JOIN "grant" g ON g.id = t.grant_id LEFT JOIN grant_end ge ON ge.id = g.id
       LEFT JOIN token_end_recent r ON r.id = t.id LEFT JOIN token_end e ON e.id = t.id
     WHERE t.id = ?`,
  )
  const grantById = prepare(
    `SELECT ${GRANT_COLUMNS} FROM "grant" g LEFT JOIN grant_end ge ON ge.id = g.id WHERE g.id = ?`,
  )
  const markByKey = prepare('SELECT key, epoch, before FROM mark WHERE key = ?')
  const settingsByKey = prepare('SELECT key, epoch, before, at FROM mark_setting WHERE key = ?')
  const anyMark = prepare('SELECT 1 FROM mark LIMIT 1')
  const clientById = prepare('SELECT id, settings, enabled, version FROM client WHERE id = ?')
  const allClients = prepare('SELECT id, settings, enabled, version FROM client ORDER BY id')
  const noteByKey = prepare('SELECT value, version FROM note WHERE key = ?')
  const eventsAfter = prepare(
    `SELECT ${EVENT_COLUMNS} FROM event WHERE seq > ? ORDER BY seq LIMIT ?`,
  )
  const eventsOfMoment = prepare(
    `SELECT ${EVENT_COLUMNS} FROM event WHERE at = ?1 AND seq >=
       coalesce((SELECT seq FROM event WHERE seq % 64 = 0 AND at < ?1 - ${EVENT_LAG_MS}
         ORDER BY at DESC LIMIT 1), 0)
     AND seq <=
       coalesce((SELECT seq FROM event WHERE seq % 64 = 0 AND at > ?1 + ${EVENT_LAG_MS}
         ORDER BY at LIMIT 1), ${Number.MAX_SAFE_INTEGER})
     ORDER BY seq LIMIT ?2`,
  )

  const marksOn = (grant: Parameters<typeof markKeysOf>[0]): { epoch: number; before: number } => {
    let epoch = 0
    let before = 0
    // Nearly always there is none at all.
    if (!anyMark.one()) return { epoch, before }
    for (const key of markKeysOf(grant)) {
      const row = markByKey.one(key)
      if (!row) continue
      epoch = Math.max(epoch, row[1] as number)
      before = Math.max(before, row[2] as number)
    }
    return { epoch, before }
  }
  const grantView = (cells: Cells): GrantView => {
    const grant = {
      id: cells[0] as number,
      clientId: cells[1] as string,
      userId: cells[2] as string | null,
      sessionId: cells[3] as string | null,
      scope: cells[4] as string,
      createdAt: cells[5] as number,
      expiresAt: cells[6] as number,
      born: cells[7] as number,
      detail: cells[8] as string | null,
      endedAt: cells[9] as number | null,
    }
    return { ...grant, marks: marksOn(grant) }
  }
  return {
    marksOn,
    token(id: number): TokenView | null {
      const cells = tokenById.one(id)
      if (!cells) return null
      const at = (offset: number) => cells[GRANT_WIDTH + offset]
      return {
        id: at(0) as number,
        kind: KINDS[at(1) as number] as TokenKind,
        // As text: each blob that SQLite hands out is memory of its own, which costs more than the look-up.
        hash: Buffer.from(at(2) as string, 'hex'),
        grantId: cells[0] as number,
        issuedAt: at(3) as number,
        expiresAt: at(4) as number,
        detail: at(5) as string | null,
        end: tokenEnd(at(6), at(7), at(8)),
        grant: grantView(cells),
      }
    },
    grant(id: number): GrantView | null {
      const cells = grantById.one(id)
      return cells ? grantView(cells) : null
    },
    client(id: string): ClientRow | null {
      const cells = clientById.one(id)
      return cells ? clientRow(cells) : null
    },
    clients: (): readonly ClientRow[] => allClients.all().map(clientRow),
    note(key: string): Note | null {
      const cells = noteByKey.one(key)
      return cells ? { value: cells[0] as string, version: cells[1] as number } : null
    },
    marks: (keys: readonly string[]): readonly MarkRow[] =>
      keys.flatMap((key) => settingsByKey.all(key).map(markRow)),
    events: (after: string | null, limit: number): readonly EventRow[] =>
      eventsAfter.all(readPosition(after), limit).map(eventRow),
    eventsAt: (at: number, limit: number): readonly EventRow[] =>
      eventsOfMoment.all(at, limit).map(eventRow),
    listGrants(reach: Reach, now: number, after: number, limit: number): readonly GrantView[] {
      const { sql, values } = whereReach(reach)
      const grants = prepare(
        `SELECT ${GRANT_COLUMNS} FROM "grant" g LEFT JOIN grant_end ge ON ge.id = g.id
         WHERE ${sql} AND ${LIVE} AND g.id > ? ORDER BY g.id LIMIT ?`,
      )
      return grants.all(...values, now, after, limit).map(grantView)
    },
    countReach(reach: CountedReach, now: number, before: number | null): ReachCount {
      const { sql, values } = whereReach(reach)
      const counts = prepare(
        `SELECT count(DISTINCT g.id), count(t.id) FROM "grant" g
         LEFT JOIN grant_end ge ON ge.id = g.id
         LEFT JOIN token t ON t.grant_id = g.id AND t.expires_at > ?
           AND NOT EXISTS (SELECT 1 FROM token_end e WHERE e.id = t.id)
           AND NOT EXISTS (SELECT 1 FROM token_end_recent r WHERE r.id = t.id)
         WHERE ${sql} AND ${LIVE} AND g.created_at < ?`,
      )
      const [grants, tokens] =
        counts.one(now, ...values, now, before ?? Number.MAX_SAFE_INTEGER) ?? []
      return { grants: grants as number, tokens: tokens as number }
    },
  }
}

export type Lookups = ReturnType<typeof createLookups>

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

function tokenEnd(state: unknown, at: unknown, successorId: unknown): TokenEnd | null {
  if (state === null) return null
  return {
    state: state === 1 ? 'used' : 'revoked',
    at: at as number,
    successorId: successorId as number | null,
  }
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

function eventRow(cells: Cells): EventRow {
  return {
    id: `evt_${cells[0]}`,
    position: String(cells[0]),
    at: cells[1] as number,
    type: cells[2] as string,
    cause: cells[3] as string,
    actor: cells[4] as string,
    clientId: cells[5] as string | null,
    userId: cells[6] as string | null,
    grantId: cells[7] as number | null,
    sessionId: cells[8] as string | null,
    token: cells[9] as string | null,
    request: cells[10] as string | null,
    detail: cells[11] as string | null,
  }
}
