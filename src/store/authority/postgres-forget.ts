import type { Clock } from '../../core/clock.ts'
import { LATE_END_MS } from './postgres-changes.ts'
import type { Session, Statement } from './postgres-session.ts'

/**
 * What has expired is kept this much longer: for clocks that differ between processes, and until no
 * change can be under way that would still end it ({@link LATE_END_MS}).
 */
const FORGOTTEN_AFTER_MS = 5 * LATE_END_MS
/** Rows written between two rounds of forgetting: a round costs as much as a change. */
const ROUND_ROWS = 200
/** Rows of each table that a round forgets, for each row written: tables shrink faster than they grow. */
const FORGOTTEN_A_ROW = 2

const expired = (table: string, key: string, moment: string) =>
  `ARRAY(SELECT ${key} FROM rescind.${table} WHERE ${moment} < $1 ORDER BY ${moment} LIMIT $2
    FOR UPDATE SKIP LOCKED)`

/**
 * Forgets what has expired, up to $2 rows of each table, and steps aside for whoever holds a row. Nobody
 * waits for it, so it need not be on disk at once: what a crash brings back is forgotten again.
 */
const FORGET: Statement = {
  name: 'rescind_forget',
  text: `WITH tokens AS (DELETE FROM rescind.token
      WHERE id = ANY(${expired('token', 'id', 'expires_at')}) RETURNING id),
    token_ends AS (DELETE FROM rescind.token_end WHERE id = ANY(ARRAY(SELECT id FROM tokens))),
    gone AS (DELETE FROM rescind.grants
      WHERE id = ANY(${expired('grants', 'id', 'expires_at')}) RETURNING id),
    grant_ends AS (DELETE FROM rescind.grant_end WHERE id = ANY(ARRAY(SELECT id FROM gone))),
    marks AS (DELETE FROM rescind.mark
      WHERE key = ANY(${expired('mark', 'key', 'keep_until')}) RETURNING key),
    settings AS (DELETE FROM rescind.mark_setting WHERE key = ANY(ARRAY(SELECT key FROM marks))),
    names AS (DELETE FROM rescind.used_once
      WHERE key = ANY(${expired('used_once', 'key', 'keep_until')})),
    events AS (DELETE FROM rescind.event WHERE ctid = ANY(ARRAY(SELECT ctid FROM rescind.event
      WHERE at < $3 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)))
    SELECT set_config('synchronous_commit', 'off', true)`,
}

/**
 * Returns what is told of rows that were written, and forgets expired ones in proportion. Trouble is left
 * to the next round.
 */
export function createForgetting(
  session: Session,
  { clock, eventsKeptMs }: { clock: Clock; eventsKeptMs: number },
): (written: number) => Promise<void> {
  // A process that writes little forgets with its first change.
  let writtenSince = ROUND_ROWS
  return async (written) => {
    writtenSince += written
    if (writtenSince < ROUND_ROWS) return
    const limit = writtenSince * FORGOTTEN_A_ROW
    writtenSince = 0
    const now = clock.now()
    const values = [now - FORGOTTEN_AFTER_MS, limit, now - eventsKeptMs]
    await session.run(FORGET, values).catch(() => {})
  }
}
