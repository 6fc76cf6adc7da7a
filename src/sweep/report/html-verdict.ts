import { formatCount, formatCounted } from '../../core/counts.ts'
import { type Content, html, type Markup, name } from '../../core/html.ts'
import { formatDuration, formatMoment } from '../../core/moments.ts'
import { swatch, verdictBar } from './charts.ts'
import { formatShare } from './format.ts'
import type { LeftForAPerson, ReportModel } from './model.ts'
import { judgeRun, sentence, type Tone, type Verdict } from './verdict.ts'

/** Entries of what is left for a person that stand open; the rest folds away. */
const LEFT_OPEN_MAX = 12

/** Writes the top of the page: what to think of the run, in words, colour and one bar. */
export function verdictSection(model: ReportModel): Markup {
  const verdict = judgeRun(model)
  return html`<header class="top tone-${verdict.tone}">
<p class="eyebrow">Revocation report · ${name(model.account.name)} · ${formatMoment(model.madeAt)}</p>
<p class="judgement">${toneSign(verdict.tone)}<span>${verdict.judgement}</span></p>
<h1>${clauses(verdict.headline)}</h1>
${model.summary.planned === 0 ? null : barWithLegend(model)}
${caveatList(verdict)}
${keyFigures(model)}
</header>`
}

/** Keeps each count of the headline whole where the line is long enough. */
function clauses(headline: string): Content {
  return headline
    .split(/(?<=;) /)
    .map((clause, index) => html`${index === 0 ? '' : ' '}<span>${clause}</span>`)
}

function toneSign(tone: Tone): Markup {
  return html`<svg class="sign" width="22" height="22" viewBox="0 0 22 22" aria-hidden="true" focusable="false">${signShape(tone)}</svg>`
}

function signShape(tone: Tone): Markup {
  switch (tone) {
    case 'good':
      return html`<circle cx="11" cy="11" r="10"/><path d="M6 11.5l3.5 3.5L16 8"/>`
    case 'open':
      return html`<path class="solid" d="M11 1.5L21 20H1Z"/><path d="M11 8v5.5M11 16v1.6"/>`
    case 'bad':
      return html`<path class="solid" d="M7 1h8l6 6v8l-6 6H7l-6-6V7Z"/><path d="M7.5 7.5l7 7M14.5 7.5l-7 7"/>`
    case 'neutral':
      return html`<circle cx="11" cy="11" r="10"/><path d="M6 11h10"/>`
  }
}

function barWithLegend({ summary }: ReportModel): Markup {
  const share = (count: number) => formatShare(count, summary.planned)
  return html`${verdictBar(summary, 28)}
<ul class="legend">
<li>${swatch('dead')}<b>${formatCount(summary.dead)}</b> proven dead <span class="faint">${share(summary.dead)}</span></li>
<li>${swatch('alive')}<b>${formatCount(summary.alive)}</b> alive <span class="faint">${share(summary.alive)}</span></li>
<li>${swatch('unknown')}<b>${formatCount(summary.unknown)}</b> unknown <span class="faint">${share(summary.unknown)}</span></li>
</ul>`
}

function caveatList({ caveats }: Verdict): Markup | null {
  if (caveats.length === 0) return null
  return html`<ul class="caveats" aria-label="What limits this result">${caveats.map((caveat) => html`<li>${caveat}</li>`)}</ul>`
}

function keyFigures(model: ReportModel): Markup {
  const { summary } = model
  const took =
    summary.finishedAt === null
      ? '–'
      : formatDuration(Date.parse(summary.finishedAt) - Date.parse(summary.startedAt))
  return html`<dl class="figures">
${figure('Planned', formatCount(summary.planned), `of ${formatCount(model.before.tokens)} in the inventory`)}
${figure('Apps', formatCount(model.apps.length), `and ${formatCounted(model.users.length, 'user')}`)}
${figure('Came back', formatCount(summary.cameBack), 'new tokens seen after')}
${figure('Duration', took, stateWords(summary.state))}
</dl>`
}

function figure(title: string, value: string, more: string): Markup {
  return html`<div><dt>${title}</dt><dd>${value}<small>${more}</small></dd></div>`
}

function stateWords(state: ReportModel['summary']['state']): string {
  switch (state) {
    case 'running':
      return 'still running'
    case 'stopped':
      return 'stopped, can be resumed'
    case 'finished':
      return 'from start to last look'
  }
}

/** Writes what no call can do, as a list to be ticked off. */
export function leftSection(model: ReportModel): Markup {
  const { left, summary } = model
  const open = summary.alive + summary.unknown
  if (left.length === 0) {
    const words =
      open === 0
        ? 'Nothing. No planned token waits for a person.'
        : `Nothing was noted, yet ${formatCounted(open, 'token is', 'tokens are')} not proven dead: see the list of tokens.`
    return html`<section id="left"><h2>Left for a person</h2><p>${words}</p></section>`
  }
  return html`<section id="left"><h2>Left for a person</h2>
<ol class="todo">${left.slice(0, LEFT_OPEN_MAX).map(leftItem)}</ol>
${left.length <= LEFT_OPEN_MAX ? null : html`<details><summary>${formatCount(left.length - LEFT_OPEN_MAX)} more</summary><ol class="todo" start="${LEFT_OPEN_MAX + 1}">${left.slice(LEFT_OPEN_MAX).map(leftItem)}</ol></details>`}
</section>`
}

function leftItem(item: LeftForAPerson): Markup {
  return html`<li><span class="box" aria-hidden="true"></span><div><h3>${name(item.what)} <span class="count">${formatCount(item.count)}</span></h3>
<p class="faint">${sentence(item.why)}</p>
<p>${sentence(item.todo)}</p></div></li>`
}
