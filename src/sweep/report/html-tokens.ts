import { formatCount } from '../../core/counts.ts'
import { html, type Markup, name } from '../../core/html.ts'
import { formatMomentShort } from '../../core/moments.ts'
import { shownName } from '../../core/screen-text.ts'
import type { ReportModel, TokenLine } from './model.ts'

/** Up to here every token is on the page; above, only those that are not proven dead. */
const ALL_TOKENS_MAX = 2000
/** A browser shows so many rows without trouble, and prints them on some 200 pages. */
const ROWS_MAX = 5000
/** Lists up to here stand open. */
const OPEN_MAX = 40
/** Rows a chunk. */
const ROWS_A_CHUNK = 200

/**
 * Writes the list of tokens in chunks: all of them when they are few, else those that are not
 * proven dead. Says in words which of the two it is, and where the rest stands.
 */
export function* tokensSection(model: ReportModel): Iterable<string> {
  const all = model.summary.planned <= ALL_TOKENS_MAX
  const open = model.summary.alive + model.summary.unknown
  const rows = all ? model.summary.planned : open
  yield html`<section id="tokens"><h2>Tokens</h2><p>${tokensWords(model, all, rows)}</p>`.markup
  if (rows > 0) yield* tokenTable(model, all, rows)
  yield '</section>\n'
}

function tokensWords({ summary }: ReportModel, all: boolean, rows: number): string {
  if (summary.planned === 0) return 'None was planned.'
  if (all) return `All ${formatCount(summary.planned)} planned tokens. Times are in UTC.`
  const csv = 'The CSV of this run has every token.'
  if (rows === 0) {
    return `None is listed: all ${formatCount(summary.planned)} are proven dead. ${csv}`
  }
  const dead = `The ${formatCount(summary.dead)} that are proven dead are left out here. ${csv} Times are in UTC.`
  if (rows > ROWS_MAX) {
    return `The first ${formatCount(ROWS_MAX)} of the ${formatCount(rows)} tokens that are not proven dead. ${dead}`
  }
  return `The ${formatCount(rows)} of ${formatCount(summary.planned)} planned tokens that are not proven dead. ${dead}`
}

function* tokenTable(model: ReportModel, all: boolean, rows: number): Iterable<string> {
  const shown = Math.min(rows, ROWS_MAX)
  yield html`<details${shown <= OPEN_MAX ? html` open` : null}><summary>The list, ${formatCount(shown)} long</summary>
<div class="scroll" tabindex="0" role="region" aria-label="List of tokens"><table class="tokens"><caption>Tokens, those alive and unknown marked</caption>
<thead><tr><th scope="col">Verdict</th><th scope="col">User and app</th><th scope="col">Token</th><th scope="col">Outcome</th><th scope="col">Proof</th></tr></thead><tbody>
`.markup
  yield* tokenRows(model, all)
  yield '</tbody></table></div></details>'
}

function* tokenRows(model: ReportModel, all: boolean): Iterable<string> {
  let chunk = ''
  let rows = 0
  for (const token of model.tokens()) {
    if (!all && token.verdict === 'dead') continue
    if (rows === ROWS_MAX) break
    chunk += tokenRow(token).markup
    rows += 1
    if (rows % ROWS_A_CHUNK === 0) {
      yield chunk
      chunk = ''
    }
  }
  yield chunk
}

function tokenRow(token: TokenLine): Markup {
  return html`<tr><td>${verdictMark(token.verdict)}</td>
<td>${name(token.user)}<br>${name(token.app)}<br><small>${shownName(token.rule)}</small></td>
<td><code>${token.fingerprint}</code><br><small>${token.kind}, created ${formatMomentShort(token.createdAt)}<br>last used ${formatMomentShort(token.lastUsedAt)}</small></td>
<td>${token.outcome}${token.code === null ? null : html` <code>${shownName(token.code)}</code>`}<br><small>${formatMomentShort(token.answeredAt)}</small></td>
<td>${token.proof}${token.evidence === null ? null : html` <small>${shownName(token.evidence)}</small>`}<br><small>${formatMomentShort(token.proofAt)}</small></td></tr>
`
}

function verdictMark(verdict: TokenLine['verdict']): Markup {
  switch (verdict) {
    case 'dead':
      return html`<span class="n-dead">✓ dead</span>`
    case 'alive':
      return html`<span class="n-alive">✗ alive</span>`
    case 'unknown':
      return html`<span class="n-unknown">? unknown</span>`
  }
}
