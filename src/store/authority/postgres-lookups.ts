import type { Clock } from '../../core/clock.ts'
import { RescindError } from '../../core/errors.ts'
import type {
  AuthorityStore,
  ClientRow,
  CountedReach,
  EventRow,
  GrantView,
  MarkRow,
  Note,
  TokenEnd,
  TokenKind,
  TokenView,
} from './contract.ts'
import { createQueue } from './postgres-queue.ts'
import type { Row, Session, Statement } from './postgres-session.ts'

/** One is under way while the next gathers, and neither waits for the other. */
const LANES = 2
/** Look-ups in one query; more make the first of them wait for an answer of half a megabyte. */
const BATCH_MAX = 1_000
/** A count or a list may read every grant of its reach, and their tokens: a person waits for it. */
const MUCH_DEADLINE_MS = 120_000

const KINDS: readonly TokenKind[] = ['code', 'access', 'refresh']
const ENDS: readonly TokenEnd['state'][] = ['used', 'revoked']

/** The number that stands for a kind of token in the database. */
export function kindNumber(kind: TokenKind): number {
  return KINDS.indexOf(kind)
}

/** The number that stands for the way that a token ended. */
export function endNumber(state: TokenEnd['state']): number {
  return ENDS.indexOf(state)
}

/** `markKeysOf` in SQL, for a grant `g`: a key with a null in it is null, and equals nothing. */
const MARK_KEYS = `ARRAY['a', 'c:' || g.client_id, 'u:' || g.user_id,
  'x:' || g.client_id || ' ' || g.user_id, 's:' || g.session_id]`

/** `isGrantDead` in SQL, turned round, for a grant `g`. */
export const GRANT_TAKES_TOKENS = `NOT EXISTS (SELECT 1 FROM rescind.grant_end e WHERE e.id = g.id)
  AND NOT EXISTS (SELECT 1 FROM rescind.mark m WHERE m.key = ANY(${MARK_KEYS})
    AND (m.epoch > g.born OR m.before > g.created_at))`

/** A token `t` that nothing has ended by the moment $2. */
const LIVE_TOKEN = `t.expires_at > $2
  AND NOT EXISTS (SELECT 1 FROM rescind.token_end te WHERE te.id = t.id)`

const GRANT_COLUMNS = `g.id AS grant_id, g.client_id, g.user_id, g.session_id, g.scope,
  g.created_at, g.expires_at AS grant_expires_at, g.born, g.detail AS grant_detail,
  ge.at AS grant_ended_at, m.epoch, m.before`
const GRANT_JOINS = `LEFT JOIN rescind.grant_end ge ON ge.id = g.id
  CROSS JOIN LATERAL (SELECT coalesce(max(k.epoch), 0) AS epoch, coalesce(max(k.before), 0) AS before
    FROM rescind.mark k WHERE k.key = ANY(${MARK_KEYS})) m`
const EVENT_COLUMNS = `e.era, e.xid::text AS xid, e.seq, e.at, e.type, e.cause, e.actor, e.client_id,
  e.user_id, e.grant_id, e.session_id, e.token, e.request, e.detail`

const READ_TOKENS: Statement = {
  name: 'rescind_read_tokens',
  text: `SELECT t.id, t.kind, t.hash, t.issued_at, t.expires_at, t.detail,
      te.state AS end_state, te.at AS ended_at, te.successor_id, ${GRANT_COLUMNS}
    FROM rescind.token t JOIN rescind.grants g ON g.id = t.grant_id
      LEFT JOIN rescind.token_end te ON te.id = t.id ${GRANT_JOINS}
    WHERE t.id = ANY($1::bigint[])`,
}
const READ_GRANTS: Statement = {
  name: 'rescind_read_grants',
  text: `SELECT ${GRANT_COLUMNS} FROM rescind.grants g ${GRANT_JOINS}
    WHERE g.id = ANY($1::bigint[])`,
}
const READ_CLIENTS: Statement = {
  name: 'rescind_read_clients',
  text: 'SELECT id, settings, enabled, version FROM rescind.client WHERE id = ANY($1::text[])',
}
const READ_COUNTERS: Statement = {
  name: 'rescind_read_counters',
  text: 'SELECT name, value FROM rescind.counter WHERE name = ANY($1::text[])',
}
const LIST_CLIENTS: Statement = {
  name: 'rescind_list_clients',
  text: 'SELECT id, settings, enabled, version FROM rescind.client ORDER BY id',
}
const READ_NOTES: Statement = {
  name: 'rescind_read_notes',
  text: 'SELECT key, value, version FROM rescind.note WHERE key = ANY($1::text[])',
}
const READ_MARKS: Statement = {
  name: 'rescind_read_marks',
  // Of those with a moment a younger one has a later moment: the first is the lowest.
  text: `SELECT s.key, s.epoch, s.before, s.at FROM unnest($1::text[]) AS k (key) CROSS JOIN LATERAL (
      (SELECT * FROM rescind.mark_setting s WHERE s.key = k.key AND s.epoch > $2
        ORDER BY s.epoch LIMIT 1)
      UNION ALL (SELECT * FROM rescind.mark_setting s
        WHERE s.key = k.key AND s.epoch = 0 AND s.before > $3 ORDER BY s.before LIMIT 1)) s`,
}
/** A transaction that is not over may still add an event below: nothing from `xmin` on is read yet. */
const READ_EVENTS: Statement = {
  name: 'rescind_read_events',
  text: `SELECT ${EVENT_COLUMNS} FROM rescind.event e
    WHERE (e.era, e.xid, e.seq) > ($1::bigint, $2::xid8, $3::bigint)
      AND (e.xid < pg_snapshot_xmin(pg_current_snapshot())
        OR e.era < (SELECT value FROM rescind.counter WHERE name = 'era'))
    ORDER BY e.era, e.xid, e.seq LIMIT $4`,
}
const READ_OLDEST_EVENT: Statement = {
  name: 'rescind_read_oldest_event',
  text: `SELECT at FROM rescind.event e
    WHERE (e.era, e.xid, e.seq) > ($1::bigint, $2::xid8, $3::bigint)
    ORDER BY e.era, e.xid, e.seq LIMIT 1`,
}
const READ_EVENTS_AT: Statement = {
  name: 'rescind_read_events_at',
  text: `SELECT ${EVENT_COLUMNS} FROM rescind.event e WHERE e.at = $1
    ORDER BY e.era, e.xid, e.seq LIMIT $2`,
}

type Lookups = Pick<
  AuthorityStore,
  | 'readToken'
  | 'readGrant'
  | 'readClient'
  | 'readEpoch'
  | 'listClients'
  | 'countReach'
  | 'listGrants'
  | 'readEvents'
  | 'oldestEventAt'
  | 'eventsAt'
  | 'readMarks'
  | 'readNote'
>

/** Returns what reads the authority's tables. Look-ups of one kind that arrive together are one query. */
export function createLookups(
  session: Session,
  { clock, deadlineMs }: { clock: Clock; deadlineMs: number },
): Lookups & { drained(): Promise<void> } {
  const lookup = <K extends string | number, V>(
    statement: Statement,
    rowOf: (row: Row) => readonly [key: K, value: V],
  ) =>
    createQueue<K, V | null>({
      clock,
      deadlineMs,
      place: session.place,
      lanes: LANES,
      batchMax: BATCH_MAX,
      groupOf: () => '',
      async run(keys) {
        const found = new Map((await session.run(statement, [[...new Set(keys)]])).map(rowOf))
        return keys.map((key) => found.get(key) ?? null)
      },
    })
  const tokens = lookup(READ_TOKENS, (row) => [row.id as number, tokenView(row)])
  const grants = lookup(READ_GRANTS, (row) => [row.grant_id as number, grantView(row)])
  const clients = lookup(READ_CLIENTS, (row) => [row.id as string, clientRow(row)])
  const notes = lookup(READ_NOTES, (row) => [row.key as string, noteOf(row)])
  const counters = lookup(READ_COUNTERS, (row) => [row.name as string, row.value as number])
  const rows = async <T>(statement: Statement, values: unknown[], map: (row: Row) => T) =>
    (await session.run(statement, values)).map(map)
  return {
    readToken: (id) => tokens.add(id),
    readGrant: (id) => grants.add(id),
    readClient: (id) => (canBeThere(id) ? clients.add(id) : Promise.resolve(null)),
    readEpoch: async () => (await counters.add('epoch')) ?? 0,
    listClients: () => rows(LIST_CLIENTS, [], clientRow),
    readNote: (key) => (canBeThere(key) ? notes.add(key) : Promise.resolve(null)),
    readMarks: (keys, { born, createdAt }) =>
      rows(READ_MARKS, [keys.filter(canBeThere), born, createdAt], markRow),
    readEvents: async (after, limit) =>
      rows(READ_EVENTS, [...readPosition(after), limit], eventRow),
    async oldestEventAt(after) {
      const [at] = await rows(
        READ_OLDEST_EVENT,
        [...readPosition(after)],
        (row) => row.at as number,
      )
      return at ?? null
    },
    eventsAt: (at, limit) => rows(READ_EVENTS_AT, [at, limit], eventRow),
    async listGrants(reach, now, after, limit) {
      const { where, values } = whereReach(reach)
      const text = `SELECT ${GRANT_COLUMNS} FROM rescind.grants g ${GRANT_JOINS}
        WHERE g.id > $1 AND g.expires_at > $2 AND ${GRANT_TAKES_TOKENS} AND ${where}
          AND EXISTS (SELECT 1 FROM rescind.token t WHERE t.grant_id = g.id AND ${LIVE_TOKEN})
        ORDER BY g.id LIMIT $3`
      const found = await session.readMuch(MUCH_DEADLINE_MS, text, [after, now, limit, ...values])
      return found.map(grantView)
    },
    async countReach(reach, now, before) {
      const { where, values } = whereReach(reach)
      const created = `$${values.length + 4}`
      const text = `WITH live AS MATERIALIZED (SELECT g.id FROM rescind.grants g
          WHERE g.id > $1 AND g.expires_at > $2 AND ${GRANT_TAKES_TOKENS} AND ${where}
            AND g.created_at < ${created} LIMIT $3)
        SELECT count(DISTINCT live.id) AS grants, count(*) AS tokens
        FROM live JOIN rescind.token t ON t.grant_id = live.id WHERE ${LIVE_TOKEN}`
      const [row] = await session.readMuch(MUCH_DEADLINE_MS, text, [
        ...[0, now, null, ...values, before ?? Number.MAX_SAFE_INTEGER],
      ])
      return { grants: Number(row?.grants), tokens: Number(row?.tokens) }
    },
    async drained() {
      await Promise.all([tokens, grants, clients, notes, counters].map((queue) => queue.drained()))
    },
  }
}

/** The condition of a reach; its values stand from $4 on. */
function whereReach(reach: CountedReach): {
  where: string
  values: readonly (string | number)[]
} {
  switch (reach.type) {
    case 'all':
      return { where: 'true', values: [] }
    case 'client':
      return { where: 'g.client_id = $4', values: [reach.clientId] }
    case 'user':
      return { where: 'g.user_id = $4', values: [reach.userId] }
    case 'user_client':
      return {
        where: 'g.user_id = $4 AND g.client_id = $5',
        values: [reach.userId, reach.clientId],
      }
    case 'session':
      return { where: 'g.session_id = $4', values: [reach.sessionId] }
    case 'grant':
      return { where: 'g.id = $4', values: [reach.grantId] }
  }
}

/** PostgreSQL has no text with a NUL in it, and refuses to look for one. */
function canBeThere(key: string): boolean {
  return !key.includes('\0')
}

function readPosition(after: string | null): readonly string[] {
  if (after === null) return ['0', '0', '0']
  const parts = /^(\d{1,18})-(\d{1,20})-(\d{1,18})$/.exec(after)
  if (!parts) {
    throw new RescindError('usage', 'A position among the events is one that an event has.')
  }
  return parts.slice(1)
}

function tokenView(row: Row): TokenView {
  const grant = grantView(row)
  return {
    id: row.id as number,
    kind: KINDS[row.kind as number] as TokenKind,
    hash: row.hash as Uint8Array,
    grantId: grant.id,
    issuedAt: row.issued_at as number,
    expiresAt: row.expires_at as number,
    detail: row.detail as string | null,
    end: tokenEnd(row),
    grant,
  }
}

function tokenEnd(row: Row): TokenEnd | null {
  if (row.end_state === null) return null
  return {
    state: ENDS[row.end_state as number] as TokenEnd['state'],
    at: row.ended_at as number,
    successorId: row.successor_id as number | null,
  }
}

function grantView(row: Row): GrantView {
  return {
    id: row.grant_id as number,
    clientId: row.client_id as string,
    userId: row.user_id as string | null,
    sessionId: row.session_id as string | null,
    scope: row.scope as string,
    createdAt: row.created_at as number,
    expiresAt: row.grant_expires_at as number,
    detail: row.grant_detail as string | null,
    born: row.born as number,
    endedAt: row.grant_ended_at as number | null,
    marks: { epoch: row.epoch as number, before: row.before as number },
  }
}

function clientRow(row: Row): ClientRow {
  return {
    id: row.id as string,
    settings: row.settings as string,
    enabled: row.enabled as boolean,
    version: row.version as number,
  }
}

function noteOf(row: Row): Note {
  return { value: row.value as string, version: row.version as number }
}

function markRow(row: Row): MarkRow {
  return {
    key: row.key as string,
    epoch: row.epoch as number,
    before: row.before as number,
    at: row.at as number,
  }
}

function eventRow(row: Row): EventRow {
  return {
    id: `evt_${row.seq}`,
    position: `${row.era}-${row.xid}-${row.seq}`,
    at: row.at as number,
    type: row.type as string,
    cause: row.cause as string,
    actor: row.actor as string,
    clientId: row.client_id as string | null,
    userId: row.user_id as string | null,
    grantId: row.grant_id as number | null,
    sessionId: row.session_id as string | null,
    token: row.token as string | null,
    request: row.request as string | null,
    detail: row.detail as string | null,
  }
}
