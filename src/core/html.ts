import { shownName } from './screen-text.ts'

/** HTML that was made by {@link html}, so that it is known to be escaped. */
export interface Markup {
  readonly markup: string
}

export type Content = Markup | string | number | null | readonly Content[]

/**
 * Builds HTML from a template. What is put in is escaped, for text and for quoted attributes;
 * only {@link Markup} goes in as it is. `null` is nothing.
 */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
  let markup = strings[0] ?? ''
  for (const [index, value] of values.entries()) {
    markup += markupOf(value) + (strings[index + 1] ?? '')
  }
  return { markup }
}

function markupOf(content: Content): string {
  if (content === null) return ''
  if (typeof content === 'string') return escapeHtml(content)
  if (typeof content === 'number') return String(content)
  if ('markup' in content) return content.markup
  return content.map(markupOf).join('')
}

/** Escapes a text for HTML, inside an element or a quoted attribute. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}

/** Shows a name that others chose: cut, made visible, and kept from reordering its neighbours. */
export function name(text: string): Markup {
  return html`<bdi>${shownName(text)}</bdi>`
}
