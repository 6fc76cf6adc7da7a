import type { Clock } from '../core/clock.ts'

/** Gentle at first: the canary and the first answers decide how fast it grows. */
const LIMIT_START = 8
/** More at once only wait in a queue, at the vendor or on a small machine: see docs/performance.md. */
const LIMIT_MAX = 64
/** What a sign of trouble leaves of the limit. */
const DECREASE = 0.7
/** Answers this much slower than usual mean a queue at the provider. */
const LATENCY_RISE = 3
/** Below this a rise is noise, whatever its ratio. */
const LATENCY_FLOOR_MS = 100
/** Weight of a new answer in the short and the long mean of latency. */
const SHORT_WEIGHT = 0.1
const LONG_WEIGHT = 0.01
/** A retry costs more than a success gives back, so that retries stay a small part of the load. */
const RETRY_COST = 5
const RETRY_CAPACITY = 500
/** The wait after a 429 or 503 that names no time. */
const UNNAMED_PAUSE_MS = 1_000

/** What one answer tells the pace. */
export interface Sample {
  /** When the call began, in milliseconds of the clock. */
  readonly startedAt: number
  readonly congested: boolean
  readonly failed: boolean
  readonly retryAfterMs?: number | undefined
}

/**
 * Decides how many calls are under way at once: doubling at first, then additive increase and
 * multiplicative decrease on quota errors and rising latency; `Retry-After` is obeyed by all.
 */
export interface Pace {
  /** Waits for a place and for any pause to end; rejects when the signal is aborted. */
  acquire(signal?: AbortSignal): Promise<void>
  release(sample: Sample): void
  /** Takes a retry from the quota; false when retries have used it up for now. */
  mayRetry(): boolean
  readonly limit: number
  readonly inFlight: number
  /** When a pause ends, or 0. */
  readonly pausedUntil: number
}

export interface PaceOptions {
  readonly clock: Clock
  readonly limitMax?: number | undefined
  readonly limitStart?: number | undefined
  /** Told of every slow-down and pause. */
  readonly onEvent?: ((text: string) => void) | undefined
}

/** Starts a pace for one provider, tenant and credential. */
export function createPace(options: PaceOptions): Pace {
  const { clock } = options
  const limitMax = Math.max(1, options.limitMax ?? LIMIT_MAX)
  let limit = Math.min(options.limitStart ?? LIMIT_START, limitMax)
  let inFlight = 0
  let starting = true
  let pausedUntil = 0
  let lastDecreaseAt = -1
  let retryTokens = RETRY_CAPACITY
  let shortMs = 0
  let longMs = 0
  const waiting: (() => void)[] = []

  const wake = () => {
    while (waiting.length > 0 && inFlight < Math.floor(limit)) {
      inFlight++
      waiting.shift()?.()
    }
  }
  const decrease = (why: string) => {
    lastDecreaseAt = clock.now()
    starting = false
    limit = Math.max(1, limit * DECREASE)
    options.onEvent?.(`slowing down to ${Math.floor(limit)} at once: ${why}`)
  }
  const increase = () => {
    if (inFlight < limit / 2) return
    limit = Math.min(limitMax, limit + (starting ? 1 : 1 / limit))
  }
  const judgeLatency = (elapsedMs: number): boolean => {
    shortMs = shortMs === 0 ? elapsedMs : shortMs + SHORT_WEIGHT * (elapsedMs - shortMs)
    longMs = longMs === 0 ? elapsedMs : longMs + LONG_WEIGHT * (elapsedMs - longMs)
    return shortMs > LATENCY_FLOOR_MS && shortMs > LATENCY_RISE * longMs
  }
  const pause = (ms: number) => {
    const until = clock.now() + ms
    if (until <= pausedUntil) return
    pausedUntil = until
    options.onEvent?.(`pausing for ${(ms / 1000).toFixed(1)} s, as the provider asks`)
  }
  return {
    get limit() {
      return Math.floor(limit)
    },
    get inFlight() {
      return inFlight
    },
    get pausedUntil() {
      return pausedUntil > clock.now() ? pausedUntil : 0
    },
    async acquire(signal) {
      signal?.throwIfAborted()
      if (inFlight < Math.floor(limit)) inFlight++
      else await queueUp(waiting, signal)
      try {
        while (pausedUntil > clock.now()) await clock.sleep(pausedUntil - clock.now(), signal)
      } catch (error) {
        inFlight--
        wake()
        throw error
      }
    },
    release({ startedAt, congested, failed, retryAfterMs }) {
      inFlight--
      const slow = judgeLatency(clock.now() - startedAt)
      // One decrease a round trip: the calls that were under way saw the same trouble.
      if (startedAt > lastDecreaseAt && (congested || slow)) {
        decrease(congested ? 'the provider is short of capacity' : 'its answers take longer')
        if (slow) longMs = shortMs
      } else if (!congested && !failed) increase()
      if (congested || retryAfterMs !== undefined) pause(retryAfterMs ?? UNNAMED_PAUSE_MS)
      if (!failed) retryTokens = Math.min(RETRY_CAPACITY, retryTokens + 1)
      wake()
    },
    mayRetry() {
      if (retryTokens < RETRY_COST) return false
      retryTokens -= RETRY_COST
      return true
    },
  }
}

/** Waits in line; the one who frees a place takes it for the first in line. */
function queueUp(waiting: (() => void)[], signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const turn = () => {
      signal?.removeEventListener('abort', leave)
      resolve()
    }
    const leave = () => {
      const at = waiting.indexOf(turn)
      if (at >= 0) waiting.splice(at, 1)
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', leave, { once: true })
    waiting.push(turn)
  })
}
