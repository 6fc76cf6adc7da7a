import type { DatabaseSync } from 'node:sqlite'
import type { TokenEnd } from './contract.ts'
import { createAppender } from './sqlite-appender.ts'

/** Ends that are gathered before they are moved: their table has some thirty pages then. */
const RECENT_MAX = 4_000
/** The id of a row that stands for no token: it only keeps its number taken. */
const NO_TOKEN = 0

/**
 * The youngest ends of tokens. By id they fall all over their table, a page of the log for each. So they
 * are appended to a small one, which every process knows by heart, and moved when there are many.
 *
 * ```
 *   a token ends ──▶ token_end_recent, in the order of its numbers ──▶ token_end, in the order of ids
 * ```
 *
 * Numbers only grow: what another process appended is what lies behind the last number that was read.
 */
export interface RecentEnds {
  /** Begins a transaction: what others have appended is read before anything is asked. */
  begin(): void
  get(id: number): TokenEnd | null
  /** Appends the end of a token that has none yet. */
  add(id: number, end: TokenEnd): void
  /** Forgets the end of a token that goes with it. */
  remove(id: number): void
  /** Ends a transaction that writes: moves what has been gathered, when it is much. */
  finish(): void
  /** Drops what is remembered of a transaction that was rolled back. */
  abandon(): void
}

/** Returns the number that stands for a state in the database. */
export function stateNumber(state: TokenEnd['state']): number {
  return state === 'used' ? 1 : 2
}

/** Reads an end as the database has it. */
export function tokenEnd(state: unknown, at: unknown, successorId: unknown): TokenEnd {
  return {
    state: state === 1 ? 'used' : 'revoked',
    at: at as number,
    successorId: successorId as number | null,
  }
}

export function createRecentEnds(database: DatabaseSync): RecentEnds {
  const appended = database.prepare(
    'SELECT seq, id, state, at, successor FROM token_end_recent WHERE seq > ? ORDER BY seq',
  )
  appended.setReturnArrays(true)
  const appender = createAppender(database, 'token_end_recent', 5)
  const blank = database.prepare(`UPDATE token_end_recent SET id = ${NO_TOKEN} WHERE seq = ?`)
  const move = database.prepare(`INSERT INTO token_end
    SELECT id, state, at, successor FROM token_end_recent WHERE id <> ${NO_TOKEN} ORDER BY id ON CONFLICT DO NOTHING`)
  const clear = database.prepare('DELETE FROM token_end_recent')
  // Those that another process has moved stay for a while: they have ended all the same.
  // By the place of its row in `cells`: thousands of objects would be carried from one collection to the next.
  const known = new Map<number, number>()
  /** Number, state, moment and successor of each row that was read or appended. */
  let cells: number[] = []
  let last = 0
  /** Of the small table, also those that stand for nothing any more; of others' moves this knows nothing. */
  let rows = 0
  let isFresh = false

  const remember = (seq: number, id: number, state: number, at: number, successor: number) => {
    known.set(id, cells.length)
    cells.push(seq, state, at, successor)
  }
  const forget = () => {
    known.clear()
    cells = []
    last = 0
    rows = 0
    isFresh = false
  }
  const refresh = () => {
    if (known.size > 2 * RECENT_MAX) {
      // What is still to be written is read again with the rest.
      appender.finish()
      forget()
    }
    for (const row of appended.all(last) as unknown as number[][]) {
      const [seq, id, state, at, successor] = row as [number, number, number, number, number | null]
      if (id !== NO_TOKEN) remember(seq, id, state, at, successor ?? NO_TOKEN)
      last = seq
      rows += 1
    }
    isFresh = true
  }
  return {
    begin() {
      isFresh = false
    },
    get(id) {
      if (!isFresh) refresh()
      const place = known.get(id)
      if (place === undefined) return null
      return tokenEnd(cells[place + 1], cells[place + 2], cells[place + 3] || null)
    },
    add(id, end) {
      if (!isFresh) refresh()
      last += 1
      rows += 1
      const state = stateNumber(end.state)
      appender.add(last, id, state, end.at, end.successorId)
      remember(last, id, state, end.at, end.successorId ?? NO_TOKEN)
    },
    remove(id) {
      if (!isFresh) refresh()
      const place = known.get(id)
      if (place === undefined) return
      appender.finish()
      blank.run(cells[place] as number)
      known.delete(id)
    },
    finish() {
      appender.finish()
      if (rows < RECENT_MAX) return
      if (!isFresh) refresh()
      move.run()
      clear.run()
      appender.add(last, NO_TOKEN, 0, 0, null)
      appender.finish()
      known.clear()
      cells = []
      rows = 1
    },
    abandon() {
      appender.abandon()
      forget()
    },
  }
}
