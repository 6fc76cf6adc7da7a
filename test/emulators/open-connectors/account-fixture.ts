import { onTestFinished } from 'vitest'
import {
  type OpenConnectorsAccount,
  type OpenConnectorsOptions,
  type OpenConnectorsSwitches,
  type SalesforceOptions,
  type SalesforceOrg,
  startOpenConnectors,
  startSalesforce,
} from '../../../emulators/index.ts'
import { walkLogin } from '../clients/login-walk.ts'
import { type Reply, send } from '../salesforce/org-fixture.ts'

/** An account, and the org that its instances connect to. */
export interface Pair {
  readonly org: SalesforceOrg
  readonly account: OpenConnectorsAccount
}

export interface PairOptions {
  readonly org?: SalesforceOptions
  readonly account?: Partial<OpenConnectorsOptions>
  readonly switches?: Partial<OpenConnectorsSwitches>
}

/** Between two attempts of a refresh, in these tests. */
export const RETRY_MS = 15
export const CALLBACK = 'http://127.0.0.1:50321/callback'

/** Starts both emulators; they end with the test. */
export async function startPair(options: PairOptions = {}): Promise<Pair> {
  const org = await startSalesforce({
    seed: 5,
    size: { users: 20, apps: 16, tokens: 0 },
    ...options.org,
  })
  const account = await startOpenConnectors({
    salesforceUrl: org.url,
    seed: 5,
    refreshRetryMs: RETRY_MS,
    switches: options.switches,
    ...options.account,
  })
  onTestFinished(async () => {
    await account.close()
    await org.close()
  })
  return { org, account }
}

/** The header of a call: of the platform, or with an Element token through an instance. */
export function header({ account }: Pair, element?: string): string {
  const { userSecret, organizationSecret } = account.credentials
  const platform = `User ${userSecret}, Organization ${organizationSecret}`
  return element === undefined ? platform : `${platform}, Element ${element}`
}

export interface Call {
  readonly authorization?: string
  readonly body?: unknown
}

/** Sends a call of the platform's API, as `GET /instances`. */
export function call(pair: Pair, target: string, { authorization, body }: Call = {}) {
  const [method = 'GET', path = ''] = target.split(' ')
  const headers: Record<string, string> = { authorization: authorization ?? header(pair) }
  if (body !== undefined) headers['content-type'] = 'application/json'
  const init = body === undefined ? {} : { body: JSON.stringify(body) }
  return send(pair.account.apiUrl + path, { method, headers, ...init })
}

export interface Consent {
  readonly who?: 'limited' | 'admin'
  readonly decision?: 'Allow' | 'Deny'
  readonly app?: 'connected' | 'rotating'
  readonly query?: Readonly<Record<string, string>>
}

/** Asks for the OAuth URL, walks the pages behind it, and gives what came to the callback. */
export async function consent(pair: Pair, options: Consent = {}): Promise<URLSearchParams> {
  const { who = 'limited', decision = 'Allow', app = 'connected', query = {} } = options
  const { clientId, clientSecret } = pair.org.credentials[app]
  const asked = new URLSearchParams({
    apiKey: clientId,
    apiSecret: clientSecret,
    callbackUrl: CALLBACK,
    state: 'once',
    ...query,
  })
  const { json } = await send(`${pair.account.apiUrl}/elements/sfdc/oauth/url?${asked}`)
  return walkLogin(json.oauthUrl, CALLBACK, { ...pair.org.credentials[who], decision })
}

/** The code of a consent. */
export async function codeOf(pair: Pair, options: Consent = {}): Promise<string> {
  return (await consent(pair, options)).get('code') ?? ''
}

/** The body that makes an instance of the org's connected app, or of the rotating one. */
export function creation(pair: Pair, app: Consent['app'] = 'connected') {
  const { clientId, clientSecret } = pair.org.credentials[app]
  return {
    element: { key: 'sfdc' },
    configuration: {
      'oauth.callback.url': CALLBACK,
      'oauth.api.key': clientId,
      'oauth.api.secret': clientSecret,
    },
    tags: ['drill'],
    name: 'drilled',
  }
}

/** An instance of a test. */
export interface Made {
  readonly id: number
  /** The Element token. */
  readonly token: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes.
  readonly json: any
}

/** Makes an instance by a consent. */
export async function makeInstance(pair: Pair, options: Consent = {}): Promise<Made> {
  const code = await codeOf(pair, options)
  const body = { ...creation(pair, options.app), providerData: { code } }
  const { json } = await call(pair, 'POST /instances', { body })
  return { id: json.id, token: json.token, json }
}

/** Calls the provider through an instance. */
export function accounts(pair: Pair, { token }: Made): Promise<Reply> {
  return call(pair, 'GET /hubs/crm/accounts', { authorization: header(pair, token) })
}

/** Revokes a token of an instance at the provider: the access token heals, the refresh token does not. */
export async function revokeAt(
  { org, account }: Pair,
  { id }: Made,
  kind: 'access' | 'refresh',
): Promise<Reply> {
  const held = account.truth.instance(id)!
  const token = (kind === 'access' ? held.accessToken : held.refreshToken) ?? ''
  return send(`${org.url}/services/oauth2/revoke?token=${encodeURIComponent(token)}`)
}

/** Waits until something is so. */
export async function until(isSo: () => boolean): Promise<void> {
  const end = Date.now() + 5_000
  while (!isSo()) {
    if (Date.now() > end) throw new Error('it did not come about within 5 s')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** The refreshes that the org has seen, by its own log. */
export function refreshesSeen({ org }: Pair): number {
  return org.log.filter(({ grantType }) => grantType === 'refresh_token').length
}

/** The body that the article gives to PATCH: both tokens blank, and a code. */
export function blanksAnd(code: string) {
  return {
    configuration: { 'oauth.user.token': '', 'oauth.user.refresh_token': '' },
    providerData: { code },
  }
}

/** The body for PUT: what GET gave, without the two tokens, and a code. */
export async function putBody(pair: Pair, { id }: Made, code: string) {
  const { json } = await call(pair, `GET /instances/${id}`)
  const { 'oauth.user.token': _, 'oauth.user.refresh_token': __, ...rest } = json.configuration
  return { ...json, configuration: rest, providerData: { code } }
}

/** Gives an instance whose grant is dead, disabled after five failed refreshes. */
export async function disabledInstance(pair: Pair, options: Consent = {}): Promise<Made> {
  const made = await makeInstance(pair, options)
  await revokeAt(pair, made, 'refresh')
  await accounts(pair, made)
  await until(() => pair.account.truth.instance(made.id)?.disabled === true)
  return made
}
