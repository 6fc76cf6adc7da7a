import type { Clock } from '../../core/clock.ts'
import { parseRetryAfter } from '../../core/http.ts'
import { parseEndpoint } from '../../core/url.ts'
import { type OAuthClient, secretsOf } from '../../protocol/client-auth.ts'
import type { ServerMetadata } from '../../protocol/discovery.ts'
import type { LifeSign } from '../../protocol/introspect.ts'
import { readOAuthError } from '../../protocol/oauth-error.ts'
import { captureRequest, type Way } from '../../protocol/oauth-request.ts'
import { chooseClient } from '../../protocol/open-target.ts'
import {
  type HeldToken,
  introspectionLook,
  type Look,
  type RevocationTarget,
} from '../../protocol/revocation-target.ts'
import type { RevocationAnswer } from '../../protocol/revoke.ts'
import type { HeldTokenWay } from '../provider.ts'
import { BAD_ID, judgeRevocation } from './kill-answer.ts'

/** Where the OAuth endpoints stand below the host, or below an Experience Cloud site's path. */
const OAUTH_PATH = '/services/oauth2'

export interface SalesforceTargetOptions {
  /** The instance host (My Domain), a login host, or an Experience Cloud site with its path. */
  readonly url: URL
  /** An app that may introspect; without it, refresh tokens cannot be looked at. */
  readonly client?: OAuthClient | undefined
}

/** How `rescind revoke` gets there: the host is all that it needs to know. */
export const salesforceHeldToken: HeldTokenWay = {
  addresses: ['url'],
  sayWhere: 'Say where with --url, best the instance host: https://MyDomain.my.salesforce.com.',
  openTarget: async (wish) => {
    const url = parseEndpoint(wish.url ?? '', 'The address of --url', wish.acceptRisk)
    const client = wish.clientId === undefined ? undefined : chooseClient(wish)
    return salesforceTarget({ url, client })
  },
}

/**
 * Returns the target of Salesforce's own revocation: possession of the token is the authority, so
 * no client authenticates; errors are 400 and form-encoded; a second revocation is an error.
 *
 * @see https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_revoke_token.htm&type=5
 */
export function salesforceTarget({ url, client }: SalesforceTargetOptions): RevocationTarget {
  const base = url.origin + url.pathname.replace(/\/+$/, '') + OAUTH_PATH
  const endpoint = new URL(`${base}/revoke`)
  const send = (held: HeldToken, way: Way) => sendSalesforceRevocation(endpoint, held, way)
  return {
    endpoint,
    secrets: client ? secretsOf(client) : [],
    build: (held) => captureRequest((way) => send(held, way)),
    send,
    judge: processSalesforceRevocation,
    looks: [
      ...(client ? [introspectionLook({ server: introspectionServer(base), client })] : []),
      userinfoLook(`${base}/userinfo`),
    ],
  }
}

/** Asks: the token goes in the body, for a query string is logged on the way. */
function sendSalesforceRevocation(
  endpoint: URL,
  { token }: HeldToken,
  way: Way,
): Promise<Response> {
  return way.fetch(endpoint.href, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' },
    body: new URLSearchParams({ token: token.reveal() }).toString(),
    redirect: 'manual',
    signal: way.signal ?? null,
  })
}

/** Judges one answer of Salesforce's revocation endpoint, as the sweep does. */
export async function processSalesforceRevocation(
  response: Response,
  clock: Pick<Clock, 'now'>,
): Promise<RevocationAnswer> {
  const body = await response.clone().text()
  const retryAfter = response.headers.get('retry-after')
  const retryAfterMs = parseRetryAfter(retryAfter, clock.now(), response.headers.get('date'))
  const { outcome, code, congested } = judgeRevocation({
    status: response.status,
    body,
    retryAfterMs,
  })
  return {
    outcome,
    proof: outcome === 'revoked' ? 'acked' : 'sent',
    code,
    description: (await readOAuthError(response)).description,
    retryAfterMs,
    busy: congested === true || code === BAD_ID,
    // No credential of ours takes part, so none can be the trouble.
    credentialTrouble: false,
  }
}

function introspectionServer(base: string): ServerMetadata {
  return { issuer: base, introspection_endpoint: `${base}/introspect` }
}

/** Returns the look by userinfo, which an access token opens and a dead one does not. */
function userinfoLook(url: string): Look {
  return {
    name: 'userinfo',
    proves: 'rejected',
    fits: isAccessToken,
    look: async ({ token }, way) => {
      const headers = { authorization: `Bearer ${token.reveal()}`, accept: 'application/json' }
      const init = {
        method: 'GET',
        headers,
        redirect: 'manual',
        signal: way.signal ?? null,
      } as const
      return await processSalesforceUserinfo(await way.fetch(url, init))
    },
  }
}

/** An access token starts with the org's id, or is a JWT; a refresh token must not be sent here. */
function isAccessToken({ token, hint }: HeldToken): boolean {
  if (hint === 'refresh_token') return false
  return /^(00D[A-Za-z0-9]{12,15}!|eyJ[\w-]+\.[\w-]+\.)/.test(token.reveal())
}

/**
 * Judges one answer of userinfo. Only the errors that mean a dead token count: a session that may
 * not use this API, or an app that may not, gets a 401 or 403 while its token lives.
 */
export async function processSalesforceUserinfo(response: Response): Promise<LifeSign> {
  const text = await response.text()
  if (response.status === 200) {
    return /"user_id"|"sub"/.test(text)
      ? { life: 'alive', code: 'http_200' }
      : { life: 'unclear', code: 'answer_invalid' }
  }
  const refused = response.status === 401 || response.status === 403
  const challenge = response.headers.get('www-authenticate') ?? ''
  const deadError = DEAD_ERRORS.find((shape) => shape.test(`${text}\n${challenge}`))
  return refused && deadError
    ? { life: 'dead', code: `http_${response.status}` }
    : { life: 'unclear', code: `http_${response.status}` }
}

const DEAD_ERRORS: readonly RegExp[] = [
  /\bBad_OAuth_Token\b/,
  /\berror="?invalid_token\b/,
  /"error"\s*:\s*"invalid_token"/,
  /\bSession expired or invalid\b/,
]
