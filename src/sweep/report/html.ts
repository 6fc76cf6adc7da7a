import { html, type Markup } from '../../core/html.ts'
import { shownName } from '../../core/screen-text.ts'
import { patternDefinitions } from './charts.ts'
import { askedSection, seenSection } from './html-asked.ts'
import { diedSection } from './html-died.ts'
import {
  eventsSection,
  footer,
  knownSection,
  outcomesSection,
  totalsSection,
} from './html-known.ts'
import { returnsSection } from './html-returns.ts'
import { pageStyle, STYLE } from './html-style.ts'
import { tokensSection } from './html-tokens.ts'
import { leftSection, verdictSection } from './html-verdict.ts'
import type { ReportModel } from './model.ts'
import { judgeRun } from './verdict.ts'

/** Nothing may be loaded, sent or run: the page is text, pictures of its own, and style. */
const CONTENT_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

/**
 * Writes the report as one HTML page that stands alone, in chunks. It has no script, loads
 * nothing, and escapes every name that it shows.
 */
export function* renderHtml(model: ReportModel): Iterable<string> {
  yield pageHead(model).markup
  yield verdictSection(model).markup
  yield navigation().markup
  yield '<main>\n'
  yield leftSection(model).markup
  yield askedSection(model).markup
  yield seenSection(model).markup
  yield diedSection(model).markup
  yield knownSection(model).markup
  yield outcomesSection(model).markup
  yield returnsSection(model).markup
  yield eventsSection(model).markup
  yield totalsSection(model).markup
  yield* tokensSection(model)
  yield '</main>\n'
  yield footer(model).markup
  yield '</div>\n</body>\n</html>\n'
}

function pageHead(model: ReportModel): Markup {
  const title = `${judgeRun(model).headline} – ${shownName(model.account.name)} – Rescind`
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${CONTENT_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="Rescind ${model.version}">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${{ markup: STYLE + pageStyle(model) }}</style>
</head>
<body>
${patternDefinitions()}
<div class="page">
`
}

const SECTIONS = [
  ['left', 'Left for a person'],
  ['asked', 'What was asked'],
  ['seen', 'What could be seen'],
  ['died', 'What died'],
  ['known', 'How it is known'],
  ['outcomes', 'Answers'],
  ['returns', 'Apps that came back'],
  ['events', 'Events'],
  ['totals', 'Totals'],
  ['tokens', 'Tokens'],
] as const

function navigation(): Markup {
  return html`<nav aria-label="Parts of the report"><ul>${SECTIONS.map(([id, title]) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>
`
}
