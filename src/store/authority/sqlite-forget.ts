import type { DatabaseSync } from 'node:sqlite'
import { MARK_LOOK_MS, reachOfKey, SETTINGS_KEPT } from './contract.ts'
import type { RecentEnds } from './sqlite-recent-ends.ts'

/** Deletes what has expired, some rows at a time, inside the transactions that write. */
export interface Forgetting {
  /** Hears of a row that may be forgotten from a moment on. */
  written(expiresAt: number): void
  /** Forgets a setting that is none of the youngest any more, now that its mark was set again. */
  marked(key: string): void
  /** Forgets at most `limit` expired rows of each table. */
  forget(now: number, limit: number): void
}

/**
 * While nothing is due, nothing is looked for: after a search in vain the moment of the next expiry is
 * known, but for rows of other processes, which forget those themselves, or this one does a little later.
 *
 * @param eventsKeptMs how long an event is kept
 */
export function createForgetting(
  database: DatabaseSync,
  recentEnds: RecentEnds,
  eventsKeptMs: number,
): Forgetting {
  const prepare = (sql: string) => database.prepare(sql)
  const forgetRows = createRowForgetting(database, recentEnds)
  const forgetMarks = createMarkForgetting(database)
  const settings = createSettingForgetting(database)
  const usedNames = prepare(`DELETE FROM used_once WHERE key IN
    (SELECT key FROM used_once WHERE keep_until <= ? LIMIT ?)`)
  // Events come in the order of their numbers, and nearly in that of their moments.
  const oldEvents = prepare(`DELETE FROM event WHERE seq IN (SELECT seq FROM
    (SELECT seq, at FROM event ORDER BY seq LIMIT ?2) WHERE at <= ?1)`)
  const nextExpiry = prepare(`SELECT min(expires_at) AS at FROM token
    UNION ALL SELECT min(expires_at) FROM "grant" UNION ALL SELECT min(keep_until) FROM used_once
    UNION ALL SELECT min(keep_until) FROM mark UNION ALL SELECT min(keep_until) FROM mark_setting
    UNION ALL SELECT at + ? FROM (SELECT at FROM event ORDER BY seq LIMIT 1)`)
  let idleUntil = 0

  const forgetSome = (now: number, limit: number): number =>
    forgetRows(now, limit) +
    forgetMarks(now, limit) +
    settings.forget(now, limit) +
    Number(usedNames.run(now, limit).changes) +
    Number(oldEvents.run(now - eventsKeptMs, limit).changes)
  return {
    written(expiresAt) {
      if (expiresAt < idleUntil) idleUntil = expiresAt
    },
    marked: settings.marked,
    forget(now, limit) {
      if (now < idleUntil || forgetSome(now, limit) > 0) return
      const moments = nextExpiry.all(eventsKeptMs) as { at: number | null }[]
      idleUntil = Math.min(...moments.map(({ at }) => at ?? Number.POSITIVE_INFINITY))
    },
  }
}

/** A row goes with what ended it, and a grant with its last token: then nothing hangs on it any more. */
function createRowForgetting(database: DatabaseSync, recentEnds: RecentEnds) {
  const prepare = (sql: string) => database.prepare(sql)
  const expiredTokens = prepare(
    'SELECT id, grant_id AS grantId FROM token WHERE expires_at <= ? ORDER BY expires_at LIMIT ?',
  )
  const deletes = ['token_end', 'token'].map((table) =>
    prepare(`DELETE FROM ${table} WHERE id = ?`),
  )
  const hasToken = prepare('SELECT 1 FROM token WHERE grant_id = ? LIMIT 1')
  const deleteGrant = ['grant_end', '"grant"'].map((table) =>
    prepare(`DELETE FROM ${table} WHERE id = ?`),
  )
  // One that never got a token goes with the oldest. Those that have one are not walked past: no token
  // outlives its grant, so the tokens of the oldest are about to be forgotten themselves.
  const emptyGrants = prepare(`SELECT id FROM
    (SELECT id FROM "grant" WHERE expires_at <= ? ORDER BY expires_at LIMIT ?) g
    WHERE NOT EXISTS (SELECT 1 FROM token t WHERE t.grant_id = g.id)`)
  return (now: number, limit: number): number => {
    const tokens = expiredTokens.all(now, limit) as { id: number; grantId: number }[]
    for (const { id } of tokens) {
      recentEnds.remove(id)
      for (const statement of deletes) statement.run(id)
    }
    const left = [...new Set(tokens.map(({ grantId }) => grantId))].filter(
      (grantId) => hasToken.get(grantId) === undefined,
    )
    const empty = (emptyGrants.all(now, limit) as { id: number }[]).map(({ id }) => id)
    for (const id of [...left, ...empty]) for (const statement of deleteGrant) statement.run(id)
    return tokens.length + empty.length
  }
}

/** A mark goes when nothing that it killed is there; until then it is looked at again now and then. */
function createMarkForgetting(database: DatabaseSync) {
  const prepare = (sql: string) => database.prepare(sql)
  const due = prepare('SELECT key, epoch FROM mark WHERE keep_until <= ? LIMIT ?')
  const findKilled = findOfReach(
    database,
    (where) => `SELECT id FROM "grant" WHERE ${where} AND born < ? LIMIT 1`,
  )
  const nextLook = findNextLook(database)
  const keep = prepare('UPDATE mark SET keep_until = ? WHERE key = ?')
  const removes = ['mark_setting', 'mark'].map((table) =>
    prepare(`DELETE FROM ${table} WHERE key = ?`),
  )
  return (now: number, limit: number): number => {
    const marks = due.all(now, limit) as { key: string; epoch: number }[]
    for (const { key, epoch } of marks) {
      const grantId = findKilled(key, epoch)?.id as number | undefined
      if (grantId === undefined) for (const remove of removes) remove.run(key)
      else keep.run(nextLook(now, grantId), key)
    }
    return marks.length
  }
}

/** When what killed a grant is looked at again: one token tells, as a client's own grant may have a million. */
function findNextLook(database: DatabaseSync) {
  const youngestToken = database.prepare(
    'SELECT expires_at AS at FROM token WHERE grant_id = ? ORDER BY id DESC LIMIT 1',
  )
  return (now: number, grantId: number): number =>
    Math.max(now + MARK_LOOK_MS, Number(youngestToken.get(grantId)?.at ?? 0))
}

/**
 * While a reach is revoked again and again its mark stays, and its settings come to an end by themselves:
 * when their time is over and no grant is there that died by them first. A moment has no epoch, and no index
 * tells what it killed: its time is as long as that of any grant that was there.
 */
function createSettingForgetting(database: DatabaseSync) {
  const prepare = (sql: string) => database.prepare(sql)
  const due = prepare(
    'SELECT rowid AS id, key, epoch FROM mark_setting WHERE keep_until <= ? LIMIT ?',
  )
  const old = prepare(`SELECT rowid AS id, key, epoch FROM mark_setting
    WHERE key = ? AND epoch > 0 ORDER BY epoch DESC LIMIT 1 OFFSET ${SETTINGS_KEPT}`)
  const previous = prepare(
    'SELECT max(epoch) AS epoch FROM mark_setting WHERE key = ? AND epoch < ?',
  )
  const findBetween = findOfReach(
    database,
    (where) => `SELECT id FROM "grant" WHERE ${where} AND born >= ? AND born < ? LIMIT 1`,
  )
  const nextLook = findNextLook(database)
  const keep = prepare('UPDATE mark_setting SET keep_until = ? WHERE rowid = ?')
  const remove = prepare('DELETE FROM mark_setting WHERE rowid = ?')
  /** A grant that is there and died by a setting first. */
  const killedBy = ({ key, epoch }: Setting): number | undefined => {
    const since = Number(previous.get(key, epoch)?.epoch ?? 0)
    return findBetween(key, since, epoch)?.id as number | undefined
  }
  return {
    forget(now: number, limit: number): number {
      const settings = due.all(now, limit) as unknown as Setting[]
      for (const setting of settings) {
        const grantId = killedBy(setting)
        if (grantId === undefined) remove.run(setting.id)
        else keep.run(nextLook(now, grantId), setting.id)
      }
      return settings.length
    },
    marked(key: string): void {
      const setting = old.get(key) as unknown as Setting | undefined
      if (setting && killedBy(setting) === undefined) remove.run(setting.id)
    },
  }
}

interface Setting {
  readonly id: number
  readonly key: string
  readonly epoch: number
}

/** Prepares a query for each kind of reach that an index by birth knows, and returns how a mark's is asked. */
function findOfReach(database: DatabaseSync, query: (where: string) => string) {
  const statements = {
    client: database.prepare(query('client_id = ?')),
    user: database.prepare(query('user_id = ?')),
    // The plus keeps it off the index of the client, who has more grants than the user.
    user_client: database.prepare(query('user_id = ? AND +client_id = ?')),
    session: database.prepare(query('session_id = ?')),
  }
  return (key: string, ...births: readonly number[]) => {
    const reach = reachOfKey(key)
    if (reach.type === 'all') return undefined
    const { type, ...names } = reach
    return statements[type].get(...(Object.values(names) as string[]), ...births)
  }
}
