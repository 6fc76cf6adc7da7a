import { formatCount } from '../../core/counts.ts'
import { type Content, html, type Markup, name } from '../../core/html.ts'
import { formatMoment } from '../../core/moments.ts'
import type { InventoryFacts, ReportModel } from './model.ts'
import { sentence } from './verdict.ts'

/** Writes what was asked: why, who, when, by which policy and plan. */
export function askedSection(model: ReportModel): Markup {
  const { summary, account, policy } = model
  return html`<section id="asked"><h2>What was asked</h2>
<p class="lead">${name(sentence(policy.why === '' ? 'no reason was given' : policy.why))}</p>
<dl class="facts">
${fact('Tenant', [name(summary.tenant), ' – ', name(account.name), html` <code>${account.id}</code>`])}
${fact('Address', name(account.url))}
${fact('Asked by', name(model.actor))}
${fact('Started', formatMoment(summary.startedAt))}
${fact('Finished', summary.finishedAt === null ? `not finished (${summary.state})` : formatMoment(summary.finishedAt))}
${fact('Run', html`<code>${summary.run}</code>`)}
${fact('Plan', html`<code>${summary.plan}</code> <code>${model.planHash}</code>`)}
${fact('Policy', [name(policy.name), html` <code>${policy.hash}</code>`])}
</dl>
${chosenTable(model)}
<div class="pair">${ruleTable(model)}${killTable(model)}</div>
<details><summary>The policy, as it was applied</summary><pre tabindex="0">${policy.text}</pre></details>
</section>`
}

function fact(title: string, value: Content): Markup {
  return html`<div><dt>${title}</dt><dd>${value}</dd></div>`
}

function chosenTable(model: ReportModel): Markup {
  const row = (title: string, count: number, more: string) =>
    html`<tr><th scope="row">${title}</th><td class="num">${formatCount(count)}</td><td>${more}</td></tr>`
  return html`<table class="words"><caption>What the policy made of the inventory</caption>
<thead><tr><th scope="col">Tokens</th><th scope="col" class="num">Count</th><th scope="col">Meaning</th></tr></thead>
<tbody>
${row('chosen', model.chosen, 'a rule asked for their death')}
${row('spared', model.spared, 'a rule kept them, whatever another asked')}
${row('undecided', model.undecided, 'a signal was missing or cannot be trusted, so they were left alone unless the plan says otherwise')}
${row('untouched', model.untouched, 'no rule spoke of them')}
</tbody>
<tfoot><tr><th scope="row">sum</th><td class="num">${formatCount(model.chosen + model.spared + model.undecided + model.untouched)}</td><td>the inventory has ${formatCount(model.before.tokens)}</td></tr></tfoot></table>`
}

function ruleTable({ rules }: ReportModel): Markup | null {
  if (rules.length === 0) return null
  return html`<table><caption>Chosen by which rule</caption>
<thead><tr><th scope="col">Rule</th><th scope="col" class="num">Tokens</th></tr></thead>
<tbody>${rules.map((rule) => html`<tr><td><code>${name(rule.rule)}</code></td><td class="num">${formatCount(rule.count)}</td></tr>`)}</tbody></table>`
}

function killTable({ kills }: ReportModel): Markup | null {
  if (kills.length === 0) return null
  return html`<table><caption>Killed by which calls</caption>
<thead><tr><th scope="col">One call reaches</th><th scope="col" class="num">Calls</th><th scope="col" class="num">Tokens</th></tr></thead>
<tbody>${kills.map((kill) => html`<tr><td>${reachWords(kill.reach)}</td><td class="num">${formatCount(kill.calls)}</td><td class="num">${formatCount(kill.tokens)}</td></tr>`)}</tbody></table>`
}

function reachWords(reach: string): string {
  const words: Readonly<Record<string, string>> = {
    token: 'one token',
    user_app: 'all tokens of a user and app',
    app: 'all tokens of an app',
  }
  return words[reach] ?? reach
}

/** Writes what could be seen of the tenant before and after, and how whole that is. */
export function seenSection(model: ReportModel): Markup {
  return html`<section id="seen"><h2>What could be seen</h2>
<p>Absence proves death only where the list is known to be whole. Each inventory says whether it is, and why.</p>
<div class="looks">
${inventoryCard('Before the kills', model.before, 'The plan was made on it.')}
${inventoryCard('After the kills', model.after, 'It proves what is absent.')}
${inventoryCard('Second look', model.secondLook, 'It finds apps that came back.')}
</div></section>`
}

function inventoryCard(title: string, facts: InventoryFacts | null, purpose: string): Markup {
  if (facts === null) {
    return html`<article class="look"><h3>${title}</h3><p class="state">Not taken</p><p class="faint">${purpose}</p></article>`
  }
  const { before, after } = facts.counted
  return html`<article class="look"><h3>${title}</h3>
<p class="state ${facts.complete ? 'is-whole' : 'is-part'}">${facts.complete ? '● Complete' : '◐ Partial'}</p>
<p>${sentence(facts.why)}</p>
${facts.notes.map((note) => html`<p>${sentence(note)}</p>`)}
<dl class="facts small">
${fact('Tokens', formatCount(facts.tokens))}
${fact('Counted', `${countOf(before)} before, ${countOf(after)} after`)}
${fact('Taken', formatMoment(facts.takenAt))}
${fact('Inventory', html`<code>${facts.inventory}</code>`)}
</dl><p class="faint">${purpose}</p></article>`
}

function countOf(count: number | null): string {
  return count === null ? 'not' : formatCount(count)
}
