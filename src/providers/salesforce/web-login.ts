import { createHash, randomBytes } from 'node:crypto'
import { RescindError } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'
import { vendorText } from '../../core/vendor-text.ts'
import { type Door, openDoor } from '../../protocol/loopback-door.ts'
import type { Account, Browser, Means, TenantConfig } from '../provider.ts'
import { readAccount } from './caller.ts'
import { type LoginOf, parseLogin, parseOptions } from './config.ts'
import { openConnection } from './connection.ts'
import type { Minted } from './login.ts'
import { WEB_CREDENTIAL } from './login-refresh-token.ts'
import { judgeTokenAnswer, oauthEndpoint, refusedLogin, sendTokenRequest } from './token-request.ts'

/** A person finds the password and the second factor within this; then the door is closed. */
const WAIT_MS = 5 * 60_000
const SCOPE = 'api id refresh_token'
const CALLBACK_PATH = '/callback'
/** The bytes of the state and of the code verifier: 43 characters, as RFC 7636 section 4.1 wants. */
const RANDOM_BYTES = 32

/**
 * Logs in through the browser: authorization code with PKCE, to a loopback address. The refresh
 * token is stored in the vault; the session is only used to say who logged in.
 *
 * @throws RescindError `config_invalid`, `not_authenticated`, `usage`
 * @see RFC 8252 section 7.3, RFC 7636
 */
export async function logInByBrowser(
  tenant: TenantConfig,
  means: Means,
  browser: Browser,
): Promise<Account> {
  const login = parseLogin(tenant)
  if (login.method !== 'web') {
    throw new RescindError(
      'config_invalid',
      `Tenant "${tenant.name}" logs in by ${login.method}, which needs no browser. Set its login method to web.`,
    )
  }
  const state = randomBytes(RANDOM_BYTES).toString('base64url')
  const verifier = randomBytes(RANDOM_BYTES).toString('base64url')
  const redirect = new URL(login.redirectUri ?? `http://127.0.0.1:0${CALLBACK_PATH}`)
  const door = await openDoor(redirect)
  let code: string
  try {
    const answer = door.answer(state)
    const challenge = createHash('sha256').update(verifier).digest('base64url')
    await browser.open(
      authorizeUrl(tenant, login, { redirect: door.redirectUri, state, challenge }),
    )
    code = await withDeadline(codeOf(answer), means)
  } finally {
    door.close()
  }
  const minted = await exchange(tenant, login, means, {
    grant_type: 'authorization_code',
    code,
    redirect_uri: door.redirectUri,
    code_verifier: verifier,
  })
  const once = { method: 'web', renewable: false, mint: async () => minted } as const
  const { apiVersion } = parseOptions(tenant)
  return readAccount(await openConnection(once, means, apiVersion), means.signal)
}

function authorizeUrl(
  tenant: TenantConfig,
  login: LoginOf<'web'>,
  { redirect, state, challenge }: { redirect: string; state: string; challenge: string },
): string {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: login.clientId,
    redirect_uri: redirect,
    scope: SCOPE,
    state,
    code_challenge: challenge,
    code_challenge_method: 'S256',
  })
  return `${oauthEndpoint(tenant.url, 'authorize')}?${query}`
}

async function exchange(
  tenant: TenantConfig,
  login: LoginOf<'web'>,
  means: Means,
  grant: Readonly<Record<string, string>>,
): Promise<Minted> {
  const form: Record<string, string> = { ...grant, client_id: login.clientId }
  if (login.clientSecret) form.client_secret = login.clientSecret.reveal()
  const answer = await sendTokenRequest(means, tenant.url, form, means.signal)
  const sent = [form.code, form.code_verifier, form.client_secret]
  const secrets = sent.map((value) => new Secret(value ?? ''))
  const verdict = judgeTokenAnswer(answer, tenant.url, secrets)
  if (verdict.kind === 'unknown') throw verdict.error
  if (verdict.kind === 'refused') throw refusedLogin(verdict, tenant.url)
  if (!verdict.refreshToken) {
    throw new RescindError(
      'not_authenticated',
      'The org gave no refresh token. Give the app the scope refresh_token, and log in again.',
    )
  }
  await means.vault.put(tenant.name, WEB_CREDENTIAL, verdict.refreshToken)
  return verdict.minted
}

async function codeOf(answer: ReturnType<Door['answer']>): Promise<string> {
  const visit = await answer
  if (visit.kind === 'code') return visit.code
  throw refusedByPerson(vendorText(`${visit.error}. ${visit.description}`))
}

async function withDeadline(code: Promise<string>, means: Means): Promise<string> {
  const done = new AbortController()
  const signal = means.signal ? AbortSignal.any([means.signal, done.signal]) : done.signal
  const deadline = means.clock.sleep(WAIT_MS, signal).then(() => {
    const message = 'Nobody logged in within five minutes. Run the command again.'
    throw new RescindError('not_authenticated', message)
  })
  try {
    return await Promise.race([code, deadline])
  } finally {
    deadline.catch(() => {})
    done.abort()
  }
}

function refusedByPerson(message: string): RescindError {
  return new RescindError('not_authenticated', `The login was refused in the browser: ${message}`)
}
