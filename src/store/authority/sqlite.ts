import { chmodSync, existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { type Clock, systemClock } from '../../core/clock.ts'
import { isRescindError, RescindError } from '../../core/errors.ts'
import { closable } from '../closable.ts'
import { guardSqlite } from '../sqlite.ts'
import type { AuthorityStore, Change, Committed } from './contract.ts'
import { isAddress } from './database-url.ts'
import { type Applied, createChanges, type TokenChange } from './sqlite-changes.ts'
import { createLookups, type Lookups } from './sqlite-lookups.ts'
import { createRecentEnds } from './sqlite-recent-ends.ts'
import { SQLITE_MIGRATIONS } from './sqlite-schema.ts'

/** 96 MB of pages: what is above the leaves of ten million tokens, and the leaves of what is asked again. */
const CACHE_KIB = 98_304
/** 16 MB of log before its pages are moved: the move stops everybody, and must stay short. */
const CHECKPOINT_PAGES = 4_000
/** Changes in one transaction; with more, the first of them waits longer than a flush is worth. */
const BATCH_MAX = 512
/** How long a change waits for another process's lock before its caller is told that the store is busy. */
const DEADLINE_MS = 2_000
/** Between two tries at the lock, which another process holds for a few milliseconds. */
const RETRY_MS = 2
/** How long an event is kept when nobody says otherwise. */
const EVENTS_KEPT_MS = 30 * 24 * 3_600_000

export interface SqliteAuthorityOptions {
  readonly clock?: Clock | undefined
  readonly deadlineMs?: number | undefined
  /** How long events are kept, in milliseconds. */
  readonly eventsKeptMs?: number | undefined
}

interface Waiting {
  readonly change: Change | TokenChange
  readonly since: number
  readonly resolve: (committed: Committed | null) => void
  readonly reject: (error: unknown) => void
}

/**
 * Opens an authority's store in an SQLite file, mode 0600; several processes of one machine may.
 * Changes that arrive together are one transaction: the disk is flushed once for all of them.
 *
 * @throws RescindError `usage` without a path; `config_invalid` for an address; `store_unwritable`, `store_locked`,
 * `store_corrupt`, `store_full`, `store_newer`
 */
export async function openSqliteAuthorityStore(
  path: string,
  options: SqliteAuthorityOptions = {},
): Promise<AuthorityStore> {
  if (typeof path !== 'string' || path === '') {
    throw new RescindError(
      'usage',
      "The authority's store needs the path of its file: openSqliteAuthorityStore('authority.db').",
    )
  }
  const clock = options.clock ?? systemClock
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS
  if (isAddress(path)) {
    throw new RescindError(
      'config_invalid',
      'openSqliteAuthorityStore takes the path of a file, and was given an address. For a PostgreSQL database use openPostgresAuthorityStore.',
    )
  }
  const database = await openFile(path, deadlineMs, clock)
  const guard = <T>(call: () => T): T => guardSqlite(path, call, deadlineMs)
  const recentEnds = guard(() => createRecentEnds(database))
  const lookups = guard(() => createLookups(database, recentEnds))
  const bounds = guard(() => prepareBounds(database))
  const eventsKeptMs = options.eventsKeptMs ?? EVENTS_KEPT_MS
  const changes = guard(() => createChanges(database, { lookups, recentEnds, clock, eventsKeptMs }))
  const read = createReader(database, bounds, lookups, guard)
  const queue = createQueue({
    clock,
    deadlineMs,
    apply: (batch) => guard(() => applyAll(database, bounds, changes, batch)),
  })
  return closable(`authority's store ${path}`, {
    place: path,
    reserveIds: (count) => inLock(clock, deadlineMs, () => guard(() => changes.reserveIds(count))),
    readToken: (id) => read(() => lookups.token(id)),
    readGrant: (id) => read(() => lookups.grant(id)),
    readAsked: (asked) => read(() => lookups.asked(asked)),
    readClient: (id) => read(() => lookups.client(id)),
    readEpoch: () => read(() => lookups.latestMarks().epoch),
    listClients: () => read(() => lookups.clients()),
    commit: queue.add as (change: Change) => Promise<Committed>,
    changeToken: (asked, decide) => queue.add({ ...asked, decide }),
    countReach: (reach, now, before) => read(() => lookups.countReach(reach, now, before)),
    listGrants: (reach, now, after, limit) =>
      read(() => lookups.listGrants(reach, now, after, limit)),
    readEvents: (after, limit) => read(() => lookups.events(after, limit)),
    oldestEventAt: (after) => read(() => lookups.oldestEventAt(after)),
    eventsAt: (at, limit) => read(() => lookups.eventsAt(at, limit)),
    readMarks: (keys, grant) => read(() => lookups.marks(keys, grant)),
    readNote: (key) => read(() => lookups.note(key)),
    async close() {
      await Promise.all([queue.drained(), read(() => {})])
      database.close()
    },
  })
}

async function openFile(path: string, deadlineMs: number, clock: Clock): Promise<DatabaseSync> {
  const isNew = path !== ':memory:' && !existsSync(path)
  const database = guardSqlite(path, () => new DatabaseSync(path, { timeout: 0 }))
  try {
    if (isNew) chmodSync(path, 0o600)
    const prepare = () => {
      refuseForeign(database, path)
      database.exec('PRAGMA journal_mode = WAL')
      database.exec('PRAGMA synchronous = FULL')
      database.exec(`PRAGMA cache_size = -${CACHE_KIB}`)
      database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
      migrate(database, path)
    }
    await inLock(clock, deadlineMs, () => guardSqlite(path, prepare, deadlineMs))
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** A database of somebody else's that is named by mistake stays as it is. */
function refuseForeign(database: DatabaseSync, path: string): void {
  // One transaction: another process may make the tables meanwhile.
  database.exec('BEGIN')
  const { user_version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
  const table = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").get()
  database.exec('COMMIT')
  if (user_version !== 0 || !table) return
  throw new RescindError(
    'store_corrupt',
    `The file ${path} is a database of something else: it has a table "${table.name}". Name another file for the authority's store.`,
  )
}

function migrate(database: DatabaseSync, path: string): void {
  database.exec('BEGIN IMMEDIATE')
  try {
    const row = database.prepare('PRAGMA user_version').get() as { user_version: number }
    const version = row.user_version
    if (version > SQLITE_MIGRATIONS.length) throw newer(path, version)
    for (const sql of SQLITE_MIGRATIONS.slice(version)) database.exec(sql)
    database.exec(`PRAGMA user_version = ${SQLITE_MIGRATIONS.length}`)
    database.exec('COMMIT')
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function newer(path: string, version: number): RescindError {
  return new RescindError(
    'store_newer',
    `The authority's store ${path} was written by a newer Rescind (schema ${version}). Update Rescind, or name another file.`,
  )
}

/** The ends of a transaction, read by the database once and not each time. */
interface Bounds {
  begin(): void
  beginWriting(): void
  commit(): void
}

function prepareBounds(database: DatabaseSync): Bounds {
  const prepare = (sql: string) => {
    const statement = database.prepare(sql)
    return () => void statement.run()
  }
  return {
    begin: prepare('BEGIN'),
    beginWriting: prepare('BEGIN IMMEDIATE'),
    commit: prepare('COMMIT'),
  }
}

/** Applies a batch in one transaction, and returns what became of each change. */
function applyAll(
  database: DatabaseSync,
  bounds: Bounds,
  changes: Applied,
  batch: readonly (Change | TokenChange)[],
): readonly (Committed | null)[] {
  bounds.beginWriting()
  try {
    changes.begin()
    const committed = batch.map(changes.apply)
    changes.finish()
    bounds.commit()
    return committed
  } catch (error) {
    changes.abandon()
    // A full disk ends the transaction by itself.
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

/**
 * Gathers the look-ups of one turn of the event loop into one transaction: the file's locks, which
 * cost more than a look-up, are taken once for all. None sees anything older than its own beginning.
 */
function createReader(
  database: DatabaseSync,
  bounds: Bounds,
  lookups: Lookups,
  guard: <T>(call: () => T) => T,
) {
  let waiting: Look[] = []
  const flush = () => {
    const batch = waiting
    waiting = []
    lookups.beginSnapshot()
    try {
      bounds.begin()
    } catch {
      // Each look-up then runs by itself, and says by itself what is wrong.
    }
    for (const { call, resolve, reject } of batch) {
      try {
        resolve(guard(call))
      } catch (error) {
        reject(error)
      }
    }
    try {
      // A damaged page has ended the transaction: who met it was told.
      if (database.isTransaction) bounds.commit()
    } catch {
      // Nothing was written; what is wrong with the file the next one hears.
      if (database.isTransaction) database.exec('ROLLBACK')
    }
  }
  return <T>(call: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      if (waiting.length === 0) setImmediate(flush)
      waiting.push({ call, resolve: resolve as (found: unknown) => void, reject })
    })
}

interface Look {
  readonly call: () => unknown
  readonly resolve: (found: unknown) => void
  readonly reject: (error: unknown) => void
}

interface QueueParts {
  readonly clock: Clock
  readonly deadlineMs: number
  readonly apply: (batch: readonly (Change | TokenChange)[]) => readonly (Committed | null)[]
}

/** Gathers the changes of two turns of the event loop into one transaction. */
function createQueue({ clock, deadlineMs, apply }: QueueParts) {
  let waiting: Waiting[] = []
  let isScheduled = false
  let onDrained: (() => void)[] = []
  // What is on its way in this turn comes along: a turn takes microseconds, and a flush to disk hundreds.
  const gather = () => void setImmediate(flush)
  const flush = () => {
    const batch = waiting.slice(0, BATCH_MAX)
    try {
      const committed = apply(batch.map(({ change }) => change))
      waiting = waiting.slice(batch.length)
      for (const [index, { resolve }] of batch.entries()) resolve(committed[index] ?? null)
    } catch (error) {
      waiting = waiting.slice(batch.length)
      if (isRescindError(error, 'store_locked')) return retry(batch, error)
      if (isRescindError(error)) for (const { reject } of batch) reject(error)
      else applyAlone(batch)
    }
    goOn()
  }
  /** Another process has the lock: those that may wait longer are tried again. */
  const retry = (batch: readonly Waiting[], error: unknown) => {
    const isLate = ({ since }: Waiting) => clock.now() - since >= deadlineMs
    waiting = [...batch.filter((item) => !isLate(item)), ...waiting]
    for (const { reject } of batch.filter(isLate)) reject(error)
    if (waiting.length === 0) return goOn()
    setTimeout(flush, RETRY_MS)
  }
  /** A change that no database can take fails by itself, and not those that came with it. */
  const applyAlone = (batch: readonly Waiting[]) => {
    for (const { change, resolve, reject } of batch) {
      try {
        resolve(apply([change])[0] ?? null)
      } catch (error) {
        reject(error)
      }
    }
  }
  const goOn = () => {
    if (waiting.length > 0) return void setImmediate(flush)
    isScheduled = false
    for (const resolve of onDrained) resolve()
    onDrained = []
  }
  return {
    add: (change: Change | TokenChange): Promise<Committed | null> =>
      new Promise((resolve, reject) => {
        waiting.push({ change, since: clock.now(), resolve, reject })
        if (isScheduled) return
        isScheduled = true
        setImmediate(gather)
      }),
    drained: (): Promise<void> =>
      isScheduled ? new Promise((resolve) => onDrained.push(resolve)) : Promise.resolve(),
  }
}

/** Does what needs the write lock, again and again until another process gives it up. */
async function inLock<T>(clock: Clock, deadlineMs: number, work: () => T): Promise<T> {
  const until = clock.now() + deadlineMs
  for (;;) {
    try {
      return work()
    } catch (error) {
      if (!isRescindError(error, 'store_locked') || clock.now() >= until) throw error
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
}
