import { describe, expect, test } from 'vitest'
import { compareSeries, flipTest, trimmedMean } from '../../src/conformance/statistics.ts'
import { seededRandom } from '../../src/core/clock.ts'

const SAMPLES = 150
const SEEDS = Array.from({ length: 10 }, (_, seed) => seed + 1)

interface Machine {
  /** What the other kind takes longer, in microseconds. */
  readonly shift?: number
  /** How much slower the machine gets from the first sample to the last. */
  readonly drift?: number
  /** What is wrong with the control. */
  readonly bias?: number
}

/** Times as a busy machine gives them: a floor, a long tail, and pauses of milliseconds. */
function measure(seed: number, { shift = 0, drift = 0, bias = 0 }: Machine) {
  const random = seededRandom(seed)
  const once = (turn: number) => {
    const pause = random() < 0.03 ? 4_000 * random() : 0
    return 400 + (drift * turn) / SAMPLES - 80 * Math.log(1 - random()) + pause
  }
  const series = [[], [], []] as [number[], number[], number[]]
  for (let turn = 0; turn < SAMPLES; turn++) {
    series[0].push(once(turn) + bias)
    series[1].push(once(turn))
    series[2].push(once(turn) + shift)
  }
  return compareSeries(...series, random)
}

const verdicts = (machine: Machine) => SEEDS.map((seed) => measure(seed, machine).verdict)

describe('timing: a difference is told from noise', () => {
  test('no difference: no alarm in any series', () => {
    expect(verdicts({}).filter((verdict) => verdict === 'different')).toEqual([])
  })

  test('a machine that gets slower on the way: no alarm', () => {
    expect(verdicts({ drift: 2_000 }).filter((verdict) => verdict === 'different')).toEqual([])
  })

  test('150 µs are found in nearly every series', () => {
    const found = verdicts({ shift: 150 }).filter((verdict) => verdict === 'different')
    expect(found.length).toBeGreaterThan(8)
  })

  test('15 µs are below what anybody sees over a network', () => {
    expect(verdicts({ shift: 15 }).filter((verdict) => verdict === 'different')).toEqual([])
  })

  test('a control that differs from itself says that nothing can be told', () => {
    const noisy = verdicts({ bias: 300, shift: 300 }).filter((verdict) => verdict === 'noisy')
    expect(noisy.length).toBe(SEEDS.length)
  })

  test('the stated bound holds the true difference', () => {
    for (const seed of SEEDS) {
      expect(measure(seed, { shift: 60 }).largestUs).toBeGreaterThan(30)
    }
  })
})

describe('its parts', () => {
  test('the mean of the middle half does not see pauses', () => {
    expect(trimmedMean([1, 2, 3, 4, 5, 6, 7, 1_000_000])).toBe(4.5)
  })

  test('a p of nothing is large, and of a shift small', () => {
    const random = seededRandom(7)
    const noise = Array.from({ length: 100 }, () => random() - 0.5)
    expect(flipTest(noise, random)).toBeGreaterThan(0.01)
    expect(
      flipTest(
        noise.map((value) => value + 0.5),
        random,
      ),
    ).toBeLessThan(0.001)
  })
})
