import type { Clock } from '../../src/core/clock.ts'

/**
 * Returns a clock whose time runs `times` as fast as the machine's, so that waits of seconds take
 * milliseconds and everything that compares moments still agrees with them.
 */
export function scaledClock(times: number): Clock {
  const startedAt = Date.now()
  const now = () => startedAt + (performance.timeOrigin + performance.now() - startedAt) * times
  return {
    now: () => Math.floor(now()),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const onAbort = () => {
          clearTimeout(timer)
          reject(signal?.reason)
        }
        const timer = setTimeout(() => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        }, ms / times)
        signal?.addEventListener('abort', onAbort, { once: true })
      }),
  }
}
