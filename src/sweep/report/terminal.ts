import type pc from 'picocolors'
import { formatCount, formatCounted } from '../../core/counts.ts'
import { formatDuration, formatMoment } from '../../core/moments.ts'
import { describeProof, isDead, PROOFS, type Proof } from '../../core/proof.ts'
import { displayWidth, hangWidth, padWidth, shownName, visible } from '../../core/screen-text.ts'
import { renderTextTable, type TextColumn } from '../../core/text-table.ts'
import type { AppTally, LeftForAPerson, ReportModel, Tally } from './model.ts'
import { sumTallies, survivorsFirst } from './totals.ts'
import { judgeRun, type Tone } from './verdict.ts'

/** Apps in the table; a screen has 24 lines or a few more, and the HTML report has them all. */
const APPS_MAX = 10
/** Entries of what is left for a person, for the same reason. */
const LEFT_MAX = 8
/** Lines longer than this are hard to read, whatever the screen. */
const COLUMNS_MAX = 110
/** Below this nothing can be laid out; lines may break. */
const COLUMNS_MIN = 40

type Colors = ReturnType<typeof pc.createColors>

export interface TerminalOptions {
  readonly columns: number
  readonly color: Colors
  /** Where the report was written, to be named at the end. */
  readonly files?: readonly string[] | undefined
  /** The verdict and the files alone: what else there is to say stands in the files. */
  readonly brief?: boolean | undefined
}

/** Writes a run's summary for a person at a terminal: the verdict first. Ends with a line feed. */
export function renderTerminal(model: ReportModel, options: TerminalOptions): string {
  const columns = Math.max(COLUMNS_MIN, Math.min(COLUMNS_MAX, options.columns))
  const page = { color: options.color, columns }
  const details = () => [
    model.apps.length === 0 ? '' : appBlock(model, page),
    model.summary.planned === 0 ? '' : proofBlock(model, page),
    leftBlock(model.left, page),
  ]
  const blocks = [
    verdictBlock(model, page),
    ...(options.brief === true ? [] : details()),
    filesBlock(options.files ?? [], page),
  ]
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`
}

interface Page {
  readonly columns: number
  readonly color: Colors
}

function verdictBlock(model: ReportModel, { columns, color }: Page): string {
  const verdict = judgeRun(model)
  const paint = paintOf(verdict.tone, color)
  const head = hangWidth(`${signOf(verdict.tone)} `, verdict.headline, columns)
  const facts = [
    `${verdict.judgement}.`,
    `${shownName(model.account.name)}, run ${visible(model.summary.run)}, ${spanOf(model)}.`,
  ].flatMap((line) => hangWidth('  ', line, columns))
  const caveats = verdict.caveats.flatMap((line) => hangWidth('  ! ', visible(line), columns))
  return [
    ...head.map((line) => color.bold(paint(line))),
    ...facts,
    ...caveats.map((line) => color.yellow(line)),
  ].join('\n')
}

function spanOf({ summary }: ReportModel): string {
  const started = `started ${formatMoment(summary.startedAt)}`
  if (summary.finishedAt === null) return started
  const took = Date.parse(summary.finishedAt) - Date.parse(summary.startedAt)
  return `${started}, took ${formatDuration(took)}`
}

function appBlock(model: ReportModel, { columns, color }: Page): string {
  const apps = survivorsFirst(model.apps, (app) => app.label)
  const shown = apps.slice(0, APPS_MAX)
  const rest = apps.slice(APPS_MAX)
  const rows = shown.map((app) => appRow(shownName(app.label), app, app.cameBack))
  if (rest.length > 0) {
    rows.push(appRow(formatCounted(rest.length, 'more app'), sumTallies(rest), sumBack(rest)))
  }
  if (apps.length > 1) rows.push(appRow('all', sumTallies(apps), sumBack(apps)))
  const paintTitle = color.dim
  return renderTextTable(appColumns(rows, color), rows, { columns, indent: 2, paintTitle })
}

function appColumns(rows: readonly (readonly string[])[], color: Colors): readonly TextColumn[] {
  const mark = (paint: (text: string) => string) => (cell: string) =>
    cell.trim() === '–' ? color.dim(cell) : paint(cell)
  const count = (title: string, paint: (text: string) => string): TextColumn => ({
    title,
    align: 'right',
    paint: mark(paint),
  })
  const all = [
    { title: 'app', elastic: true } satisfies TextColumn,
    count('planned', String),
    count('dead', color.green),
    count('alive', color.red),
    count('unknown', color.yellow),
    count('came back', color.yellow),
  ]
  return rows.every((row) => row[5] === '–') ? all.slice(0, 5) : all
}

function appRow(name: string, tally: Tally, cameBack: number): readonly string[] {
  return [name, formatCount(tally.planned)].concat(
    [tally.dead, tally.alive, tally.unknown, cameBack].map((n) => (n === 0 ? '–' : formatCount(n))),
  )
}

function sumBack(apps: readonly AppTally[]): number {
  return apps.reduce((sum, app) => sum + app.cameBack, 0)
}

function proofBlock({ summary }: ReportModel, { columns, color }: Page): string {
  const nameWidth = Math.max(...PROOFS.map((proof) => displayWidth(proof)))
  const countWidth = Math.max(...PROOFS.map((proof) => formatCount(summary.proof[proof]).length))
  const rung = (proof: Proof): readonly string[] => {
    const count = summary.proof[proof]
    const name = padWidth(proof, nameWidth)
    const mark = `  ${name}  ${padWidth(formatCount(count), countWidth, 'right')}  `
    const lines = hangWidth(mark, describeProof(proof), columns)
    if (count === 0) return lines.map(color.dim)
    return isDead(proof) ? lines.map(color.green) : lines
  }
  const fromTop = PROOFS.toReversed()
  return [
    color.bold('How it is known'),
    ...fromTop.filter(isDead).flatMap(rung),
    color.dim(`  ${'╌'.repeat(nameWidth + countWidth + 2)}  proven dead above this line`),
    ...fromTop.filter((proof) => !isDead(proof)).flatMap(rung),
  ].join('\n')
}

function leftBlock(left: readonly LeftForAPerson[], { columns, color }: Page): string {
  if (left.length === 0) return ''
  const items = left.slice(0, LEFT_MAX).flatMap((item, index) => {
    const first = `  ${index + 1}. `
    const indent = ' '.repeat(first.length)
    const head = `${visible(item.what)} (${formatCount(item.count)})`
    return [
      ...hangWidth(first, head, columns),
      ...hangWidth(indent, visible(item.why), columns).map((line) => color.dim(line)),
      ...hangWidth(`${indent}→ `, visible(item.todo), columns),
    ]
  })
  if (left.length > LEFT_MAX) {
    items.push(color.dim(`  and ${formatCount(left.length - LEFT_MAX)} more in the report`))
  }
  return [color.bold('Left for a person'), ...items].join('\n')
}

function filesBlock(files: readonly string[], { color }: Page): string {
  if (files.length === 0) return ''
  return files.map((file) => `${color.bold('Report')}  ${visible(file)}`).join('\n')
}

function signOf(tone: Tone): string {
  switch (tone) {
    case 'good':
      return '✓'
    case 'open':
      return '?'
    case 'bad':
      return '✗'
    case 'neutral':
      return '–'
  }
}

function paintOf(tone: Tone, color: Colors): (text: string) => string {
  switch (tone) {
    case 'good':
      return color.green
    case 'open':
      return color.yellow
    case 'bad':
      return color.red
    case 'neutral':
      return String
  }
}
