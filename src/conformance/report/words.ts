import type { Level } from '../case.ts'
import {
  type CaseResult,
  type ConformanceReport,
  isDecided,
  showsNothing,
  undecidedMusts,
} from '../conformance.ts'
import type { VerdictName } from '../verdict.ts'

/** A verdict in a word. */
export const VERDICT_WORDS: Readonly<Record<VerdictName, string>> = {
  pass: 'pass',
  fail: 'FAIL',
  deviation: 'choice',
  skipped: 'skipped',
  inconclusive: 'unclear',
}

/** A verdict, as it is counted. */
export const VERDICT_NOUNS: Readonly<Record<VerdictName, string>> = {
  pass: 'passed',
  fail: 'failed',
  deviation: 'a choice that is allowed',
  skipped: 'not tested',
  inconclusive: 'unclear',
}

export const LEVEL_WORDS: Readonly<Record<Level, string>> = {
  must: 'must',
  should: 'should',
  may: 'may',
  hardening: 'hardening',
  choice: 'choice',
}

const LEVEL_ORDER: Readonly<Record<Level, number>> = {
  must: 0,
  should: 1,
  hardening: 2,
  may: 3,
  choice: 4,
}

/** The failures of a report, the gravest first. */
export function failuresOf(report: ConformanceReport): readonly CaseResult[] {
  return report.results
    .filter(({ verdict }) => verdict === 'fail')
    .toSorted((a, b) => LEVEL_ORDER[a.level] - LEVEL_ORDER[b.level])
}

/** Says in a sentence what a report comes to: what failed, and how many musts are still open. */
export function headlineOf(report: ConformanceReport): string {
  const open = undecidedMusts(report).length
  if (showsNothing(report)) {
    return `Nothing was decided: ${cases(report.totals.inconclusive)} unclear, ${musts(open)} among them`
  }
  if (open === 0) return failuresIn(report)
  return `${failuresIn(report)}; ${musts(open)} could not be decided`
}

function failuresIn(report: ConformanceReport): string {
  const decided = report.results.filter(isDecided).length
  const failures = failuresOf(report)
  const of = (level: Level) => failures.filter((result) => result.level === level).length
  if (decided === 0) return 'Nothing was tested'
  if (failures.length === 0) return `${cases(decided)} tested, and none failed`
  const parts = (['must', 'should', 'hardening', 'may', 'choice'] as const)
    .map((level) => ({ level, count: of(level) }))
    .filter(({ count }) => count > 0)
    .map(({ level, count }) => `${count} ${LEVEL_WORDS[level]}`)
  return `${failures.length} of ${cases(decided)} failed: ${parts.join(', ')}`
}

const cases = (count: number): string => `${count} ${count === 1 ? 'case' : 'cases'}`
const musts = (count: number): string => `${count} ${count === 1 ? 'must' : 'musts'}`

/** Says which musts could not be decided and why, a sentence a reason; undefined where all were. */
export function undecidedSentence(report: ConformanceReport): string | undefined {
  const byReason = Map.groupBy(undecidedMusts(report), ({ what }) => what)
  if (byReason.size === 0) return undefined
  const parts = [...byReason].map(([why, results]) => {
    const ids = results.map(({ id }) => id).join(', ')
    return `${results.length === 1 ? 'case' : 'cases'} ${ids}: ${why}`
  })
  return `Not decided: ${parts.join(' ')}`
}

/** Says why a run ended early, or undefined. */
export function stopSentence(report: ConformanceReport): string | undefined {
  switch (report.stopped) {
    case 'signal':
      return 'The run was stopped: the cases after that are not tested.'
    case 'unreachable':
      return 'The server could no longer be reached: the cases after that are not tested.'
    case null:
      return undefined
  }
}

/** The results by their group, in order. */
export function byGroup(
  report: ConformanceReport,
): readonly (readonly [string, readonly CaseResult[]])[] {
  return [...Map.groupBy(report.results, ({ group }) => group)]
}

/** Cites as people do: "RFC 7009 §2.1". */
export function citesOf({ cites }: CaseResult): string {
  return cites.map(({ spec, section }) => `${spec} §${section}`).join(', ')
}

/** The sentence of a result with its notes. */
export function wordsOf({ what, notes }: CaseResult): string {
  return [what, ...notes].filter((part) => part !== '').join(' ')
}
