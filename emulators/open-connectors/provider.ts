import type { Account } from './account.ts'
import type { Configuration } from './configuration.ts'
import type { Instance } from './instance.ts'

/** Why the platform asked a provider. */
export type Trigger = 'call' | 'interval' | 'night' | 'repetition' | 'authentication'

/** One request of the platform to a provider: who and why, without secrets. */
export interface ProviderCall {
  readonly at: number
  /** Null where the instance does not exist yet. */
  readonly instanceId: number | null
  readonly kind: 'code' | 'refresh' | 'call' | 'revoke'
  readonly trigger: Trigger
  /** Null where no answer came. */
  readonly status: number | null
}

/** What a provider answered. */
export interface ProviderAnswer {
  /** Null where no answer came. */
  readonly status: number | null
  readonly body: string
  /** Its own sentence of what is wrong, or its body where it has none. */
  readonly text: string
  readonly json: unknown
}

/** The answer to a request for tokens that gave none. */
export type TokenRefusal = ProviderAnswer

/** What a token endpoint gave. */
export interface Tokens {
  readonly accessToken: string
  readonly refreshToken: string | undefined
  readonly instanceUrl: string
  readonly identityUrl: string
  readonly scope: string | undefined
}

export type TokenResult =
  | { readonly tokens: Tokens; readonly refusal?: undefined }
  | { readonly tokens?: undefined; readonly refusal: TokenRefusal }

/** Salesforce's own hosts stand for the emulated org: nothing here may reach a real one. */
const SALESFORCE_HOST = /^https:\/\/[\w.-]+\.salesforce\.com(?=[:/?#]|$)/i
/** Calls that are remembered; the oldest go first. */
const CALLS_MAX = 20_000

/** Gives the address of the emulated org where a real host of Salesforce is named. */
export function emulated(account: Account, url: string): string {
  return url.replace(SALESFORCE_HOST, account.salesforceUrl)
}

/** Who a request is made for, and why. */
interface Reason {
  readonly instance: Instance | undefined
  readonly trigger: Trigger
}

/** Redeems an authorization code by the configuration's client. */
export function redeemCode(
  account: Account,
  configuration: Configuration,
  code: string,
  instance: Instance | undefined,
): Promise<TokenResult> {
  account.secrets.add(code)
  const form = {
    grant_type: 'authorization_code',
    code,
    redirect_uri: configuration['oauth.callback.url'] ?? '',
  }
  const reason = { instance, trigger: 'authentication' } as const
  return askForTokens(account, configuration, form, { ...reason, kind: 'code' })
}

/** Presents the refresh token of an instance. */
export function presentRefreshToken(
  account: Account,
  instance: Instance,
  trigger: Trigger,
): Promise<TokenResult> {
  const { configuration } = instance
  const form = {
    grant_type: 'refresh_token',
    refresh_token: configuration['oauth.user.refresh_token'] ?? '',
  }
  return askForTokens(account, configuration, form, { instance, trigger, kind: 'refresh' })
}

async function askForTokens(
  account: Account,
  configuration: Configuration,
  form: Readonly<Record<string, string>>,
  reason: Reason & Pick<ProviderCall, 'kind'>,
): Promise<TokenResult> {
  const [id, secret] = [
    configuration['oauth.api.key'] ?? '',
    configuration['oauth.api.secret'] ?? '',
  ]
  const basic = configuration['oauth.basic.header'] === 'true'
  const client = { client_id: id, client_secret: secret }
  const pair = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`
  const answer = await send(account, configuration['sfdc.token.url'] ?? '', reason, {
    method: 'POST',
    headers: basic ? { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } : {},
    body: new URLSearchParams(basic ? form : { ...form, ...client }),
  })
  const tokens = readTokens(answer)
  return tokens === undefined ? { refusal: answer } : { tokens }
}

function readTokens({ status, json }: ProviderAnswer): Tokens | undefined {
  const body = (json ?? {}) as Readonly<Record<string, unknown>>
  if (status !== 200 || typeof body.access_token !== 'string') return undefined
  const text = (name: string): string | undefined =>
    typeof body[name] === 'string' ? body[name] : undefined
  return {
    accessToken: body.access_token,
    refreshToken: text('refresh_token'),
    instanceUrl: text('instance_url') ?? '',
    identityUrl: text('id') ?? '',
    scope: text('scope'),
  }
}

/** Reads a resource of the provider with the access token that the instance holds. */
export function readResource(account: Account, instance: Instance, path: string) {
  const { configuration } = instance
  const headers = { authorization: `Bearer ${configuration['oauth.user.token'] ?? ''}` }
  const url = `${configuration['base.url'] || account.salesforceUrl}${path}`
  return send(account, url, { instance, trigger: 'call', kind: 'call' }, { headers })
}

/** Revokes the refresh token of an instance at the provider. */
export async function revokeAtProvider(account: Account, instance: Instance): Promise<void> {
  const { configuration } = instance
  const token = configuration['oauth.user.refresh_token'] ?? configuration['oauth.user.token'] ?? ''
  const reason = { instance, trigger: 'authentication', kind: 'revoke' } as const
  const init = { method: 'POST', body: new URLSearchParams({ token }) }
  await send(account, configuration['sfdc.revoke.url'] ?? '', reason, init)
}

async function send(
  account: Account,
  url: string,
  { instance, trigger, kind }: Reason & Pick<ProviderCall, 'kind'>,
  init: RequestInit,
): Promise<ProviderAnswer> {
  const { providerCalls, clock, switches } = account
  // A provider that takes longer is taken for down.
  const signal = AbortSignal.timeout(switches.providerTimeoutMs)
  const answer = await fetchAnswer(emulated(account, url), { ...init, signal })
  const instanceId = instance?.id ?? null
  providerCalls.push({ at: clock.now(), instanceId, kind, trigger, status: answer.status })
  if (providerCalls.length >= CALLS_MAX * 2) providerCalls.splice(0, CALLS_MAX)
  return answer
}

async function fetchAnswer(url: string, init: RequestInit): Promise<ProviderAnswer> {
  try {
    const response = await fetch(url, { redirect: 'manual', ...init })
    const body = await response.text()
    const json = parse(body)
    return { status: response.status, body, json, text: sentenceOf(json) ?? body }
  } catch {
    return { status: null, body: '', json: undefined, text: '' }
  }
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

/** Salesforce's REST API has a list with a `message`, its OAuth endpoints an `error_description`. */
function sentenceOf(json: unknown): string | undefined {
  const entry = (Array.isArray(json) ? json[0] : json) as Record<string, unknown> | null | undefined
  const sentence = entry?.message ?? entry?.error_description ?? entry?.error
  return typeof sentence === 'string' ? sentence : undefined
}
