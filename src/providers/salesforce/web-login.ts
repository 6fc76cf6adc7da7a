import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { RescindError } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'
import type { Account, Browser, Means, TenantConfig } from '../provider.ts'
import { readAccount } from './caller.ts'
import { type LoginOf, parseLogin, parseOptions } from './config.ts'
import { openConnection } from './connection.ts'
import type { Minted } from './login.ts'
import { WEB_CREDENTIAL } from './login-refresh-token.ts'
import { judgeTokenAnswer, oauthEndpoint, refusedLogin, sendTokenRequest } from './token-request.ts'
import { vendorText } from './vendor-text.ts'
import { renderVisit } from './web-login-page.ts'

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
  const door = await openDoor(redirect, state)
  let code: string
  try {
    const challenge = createHash('sha256').update(verifier).digest('base64url')
    await browser.open(
      authorizeUrl(tenant, login, { redirect: door.redirectUri, state, challenge }),
    )
    code = await withDeadline(door.code, means)
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

/** The address that the browser comes back to, open for one answer. */
interface Door {
  readonly redirectUri: string
  readonly code: Promise<string>
  close(): void
}

async function openDoor(redirect: URL, state: string): Promise<Door> {
  if (redirect.protocol !== 'http:' || !['127.0.0.1', 'localhost'].includes(redirect.hostname)) {
    throw new RescindError(
      'config_invalid',
      'The redirectUri must be an http address of this machine, like http://localhost:1717/OauthRedirect.',
    )
  }
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  // Closed before anybody came: then nobody waits for it either.
  promise.catch(() => {})
  const server = createServer((request, response) => {
    const callback = readCallback(request, redirect.pathname, state)
    const { status, headers, html } = renderVisit(callback.kind)
    response.writeHead(status, headers).end(html)
    // Only when the page has left: the door is closed then, and every connection with it.
    response.once('close', () => {
      if (callback.kind === 'code') resolve(callback.code)
      if (callback.kind === 'refused') reject(refusedByPerson(callback.message))
    })
  })
  await listen(server, Number(redirect.port || '0'))
  const { port } = server.address() as AddressInfo
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  const redirectUri = `http://${redirect.hostname}:${port}${redirect.pathname}`
  return { redirectUri, code: promise, close }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `Port ${port} of this machine cannot be listened on. End what uses it, or set another redirectUri.`
      reject(new RescindError('usage', message, { cause }))
    })
    server.listen(port, '127.0.0.1', () => resolve())
  })
}

/** What a request to the door means. */
export type Callback =
  | { readonly kind: 'code'; readonly code: string }
  | { readonly kind: 'refused'; readonly message: string }
  /** Not the answer that is waited for; the wait goes on. */
  | { readonly kind: 'stranger' }

/**
 * Judges a request to the loopback address. Only one with our state is the answer; anything else
 * may come from any page or program of this machine.
 *
 * @see RFC 6749 section 10.12
 */
export function readCallback(
  request: Pick<IncomingMessage, 'method' | 'url'>,
  path: string,
  state: string,
): Callback {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1')
  if (request.method !== 'GET' || url.pathname !== path) return { kind: 'stranger' }
  if (!isSame(url.searchParams.get('state') ?? '', state)) return { kind: 'stranger' }
  const code = url.searchParams.get('code')
  if (code) return { kind: 'code', code }
  const error = url.searchParams.get('error') ?? 'no code'
  const said = url.searchParams.get('error_description') ?? ''
  return { kind: 'refused', message: vendorText(`${error}. ${said}`) }
}

function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
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
