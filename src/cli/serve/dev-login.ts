import { html } from '../../core/html.ts'
import type { Authorize, AuthorizeAsk } from '../../server/endpoints/authorize.ts'

/** A name as a person types it. */
const USER = /^[\w.@+-]{1,100}$/
const FIELD = 'dev_user'
const DECISION = 'dev_decision'
const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}
const STYLE = `body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 4rem auto; padding: 0 1rem }
input, button { font: inherit; padding: .3rem .6rem }`

/**
 * Returns the login of `--dev-login`: a page that asks for a name and believes it. Its form sends the
 * authorization request again, with the name: one call of curl with `dev_user=ann` logs in.
 *
 * @param newSession returns the id of a new session
 */
export function devLogin(newSession: () => string): Authorize {
  return async (_, ask) => {
    if (ask.parameters.get(DECISION) === 'deny') return null
    const user = ask.parameters.get(FIELD)
    const flaw = user === undefined ? null : flawOf(user, ask)
    if (user !== undefined && flaw === null) return { userId: user, sessionId: newSession() }
    return new Response(pageOf(ask, flaw), { headers: HEADERS })
  }
}

function flawOf(user: string, { client }: AuthorizeAsk): string | null {
  if (!USER.test(user)) return 'A name has letters, digits and . _ @ + - alone.'
  // Resource servers tell a client's own tokens by this: the authority refuses such a user.
  return user === client.id ? 'This is the name of the application: take another.' : null
}

function pageOf({ client, scope, parameters }: AuthorizeAsk, flaw: string | null): string {
  const hidden = [...parameters]
    .filter(([name]) => name !== FIELD && name !== DECISION)
    .map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)
  return html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Development login</title>
<style>${{ markup: STYLE }}</style>
<h1>Development login</h1>
<p><strong>${client.name || client.id}</strong> asks for ${scope || 'no scope'}.
Anybody can be anybody here: it is for this machine alone.</p>
${flaw === null ? null : html`<p role="alert">${flaw}</p>`}
<form method="get">${hidden}
<p><label>User <input name="${FIELD}" autofocus required autocomplete="username"></label></p>
<p><button>Log in and allow</button> <button name="${DECISION}" value="deny" formnovalidate>Deny</button></p>
</form>
</html>
`.markup
}
