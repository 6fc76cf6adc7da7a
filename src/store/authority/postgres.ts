import type pg from 'pg'
import { type Clock, systemClock } from '../../core/clock.ts'
import { RescindError } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'
import { closable } from '../closable.ts'
import type { AuthorityStore, Change, Committed } from './contract.ts'
import { POSTGRES_URL } from './database-url.ts'
import { askInSteps } from './in-steps.ts'
import { applyChanges } from './postgres-changes.ts'
import { createForgetting } from './postgres-forget.ts'
import { createLookups } from './postgres-lookups.ts'
import { createQueue } from './postgres-queue.ts'
import { migratePostgres } from './postgres-schema.ts'
import { createSession, type Session, type Statement } from './postgres-session.ts'

/** How long a call waits for the database before its caller is told that it is down. */
const DEADLINE_MS = 2_000
/** Transactions under way at once; one fills up while the disk is flushed for another. */
const LANES = 3
/** Changes in one transaction; with more, the first of them waits longer than a flush is worth. */
const BATCH_MAX = 512
/** How long an event is kept when nobody says otherwise: 30 days. */
const EVENTS_KEPT_MS = 30 * 24 * 3_600_000

/** How the driver takes a Unix socket. */
const SOCKET = /^(\/|socket:)/

const RESERVE_IDS: Statement = {
  name: 'rescind_reserve_ids',
  text: `UPDATE rescind.counter SET value = value + $1 WHERE name = 'id'
    RETURNING value - $1 AS first`,
}

export interface PostgresAuthorityOptions {
  /** `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; instead of `pool`. */
  readonly connectionString?: Secret | string | undefined
  /** As `pg.Pool` takes it, for TLS, a socket or a password that changes. */
  readonly pool?: pg.PoolConfig | undefined
  /** How long a call waits for the database, in milliseconds. */
  readonly deadlineMs?: number | undefined
  /** How long events are kept, in milliseconds. */
  readonly eventsKeptMs?: number | undefined
  readonly clock?: Clock | undefined
  /** Is told what went wrong where nobody waits for an answer: while it forgot what has expired. */
  readonly onTrouble?: ((error: unknown) => void) | undefined
}

/**
 * Opens an authority's store in a PostgreSQL database, in a schema `rescind` of its own. Any number of
 * processes may open one; together they are one authority.
 *
 * ```
 *   changes that arrive ──▶ queue, by type ──▶ one statement, one commit ──▶ `done` or `conflict` to each
 *   while it works gather        ▲                  (READ COMMITTED)
 *                                └── up to 3 at once, each on its own connection
 * ```
 *
 * Everything that two transactions could decide differently is decided by a primary key: the end of a
 * token or a grant, a used name, a client's version. A grant and its marks are judged again at every
 * look-up, so that nothing depends on who came first by a millisecond.
 *
 * @throws RescindError `usage` where no database is named; `config_invalid`, `store_down`, `store_newer`; `store_unfit` for a server with `fsync` off
 */
export async function openPostgresAuthorityStore(
  options: PostgresAuthorityOptions,
): Promise<AuthorityStore> {
  checkNamed(options)
  const clock = options.clock ?? systemClock
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS
  const session = createSession(poolConfig(options), deadlineMs)
  try {
    await checkFlushing(session, deadlineMs)
    await migratePostgres(session)
  } catch (error) {
    await session.close()
    throw error
  }
  const eventsKeptMs = options.eventsKeptMs ?? EVENTS_KEPT_MS
  const onTrouble = options.onTrouble ?? ((error) => process.emitWarning(String(error)))
  return assemble(session, { clock, deadlineMs, eventsKeptMs, onTrouble })
}

/** Sessions see to `synchronous_commit` themselves; `fsync` is the server's alone. */
async function checkFlushing(session: Session, deadlineMs: number): Promise<void> {
  const [row] = await session.transact(deadlineMs, (query) => query('SHOW fsync'))
  if (row?.fsync === 'on') return
  throw new RescindError(
    'store_unfit',
    `The authority's database ${session.place} runs with fsync = off: what was revoked would be alive again after a power cut. Turn it on.`,
  )
}

/** The driver would take the server of this machine, and an empty variable would go unseen. */
function checkNamed(options: PostgresAuthorityOptions | undefined): void {
  const { connectionString: given, pool } = options ?? {}
  const text = given instanceof Secret ? given.reveal() : given
  if (text === undefined ? pool : typeof text === 'string' && text !== '') return
  throw new RescindError(
    'usage',
    "The authority's store needs its database: a connectionString, postgres://USER:PASSWORD@HOST:PORT/DATABASE, or a pool.",
  )
}

function poolConfig({ connectionString, pool }: PostgresAuthorityOptions): pg.PoolConfig {
  if (connectionString === undefined) return pool ?? {}
  const text = connectionString instanceof Secret ? connectionString.reveal() : connectionString
  // The driver takes any text, and what it makes of one would be shown as the place of the store.
  if (!POSTGRES_URL.test(text) && !SOCKET.test(text)) {
    throw new RescindError(
      'config_invalid',
      'openPostgresAuthorityStore takes a connectionString that begins with postgres:// or postgresql://, and was given another. Check how it begins.',
    )
  }
  return { ...pool, connectionString: text }
}

function assemble(
  session: Session,
  parts: {
    clock: Clock
    deadlineMs: number
    eventsKeptMs: number
    onTrouble: (error: unknown) => void
  },
): AuthorityStore {
  const { drained: lookupsDrained, ...lookups } = createLookups(session, parts)
  const forget = createForgetting(session, parts)
  const changes = createQueue<Change, Committed>({
    clock: parts.clock,
    deadlineMs: parts.deadlineMs,
    place: session.place,
    lanes: LANES,
    batchMax: BATCH_MAX,
    groupOf: ({ type }) => type,
    run: (batch) => applyChanges(session, batch),
    after: forget,
  })
  return closable(`authority's store ${session.place}`, {
    ...lookups,
    place: session.place,
    commit: changes.add,
    ...askInSteps({ ...lookups, commit: changes.add }),
    async reserveIds(count) {
      const [row] = await session.run(RESERVE_IDS, [count])
      return Number(row?.first)
    },
    async close() {
      await changes.drained()
      await lookupsDrained()
      await session.close()
    },
  })
}
