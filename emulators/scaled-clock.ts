import type { Clock } from '../src/core/clock.ts'

/** Makes a clock that starts at the present moment and runs so many times as fast as the machine's. */
export function createScaledClock(times: number): Clock {
  const startedAt = Date.now()
  const zero = performance.now()
  return {
    now: () => Math.floor(startedAt + (performance.now() - zero) * times),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const onAbort = (): void => {
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
