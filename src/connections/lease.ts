import type { ConnectionRow } from '../store/connections.ts'
import type { VaultParts } from './vault-parts.ts'

/**
 * Longer than all the requests that a refresh may make, each of 30 seconds: metadata at two addresses,
 * and the token endpoint. Who holds the intent for longer has died.
 */
const LEASE_MS = 120_000
/** How often a refresh of another process is looked at. */
const POLL_MS = 100
/** A refresh that is well has ended by then: of a longer wait the caller is told. */
const TOLD_AFTER_MS = 1_000

/** A refresh or a disconnect of another process that is waited for. */
export interface LeaseWait {
  readonly id: string
  readonly what: 'refresh' | 'disconnect'
  /** When it is waited for no longer, by our clock. */
  readonly until: number
}

/**
 * Waits for the refresh or the disconnect of another process: a lease has ended when it was seen unchanged for its whole
 * length, by the looker's own stopwatch. A wall clock that is wrong decides nothing.
 */
export function watchLease({ clock, leaseMs = LEASE_MS, onWait }: VaultParts) {
  let seen = { fence: -1, forMs: 0 }
  return {
    /** The fence whose holder is taken for dead; null while nobody's is. */
    overruled: (): number | null => (seen.forMs >= leaseMs ? seen.fence : null),
    /** Waits for a moment, after the holder of this fence was seen. */
    async wait({
      id,
      fence,
      intent,
    }: Pick<ConnectionRow, 'id' | 'fence' | 'intent'>): Promise<void> {
      const forMs = fence === seen.fence ? seen.forMs + POLL_MS : 0
      seen = { fence, forMs }
      const what = intent === 'ending' ? 'disconnect' : 'refresh'
      if (forMs === TOLD_AFTER_MS) onWait?.({ id, what, until: clock.now() + leaseMs - forMs })
      await clock.sleep(POLL_MS)
    },
  }
}
