import { sql } from 'kysely'
import { RescindError } from '../core/errors.ts'
import type {
  Account,
  AppMatch,
  AppRow,
  Covers,
  TokenKind,
  TokenRow,
  UserRow,
} from '../core/listing.ts'
import type { Fingerprint, Secret } from '../core/secret.ts'
import {
  appRow,
  asApp,
  asInventory,
  asListed,
  asUser,
  emptyInventory,
  endColumns,
  HANDLE,
  INSERT_APP,
  INSERT_TOKEN,
  INSERT_USER,
  LISTED_COLUMNS,
  tokenRow,
  userRow,
} from './inventory-rows.ts'
import type { StoreParts } from './store.ts'

/** Rows read at once: enough that a query costs nothing a row, few enough to stay small. */
const READ_ROWS = 5_000
/** SQLite takes 32,766 parameters a statement; look-ups by fingerprint stay far below. */
const LOOKUP_ROWS = 1_000
/** Inventories kept a tenant; older ones go, unless a plan stands on them. */
const KEPT_INVENTORIES = 20

/** One inventory, without its tokens. */
export interface Inventory {
  readonly no: number
  readonly id: string
  readonly tenant: string
  readonly provider: string
  readonly account: Account
  readonly state: 'running' | 'complete' | 'partial'
  /** Why it is complete, or why it is not. */
  readonly why: string
  readonly takenAt: number
  readonly finishedAt: number | null
  readonly counted: { readonly before: number | null; readonly after: number | null }
  readonly tokens: number
  readonly users: number
  readonly apps: number
  readonly covers: Covers
  /** Everything that it covers is provably there. */
  readonly whole: boolean
  readonly notes: readonly string[]
}

/** A listed token without its handle. */
export interface ListedToken {
  readonly fingerprint: Fingerprint
  readonly kind: TokenKind
  readonly userId: string | null
  readonly appId: string | null
  readonly appMatch: AppMatch
  readonly createdAt: number | null
  readonly lastUsedAt: number | null
  readonly useCount: number | null
  readonly own: boolean
}

/** How an inventory ended. */
export interface InventoryEnd {
  readonly state: 'complete' | 'partial'
  readonly why: string
  readonly counted: { readonly before: number | null; readonly after: number | null }
  readonly covers: Covers
  readonly whole: boolean
  readonly notes: readonly string[]
}

/** The grants of one app and user. */
export interface GrantCount {
  readonly app: string | null
  readonly user: string | null
  readonly count: number
  /** Those matched to the app by the vendor's id. */
  readonly byId: number
}

export interface InventoryStore {
  begin(tenant: string, provider: string, account: Account): Promise<Inventory>
  addUsers(inventory: Inventory, users: readonly UserRow[]): Promise<void>
  addApps(inventory: Inventory, apps: readonly AppRow[]): Promise<void>
  /**
   * Adds tokens; one that is there already (same handle) is not added twice, and belongs to the slice
   * that listed it last: a token may move between slices while they are read.
   */
  addTokens(inventory: Inventory, slice: number, tokens: readonly TokenRow[]): Promise<void>
  dropSlice(inventory: Inventory, slice: number): Promise<void>
  countTokens(inventory: Inventory): Promise<{ grants: number; sessions: number }>
  finish(inventory: Inventory, end: InventoryEnd): Promise<Inventory>
  get(id: string): Promise<Inventory | undefined>
  byNo(no: number): Promise<Inventory | undefined>
  /** The newest finished inventory of a tenant. */
  latest(tenant: string): Promise<Inventory | undefined>
  list(tenant: string): Promise<readonly Inventory[]>
  users(inventory: Inventory): Promise<ReadonlyMap<string, UserRow>>
  apps(inventory: Inventory): Promise<ReadonlyMap<string, AppRow>>
  /** Streams the tokens in batches, in the order of their fingerprints. */
  tokens(inventory: Inventory): AsyncIterable<readonly ListedToken[]>
  /** Counts the grants of each app and user, and those whose app the vendor's own id names. */
  countGrants(inventory: Inventory): Promise<readonly GrantCount[]>
  /** Opens the handles of some tokens. */
  handles(
    inventory: Inventory,
    fingerprints: readonly Fingerprint[],
  ): Promise<ReadonlyMap<Fingerprint, ListedToken & { readonly handle: Secret }>>
  /** Deletes inventories of a tenant beyond the newest 20 that no plan, run or proof stands on. */
  prune(tenant: string): Promise<void>
}

/** Opens the inventories of a store's database. */
export function openInventories(parts: StoreParts): InventoryStore {
  const { db, clock } = parts
  const find = async (no: number): Promise<Inventory> =>
    asInventory(
      await db.selectFrom('inventory').selectAll().where('no', '=', no).executeTakeFirstOrThrow(),
    )
  return {
    async begin(tenant, provider, account) {
      const row = await db
        .insertInto('inventory')
        .values(emptyInventory(tenant, provider, account, clock.now()))
        .returningAll()
        .executeTakeFirstOrThrow()
      return asInventory(row)
    },
    async addUsers(inventory, users) {
      await parts.runMany([
        { sql: INSERT_USER, rows: users.map((user) => userRow(inventory, user)) },
      ])
    },
    async addApps(inventory, apps) {
      await parts.runMany([{ sql: INSERT_APP, rows: apps.map((app) => appRow(inventory, app)) }])
    },
    async addTokens(inventory, slice, tokens) {
      await parts.syncKey()
      const rows = tokens.map((token) => tokenRow(parts, inventory, slice, token))
      await parts.runMany([{ sql: INSERT_TOKEN, rows }])
    },
    async dropSlice({ no }, slice) {
      await db.deleteFrom('token').where('inventory', '=', no).where('slice', '=', slice).execute()
    },
    async countTokens({ no }) {
      const rows = await db
        .selectFrom('token')
        .select(({ fn }) => ['kind', fn.countAll<number>().as('count')])
        .where('inventory', '=', no)
        .groupBy('kind')
        .execute()
      const of = (kind: TokenKind) => Number(rows.find((row) => row.kind === kind)?.count ?? 0)
      return { grants: of('grant'), sessions: of('session') }
    },
    async finish(inventory, end) {
      const { no } = inventory
      await db
        .updateTable('inventory')
        .set((row) => ({
          ...endColumns(end, clock.now()),
          tokens: row
            .selectFrom('token')
            .select(row.fn.countAll<number>().as('n'))
            .where('inventory', '=', no),
          users: row
            .selectFrom('inventory_user')
            .select(row.fn.countAll<number>().as('n'))
            .where('inventory', '=', no),
          apps: row
            .selectFrom('inventory_app')
            .select(row.fn.countAll<number>().as('n'))
            .where('inventory', '=', no),
        }))
        .where('no', '=', no)
        .execute()
      return find(no)
    },
    async get(id) {
      const row = await db
        .selectFrom('inventory')
        .selectAll()
        .where('id', '=', id)
        .executeTakeFirst()
      return row && asInventory(row)
    },
    async byNo(no) {
      const row = await db
        .selectFrom('inventory')
        .selectAll()
        .where('no', '=', no)
        .executeTakeFirst()
      return row && asInventory(row)
    },
    async latest(tenant) {
      const row = await db
        .selectFrom('inventory')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('state', '!=', 'running')
        .orderBy('no', 'desc')
        .executeTakeFirst()
      return row && asInventory(row)
    },
    async list(tenant) {
      const rows = await db
        .selectFrom('inventory')
        .selectAll()
        .where('tenant', '=', tenant)
        .orderBy('no', 'desc')
        .execute()
      return rows.map(asInventory)
    },
    async users({ no }) {
      const rows = await db
        .selectFrom('inventory_user')
        .selectAll()
        .where('inventory', '=', no)
        .execute()
      return new Map(rows.map((row) => [row.id, asUser(row)]))
    },
    async apps({ no }) {
      const rows = await db
        .selectFrom('inventory_app')
        .selectAll()
        .where('inventory', '=', no)
        .execute()
      return new Map(rows.map((row) => [row.id, asApp(row)]))
    },
    tokens: (inventory) => streamTokens(parts, inventory),
    async countGrants({ no }) {
      const byId = sql<number>`sum(CASE WHEN app_match = 'id' THEN 1 ELSE 0 END)`
      return db
        .selectFrom('token')
        .select(({ fn }) => ['app', 'user', fn.countAll<number>().as('count'), byId.as('byId')])
        .where('inventory', '=', no)
        .where('kind', '=', 'grant')
        .groupBy(['app', 'user'])
        .execute()
    },
    handles: (inventory, fingerprints) => openHandles(parts, inventory, fingerprints),
    async prune(tenant) {
      const old = db
        .selectFrom('inventory')
        .select('no')
        .where('tenant', '=', tenant)
        .where('no', 'not in', db.selectFrom('plan').select('inventory'))
        .where(
          sql<string>`'inventory ' || id`,
          'not in',
          db
            .selectFrom('run_token')
            .select('evidence')
            .where('evidence', 'is not', null)
            .distinct(),
        )
        .where('no', 'not in', db.selectFrom('run').select('after').where('after', 'is not', null))
        .where(
          'no',
          'not in',
          db.selectFrom('run').select('second').where('second', 'is not', null),
        )
        .orderBy('no', 'desc')
        .limit(-1)
        .offset(KEPT_INVENTORIES)
      await db.deleteFrom('inventory').where('no', 'in', old).execute()
    },
  }
}

async function* streamTokens(
  { db }: StoreParts,
  { no }: Inventory,
): AsyncIterable<readonly ListedToken[]> {
  let after = ''
  for (;;) {
    const rows = await db
      .selectFrom('token')
      .select(LISTED_COLUMNS)
      .where('inventory', '=', no)
      .where('fingerprint', '>', after)
      .orderBy('fingerprint')
      .limit(READ_ROWS)
      .execute()
    if (rows.length > 0) yield rows.map(asListed)
    if (rows.length < READ_ROWS) return
    after = rows.at(-1)?.fingerprint ?? ''
  }
}

async function openHandles(
  { db, sealer, fingerprint }: StoreParts,
  { no, tenant }: Inventory,
  fingerprints: readonly Fingerprint[],
): Promise<Map<Fingerprint, ListedToken & { readonly handle: Secret }>> {
  const found = new Map<Fingerprint, ListedToken & { readonly handle: Secret }>()
  for (let at = 0; at < fingerprints.length; at += LOOKUP_ROWS) {
    const rows = await db
      .selectFrom('token')
      .select([...LISTED_COLUMNS, 'handle'])
      .where('inventory', '=', no)
      .where('fingerprint', 'in', fingerprints.slice(at, at + LOOKUP_ROWS))
      .execute()
    for (const row of rows) {
      const handle = sealer.open(row.handle, { tenant, column: HANDLE })
      // A sealed handle opens in any row of its column: only this says that it stands in its own.
      if (fingerprint(handle) !== row.fingerprint) {
        throw new RescindError(
          'store_corrupt',
          `The handle of token ${row.fingerprint} in the store is another token's. Nothing was sent for it; take a new inventory and plan again.`,
        )
      }
      found.set(row.fingerprint as Fingerprint, { ...asListed(row), handle })
    }
  }
  return found
}
