import { formatCount, formatCounted } from '../../core/counts.ts'
import { type Content, html, type Markup, name } from '../../core/html.ts'
import { formatMomentShort } from '../../core/moments.ts'
import { describeOutcome, OUTCOMES } from '../../core/outcome.ts'
import { describeProof, isDead, PROOFS, type Proof } from '../../core/proof.ts'
import { shareBar } from './charts.ts'
import type { ReportModel } from './model.ts'
import { checkTotals } from './totals.ts'
import { endSentence } from './verdict.ts'

/** Events that stand open. */
const EVENTS_OPEN_MAX = 40

/** Writes the ladder of proof, strongest first, with the line above which a token counts as dead. */
export function knownSection({ summary }: ReportModel): Markup {
  const fromTop = PROOFS.toReversed()
  const rung = (proof: Proof): Markup => {
    const count = summary.proof[proof]
    return html`<tr class="${count === 0 ? 'zero' : ''}"><th scope="row">${proof}${count === 0 ? null : shareBar(count, summary.planned, isDead(proof) ? 'dead' : 'quiet')}</th><td class="num">${formatCount(count)}</td><td>${describeProof(proof)}</td></tr>`
  }
  const notDead = summary.planned - summary.dead
  return html`<section id="known"><h2>How it is known</h2>
<p>Each token stands on the highest rung that it reached. A provider's “yes” alone is a promise, not a proof: a token is called dead from <b>absent</b> upward.</p>
<table class="ladder words"><caption>The ladder of proof, strongest first</caption>
<thead><tr><th scope="col">Rung</th><th scope="col" class="num">Tokens</th><th scope="col">What it means</th></tr></thead>
<tbody>${fromTop.filter(isDead).map(rung)}</tbody>
<tbody class="below"><tr class="line"><th scope="rowgroup" colspan="3">Proven dead above: ${formatCount(summary.dead)}. Not proven below: ${formatCount(notDead)}.</th></tr>
${fromTop.filter((proof) => !isDead(proof)).map(rung)}</tbody>
<tfoot><tr><th scope="row">sum</th><td class="num">${formatCount(sumOf(PROOFS.map((proof) => summary.proof[proof])))}</td><td>planned: ${formatCount(summary.planned)}</td></tr></tfoot></table>
</section>`
}

/** Writes what the provider answered: all outcomes, those with none quietly. */
export function outcomesSection({ summary }: ReportModel): Markup {
  const row = (title: string, count: number, words: string) =>
    html`<tr class="${count === 0 ? 'zero' : ''}"><th scope="row">${title}</th><td class="num">${formatCount(count)}</td><td>${words}</td></tr>`
  const total = sumOf(OUTCOMES.map((outcome) => summary.outcomes[outcome])) + summary.unsent
  return html`<section id="outcomes"><h2>What the provider answered</h2>
<table class="words"><caption>Outcome of each planned kill</caption>
<thead><tr><th scope="col">Outcome</th><th scope="col" class="num">Tokens</th><th scope="col">What it means</th></tr></thead>
<tbody>${OUTCOMES.map((outcome) => row(outcome, summary.outcomes[outcome], describeOutcome(outcome)))}
${row('unsent', summary.unsent, 'the run stopped before; nothing was sent')}</tbody>
<tfoot><tr><th scope="row">sum</th><td class="num">${formatCount(total)}</td><td>planned: ${formatCount(summary.planned)}</td></tr></tfoot></table>
</section>`
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

/** Writes what happened on the way. */
export function eventsSection({ events }: ReportModel): Markup {
  if (events.length === 0) {
    return html`<section id="events"><h2>What happened on the way</h2><p>Nothing of note.</p></section>`
  }
  const table = (
    some: ReportModel['events'],
  ): Content => html`<table class="events"><caption>Events, times in UTC</caption>
<thead><tr><th scope="col">Time</th><th scope="col">Event</th><th scope="col">What</th></tr></thead>
<tbody>${some.map(
    (
      event,
    ) => html`<tr><td class="when">${formatMomentShort(event.at)}</td><th scope="row">${event.kind}</th><td>${name(event.text)}</td></tr>
`,
  )}</tbody></table>`
  const more = events.slice(EVENTS_OPEN_MAX)
  return html`<section id="events"><h2>What happened on the way</h2>
${table(events.slice(0, EVENTS_OPEN_MAX))}
${more.length === 0 ? null : html`<details><summary>${formatCounted(more.length, 'more event')}</summary>${table(more)}</details>`}
</section>`
}

/** Writes the sums that a reader can check, and whether they come out. */
export function totalsSection(model: ReportModel): Markup {
  const checks = checkTotals(model)
  const broken = checks.filter((check) => !check.holds).length
  const words =
    broken === 0
      ? 'Everything that is counted twice agrees.'
      : `${formatCounted(broken, 'sum does', 'sums do')} not come out. Do not rely on this report before that is explained.`
  return html`<section id="totals"><h2>${broken === 0 ? 'The totals add up' : 'The totals do not add up'}</h2><p class="${broken === 0 ? '' : 'n-alive'}">${words}</p>
<table class="checks words"><caption>Sums that must come out</caption>
<thead><tr><th scope="col">Count</th><th scope="col">Sum</th><th scope="col">Check</th></tr></thead>
<tbody>${checks.map((check) => html`<tr><th scope="row">${check.what}</th><td>${check.sum} = <b>${formatCount(check.total)}</b></td><td class="${check.holds ? 'n-dead' : 'n-alive'}">${check.holds ? '✓ equals' : `✗ is not ${formatCount(check.expected)}`} ${check.of}</td></tr>`)}</tbody></table>
</section>`
}

/** Writes how the report was made and what it holds. */
export function footer(model: ReportModel): Markup {
  return html`<footer><p>Made by Rescind ${model.version} at ${formatMomentShort(model.madeAt)} UTC from the journal of run <code>${model.summary.run}</code>. ${endSentence('It holds no token and no secret; a fingerprint is a keyed hash that names a token without giving it away')}</p></footer>`
}
