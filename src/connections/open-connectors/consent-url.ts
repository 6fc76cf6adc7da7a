import { RescindError } from '../../core/errors.ts'
import type { Secret } from '../../core/secret.ts'
import { parseEndpoint } from '../../core/url.ts'
import type { ElementApp, OpenConnectorsSettings } from './settings.ts'

/** Returns the query of `GET /elements/{key}/oauth/url`. It holds `apiSecret`, for the vendor wants it there. */
export function consentQuery(
  app: ElementApp,
  { callbackUrl }: OpenConnectorsSettings,
  state: Secret,
): URLSearchParams {
  return new URLSearchParams({
    apiKey: app.apiKey,
    apiSecret: app.apiSecret.reveal(),
    callbackUrl,
    state: state.reveal(),
    ...(app.scope === null ? {} : { scope: app.scope }),
    ...(app.siteAddress === null ? {} : { siteAddress: app.siteAddress }),
  })
}

/**
 * Judges the consent URL that the platform gave, and returns it as the owner may see it: it leads to a
 * known host, asks for our client, comes back to our callback with our state, and has no client secret.
 *
 * @throws RescindError `answer_invalid`, `url_plain_http`
 */
export function checkConsentUrl(
  text: string,
  app: ElementApp,
  { callbackUrl, switches }: OpenConnectorsSettings,
  state: Secret,
): string {
  const url = parseEndpoint(text, 'The consent URL of the platform')
  if (app.consentHosts.length > 0 && !app.consentHosts.includes(url.host)) {
    throw wrongUrl(`leads to ${url.host}, which is not among its consentHosts`)
  }
  const query = url.searchParams
  if (switches.clientSecretInUrl === 'removed') query.delete('client_secret')
  if (query.get('client_id') !== app.apiKey) throw wrongUrl('asks for another client than apiKey')
  if (query.get('redirect_uri') !== callbackUrl) throw wrongUrl('comes back to another address')
  // The owner goes where we send him: where the platform left our state out, it is put in.
  if (!query.has('state')) query.set('state', state.reveal())
  if (query.get('state') !== state.reveal() && switches.state === 'required') {
    throw wrongUrl('has a state that is not ours')
  }
  return url.href
}

function wrongUrl(what: string): RescindError {
  return new RescindError(
    'answer_invalid',
    `The consent URL that the platform gave ${what}. Nobody was sent there. Check openConnectors in rescind.yaml.`,
  )
}
