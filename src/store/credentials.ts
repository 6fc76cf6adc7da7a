import type { Secret } from '../core/secret.ts'

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
