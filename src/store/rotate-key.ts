import { sql } from 'kysely'
import { isOldSeal, type Keyring, reseal } from './keyring.ts'
import type { Database } from './sqlite.ts'

/** Rows a transaction: others wait some milliseconds for one, and not for the whole. */
const BATCH_ROWS = 200
/** Where `meta` has the id of the key that seals. */
export const KEY_ID = 'key_id'

/** What a rotation did. */
export interface KeyRotation {
  readonly keyId: string
  /** Values that were sealed anew; those of a part that was done before are not in it. */
  readonly resealed: number
}

/** One sealed column, with what its values are bound to. */
interface SealedColumn {
  readonly table: string
  readonly column: string
  readonly name: string
  /** Gives `tenant`, and `row` where values are bound to their row. */
  readonly join: string
  readonly bound: string
}

const COLUMNS: readonly SealedColumn[] = [
  {
    ...{ table: 'credential', column: 'sealed', name: 'credential.sealed' },
    ...{ join: '', bound: 't.tenant AS tenant, NULL AS row' },
  },
  {
    ...{ table: 'token', column: 'handle', name: 'token.handle' },
    join: 'JOIN inventory i ON i.no = t.inventory',
    bound: 'i.tenant AS tenant, NULL AS row',
  },
  ...['access', 'refresh', 'predecessor'].map((column) => ({
    ...{ table: 'connection_token', column, name: `connection_token.${column}` },
    join: 'JOIN connection c ON c.no = t.connection',
    bound: 'c.tenant AS tenant, c.id AS row',
  })),
  {
    ...{ table: 'superseded_token', column: 'sealed', name: 'superseded_token.sealed' },
    join: 'JOIN connection c ON c.no = t.connection',
    bound: 'c.tenant AS tenant, c.id AS row',
  },
  {
    ...{ table: 'former_grant', column: 'sealed', name: 'former_grant.sealed' },
    ...{ join: '', bound: 't.platform AS tenant, CAST(t.instance AS TEXT) AS row' },
  },
  {
    ...{ table: 'reconnect', column: 'verifier', name: 'reconnect.verifier' },
    join: 'JOIN connection c ON c.no = t.connection',
    bound: 'c.tenant AS tenant, c.id AS row',
  },
]

interface SealedRow {
  readonly rowid: number
  readonly sealed: Uint8Array | null
  readonly tenant: string
  readonly row: string | null
}

/** Returns the id of the key that a store is sealed with. */
export async function keyIdIn(db: Database['db']): Promise<string> {
  const row = await db
    .selectFrom('meta')
    .select('value')
    .where('key', '=', KEY_ID)
    .executeTakeFirstOrThrow()
  return row.value
}

/**
 * Rotates the key that seals: makes it, names it in `meta` (from then on nobody writes with another
 * one), seals what there is anew, and drops the old one last. At each point both keys are readable, and
 * a rotation that was cut off is gone on with.
 */
export async function rotateKey(
  database: Database,
  keyring: Keyring,
  progress: (resealed: number) => void = () => {},
): Promise<KeyRotation> {
  keyring.use(await keyIdIn(database.db))
  const isBegun = keyring.newest() !== keyring.keyId || (await hasOldSeals(database, keyring))
  if (!isBegun) keyring.makeNext()
  const keyId = keyring.newest()
  await database.db.updateTable('meta').set({ value: keyId }).where('key', '=', KEY_ID).execute()
  keyring.use(keyId)
  let resealed = 0
  for (const column of COLUMNS) {
    for (let after: number | null = -1; after !== null; ) {
      const batch: Batch = await resealBatch(database, keyring, column, after)
      resealed += batch.resealed
      if (batch.resealed > 0) progress(resealed)
      after = batch.last
    }
  }
  if (!(await hasOldSeals(database, keyring))) keyring.dropPrevious()
  return { keyId, resealed }
}

interface Batch {
  /** Where the next one begins; null after the last. */
  readonly last: number | null
  readonly resealed: number
}

async function resealBatch(
  database: Database,
  keyring: Keyring,
  column: SealedColumn,
  after: number,
): Promise<Batch> {
  return database.transact(async (trx, many) => {
    const rows = await readBatch(trx, column, after)
    const old = rows.flatMap(({ rowid, sealed, tenant, row }) => {
      if (sealed === null || !isOldSeal(keyring, sealed)) return []
      const place = { tenant, column: column.name, ...(row !== null && { row }) }
      return [[reseal(keyring, sealed, place), rowid] as const]
    })
    await many([
      { sql: `UPDATE ${column.table} SET ${column.column} = ? WHERE rowid = ?`, rows: old },
    ])
    const isWhole = rows.length < BATCH_ROWS
    return { last: isWhole ? null : (rows.at(-1)?.rowid ?? null), resealed: old.length }
  })
}

async function readBatch(
  db: Database['db'],
  { table, column, join, bound }: SealedColumn,
  after: number,
): Promise<readonly SealedRow[]> {
  const query = sql<SealedRow>`SELECT t.rowid AS rowid, t.${sql.raw(column)} AS sealed, ${sql.raw(bound)}
    FROM ${sql.raw(table)} t ${sql.raw(join)} WHERE t.rowid > ${after}
    ORDER BY t.rowid LIMIT ${BATCH_ROWS}`
  return (await query.execute(db)).rows
}

async function hasOldSeals({ db }: Database, keyring: Keyring): Promise<boolean> {
  for (const { table, column } of COLUMNS) {
    const query = sql<{ one: number }>`SELECT 1 AS one FROM ${sql.raw(table)}
      WHERE ${sql.raw(column)} IS NOT NULL
      AND lower(hex(substr(${sql.raw(column)}, 2, 4))) <> ${keyring.keyId} LIMIT 1`
    if ((await query.execute(db)).rows.length > 0) return true
  }
  return false
}
