import { createHash } from 'node:crypto'
import { type Content, html } from '../core/html.ts'
import { PAGE_STYLE } from '../core/page-style.ts'
import { describeChange } from './grant-change.ts'
import type { ReconnectOutcome } from './reauthorize.ts'

/** What this page has beside the style of all. */
const STYLE = `${PAGE_STYLE}
main{max-width:34rem;margin:0 auto;padding:clamp(2.5rem,12vh,7rem) 1.5rem 3rem}
.sign{width:2.6rem;height:2.6rem;fill:none;stroke:currentColor;stroke-width:2.2;stroke-linecap:round;stroke-linejoin:round}
.good .sign{color:var(--dead)}
.bad .sign{color:var(--alive)}
.later .sign{color:var(--unknown)}
h1{font-size:clamp(1.5rem,4.5vw,2rem);margin:1rem 0 .8rem}
p+p{margin-top:.8rem}
`

/** Its address holds a code: nothing is loaded, run, framed or sent on, and nobody keeps it. */
const HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': [
    "default-src 'none'",
    `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

const SIGNS = {
  good: html`<circle cx="16" cy="16" r="13"/><path d="m10 16.5 4 4 8-9"/>`,
  bad: html`<circle cx="16" cy="16" r="13"/><path d="m11.5 11.5 9 9m0-9-9 9"/>`,
  later: html`<circle cx="16" cy="16" r="13"/><path d="M16 9v7.5l4.5 3"/>`,
} as const

interface Words {
  readonly status: number
  readonly sign: keyof typeof SIGNS
  readonly title: string
  readonly text: readonly Content[]
}

const CLOSE = 'You can close this page.'
const ASK = 'Ask those who sent you the link for a new one.'
const KEPT = 'Nothing was changed.'

/** The words for the owner. None of them is a vendor's, and none is of the request. */
function wordsFor(outcome: ReconnectOutcome): Words {
  switch (outcome.kind) {
    case 'reconnected':
      // Of a first grant too: nothing worked before it, and nobody need have waited.
      return good('The connection works', [
        'The access is stored, and what waits for it goes on by itself.',
        CLOSE,
      ])
    case 'forged':
      return bad(400, 'This link is not known', [
        'The address that you came back with belongs to no link of ours, or to one that is long gone.',
        `${KEPT} ${ASK}`,
      ])
    case 'used':
      return bad(409, 'This link was used before', [
        'A link is good once. If you have just seen that the connection works, all is well.',
        `Otherwise: ${ASK.toLowerCase()}`,
      ])
    case 'late':
      return later(410, 'This link has run out', ['A link is good for a day.', `${KEPT} ${ASK}`])
    case 'denied':
      return later(200, 'You did not consent', [
        'The connection stays as it was.',
        `If that was a slip: ${ASK.toLowerCase()}`,
      ])
    case 'provider_error':
      return bad(502, 'The login could not be finished', [
        'The provider ended it with an error.',
        `${KEPT} ${ASK}`,
      ])
    case 'code_refused':
      return bad(409, 'The consent could not be used', [
        'The provider did not take it: it was used before, or too much time went by.',
        `${KEPT} ${ASK}`,
      ])
    case 'unreachable':
      return later(502, 'The provider does not answer', [
        'Your consent could not be completed, for the provider could not be reached or was not well.',
        `The connection is as it was. Wait a little. ${ASK}`,
      ])
    case 'wrong_issuer':
      return bad(400, 'This answer is not of the right server', [
        'The address that you came back with does not come from the server that you were sent to, so it was not used.',
        `${KEPT} ${ASK}`,
      ])
    case 'our_fault':
      return bad(502, 'This is not your fault', [
        'The provider refuses the application itself, and no login can mend that.',
        `${KEPT} Tell those who sent you the link.`,
      ])
    case 'changed':
      return bad(403, 'This is not the access that was there before', [
        `The new access was not kept: ${outcome.changes.map(describeChange).join(', and ')}.`,
        `Log in at the provider with the account of before, and allow all that is asked for. ${ASK}`,
      ])
    case 'unconfirmed':
      return later(502, 'It could not be checked who you are', [
        'The provider did not say whose access this is, so it was not kept.',
        `${KEPT} Wait a little. ${ASK}`,
      ])
    case 'gone':
      return bad(409, 'This connection is no more', [
        'It was disconnected while you were away. The new access was not kept.',
        CLOSE,
      ])
    case 'not_stored':
      return later(503, 'The new access could not be stored', [
        'Something is wrong on our side.',
        `${KEPT} Wait a little. ${ASK}`,
      ])
  }
}

function good(title: string, text: readonly Content[]): Words {
  return { status: 200, sign: 'good', title, text }
}

function bad(status: number, title: string, text: readonly Content[]): Words {
  return { status, sign: 'bad', title, text }
}

function later(status: number, title: string, text: readonly Content[]): Words {
  return { status, sign: 'later', title, text }
}

/** Renders the page that the owner of a connection ends on. */
export function reconnectPage(outcome: ReconnectOutcome): Response {
  return pageOf(wordsFor(outcome))
}

/** Renders the page for an owner whose callback met an error of ours: what came of it is not known. */
export function troublePage(): Response {
  const words = ['The answer of the provider could not be taken.', `Wait a little. ${ASK}`]
  return pageOf(later(503, 'Something is wrong on our side', words))
}

function pageOf({ status, sign, title, text }: Words): Response {
  const paragraphs = text.map((one) => html`<p>${one}</p>`)
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,"><title>${title}</title><style>${{ markup: STYLE }}</style></head>
<body><main class="${sign}"><svg class="sign" viewBox="0 0 32 32" aria-hidden="true">${SIGNS[sign]}</svg>
<h1>${title}</h1>${paragraphs}</main></body></html>
`
  return new Response(page.markup, { status, headers: HEADERS })
}
