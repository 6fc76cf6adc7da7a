import { type Answer, jsonAnswer } from '../answer.ts'
import { platformError } from './answers.ts'
import type { Call } from './call.ts'
import { findElement } from './elements.ts'
import { emulated } from './provider.ts'

const REQUIRED = ['apiKey', 'apiSecret', 'callbackUrl'] as const
const LOGIN_URL = 'https://login.salesforce.com'

/**
 * Answers `GET /elements/{keyOrId}/oauth/url`, which asks for no Authorization header. The client secret comes in the
 * query, and by the vendor's sample goes out in the URL.
 */
export function answerOauthUrl(call: Call, keyOrId: string): Answer {
  const { query, account } = call
  const element = findElement(keyOrId)
  if (element === undefined) return platformError(call, 404, `No element found for ${keyOrId}`)
  const missing = REQUIRED.filter((name) => (query.get(name) ?? '') === '')
  if (missing.length > 0) {
    return platformError(call, 400, `Missing required parameters: ${missing.join(', ')}`)
  }
  const site = emulated(account, query.get('siteAddress') || LOGIN_URL)
  if (!URL.canParse(site)) return platformError(call, 400, 'siteAddress is not an address')
  account.secrets.add(query.get('apiSecret') ?? '')
  return jsonAnswer(200, { element: element.key, oauthUrl: urlAt(call, site) })
}

function urlAt({ query, account }: Call, site: string): string {
  const url = new URL('/services/oauth2/authorize', site)
  url.searchParams.set('response_type', 'code')
  url.searchParams.set('client_id', query.get('apiKey') ?? '')
  if (account.switches.clientSecretInOauthUrl) {
    url.searchParams.set('client_secret', query.get('apiSecret') ?? '')
  }
  url.searchParams.set('scope', query.get('scope') ?? 'full refresh_token')
  url.searchParams.set('redirect_uri', query.get('callbackUrl') ?? '')
  const state = query.get('state')
  if (state !== null && account.switches.stateInOauthUrl === 'echoed') {
    url.searchParams.set('state', state)
  }
  return url.href
}
