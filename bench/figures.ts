import { renderTextTable } from '../src/core/text-table.ts'

/** One figure over several rounds, with the target that it must keep, if it has one. */
export interface Figure {
  readonly name: string
  readonly values: readonly number[]
  readonly digits?: number
  readonly target?: { readonly atLeast: number } | { readonly atMost: number }
}

/** The middle of some values; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle) - 1] ?? 0)) / 2
}

/** Says whether the median keeps the target; what has none keeps it. */
export function isKept({ target, values }: Figure): boolean {
  if (target === undefined) return true
  return 'atLeast' in target
    ? median(values) >= target.atLeast
    : Math.max(...values) <= target.atMost
}

/** Writes figures as a table: the median, the spread, and the target. */
export function renderFigures(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const { name, values, digits = 0 } = figure
    const write = (value: number) =>
      value.toLocaleString('en-US', {
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
      })
    const spread = `${write(Math.min(...values))} – ${write(Math.max(...values))}`
    const verdict = figure.target === undefined ? '' : isKept(figure) ? 'kept' : 'MISSED'
    return [name, write(median(values)), spread, targetOf(figure), verdict]
  })
  const columns = [
    { title: '' },
    { title: 'median', align: 'right' },
    { title: 'min – max', align: 'right' },
    { title: 'target', align: 'right' },
    { title: '' },
  ] as const
  return renderTextTable(columns, rows, { columns: 200, indent: 2 })
}

function targetOf({ target }: Figure): string {
  if (target === undefined) return ''
  return 'atLeast' in target ? `≥ ${target.atLeast}` : `≤ ${target.atMost}`
}
