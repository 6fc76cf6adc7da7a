import { formatCount } from '../../core/counts.ts'
import { type Content, html, type Markup } from '../../core/html.ts'
import { formatDuration, formatMoment } from '../../core/moments.ts'
import type { ReportModel, Tally } from './model.ts'

/** A part of a bar that is not zero is drawn at least this wide, in percent, or nobody sees it. */
const PART_WIDTH_MIN = 0.7
/** Gap between two parts of a bar, in percent. */
const PART_GAP = 0.15
/** Marks on the axis of time. */
const TICKS_MAX = 5
/** The curve's own coordinates; the page stretches them. */
const PLOT_WIDTH = 1000
const PLOT_HEIGHT = 300

const VERDICTS = ['dead', 'alive', 'unknown'] as const

/**
 * The fills of the three verdicts. Each has its own pattern, so that they can be told apart
 * without colour and in a black and white print. Goes on the page once.
 */
export function patternDefinitions(): Markup {
  return html`<svg class="defs" width="0" height="0" aria-hidden="true" focusable="false"><defs>
<pattern id="fill-alive" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" class="fill-alive"/><rect width="2" height="6" class="fill-gap"/></pattern>
<pattern id="fill-unknown" width="5" height="5" patternUnits="userSpaceOnUse"><rect width="5" height="5" class="fill-unknown"/><circle cx="2.5" cy="2.5" r="1.2" class="fill-gap"/></pattern>
</defs></svg>`
}

/** Draws the three verdicts as parts of one bar; the label says it in words. */
export function verdictBar(tally: Tally, height: number): Markup {
  const label = VERDICTS.map((verdict) => `${formatCount(tally[verdict])} ${verdict}`).join(', ')
  return html`<svg class="bar" width="100%" height="${height}" role="img" aria-label="${`Of ${formatCount(tally.planned)} planned: ${label}`}">${stackedParts(tally, 100, height)}</svg>`
}

/** Draws a row's bar, as long as its share of the longest. The row's cells say the same in numbers. */
export function tallyBar(tally: Tally, longest: number): Markup {
  const width = longest === 0 ? 0 : Math.max(PART_WIDTH_MIN, (tally.planned / longest) * 100)
  return html`<svg class="bar" width="100%" height="8" aria-hidden="true" focusable="false">${stackedParts(tally, width, 8)}</svg>`
}

function stackedParts(tally: Tally, width: number, height: number): Content {
  const present = VERDICTS.filter((verdict) => tally[verdict] > 0)
  const whole = present.reduce((sum, verdict) => sum + tally[verdict], 0)
  const wanted = present.map((v) => Math.max(PART_WIDTH_MIN, (tally[v] / whole) * width))
  const scale = width / wanted.reduce((sum, part) => sum + part, 0)
  let x = 0
  return present.map((verdict, index) => {
    const part = (wanted[index] ?? 0) * scale
    const drawn = index === present.length - 1 ? part : Math.max(part / 2, part - PART_GAP)
    const rect = html`<rect class="is-${verdict}" x="${x.toFixed(2)}%" width="${drawn.toFixed(2)}%" height="${height}"/>`
    x += part
    return rect
  })
}

/** Draws one plain bar: a count's share of a whole. */
export function shareBar(count: number, whole: number, tone: 'dead' | 'quiet'): Markup {
  const width = count === 0 ? 0 : Math.max(PART_WIDTH_MIN, (count / whole) * 100)
  return html`<svg class="bar" width="100%" height="8" aria-hidden="true" focusable="false"><rect class="bar-track" width="100%" height="8"/><rect class="is-${tone}" width="${width.toFixed(2)}%" height="8"/></svg>`
}

/** A small square of a verdict's fill, for legends. */
export function swatch(verdict: (typeof VERDICTS)[number]): Markup {
  return html`<svg class="swatch" width="12" height="12" aria-hidden="true" focusable="false"><rect class="is-${verdict}" width="12" height="12" rx="2"/></svg>`
}

/**
 * Draws what was answered and what was proven dead up to each moment, as steps: between two looks
 * nothing more is proven, and a slope would claim that it is.
 */
export function timelineChart(model: ReportModel): Markup | null {
  const { timeline } = model
  const first = timeline[0]
  const last = timeline.at(-1)
  if (first === undefined || last === undefined) return null
  const top = Math.max(1, model.summary.planned, last.answered, last.dead)
  const span = Math.max(1000, last.at - first.at)
  const label = `From ${formatMoment(first.at)} to ${formatMoment(last.at)}: ${formatCount(last.answered)} answered, ${formatCount(last.dead)} proven dead, of ${formatCount(model.summary.planned)} planned`
  const curve = (of: 'answered' | 'dead') => stepPath(timeline, of, { start: first.at, span, top })
  return html`<figure class="plot">
<div class="plot-y" aria-hidden="true"><span>${formatCount(top)}</span><span>${formatCount(Math.round(top / 2))}</span><span>0</span></div>
<svg class="plot-area" viewBox="0 0 ${PLOT_WIDTH} ${PLOT_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${label}">
<path class="grid" d="M0 0H${PLOT_WIDTH}M0 ${PLOT_HEIGHT / 2}H${PLOT_WIDTH}"/>
<path class="grid" d="${ticksOf(span)
    .map((ms) => `M${((ms / span) * PLOT_WIDTH).toFixed(1)} 0V${PLOT_HEIGHT}`)
    .join('')}"/>
<path class="area-dead" d="${curve('dead')}V${PLOT_HEIGHT}H0Z"/>
<path class="line-answered" d="${curve('answered')}"/>
<path class="line-dead" d="${curve('dead')}"/>
<path class="axis" d="M0 ${PLOT_HEIGHT}H${PLOT_WIDTH}"/></svg>
<div class="plot-x" aria-hidden="true">${ticksOf(span).map((ms) => html`<span style="left:${((ms / span) * 100).toFixed(2)}%">${ms === 0 ? '0' : formatDuration(ms)}</span>`)}</div>
</figure>`
}

interface Scale {
  readonly start: number
  readonly span: number
  readonly top: number
}

function stepPath(
  timeline: ReportModel['timeline'],
  of: 'answered' | 'dead',
  { start, span, top }: Scale,
): string {
  const y = (count: number) => (PLOT_HEIGHT * (1 - count / top)).toFixed(1)
  const x = (at: number) => ((PLOT_WIDTH * (at - start)) / span).toFixed(1)
  return `M0 ${PLOT_HEIGHT}${timeline.map((p) => `H${x(p.at)}V${y(p[of])}`).join('')}H${PLOT_WIDTH}`
}

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const STEPS = [
  ...[0.2, 0.5, 1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14, 28].map((n) => n * DAY),
]

/** Returns round moments from 0 to `span`, in milliseconds, few enough to be read. */
export function ticksOf(span: number): readonly number[] {
  const step = STEPS.find((size) => span / size <= TICKS_MAX) ?? Math.ceil(span / TICKS_MAX)
  return Array.from({ length: Math.floor(span / step) + 1 }, (_, index) => index * step)
}

/** Draws when the half, nine in ten, and the last of the dead tokens were proven dead. */
export function timeToDeadStrip(time: NonNullable<ReportModel['timeToDeadMs']>): Markup {
  const end = Math.max(1, time.max)
  const at = (ms: number) => `${((ms / end) * 100).toFixed(2)}%`
  const label = `Half within ${formatDuration(time.median)}, nine in ten within ${formatDuration(time.p90)}, the last after ${formatDuration(time.max)}`
  return html`<svg class="strip" width="100%" height="20" role="img" aria-label="${label}"><rect class="strip-max" y="6" width="100%" height="8"/><rect class="strip-p90" y="6" width="${at(time.p90)}" height="8"/><rect class="strip-median" y="6" width="${at(time.median)}" height="8"/>${[time.median, time.p90, time.max].map((ms) => html`<line class="strip-mark" x1="${at(ms)}" x2="${at(ms)}" y1="1" y2="19"/>`)}</svg>`
}
