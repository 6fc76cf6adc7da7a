import { createHash } from 'node:crypto'
import type { Secret } from '../core/secret.ts'
import { newId, type StoreParts } from './store.ts'

/** An authorization that a person was sent to and has not come back from. */
export interface PendingReconnect {
  readonly connection: string
  readonly verifier: Secret
  readonly expiresAt: number
}

/** What became of a state that came to the callback. */
export type TakenReconnect =
  | PendingReconnect
  | 'unknown'
  | 'used'
  | { readonly connection: string; readonly late: true }

export interface ApiKeyRow {
  readonly id: string
  readonly name: string
  readonly createdAt: number
  readonly revokedAt: number | null
}

/** Pending authorizations and keys of the HTTP API, both by their hash. */
export interface ReconnectStore {
  /** Keeps what a callback with this state needs; states that ran out are forgotten. */
  addReconnect(id: string, state: Secret, verifier: Secret, expiresAt: number): Promise<void>
  /** Gives it out once: who comes second with the same state gets `used`. */
  takeReconnect(state: Secret): Promise<TakenReconnect>
  /**
   * The connections whose owner was sent to the provider and can no longer come back: each of their
   * states ran out, was used longer ago than `graceMs`, or was used before they were sent there last.
   */
  staleReconnects(graceMs: number): Promise<readonly string[]>
  addApiKey(key: Secret, name: string): Promise<ApiKeyRow>
  /** Finds a key that is not revoked. */
  findApiKey(key: Secret): Promise<ApiKeyRow | undefined>
  listApiKeys(): Promise<readonly ApiKeyRow[]>
  revokeApiKey(id: string): Promise<boolean>
}

const VERIFIER = 'reconnect.verifier'
/** States that ran out are remembered for a day, so that a late callback is told from a forged one. */
const KEPT_MS = 86_400_000

export function openReconnects(parts: StoreParts): ReconnectStore {
  const { db, clock, sealer } = parts
  const find = (id: string) =>
    db.selectFrom('connection').select(['no', 'id', 'tenant']).where('id', '=', id)
  return {
    async addReconnect(id, state, verifier, expiresAt) {
      const { no, tenant } = await find(id).executeTakeFirstOrThrow()
      await parts.syncKey()
      const sealed = sealer.seal(verifier, { tenant, column: VERIFIER, row: id })
      const now = clock.now()
      await parts.transact(async (trx) => {
        await trx
          .deleteFrom('reconnect')
          .where('expires_at', '<', now - KEPT_MS)
          .execute()
        await trx
          .insertInto('reconnect')
          .values({
            ...{ state_hash: hashOf(state), connection: no, verifier: sealed },
            ...{ created_at: now, expires_at: expiresAt, used_at: null },
          })
          .execute()
      })
    },
    takeReconnect: (state) =>
      parts.transact(async (trx): Promise<TakenReconnect> => {
        const row = await trx
          .selectFrom('reconnect')
          .innerJoin('connection as c', 'c.no', 'reconnect.connection')
          .select(['verifier', 'expires_at', 'used_at', 'c.id', 'c.tenant'])
          .where('state_hash', '=', hashOf(state))
          .executeTakeFirst()
        if (!row) return 'unknown'
        if (row.used_at !== null) return 'used'
        const now = clock.now()
        await trx
          .updateTable('reconnect')
          .set({ used_at: now })
          .where('state_hash', '=', hashOf(state))
          .execute()
        if (row.expires_at <= now) return { connection: row.id, late: true }
        const { id, tenant } = row
        const verifier = sealer.open(row.verifier, { tenant, column: VERIFIER, row: id })
        return { connection: id, verifier, expiresAt: row.expires_at }
      }),
    async staleReconnects(graceMs) {
      const now = clock.now()
      const rows = await db
        .selectFrom('connection as c')
        .select('c.id')
        .where('c.state', '=', 'reconnecting')
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('reconnect as r')
                .select('r.connection')
                .whereRef('r.connection', '=', 'c.no')
                .where(({ or, and, eb, ref }) =>
                  or([
                    and([eb('r.used_at', 'is', null), eb('r.expires_at', '>', now)]),
                    // One that came too late is not at work.
                    and([
                      eb('r.used_at', '>', now - graceMs),
                      eb('r.used_at', '<', ref('r.expires_at')),
                      // What an earlier one brought has ended: the owner was sent there again since.
                      eb('r.used_at', '>=', ({ selectFrom }) =>
                        selectFrom('connection_event as e')
                          .select(({ fn }) => fn.max('e.at').as('at'))
                          .whereRef('e.connection', '=', 'c.no')
                          .where('e.type', '=', 'connection.reconnecting'),
                      ),
                    ]),
                  ]),
                ),
            ),
          ),
        )
        .execute()
      return rows.map(({ id }) => id)
    },
    async addApiKey(key, name) {
      const row = { id: newId('key'), hash: hashOf(key), name, created_at: clock.now() }
      await db
        .insertInto('api_key')
        .values({ ...row, revoked_at: null })
        .execute()
      return { id: row.id, name, createdAt: row.created_at, revokedAt: null }
    },
    async findApiKey(key) {
      const row = await db
        .selectFrom('api_key')
        .selectAll()
        .where('hash', '=', hashOf(key))
        .where('revoked_at', 'is', null)
        .executeTakeFirst()
      return row && asApiKey(row)
    },
    async listApiKeys() {
      const rows = await db.selectFrom('api_key').selectAll().orderBy('created_at').execute()
      return rows.map(asApiKey)
    },
    async revokeApiKey(id) {
      const { numUpdatedRows } = await db
        .updateTable('api_key')
        .set({ revoked_at: clock.now() })
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
  }
}

/** States and keys have 256 random bits: a slow hash would protect nothing more. */
function hashOf(secret: Secret): string {
  return createHash('sha256').update(secret.reveal()).digest('base64url')
}

function asApiKey(row: {
  readonly id: string
  readonly name: string
  readonly created_at: number
  readonly revoked_at: number | null
}): ApiKeyRow {
  return { id: row.id, name: row.name, createdAt: row.created_at, revokedAt: row.revoked_at }
}
