import { createHash } from 'node:crypto'
import { html } from '../../core/html.ts'
import { PAGE_STYLE } from '../../core/page-style.ts'
import type { WireAnswer } from '../../core/wire.ts'
import type { Refusal } from '../refusal.ts'

const STYLE = `${PAGE_STYLE}
.page{max-width:36rem;padding-top:clamp(2.5rem,16vh,9rem)}
h1{font-size:1.9rem}
p+p{margin-top:1rem}
.next{padding-top:1rem;border-top:1px solid var(--line);color:var(--soft)}
`

/** Nothing is loaded, run or framed but this style and the empty icon. */
const HEADERS = {
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

/**
 * Returns the page for a person whose sign-in cannot go on, where nothing may be redirected. Holds
 * our own sentence alone, and nothing of the request.
 */
export function refusalPage({ error_description }: Refusal): WireAnswer {
  const { markup: body } = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>This sign-in cannot go on</title>
<link rel="icon" href="data:,">
<style>${{ markup: STYLE }}</style>
</head>
<body>
<main class="page">
<h1>This sign-in cannot go on</h1>
<p class="lead">${error_description}</p>
<p class="next">Go back to the application and try again. If it happens again, tell those who run it.</p>
</main>
</body>
</html>
`
  return { status: 400, headers: HEADERS, body }
}
