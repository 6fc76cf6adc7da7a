import { createMemo } from '../core/memo.ts'
import type {
  Change,
  ClientRow,
  Reach,
  ReachCount,
  TokenView,
} from '../store/authority/contract.ts'
import { IN_FLIGHT_MAX_MS } from './beginning.ts'
import type { Client } from './client-settings.ts'
import { type Asked, type Cause, eventOf } from './events.ts'
import { fingerprintOf } from './fingerprint.ts'
import { deathOf, isExpired } from './judge.ts'
import type { AuthorityParts } from './options.ts'
import type { Tokens } from './tokens.ts'

/**
 * What became of one presented token. On the wire all of them are one answer; events and metrics
 * tell them apart.
 */
export type Revoked = 'revoked' | 'already_dead' | 'unknown' | 'foreign'

/** What a revocation of many reaches: exactly one of these, or a user at a client. */
export type RevokeReach =
  | { readonly user: string; readonly client?: string; readonly issuedBefore?: Date }
  | { readonly client: string; readonly issuedBefore?: Date }
  | { readonly session: string }
  | { readonly grant: number }
  | { readonly issuedBefore: Date }

/** A grant whose request is under way, on a machine whose clock differs, is there by then, or is refused. */
export const MARK_KEPT_MIN_MS = 2 * IN_FLIGHT_MAX_MS

/** Clients with another's token that were told of are remembered; past so many, the first is told of again. */
const FOREIGN_TOLD_MAX = 10_000

/** A token that a client wants to be dead. */
export interface RevokeToken {
  readonly token: string
  readonly clientId: string
  readonly asked: Asked
}

export interface Revoking {
  /** Revokes the token that a client presents, durably (RFC 7009 section 2.1). */
  token(request: RevokeToken): Promise<Revoked>
  /** The same, of a client that proved itself as it was last seen; null when it has changed since. */
  tokenIfUnchanged(request: RevokeToken, client: Client): Promise<Revoked | null>
  /**
   * Revokes everything of a reach in a constant number of writes. False, and nothing is done, for a client
   * that is not there, or a grant that is not known: it never was, or all of it is dead and forgotten.
   */
  reach(reach: RevokeReach, cause: Cause, asked: Asked): Promise<boolean>
  /** Counts what {@link Revoking.reach} would kill now. */
  count(reach: RevokeReach): Promise<ReachCount>
}

export function createRevoking(parts: AuthorityParts, tokens: Tokens): Revoking {
  const { store, clock, beginnings, lifetimes, accessTokenCascade, onTrouble } = parts
  const grantMs = lifetimes.grant * 1000

  /** The grant of a client that acts for itself bears all its tokens: one of them never takes it down. */
  const endsGrant = ({ kind, grant }: TokenView): boolean =>
    kind === 'refresh' || (accessTokenCascade === 'grant' && grant.userId !== null)
  const endOf = (view: TokenView, { actor, request }: Asked): Change => {
    const { grant } = view
    const at = clock.now()
    const isGrant = endsGrant(view)
    const type = isGrant ? 'grant.revoked' : 'token.revoked'
    const cause = 'revocation_endpoint'
    const events = [eventOf({ at, type, cause, actor, request, grant, token: fingerprintOf(view) })]
    return isGrant
      ? { type: 'end_grant', grantId: grant.id, at, events }
      : { type: 'end_token', tokenId: view.id, at, events }
  }
  /**
   * A superseded refresh token still stands for its grant, until it expires: from then on it may be
   * forgotten at any moment, and what a client is told must not depend on that.
   */
  const isDone = (view: TokenView): boolean => {
    const now = clock.now()
    const death = deathOf(view, now)
    if (death === 'grant_ended' || death === 'marked' || isExpired(view, now)) return true
    return death !== null && !endsGrant(view)
  }
  const toldForeign = createMemo<string, true>(FOREIGN_TOLD_MAX)
  const tellForeign = (view: TokenView, clientId: string, asked: Asked) => {
    const name = `${clientId} ${view.id}`
    if (toldForeign.get(name)) return
    toldForeign.set(name, true)
    const event = eventOf({
      ...{ at: clock.now(), type: 'revocation.foreign', cause: 'revocation_endpoint' },
      ...{ ...asked, clientId, token: fingerprintOf(view) },
      detail: { owner: view.grant.clientId },
    })
    // Not waited for: the time of the answer would tell that the token exists.
    store.commit({ type: 'log', events: [event] }).catch((error) => {
      toldForeign.delete(name)
      onTrouble(error, asked.request)
    })
  }
  /** @param version of the client when it proved itself, and null is returned where it has another; null for any */
  const revokeToken = async (
    { token, clientId, asked }: RevokeToken,
    version: number | null,
  ): Promise<Revoked | null> => {
    const isSame = (client: ClientRow | null) => version === null || client?.version === version
    const parsed = tokens.parseToken(token)
    const presented = parsed instanceof Promise ? await parsed : parsed
    if (!presented) {
      return version === null || isSame(await store.readClient(clientId)) ? 'unknown' : null
    }
    let view: TokenView | null = null
    let isAllowed = false
    const asksAbout = { tokenId: presented.id, clientId }
    const committed = await store.changeToken(asksAbout, (found) => {
      isAllowed = isSame(found.client)
      view = tokens.isPresented(found.token, presented) ? found.token : null
      if (!isAllowed || view?.grant.clientId !== clientId || isDone(view)) return null
      return endOf(view, asked)
    })
    if (committed === 'done') return 'revoked'
    if (!isAllowed) return null
    const found = view as TokenView | null
    if (!found) return 'unknown'
    if (found.grant.clientId === clientId) return 'already_dead'
    tellForeign(found, clientId, asked)
    return 'foreign'
  }
  return {
    token: async (request) => (await revokeToken(request, null)) ?? 'unknown',
    tokenIfUnchanged: (request, { version }) => revokeToken(request, version),
    async reach(reach, cause, asked) {
      const at = clock.now()
      if ('grant' in reach) {
        const grant = await store.readGrant(reach.grant)
        if (!grant) return false
        const event = eventOf({ at, type: 'grant.revoked', cause, ...asked, grant })
        await store.commit({ type: 'end_grant', grantId: grant.id, at, events: [event] })
        return true
      }
      const isOfClient = 'client' in reach && reach.client !== undefined
      if (isOfClient && !(await store.readClient(reach.client))) return false
      const before = momentOf(reach)
      await beginnings.settled()
      const event = eventOf({
        ...{ at, type: 'reach.revoked', cause, ...asked },
        ...namesOf(reach),
        detail: before === null ? undefined : { issuedBefore: new Date(before).toISOString() },
      })
      await store.commit({
        ...{ type: 'mark', reach: reachOf(reach), before, at, events: [event] },
        // With a moment to come it reaches grants that are not made yet.
        keepUntil: before === null ? at + MARK_KEPT_MIN_MS : Math.max(at, before) + grantMs,
      })
      return true
    },
    count(reach) {
      const counted =
        'grant' in reach ? { type: 'grant' as const, grantId: reach.grant } : reachOf(reach)
      return store.countReach(counted, clock.now(), momentOf(reach))
    },
  }
}

type MarkReach = Exclude<RevokeReach, { readonly grant: number }>

function reachOf(reach: MarkReach): Reach {
  if ('session' in reach) return { type: 'session', sessionId: reach.session }
  if ('user' in reach) {
    return reach.client === undefined
      ? { type: 'user', userId: reach.user }
      : { type: 'user_client', userId: reach.user, clientId: reach.client }
  }
  return 'client' in reach ? { type: 'client', clientId: reach.client } : { type: 'all' }
}

function momentOf(reach: RevokeReach): number | null {
  return 'issuedBefore' in reach ? (reach.issuedBefore?.getTime() ?? null) : null
}

function namesOf(reach: MarkReach) {
  return {
    clientId: 'client' in reach ? reach.client : undefined,
    userId: 'user' in reach ? reach.user : undefined,
    sessionId: 'session' in reach ? reach.session : undefined,
  }
}
