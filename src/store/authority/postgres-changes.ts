import { type Change, type Committed, markKey, type NewEvent, type TokenRow } from './contract.ts'
import { endNumber, GRANT_TAKES_TOKENS, kindNumber } from './postgres-lookups.ts'
import type { Session, Statement } from './postgres-session.ts'

/**
 * How long a token may be used up or revoked after its expiry, for clocks that differ. What has expired is
 * forgotten later than that: no end is written for a row that is being forgotten.
 */
export const LATE_END_MS = 60_000

export type ChangeType = Change['type']
type ChangeOf<T extends ChangeType> = Extract<Change, { type: T }>

/**
 * How changes of one type are applied: one statement, which is a transaction of its own.
 *
 * `decide` is a list of `WITH` queries that ends in `won (no)`, the numbers of the changes that are done;
 * the statement then writes the tokens and events of those, and of no others. All of it sees one snapshot;
 * what two transactions want at once is decided by a primary key, and in the order of keys, so that they
 * cannot wait for each other in a circle.
 */
interface Kind<T extends ChangeType> {
  readonly decide: string
  readonly values: (changes: readonly ChangeOf<T>[]) => readonly unknown[]
}

const START_GRANT: Kind<'start_grant'> = {
  // The epoch that the snapshot shows is that of the youngest mark which was there before: a mark that
  // commits later has a higher one, and kills the grant; so does one since the request for it began.
  decide: `asked AS (SELECT DISTINCT ON (id) * FROM unnest($1::int[], $2::bigint[], $3::bigint[],
      $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[])
      AS a (no, id, created_at, expires_at, client_id, user_id, session_id, scope, detail, began)
      ORDER BY id, no),
    done AS (INSERT INTO rescind.grants
      (id, created_at, expires_at, born, client_id, user_id, session_id, scope, detail)
      SELECT id, created_at, expires_at,
        least(began, (SELECT value FROM rescind.counter WHERE name = 'epoch')),
        client_id, user_id, session_id, scope, detail
      FROM asked ORDER BY id ON CONFLICT DO NOTHING RETURNING id),
    won AS (SELECT no FROM asked WHERE (id IN (SELECT id FROM done)) IS TRUE)`,
  values: (changes) => {
    const grants = changes.map(({ grant }) => grant)
    return [
      numbers(changes.map((_, no) => no)),
      numbers(grants.map(({ id }) => id)),
      numbers(grants.map(({ createdAt }) => createdAt)),
      numbers(grants.map(({ expiresAt }) => expiresAt)),
      grants.map(({ clientId }) => clientId),
      grants.map(({ userId }) => userId),
      grants.map(({ sessionId }) => sessionId),
      grants.map(({ scope }) => scope),
      grants.map(({ detail }) => detail),
      numbers(changes.map(({ began }) => began)),
    ]
  },
}

const ADD_TOKENS: Kind<'add_tokens'> = {
  // A grant that dies between the snapshot and the commit takes the tokens with it: a look-up judges
  // the grant and its marks, whatever rows there are. The first token tells a change that is sent again.
  // Whoever forgets a grant waits for its lock, and then sees the tokens; we wait, and find it gone.
  decide: `asked AS (SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[])
      AS a (no, grant_id, first_id)),
    won AS MATERIALIZED (SELECT a.no FROM asked a JOIN rescind.grants g ON g.id = a.grant_id
      WHERE ${GRANT_TAKES_TOKENS}
        AND NOT EXISTS (SELECT 1 FROM rescind.token t WHERE t.id = a.first_id)
      ORDER BY g.id FOR KEY SHARE OF g)`,
  values: (changes) => [
    numbers(changes.map((_, no) => no)),
    numbers(changes.map(({ grantId }) => grantId)),
    numbers(changes.map(({ tokens }) => tokens[0]?.id ?? null)),
  ],
}

/** Ends of tokens, by either type of change: the primary key of `token_end` lets one of all through. */
const endTokens = (state: number, and: string) => `asked AS (
    SELECT DISTINCT ON (id) * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[],
      $5::bigint[]) AS a (no, id, at, grant_id, successor_id) ORDER BY id, no),
  done AS (INSERT INTO rescind.token_end (id, at, successor_id, state)
    SELECT a.id, a.at, a.successor_id, ${state} FROM asked a JOIN rescind.token t ON t.id = a.id ${and}
      AND t.expires_at + ${LATE_END_MS} > a.at
    ORDER BY a.id ON CONFLICT DO NOTHING RETURNING id),
  won AS (SELECT no FROM asked WHERE (id IN (SELECT id FROM done)) IS TRUE)`

const SPEND_TOKEN: Kind<'spend_token'> = {
  decide: endTokens(
    endNumber('used'),
    `JOIN rescind.grants g ON g.id = a.grant_id WHERE ${GRANT_TAKES_TOKENS}`,
  ),
  values: (changes) => [
    numbers(changes.map((_, no) => no)),
    numbers(changes.map(({ tokenId }) => tokenId)),
    numbers(changes.map(({ at }) => at)),
    numbers(changes.map(({ grantId }) => grantId)),
    numbers(changes.map(({ successorId }) => successorId)),
  ],
}

const END_TOKEN: Kind<'end_token'> = {
  decide: endTokens(endNumber('revoked'), 'WHERE true'),
  values: (changes) => [
    numbers(changes.map((_, no) => no)),
    numbers(changes.map(({ tokenId }) => tokenId)),
    numbers(changes.map(({ at }) => at)),
    numbers(changes.map(() => null)),
    numbers(changes.map(() => null)),
  ],
}

const END_GRANT: Kind<'end_grant'> = {
  // No end is written for a grant that is being forgotten: whose tokens have all been expired for a while.
  decide: `asked AS (SELECT DISTINCT ON (id) * FROM unnest($1::int[], $2::bigint[], $3::bigint[])
      AS a (no, id, at) ORDER BY id, no),
    done AS (INSERT INTO rescind.grant_end (id, at)
      SELECT a.id, a.at FROM asked a JOIN rescind.grants g ON g.id = a.id
      WHERE g.expires_at + ${LATE_END_MS} > a.at
        AND (EXISTS (SELECT 1 FROM rescind.token t
            WHERE t.grant_id = g.id AND t.expires_at + ${LATE_END_MS} > a.at)
          OR NOT EXISTS (SELECT 1 FROM rescind.token t WHERE t.grant_id = g.id))
      ORDER BY a.id ON CONFLICT DO NOTHING RETURNING id),
    won AS (SELECT no FROM asked WHERE (id IN (SELECT id FROM done)) IS TRUE)`,
  values: (changes) => [
    numbers(changes.map((_, no) => no)),
    numbers(changes.map(({ grantId }) => grantId)),
    numbers(changes.map(({ at }) => at)),
  ],
}

/**
 * Sets marks, each with the epoch that `turn` drew: one number is enough for all of one transaction. A
 * setting with a moment is a row of its own, and none where an older one kills all that it does.
 */
const setMarks = (asked: string) => `marks AS (SELECT key, whole, before, at,
      CASE WHEN whole THEN (SELECT value FROM turn) ELSE 0 END AS epoch,
      greatest(keep_until, CASE WHEN before > 0 OR key = 'a'
        THEN (SELECT max(expires_at) FROM rescind.grants) END) AS keep_until
      FROM ${asked}),
    settings AS (INSERT INTO rescind.mark_setting (key, epoch, before, at, keep_until)
      SELECT key, epoch, 0, at, keep_until FROM marks WHERE whole
      UNION ALL SELECT key, 0, before, at, keep_until FROM marks m WHERE before > 0
        AND NOT EXISTS (SELECT 1 FROM rescind.mark_setting s
          WHERE s.key = m.key AND s.epoch = 0 AND s.before >= m.before)),
    done AS (INSERT INTO rescind.mark AS m (key, epoch, before, keep_until)
      SELECT key, epoch, before, keep_until FROM marks ORDER BY key
      ON CONFLICT (key) DO UPDATE SET epoch = greatest(m.epoch, excluded.epoch),
        before = greatest(m.before, excluded.before),
        keep_until = greatest(m.keep_until, excluded.keep_until))`

const MARK: Kind<'mark'> = {
  // The row of the counter is locked until the commit: epochs grow in the order in which marks can be
  // seen, and a grant that was born at an epoch was born after every mark up to it.
  // What a mark with a moment killed, or one on all, no index tells: it stays as long as any grant could.
  decide: `asked AS (SELECT key, bool_or(before IS NULL) AS whole, coalesce(max(before), 0) AS before,
      min(at) AS at, max(keep_until) AS keep_until
      FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
      AS a (key, before, at, keep_until) GROUP BY key),
    turn AS (UPDATE rescind.counter SET value = value + 1
      WHERE name = 'epoch' AND EXISTS (SELECT 1 FROM asked WHERE whole) RETURNING value),
    ${setMarks('asked')},
    won AS (SELECT unnest($1::int[]) AS no)`,
  values: (changes) => [
    numbers(changes.map((_, no) => no)),
    changes.map(({ reach }) => markKey(reach)),
    numbers(changes.map(({ before }) => before)),
    numbers(changes.map(({ at }) => at)),
    numbers(changes.map(({ keepUntil }) => keepUntil)),
  ],
}

const DISABLE_CLIENT: Kind<'disable_client'> = {
  // All clients are locked before the counter is, which is why they are counted: who marks alone holds the
  // counter, and waits for no client.
  decide: `asked AS (SELECT DISTINCT ON (id) * FROM unnest($1::int[], $2::text[], $3::text[],
      $4::bigint[], $5::bigint[]) AS a (no, id, key, at, keep_until) ORDER BY id, no),
    changed AS (UPDATE rescind.client c SET enabled = false, version = c.version + 1 FROM asked a
      WHERE c.id = a.id AND c.enabled RETURNING c.id),
    turn AS (UPDATE rescind.counter SET value = value + 1
      WHERE name = 'epoch' AND (SELECT count(*) FROM changed) > 0 RETURNING value),
    marked AS (SELECT key, true AS whole, 0 AS before, at, keep_until
      FROM asked JOIN changed USING (id)),
    ${setMarks('marked')},
    won AS (SELECT no FROM asked WHERE (id IN (SELECT id FROM changed)) IS TRUE)`,
  values: (changes) => [
    numbers(changes.map((_, no) => no)),
    changes.map(({ clientId }) => clientId),
    changes.map(({ clientId }) => markKey({ type: 'client', clientId })),
    numbers(changes.map(({ at }) => at)),
    numbers(changes.map(({ keepUntil }) => keepUntil)),
  ],
}

/** Rows with a version: one that must not be there yet, or one that must still be as it was read. */
const putVersioned = (table: string, key: string, columns: readonly string[], types: string) => {
  const set = columns.map((column) => `${column} = a.${column}`).join(', ')
  return `asked AS (SELECT DISTINCT ON (${key}) * FROM unnest($1::int[], $2::text[], $3::bigint[], ${types})
      AS a (no, ${key}, expected, ${columns}) ORDER BY ${key}, no),
    made AS (INSERT INTO ${table} (${key}, ${columns}, version)
      SELECT ${key}, ${columns}, 1 FROM asked WHERE expected IS NULL ORDER BY ${key}
      ON CONFLICT DO NOTHING RETURNING ${key}),
    changed AS (UPDATE ${table} c SET ${set}, version = c.version + 1 FROM asked a
      WHERE c.${key} = a.${key} AND c.version = a.expected RETURNING c.${key}),
    won AS (SELECT no FROM asked WHERE
      (${key} IN (SELECT ${key} FROM made UNION ALL SELECT ${key} FROM changed)) IS TRUE)`
}

const PUT_CLIENT: Kind<'put_client'> = {
  decide: putVersioned(
    'rescind.client',
    'id',
    ['settings', 'enabled'],
    '$4::text[], $5::boolean[]',
  ),
  values: (changes) => [
    numbers(changes.map((_, no) => no)),
    changes.map(({ client }) => client.id),
    numbers(changes.map(({ expected }) => expected)),
    changes.map(({ client }) => client.settings),
    changes.map(({ client }) => client.enabled),
  ],
}

const PUT_NOTE: Kind<'put_note'> = {
  decide: putVersioned('rescind.note', 'key', ['value'], '$4::text[]'),
  values: (changes) => [
    numbers(changes.map((_, no) => no)),
    changes.map(({ key }) => key),
    numbers(changes.map(({ expected }) => expected)),
    changes.map(({ value }) => value),
  ],
}

const USE_ONCE: Kind<'use_once'> = {
  decide: `asked AS (SELECT DISTINCT ON (key) * FROM unnest($1::int[], $2::text[], $3::bigint[])
      AS a (no, key, keep_until) ORDER BY key, no),
    done AS (INSERT INTO rescind.used_once (key, keep_until) SELECT key, keep_until FROM asked
      ORDER BY key ON CONFLICT DO NOTHING RETURNING key),
    won AS (SELECT no FROM asked WHERE (key IN (SELECT key FROM done)) IS TRUE)`,
  values: (changes) => [
    numbers(changes.map((_, no) => no)),
    changes.map(({ key }) => key),
    numbers(changes.map(({ keepUntil }) => keepUntil)),
  ],
}

const LOG: Kind<'log'> = {
  decide: 'won AS (SELECT unnest($1::int[]) AS no)',
  values: (changes) => [numbers(changes.map((_, no) => no))],
}

const KINDS: { readonly [T in ChangeType]: Kind<T> } = {
  start_grant: START_GRANT,
  add_tokens: ADD_TOKENS,
  spend_token: SPEND_TOKEN,
  end_token: END_TOKEN,
  end_grant: END_GRANT,
  mark: MARK,
  disable_client: DISABLE_CLIENT,
  put_client: PUT_CLIENT,
  put_note: PUT_NOTE,
  use_once: USE_ONCE,
  log: LOG,
}

const STATEMENTS = new Map<ChangeType, Statement>()

/**
 * Applies changes of one type in one transaction. Of several on one key, the first is decided, and the
 * others conflict.
 *
 * @throws RescindError `store_down`; `unexpected` when a value of one of them is refused, and none is applied
 */
export async function applyChanges(
  session: Session,
  changes: readonly Change[],
): Promise<readonly Committed[]> {
  const type = changes[0]?.type
  if (type === undefined) return []
  const own = ownValues(type, changes)
  const statement = STATEMENTS.get(type) ?? writeStatement(type, own.length)
  STATEMENTS.set(type, statement)
  const rows = await session.run(statement, [
    ...own,
    ...tokenValues(changes),
    ...eventValues(changes),
  ])
  const won = new Set(rows.map((row) => row.no))
  return changes.map((_, no) => (won.has(no) ? 'done' : 'conflict'))
}

/** How many rows changes write, so that as many may be forgotten. */
export function countRows(changes: readonly Change[]): number {
  let rows = 0
  for (const change of changes) {
    rows += 1
    if ('tokens' in change) rows += change.tokens.length
    if ('events' in change) rows += change.events.length
  }
  return rows
}

/** The names of the marks that changes, all of one type, set. */
export function markedKeys(changes: readonly Change[]): readonly string[] {
  const type = changes[0]?.type
  if (type !== 'mark' && type !== 'disable_client') return []
  return changes.flatMap((change) => {
    if (change.type === 'mark') return [markKey(change.reach)]
    if (change.type !== 'disable_client') return []
    return [markKey({ type: 'client', clientId: change.clientId })]
  })
}

function ownValues<T extends ChangeType>(type: T, changes: readonly Change[]): readonly unknown[] {
  return KINDS[type].values(changes as readonly ChangeOf<T>[])
}

function writeStatement(type: ChangeType, ownCount: number): Statement {
  let count = ownCount
  const next = (sqlType: string) => {
    count += 1
    return `$${count}::${sqlType}[]`
  }
  const tokenArrays = TOKEN_TYPES.map(next).join(', ')
  const eventArrays = EVENT_TYPES.map(next).join(', ')
  const text = `WITH ${KINDS[type].decide},
    new_tokens AS (INSERT INTO rescind.token (${TOKEN_COLUMNS})
      SELECT ${TOKEN_COLUMNS} FROM unnest(${tokenArrays}) AS n (no, ${TOKEN_COLUMNS})
      WHERE (no IN (SELECT no FROM won)) IS TRUE ORDER BY id),
    new_events AS (INSERT INTO rescind.event (era, ${EVENT_COLUMNS})
      SELECT (SELECT value FROM rescind.counter WHERE name = 'era'), ${EVENT_COLUMNS}
      FROM unnest(${eventArrays}) WITH ORDINALITY AS n (no, ${EVENT_COLUMNS}, place)
      WHERE (no IN (SELECT no FROM won)) IS TRUE ORDER BY place)
    SELECT no FROM won`
  return { name: `rescind_${type}`, text }
}

const TOKEN_COLUMNS = 'id, grant_id, issued_at, expires_at, kind, hash, detail'
const TOKEN_TYPES = ['int', 'bigint', 'bigint', 'bigint', 'bigint', 'smallint', 'bytea', 'text']

function tokenValues(changes: readonly Change[]): readonly unknown[] {
  const rows: { readonly no: number; readonly token: TokenRow }[] = []
  for (const [no, change] of changes.entries()) {
    if ('tokens' in change) for (const token of change.tokens) rows.push({ no, token })
  }
  return [
    numbers(rows.map(({ no }) => no)),
    numbers(rows.map(({ token }) => token.id)),
    numbers(rows.map(({ token }) => token.grantId)),
    numbers(rows.map(({ token }) => token.issuedAt)),
    numbers(rows.map(({ token }) => token.expiresAt)),
    numbers(rows.map(({ token }) => kindNumber(token.kind))),
    rows.map(({ token }) => `\\x${Buffer.from(token.hash).toString('hex')}`),
    rows.map(({ token }) => token.detail),
  ]
}

const EVENT_COLUMNS =
  'at, type, cause, actor, client_id, user_id, grant_id, session_id, token, request, detail'
const EVENT_TYPES = [
  ...[
    'int',
    'bigint',
    'text',
    'text',
    'text',
    'text',
    'text',
    'bigint',
    'text',
    'text',
    'text',
    'text',
  ],
]

function eventValues(changes: readonly Change[]): readonly unknown[] {
  const rows: { readonly no: number; readonly event: NewEvent }[] = []
  for (const [no, change] of changes.entries()) {
    if ('events' in change) for (const event of change.events) rows.push({ no, event })
  }
  const texts = (read: (event: NewEvent) => string | null) =>
    rows.map(({ event }) => withoutNul(read(event)))
  return [
    numbers(rows.map(({ no }) => no)),
    numbers(rows.map(({ event }) => event.at)),
    texts(({ type }) => type),
    texts(({ cause }) => cause),
    texts(({ actor }) => actor),
    texts(({ clientId }) => clientId),
    texts(({ userId }) => userId),
    numbers(rows.map(({ event }) => event.grantId)),
    texts(({ sessionId }) => sessionId),
    texts(({ token }) => token),
    texts(({ request }) => request),
    texts(({ detail }) => detail),
  ]
}

/** An event tells what somebody sent, and must not fail for it: PostgreSQL takes no NUL in a text. */
function withoutNul(text: string | null): string | null {
  return text?.includes('\0') ? text.replaceAll('\0', '\ufffd') : text
}

/** An array of numbers as PostgreSQL reads it: what the driver would write takes five times as long. */
function numbers(values: readonly (number | null)[]): string {
  return `{${values.map((value) => value ?? 'NULL').join(',')}}`
}
