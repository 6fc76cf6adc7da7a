import type { Random } from '../core/clock.ts'

/** Sign flips of the permutation test: its smallest p is one in so many. */
const FLIPS = 5_000
/** Draws of the bootstrap: ten of them lie beyond each end of the interval. */
const DRAWS = 2_000
/** Cut from each end before the mean: a scheduler's pauses are no property of the answer. */
const TRIM = 0.25
/** A false alarm may happen once in a thousand runs, before the control is asked too. */
const P_ALARM = 0.001
/** Each half of the series must show it on its own. */
const P_HALF = 0.02
/** The control must not differ from itself more than chance does one time in a hundred. */
const P_CONTROL = 0.01
/** The shift must be this many times what the control shows of nothing. */
const FLOOR_FACTOR = 2
/** Nobody over a network sees less. */
const SHIFT_US_MIN = 20
/** The interval of a stated confidence of 99 %. */
const TAIL = 0.005

/** How two kinds of request compare, against a control of the first with itself. All in microseconds. */
export interface SeriesComparison {
  readonly samples: number
  /** The trimmed mean of the paired differences. */
  readonly shiftUs: number
  /** The largest difference that the samples allow, with 99 % confidence. */
  readonly largestUs: number
  /** The same for the control, where there is none: what this measurement cannot see. */
  readonly floorUs: number
  /** The chance of such a shift where there is none: two-sided, by sign flips. */
  readonly p: number
  /** `noisy`: the control differs from itself. */
  readonly verdict: 'same' | 'different' | 'noisy'
}

/**
 * Compares series that were measured in turns: the difference within each turn is what counts, so
 * that a machine that gets slower on the way changes nothing. `different` takes all of: a p below one
 * in a thousand, the same sign in both halves, and a shift of twice the control's floor.
 *
 * @param control one of two series of the same kind
 * @param base the other
 * @param other the kind that may differ
 */
export function compareSeries(
  control: readonly number[],
  base: readonly number[],
  other: readonly number[],
  random: Random,
): SeriesComparison {
  const turns = other.map((_, turn) => turn)
  const at = (series: readonly number[], turn: number) => series[turn] ?? 0
  const nothing = turns.map((turn) => at(control, turn) - at(base, turn))
  const shift = turns.map((turn) => at(other, turn) - (at(control, turn) + at(base, turn)) / 2)
  const floorUs = largest(nothing, random)
  const half = Math.floor(shift.length / 2)
  const p = flipTest(shift, random)
  const shiftUs = trimmedMean(shift)
  const comparison = {
    samples: other.length,
    shiftUs,
    largestUs: largest(shift, random),
    floorUs,
    p,
  }
  if (flipTest(nothing, random) < P_CONTROL) return { ...comparison, verdict: 'noisy' }
  const halves = [shift.slice(0, half), shift.slice(half)]
  const different =
    p < P_ALARM &&
    Math.abs(shiftUs) > Math.max(FLOOR_FACTOR * floorUs, SHIFT_US_MIN) &&
    halves.every(
      (part) =>
        Math.sign(trimmedMean(part)) === Math.sign(shiftUs) && flipTest(part, random) < P_HALF,
    )
  return { ...comparison, verdict: different ? 'different' : 'same' }
}

/** Returns the mean of the middle half. */
export function trimmedMean(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort()
  const cut = Math.floor(sorted.length * TRIM)
  const middle = sorted.subarray(cut, sorted.length - cut)
  return middle.reduce((sum, value) => sum + value, 0) / Math.max(1, middle.length)
}

/**
 * Returns the two-sided p of a permutation test: where there is no shift, each difference could as
 * well have had the other sign. Differences are clipped first, so that pauses do not decide.
 */
export function flipTest(differences: readonly number[], random: Random): number {
  const limit = quantile(differences.map(Math.abs), 0.9)
  const clipped = differences.map((value) => Math.max(-limit, Math.min(limit, value)))
  const seen = Math.abs(clipped.reduce((sum, value) => sum + value, 0))
  let asLarge = 1
  for (let flip = 0; flip < FLIPS; flip++) {
    let sum = 0
    for (const value of clipped) sum += random() < 0.5 ? value : -value
    if (Math.abs(sum) >= seen) asLarge += 1
  }
  return asLarge / (FLIPS + 1)
}

function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

/** The end of the bootstrap interval of the trimmed mean that is farther from nothing. */
function largest(differences: readonly number[], random: Random): number {
  const means: number[] = []
  const sample = new Array<number>(differences.length)
  for (let draw = 0; draw < DRAWS; draw++) {
    for (let index = 0; index < sample.length; index++) {
      sample[index] = differences[Math.floor(random() * differences.length)] ?? 0
    }
    means.push(trimmedMean(sample))
  }
  return Math.max(Math.abs(quantile(means, TAIL)), Math.abs(quantile(means, 1 - TAIL)))
}
