import { chmodSync, existsSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  Kysely,
  SqliteAdapter,
  type SqliteDatabase,
  type SqliteDialectConfig,
  SqliteDriver,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { RescindError } from '../core/errors.ts'
import type { Schema } from './schema.ts'

/** How long a writer waits for another process before it says that the store is locked. */
const BUSY_TIMEOUT_MS = 5_000
/** Statements kept compiled; the store has fewer than this. */
const STATEMENTS_MAX = 200
/** 16 MB of pages: with more, a million tokens are written no faster. */
const CACHE_KIB = 16_384
/**
 * 64 MB of log before its pages are moved to the file. Fingerprints fall all over their index, so that
 * every slice of an inventory touches most of it: pages that are moved less often are moved fewer times.
 */
const CHECKPOINT_PAGES = 16_384

/** A database behind the typed schema, and the one hot path that is written by hand. */
export interface Database {
  readonly db: Kysely<Schema>
  /** Runs statements over many rows of parameters, in one durable transaction. */
  runMany(batches: readonly Batch[]): Promise<void>
  /** Does some work in one durable transaction; `many` is {@link Database.runMany} inside it. */
  transact<T>(
    work: (trx: Kysely<Schema>, many: (batches: readonly Batch[]) => Promise<void>) => Promise<T>,
  ): Promise<T>
  close(): Promise<void>
}

export interface Batch {
  readonly sql: string
  readonly rows: readonly (readonly SQLInputValue[])[]
}

/**
 * Opens an SQLite file: WAL, `synchronous=FULL`, foreign keys, mode 0600.
 *
 * @throws RescindError `store_unwritable`, `store_locked`, `store_corrupt`, `store_full`
 */
export function openSqlite(path: string): Database {
  const isNew = path !== ':memory:' && !existsSync(path)
  const raw = guardSqlite(path, () => {
    const opened = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS })
    try {
      if (isNew) chmodSync(path, 0o600)
      configure(opened)
    } catch (error) {
      opened.close()
      throw error
    }
    return opened
  })
  const statements = new Map<string, StatementSync>()
  const prepare = (sql: string): StatementSync => {
    const known = statements.get(sql)
    if (known) return known
    const statement = raw.prepare(sql)
    if (statements.size >= STATEMENTS_MAX) statements.delete(statements.keys().next().value ?? '')
    statements.set(sql, statement)
    return statement
  }
  const db = new Kysely<Schema>({
    dialect: dialect(path, prepare, {
      close: () => raw.close(),
      isInTransaction: () => raw.isTransaction,
    }),
  })
  const many = async (batches: readonly Batch[]) =>
    guardSqlite(path, () => {
      for (const { sql, rows } of batches) {
        const statement = prepare(sql)
        for (const row of rows) statement.run(...row)
      }
    })
  return {
    db,
    runMany: (batches) => db.transaction().execute(() => many(batches)),
    transact: (work) => db.transaction().execute((trx) => work(trx, many)),
    close: () => db.destroy(),
  }
}

function configure(database: DatabaseSync): void {
  database.exec('PRAGMA journal_mode = WAL')
  database.exec('PRAGMA synchronous = FULL')
  database.exec('PRAGMA foreign_keys = ON')
  database.exec(`PRAGMA cache_size = -${CACHE_KIB}`)
  database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
}

function dialect(
  path: string,
  prepare: (sql: string) => StatementSync,
  { close, isInTransaction }: { close: () => void; isInTransaction: () => boolean },
): Dialect {
  const database: SqliteDatabase = {
    close,
    prepare(sql) {
      const statement = guardSqlite(path, () => prepare(sql))
      const values = (parameters: readonly unknown[]) => parameters as SQLInputValue[]
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => guardSqlite(path, () => statement.all(...values(parameters))),
        run: (parameters) => guardSqlite(path, () => statement.run(...values(parameters))),
        iterate: (parameters) =>
          statement.iterate(...values(parameters)) as IterableIterator<unknown>,
      }
    },
  }
  return {
    createAdapter: () => new TransactionalAdapter(),
    createDriver: () => new ImmediateDriver({ database }, isInTransaction),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}

/** SQLite makes tables in a transaction as well as rows: a migration that is cut off leaves nothing. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

/** Takes the write lock at the start: a reader that upgrades later is refused without waiting. */
class ImmediateDriver extends SqliteDriver {
  readonly #isInTransaction: () => boolean

  constructor(config: SqliteDialectConfig, isInTransaction: () => boolean) {
    super(config)
    this.#isInTransaction = isInTransaction
  }

  /** A full disk ends the transaction by itself; rolling it back again would hide why. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#isInTransaction()) await super.rollbackTransaction(connection)
  }

  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'))
  }
}

/**
 * Runs a call on the database and turns SQLite's result codes into one clear sentence.
 *
 * @param waitedMs how long whoever calls waits for a lock before it tells that the store is locked
 */
export function guardSqlite<T>(path: string, call: () => T, waitedMs = BUSY_TIMEOUT_MS): T {
  try {
    return call()
  } catch (error) {
    throw asStoreError(error, path, waitedMs)
  }
}

/** @see https://sqlite.org/rescode.html */
function asStoreError(error: unknown, path: string, waitedMs: number): unknown {
  const primary = Number((error as { errcode?: number }).errcode ?? 0) & 0xff
  switch (primary) {
    case 5: // SQLITE_BUSY
    case 6: // SQLITE_LOCKED
      return new RescindError(
        'store_locked',
        `The store ${path} is locked by another process for more than ${waitedMs / 1000} s. Let it finish, then try again.`,
        { cause: error },
      )
    case 10: // SQLITE_IOERR: a disk that fills up under the write-ahead log shows as one
    case 13: // SQLITE_FULL
      return new RescindError(
        'store_full',
        `The disk under the store ${path} is full or failing. Nothing that was written before is lost; make room, then run the command again.`,
        { cause: error },
      )
    case 11: // SQLITE_CORRUPT
    case 26: // SQLITE_NOTADB
      return new RescindError(
        'store_corrupt',
        `${path} is not a sound Rescind store. Put it aside and restore a copy, or begin a new one with RESCIND_HOME.`,
        { cause: error },
      )
    case 3: // SQLITE_PERM
    case 8: // SQLITE_READONLY
    case 14: // SQLITE_CANTOPEN
      return new RescindError(
        'store_unwritable',
        `The store ${path} cannot be opened for writing. Check the folder and its permissions, or set RESCIND_HOME.`,
        { cause: error },
      )
    default:
      return error
  }
}
