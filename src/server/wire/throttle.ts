import type { Clock } from '../../core/clock.ts'

/** Failed attempts of one client at one address that are told so; the next must wait. */
const FAILURES_MAX = 10
/** In which time they count. */
const WINDOW_MS = 60_000
/** Pairs that are remembered; past these the oldest is forgotten, and has its attempts again. */
const PAIRS_MAX = 100_000

interface Failures {
  count: number
  readonly since: number
}

/**
 * Counts failed authentications by client and address: whoever guesses is told to wait, while the same
 * client elsewhere, and others at the same address, are not (RFC 6749 section 2.3.1). It is asked after
 * a failure alone. A right proof is always let through: a secret of 256 bits is not guessed, however
 * often it is tried, and a throttle that came first would lock its owner out.
 */
export interface Throttle {
  /** Counts a failure; returns for how many seconds the pair is to wait, zero while it may try. */
  failed(clientId: string, address: string): number
}

export function createThrottle(clock: Clock): Throttle {
  const pairs = new Map<string, Failures>()
  return {
    failed(clientId, address) {
      const key = `${address} ${clientId.slice(0, 200)}`
      const now = clock.now()
      const known = pairs.get(key)
      const isRecent = known !== undefined && now - known.since < WINDOW_MS
      const failures = isRecent ? known : { count: 0, since: now }
      failures.count += 1
      if (!isRecent) {
        pairs.delete(key)
        if (pairs.size >= PAIRS_MAX) pairs.delete(pairs.keys().next().value ?? '')
        pairs.set(key, failures)
      }
      if (failures.count <= FAILURES_MAX) return 0
      return Math.max(1, Math.ceil((failures.since + WINDOW_MS - now) / 1000))
    },
  }
}
