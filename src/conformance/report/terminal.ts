import type pc from 'picocolors'
import { hangWidth, visible } from '../../core/screen-text.ts'
import type { CaseResult, ConformanceReport } from '../conformance.ts'
import { VERDICTS, type VerdictName } from '../verdict.ts'
import {
  byGroup,
  citesOf,
  failuresOf,
  headlineOf,
  LEVEL_WORDS,
  stopSentence,
  undecidedSentence,
  VERDICT_NOUNS,
  VERDICT_WORDS,
  wordsOf,
} from './words.ts'

/** Of a failure, the last exchanges show it; the others are in the JSON and the HTML. */
const EXCHANGES_SHOWN = 2
/** Lines of one request or answer on a screen. */
const LINES_SHOWN = 14

export interface TerminalOptions {
  readonly columns: number
  readonly color: ReturnType<typeof pc.createColors>
}

/** Writes a report for a terminal: failures first, with what shows them, then each group. */
export function renderConformanceTerminal(
  report: ConformanceReport,
  options: TerminalOptions,
): string {
  const { color } = options
  const lines = [color.bold(headlineOf(report)), ...totals(report), '']
  const stopped = stopSentence(report)
  if (stopped) lines.push(color.yellow(stopped), '')
  const undecided = undecidedSentence(report)
  if (undecided) lines.push(...hangWidth('', color.yellow(visible(undecided)), options.columns), '')
  for (const result of failuresOf(report)) lines.push(...failure(result, options), '')
  for (const [group, results] of byGroup(report)) {
    lines.push(color.bold(group))
    for (const result of results) lines.push(...line(result, options))
    lines.push('')
  }
  return lines.join('\n')
}

function totals(report: ConformanceReport): readonly string[] {
  const counts = VERDICTS.filter((name) => report.totals[name] > 0).map(
    (name) => `${report.totals[name]} ${VERDICT_NOUNS[name]}`,
  )
  const { issuer, revocation } = report.target
  return [
    `${issuer ?? revocation ?? ''}: of ${report.results.length} ${report.results.length === 1 ? 'case' : 'cases'} ${counts.join(', ')}.`,
    `${report.requests} ${report.requests === 1 ? 'request' : 'requests'}; races ${report.races} times, ${report.samples} samples a time.`,
  ]
}

function failure(result: CaseResult, { columns, color }: TerminalOptions): readonly string[] {
  const mark = `${VERDICT_WORDS.fail} ${result.id}  `
  const shown = result.evidence.slice(-EXCHANGES_SHOWN)
  return [
    ...hangWidth(
      color.red(mark),
      `${result.title} (${LEVEL_WORDS[result.level]}, ${citesOf(result)})`,
      columns,
    ),
    ...hangWidth('  ', visible(wordsOf(result)), columns),
    ...shown.flatMap(({ request, answer }) => [
      ...exchange('  > ', request, color.dim),
      ...exchange('  < ', answer, color.dim),
    ]),
  ]
}

function exchange(mark: string, text: string, dim: (text: string) => string): readonly string[] {
  const lines = text.split('\n')
  const cut = lines.slice(0, LINES_SHOWN).map((line) => dim(`${mark}${line}`.trimEnd()))
  return lines.length > LINES_SHOWN ? [...cut, dim(`${mark}…`)] : cut
}

function line(result: CaseResult, { columns, color }: TerminalOptions): readonly string[] {
  const word = VERDICT_WORDS[result.verdict].padEnd(8)
  const mark = `  ${String(result.id).padStart(3)}  ${paint(result.verdict, color)(word)}`
  const words = visible(wordsOf(result))
  const said = result.verdict === 'pass' || words === '' ? '' : color.dim(` ${words}`)
  return hangWidth(mark, `${result.title}${said === '' ? '' : '.'}${said}`, columns)
}

function paint(verdict: VerdictName, color: TerminalOptions['color']): (text: string) => string {
  switch (verdict) {
    case 'pass':
      return color.green
    case 'fail':
      return color.red
    case 'inconclusive':
      return color.yellow
    case 'deviation':
      return color.cyan
    case 'skipped':
      return color.dim
  }
}
