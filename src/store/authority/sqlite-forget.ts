import type { DatabaseSync } from 'node:sqlite'

/** Deletes what has expired, some rows at a time, inside the transactions that write. */
export interface Forgetting {
  /** Hears of a row that may be forgotten from a moment on. */
  written(expiresAt: number): void
  /** Forgets at most `limit` expired rows of each table. */
  forget(now: number, limit: number): void
}

/**
 * While nothing is due, nothing is looked for: after a search in vain the moment of the next expiry is
 * known, but for rows of other processes, which forget those themselves, or this one does a little later.
 *
 * @param eventsKeptMs how long an event is kept
 */
export function createForgetting(database: DatabaseSync, eventsKeptMs: number): Forgetting {
  const prepare = (sql: string) => database.prepare(sql)
  const delete_ = (table: string, key = 'id') => prepare(`DELETE FROM ${table} WHERE ${key} = ?`)
  // A row goes together with what ended it, and a mark with its settings.
  const ended = [
    {
      expired: prepare('SELECT id FROM token WHERE expires_at <= ? LIMIT ?'),
      deletes: ['token_end_recent', 'token_end', 'token'].map((table) => delete_(table)),
    },
    {
      expired: prepare('SELECT id FROM "grant" WHERE expires_at <= ? LIMIT ?'),
      deletes: ['grant_end', '"grant"'].map((table) => delete_(table)),
    },
    {
      expired: prepare('SELECT key AS id FROM mark WHERE keep_until <= ? LIMIT ?'),
      deletes: ['mark_setting', 'mark'].map((table) => delete_(table, 'key')),
    },
  ]
  const usedOnce = prepare(`DELETE FROM used_once WHERE key IN
    (SELECT key FROM used_once WHERE keep_until <= ? LIMIT ?)`)
  // Events come in the order of their numbers, and nearly in that of their moments.
  const oldEvents = prepare(`DELETE FROM event WHERE seq IN (SELECT seq FROM
    (SELECT seq, at FROM event ORDER BY seq LIMIT ?2) WHERE at <= ?1)`)
  const nextExpiry = prepare(`SELECT min(expires_at) AS at FROM token
    UNION ALL SELECT min(expires_at) FROM "grant" UNION ALL SELECT min(keep_until) FROM used_once
    UNION ALL SELECT min(keep_until) FROM mark
    UNION ALL SELECT at + ? FROM (SELECT at FROM event ORDER BY seq LIMIT 1)`)
  let idleUntil = 0

  const forgetSome = (now: number, limit: number): number => {
    let count = 0
    for (const { expired, deletes } of ended) {
      for (const { id } of expired.all(now, limit) as { id: number | string }[]) {
        for (const statement of deletes) statement.run(id)
        count += 1
      }
    }
    count += Number(usedOnce.run(now, limit).changes)
    return count + Number(oldEvents.run(now - eventsKeptMs, limit).changes)
  }
  return {
    written(expiresAt) {
      if (expiresAt < idleUntil) idleUntil = expiresAt
    },
    forget(now, limit) {
      if (now < idleUntil || forgetSome(now, limit) > 0) return
      const moments = nextExpiry.all(eventsKeptMs) as { at: number | null }[]
      idleUntil = Math.min(...moments.map(({ at }) => at ?? Number.POSITIVE_INFINITY))
    },
  }
}
