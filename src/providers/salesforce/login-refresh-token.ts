import { RescindError } from '../../core/errors.ts'
import { type HttpResponse, hadNoEffect } from '../../core/http.ts'
import type { Secret } from '../../core/secret.ts'
import type { Lease } from '../../store/credentials.ts'
import type { LoginOf } from './config.ts'
import type { Login, LoginMeans, Minted } from './login.ts'
import { judgeTokenAnswer, sendTokenRequest, TOKEN_TIMEOUT_MS } from './token-request.ts'

/** Outlives the request it covers, so that no other process takes the lease while it is under way. */
const LEASE_MS = TOKEN_TIMEOUT_MS * 2
/** Another process that holds the lease is waited for this long: one whole lease. */
const BUSY_WAITS_MAX = 120
const BUSY_WAIT_MS = 500
/** Where `rescind login` keeps the refresh token. */
export const WEB_CREDENTIAL = 'web'

interface Chain {
  readonly credential: string
  readonly clientId: string
  readonly clientSecret: Secret | undefined
  /** What starts the chain when the vault has nothing. */
  readonly first: Secret | undefined
}

/**
 * Logs in by a refresh token. The configured one only starts a chain: the vault keeps its
 * successors. Another configured token is another chain, so a spent one is never presented again.
 *
 * @see https://help.salesforce.com/s/articleView?id=005316711&type=1 refresh token rotation
 */
export function refreshTokenLogin(login: LoginOf<'refresh_token'>, loginMeans: LoginMeans): Login {
  const chain: Chain = {
    credential: `refresh_token:${loginMeans.means.fingerprint(login.refreshToken)}`,
    clientId: login.clientId,
    clientSecret: login.clientSecret,
    first: login.refreshToken,
  }
  return {
    method: 'refresh_token',
    renewable: true,
    mint: (signal) => refresh(chain, loginMeans, signal),
  }
}

/** Logs in by the refresh token that `rescind login` stored. */
export function webLogin(login: LoginOf<'web'>, loginMeans: LoginMeans): Login {
  const { clientId, clientSecret } = login
  const chain: Chain = { credential: WEB_CREDENTIAL, clientId, clientSecret, first: undefined }
  return { method: 'web', renewable: true, mint: (signal) => refresh(chain, loginMeans, signal) }
}

async function refresh(chain: Chain, at: LoginMeans, signal?: AbortSignal): Promise<Minted> {
  const lease = await takeLease(chain, at, signal)
  const answer = await present(chain, at, lease)
  const secrets = chain.clientSecret ? [lease.secret, chain.clientSecret] : [lease.secret]
  const verdict = judgeTokenAnswer(answer, at.tenant.url, secrets)
  const { vault } = at.means
  switch (verdict.kind) {
    case 'ok':
      await vault.commit(lease, verdict.refreshToken ?? lease.secret)
      return verdict.minted
    case 'refused': {
      const why = `Salesforce refused the refresh token: ${verdict.code}, ${verdict.message}`
      // Only invalid_grant speaks of the token; the others found fault with the client.
      if (verdict.code !== 'invalid_grant') {
        await vault.abandon(lease)
        throw new RescindError('not_authenticated', `${why}. Check clientId and clientSecret.`)
      }
      await vault.lose(lease, why)
      throw loginNeeded(at, why)
    }
    case 'unknown':
      // A 2xx that cannot be read may have spent the token all the same.
      if (answer.status >= 300 && answer.status < 500) await vault.abandon(lease)
      else await giveUp(at, lease, `the token endpoint answered HTTP ${answer.status}`)
      throw verdict.error
  }
}

/** Presents the refresh token once. The lease is durable before the first byte is sent. */
async function present(chain: Chain, at: LoginMeans, lease: Lease): Promise<HttpResponse> {
  const form: Record<string, string> = {
    grant_type: 'refresh_token',
    refresh_token: lease.secret.reveal(),
    client_id: chain.clientId,
  }
  if (chain.clientSecret) form.client_secret = chain.clientSecret.reveal()
  try {
    // No signal: a refresh that is cut off in the middle may cost the grant.
    return await sendTokenRequest(at.means, at.tenant.url, form, undefined)
  } catch (error) {
    if (hadNoEffect(error)) await at.means.vault.abandon(lease)
    else await giveUp(at, lease, 'the answer to a refresh was lost')
    throw error
  }
}

/** Ends a lease whose token may be spent; without rotation it cannot be. */
async function giveUp({ means, options }: LoginMeans, lease: Lease, why: string): Promise<void> {
  if (options.rotation === 'off') await means.vault.abandon(lease)
  else await means.vault.lose(lease, `${why}, so the refresh token may be spent`)
}

async function takeLease(chain: Chain, at: LoginMeans, signal?: AbortSignal): Promise<Lease> {
  const { means, tenant } = at
  for (let waits = 0; waits <= BUSY_WAITS_MAX; waits += 1) {
    const lease = await means.vault.begin(tenant.name, chain.credential, LEASE_MS)
    if (lease === 'busy') {
      await means.clock.sleep(BUSY_WAIT_MS, signal)
    } else if (lease === 'none') {
      if (!chain.first) throw loginNeeded(at, 'Nobody has logged in yet')
      await means.vault.put(tenant.name, chain.credential, chain.first)
    } else if (lease === 'needs_login') {
      const stored = await means.vault.get(tenant.name, chain.credential)
      throw loginNeeded(at, stored?.why ?? 'The stored refresh token may be spent')
    } else return lease
  }
  const message = `Another process is refreshing the login of tenant "${tenant.name}". Try again in a minute.`
  throw new RescindError('provider_busy', message)
}

function loginNeeded({ tenant }: LoginMeans, why: string): RescindError {
  const sentence = why.charAt(0).toUpperCase() + why.slice(1)
  const how =
    tenant.login.method === 'web'
      ? `Run: rescind login --tenant ${tenant.name}`
      : `Put a new refresh token into the configuration of tenant "${tenant.name}"`
  return new RescindError('login_needed', `${sentence}. ${how}.`)
}
