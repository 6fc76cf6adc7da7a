import { formatCounted } from '../../../core/counts.ts'
import { type Content, html, type Markup, name } from '../../../core/html.ts'
import { formatDuration, formatMoment } from '../../../core/moments.ts'
import { PAGE_STYLE } from '../../../core/page-style.ts'
import {
  type DrillReport,
  headlineOf,
  isOver,
  type NumberRow,
  numberRows,
  type ReportResult,
  verdictOf,
} from './model.ts'
import { timelineChart } from './timeline.ts'

/** Nothing may be loaded, sent or run: the page is text, a picture of its own, and style. */
const CONTENT_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

const STYLE = `${PAGE_STYLE}
.page{max-width:66rem}
.eyebrow{color:var(--soft);font-size:.9rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:1.2rem 1.5rem;margin-top:1.6rem}
.figures>div{display:grid;grid-row:span 2;grid-template-rows:subgrid;row-gap:0}
.figures dt{align-self:end;color:var(--soft);font-size:.9rem}
.figures dd{margin:0;font-size:1.55rem;line-height:1.25;font-weight:640;font-variant-numeric:tabular-nums}
.figures dd small{display:block;color:var(--soft);font-size:.86rem;font-weight:400;line-height:1.4}
.figures .none{color:var(--soft);font-weight:400}
.caveat{margin:1.5rem 0 0;padding:.9rem 1.1rem;background:var(--sheet);border-radius:6px}
.is-pass{color:var(--dead)}
.is-fail{color:var(--alive);font-weight:680}
.is-skipped{color:var(--soft)}
.steps th:first-child{width:2.6rem;text-align:right;font-variant-numeric:tabular-nums}
.faults th:first-child{width:auto;text-align:left;white-space:nowrap}
.steps .verdict{width:5rem;white-space:nowrap}
.steps .took{width:5.5rem}
.steps .rule{display:block;color:var(--soft);font-size:.9rem}
.steps details{margin:.3rem 0 0}
.steps summary{font-size:.88rem;padding:.1rem 0}
.steps pre{font-size:.8rem;white-space:pre-wrap;overflow-wrap:anywhere}
.facts{display:grid;gap:.3rem;margin:0}
.facts>div{display:grid;grid-template-columns:9rem 1fr;gap:1rem}
.facts dt{color:var(--soft)}
.facts dd{margin:0;min-width:0}
.timeline{width:100%;height:auto}
.moments{display:none;list-style:none;padding:0;margin:0;font-variant-numeric:tabular-nums}
.moments li{display:grid;grid-template-columns:5.2rem 1fr auto;gap:.8rem;padding:.3rem 0 .3rem .7rem;border-left:3px solid var(--hair)}
.moments .at,.moments .more{color:var(--soft);font-size:.9rem;white-space:nowrap}
.moments .at{text-align:right}
.moments .is-pass{color:inherit;border-color:var(--fill-dead)}
.moments .is-fail{border-color:var(--fill-alive)}
.moments .is-fail .more{color:var(--alive)}
.moments .mark-dead,.moments .mark-known,.moments .mark-back{font-weight:640;background:var(--sheet)}
.moments .mark-dead{color:var(--alive)}
.moments .mark-known{color:var(--unknown)}
.moments .mark-back{color:var(--dead)}
.timeline text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",Arial,sans-serif;fill:var(--ink)}
.timeline .tick{fill:var(--soft)}
.timeline .grid{stroke:var(--hair)}
.timeline .gap{fill:var(--alive);fill-opacity:.07}
.bar-pass rect{fill:var(--fill-dead)}
.bar-fail rect{fill:var(--fill-alive)}
.bar-fail .cross{fill:var(--alive);font-weight:700}
.mark-dead line{stroke:var(--alive);stroke-width:1.5}
.mark-known line{stroke:var(--unknown);stroke-width:1.5;stroke-dasharray:4 3}
.mark-back line{stroke:var(--dead);stroke-width:1.5}
.guards th,.guards td:last-child{white-space:nowrap;overflow-wrap:normal}
.timeline .mark-dead text{fill:var(--alive)}
.timeline .mark-known text{fill:var(--unknown)}
.timeline .mark-back text{fill:var(--dead)}
@media screen and (max-width:54rem){
.timeline,.only-wide{display:none}
.moments{display:block}}
@media (max-width:46rem){
.faults thead{display:none}
.faults tr{display:grid;grid-template-columns:1fr auto;border-bottom:1px solid var(--hair)}
.faults th:first-child,.faults td{border:0;padding-bottom:0}
.faults td:nth-child(2){grid-area:2/1/3/-1;padding:.1rem 0 .6rem}
.page{padding:1.5rem 1rem 3rem}
.steps .took,thead .took{display:none}
.facts>div{grid-template-columns:7.2rem 1fr;gap:.7rem}
.figures{grid-template-columns:1fr 1fr}
th,td{padding-right:.55rem}}
@media print{
html{color-scheme:light}
body{font-size:9.5pt}
.page{max-width:none;padding:0}
summary{display:none}
tr{break-inside:avoid}
svg,.caveat{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
`

/** Writes a drill as one HTML page that stands alone: no script, nothing loaded, all text escaped. */
export function renderDrillHtml(report: DrillReport): string {
  const chart = timelineChart(report)
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${CONTENT_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="Rescind ${report.version}">
<title>${headlineOf(report)} – Rescind</title>
<link rel="icon" href="data:,">
<style>${{ markup: STYLE }}</style>
</head>
<body>
<div class="page">
${summary(report)}
<main>
${chart === null ? null : html`<section id="time"><h2>Over time</h2>${legend(report)}${chart}</section>`}
${stepsSection(report)}
${faultsSection(report)}
${guardsSection(report)}
${factsSection(report)}
</main>
<footer><p>${report.records} records, each signed and bound to the one before. Check the evidence offline with rescind drill verify. Secrets are fingerprints. Made by Rescind ${report.version}.</p></footer>
</div>
</body>
</html>
`.markup
}

function summary(report: DrillReport): Markup {
  const { end, connection, provider, platform, startedAt } = report
  const why =
    end === null ? 'The drill died before its end, and nothing of what follows is known.' : end.why
  const rows = numberRows(report)
  return html`<header>
<p class="eyebrow">${name(connection)} on ${platform}, at ${provider}; ${formatMoment(startedAt)}</p>
<h1>${headlineOf(report)}</h1>
<p class="lead">${why}</p>
${rows.length === 0 ? null : html`<dl class="figures">${rows.map(figure)}</dl>`}
${end?.stands ? html`<p class="caveat">${end.stands}</p>` : null}
</header>`
}

function figure(row: NumberRow): Markup {
  const { name: title, ms, limitMs, count, isJudged } = row
  const none = html`<dd class="none">${isJudged === false ? 'not judged' : '–'}</dd>`
  if (count !== undefined) {
    return html`<div><dt>${title}</dt>${count === null ? none : html`<dd>${count}</dd>`}</div>`
  }
  if (ms === null || ms === undefined) return html`<div><dt>${title}</dt>${none}</div>`
  const limit =
    limitMs === undefined ? null : html`<small>at most ${formatDuration(limitMs)}</small>`
  const tone = isOver(row) ? 'is-fail' : ''
  return html`<div><dt>${title}</dt><dd class="${tone}">${formatDuration(ms)}${limit}</dd></div>`
}

function legend({ end, inject }: DrillReport): Content {
  if (end === null || inject !== null) return null
  return html`<p class="only-wide">The shaded time is that in which the connection was dead: from the revocation until a call through the platform worked again.</p>`
}

const VERDICTS = { pass: 'pass', fail: 'fail', skipped: 'skipped' } as const

function stepsSection(report: DrillReport): Content {
  const verdict = verdictOf(report)
  const steps = verdict === null ? report.steps : [...report.steps, verdict]
  if (steps.length === 0) return null
  const rows = steps.map((one) => resultRow(one, one.id, html`<b>${one.name}.</b> `))
  return html`<section id="steps"><h2>Steps</h2>${resultTable('steps', 'No.', rows)}</section>`
}

function faultsSection({ faults }: DrillReport): Content {
  if (faults.length === 0) return null
  const rows = faults.map((one) => resultRow(one, one.name, null))
  return html`<section id="faults"><h2>Faults</h2>${resultTable('steps faults', 'Fault', rows)}</section>`
}

function resultTable(kind: string, head: string, rows: readonly Markup[]): Markup {
  return html`
<table class="${kind}">
<thead><tr><th scope="col">${head}</th><th scope="col">What was done, and what it showed</th><th scope="col" class="verdict">Verdict</th><th scope="col" class="took num">Took</th></tr></thead>
<tbody>
${rows}</tbody>
</table>`
}

function resultRow(result: ReportResult, head: string, title: Content): Markup {
  const { verdict, why, did, passOnlyIf, evidence, tookMs } = result
  const shown = JSON.stringify(evidence, null, 2)
  const proof =
    shown === '{}' ? null : html`<details><summary>Evidence</summary><pre>${shown}</pre></details>`
  return html`<tr><th scope="row">${head}</th><td>${title}${why}<span class="rule">${did} Pass only if: ${passOnlyIf}</span>${proof}</td><td class="verdict is-${verdict}">${VERDICTS[verdict]}</td><td class="took num">${verdict === 'skipped' ? '–' : formatDuration(tookMs)}</td></tr>
`
}

function guardsSection({ guards }: DrillReport): Content {
  if (guards.length === 0) return null
  return html`<section id="guards"><h2>Before anything was touched</h2>
<table class="guards"><thead><tr><th scope="col">Guard</th><th scope="col">What it showed</th><th scope="col">Holds</th></tr></thead>
<tbody>${guards.map(
    ({
      name: guard,
      ok,
      said,
    }) => html`<tr><th scope="row">${guard}</th><td>${said}</td><td class="${ok ? 'is-pass' : 'is-fail'}">${ok ? 'yes' : 'no'}</td></tr>
`,
  )}</tbody></table></section>`
}

function factsSection(report: DrillReport): Markup {
  const { end } = report
  const facts: readonly (readonly [string, Content])[] = [
    ['Drill', report.drill],
    ['Mode', report.mode],
    ['Consent by', report.consent],
    ['Owner agreed', report.ownerConsent ?? 'not asked for in this mode'],
    ['Run by', name(report.actor)],
    ['Applied by', end?.appliedBy ?? '–'],
    ['Identity', end?.identity ?? '–'],
    ['Ended', formatMoment(report.endedAt)],
    ['Resumed', report.resumed === 0 ? 'no' : formatCounted(report.resumed, 'time')],
    ['Signed by', html`<code>${report.keyId}</code>`],
    ['Configuration', html`<code>${report.config}</code>`],
  ]
  return html`<section id="facts"><h2>About this drill</h2>
<dl class="facts">${facts.map(([title, value]) => html`<div><dt>${title}</dt><dd>${value}</dd></div>`)}</dl></section>`
}
