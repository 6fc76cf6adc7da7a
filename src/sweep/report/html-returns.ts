import { formatCount, formatCounted } from '../../core/counts.ts'
import { type Content, html, type Markup, name } from '../../core/html.ts'
import { formatMoment } from '../../core/moments.ts'
import type { Comeback } from '../../providers/provider.ts'
import type { AppTally, ReportModel } from './model.ts'

/** Apps that a line names; the rest of the line folds away. */
const NAMES_MAX = 12
/** Lines of a table that stand open. */
const LINES_MAX = 25

/** Writes which apps came back, and how each app can: the same ways stand together. */
export function returnsSection(model: ReportModel): Markup {
  const back = model.apps
    .filter((app) => app.cameBack > 0)
    .toSorted((a, b) => b.cameBack - a.cameBack)
  return html`<section id="returns"><h2>Apps that came back, and how they can</h2>
<p>${lookWords(model, back.length)} Revoking tokens does not keep an app out.</p>
${back.length === 0 ? null : folded(back, 'more app', backTable)}
${model.apps.length === 0 ? null : folded(groupWays(model.apps), 'more way', waysTable)}
</section>`
}

function lookWords({ secondLook }: ReportModel, back: number): string {
  const apps = back === 0 ? 'No app' : formatCounted(back, 'app')
  if (secondLook === null) {
    return back === 0
      ? 'No second look was taken, so an app may have come back unseen.'
      : `${apps} came back. No second look was taken, so there may be more.`
  }
  const unseen = secondLook.complete ? '' : ' That look was partial, so there may be more.'
  return `${apps} came back by the second look at ${formatMoment(secondLook.takenAt)}.${unseen}`
}

function folded<T>(
  lines: readonly T[],
  one: string,
  table: (some: readonly T[]) => Markup,
): Markup {
  const more = lines.slice(LINES_MAX)
  return html`${table(lines.slice(0, LINES_MAX))}
${more.length === 0 ? null : html`<details><summary>${formatCounted(more.length, one)}</summary>${table(more)}</details>`}`
}

function backTable(apps: readonly AppTally[]): Markup {
  return html`<table class="returns"><caption>Came back: new tokens of a planned user and app</caption>
<thead><tr><th scope="col">App</th><th scope="col" class="num">New tokens</th><th scope="col">How</th></tr></thead>
<tbody>${apps.map(
    (
      app,
    ) => html`<tr><th scope="row">${name(app.label)}<code class="id">${app.id}</code></th><td class="num n-alive">${formatCount(app.cameBack)}</td><td>${wayWords(app)}</td></tr>
`,
  )}</tbody></table>`
}

interface Way {
  readonly comeback: Comeback
  readonly comebackWhy: string
  readonly apps: AppTally[]
}

const COMEBACK_ORDER: readonly Comeback[] = [
  'at_once',
  'one_consent',
  'unknown',
  'admin',
  'blocked',
]

function groupWays(apps: readonly AppTally[]): readonly Way[] {
  const ways = new Map<string, Way>()
  for (const app of apps) {
    const key = `${app.comeback} ${app.comebackWhy}`
    const way = ways.get(key) ?? { ...app, apps: [] }
    way.apps.push(app)
    ways.set(key, way)
  }
  return [...ways.values()].toSorted(
    (a, b) =>
      COMEBACK_ORDER.indexOf(a.comeback) - COMEBACK_ORDER.indexOf(b.comeback) ||
      b.apps.length - a.apps.length,
  )
}

function waysTable(ways: readonly Way[]): Markup {
  return html`<table class="returns"><caption>How each planned app can come back, the most pressing first</caption>
<thead><tr><th scope="col">It can come back</th><th scope="col" class="num">Apps</th><th scope="col">Which</th></tr></thead>
<tbody>${ways.map(
    (
      way,
    ) => html`<tr><td>${wayWords(way)}</td><td class="num">${formatCount(way.apps.length)}</td><td>${appNames(way.apps)}</td></tr>
`,
  )}</tbody></table>`
}

function appNames(apps: readonly AppTally[]): Content {
  const listed = (some: readonly AppTally[]) =>
    some.map((app, index) => [index === 0 ? '' : ', ', name(app.label)])
  const more = apps.slice(NAMES_MAX)
  if (more.length === 0) return listed(apps)
  return [
    listed(apps.slice(0, NAMES_MAX)),
    html`<details><summary>and ${formatCount(more.length)} more</summary>${listed(more)}</details>`,
  ]
}

function wayWords(app: Pick<AppTally, 'comeback' | 'comebackWhy'>): Markup {
  const why =
    app.comebackWhy === '' ? null : html`: <span class="faint">${name(app.comebackWhy)}</span>`
  return html`<b>${comebackWords(app.comeback)}</b>${why}`
}

function comebackWords(comeback: Comeback): string {
  switch (comeback) {
    case 'at_once':
      return 'at once, without a person'
    case 'one_consent':
      return 'with one consent of a user'
    case 'admin':
      return 'only by an admin'
    case 'blocked':
      return 'not: it is blocked'
    case 'unknown':
      return 'not known'
  }
}
