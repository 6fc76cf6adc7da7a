import type { Clock } from '../../core/clock.ts'
import { type Change, MARK_LOOK_MS, SETTINGS_KEPT } from './contract.ts'
import { countRows, LATE_END_MS, markedKeys } from './postgres-changes.ts'
import type { Query, Session } from './postgres-session.ts'

/**
 * What has expired is kept this much longer: for clocks that differ between processes, and until no
 * change can be under way that would still end it ({@link LATE_END_MS}).
 */
const FORGOTTEN_AFTER_MS = 5 * LATE_END_MS
/** Rows written between two rounds of forgetting: a round costs as much as some changes. */
const ROUND_ROWS = 200
/** Rows of each table that a round forgets, for each row written: tables shrink faster than they grow. */
const FORGOTTEN_A_ROW = 2
/** Names our lock among the advisory locks of a database: the bytes of `resf`. */
const FORGETTING_LOCK = 0x72657366

const expired = (table: string, key: string, moment: string) =>
  `ARRAY(SELECT ${key} FROM rescind.${table} WHERE ${moment} < $1 ORDER BY ${moment} LIMIT $2
    FOR UPDATE SKIP LOCKED)`
const HAS_TOKEN = 'EXISTS (SELECT 1 FROM rescind.token t WHERE t.grant_id = g.id)'

/**
 * One process forgets at a time: of two that forget the last tokens of a grant, neither would see that it
 * has none left. Nobody waits for it, so it need not be on disk at once: what a crash brings back is
 * forgotten again. A bitmap would be made of all settings of a mark, to sort them and look at a few.
 */
const BEGIN_ROUND = `SELECT pg_try_advisory_xact_lock(${FORGETTING_LOCK}) AS mine,
  set_config('synchronous_commit', 'off', true), set_config('enable_bitmapscan', 'off', true)`

/**
 * Forgets up to $2 rows of each table, steps aside for whoever holds a row, and names grants that may be
 * over: those of the tokens, and the oldest. Younger ones that have a token are not walked past: no token
 * outlives its grant, so the tokens of the oldest are about to be forgotten themselves.
 */
const FORGET_ROWS = `WITH tokens AS (DELETE FROM rescind.token
    WHERE id = ANY(${expired('token', 'id', 'expires_at')}) RETURNING id, grant_id),
  token_ends AS (DELETE FROM rescind.token_end WHERE id = ANY(ARRAY(SELECT id FROM tokens))),
  names AS (DELETE FROM rescind.used_once
    WHERE key = ANY(${expired('used_once', 'key', 'keep_until')})),
  events AS (DELETE FROM rescind.event WHERE ctid = ANY(ARRAY(SELECT ctid FROM rescind.event
    WHERE at < $3 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)))
  SELECT grant_id FROM tokens UNION
  (SELECT id FROM rescind.grants WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`

/** In the order of ids, as changes lock them that add tokens; a grant that has any is left alone. */
const LOCK_GRANTS = `SELECT g.id FROM rescind.grants g WHERE g.id = ANY($1::bigint[])
  AND NOT ${HAS_TOKEN} ORDER BY g.id FOR UPDATE`

/** Looks again, now that nobody can add: the lock may have been waited for. */
const FORGET_GRANTS = `WITH gone AS (DELETE FROM rescind.grants g WHERE g.id = ANY($1::bigint[])
    AND NOT ${HAS_TOKEN} RETURNING g.id)
  DELETE FROM rescind.grant_end WHERE id = ANY(ARRAY(SELECT id FROM gone))`

const killed = (sign: string, where: string) =>
  `(SELECT g.id FROM rescind.grants g WHERE left(due.key, 2) = '${sign}:' AND ${where}
    AND g.born >= due.since AND g.born < due.epoch LIMIT 1)`
const NAME = 'substr(due.key, 3)'
/** A grant that is there of what `due`, a mark, killed of those born from `due.since` on. */
const KILLED = `${killed('c', `g.client_id = ${NAME}`)} UNION ALL ${killed('u', `g.user_id = ${NAME}`)}
    UNION ALL ${killed('s', `g.session_id = ${NAME}`)}
    UNION ALL ${killed(
      'x',
      `g.client_id = split_part(${NAME}, ' ', 1)
        AND g.user_id = substr(due.key, 4 + length(split_part(${NAME}, ' ', 1)))`,
    )}`

/**
 * A mark goes when nothing that it killed is there; until then it is looked at again from $3 on, or when a
 * token of that has expired: one of them, as a client's own grant may have a million.
 */
const FORGET_MARKS = `WITH due AS MATERIALIZED (SELECT key, epoch, 0 AS since FROM rescind.mark
    WHERE key = ANY(${expired('mark', 'key', 'keep_until')})),
  alive AS MATERIALIZED (SELECT due.key, k.id FROM due CROSS JOIN LATERAL (${KILLED}) k),
  kept AS (UPDATE rescind.mark m SET keep_until = greatest($3::bigint,
      (SELECT t.expires_at FROM rescind.token t WHERE t.grant_id = a.id LIMIT 1))
    FROM alive a WHERE m.key = a.key),
  gone AS (DELETE FROM rescind.mark
    WHERE key = ANY(ARRAY(SELECT key FROM due EXCEPT SELECT key FROM alive)) RETURNING key)
  DELETE FROM rescind.mark_setting WHERE key = ANY(ARRAY(SELECT key FROM gone))`

/** Where a setting is, and since which epoch grants that are there died by it first. */
const SETTING = `s.ctid AS place, s.key, s.epoch,
  coalesce((SELECT max(p.epoch) FROM rescind.mark_setting p
    WHERE p.key = s.key AND p.epoch < s.epoch), 0) AS since`

/**
 * While a reach is revoked again and again its mark stays, and its settings come to an end by themselves:
 * when their time is over and no grant is there that died by them first. A moment has no epoch, and what a
 * mark on everything killed no index tells: their time is as long as that of any grant that was there.
 */
const FORGET_SETTINGS = `WITH due AS MATERIALIZED (SELECT ${SETTING} FROM rescind.mark_setting s
    WHERE s.keep_until < $1 ORDER BY s.keep_until LIMIT $2),
  alive AS MATERIALIZED (SELECT due.place, k.id FROM due CROSS JOIN LATERAL (${KILLED}) k),
  kept AS (UPDATE rescind.mark_setting m SET keep_until = greatest($3::bigint,
      (SELECT t.expires_at FROM rescind.token t WHERE t.grant_id = a.id LIMIT 1))
    FROM alive a WHERE m.ctid = a.place)
  DELETE FROM rescind.mark_setting
    WHERE ctid = ANY(ARRAY(SELECT place FROM due EXCEPT SELECT place FROM alive))`

/** Forgets, sooner, settings that are none of the youngest any more, now that their marks were set again. */
const FORGET_OLD_SETTINGS = `WITH due AS MATERIALIZED (SELECT o.*
    FROM unnest($1::text[]) AS k (key) CROSS JOIN LATERAL (SELECT ${SETTING}
      FROM rescind.mark_setting s WHERE s.key = k.key AND s.epoch > 0
      ORDER BY s.epoch DESC LIMIT $2 OFFSET ${SETTINGS_KEPT}) o
    WHERE k.key <> 'a')
  DELETE FROM rescind.mark_setting WHERE ctid = ANY(ARRAY(
    SELECT place FROM due WHERE NOT EXISTS (${KILLED})))`

interface Round {
  readonly now: number
  readonly limit: number
  readonly eventsKeptMs: number
  /** The names of marks that were set since the last round. */
  readonly marked: ReadonlySet<string>
}

/** Does one round in a transaction; false when another process is at it. */
async function forgetSome(query: Query, round: Round): Promise<boolean> {
  const { now, limit, eventsKeptMs, marked } = round
  const [begun] = await query(BEGIN_ROUND)
  if (!begun?.mine) return false
  const until = now - FORGOTTEN_AFTER_MS
  const over = await query(FORGET_ROWS, [until, limit, now - eventsKeptMs])
  if (over.length > 0) {
    const locked = await query(LOCK_GRANTS, [over.map((row) => row.grant_id)])
    await query(FORGET_GRANTS, [locked.map((row) => row.id)])
  }
  await query(FORGET_MARKS, [until, limit, now + MARK_LOOK_MS])
  await query(FORGET_SETTINGS, [until, limit, now + MARK_LOOK_MS])
  if (marked.size > 0) await query(FORGET_OLD_SETTINGS, [[...marked], limit])
  return true
}

/**
 * Returns what is told of changes that were applied, and forgets expired ones in proportion. A round that
 * fails is told, and the next ones forget half as many rows, until one is done: what takes too long for the
 * database once would take too long each time.
 */
export function createForgetting(
  session: Session,
  parts: {
    readonly clock: Clock
    readonly deadlineMs: number
    readonly eventsKeptMs: number
    readonly onTrouble: (error: unknown) => void
  },
): (changes: readonly Change[]) => Promise<void> {
  const { clock, deadlineMs, eventsKeptMs, onTrouble } = parts
  // A process that writes little forgets with its first change.
  let writtenSince = ROUND_ROWS
  let limitMax = Number.MAX_SAFE_INTEGER
  let marked = new Set<string>()
  return async (changes) => {
    writtenSince += countRows(changes)
    for (const key of markedKeys(changes)) marked.add(key)
    if (writtenSince < ROUND_ROWS) return
    const rows = writtenSince
    writtenSince = 0
    const limit = Math.min(rows * FORGOTTEN_A_ROW, limitMax)
    const round = { now: clock.now(), limit, eventsKeptMs, marked }
    marked = new Set()
    try {
      // The round holds a lane of changes: it may take as long as one of them, in all.
      const isDone = await session.transact(deadlineMs, (query) => forgetSome(query, round))
      if (isDone) limitMax = Math.min(2 * limitMax, Number.MAX_SAFE_INTEGER)
      else {
        writtenSince += rows
        for (const key of round.marked) marked.add(key)
      }
    } catch (error) {
      limitMax = Math.max(1, Math.floor(limit / 2))
      onTrouble(error)
    }
  }
}
