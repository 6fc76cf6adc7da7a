import { RescindError } from '../core/errors.ts'
import type {
  GrantRow,
  GrantView,
  NewEvent,
  TokenRow,
  TokenView,
} from '../store/authority/contract.ts'
import type { Client } from './client-settings.ts'
import { type Asked, type Cause, eventOf } from './events.ts'
import { fingerprintOf } from './fingerprint.ts'
import { type Death, deathOf } from './judge.ts'
import type { AuthorityParts } from './options.ts'
import { type Refusal, refuse } from './refusal.ts'
import { detailOf, type MadeToken, type TokenDetail, type Tokens } from './tokens.ts'

/** Tries at a change that another one beat; each loss means that somebody else went on. */
const TRIES_MAX = 3
/** Grants of clients that act for themselves are kept at hand; past so many the oldest is made anew. */
const OWN_GRANTS_MAX = 10_000
/** A client's own grant is replaced when less than this share of its time is left. */
const OWN_GRANT_RENEWED_AT = 0.5

/** A successful answer of the token endpoint (RFC 6749 section 5.1). */
export interface TokenAnswer {
  readonly access_token: string
  readonly token_type: 'Bearer'
  readonly expires_in: number
  readonly refresh_token?: string
  readonly scope: string
}

/** What a grant is asked for. */
export interface GrantRequest {
  readonly client: Client
  readonly userId: string
  readonly sessionId?: string | undefined
  readonly scope: string
  readonly audience?: string | undefined
  readonly asked: Asked
}

/** What a client asks for itself. */
interface OwnRequest {
  readonly client: Client
  readonly scope: string
  readonly audience: string | undefined
  readonly asked: Asked
}

/** Makes grants and tokens, and changes codes and refresh tokens into new ones. */
export interface Issuing {
  /** Starts a grant and returns its first tokens, for hosts that keep their own login. */
  start(request: GrantRequest & { readonly refreshable: boolean }): Promise<TokenAnswer>
  /** Starts a grant and returns its code (RFC 6749 section 4.1.2). */
  startWithCode(
    request: GrantRequest & { readonly redirectUri: string; readonly challenge: string },
  ): Promise<string>
  /**
   * RFC 6749 section 4.4. A client has one grant of its own for many tokens: its start is told as every
   * other's is; a token that is added ends nothing and changes nothing, and is no transition.
   */
  clientCredentials(
    client: Client,
    scope: string,
    audience?: string,
    asked?: Asked,
  ): Promise<TokenAnswer>
  /** RFC 6749 section 4.1.3, RFC 7636 section 4.6. */
  redeem(request: {
    readonly code: string
    readonly client: Client
    readonly redirectUri: string | null
    /** The S256 challenge of the verifier that was presented. */
    readonly challenge: string | null
    readonly asked: Asked
  }): Promise<TokenAnswer | Refusal>
  /** RFC 6749 section 6, with rotation. */
  rotate(request: {
    readonly refreshToken: string
    readonly client: Client
    readonly scope: string | null
    readonly asked: Asked
  }): Promise<TokenAnswer | Refusal>
}

export function createIssuing(parts: AuthorityParts, tokens: Tokens): Issuing {
  const { store, clock, lifetimes } = parts
  const ms = (seconds: number) => seconds * 1000
  const ownGrants = new Map<string, Promise<GrantRow>>()

  const newGrant = async (
    request: Omit<GrantRequest, 'asked' | 'userId'> & { userId?: string },
  ) => {
    const now = clock.now()
    const { client, userId = null, sessionId = null, scope, audience } = request
    const grant: GrantRow = {
      id: await tokens.takeIds(1),
      ...{ clientId: client.id, userId, sessionId, scope },
      createdAt: now,
      expiresAt: now + ms(lifetimes.grant),
      detail: audience === undefined ? null : JSON.stringify({ aud: audience }),
    }
    return grant
  }
  const accessToken = (
    id: number,
    client: Client,
    grant: GrantRow,
    detail: TokenDetail,
    secret?: Uint8Array,
  ): Promise<MadeToken> => {
    const issuedAt = clock.now()
    const expiresAt = issuedAt + ms(lifetimes.accessToken)
    const isJwt = client.accessTokenFormat === 'jwt'
    const full = { ...grantDetail(grant), ...detail, ...(isJwt ? { jwt: true as const } : {}) }
    return tokens.make({ kind: 'access', id, grant, issuedAt, expiresAt, detail: full, secret })
  }
  const refreshToken = (id: number, grant: GrantRow, secret?: Uint8Array): Promise<MadeToken> => {
    const issuedAt = clock.now()
    const expiresAt = issuedAt + ms(lifetimes.refreshToken)
    return tokens.make({ kind: 'refresh', id, grant, issuedAt, expiresAt, secret })
  }
  const answerOf = (grant: GrantRow, access: MadeToken, refresh?: MadeToken): TokenAnswer => ({
    access_token: access.text,
    token_type: 'Bearer',
    expires_in: Math.max(0, Math.round((access.row.expiresAt - clock.now()) / 1000)),
    ...(refresh ? { refresh_token: refresh.text } : {}),
    scope: detailOf(access.row).scope ?? grant.scope,
  })
  /**
   * Writes a new grant down. Disabling a client writes the client first and its mark second, so that a
   * grant which came too late for the mark finds the client disabled.
   *
   * @throws RescindError `client_unknown` when it is
   */
  const begin = async (
    grant: GrantRow,
    made: readonly TokenRow[],
    events: readonly NewEvent[],
  ): Promise<void> => {
    await store.commit({ type: 'start_grant', grant, tokens: made, events })
    if ((await store.readClient(grant.clientId))?.enabled) return
    const at = clock.now()
    const event = eventOf({
      ...{ at, type: 'grant.revoked', cause: 'client_disabled', actor: 'system', grant },
    })
    await store.commit({ type: 'end_grant', grantId: grant.id, at, events: [event] })
    throw new RescindError('client_unknown', `There is no enabled client "${grant.clientId}".`)
  }
  const ownToken = async ({ client, scope, audience }: OwnRequest, grant: GrantRow) => {
    const detail = { ...(scope === grant.scope ? {} : { scope }), aud: audience }
    return accessToken(await tokens.takeIds(1), client, grant, detail)
  }
  /** Starts a client's own grant with the token that is asked for; who asks meanwhile waits for the grant. */
  const startOwn = async (request: OwnRequest): Promise<TokenAnswer> => {
    const { client, asked } = request
    const started = newGrant({ client, scope: client.scope }).then(async (grant) => {
      const access = await ownToken(request, grant)
      await begin(grant, [access.row], [startOf(grant, 'client_credentials', asked)])
      return { grant, access }
    })
    const own = started.then(({ grant }) => grant)
    if (ownGrants.size >= OWN_GRANTS_MAX) ownGrants.delete(ownGrants.keys().next().value ?? '')
    ownGrants.set(client.id, own)
    own.catch(() => ownGrants.delete(client.id))
    const { grant, access } = await started
    return answerOf(grant, access)
  }
  const isWorn = ({ createdAt, expiresAt }: GrantRow) =>
    clock.now() > createdAt + (expiresAt - createdAt) * OWN_GRANT_RENEWED_AT

  /**
   * A second presentation of a spent token: an honest retry of a short while ago, or a theft. Whoever
   * comes within the grace is no thief because an answer died meanwhile; but what was revoked stays dead,
   * and an answer with it would say otherwise.
   */
  const retryOf = async (
    { end, grant }: TokenView,
    parent: Uint8Array,
  ): Promise<TokenAnswer | 'dead' | 'reused'> => {
    const isLate = end === null || clock.now() - end.at > ms(lifetimes.refreshGrace)
    if (isLate || end.successorId === null || lifetimes.refreshGrace === 0) return 'reused'
    const [refresh, access] = await Promise.all([
      store.readToken(end.successorId),
      store.readToken(end.successorId + 1),
    ])
    const now = clock.now()
    const death = refresh && deathOf(refresh, now)
    // What is forgotten may have been used before: only a row that is there shows that it was not.
    if (!refresh || death === 'used') return 'reused'
    if (death !== null || !access || !isRetriable(deathOf(access, now))) return 'dead'
    const again = (token: TokenView) =>
      tokens.make({
        ...{ kind: token.kind, id: token.id, grant, issuedAt: token.issuedAt },
        expiresAt: token.expiresAt,
        detail: detailOf(token),
        secret: tokens.childSecret(parent, token.kind),
      })
    return answerOf(grant, await again(access), await again(refresh))
  }
  const endGrant = (grant: GrantView, cause: Cause, asked: Asked, token: TokenRow) => {
    const at = clock.now()
    const fingerprint = fingerprintOf(token)
    const event = eventOf({ at, type: 'grant.revoked', cause, ...asked, grant, token: fingerprint })
    return store.commit({ type: 'end_grant', grantId: grant.id, at, events: [event] })
  }

  return {
    async start(request) {
      const grant = await newGrant(request)
      const id = await tokens.takeIds(2)
      const access = await accessToken(id + 1, request.client, grant, {})
      const refresh = request.refreshable ? await refreshToken(id, grant) : undefined
      const made = refresh ? [refresh.row, access.row] : [access.row]
      await begin(grant, made, [startOf(grant, 'issue', request.asked)])
      return answerOf(grant, access, refresh)
    },
    async startWithCode(request) {
      const grant = await newGrant(request)
      const { redirectUri, challenge, asked } = request
      const issuedAt = clock.now()
      const code = await tokens.make({
        ...{ kind: 'code', id: await tokens.takeIds(1), grant, issuedAt },
        expiresAt: issuedAt + ms(lifetimes.code),
        detail: { redirectUri, challenge },
      })
      await begin(grant, [code.row], [startOf(grant, 'authorization', asked)])
      return code.text
    },
    async clientCredentials(client, scope, audience, asked = { actor: `client:${client.id}` }) {
      const request = { client, scope, audience, asked }
      for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
        const known = ownGrants.get(client.id)
        if (!known) return startOwn(request)
        const grant = await known
        const access = await ownToken(request, grant)
        const change = { grantId: grant.id, tokens: [access.row], events: [] }
        const isDone =
          !isWorn(grant) && (await store.commit({ type: 'add_tokens', ...change })) === 'done'
        if (isDone) return answerOf(grant, access)
        // The grant was revoked, or has grown old: the client gets another, if none is being made.
        if (ownGrants.get(client.id) === known) ownGrants.delete(client.id)
      }
      throw new Error("A client's own grant ended as often as it was made.")
    },
    async redeem({ code, client, redirectUri, challenge, asked }) {
      const parsed = await tokens.parse(code)
      const unknown = refuse(
        'invalid_grant',
        'The authorization code is unknown, expired or spent.',
      )
      if (parsed?.kind !== 'code') return unknown
      const view = await tokens.find(parsed)
      if (!view || view.grant.clientId !== client.id) return unknown
      const bound = detailOf(view)
      if (bound.redirectUri !== redirectUri || bound.challenge !== challenge) return unknown
      const { grant } = view
      const death = deathOf(view, clock.now())
      if (death === 'used') {
        // The replay is otherwise valid: somebody else has the code, and what it was changed into.
        await endGrant(grant, 'code_reuse', asked, view)
        return unknown
      }
      if (death !== null) return unknown
      const id = await tokens.takeIds(2)
      const access = await accessToken(id + 1, client, grant, {})
      const isRefreshable = client.grantTypes.includes('refresh_token')
      const refresh = isRefreshable ? await refreshToken(id, grant) : undefined
      const at = clock.now()
      const events = [
        eventOf({
          at,
          type: 'code.redeemed',
          cause: 'code',
          ...asked,
          grant,
          token: fingerprintOf(view),
        }),
      ]
      const committed = await store.commit({
        ...{ type: 'spend_token', tokenId: view.id, grantId: grant.id, at, events },
        successorId: refresh ? id : id + 1,
        tokens: refresh ? [refresh.row, access.row] : [access.row],
      })
      if (committed === 'done') return answerOf(grant, access, refresh)
      // Two valid redemptions at once are a replay as well; a revocation meanwhile is none.
      const now = await tokens.find(parsed)
      if (now && deathOf(now, clock.now()) === 'used') {
        await endGrant(grant, 'code_reuse', asked, view)
      }
      return unknown
    },
    async rotate({ refreshToken: text, client, scope, asked }) {
      const parsed = await tokens.parse(text)
      const unknown = refuse('invalid_grant', 'The refresh token is unknown, expired or revoked.')
      if (parsed?.kind !== 'refresh') return unknown
      for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
        const view = await tokens.find(parsed)
        if (!view || view.grant.clientId !== client.id) return unknown
        const { grant } = view
        const death = deathOf(view, clock.now())
        if (death === 'used') {
          const retried = await retryOf(view, parsed.secret)
          if (typeof retried === 'object') return retried
          if (retried === 'reused') await endGrant(grant, 'refresh_reuse', asked, view)
          return unknown
        }
        if (death !== null) return unknown
        const narrowed = narrow(grant, scope)
        if (narrowed === null) {
          return refuse('invalid_scope', 'The scope asked for is wider than what was granted.')
        }
        const id = await tokens.takeIds(2)
        const child = (kind: 'access' | 'refresh') => tokens.childSecret(parsed.secret, kind)
        const detail = narrowed === grant.scope ? {} : { scope: narrowed }
        const access = await accessToken(id + 1, client, grant, detail, child('access'))
        const refresh = await refreshToken(id, grant, child('refresh'))
        const at = clock.now()
        const event = eventOf({
          ...{ at, type: 'token.rotated', cause: 'refresh', ...asked, grant },
          token: fingerprintOf(view),
        })
        const committed = await store.commit({
          ...{ type: 'spend_token', tokenId: view.id, grantId: grant.id, at, successorId: id },
          tokens: [refresh.row, access.row],
          events: [event],
        })
        if (committed === 'done') return answerOf(grant, access, refresh)
      }
      return unknown
    },
  }

  function startOf(grant: GrantRow, cause: Cause, asked: Asked) {
    return eventOf({ at: grant.createdAt, type: 'grant.started', cause, ...asked, grant })
  }
}

/** An access token that ran out in a grace longer than its life is answered again: the refresh token beside it lives. */
function isRetriable(death: Death | null): boolean {
  return death === null || death === 'expired'
}

function grantDetail({ detail }: GrantRow): TokenDetail {
  return detail === null ? {} : (JSON.parse(detail) as TokenDetail)
}

/** Returns the scope of a new access token: the grant's, or a part of it that was asked for; null when that is more. */
function narrow({ scope }: GrantRow, asked: string | null): string | null {
  if (asked === null) return scope
  const granted = new Set(scope.split(' '))
  return asked.split(' ').every((part) => granted.has(part)) ? asked : null
}
