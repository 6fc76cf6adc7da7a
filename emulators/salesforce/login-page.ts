import { escapeXml } from './soap-xml.ts'

const STYLE =
  'body{font:16px system-ui;margin:10vh auto;max-width:24rem;padding:0 1rem}label,button{display:block;margin:.8rem 0}input{width:100%;font:inherit;padding:.4rem}button{font:inherit;padding:.5rem 1rem}.error{color:#b00}'

/** What a page of the login shows. `hidden` goes on to the next step as it is. */
export interface PageContent {
  readonly title: string
  readonly text: string
  readonly error?: string | undefined
  readonly action: string
  readonly hidden: Readonly<Record<string, string>>
  readonly fields: readonly {
    readonly name: string
    readonly label: string
    readonly type: string
  }[]
  readonly buttons: readonly {
    readonly name: string
    readonly value: string
    readonly label: string
  }[]
}

/** Renders one page of the login: a plain form that works without script. */
export function renderPage(page: PageContent): string {
  const hidden = Object.entries(page.hidden).map(
    ([name, value]) =>
      `<input type="hidden" name="${escapeXml(name)}" value="${escapeXml(value)}">`,
  )
  const fields = page.fields.map(
    ({ name, label, type }) =>
      `<label>${escapeXml(label)} <input name="${name}" type="${type}" id="${name}"></label>`,
  )
  const buttons = page.buttons.map(
    ({ name, value, label }) =>
      `<button name="${name}" value="${value}" id="${value}">${escapeXml(label)}</button>`,
  )
  const error = page.error === undefined ? '' : `<p class="error">${escapeXml(page.error)}</p>`
  const form = [...hidden, ...fields, ...buttons].join('')
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeXml(page.title)}</title><style>${STYLE}</style><h1>${escapeXml(page.title)}</h1><p>${escapeXml(page.text)}</p>${error}<form method="post" action="${escapeXml(page.action)}">${form}</form></html>`
}
