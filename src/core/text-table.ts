import { displayWidth, fitWidth, padWidth } from './screen-text.ts'

/** Spaces between two columns. */
const GAP = 2
/** A cut column keeps at least this much, or nobody can tell its cells apart. */
const COLUMN_WIDTH_MIN = 6

export interface TextColumn {
  readonly title: string
  readonly align?: 'left' | 'right' | undefined
  /** May be cut when the screen is narrow. The rest keeps its full width. */
  readonly elastic?: boolean | undefined
  /** Colours a cell after it was measured and padded. */
  readonly paint?: ((cell: string, row: number) => string) | undefined
}

export interface TextTableOptions {
  /** The width of the screen. */
  readonly columns: number
  readonly indent?: number | undefined
  /** Colours the line of titles. */
  readonly paintTitle?: ((title: string) => string) | undefined
}

/**
 * Lays rows out for a terminal: one line a row, cells cut where the screen ends. Cells hold no
 * colours and no controls; `paint` adds colours.
 */
export function renderTextTable(
  columns: readonly TextColumn[],
  rows: readonly (readonly string[])[],
  options: TextTableOptions,
): string {
  const widths = fitColumns(columns, rows, options.columns - (options.indent ?? 0))
  const indent = ' '.repeat(options.indent ?? 0)
  const titles = columns.map((column, index) => {
    const cell = alignCell(column, column.title, widths[index] ?? 0)
    return options.paintTitle === undefined ? cell : options.paintTitle(cell)
  })
  const lines = rows.map((row, at) =>
    columns.map((column, index) => {
      const cell = alignCell(column, row[index] ?? '', widths[index] ?? 0)
      return column.paint === undefined ? cell : column.paint(cell, at)
    }),
  )
  return [titles, ...lines]
    .map((cells) => `${indent}${cells.join(' '.repeat(GAP))}`.trimEnd())
    .join('\n')
}

function fitColumns(
  columns: readonly TextColumn[],
  rows: readonly (readonly string[])[],
  room: number,
): readonly number[] {
  const widths = columns.map((column, index) =>
    rows.reduce(
      (widest, row) => Math.max(widest, displayWidth(row[index] ?? '')),
      displayWidth(column.title),
    ),
  )
  let over = widths.reduce((sum, width) => sum + width, 0) + GAP * (columns.length - 1) - room
  while (over > 0) {
    const widest = widestElastic(columns, widths)
    if (widest === -1) break
    widths[widest] = (widths[widest] ?? 0) - 1
    over -= 1
  }
  return widths
}

function widestElastic(columns: readonly TextColumn[], widths: readonly number[]): number {
  let widest = -1
  for (const [index, column] of columns.entries()) {
    const width = widths[index] ?? 0
    if (column.elastic !== true || width <= COLUMN_WIDTH_MIN) continue
    if (widest === -1 || width > (widths[widest] ?? 0)) widest = index
  }
  return widest
}

function alignCell(column: TextColumn, cell: string, width: number): string {
  return padWidth(fitWidth(cell, width), width, column.align ?? 'left')
}
