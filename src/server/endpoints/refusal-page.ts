import type { Refusal } from '../refusal.ts'
import type { WireAnswer } from '../wire/message.ts'

/** Nothing is loaded, run or framed. */
const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/**
 * Returns the page for a person whose sign-in cannot go on, where nothing may be redirected. Holds
 * our own sentence alone, and nothing of the request.
 */
export function refusalPage({ error_description }: Refusal): WireAnswer {
  const body = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>This sign-in cannot go on</title>
<h1>This sign-in cannot go on</h1>
<p>${error_description}</p>
<p>Go back to the application and try again; if it happens again, tell those who run it.</p>
</html>
`
  return { status: 400, headers: HEADERS, body }
}
