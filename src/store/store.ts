import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Migrator } from 'kysely/migration'
import { type Clock, systemClock } from '../core/clock.ts'
import { RescindError } from '../core/errors.ts'
import { makeFolder } from '../core/folder.ts'
import { type Fingerprint, fingerprinter, type Secret } from '../core/secret.ts'
import { type ConnectionStore, openConnections } from './connections.ts'
import { type CredentialVault, openCredentials } from './credentials.ts'
import { type FormerGrants, openFormerGrants } from './former-grants.ts'
import { type GrantOwners, openGrantOwners } from './grant-owners.ts'
import { type InventoryStore, openInventories } from './inventories.ts'
import { findKey, loadKey } from './key.ts'
import { type KeyPlace, type Keyring, openKeyring } from './keyring.ts'
import { MIGRATIONS } from './migrations.ts'
import { openPlans, type PlanStore } from './plans.ts'
import { KEY_ID, type KeyRotation, keyIdIn, rotateKey } from './rotate-key.ts'
import { openRuns, type RunStore } from './runs.ts'
import { createSealer, type Sealer } from './sealing.ts'
import { type Database, openSqlite } from './sqlite.ts'

/** First uses at once get in each other's way once; what fails again fails for another reason. */
const MIGRATION_TRIES_MAX = 3

/** Where `meta` has the id of the store's own key, which makes the fingerprints and outlives every rotation. */
const OWN_KEY_ID = 'own_key_id'

export interface StoreOptions {
  /** The folder of `rescind.db` and `key`; made with mode 0700. */
  readonly home: string
  /** The value of RESCIND_KEY, instead of the key file. */
  readonly key?: string | undefined
  /** The values of RESCIND_VAULT_KEY and RESCIND_VAULT_KEY_PREVIOUS, instead of their files. */
  readonly vaultKeys?: KeyPlace['given'] | undefined
  readonly clock?: Clock | undefined
}

/** Where Rescind remembers: credentials, connections, inventories, plans, runs. Secrets are sealed. */
export interface Store {
  readonly path: string
  readonly connections: ConnectionStore
  readonly credentials: CredentialVault
  readonly formerGrants: FormerGrants
  readonly grantOwners: GrantOwners
  readonly inventories: InventoryStore
  readonly plans: PlanStore
  readonly runs: RunStore
  readonly fingerprint: (secret: Secret) => Fingerprint
  /**
   * Seals everything with a new key, in small batches, while others work; what was cut off goes on.
   *
   * @throws RescindError `usage`, `store_unsealable`
   */
  rotateKey(progress?: (resealed: number) => void): Promise<KeyRotation>
  close(): Promise<void>
}

/** What the parts of the store share. */
export interface StoreParts extends Database {
  readonly sealer: Sealer
  /** Takes up the key that the store is sealed with now, if another process rotated it. */
  syncKey(db?: Database['db']): Promise<void>
  readonly fingerprint: (secret: Secret) => Fingerprint
  readonly clock: Clock
}

/**
 * Opens the store of a home folder, and brings its schema up to date.
 *
 * @throws RescindError `store_unwritable`, `store_locked`, `store_full`, `store_corrupt`,
 * `store_newer`, `key_invalid`, `store_unsealable` (another key)
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  makeHome(options.home)
  const keyPath = join(options.home, 'key')
  const found = findKey(keyPath, options.key)
  const path = join(options.home, 'rescind.db')
  const database = openSqlite(path)
  try {
    await migrate(database, path)
    const key = found ?? (await firstKey(database, keyPath, path))
    const keyring = openKeyring({ home: options.home, key, given: options.vaultKeys ?? {} })
    await checkKey(database, keyring, key, path)
    const clock = options.clock ?? systemClock
    const parts: StoreParts = {
      ...{ ...database, sealer: keyring, fingerprint: fingerprinter(key), clock },
      syncKey: async (db = database.db) => keyring.use(await keyIdIn(db)),
    }
    const connections = openConnections(parts, path)
    return {
      path,
      connections,
      credentials: openCredentials(parts),
      formerGrants: openFormerGrants(parts),
      grantOwners: openGrantOwners(parts),
      inventories: openInventories(parts),
      plans: openPlans(parts),
      runs: openRuns(parts),
      fingerprint: parts.fingerprint,
      rotateKey: (progress) => rotateKey(database, keyring, progress),
      async close() {
        await connections.close()
        await database.close()
      },
    }
  } catch (error) {
    await database.close()
    throw error
  }
}

/**
 * Returns the key of a home, which is made at first use, but not beside a store that was made with one.
 *
 * @throws RescindError `key_invalid`, `store_unwritable`, `store_unsealable`, what opening a store throws
 */
export async function openHomeKey({
  home,
  key,
}: Pick<StoreOptions, 'home' | 'key'>): Promise<Uint8Array> {
  const keyPath = join(home, 'key')
  const path = join(home, 'rescind.db')
  const found = findKey(keyPath, key)
  if (found) return found
  if (!existsSync(path)) {
    makeHome(home)
    return loadKey(keyPath, undefined)
  }
  const database = openSqlite(path)
  try {
    await migrate(database, path)
    return await firstKey(database, keyPath, path)
  } finally {
    await database.close()
  }
}

/** Makes an id that a person can read out: a prefix and ten letters and digits, 50 bits. */
export function newId(prefix: string): string {
  const letters = '0123456789abcdefghjkmnpqrstvwxyz'
  return `${prefix}_${[...randomBytes(10)].map((byte) => letters[byte & 31]).join('')}`
}

function makeHome(home: string): void {
  try {
    makeFolder(home)
  } catch (error) {
    throw new RescindError(
      'store_unwritable',
      `The folder ${home} cannot be made. Check its parent's permissions, or set RESCIND_HOME.`,
      { cause: error },
    )
  }
}

async function migrate({ db }: Database, path: string): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => ({ ...MIGRATIONS }) },
  })
  for (let tries = 1; ; tries += 1) {
    await refuseNewer(db, path)
    const { error } = await migrator.migrateToLatest()
    if (!error) return
    // Another process may have brought the schema up to date meanwhile: then ours found it made.
    const pending = (await migrator.getMigrations()).some(({ executedAt }) => !executedAt)
    if (!pending) return
    if (tries >= MIGRATION_TRIES_MAX || error instanceof RescindError) throw error
  }
}

/** A store that a newer Rescind wrote holds migrations that this one does not know. */
async function refuseNewer(db: Database['db'], path: string): Promise<void> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  if (!tables.some((table) => table.name === 'kysely_migration')) return
  const applied = await db
    .withTables<{ kysely_migration: { name: string } }>()
    .selectFrom('kysely_migration')
    .select('name')
    .execute()
  const unknown = applied.find(({ name }) => !(name in MIGRATIONS))
  if (unknown) {
    throw new RescindError(
      'store_newer',
      `The store ${path} was written by a newer Rescind (schema ${unknown.name}). Update Rescind, or use another folder with RESCIND_HOME.`,
    )
  }
}

/** Makes the key of a store that never had one: beside a store that had, a new one would open nothing. */
async function firstKey({ db }: Database, keyPath: string, path: string): Promise<Uint8Array> {
  const had = await db.selectFrom('meta').select('key').where('key', '=', KEY_ID).execute()
  // Another process may have made both meanwhile: the key before the row.
  if (had.length === 0 || findKey(keyPath, undefined)) return loadKey(keyPath, undefined)
  throw new RescindError(
    'store_unsealable',
    `The key file ${keyPath} is gone, and the store ${path} was made with it. Put it back from a backup, or set RESCIND_KEY to that key.`,
  )
}

/** A wrong key is found at once, and not at the first secret that it cannot open. */
async function checkKey(
  { db }: Database,
  keyring: Keyring,
  key: Uint8Array,
  path: string,
): Promise<void> {
  const ownId = createSealer(key).keyId
  await db
    .insertInto('meta')
    .values([
      { key: KEY_ID, value: keyring.keyId },
      { key: OWN_KEY_ID, value: ownId },
    ])
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  const known = await db
    .selectFrom('meta')
    .select('value')
    .where('key', '=', OWN_KEY_ID)
    .executeTakeFirstOrThrow()
  try {
    keyring.use(await keyIdIn(db))
    if (known.value !== ownId) throw new Error('another key')
  } catch {
    throw new RescindError(
      'store_unsealable',
      `The store ${path} was sealed with another key. Set RESCIND_KEY, or the key file beside it, to that key; after a rotation, RESCIND_VAULT_KEY or vault.key too.`,
    )
  }
}
