import { formatCount } from '../../core/counts.ts'
import { OUTCOMES } from '../../core/outcome.ts'
import { PROOFS } from '../../core/proof.ts'
import type { ReportModel, Tally } from './model.ts'

/** One sum that must come out, with what it came to. */
export interface TotalCheck {
  readonly what: string
  /** The sum as it is written: `11,812 dead + 3 alive + 5 unknown`. */
  readonly sum: string
  readonly total: number
  readonly of: string
  readonly expected: number
  readonly holds: boolean
}

/** Adds up everything that a report counts twice, so that a reader can see that it agrees. */
export function checkTotals(model: ReportModel): readonly TotalCheck[] {
  const { summary } = model
  const checks = [
    check('Policy', 'tokens in the inventory', model.before.tokens, [
      [model.chosen, 'chosen'],
      [model.spared, 'spared'],
      [model.undecided, 'undecided'],
      [model.untouched, 'untouched'],
    ]),
    check('Verdicts', 'planned', summary.planned, [
      [summary.dead, 'dead'],
      [summary.alive, 'alive'],
      [summary.unknown, 'unknown'],
    ]),
    check('Outcomes', 'planned', summary.planned, [
      ...OUTCOMES.map((outcome) => [summary.outcomes[outcome], outcome] as const),
      [summary.unsent, 'unsent'],
    ]),
    check(
      'Proofs',
      'planned',
      summary.planned,
      PROOFS.map((proof) => [summary.proof[proof], proof]),
    ),
    check('By app', 'planned', summary.planned, tallyParts(model.apps)),
    check('By user', 'planned', summary.planned, tallyParts(model.users)),
  ]
  return checks
}

type Part = readonly [count: number, name: string]

function check(what: string, of: string, expected: number, parts: readonly Part[]): TotalCheck {
  const total = parts.reduce((sum, [count]) => sum + count, 0)
  const written = parts.filter(([count]) => count > 0)
  const sum = (written.length === 0 ? parts.slice(0, 1) : written)
    .map(([count, name]) => `${formatCount(count)} ${name}`)
    .join(' + ')
  return { what, sum, total, of, expected, holds: total === expected }
}

function tallyParts(tallies: readonly Tally[]): readonly Part[] {
  const all = sumTallies(tallies)
  return [
    [all.dead, 'dead'],
    [all.alive, 'alive'],
    [all.unknown, 'unknown'],
  ]
}

/** Adds tallies up. */
export function sumTallies(tallies: readonly Tally[]): Tally {
  const sum = { planned: 0, dead: 0, alive: 0, unknown: 0 }
  for (const tally of tallies) {
    sum.planned += tally.planned
    sum.dead += tally.dead
    sum.alive += tally.alive
    sum.unknown += tally.unknown
  }
  return sum
}

/**
 * Orders tallies for a reader: those with tokens alive first, then those with tokens unknown, then
 * the largest; equals by name, so that two reports of one run are alike.
 */
export function survivorsFirst<T extends Tally>(
  tallies: readonly T[],
  nameOf: (tally: T) => string,
): readonly T[] {
  return tallies.toSorted(
    (a, b) =>
      b.alive - a.alive ||
      b.unknown - a.unknown ||
      b.planned - a.planned ||
      compareText(nameOf(a), nameOf(b)),
  )
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
