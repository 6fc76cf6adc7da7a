import { RescindError } from '../core/errors.ts'
import type { Secret } from '../core/secret.ts'
import type { Schema } from './schema.ts'
import type { StoreParts } from './store.ts'

/**
 * Where a tenant's changing credentials live: sealed, versioned, and replaced with an intent
 * written first, so that a rotated refresh token is never lost unnoticed and a spent one is never
 * presented again.
 *
 * ```
 *            put                    begin                commit
 *  (none) ────────▶ ready(v) ────────────▶ refreshing ────────────▶ ready(v+1)
 *                     ▲                        │ │ abandon (the server said that nothing was spent)
 *                     └────────────────────────┼─┘
 *                                              │ holder died, or the answer was lost
 *                                              ▼
 *                                         needs_login ──put──▶ ready
 * ```
 *
 * 1. The secret of a `refreshing` or `needs_login` credential is never handed out.
 * 2. Only the holder of the lease commits or abandons (compare-and-set on the version).
 * 3. A lease that ran out is judged as lost: the token may be spent, so it becomes `needs_login`.
 */
export interface CredentialVault {
  /** Reads a credential; undefined when there is none. */
  get(tenant: string, name: string): Promise<StoredCredential | undefined>
  /** Stores a credential as `ready`, over whatever was there. */
  put(tenant: string, name: string, secret: Secret): Promise<void>
  /**
   * Takes the one lease to spend the credential, durably, before it is presented.
   * `busy` when another holder has it; `needs_login` when it may be spent already.
   */
  begin(
    tenant: string,
    name: string,
    leaseMs: number,
  ): Promise<Lease | 'busy' | 'needs_login' | 'none'>
  /** Stores the successor (or the same secret, where the server does not rotate) and ends the lease. */
  commit(lease: Lease, successor: Secret): Promise<void>
  /** Ends the lease with the credential unspent: the server was not reached, or said so. */
  abandon(lease: Lease): Promise<void>
  /** Ends the lease with the credential's state unknown or dead: a new login is needed. */
  lose(lease: Lease, why: string): Promise<void>
  /** Deletes all credentials of a tenant. */
  removeAll(tenant: string): Promise<void>
}

export interface StoredCredential {
  readonly state: 'ready' | 'refreshing' | 'needs_login'
  readonly version: number
  readonly updatedAt: number
  /** Why a login is needed. */
  readonly why: string | null
}

export interface Lease {
  readonly tenant: string
  readonly name: string
  readonly version: number
  readonly secret: Secret
}

const COLUMN = 'credential.sealed'

/** Opens the vault on a store's database. */
export function openCredentials({ db, sealer, syncKey, clock }: StoreParts): CredentialVault {
  const place = (tenant: string) => ({ tenant, column: COLUMN })
  const read = (tenant: string, name: string) =>
    db
      .selectFrom('credential')
      .selectAll()
      .where('tenant', '=', tenant)
      .where('name', '=', name)
      .executeTakeFirst()
  /** Moves a credential on from one known version; false when somebody else was faster. */
  const move = async (
    { tenant, name, version }: Pick<Lease, 'tenant' | 'name' | 'version'>,
    from: StoredCredential['state'],
    values: Partial<Schema['credential']>,
  ): Promise<boolean> => {
    const { numUpdatedRows } = await db
      .updateTable('credential')
      .set({ ...values, updated_at: clock.now() })
      .where('tenant', '=', tenant)
      .where('name', '=', name)
      .where('version', '=', version)
      .where('state', '=', from)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }
  return {
    async get(tenant, name) {
      const row = await read(tenant, name)
      if (!row) return undefined
      return { state: row.state, version: row.version, updatedAt: row.updated_at, why: row.why }
    },
    async put(tenant, name, secret) {
      await syncKey()
      const values = {
        sealed: sealer.seal(secret, place(tenant)),
        state: 'ready' as const,
        lease_until: null,
        updated_at: clock.now(),
        why: null,
      }
      await db
        .insertInto('credential')
        .values({ tenant, name, version: 1, ...values })
        .onConflict((conflict) =>
          conflict
            .columns(['tenant', 'name'])
            .doUpdateSet((row) => ({ ...values, version: row('credential.version', '+', 1) })),
        )
        .execute()
    },
    async begin(tenant, name, leaseMs) {
      const row = await read(tenant, name)
      if (!row) return 'none'
      if (row.state === 'needs_login') return 'needs_login'
      if (row.state === 'refreshing') {
        if ((row.lease_until ?? 0) > clock.now()) return 'busy'
        const why = 'a refresh was cut off, so the refresh token may be spent'
        await move(row, 'refreshing', { state: 'needs_login', lease_until: null, why })
        return 'needs_login'
      }
      const secret = sealer.open(row.sealed, place(tenant))
      const lease_until = clock.now() + leaseMs
      const taken = await move(row, 'ready', { state: 'refreshing', lease_until })
      return taken ? { tenant, name, version: row.version, secret } : 'busy'
    },
    async commit(lease, successor) {
      await syncKey()
      const sealed = sealer.seal(successor, place(lease.tenant))
      const version = lease.version + 1
      const values = { sealed, version, state: 'ready' as const, lease_until: null, why: null }
      if (await move(lease, 'refreshing', values)) return
      // The lease ran out while the answer was on its way: the successor is good all the same.
      if (await move(lease, 'needs_login', values)) return
      throw new RescindError(
        'login_needed',
        `The credential of tenant "${lease.tenant}" was replaced by another process during its refresh. Run the command again.`,
      )
    },
    async abandon(lease) {
      await move(lease, 'refreshing', { state: 'ready', lease_until: null })
    },
    async lose(lease, why) {
      await move(lease, 'refreshing', { state: 'needs_login', lease_until: null, why })
    },
    async removeAll(tenant) {
      await db.deleteFrom('credential').where('tenant', '=', tenant).execute()
    },
  }
}
