import { formatCounted } from '../../../core/counts.ts'
import { type Content, html, type Markup } from '../../../core/html.ts'
import { formatDuration } from '../../../core/moments.ts'
import type { DrillReport, ReportResult } from './model.ts'

/** The drawing's own coordinates; the page shrinks it, and shows a list where it would be too small. */
const WIDTH = 960
const LABEL_WIDTH = 196
/** The mark of a failed step needs as much beside its bar. */
const RIGHT = 22
const ROW = 26
const BAR = 14
const TOP = 84
/** Without marks no lane is needed above the bars. */
const TOP_BARE = 24
/** A step that took no time is drawn at least this wide, or nobody sees it. */
const BAR_WIDTH_MIN = 4
const TICKS_MAX = 6
const STEPS_MS = [
  50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 3_600_000,
]
/** Lanes of the words of marks, so that two that are near do not lie on each other. */
const LANE = 17
const LANES = 3
const LETTER = 6.6

interface Mark {
  readonly ms: number
  readonly label: string
  readonly tone: 'dead' | 'known' | 'back'
}

/**
 * Draws a drill over time: a bar a step, the window in which the connection was dead, and the moments
 * that count: revoked, noticed, told, well again. On a narrow screen they are a list.
 */
export function timelineChart(report: DrillReport): Markup | null {
  const steps = inTime(report).filter(({ verdict }) => verdict !== 'skipped')
  const startMs = Date.parse(report.startedAt)
  const last = steps.at(-1)
  if (last === undefined || Number.isNaN(startMs)) return null
  const endMs = Math.max(...steps.map((one) => Date.parse(one.startedAt) + one.tookMs))
  const span = Math.max(100, endMs - startMs)
  const x = (ms: number) => LABEL_WIDTH + (ms / span) * (WIDTH - LABEL_WIDTH - RIGHT)
  const marks = marksOf(report, startMs)
  const top = marks.length === 0 ? TOP_BARE : TOP
  const height = top + steps.length * ROW + 30
  const [revoked, back] = [
    marks.find(({ tone }) => tone === 'dead'),
    marks.find(({ tone }) => tone === 'back'),
  ]
  const window = revoked === undefined ? null : { from: revoked.ms, to: back?.ms ?? span }
  const label = `${stepsAndFaults(report)} over ${formatDuration(span)}${marks.map((mark) => `; ${mark.label}`).join('')}`
  return html`<svg class="timeline" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${label}">
${window === null ? null : html`<rect class="gap" x="${x(window.from).toFixed(1)}" y="${top - 12}" width="${Math.max(1, x(window.to) - x(window.from)).toFixed(1)}" height="${height - top - 12}"/>`}
${ticks(span).map((ms) => html`<line class="grid" x1="${x(ms).toFixed(1)}" x2="${x(ms).toFixed(1)}" y1="${top - 12}" y2="${height - 24}"/><text class="tick" x="${x(ms).toFixed(1)}" y="${height - 8}" text-anchor="${ms === 0 ? 'start' : 'middle'}">${ms === 0 ? '0' : formatDuration(ms)}</text>`)}
${drawMarks(marks, x, height)}
${steps.map((one, row) => drawStep(one, { y: top + row * ROW, x, startMs }))}
</svg>
${listOf(steps, marks, startMs)}`
}

/** The same as a list, for a screen on which the drawing would be too small to be read. */
function listOf(steps: readonly Bar[], marks: readonly Mark[], startMs: number): Markup {
  const rows = [
    ...steps.map((step) => ({
      ms: Math.max(0, Date.parse(step.startedAt) - startMs),
      tone: `is-${step.verdict}`,
      text: step.label,
      more: `${step.verdict === 'fail' ? '✗ ' : ''}${formatDuration(step.tookMs)}`,
    })),
    ...marks.map(({ ms, label, tone }) => ({ ms, tone: `mark-${tone}`, text: label, more: '' })),
  ].sort((a, b) => a.ms - b.ms)
  return html`<ol class="moments">
${rows.map(
  ({
    ms,
    tone,
    text,
    more,
  }) => html`<li class="${tone}"><span class="at">${formatDuration(ms)}</span><span>${text}</span><span class="more">${more}</span></li>
`,
)}</ol>`
}

/** Steps and faults as they came one after the other. */
function inTime({ steps, faults }: DrillReport): readonly Bar[] {
  const bars = [
    ...steps.map((one) => ({ ...one, label: `${one.id}  ${one.name}` })),
    ...faults.map((one) => ({ ...one, label: one.name })),
  ]
  return bars.sort((a, b) => Date.parse(a.startedAt) - Date.parse(b.startedAt))
}

interface Bar extends ReportResult {
  readonly label: string
}

function stepsAndFaults({ steps, faults }: DrillReport): string {
  const counted = [formatCounted(steps.length, 'step')]
  if (faults.length > 0) counted.push(formatCounted(faults.length, 'fault'))
  return counted.join(' and ')
}

function drawStep(
  step: Bar,
  {
    y,
    x,
    startMs,
  }: { readonly y: number; readonly x: (ms: number) => number; readonly startMs: number },
): Markup {
  const from = Math.max(0, Date.parse(step.startedAt) - startMs)
  const width = Math.max(BAR_WIDTH_MIN, x(from + step.tookMs) - x(from))
  const left = Math.min(x(from), WIDTH - RIGHT - width)
  const title = `${step.name}: ${step.why} (${formatDuration(step.tookMs)})`
  return html`<g class="bar-${step.verdict}"><title>${title}</title><text class="label" x="0" y="${y + BAR - 2}">${cut(step.label)}</text><rect x="${left.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="3"/>${step.verdict === 'fail' ? html`<text class="cross" x="${(left + width + 5).toFixed(1)}" y="${y + BAR - 2}">✗</text>` : null}</g>
`
}

/** What fits beside the bars. */
function cut(label: string): string {
  const max = Math.floor((LABEL_WIDTH - 8) / LETTER)
  return label.length <= max ? label : `${label.slice(0, max - 1)}…`
}

function marksOf({ end, steps, depth }: DrillReport, startMs: number): readonly Mark[] {
  const revoke = steps.find(({ id }) => id === '3')
  const at = (revoke?.evidence as { at?: number } | undefined)?.at
  if (at === undefined || end === null) return []
  const { detectMs, notifyMs, recoverMs } = end.numbers
  const t0 = Math.max(0, at - startMs)
  const after = (ms: number | null, word: string, tone: Mark['tone']): readonly Mark[] =>
    ms === null ? [] : [{ ms: t0 + ms, label: `${word} +${formatDuration(ms)}`, tone }]
  return [
    { ms: t0, label: 'revoked', tone: 'dead' },
    ...(depth === 'access' ? [] : after(detectMs, 'noticed', 'known')),
    ...after(notifyMs, 'told', 'known'),
    ...after(recoverMs, 'well again', 'back'),
  ]
}

function drawMarks(
  marks: readonly Mark[],
  x: (ms: number) => number,
  height: number,
): readonly Content[] {
  const taken = new Array<number>(LANES).fill(Number.NEGATIVE_INFINITY)
  return marks.map(({ ms, label, tone }) => {
    const at = x(ms)
    const width = label.length * LETTER + 10
    const flips = at + width > WIDTH
    const left = flips ? at - width : at
    const free = taken.findIndex((end) => end < left)
    const lane = free < 0 ? LANES - 1 : free
    taken[lane] = left + width
    const y = 16 + lane * LANE
    return html`<g class="mark-${tone}"><line x1="${at.toFixed(1)}" x2="${at.toFixed(1)}" y1="${y - 11}" y2="${height - 24}"/><text x="${(flips ? at - 5 : at + 5).toFixed(1)}" y="${y}" text-anchor="${flips ? 'end' : 'start'}">${label}</text></g>
`
  })
}

function ticks(span: number): readonly number[] {
  const step = STEPS_MS.find((size) => span / size <= TICKS_MAX) ?? Math.ceil(span / TICKS_MAX)
  // The last would lie under the edge.
  const count = Math.floor((span * 0.97) / step)
  return Array.from({ length: count + 1 }, (_, index) => index * step)
}
