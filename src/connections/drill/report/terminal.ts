import type pc from 'picocolors'
import { formatDuration } from '../../../core/moments.ts'
import { hangWidth, visible } from '../../../core/screen-text.ts'
import type { EvidenceRecord } from '../evidence.ts'
import { type DrillReport, headlineOf, isOver, type NumberRow, numberRows } from './model.ts'

export interface TerminalOptions {
  readonly columns: number
  readonly color: ReturnType<typeof pc.createColors>
}

const MARKS = { pass: '✓', fail: '✗', skipped: '–', passed: '✓', failed: '✗' } as const
const TONES = {
  pass: 'green',
  fail: 'red',
  skipped: 'dim',
  passed: 'green',
  failed: 'red',
} as const

/** Writes one record as it comes; undefined for what a person need not see. */
export function renderRecord(
  record: EvidenceRecord,
  { columns, color }: TerminalOptions,
): string | undefined {
  const { kind, step, name, inject, verdict, why } = record
  const hang = (mark: string, text: string) => hangWidth(mark, visible(text), columns).join('\n')
  switch (kind) {
    case 'guards': {
      const guards = record.guards as unknown as DrillReport['guards']
      return guards
        .map(({ ok, name: guard, said }) =>
          hang(`  ${ok ? color.green('✓') : color.red('✗')} guard  `, `${guard}: ${said}`),
        )
        .join('\n')
    }
    case 'step':
    case 'inject':
    case 'end': {
      const tone = TONES[verdict as keyof typeof TONES]
      const mark = color[tone](MARKS[verdict as keyof typeof MARKS])
      const id = kind === 'inject' ? 'fault' : String(step).padStart(2)
      return hang(`  ${mark} ${id}  `, `${name ?? inject}: ${why}`)
    }
    case 'resumed':
      return hang('    ', 'Gone on with after it died.')
    case 'lost':
      return hang('    ', String(why))
    default:
      return undefined
  }
}

/** Writes the end of a drill: the verdict, its numbers, and where the connection stands if it is not back. */
export function renderDrillEnd(report: DrillReport, { color }: TerminalOptions): string {
  const { end } = report
  const tone = end?.verdict === 'passed' ? color.green : color.red
  const lines = ['', color.bold(tone(headlineOf(report)))]
  for (const row of numberRows(report)) {
    const value = numberText(row)
    const tone = isOver(row) ? color.red : String
    if (value !== undefined) lines.push(`  ${row.name.padEnd(22)}${tone(value)}`)
  }
  if (end?.appliedBy) lines.push(`  ${'New grant applied by'.padEnd(22)}${end.appliedBy}`)
  // Not broken into lines: the command in it is pasted.
  if (end?.stands) lines.push('', color.yellow(visible(end.stands)))
  return lines.join('\n')
}

/** Writes a number of a drill with what is allowed; undefined where there is none. */
export function numberText({ ms, limitMs, count, isJudged }: NumberRow): string | undefined {
  if (isJudged === false) return 'not judged'
  if (count !== undefined) return count === null ? undefined : String(count)
  if (ms === null || ms === undefined) return undefined
  const allowed = limitMs === undefined ? '' : `  (at most ${formatDuration(limitMs)})`
  return `${formatDuration(ms)}${allowed}`
}
