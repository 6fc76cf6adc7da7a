import { describe, expect, test } from 'vitest'
import type { Clock } from '../../src/core/clock.ts'
import { createPace, type Pace, type Sample } from '../../src/sweep/pace.ts'

/** A clock that stands still until it is told. */
function simulatedClock() {
  let now = 1_000
  const sleepers: { at: number; wake: () => void }[] = []
  const clock: Clock = {
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        sleepers.push({ at: now + ms, wake: resolve })
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
      }),
  }
  const advance = async (ms: number) => {
    now += ms
    for (const { wake } of sleepers.filter(({ at }) => at <= now)) wake()
    await new Promise(setImmediate)
  }
  return { clock, advance }
}

const good = { congested: false, failed: false }
const congested = { congested: true, failed: true }

/** Sends `rounds` times as many calls as may be under way, each answered after `ms`. */
async function rounds(
  pace: Pace,
  time: ReturnType<typeof simulatedClock>,
  count: number,
  ms = 40,
  sample: Omit<Sample, 'startedAt'> = good,
) {
  const limits: number[] = []
  for (let round = 0; round < count; round += 1) {
    const calls = pace.limit
    for (let call = 0; call < calls; call += 1) await pace.acquire()
    const startedAt = time.clock.now()
    await time.advance(ms)
    for (let call = 0; call < calls; call += 1) pace.release({ startedAt, ...sample })
    limits.push(pace.limit)
  }
  return limits
}

describe('the pace', () => {
  test('grows by half and more a round trip at first, up to its maximum and never above', async () => {
    const time = simulatedClock()
    const pace = createPace({ clock: time.clock, limitStart: 8, limitMax: 100 })
    const limits = await rounds(pace, time, 12)
    expect(limits[0]).toBeGreaterThanOrEqual(11)
    expect(Math.max(...limits)).toBe(100)
    expect(limits.at(-1)).toBe(100)
  })

  test('after trouble it grows by one a round trip', async () => {
    const time = simulatedClock()
    const pace = createPace({ clock: time.clock, limitStart: 40, limitMax: 1_000 })
    await pace.acquire()
    pace.release({ startedAt: time.clock.now(), ...congested, retryAfterMs: 0 })
    const before = pace.limit
    expect(before).toBe(28)
    const limits = await rounds(pace, time, 10)
    expect(limits.at(-1)).toBeGreaterThan(before + 2)
    expect(limits.at(-1)).toBeLessThanOrEqual(before + 10)
  })

  test('one round trip of trouble is one decrease, however many calls saw it', async () => {
    const time = simulatedClock()
    const pace = createPace({ clock: time.clock, limitStart: 40 })
    await rounds(pace, time, 1, 40, { ...congested, retryAfterMs: 0 })
    expect(pace.limit).toBe(28)
  })

  test('lasting trouble brings it to one, and not below', async () => {
    const time = simulatedClock()
    const pace = createPace({ clock: time.clock, limitStart: 8 })
    const limits = await rounds(pace, time, 30, 40, { ...congested, retryAfterMs: 0 })
    expect(limits.at(-1)).toBe(1)
    expect(Math.min(...limits)).toBe(1)
  })

  test('answers that take much longer than usual slow it down', async () => {
    const time = simulatedClock()
    const notes: string[] = []
    const pace = createPace({
      clock: time.clock,
      limitStart: 16,
      limitMax: 16,
      onEvent: (text) => notes.push(text),
    })
    await rounds(pace, time, 20, 40)
    expect(pace.limit).toBe(16)
    await rounds(pace, time, 4, 900)
    expect(pace.limit).toBeLessThan(16)
    expect(notes.join()).toMatch(/slowing down.*its answers take longer/)
  })

  test('RFC 9110 section 10.2.3: Retry-After is obeyed by all calls', async () => {
    const time = simulatedClock()
    const pace = createPace({ clock: time.clock })
    await pace.acquire()
    pace.release({ startedAt: time.clock.now(), ...congested, retryAfterMs: 5_000 })
    let through = 0
    const waiting = [1, 2, 3].map(() => pace.acquire().then(() => (through += 1)))
    await time.advance(4_999)
    expect(through).toBe(0)
    expect(pace.pausedUntil).toBeGreaterThan(0)
    await time.advance(1)
    await Promise.all(waiting)
    expect(through).toBe(3)
    expect(pace.pausedUntil).toBe(0)
  })

  test('a 429 that names no time is waited for a second', async () => {
    const time = simulatedClock()
    const pace = createPace({ clock: time.clock })
    await pace.acquire()
    pace.release({ startedAt: time.clock.now(), ...congested })
    expect(pace.pausedUntil - time.clock.now()).toBe(1_000)
  })

  test('never are more under way than the limit, nor is a place lost to one who leaves the line', async () => {
    const time = simulatedClock()
    const pace = createPace({ clock: time.clock, limitStart: 2, limitMax: 2 })
    await pace.acquire()
    await pace.acquire()
    const leaver = new AbortController()
    const left = pace.acquire(leaver.signal)
    const patient = pace.acquire()
    leaver.abort(new Error('a person stopped it'))
    await expect(left).rejects.toThrow('a person stopped it')
    expect(pace.inFlight).toBe(2)
    pace.release({ startedAt: time.clock.now(), ...good })
    await patient
    expect(pace.inFlight).toBe(2)
  })

  test('a stop in a pause gives the place back', async () => {
    const time = simulatedClock()
    const pace = createPace({ clock: time.clock })
    await pace.acquire()
    pace.release({ startedAt: time.clock.now(), ...congested, retryAfterMs: 60_000 })
    const stop = new AbortController()
    const waiting = pace.acquire(stop.signal)
    stop.abort(new Error('stopped'))
    await expect(waiting).rejects.toThrow('stopped')
    expect(pace.inFlight).toBe(0)
  })

  test.for([0, -3, 1])('a maximum of %i still lets one through', async (limitMax) => {
    const pace = createPace({ clock: simulatedClock().clock, limitMax })
    await pace.acquire()
    expect(pace.limit).toBe(1)
  })

  test('retries are a quota that successes refill slowly', async () => {
    const { clock } = simulatedClock()
    const pace = createPace({ clock })
    let retries = 0
    while (pace.mayRetry()) retries += 1
    expect(retries).toBe(100)
    for (let n = 0; n < 4; n += 1) {
      await pace.acquire()
      pace.release({ startedAt: clock.now(), ...good })
    }
    expect(pace.mayRetry()).toBe(false)
    await pace.acquire()
    pace.release({ startedAt: clock.now(), ...good })
    expect(pace.mayRetry()).toBe(true)
  })
})
