import { compareSeries, type SeriesComparison } from './statistics.ts'
import { fail, pass, unclear, type Verdict } from './verdict.ts'
import type { World } from './world.ts'

/** The first requests open connections and warm caches: they are not counted. */
const WARM_UP = 10

export interface TimedArm {
  readonly name: string
  send(): Promise<void>
}

/**
 * Measures two kinds of request in one series, the first of them twice: the difference between its two
 * halves (A/A) is what this machine and this network make of nothing, and sets the floor.
 *
 * @returns pass where no difference above the floor was found
 * @throws CaseEnd `fail`, `inconclusive`
 */
export async function compareTimes(
  world: World,
  arms: { readonly one: TimedArm; readonly other: TimedArm },
): Promise<Verdict> {
  const { one, other } = arms
  const order = [one, one, other]
  for (let done = 0; done < WARM_UP; done++) for (const arm of order) await arm.send()
  const series: [number[], number[], number[]] = [[], [], []]
  for (let done = 0; done < world.limits.samples; done++) {
    for (const index of shuffled(world)) {
      const arm = order[index] as TimedArm
      const startedAt = world.microseconds()
      await arm.send()
      series[index]?.push(world.microseconds() - startedAt)
    }
  }
  return judgeTimes(compareSeries(series[0], series[1], series[2], world.random), arms)
}

function shuffled(world: World): readonly number[] {
  return [0, 1, 2]
    .map((index) => ({ index, at: world.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ index }) => index)
}

/** Judges a comparison, in words that say how sure it is. */
export function judgeTimes(
  comparison: SeriesComparison,
  arms: { readonly one: { readonly name: string }; readonly other: { readonly name: string } },
): Verdict {
  const { samples, shiftUs, largestUs, floorUs, p, verdict } = comparison
  const round = (us: number) => Math.round(us * 10) / 10
  const method = `${samples} interleaved samples an arm, A/A floor ${round(floorUs)} µs`
  switch (verdict) {
    case 'noisy':
      return unclear(
        `The control differed from itself (${method}): the machine is too busy to tell.`,
      )
    case 'different':
      return fail(
        `The answer to ${arms.other.name} takes ${round(shiftUs)} µs ${shiftUs > 0 ? 'longer' : 'less'} than to ${arms.one.name} (p = ${p.toExponential(1)}; ${method}).`,
      )
    case 'same':
      return pass(
        `No difference larger than ${round(largestUs)} µs found, with a confidence of 99 % (${method}).`,
      )
  }
}
