import { RescindError } from '../core/errors.ts'
import {
  type GrantRow,
  type GrantView,
  isGrantDead,
  type NewEvent,
  type TokenRow,
} from '../store/authority/contract.ts'
import { type Beginning, checkInTime, overtaken } from './beginning.ts'
import type { Client } from './client-settings.ts'
import { type Asked, type Cause, eventOf } from './events.ts'
import { fingerprintOf } from './fingerprint.ts'
import type { AuthorityParts } from './options.ts'
import { detailOf, type MadeToken, type TokenDetail, type Tokens } from './tokens.ts'

/** Tries at a change that another one beat; each loss means that somebody else went on. */
export const TRIES_MAX = 3

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
  /** When it was begun to be asked: before the user and the session were known to be good. */
  readonly began: Beginning
  readonly asked: Asked
}

/** What is written with a grant that starts. */
interface Started {
  readonly began: Beginning
  readonly tokens: readonly TokenRow[]
  readonly events: readonly NewEvent[]
}

export type Granting = ReturnType<typeof createGranting>

/** Returns what every grant type is made of: grants that begin and end, and their tokens. */
export function createGranting({ store, clock, lifetimes }: AuthorityParts, tokens: Tokens) {
  const ms = (seconds: number) => seconds * 1000
  const newGrant = async (
    request: Omit<GrantRequest, 'asked' | 'userId'> & { userId?: string },
  ) => {
    const { client, userId = null, sessionId = null, scope, audience, began } = request
    const grant: GrantRow = {
      id: await tokens.takeIds(1),
      ...{ clientId: client.id, userId, sessionId, scope },
      createdAt: began.at,
      expiresAt: began.at + ms(lifetimes.grant),
      detail: audience === undefined ? null : JSON.stringify({ aud: audience }),
    }
    return grant
  }
  /** @throws RescindError `usage` for a client whose tokens are bound to a certificate, where none was shown */
  const accessToken = (
    id: number,
    client: Client,
    grant: GrantRow,
    detail: TokenDetail,
    secret?: Uint8Array,
  ): Promise<MadeToken> => {
    if (client.certificateBoundAccessTokens && detail.x5t === undefined) throw unbound(client.id)
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
   * Writes a new grant down. Disabling a client marks it in the same change, so that a grant which came
   * too late for the mark finds the client disabled.
   *
   * @throws RescindError `client_unknown` when it is; `request_stale` when the grant is dead already
   */
  const start = async (
    grant: GrantRow,
    { began, tokens: made, events }: Started,
  ): Promise<void> => {
    checkInTime(began, clock.now())
    await store.commit({ type: 'start_grant', grant, began: began.epoch, tokens: made, events })
    const [client, written] = await Promise.all([
      store.readClient(grant.clientId),
      store.readGrant(grant.id),
    ])
    if (client?.enabled) {
      if (written && isGrantDead(written)) throw overtaken()
      return
    }
    const at = clock.now()
    const event = eventOf({
      ...{ at, type: 'grant.revoked', cause: 'client_disabled', actor: 'system', grant },
    })
    await store.commit({ type: 'end_grant', grantId: grant.id, at, events: [event] })
    throw new RescindError('client_unknown', `There is no enabled client "${grant.clientId}".`)
  }
  const endGrant = (grant: GrantView, cause: Cause, asked: Asked, token: TokenRow) => {
    const at = clock.now()
    const fingerprint = fingerprintOf(token)
    const event = eventOf({ at, type: 'grant.revoked', cause, ...asked, grant, token: fingerprint })
    return store.commit({ type: 'end_grant', grantId: grant.id, at, events: [event] })
  }
  /** The event of a grant that begins. */
  const startOf = (grant: GrantRow, cause: Cause, asked: Asked): NewEvent =>
    eventOf({ at: clock.now(), type: 'grant.started', cause, ...asked, grant })
  return { newGrant, accessToken, refreshToken, answerOf, start, endGrant, startOf }
}

function unbound(clientId: string): RescindError {
  return new RescindError(
    'usage',
    `Client "${clientId}" gets tokens that are bound to its certificate, and only the token endpoint sees that: it cannot get one here.`,
  )
}

function grantDetail({ detail }: GrantRow): TokenDetail {
  return detail === null ? {} : (JSON.parse(detail) as TokenDetail)
}
