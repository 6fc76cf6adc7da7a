import { createHash } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { Secret } from '../core/secret.ts'
import type { Schema } from './schema.ts'
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

/** A code of a connection's owner that was sent to the provider. */
export interface CodeExchange {
  readonly connection: string
  readonly stateHash: string
}

/** How an exchange ends, in the transaction of a change of its connection. */
export interface ExchangeEnd {
  /** Everything that it brought is stored, or it surely brought nothing. */
  readonly settles?: CodeExchange | undefined
  /** What it brought may live unknown. Where it has ended already, nothing of the change is written. */
  readonly loses?: CodeExchange | undefined
}

export interface ApiKeyRow {
  readonly id: string
  readonly name: string
  readonly createdAt: number
  readonly revokedAt: number | null
}

/** Pending authorizations and keys of the HTTP API, both by their hash. */
export interface ReconnectStore {
  /**
   * Keeps what a callback with this state needs; states that ran out are forgotten, but for those whose
   * code brought what nobody holds.
   */
  addReconnect(id: string, state: Secret, verifier: Secret, expiresAt: number): Promise<void>
  /** Gives it out once: who comes second with the same state gets `used`. */
  takeReconnect(state: Secret): Promise<TakenReconnect>
  /**
   * The connections whose owner was sent to the provider and can no longer come back: each of their
   * states ran out, was used longer ago than `graceMs`, or was used before they were sent there last.
   */
  staleReconnects(graceMs: number): Promise<readonly string[]>
  /**
   * Writes that the code of a state is about to be sent. Null, and it may not be, where the connection is
   * ended: its disconnect has looked already whether anything is under way.
   */
  beginExchange(state: Secret): Promise<CodeExchange | null>
  /** Exchanges that began longer ago than `graceMs`, and of whose end nobody wrote. */
  cutOffExchanges(graceMs: number): Promise<readonly CodeExchange[]>
  /** Whether a code of a connection is under way, or brought what may live unknown; the worse of both. */
  openExchange(row: { readonly no: number }): Promise<'sent' | 'lost' | null>
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
          .where('intent', 'is', null)
          .execute()
        await trx
          .insertInto('reconnect')
          .values({
            ...{ state_hash: hashOf(state), connection: no, verifier: sealed },
            ...{ created_at: now, expires_at: expiresAt },
            ...{ used_at: null, intent: null },
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
    beginExchange: (state) =>
      parts.transact(async (trx) => {
        const stateHash = hashOf(state)
        const { id } =
          (await trx
            .selectFrom('reconnect')
            .innerJoin('connection as c', 'c.no', 'reconnect.connection')
            .select('c.id')
            .where('state_hash', '=', stateHash)
            .where('c.state', '!=', 'revoked')
            .executeTakeFirst()) ?? {}
        if (id === undefined) return null
        await trx
          .updateTable('reconnect')
          .set({ intent: 'sent' })
          .where('state_hash', '=', stateHash)
          .execute()
        return { connection: id, stateHash }
      }),
    cutOffExchanges: (graceMs) =>
      db
        .selectFrom('reconnect')
        .innerJoin('connection as c', 'c.no', 'reconnect.connection')
        .select(['c.id as connection', 'state_hash as stateHash'])
        .where('reconnect.intent', '=', 'sent')
        .where('used_at', '<=', clock.now() - graceMs)
        .execute(),
    async openExchange({ no }) {
      const open = await db
        .selectFrom('reconnect')
        .select('intent')
        .where('connection', '=', no)
        .where('intent', 'is not', null)
        // What is lost stands before what is sent.
        .orderBy('intent')
        .executeTakeFirst()
      return open?.intent ?? null
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

/** Writes how an exchange ended; returns false where it is lost that had ended before. */
export async function endExchange(
  trx: Kysely<Schema>,
  { settles, loses }: ExchangeEnd,
): Promise<boolean> {
  if (settles) {
    await trx
      .updateTable('reconnect')
      .set({ intent: null })
      .where('state_hash', '=', settles.stateHash)
      .execute()
  }
  if (!loses) return true
  const { numUpdatedRows } = await trx
    .updateTable('reconnect')
    .set({ intent: 'lost' })
    .where('state_hash', '=', loses.stateHash)
    .where('intent', '=', 'sent')
    .executeTakeFirst()
  return numUpdatedRows === 1n
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
