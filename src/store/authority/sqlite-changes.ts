import type { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../core/clock.ts'
import {
  type AskedRows,
  type Change,
  type Committed,
  type GrantRow,
  isGrantDead,
  markKey,
  type NewEvent,
  type TokenAsked,
  type TokenEnd,
  type TokenRow,
} from './contract.ts'
import { createAppender } from './sqlite-appender.ts'
import { createForgetting } from './sqlite-forget.ts'
import { kindNumber, type Lookups, toldText } from './sqlite-lookups.ts'
import type { RecentEnds } from './sqlite-recent-ends.ts'

/** Expired rows that one transaction forgets for each row that it wrote: the tables shrink faster than they grow. */
const FORGOTTEN_A_ROW = 2
/** What even the smallest transaction forgets. */
const FORGOTTEN_MIN = 8
type MarkOf = Omit<Extract<Change, { type: 'mark' }>, 'type' | 'events'>

/** A change that waits for how its token and its client are. */
export interface TokenChange extends TokenAsked {
  readonly decide: (found: AskedRows) => Change | null
}

export interface Applied {
  reserveIds(count: number): number
  /** Begins a transaction's work: nothing that an older one saw is believed. */
  begin(): void
  /** Applies a change in the transaction that is open: whole, or not at all; null when none was wanted. */
  apply(change: Change | TokenChange): Committed | null
  /** Ends a transaction's work: forgets some of what has expired, in proportion to what was written. */
  finish(): void
  /** Drops what is remembered of a transaction that was rolled back. */
  abandon(): void
}

export interface ChangeParts {
  readonly lookups: Lookups
  readonly recentEnds: RecentEnds
  readonly clock: Clock
  readonly eventsKeptMs: number
}

/** Prepares what writes the authority's tables. Everything is called inside a transaction. */
export function createChanges(
  database: DatabaseSync,
  { lookups, recentEnds, clock, eventsKeptMs }: ChangeParts,
): Applied {
  const run = (sql: string) => {
    const statement = database.prepare(sql)
    return (...values: (string | number | null | Uint8Array)[]): boolean =>
      Number(statement.run(...values).changes) > 0
  }
  const counterOf = database.prepare('SELECT value FROM counter WHERE name = ?')
  const setCounter = run('UPDATE counter SET value = ? WHERE name = ?')
  const insertGrant = run(
    'INSERT INTO "grant" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
  )
  const insertToken = run('INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?)')
  const hasToken = database.prepare('SELECT 1 FROM token WHERE id = ?')
  // A row that is forgotten took its end with it: what is not there any more cannot be used up again.
  const isUnended = database.prepare(`SELECT 1 FROM token WHERE id = ?
    AND NOT EXISTS (SELECT 1 FROM token_end e WHERE e.id = token.id)`)
  const endGrant = run(
    'INSERT INTO grant_end SELECT id, ? FROM "grant" WHERE id = ? ON CONFLICT DO NOTHING',
  )
  const setMark = run(
    `INSERT INTO mark VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
       epoch = max(epoch, excluded.epoch), before = max(before, excluded.before),
       keep_until = max(keep_until, excluded.keep_until)`,
  )
  const insertMarkSetting = run('INSERT INTO mark_setting VALUES (?, ?, ?, ?, ?)')
  // What an older one kills all of was killed by that.
  const insertMoment = run(`INSERT INTO mark_setting SELECT ?1, 0, ?2, ?3, ?4 WHERE NOT EXISTS
    (SELECT 1 FROM mark_setting WHERE key = ?1 AND epoch = 0 AND before >= ?2)`)
  const insertClient = run('INSERT INTO client VALUES (?, ?, ?, 1) ON CONFLICT DO NOTHING')
  const updateClient = run(
    'UPDATE client SET settings = ?, enabled = ?, version = version + 1 WHERE id = ? AND version = ?',
  )
  const disableClient = run(
    'UPDATE client SET enabled = 0, version = version + 1 WHERE id = ? AND enabled = 1',
  )
  const insertNote = run('INSERT INTO note VALUES (?, ?, 1) ON CONFLICT DO NOTHING')
  const updateNote = run(
    'UPDATE note SET value = ?, version = version + 1 WHERE key = ? AND version = ?',
  )
  const useOnce = run('INSERT INTO used_once VALUES (?, ?) ON CONFLICT DO NOTHING')
  const appendedEvents = createAppender(database, 'event', 3)
  const lastExpiry = database.prepare('SELECT max(expires_at) AS last FROM "grant"')
  const forgetting = createForgetting(database, recentEnds, eventsKeptMs)
  let isWanted = false
  let written = 0
  // One row of its own, written once a transaction: an id is never given twice, whatever was forgotten.
  let lastEvent: number | undefined

  const counter = (name: string) => (counterOf.get(name) as { value: number }).value
  const bump = (name: string, by: number): number => {
    const value = counter(name)
    setCounter(value + by, name)
    return value
  }
  const writeGrant = (grant: GrantRow, began: number): boolean => {
    const { id, clientId, userId, sessionId, scope, createdAt, expiresAt, detail } = grant
    const born = Math.min(began, lookups.latestMarks().epoch)
    forgetting.written(expiresAt)
    return insertGrant(id, clientId, userId, sessionId, scope, createdAt, expiresAt, born, detail)
  }
  const writeTokens = (tokens: readonly TokenRow[]) => {
    for (const { id, kind, hash, grantId, issuedAt, expiresAt, detail } of tokens) {
      insertToken(id, kindNumber(kind), hash, grantId, issuedAt, expiresAt, detail)
      forgetting.written(expiresAt)
    }
    written += tokens.length
  }
  const endToken = (id: number, end: TokenEnd): boolean => {
    if (recentEnds.get(id) !== null || isUnended.get(id) === undefined) return false
    recentEnds.add(id, end)
    return true
  }
  const writeEvents = (events: readonly NewEvent[]) => {
    for (const event of events) {
      lastEvent = (lastEvent ?? counter('event')) + 1
      appendedEvents.add(lastEvent, event.at, toldText(event))
      forgetting.written(event.at + eventsKeptMs)
    }
    written += events.length
  }
  /** A change that is sent again, because nobody heard the answer, has its tokens there already. */
  const isThere = (token: TokenRow | undefined): boolean =>
    token !== undefined && hasToken.get(token.id) !== undefined
  const takesTokens = (grantId: number): boolean => {
    const grant = lookups.grant(grantId)
    return grant !== null && !isGrantDead(grant)
  }
  const mark = ({ reach, before, at, keepUntil }: MarkOf): boolean => {
    // What is looked up from here on in this transaction is judged by it.
    lookups.beginSnapshot()
    const epoch = before === null ? bump('epoch', 1) + 1 : 0
    if (before !== null && before > counter('before')) setCounter(before, 'before')
    const isExact = before === null && reach.type !== 'all'
    const { last } = isExact ? { last: 0 } : (lastExpiry.get() as { last: number | null })
    const kept = Math.max(keepUntil, last ?? 0)
    forgetting.written(kept)
    const key = markKey(reach)
    if (before === null) insertMarkSetting(key, epoch, 0, at, kept)
    else insertMoment(key, before, at, kept)
    if (isExact) forgetting.marked(key)
    return setMark(key, epoch, before ?? 0, kept)
  }
  const apply = (change: Change): boolean => {
    switch (change.type) {
      case 'start_grant':
        if (!writeGrant(change.grant, change.began)) return false
        writeTokens(change.tokens)
        return true
      case 'add_tokens':
        if (!takesTokens(change.grantId) || isThere(change.tokens[0])) return false
        writeTokens(change.tokens)
        return true
      case 'spend_token': {
        const { tokenId, grantId, at, successorId, tokens } = change
        if (!takesTokens(grantId)) return false
        if (!endToken(tokenId, { state: 'used', at, successorId })) return false
        writeTokens(tokens)
        return true
      }
      case 'end_token':
        return endToken(change.tokenId, revokedAt(change.at))
      case 'end_grant':
        return endGrant(change.at, change.grantId)
      case 'mark':
        return mark(change)
      case 'disable_client': {
        const { clientId, at, keepUntil } = change
        if (!disableClient(clientId)) return false
        return mark({ reach: { type: 'client', clientId }, before: null, at, keepUntil })
      }
      case 'put_client': {
        lookups.beginSnapshot()
        const { id, settings, enabled } = change.client
        return change.expected === null
          ? insertClient(id, settings, Number(enabled))
          : updateClient(settings, Number(enabled), id, change.expected)
      }
      case 'put_note':
        return change.expected === null
          ? insertNote(change.key, change.value)
          : updateNote(change.value, change.key, change.expected)
      case 'use_once':
        forgetting.written(change.keepUntil)
        return useOnce(change.key, change.keepUntil)
      case 'log':
        return true
    }
  }
  const told = (change: Change, isApplied: boolean): Committed => {
    isWanted = true
    if (!isApplied) return 'conflict'
    if ('events' in change) writeEvents(change.events)
    return 'done'
  }
  return {
    reserveIds(count) {
      database.exec('BEGIN IMMEDIATE')
      try {
        const first = bump('id', count)
        database.exec('COMMIT')
        return first
      } catch (error) {
        if (database.isTransaction) database.exec('ROLLBACK')
        throw error
      }
    },
    begin: lookups.beginSnapshot,
    apply(wanted) {
      if (!('decide' in wanted)) return told(wanted, apply(wanted))
      const found = lookups.asked(wanted)
      const change = wanted.decide(found)
      if (change === null) return null
      // It was seen to be there and to have no end, in this transaction: nothing is looked for again.
      const isSeenLive =
        change.type === 'end_token' &&
        change.tokenId === wanted.tokenId &&
        found.token?.end === null
      if (!isSeenLive) return told(change, apply(change))
      recentEnds.add(change.tokenId, revokedAt(change.at))
      return told(change, true)
    },
    abandon() {
      isWanted = false
      written = 0
      lastEvent = undefined
      appendedEvents.abandon()
      recentEnds.abandon()
      lookups.abandon()
    },
    finish() {
      // Nothing but questions: nothing is written, and nothing flushed.
      if (!isWanted) return
      isWanted = false
      appendedEvents.finish()
      if (lastEvent !== undefined) setCounter(lastEvent, 'event')
      lastEvent = undefined
      recentEnds.finish()
      forgetting.forget(clock.now(), Math.max(FORGOTTEN_MIN, written * FORGOTTEN_A_ROW))
      written = 0
    },
  }
}

function revokedAt(at: number): TokenEnd {
  return { state: 'revoked', at, successorId: null }
}
