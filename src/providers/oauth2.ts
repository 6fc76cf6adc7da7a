import * as oauth from 'oauth4webapi'
import { z } from 'zod'
import { systemClock } from '../core/clock.ts'
import { isRescindError, RescindError } from '../core/errors.ts'
import { type Http, hadNoEffect, parseRetryAfter } from '../core/http.ts'
import { redact, type Secret } from '../core/secret.ts'
import { parseEndpoint, printableUrl } from '../core/url.ts'
import {
  CLIENT_AUTH_METHODS,
  type OAuthClient,
  openClientAuth,
  secretsOf,
  wireClient,
} from '../protocol/client-auth.ts'
import { discoverServer, type ServerMetadata } from '../protocol/discovery.ts'
import { processIntrospectionResponse, sendIntrospection } from '../protocol/introspect.ts'
import { type Way, wayOptions } from '../protocol/oauth-request.ts'
import { chooseClient } from '../protocol/open-target.ts'
import { processRevocationResponse, sendRevocation } from '../protocol/revoke.ts'
import type {
  ConnectionApp,
  ConnectionTraits,
  ConnectionWay,
  HeldToken,
  Identity,
  ProbeAnswer,
  RevokeAnswer,
  TokenAnswer,
  WayMeans,
} from './connection-way.ts'
import type { Provider } from './provider.ts'
import { rfc7009 } from './rfc7009.ts'
import { DEAD_CODES, lostTokenAnswer, otherIssuer, readTokenAnswer } from './token-answer.ts'
import { readAppOptions, traitOptions, withTraitOptions } from './trait-options.ts'

/** Nothing is known of a server, so the careful answer is taken: a spent token is never presented again. */
const TRAITS: ConnectionTraits = {
  ...{ rotation: 'may', replayKills: true, graceMs: 0, refreshTakesScope: false },
  // RFC 7009 section 2.1: an access token may take its grant along, a refresh token should.
  ...{ liveTokensMax: null, revokeAccess: 'token', revokeRefresh: 'grant' },
  // Google, Discord and Connect2id end all that a user granted to an app with any token of it.
  grantsApart: false,
  // RFC 7009 section 2.2: an invalid token is answered with 200.
  ...{ revokesTwice: 'accepted', residualMs: 0 },
}

const optionsSchema = z.strictObject({
  /** The cheapest read that any token may do, where there is neither userinfo nor introspection. */
  probeUrl: z.string().optional(),
  clientAuth: z.enum(CLIENT_AUTH_METHODS).optional(),
  ...traitOptions,
})

/** How many servers' metadata is kept, and for how long: it changes with a release of the server. */
const METADATA_MAX = 1_000
const METADATA_MS = 3_600_000

const way: ConnectionWay = {
  traits: TRAITS,
  traitsFor: ({ options }) => withTraitOptions(TRAITS, options),
  checkApp(tenant, app) {
    const { probeUrl, clientAuth } = readAppOptions(optionsSchema, app.options, tenant)
    if (probeUrl !== undefined)
      parseEndpoint(probeUrl, `app.options.probeUrl of tenant "${tenant}"`, ['plain-http'])
    try {
      chooseClient({
        clientId: app.clientId,
        clientSecret: app.clientSecret ?? undefined,
        clientAuth,
      })
    } catch (cause) {
      if (!isRescindError(cause, 'usage')) throw cause
      const message = `Tenant "${tenant}": app does not fit together: clientAuth ${clientAuth} and ${app.clientSecret ? 'a' : 'no'} clientSecret.`
      throw new RescindError('config_invalid', message, { cause })
    }
  },
  async authorizationUrl(app, { state, challenge, force }, means) {
    const url = endpointIn(await metadataOf(app, means), 'authorization_endpoint')
    const query = {
      ...{ response_type: 'code', client_id: app.clientId, redirect_uri: app.redirectUri },
      ...(app.scopes.length > 0 && { scope: app.scopes.join(' ') }),
      ...{ state, code_challenge: challenge, code_challenge_method: 'S256' },
      // Google gives a refresh token to who asks for offline access alone, and a second one to who
      // asks the person again; other servers ignore what they do not know (RFC 6749 section 3.1).
      access_type: 'offline',
      ...(force && { prompt: 'consent' }),
    }
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    return url.href
  },
  redeem: (app, { code, verifier, iss = null }, means) =>
    askForTokens(app, means, [code, verifier], async (server, client, request) => {
      const mixUp = mixedUp(server, iss)
      if (mixUp) return mixUp
      const callback = new URLSearchParams({ code: code.reveal(), ...(iss && { iss }) })
      const checked = oauth.validateAuthResponse(server, client, callback, oauth.skipStateCheck)
      return oauth.authorizationCodeGrantRequest(
        ...([server, client, await request.auth(), checked] as const),
        ...([app.redirectUri, verifier.reveal(), request.options] as const),
      )
    }),
  refresh: (app, refreshToken, means) =>
    askForTokens(app, means, [refreshToken], async (server, client, request) => {
      const takesScope = withTraitOptions(TRAITS, app.options).refreshTakesScope
      const scope = takesScope && app.scopes.length > 0 ? app.scopes.join(' ') : undefined
      const options = {
        ...request.options,
        ...(scope && { additionalParameters: { scope } }),
      }
      return oauth.refreshTokenGrantRequest(
        ...([server, client, await request.auth(), refreshToken.reveal(), options] as const),
      )
    }),
  async probe(app, accessToken, means) {
    try {
      const server = await metadataOf(app, means)
      const { probeUrl } = app.options
      if (typeof probeUrl === 'string')
        return await probeByRead(probeUrl, server, accessToken, means)
      if (server.userinfo_endpoint) {
        const answer = await probeByRead(server.userinfo_endpoint, server, accessToken, means)
        if (answer.verdict !== 'refused' || !server.introspection_endpoint) return answer
      }
      if (server.introspection_endpoint) return await probeByLook(app, server, accessToken, means)
      return { verdict: 'unclear', status: null, code: 'no_probe' }
    } catch (error) {
      return { verdict: 'unclear', status: null, code: codeOf(error) }
    }
  },
  async control(app, means) {
    try {
      const { status } = await means.http.send({
        ...{ method: 'GET', url: wellKnown(app.url), signal: means.signal },
        headers: { accept: 'application/json' },
      })
      return { ok: status < 500 && status !== 429, status }
    } catch (error) {
      codeOf(error)
      return { ok: false, status: null }
    }
  },
  async revoke(app, { kind, token }, means) {
    try {
      const server = await metadataOf(app, means)
      if (!server.revocation_endpoint) return notRevoked('no_revocation_endpoint')
      const client = clientOf(app, server, 'revocation')
      const hint = `${kind}_token` as const
      const response = await sendRevocation({ server, client, token, hint }, wayOf(means))
      const answer = await processRevocationResponse(response)
      return { ...judgeRevocation(response.status, answer), retryAfterMs: answer.retryAfterMs }
    } catch (error) {
      const revoked = hadNoEffect(error) ? 'no' : 'unknown'
      return { revoked, alreadyDead: false, status: null, code: codeOf(error) }
    }
  },
  async look(app, held, means) {
    try {
      const server = await metadataOf(app, means)
      if (!server.introspection_endpoint) return 'unable'
      const { life, code } = await introspect(app, server, held, means)
      return life === 'unclear' && isLasting(code) ? 'unable' : life
    } catch (error) {
      codeOf(error)
      return 'unclear'
    }
  },
}

/** Any OAuth 2.1 authorization server that publishes its metadata (RFC 8414): what connects to it is kept and healed. */
export const oauth2: Provider = {
  id: 'oauth2',
  title: 'Any OAuth 2.1 authorization server',
  supports: rfc7009.supports,
  secrets: rfc7009.secrets,
  checkConfig: (tenant) => rfc7009.checkConfig?.(tenant),
  connection: way,
  open: rfc7009.open,
}

interface Request {
  auth(): Promise<oauth.ClientAuth>
  readonly options: ReturnType<typeof wayOptions>
}

type Send = (
  server: ServerMetadata,
  client: oauth.Client,
  request: Request,
) => Promise<Response | TokenAnswer>

/** Sends one request to the token endpoint and reads the answer; nothing is judged. */
async function askForTokens(
  app: ConnectionApp,
  means: WayMeans,
  sent: readonly Secret[],
  send: Send,
): Promise<TokenAnswer> {
  let server: ServerMetadata
  try {
    server = await metadataOf(app, means)
    endpointIn(server, 'token_endpoint')
  } catch (error) {
    // The grant itself was not sent yet, whatever became of the question for the metadata.
    return { ...lostTokenAnswer(error), mayHaveActed: false }
  }
  const client = clientOf(app, server, 'token')
  const algorithms = server.token_endpoint_auth_signing_alg_values_supported
  const options = wayOptions(wayOf(means))
  const auth = () => openClientAuth(client, algorithms)
  try {
    const answer = await send(server, wireClient(client), { auth, options })
    if (!(answer instanceof Response)) return answer
    const { status } = answer
    const secrets = [...sent, ...secretsOf(client)]
    const { headers } = answer
    const retryAfter = headers.get('retry-after')
    const retryAfterMs = parseRetryAfter(retryAfter, systemClock.now(), headers.get('date'))
    return readTokenAnswer({ status, body: await answer.text(), retryAfterMs }, secrets, {
      identity: (body) => identityIn(body, server.issuer),
    })
  } catch (error) {
    return lostTokenAnswer(error)
  }
}

/** @see RFC 9207 section 2.4 */
function mixedUp(server: ServerMetadata, iss: string | null): TokenAnswer | null {
  const isPromised = server.authorization_response_iss_parameter_supported === true
  return iss === server.issuer || (iss === null && !isPromised) ? null : otherIssuer(iss)
}

/** The subject of an id token that came over TLS from the server itself (OpenID Connect Core 3.1.3.7, 6). */
function identityIn(body: Readonly<Record<string, unknown>>, issuer: string): Identity | null {
  if (typeof body.id_token !== 'string') return null
  try {
    const [, payload = ''] = body.id_token.split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    return identityOf(claims, issuer)
  } catch {
    return null
  }
}

function identityOf(claims: Readonly<Record<string, unknown>>, org: string): Identity | null {
  const { sub, preferred_username: name, username } = claims
  if (typeof sub !== 'string' || sub === '') return null
  const shown = [name, username].find((one) => typeof one === 'string') as string | undefined
  return { user: sub, org, name: shown ?? null }
}

/** A subject is the issuer's, whichever host tells it (OpenID Connect Core section 5.7). */
async function probeByRead(
  url: string,
  { issuer }: ServerMetadata,
  accessToken: Secret,
  means: WayMeans,
): Promise<ProbeAnswer> {
  const answer = await means.http.send({
    ...{ method: 'GET', url, signal: means.signal },
    headers: { accept: 'application/json', authorization: `Bearer ${accessToken.reveal()}` },
  })
  const { status, headers, body } = answer
  const isGood = status >= 200 && status < 300
  const claims = fieldsOf(body)
  if (isGood && claims === null) return { verdict: 'unclear', status, code: 'answer_invalid' }
  // Slack answers 200 to whatever it refuses.
  const isError = claims?.ok === false || (typeof claims?.error === 'string' && claims.error !== '')
  if (isGood && !isError) {
    return { verdict: 'alive', status, identity: claims && identityOf(claims, issuer) }
  }
  const challenge = headers['www-authenticate'] ?? ''
  const said = /\berror="?([\w.-]{1,64})/.exec(challenge)?.[1] ?? claims?.error
  // A code is a word; what is longer is a text, and may repeat the token.
  const isWord = typeof said === 'string' && /^[\w.-]{1,64}$/.test(said)
  const code = isWord ? redact(said, accessToken) : `http_${status}`
  // RFC 6750 section 3.1: a 401 without the word may be the proxy's, and a 403 is about scopes.
  if ((isGood || status === 401) && isDead(code)) return { verdict: 'dead', status, code }
  const isRefusal = status === 401 || status === 403 || status === 429
  return { verdict: isRefusal ? 'refused' : 'unclear', status, code }
}

/** `invalid_token` is RFC 6750's; of a refresh it would say nothing. */
function isDead(code: string): boolean {
  const word = code.toLowerCase()
  return word === 'invalid_token' || DEAD_CODES.has(word)
}

async function probeByLook(
  app: ConnectionApp,
  server: ServerMetadata,
  token: Secret,
  means: WayMeans,
): Promise<ProbeAnswer> {
  const { life, code, identity } = await introspect(app, server, { kind: 'access', token }, means)
  switch (life) {
    case 'alive':
      return { verdict: 'alive', status: 200, identity }
    case 'dead':
      return { verdict: 'dead', status: 200, code }
    case 'unclear':
      return { verdict: 'unclear', status: null, code }
  }
}

async function introspect(
  app: ConnectionApp,
  server: ServerMetadata,
  { kind, token }: HeldToken,
  means: WayMeans,
) {
  const client = clientOf(app, server, 'introspection')
  const hint = `${kind}_token` as const
  const response = await sendIntrospection({ server, client, token, hint }, wayOf(means))
  const claims = fieldsOf(await response.clone().text())
  const sign = await processIntrospectionResponse({ server, client }, response)
  return { ...sign, identity: claims && identityOf(claims, server.issuer) }
}

/** Says whether an introspection was refused for a reason that stays: not for want of capacity. */
function isLasting(code: string): boolean {
  return !/^http_(5|429)|temporarily|server_error/.test(code)
}

function judgeRevocation(
  status: number,
  { outcome, code }: { readonly outcome: string; readonly code: string },
): RevokeAnswer {
  switch (outcome) {
    case 'revoked':
      return { revoked: 'yes', alreadyDead: false, status, code }
    case 'already_dead':
      return { revoked: 'yes', alreadyDead: true, status, code }
    case 'queued':
    case 'in_doubt':
      return { revoked: 'unknown', alreadyDead: false, status, code }
    default:
      return { revoked: 'no', alreadyDead: false, status, code }
  }
}

function notRevoked(code: string): RevokeAnswer {
  return { revoked: 'no', alreadyDead: false, status: null, code }
}

function clientOf(
  app: ConnectionApp,
  server: ServerMetadata,
  at: 'token' | 'revocation' | 'introspection',
): OAuthClient {
  const supported =
    server[`${at}_endpoint_auth_methods_supported`] ?? server.token_endpoint_auth_methods_supported
  const { clientAuth } = app.options as z.output<typeof optionsSchema>
  const wish = { clientId: app.clientId, clientSecret: app.clientSecret ?? undefined, clientAuth }
  return chooseClient(wish, supported)
}

interface Kept {
  readonly at: number
  readonly found: Promise<ServerMetadata>
}

/** By the way out, so that nothing outlives it. */
const metadata = new WeakMap<Http, Map<string, Kept>>()

/** A server's metadata, asked for once an hour. @throws RescindError `answer_invalid`, HTTP codes */
function metadataOf({ url }: ConnectionApp, means: WayMeans): Promise<ServerMetadata> {
  const { http } = means
  const known = metadata.get(http) ?? new Map<string, Kept>()
  metadata.set(http, known)
  const kept = known.get(url)
  if (kept && performance.now() - kept.at < METADATA_MS) return kept.found
  // Plain HTTP is the way out's to refuse: it knows which risks were accepted.
  const issuer = parseEndpoint(url, 'The url of the tenant', ['plain-http'])
  const found = discoverServer(issuer, wayOf(means))
  const keep = () => {
    if (known.size >= METADATA_MAX) known.clear()
    known.set(url, { at: performance.now(), found })
  }
  // Others wait for what is kept: one that its caller may cut off is kept when it is there.
  if (means.signal) {
    return found.then((server) => {
      keep()
      return server
    })
  }
  keep()
  // A failure is not kept: the next one who asks may have more luck.
  found.catch(() => known.delete(url))
  return found
}

function endpointIn(
  server: ServerMetadata,
  name: 'authorization_endpoint' | 'token_endpoint',
): URL {
  const value = server[name]
  if (typeof value === 'string' && URL.canParse(value)) return new URL(value)
  const message = `The metadata of ${printableUrl(server.issuer)} names no ${name}. Check the url of the tenant.`
  throw new RescindError('answer_invalid', message)
}

/** Where RFC 8414 section 3 puts the metadata: nothing of it needs a grant. */
function wellKnown(issuer: string): string {
  const { origin, pathname } = new URL(issuer)
  return `${origin}/.well-known/oauth-authorization-server${pathname.replace(/\/+$/, '')}`
}

function wayOf({ http, signal }: WayMeans): Way {
  return { fetch: http.fetch, signal }
}

function fieldsOf(body: string): Readonly<Record<string, unknown>> | null {
  try {
    const parsed: unknown = JSON.parse(body)
    const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
    return isObject ? (parsed as Record<string, unknown>) : null
  } catch {
    return null
  }
}

/** The code of a request that failed. @throws what is no trouble of HTTP */
function codeOf(error: unknown): string {
  if (isRescindError(error)) return error.code
  throw error
}
