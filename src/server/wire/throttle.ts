import type { Clock } from '../../core/clock.ts'

/** Failed attempts of one client at one address before it must wait. */
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
 * Counts failed client authentications by client and address: whoever guesses is slowed down, while
 * the same client elsewhere, and others at the same address, are not (RFC 6749 section 2.3.1).
 */
export interface Throttle {
  /** Returns for how many seconds the pair must wait; zero when it may try. */
  waitOf(clientId: string, address: string): number
  failed(clientId: string, address: string): void
  succeeded(clientId: string, address: string): void
}

export function createThrottle(clock: Clock): Throttle {
  const pairs = new Map<string, Failures>()
  const keyOf = (clientId: string, address: string) => `${address} ${clientId.slice(0, 200)}`
  const recent = (key: string): Failures | undefined => {
    const failures = pairs.get(key)
    if (!failures || clock.now() - failures.since < WINDOW_MS) return failures
    pairs.delete(key)
    return undefined
  }
  return {
    waitOf(clientId, address) {
      if (pairs.size === 0) return 0
      const failures = recent(keyOf(clientId, address))
      if (!failures || failures.count < FAILURES_MAX) return 0
      return Math.max(1, Math.ceil((failures.since + WINDOW_MS - clock.now()) / 1000))
    },
    failed(clientId, address) {
      const key = keyOf(clientId, address)
      const failures = recent(key)
      if (failures) {
        failures.count += 1
        return
      }
      if (pairs.size >= PAIRS_MAX) pairs.delete(pairs.keys().next().value ?? '')
      pairs.set(key, { count: 1, since: clock.now() })
    },
    succeeded(clientId, address) {
      if (pairs.size > 0) pairs.delete(keyOf(clientId, address))
    },
  }
}
