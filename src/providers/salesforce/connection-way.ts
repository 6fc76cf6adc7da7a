import { z } from 'zod'
import { isRescindError } from '../../core/errors.ts'
import { type HttpResponse, hadNoEffect } from '../../core/http.ts'
import { Secret } from '../../core/secret.ts'
import { processIntrospectionResponse, sendIntrospection } from '../../protocol/introspect.ts'
import { chooseClient } from '../../protocol/open-target.ts'
import type {
  ConnectionApp,
  ConnectionTraits,
  ConnectionWay,
  HeldToken,
  Identity,
  LiveGrant,
  ProbeAnswer,
  RevokeAnswer,
  TokenAnswer,
  WayMeans,
} from '../connection-way.ts'
import { lostTokenAnswer, readTokenAnswer } from '../token-answer.ts'
import { readAppOptions, traitOptions, withTraitOptions } from '../trait-options.ts'
import { metadataUrl, refuseOtherIssuer } from './callback-issuer.ts'
import { API_VERSION } from './config.ts'
import { judgeRevocation } from './kill-answer.ts'
import { readRestError } from './rest-answer.ts'
import { soqlText } from './soql.ts'
import { checkTenantUrl } from './tenant-url.ts'
import { oauthEndpoint, sendTokenRequest } from './token-request.ts'

/**
 * What Salesforce documents, and what is open until a real org says it. Each can be set otherwise in
 * the app's options.
 */
const TRAITS: ConnectionTraits = {
  // An app's own setting since 2026; a spent token ends its grant: articleView id=005316711.
  ...{ rotation: 'may', replayKills: true, graceMs: 0 },
  // A refresh that names scopes is refused, in the field.
  refreshTakesScope: false,
  // Five approvals of one user and app: the sixth ends the oldest.
  liveTokensMax: 5,
  // An access token ends alone; a refresh token with its access tokens, and a second time is a 400:
  // developer.salesforce.com/docs/platform/mobile-sdk/guide/oauth-revoking-tokens.html
  ...{ revokeAccess: 'token', revokeRefresh: 'grant', revokesTwice: 'refused' },
  // Each code is exchanged for an approval of its own, with a row of its own in the list of tokens.
  grantsApart: true,
  // Open: the lag between a revocation and the first 401.
  residualMs: 0,
}

/** Words of the older setting, which logins have too. */
const ROTATIONS = { on: 'always', off: 'never', unknown: 'may' } as const

const optionsSchema = z.strictObject({
  ...traitOptions,
  rotation: z.enum(['on', 'off', 'unknown', 'never', 'may', 'always']).optional(),
  /** The app's name in the list of tokens: without it, they are not counted. */
  appName: z.string().optional(),
  apiVersion: z
    .string()
    .regex(/^[1-9]\d\.0$/)
    .default(API_VERSION),
})

/** OAuth connections to an org, with its quirks. */
export const salesforceConnection: ConnectionWay = {
  traits: TRAITS,
  traitsFor({ options }) {
    const { rotation } = options
    const word = ROTATIONS[rotation as keyof typeof ROTATIONS] ?? rotation
    return withTraitOptions(TRAITS, { ...options, rotation: word })
  },
  checkApp(tenant, { url, options }) {
    checkTenantUrl({ name: tenant, provider: 'salesforce', url, login: {}, options: {} })
    readAppOptions(optionsSchema, options, tenant)
  },
  async authorizationUrl(app, { state, challenge, force }) {
    const query = new URLSearchParams({
      ...{ response_type: 'code', client_id: app.clientId, redirect_uri: app.redirectUri },
      ...(app.scopes.length > 0 && { scope: app.scopes.join(' ') }),
      ...{ state, code_challenge: challenge, code_challenge_method: 'S256' },
      ...(force && { prompt: 'login consent' }),
    })
    return `${oauthEndpoint(app.url, 'authorize')}?${query}`
  },
  async redeem(app, { code, verifier, iss = null }, means) {
    const refused = await refuseOtherIssuer(app, iss, means)
    if (refused) return refused
    return askForTokens(app, means, [code, verifier], {
      ...{ grant_type: 'authorization_code', code: code.reveal() },
      ...{ redirect_uri: app.redirectUri, code_verifier: verifier.reveal() },
    })
  },
  refresh: (app, refreshToken, means) =>
    askForTokens(app, means, [refreshToken], {
      ...{ grant_type: 'refresh_token', refresh_token: refreshToken.reveal() },
      // Never by itself: the vendor refuses a refresh that names scopes.
      ...(salesforceConnection.traitsFor?.(app).refreshTakesScope && {
        scope: app.scopes.join(' '),
      }),
    }),
  async probe(app, accessToken, means) {
    try {
      const answer = await read(oauthEndpoint(app.url, 'userinfo'), accessToken, means)
      return judgeUserinfo(answer)
    } catch (error) {
      return { verdict: 'unclear', status: null, code: codeOf(error) }
    }
  },
  async control(app, means) {
    try {
      const url = metadataUrl(app.url)
      const { status } = await means.http.send({ method: 'GET', url, signal: means.signal })
      return { ok: status < 500 && status !== 429, status }
    } catch (error) {
      codeOf(error)
      return { ok: false, status: null }
    }
  },
  async revoke(app, { token, facts }, means) {
    try {
      const answer = await means.http.send({
        ...{ method: 'POST', url: oauthEndpoint(app.url, 'revoke'), signal: means.signal },
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ token: token.reveal() }).toString(),
      })
      return readRevocation(answer, isOfHost(app, facts))
    } catch (error) {
      const revoked = hadNoEffect(error) ? 'no' : 'unknown'
      return { revoked, alreadyDead: false, status: null, code: codeOf(error) }
    }
  },
  async look(app, { kind, token }, { http, signal }) {
    try {
      const issuer = app.url.replace(/\/+$/, '')
      const server = { issuer, introspection_endpoint: `${issuer}/services/oauth2/introspect` }
      const supported = ['client_secret_post']
      const { clientId, clientSecret } = app
      const client = chooseClient({ clientId, clientSecret: clientSecret ?? undefined }, supported)
      const asked = { server, client, token, hint: `${kind}_token` as const }
      const response = await sendIntrospection(asked, { fetch: http.fetch, signal })
      const { life } = await processIntrospectionResponse({ server, client }, response)
      const isBusy = response.status >= 500 || response.status === 429
      return life === 'unclear' && !isBusy ? 'unable' : life
    } catch (error) {
      codeOf(error)
      return 'unclear'
    }
  },
  async countLive(app, { user }, accessToken, means) {
    const answer = await askForRows('COUNT()', { app, user, accessToken }, means)
    return typeof answer?.totalSize === 'number' ? answer.totalSize : null
  },
  async listLive(app, { user }, accessToken, means) {
    const answer = await askForRows('DeleteToken, CreatedDate', { app, user, accessToken }, means)
    if (answer?.done !== true || !Array.isArray(answer.records)) return null
    const grants = answer.records.map(grantIn)
    return grants.every((grant) => grant !== null) ? grants : null
  },
}

interface Rows {
  readonly app: ConnectionApp
  readonly user: string
  readonly accessToken: Secret
}

/** Who may not read the list is told nothing, and that is no answer. */
async function askForRows(columns: string, { app, user, accessToken }: Rows, means: WayMeans) {
  const { appName, apiVersion = API_VERSION } = app.options
  if (typeof appName !== 'string') return null
  const soql = `SELECT ${columns} FROM OauthToken WHERE UserId = ${soqlText(user)} AND AppName = ${soqlText(appName)}`
  try {
    const path = `/services/data/v${apiVersion}/query?q=${encodeURIComponent(soql)}`
    const { status, body } = await read(app.url.replace(/\/+$/, '') + path, accessToken, means)
    return status === 200 ? fieldsOf(body) : null
  } catch (error) {
    codeOf(error)
    return null
  }
}

function grantIn(row: unknown): LiveGrant | null {
  const { DeleteToken: handle, CreatedDate: at } = (row ?? {}) as Readonly<Record<string, unknown>>
  const createdAt = Date.parse(String(at))
  if (typeof handle !== 'string' || handle === '' || Number.isNaN(createdAt)) return null
  return { handle: new Secret(handle), createdAt }
}

async function askForTokens(
  app: ConnectionApp,
  means: WayMeans,
  secrets: readonly Secret[],
  form: Readonly<Record<string, string>>,
): Promise<TokenAnswer> {
  const { clientId, clientSecret } = app
  const whole: Record<string, string> = { ...form, client_id: clientId }
  if (clientSecret) whole.client_secret = clientSecret.reveal()
  try {
    const answer = await sendTokenRequest(means, app.url, whole, means.signal)
    const sent = clientSecret ? [...secrets, clientSecret] : secrets
    return readTokenAnswer(answer, sent, {
      identity: identityIn,
      facts: (body) => ({ ...factsIn(body), login_url: new URL(app.url).origin }),
    })
  } catch (error) {
    return lostTokenAnswer(error)
  }
}

/** The identity URL ends in the org's and the user's id. */
function identityIn({ id }: Readonly<Record<string, unknown>>): Identity | null {
  const found = typeof id === 'string' ? /\/id\/(\w{15,18})\/(\w{15,18})\/?$/.exec(id) : null
  const [, org, user] = found ?? []
  return org && user ? { org, user, name: null } : null
}

function factsIn({ instance_url: url, id }: Readonly<Record<string, unknown>>) {
  return {
    ...(typeof url === 'string' && URL.canParse(url) && { instance_url: url }),
    ...(typeof id === 'string' && URL.canParse(id) && { id }),
  }
}

function read(url: string, accessToken: Secret, { http, signal }: WayMeans): Promise<HttpResponse> {
  const headers = { accept: 'application/json', authorization: `Bearer ${accessToken.reveal()}` }
  return http.send({ method: 'GET', url, headers, signal })
}

/** The vendor's words for a token that is dead, or that this address of ours may not use. */
const DEAD = /\bBad_OAuth_Token\b|\binvalid_token\b|\bSession expired or invalid\b/

/** Judges an answer of userinfo: a 401 or 403 without the vendor's word says nothing of the token. */
export function judgeUserinfo({
  status,
  headers,
  body,
}: Pick<HttpResponse, 'status' | 'headers' | 'body'>): ProbeAnswer {
  if (status === 200) {
    const said = fieldsOf(body)
    const { user_id: user, organization_id: org, preferred_username: name } = said ?? {}
    if (typeof user !== 'string' || typeof org !== 'string') {
      return { verdict: 'unclear', status, code: 'answer_invalid' }
    }
    const identity = { user, org, name: typeof name === 'string' ? name : null }
    return { verdict: 'alive', status, identity }
  }
  const isRefusal = status === 401 || status === 403
  const word = DEAD.exec(`${body}\n${headers['www-authenticate'] ?? ''}`)?.[0]
  if (isRefusal && word) return { verdict: 'dead', status, code: word.replace(/ .*/, '') }
  const { code } = readRestError({ status, body })
  return { verdict: isRefusal || status === 429 ? 'refused' : 'unclear', status, code }
}

function fieldsOf(body: string): Readonly<Record<string, unknown>> | null {
  try {
    return JSON.parse(body) as Readonly<Record<string, unknown>>
  } catch {
    return null
  }
}

/**
 * Says whether a host is known to know a grant: it gave its tokens, or it is the host of the org that they
 * are of. A login host knows those of many orgs, and not those of sandboxes.
 */
function isOfHost({ url }: ConnectionApp, facts: HeldToken['facts'] = {}): boolean {
  const { origin } = new URL(url)
  const { login_url, instance_url } = facts
  return [login_url, instance_url].some((one) => URL.parse(one ?? '')?.origin === origin)
}

/**
 * A second revocation is a 400: the token was dead before, which is what was asked for. To a token of
 * another org it is a 400 too, and that one lives.
 */
function readRevocation(answer: HttpResponse, isOfHost: boolean): RevokeAnswer {
  const { status, retryAfterMs } = answer
  const { outcome, code } = judgeRevocation(answer)
  const alreadyDead = outcome === 'already_dead'
  switch (outcome) {
    case 'revoked':
      return { revoked: 'yes', alreadyDead, status, code }
    case 'already_dead':
      return { revoked: isOfHost ? 'yes' : 'unknown', alreadyDead, status, code }
    case 'in_doubt':
    case 'queued':
      return { revoked: 'unknown', alreadyDead, status, code, retryAfterMs }
    case 'refused':
    case 'irrevocable':
    case 'failed':
      return { revoked: 'no', alreadyDead, status, code, retryAfterMs }
  }
}

function codeOf(error: unknown): string {
  if (isRescindError(error)) return error.code
  throw error
}
