import { RescindError } from '../../core/errors.ts'
import type { HttpResponse } from '../../core/http.ts'
import { Secret } from '../../core/secret.ts'
import { printableUrl } from '../../core/url.ts'
import { vendorText } from '../../core/vendor-text.ts'
import type { Means } from '../provider.ts'
import type { Identity, Minted } from './login.ts'
import { backoffMs, WAIT_MS_MAX } from './retry.ts'

/** A token request that takes longer is as good as lost. A refresh lease outlives it. */
export const TOKEN_TIMEOUT_MS = 30_000
/** Tries of a login that mints anew each time; a refresh grant is never tried twice. */
const TRIES_MAX = 4

/** What one answer of the token endpoint means. */
export type TokenVerdict =
  | { readonly kind: 'ok'; readonly minted: Minted; readonly refreshToken: Secret | undefined }
  /** The grant or the client is not accepted; trying again is in vain. */
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  /** Nothing can be said of the grant: 5xx, 429, or no token endpoint at all. */
  | { readonly kind: 'unknown'; readonly error: RescindError; readonly again: boolean }

/** Returns the address of an OAuth endpoint under a login or instance URL, site path kept. */
export function oauthEndpoint(base: string, name: 'token' | 'authorize' | 'revoke' | 'userinfo') {
  return `${base.replace(/\/+$/, '')}/services/oauth2/${name}`
}

/** Sends one token request; the secrets are in its body alone. */
export function sendTokenRequest(
  means: Pick<Means, 'http'>,
  loginUrl: string,
  form: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<HttpResponse> {
  return means.http.send({
    method: 'POST',
    url: oauthEndpoint(loginUrl, 'token'),
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      accept: 'application/json',
    },
    body: new URLSearchParams(form).toString(),
    timeoutMs: TOKEN_TIMEOUT_MS,
    signal,
  })
}

/**
 * Judges an answer of the token endpoint.
 *
 * @param secrets what was sent, lest a message repeat what the answer echoes
 * @see https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_flow_errors.htm
 */
export function judgeTokenAnswer(
  answer: HttpResponse,
  loginUrl: string,
  secrets: readonly Secret[],
): TokenVerdict {
  const body = readObject(answer.body)
  const where = printableUrl(loginUrl)
  if (answer.status === 200 && typeof body?.access_token === 'string') {
    return readMinted(body, loginUrl)
  }
  const code = typeof body?.error === 'string' ? body.error : undefined
  if (code !== undefined && answer.status >= 400 && answer.status < 500 && answer.status !== 429) {
    const said = typeof body?.error_description === 'string' ? body.error_description : ''
    return {
      kind: 'refused',
      code: vendorText(code, ...secrets),
      message: vendorText(said, ...secrets) || 'no reason given',
    }
  }
  if (answer.status === 429 || answer.status >= 500) {
    const message = `${where} could not answer the login (HTTP ${answer.status}). Try again later.`
    return { kind: 'unknown', again: true, error: new RescindError('provider_busy', message) }
  }
  if (answer.status >= 300 && answer.status < 400) {
    const message = `${where} redirects the login elsewhere. Set the tenant's url to the org's own My Domain address.`
    return { kind: 'unknown', again: false, error: new RescindError('http_redirect', message) }
  }
  const message = `${where} does not answer like a Salesforce login (HTTP ${answer.status}). Check the tenant's url.`
  return { kind: 'unknown', again: false, error: new RescindError('answer_invalid', message) }
}

/** A grant that each try presents anew. */
export interface RepeatableGrant {
  readonly form: () => Promise<Readonly<Record<string, string>>>
  /** What in the form is secret. */
  readonly secrets: readonly Secret[]
}

/**
 * Mints a session with a grant that may be presented again: JWT bearer, client credentials, password.
 *
 * @throws RescindError `not_authenticated`, `provider_busy`, or an HTTP code
 */
export async function mintRepeatable(
  means: Means,
  loginUrl: string,
  grant: RepeatableGrant,
  signal: AbortSignal | undefined,
): Promise<Minted> {
  for (let tries = 1; ; tries += 1) {
    const answer = await sendTokenRequest(means, loginUrl, await grant.form(), signal)
    const verdict = judgeTokenAnswer(answer, loginUrl, grant.secrets)
    switch (verdict.kind) {
      case 'ok':
        return verdict.minted
      case 'refused':
        throw refusedLogin(verdict, loginUrl)
      case 'unknown': {
        const waitMs = answer.retryAfterMs ?? backoffMs(tries, means.random)
        if (!verdict.again || tries >= TRIES_MAX || waitMs > WAIT_MS_MAX) throw verdict.error
        const seconds = Math.ceil(waitMs / 1000)
        means.notice(
          `The login got no answer (HTTP ${answer.status}); trying it again in ${seconds} s.`,
        )
        await means.clock.sleep(waitMs, signal)
      }
    }
  }
}

/** The error of a login that Salesforce refused, with its reason and what to do about it. */
export function refusedLogin(verdict: { code: string; message: string }, loginUrl: string) {
  const { code, message } = verdict
  return new RescindError(
    'not_authenticated',
    `${printableUrl(loginUrl)} refused the login: ${code}, ${message}. ${adviceFor(code, message)}`,
  )
}

function adviceFor(code: string, message: string): string {
  if (/approved this consumer/i.test(message)) {
    return 'Approve the app for this user once, or let an admin pre-approve it.'
  }
  if (/audience/i.test(message)) return "Set the login's audience to the login URL of the org."
  if (/inactive user/i.test(message)) return 'Log in as an active user.'
  if (code === 'invalid_client_id' || code === 'invalid_client') {
    return 'Check clientId and clientSecret.'
  }
  if (code === 'app_not_found') return 'Install the app in this org, or use another clientId.'
  if (code === 'unsupported_grant_type' || code === 'invalid_request') {
    return 'Check that the app allows this kind of login.'
  }
  return 'Check the user, its password or key, and that the url is the right org.'
}

function readMinted(body: Record<string, unknown>, loginUrl: string): TokenVerdict {
  const instance = typeof body.instance_url === 'string' ? body.instance_url : loginUrl
  if (!URL.canParse(instance)) {
    const message = `${printableUrl(loginUrl)} gave an instance address that is none. Check the tenant's url.`
    return { kind: 'unknown', again: false, error: new RescindError('answer_invalid', message) }
  }
  const minted = {
    accessToken: new Secret(String(body.access_token)),
    instanceUrl: instance,
    identity: readIdentity(body.id),
  }
  const rotated = body.refresh_token
  const refreshToken = typeof rotated === 'string' && rotated ? new Secret(rotated) : undefined
  return { kind: 'ok', minted, refreshToken }
}

/** The identity URL ends in the org's and the user's id. */
function readIdentity(id: unknown): Identity | undefined {
  const found = typeof id === 'string' ? /\/id\/(\w{15,18})\/(\w{15,18})\/?$/.exec(id) : null
  const [, orgId, userId] = found ?? []
  return orgId && userId ? { orgId, userId } : undefined
}

function readObject(body: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(body)
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
