import { type Content, html, type Markup } from '../../core/html.ts'
import { PAGE_STYLE } from '../../core/page-style.ts'
import type { CaseResult, ConformanceReport } from '../conformance.ts'
import { VERDICTS } from '../verdict.ts'
import {
  byGroup,
  failuresOf,
  headlineOf,
  LEVEL_WORDS,
  stopSentence,
  undecidedSentence,
  VERDICT_NOUNS,
  VERDICT_WORDS,
  wordsOf,
} from './words.ts'

/** Nothing may be loaded, sent or run: the page is text and style. */
const CONTENT_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

const STYLE = `${PAGE_STYLE}
.page{max-width:72rem}
.eyebrow{color:var(--soft);font-size:.9rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:1.2rem 1.5rem;margin-top:1.6rem}
.figures dt{color:var(--soft);font-size:.9rem}
.figures dd{margin:0;font-size:1.55rem;line-height:1.25;font-weight:640;font-variant-numeric:tabular-nums}
.caveat{margin:1.5rem 0 0;padding:.9rem 1.1rem;background:var(--sheet);border-radius:6px}
.cases td,.cases th{overflow-wrap:break-word}
.cases th:first-child{width:3rem;text-align:right;font-variant-numeric:tabular-nums}
.cases .level{width:6rem;color:var(--soft)}
.cases .verdict{width:5.5rem;white-space:nowrap}
.cases .cite{width:11rem;font-size:.86rem}
.said{display:block;color:var(--soft)}
.is-fail{color:var(--alive);font-weight:680}
.is-inconclusive{color:var(--unknown);font-weight:640}
.is-pass{color:var(--dead)}
.is-deviation{color:var(--link)}
.is-skipped{color:var(--soft)}
.cases details{margin:.3rem 0 0}
.cases summary{font-size:.88rem;padding:.1rem 0}
.exchange{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));gap:.6rem;margin:.5rem 0}
.exchange pre{padding:.7rem .8rem;font-size:.8rem;white-space:pre-wrap;overflow-wrap:anywhere}
.failure{padding:1rem 0;border-bottom:1px solid var(--hair)}
.failure h3{margin:0 0 .2rem}
@media (max-width:46rem){
.page{padding:1.5rem 1rem 3rem}
.cases thead{display:none}
.cases tr{display:grid;grid-template-columns:2.2rem minmax(0,1fr) 5.2rem;column-gap:.6rem;padding:.42rem 0;border-bottom:1px solid var(--hair)}
.cases th,.cases td{border:0;padding:0}
.cases th:first-child,.cases .level,.cases .verdict,.cases .cite{width:auto}
.cases .verdict{grid-area:1/3}
.cases .cite{grid-area:2/2}
.cases .level{grid-area:2/3}}
@media print{
html{color-scheme:light}
body{font-size:9.5pt}
.page{max-width:none;padding:0}
summary,nav{display:none}
tr,.failure{break-inside:avoid}
pre{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
`

/** Writes a report as one HTML page that stands alone: no script, nothing loaded, all text escaped. */
export function* renderConformanceHtml(report: ConformanceReport): Iterable<string> {
  yield head(report).markup
  yield summary(report).markup
  yield '<main>\n'
  yield failures(report).markup
  for (const [group, results] of byGroup(report)) yield table(group, results).markup
  yield '</main>\n'
  yield footer(report).markup
  yield '</div>\n</body>\n</html>\n'
}

function head(report: ConformanceReport): Markup {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${CONTENT_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="Rescind ${report.version}">
<title>${headlineOf(report)} – Rescind conformance</title>
<link rel="icon" href="data:,">
<style>${{ markup: STYLE }}</style>
</head>
<body>
<div class="page">
`
}

function summary(report: ConformanceReport): Markup {
  const { issuer, revocation } = report.target
  const caveats = [stopSentence(report), undecidedSentence(report)]
  const figures = VERDICTS.map(
    (name) => html`<div><dt>${VERDICT_NOUNS[name]}</dt><dd>${report.totals[name]}</dd></div>`,
  )
  return html`<header>
<p class="eyebrow">Conformance of ${issuer ?? revocation ?? 'a server'}, ${report.startedAt.slice(0, 16).replace('T', ' ')} UTC</p>
<h1>${headlineOf(report)}</h1>
<dl class="figures">${figures}</dl>
${caveats.map((caveat) => (caveat === undefined ? null : html`<p class="caveat">${caveat}</p>`))}
</header>
`
}

function failures(report: ConformanceReport): Markup {
  const failed = failuresOf(report)
  if (failed.length === 0) return html`<p class="lead">No case failed.</p>`
  return html`<section><h2>What failed</h2>
${failed.map(
  (result) => html`<div class="failure"><h3>${result.id}. ${result.title}</h3>
<p><span class="is-fail">${LEVEL_WORDS[result.level]}</span>, ${citations(result)}. ${wordsOf(result)}</p>
${shown(result, 'What shows it', true)}</div>
`,
)}</section>
`
}

function table(group: string, results: readonly CaseResult[]): Markup {
  return html`<section><h2>${group}</h2>
<table class="cases">
<caption>${results.length} ${results.length === 1 ? 'case' : 'cases'}</caption>
<thead><tr><th scope="col">No.</th><th scope="col">Case</th><th scope="col" class="level">Level</th><th scope="col" class="verdict">Verdict</th><th scope="col" class="cite">Where it stands</th></tr></thead>
<tbody>
${results.map(row)}</tbody>
</table></section>
`
}

function row(result: CaseResult): Markup {
  const words = wordsOf(result)
  return html`<tr><th scope="row">${result.id}</th><td>${result.title}${words === '' ? null : html`<span class="said">${words}</span>`}${shown(result, 'Request and answer', false)}</td><td class="level">${LEVEL_WORDS[result.level]}</td><td class="verdict is-${result.verdict}">${VERDICT_WORDS[result.verdict]}</td><td class="cite">${citations(result)}</td></tr>
`
}

function shown({ evidence }: CaseResult, title: string, open: boolean): Content {
  if (evidence.length === 0) return null
  const pairs = evidence.map(
    ({ request, answer }) =>
      html`<div class="exchange"><pre>${request}</pre><pre>${answer}</pre></div>`,
  )
  const label = html`<summary>${title}</summary>`
  return open
    ? html`<details open>${label}${pairs}</details>`
    : html`<details>${label}${pairs}</details>`
}

function citations({ cites }: CaseResult): readonly Content[] {
  return cites.map(
    ({ spec, section, url }, index) =>
      html`${index === 0 ? '' : ', '}<a href="${url}">${spec} §${section}</a>`,
  )
}

function footer(report: ConformanceReport): Markup {
  const { races, samples, requests, requestsMax, finishedAt, version } = report
  return html`<footer><p>${requests} requests, of ${requestsMax} at most. Races were run ${races} times, times measured with ${samples} samples each. Ended ${finishedAt.slice(0, 19).replace('T', ' ')} UTC. Secrets are fingerprints. Made by Rescind ${version}.</p></footer>
`
}
