import pg from 'pg'
import { RescindError } from '../../core/errors.ts'

/** Connections of one process: what the lanes of changes and look-ups use, and a few to spare. */
const CONNECTIONS_MAX = 10
/** PostgreSQL's number for `bigint`. Ours stay below 2^53. */
const INT8 = 20

/** What cannot be left to the server's configuration. */
const SESSION_SETTINGS: readonly string[] = [
  // A change is on disk when its commit is answered; a stricter setting than `on` is kept.
  `SELECT set_config('synchronous_commit', 'on', false)
   WHERE current_setting('synchronous_commit') = 'off'`,
  `SET default_transaction_isolation = 'read committed'`,
  // Statements are planned once. Planned for the tables as they are on the first day, they would read
  // whole tables for ever: every statement has an index, and is told to use it.
  `SET plan_cache_mode = 'force_generic_plan'`,
  'SET enable_seqscan = off',
  'SET enable_hashjoin = off',
  'SET enable_mergejoin = off',
  'SET jit = off',
]

/** Undoes them for one transaction that reads much, once. */
const PLAN_ANEW = `SET LOCAL plan_cache_mode = 'auto'; SET LOCAL enable_seqscan = on;
  SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on`

/** What went wrong, in words, by SQLSTATE or the code of the network. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ENOTFOUND: 'no such host',
  '25006': 'it is read-only',
  '28000': 'it refused our login',
  '28P01': 'it refused our login',
  '3D000': 'it does not exist',
  '42501': 'our user lacks a permission',
  '53100': 'its disk is full',
  '53200': 'it is out of memory',
  '53300': 'it has no connection left',
  '57014': 'it gave no answer in time',
  '57P01': 'it is shutting down',
  '57P02': 'it is shutting down',
  '57P03': 'it is starting up or shutting down',
}

export type Row = Readonly<Record<string, unknown>>
/** Runs one statement; with values, in the form of the extended protocol. */
export type Query = (text: string, values?: readonly unknown[]) => Promise<readonly Row[]>

/** A statement that is prepared once on every connection. */
export interface Statement {
  readonly name: string
  readonly text: string
}

/** The way to one PostgreSQL database. Trouble of any kind is `store_down`; the next call tries anew. */
export interface Session {
  /** Host, port and database. */
  readonly place: string
  /** Runs a prepared statement as a transaction of its own. */
  run(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]>
  /** Does some work in one transaction, which may take up to `deadlineMs` in all. */
  transact<T>(deadlineMs: number, work: (query: Query) => Promise<T>): Promise<T>
  /** Runs one reading statement that may take up to `deadlineMs`, planned for the tables as they are. */
  readMuch(deadlineMs: number, text: string, values: readonly unknown[]): Promise<readonly Row[]>
  close(): Promise<void>
}

/**
 * Returns a session on a pool of connections; none is made yet.
 *
 * @param config as `pg.Pool` takes it; nothing of it is printed but host, port and database
 * @throws RescindError `config_invalid` for a connection string that is none
 */
export function createSession(config: pg.PoolConfig, deadlineMs: number): Session {
  const { pool, place } = openPool(config, deadlineMs)
  const withClient = async <T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> => {
    let client: pg.PoolClient | undefined
    try {
      client = await pool.connect()
      const result = await work(client)
      client.release()
      return result
    } catch (error) {
      client?.release(!isAboutData(error))
      throw asStoreError(error, place)
    }
  }
  const transact = <T>(
    longMs: number,
    begin: string,
    work: (query: Query) => Promise<T>,
  ): Promise<T> => {
    const until = performance.now() + longMs
    return withClient((client) => {
      const leftMs = () => Math.max(1, until - performance.now())
      const query: Query = (text, values) =>
        ask(client, values ? { text, values } : { text }, leftMs())
      return inTransaction(query, `${begin}; ${timeouts(longMs, 'LOCAL')}`, () => work(query))
    })
  }
  return {
    place,
    run: (statement, values) =>
      withClient((client) => ask(client, { ...statement, values }, deadlineMs)),
    transact: (longMs, work) => transact(longMs, 'BEGIN', work),
    readMuch: (longMs, text, values) =>
      transact(longMs, `BEGIN READ ONLY; ${PLAN_ANEW}`, (query) => query(text, values)),
    close: () => pool.end(),
  }
}

/**
 * Says whether an error is about what was sent together, and not about the database: a value that it
 * refuses (SQLSTATE classes 22 and 23), or a transaction that it undid for another's sake (40).
 */
export function isAboutData(error: unknown): boolean {
  return /^(22|23|40)/.test(codeOf(error))
}

async function inTransaction<T>(query: Query, begin: string, work: () => Promise<T>): Promise<T> {
  await query(begin)
  try {
    const result = await work()
    await query('COMMIT')
    return result
  } catch (error) {
    // Else the connection is dropped, and a word to it would wait for what it is still doing.
    if (isAboutData(error)) await query('ROLLBACK').catch(() => {})
    throw error
  }
}

interface Asked {
  readonly name?: string
  readonly text: string
  readonly values?: readonly unknown[]
}

async function ask(
  client: pg.ClientBase,
  asked: Asked,
  timeoutMs: number,
): Promise<readonly Row[]> {
  const { values, ...rest } = asked
  const config = { ...rest, ...(values ? { values: [...values] } : {}), query_timeout: timeoutMs }
  const result = await client.query(config)
  return result.rows as readonly Row[]
}

function openPool(config: pg.PoolConfig, deadlineMs: number): { pool: pg.Pool; place: string } {
  try {
    const pool = new pg.Pool({
      max: CONNECTIONS_MAX,
      application_name: 'rescind',
      ...config,
      connectionTimeoutMillis: deadlineMs,
      query_timeout: deadlineMs,
      types: { getTypeParser: (id, format) => (id === INT8 ? Number : typeParser(id, format)) },
      onConnect: (client) => prepareSession(client, deadlineMs),
    })
    pool.on('error', () => {
      // An idle connection that broke: the pool has dropped it already.
    })
    const { host, port, database } = new pg.Client(config)
    return { pool, place: `${host}:${port}/${database ?? ''}` }
  } catch {
    // Its own words would quote the string, with the password.
    throw new RescindError(
      'config_invalid',
      "The authority's database is not a connection string of PostgreSQL. Write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE.",
    )
  }
}

const typeParser = pg.types.getTypeParser as (
  id: number,
  format?: unknown,
) => (text: never) => unknown

async function prepareSession(client: pg.ClientBase, deadlineMs: number): Promise<void> {
  client.on('error', () => {
    // A connection that breaks between two queries; the next one on it is told.
  })
  const text = [...SESSION_SETTINGS, timeouts(deadlineMs, 'SESSION')].join(';')
  await ask(client, { text }, deadlineMs)
}

/** The server must give up as well: what it does after our deadline holds locks that nobody waits for. */
function timeouts(deadlineMs: number, scope: 'LOCAL' | 'SESSION'): string {
  const names = ['statement_timeout', 'idle_in_transaction_session_timeout']
  return names.map((name) => `SET ${scope} ${name} = ${Math.ceil(deadlineMs)}`).join(';')
}

function asStoreError(error: unknown, place: string): RescindError {
  if (error instanceof RescindError) return error
  if (/^2[23]/.test(codeOf(error))) {
    return new RescindError(
      'unexpected',
      `The authority's database ${place} refuses a value (SQLSTATE ${codeOf(error)}). Nothing of the change was written.`,
      { cause: error },
    )
  }
  return new RescindError(
    'store_down',
    `The authority's database ${place} cannot be reached or cannot work: ${reasonFor(error)}. Look at it, then try again; what was asked last may have been done.`,
    { cause: error },
  )
}

function reasonFor(error: unknown): string {
  const code = codeOf(error)
  const known = REASONS[code]
  if (known !== undefined) return known
  if (/timeout/i.test(String((error as Error).message))) return REASONS['57014'] as string
  return code === '' ? 'the connection broke' : `the connection broke (${code})`
}

/** The SQLSTATE, or the network's code; an error of ours may have it below. */
function codeOf(error: unknown): string {
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  if (error instanceof RescindError) return cause === undefined ? '' : codeOf(cause)
  if (error instanceof AggregateError && code === undefined) return codeOf(error.errors[0])
  return typeof code === 'string' ? code : ''
}
