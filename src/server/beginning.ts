import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../core/clock.ts'
import { RescindError } from '../core/errors.ts'
import type { AuthorityStore } from '../store/authority/contract.ts'

/**
 * How long a request for a grant may be under way, from its beginning until the grant is written: half of
 * what a mark is kept that may have to kill it, the other half being for clocks that differ.
 */
export const IN_FLIGHT_MAX_MS = 1_800_000
/** Revocations wait for the epoch of what began before them; of a store that does not tell it, no longer. */
const EPOCH_DEADLINE_MS = 5_000

/** When a request for a grant began: what is revoked from then on kills the grant, however late that is written. */
export interface Beginning {
  /** The store's epoch; what decides. */
  readonly epoch: number
  /** What a revocation of all before a moment goes by. */
  readonly at: number
}

/** The requests for grants that are under way in this process. */
export interface Beginnings {
  /** Begins a request: before anybody asks who the user is, or whether the session lives. */
  begin(): Promise<Beginning>
  /** Resolves when all requests that were begun have their epoch: a mark that is set then is younger. */
  settled(): Promise<void>
}

export function createBeginnings(
  store: Pick<AuthorityStore, 'readEpoch'>,
  clock: Clock,
): Beginnings {
  const unsettled = new Set<Promise<Beginning>>()
  return {
    begin() {
      const at = clock.now()
      const beginning = inTime(store).then((epoch) => ({ epoch, at }))
      unsettled.add(beginning)
      const settle = () => void unsettled.delete(beginning)
      beginning.then(settle, settle)
      return beginning
    },
    async settled() {
      await Promise.allSettled(unsettled)
    },
  }
}

/** @throws RescindError `store_down` when the store has not answered in time; what it answers later counts no more */
async function inTime(store: Pick<AuthorityStore, 'readEpoch'>): Promise<number> {
  const late = new AbortController()
  try {
    return await Promise.race([
      store.readEpoch(),
      sleep(EPOCH_DEADLINE_MS, undefined, { signal: late.signal, ref: false }).then(() => {
        throw new RescindError(
          'store_down',
          `The authority's store did not say within ${EPOCH_DEADLINE_MS / 1000} seconds which revocations it has, and nothing was issued. Look at it, then try again.`,
        )
      }),
    ])
  } finally {
    late.abort()
  }
}

/** @throws RescindError `request_stale` for one that was begun so long ago that a mark may be forgotten since */
export function checkInTime({ at }: Beginning, now: number): void {
  if (now - at <= IN_FLIGHT_MAX_MS) return
  const minutes = IN_FLIGHT_MAX_MS / 60_000
  throw new RescindError(
    'request_stale',
    `The request for tokens was under way for more than ${minutes} minutes, and nothing was issued. Begin it anew.`,
  )
}

/** The answer to a request that was overtaken by a revocation: what was written of it is dead. */
export function overtaken(): RescindError {
  return new RescindError(
    'request_stale',
    'While the request for tokens was under way, all of its user, client or session was revoked, and what was issued is dead. Begin it anew: ask first who the user is.',
  )
}
