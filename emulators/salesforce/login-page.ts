import { escapeXml } from './soap-xml.ts'

const STYLE = `
:root{--paper:#eef2f7;--sheet:#fff;--ink:#181818;--soft:#4a5568;--line:#c3ccd8;--act:#0b5cab;--on-act:#fff;--bad:#a61b14}
@media(prefers-color-scheme:dark){:root{--paper:#12171d;--sheet:#1b232c;--ink:#e8edf3;--soft:#a9b5c2;--line:#44505d;--act:#8ab8f2;--on-act:#10161d;--bad:#ff9a8f}}
*{box-sizing:border-box}
html{color-scheme:light dark}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",Arial,sans-serif}
main{width:100%;max-width:25rem;padding:2rem;background:var(--sheet);border:1px solid var(--line);border-radius:10px}
h1{margin:0 0 .4rem;font-size:1.5rem;line-height:1.25}
p{margin:0 0 1.2rem;color:var(--soft)}
p.error{color:var(--bad)}
label{display:block;margin-bottom:1rem;font-size:.9rem;color:var(--soft)}
input{display:block;width:100%;margin-top:.25rem;padding:.55rem .7rem;font:inherit;font-size:1rem;color:var(--ink);background:var(--paper);border:1px solid var(--line);border-radius:6px}
.buttons{display:flex;gap:.7rem;margin-top:1.4rem}
button{flex:1;padding:.6rem 1rem;font:inherit;font-weight:600;color:var(--act);background:none;border:1px solid var(--act);border-radius:6px;cursor:pointer}
button:last-child{color:var(--on-act);background:var(--act)}
:focus-visible{outline:2px solid var(--act);outline-offset:2px}
footer{margin-top:1.4rem;padding-top:1rem;border-top:1px solid var(--line);font-size:.85rem;color:var(--soft)}
`
const FOOT = 'An emulated org on this machine: its users and passwords are made up.'

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
    ({ name, label, type }, at) =>
      `<label>${escapeXml(label)} <input name="${name}" type="${type}" id="${name}" autocomplete="off"${at === 0 ? ' autofocus' : ''}></label>`,
  )
  const buttons = page.buttons.map(
    ({ name, value, label }) =>
      `<button name="${name}" value="${value}" id="${value}">${escapeXml(label)}</button>`,
  )
  const error =
    page.error === undefined ? '' : `<p class="error" role="alert">${escapeXml(page.error)}</p>`
  const inner = `${hidden.join('')}${fields.join('')}<div class="buttons">${buttons.join('')}</div>`
  const form = `<form method="post" action="${escapeXml(page.action)}">${inner}</form>`
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><title>${escapeXml(page.title)}</title><style>${STYLE}</style>`
  const body = `<h1>${escapeXml(page.title)}</h1><p>${escapeXml(page.text)}</p>${error}${form}<footer>${FOOT}</footer>`
  return `<!doctype html><html lang="en"><head>${head}</head><body><main>${body}</main></body></html>`
}
