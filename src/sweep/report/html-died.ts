import { formatCount, formatCounted } from '../../core/counts.ts'
import { type Content, html, type Markup, name } from '../../core/html.ts'
import { formatDuration, formatMoment } from '../../core/moments.ts'
import { swatch, tallyBar, timelineChart, timeToDeadStrip } from './charts.ts'
import type { AppTally, ReportModel, Tally, UserTally } from './model.ts'
import { sumTallies, survivorsFirst } from './totals.ts'

/** Apps that stand open; the rest folds away. */
const APPS_OPEN_MAX = 20
/** Users that are named; the rest is summed up, and stands in the CSV. */
const USERS_MAX = 20

/** Writes what died: by app, by user, over time, and how long it took. */
export function diedSection(model: ReportModel): Markup {
  if (model.summary.planned === 0) {
    return html`<section id="died"><h2>What died</h2><p>Nothing was planned, so nothing was killed.</p></section>`
  }
  return html`<section id="died"><h2>What died</h2>
<ul class="legend">${(['dead', 'alive', 'unknown'] as const).map((v) => html`<li>${swatch(v)}${v === 'dead' ? 'proven dead' : v}</li>`)}</ul>
${appsPart(model.apps)}
${usersPart(model.users)}
${timePart(model)}
</section>`
}

function appsPart(apps: readonly AppTally[]): Markup {
  const sorted = survivorsFirst(apps, (app) => app.label)
  const longest = longestOf(apps)
  const rows = (some: readonly AppTally[]) =>
    some.map((app) => tallyRow(appCell(app), app, longest))
  const rest = sorted.slice(APPS_OPEN_MAX)
  const restRow =
    rest.length === 0
      ? null
      : tallyRow(html`<i>${formatCounted(rest.length, 'more app')}</i>`, sumTallies(rest), 0)
  return html`<h3>By app</h3>
${tallyTable('Planned tokens by app, those with survivors first, then the largest', 'App', [rows(sorted.slice(0, APPS_OPEN_MAX)), restRow], sumTallies(apps))}
${
  rest.length === 0
    ? null
    : html`<details><summary>The ${formatCounted(rest.length, 'more app')}, one by one</summary>${tallyTable('The other apps', 'App', rows(rest), sumTallies(rest))}</details>`
}`
}

function appCell(app: AppTally): Content {
  return [name(app.label), html` <span class="faint">${app.kind}</span>`]
}

function usersPart(users: readonly UserTally[]): Markup {
  const sorted = survivorsFirst(users, (user) => user.name)
  const shown = sorted.slice(0, USERS_MAX)
  const rest = sorted.slice(USERS_MAX)
  const rows: Content[] = shown.map((user) => tallyRow(userCell(user), user, longestOf(shown)))
  if (rest.length > 0) {
    const title = html`<i>${formatCounted(rest.length, 'other user')}</i> <span class="faint">each is in the CSV</span>`
    rows.push(tallyRow(title, sumTallies(rest), 0))
  }
  return html`<h3>By user</h3>
${tallyTable('Planned tokens by user, those with survivors first, then the largest', 'User', rows, sumTallies(users))}`
}

function userCell(user: UserTally): Content {
  const marks = [
    user.active === false ? 'inactive' : null,
    user.frozen === true ? 'frozen' : null,
  ].filter((mark) => mark !== null)
  const display = user.displayName === null ? null : [' ', name(user.displayName)]
  const more = marks.length === 0 ? null : html` <span class="mark">${marks.join(', ')}</span>`
  return [name(user.name), html`<span class="faint">${display}</span>`, more]
}

function longestOf(tallies: readonly Tally[]): number {
  return tallies.reduce((longest, tally) => Math.max(longest, tally.planned), 0)
}

function tallyTable(caption: string, title: string, rows: Content, sum: Tally): Markup {
  return html`<table class="tally"><caption>${caption}</caption>
<thead><tr><th scope="col">${title}</th><th scope="col" class="num">Planned</th><th scope="col" class="num">Dead</th><th scope="col" class="num">Alive</th><th scope="col" class="num">Unknown</th></tr></thead>
<tbody>${rows}</tbody>
<tfoot><tr><th scope="row">sum</th><td class="num">${formatCount(sum.planned)}</td>${countCells(sum)}</tr></tfoot></table>`
}

/** A longest of 0 draws no bar: a sum beside single apps would dwarf them. */
function tallyRow(title: Content, tally: Tally, longest: number): Markup {
  const bar = longest === 0 ? null : tallyBar(tally, longest)
  return html`<tr><th scope="row"><span class="who">${title}</span>${bar}</th><td class="num">${formatCount(tally.planned)}</td>${countCells(tally)}</tr>
`
}

function countCells(tally: Tally): Markup {
  const cell = (count: number, mark: string) =>
    count === 0
      ? html`<td class="num zero">0</td>`
      : html`<td class="num ${mark}">${formatCount(count)}</td>`
  return html`${cell(tally.dead, 'n-dead')}${cell(tally.alive, 'n-alive')}${cell(tally.unknown, 'n-unknown')}`
}

function timePart(model: ReportModel): Markup {
  const chart = timelineChart(model)
  const start = model.timeline[0]
  const words =
    start === undefined
      ? 'No kill was answered, so there is no curve.'
      : `Time runs from ${formatMoment(start.at)}. The curve of the dead rises only when somebody looked: an answer is not a proof.`
  return html`<div class="keep"><h3>Over time</h3><p>${words}</p>
${chart === null ? null : html`<ul class="legend"><li>${lineSwatch('answered')}answered by the provider</li><li>${lineSwatch('dead')}proven dead</li></ul>`}
${chart}</div>
${timeToDeadPart(model)}`
}

function lineSwatch(kind: 'answered' | 'dead'): Markup {
  return html`<svg class="swatch" width="24" height="12" aria-hidden="true" focusable="false"><path class="line-${kind}" d="M0 6H24"/></svg>`
}

function timeToDeadPart({ timeToDeadMs: time }: ReportModel): Markup | null {
  if (time === null) return null
  return html`<div class="keep"><h3>Time to dead</h3>
<p>From the first kill sent to the proof of death, over the dead tokens. The wait for the inventory that proves is in it.</p>
${timeToDeadStrip(time)}
<dl class="figures plain">
<div><dt>Half within</dt><dd>${formatDuration(time.median)}</dd></div>
<div><dt>Nine in ten within</dt><dd>${formatDuration(time.p90)}</dd></div>
<div><dt>The last after</dt><dd>${formatDuration(time.max)}</dd></div>
</dl></div>`
}
