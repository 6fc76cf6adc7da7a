import { createHash } from 'node:crypto'

/** How a visit to the loopback address ended, as far as the person at the browser needs to know. */
export type VisitKind = 'code' | 'refused' | 'stranger'

const STYLE = `
:root{--paper:#f5f6f8;--sheet:#fff;--ink:#18212b;--soft:#566270;--line:#d8dde4;--good:#1d6b5e;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--paper:#12171d;--sheet:#1a2129;--ink:#e5eaf0;--soft:#9eabb9;--line:#35404c;--good:#5cc4ae;--bad:#ff8d80}}
*{box-sizing:border-box}
html{color-scheme:light dark}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans",Arial,sans-serif}
main{width:100%;max-width:28rem;padding:2rem;background:var(--sheet);border:1px solid var(--line);border-radius:10px}
svg{display:block;margin-bottom:1rem;fill:none;stroke:currentColor;stroke-width:2.2;stroke-linecap:round;stroke-linejoin:round}
.code svg{color:var(--good)}
.refused svg,.stranger svg{color:var(--bad)}
h1{margin:0 0 .5rem;font-size:1.45rem;line-height:1.25;letter-spacing:-.012em}
p{margin:0;color:var(--soft)}
`

/** The browser runs and loads nothing but this style and the empty icon. */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const TICK = '<circle cx="16" cy="16" r="13"/><path d="m10 16.5 4 4 8-9"/>'
const CROSS = '<circle cx="16" cy="16" r="13"/><path d="m11.5 11.5 9 9m0-9-9 9"/>'
const CLOSE = 'You can close this window.'

/** The code is not exchanged yet when the page is shown, so it does not say that the login worked. */
const PAGES: Readonly<
  Record<VisitKind, { readonly status: number; readonly sign: string; readonly words: string[] }>
> = {
  code: {
    status: 200,
    sign: TICK,
    words: ['The login is approved', `${CLOSE} The terminal says what came of it.`],
  },
  refused: {
    status: 200,
    sign: CROSS,
    words: ['The login was refused', `${CLOSE} The terminal says why.`],
  },
  stranger: {
    status: 404,
    sign: CROSS,
    words: [
      'There is nothing here',
      'What is waited for has another address: the terminal shows it.',
    ],
  },
}

/** What the browser is answered with. */
export interface VisitPage {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly html: string
}

/**
 * Renders the page that a visit ends on. Its address holds the code, so nothing is stored and no referrer sent.
 *
 * @see RFC 8252 section 7.3
 */
export function renderVisit(visit: VisitKind): VisitPage {
  const { status, sign, words } = PAGES[visit]
  const [title, text] = words
  const icon = `<svg width="40" height="40" viewBox="0 0 32 32" aria-hidden="true">${sign}</svg>`
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><title>${title} · Rescind</title><style>${STYLE}</style>`
  const body = `<main class="${visit}">${icon}<h1>${title}</h1><p>${text}</p></main>`
  return {
    status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': POLICY,
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      connection: 'close',
    },
    html: `<!doctype html><html lang="en"><head>${head}</head><body>${body}</body></html>`,
  }
}
