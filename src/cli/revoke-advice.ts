import { decodeJwt } from 'jose'
import type { Secret } from '../core/secret.ts'
import type { Revocation } from '../protocol/revoke-token.ts'

/** Says what to do next, one sentence a line; the last word on what the answer is worth. */
export function adviceFor(done: Revocation, token: Secret, verify: boolean): readonly string[] {
  const next = done.dead ? 'Proven dead.' : nextStep(done, verify)
  const residual = residualAccess(token)
  return residual ? [next, residual] : [next]
}

function nextStep(done: Revocation, verify: boolean): string {
  const { outcome, code } = done
  switch (outcome) {
    case 'revoked':
      return verify
        ? 'Acked, not proven: the server said yes, and no look could confirm it.'
        : 'Acked, not proven: use --verify, which looks at the token before and after.'
    case 'already_dead':
      return 'Not proven: the server calls a token dead, too, that another client, host or org owns. Check that it was the right one.'
    case 'queued':
      return 'Not proven: the server will do it later. Look again before you rely on it.'
    case 'refused':
      return done.credentialTrouble
        ? 'The server did not accept the client: check its id, its secret or key, and --client-auth. The token must be taken to be alive.'
        : 'The token must be taken to be alive. A server revokes a token only for the client that it was issued to.'
    case 'irrevocable':
      return 'The server does not revoke tokens of this type: this one lives until it expires. Revoke its refresh token or its grant, and rotate what it opens.'
    case 'in_doubt':
      return code === 'web_page'
        ? 'A web page answered: check that the address is the revocation endpoint. The token must be taken to be alive.'
        : 'Whether it worked is not known: send it again, with --verify.'
    case 'failed':
      return failedStep(done)
  }
}

function failedStep({ code, busy, retryAfterMs }: Revocation): string {
  if (code === 'still_active') {
    return 'The token still works, whatever the server answered. Report it to who runs the server, and cut the token off another way.'
  }
  if (/^http_3\d\d$/.test(code)) {
    return 'The server redirects, and a token is never sent after a redirect. Use the address of the host that serves you (Salesforce: the instance host, https://MyDomain.my.salesforce.com).'
  }
  if (busy) {
    const when = retryAfterMs ? ` in ${Math.ceil(retryAfterMs / 1000)} s` : ' later'
    return `The token is still alive: the server had no capacity. Send it again${when}.`
  }
  return 'The token is still alive. Check that the address is the revocation endpoint.'
}

/** Who checks a JWT by its signature alone never hears of its revocation. */
function residualAccess(token: Secret): string | undefined {
  if (!/^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(token.reveal())) return undefined
  return `It is a JWT: a service that checks only its signature accepts it ${expiryOf(token)}, whatever the server says.`
}

function expiryOf(token: Secret): string {
  try {
    const { exp } = decodeJwt(token.reveal())
    if (exp === undefined) return 'for ever, for it has no expiry'
    return `until ${new Date(exp * 1000).toISOString()}`
  } catch {
    return 'until it expires'
  }
}
