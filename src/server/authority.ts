import { RescindError } from '../core/errors.ts'
import type { Handle } from '../core/wire.ts'
import type { EventRow, ReachCount } from '../store/authority/contract.ts'
import {
  checkExplained,
  checkGranted,
  checkIssue,
  checkPage,
  checkRevocation,
  checkRotation,
  checkToken,
} from './check-request.ts'
import { isObject } from './check-shape.ts'
import type { Clients } from './clients.ts'
import { type Core, type CoreOptions, createCore } from './core.ts'
import type { Asked } from './events.ts'
import type { Explanation } from './explain.ts'
import type { TokenAnswer } from './grant.ts'
import type { Introspection } from './introspect.ts'
import { type FetchContext, mountFetch } from './mounts/fetch.ts'
import { parseReach } from './reach.ts'
import type { Refusal } from './refusal.ts'
import type { Revoked, RevokeReach } from './revoke.ts'
import { createRouter, type RouterOptions } from './router.ts'
import type { RotatedKey, SigningKeyStatus } from './signing-keys.ts'
import type { WebhookDesk } from './webhook-desk.ts'
import type { Webhook } from './webhook-endpoint.ts'
import { startWebhooks } from './webhooks.ts'

export interface AuthorityOptions extends CoreOptions, RouterOptions {
  /** Receivers of events; they are delivered from when the authority is made to when it is closed. */
  readonly webhooks?: readonly Webhook[] | undefined
}

/** Who gets tokens, for hosts that keep their own login and consent. */
export interface IssueRequest {
  readonly clientId: string
  /** Not the client's own id: a token whose `sub` is its `client_id` is of the client itself. */
  readonly userId: string
  readonly sessionId?: string | undefined
  /** Within the scope that the client registered. */
  readonly scope: string
  readonly audience?: string | undefined
  /** Without one there is no refresh token. */
  readonly refreshable?: boolean | undefined
}

const LIBRARY: Asked = { actor: 'library' }

/** The issuing side: grants and tokens that we issued, and their revocation. */
export interface Authority {
  readonly issuer: string
  /**
   * Starts a grant and returns its tokens. What is revoked from this call on reaches them.
   *
   * @throws RescindError `request_stale` when it was revoked before it was done; `client_unknown`; `usage` for names that are none, or a scope that is not the client's
   */
  issue(request: IssueRequest, asked?: Asked): Promise<TokenAnswer>
  /** Changes a refresh token into new tokens. */
  rotate(
    request: { readonly clientId: string; readonly refreshToken: string; readonly scope?: string },
    asked?: Asked,
  ): Promise<TokenAnswer | Refusal>
  /**
   * Revokes one token as its client would, or all of a reach. Durable when it resolves.
   *
   * @throws RescindError `usage` for a reach that is none, `client_unknown` for a client that is not there:
   * nothing is guessed, and nothing dies
   */
  revoke(
    token: { readonly token: string; readonly clientId: string },
    asked?: Asked,
  ): Promise<Revoked>
  revoke(reach: RevokeReach, asked?: Asked): Promise<void>
  /** Counts what a revocation would kill now: its time grows with the count, that of a revocation does not. */
  count(reach: RevokeReach): Promise<ReachCount>
  /** Says what a token is; as a client may see it, where one is named. @throws RescindError `usage` without a token */
  introspect(token: string, clientId?: string): Promise<Introspection>
  /** Says why a token is dead, or that it is alive; takes its fingerprint, or the token. Null where none is known. @throws RescindError `usage` */
  explain(what: string): Promise<Explanation | null>
  readonly clients: Clients
  /** The keys that sign JWTs. */
  readonly keys: {
    list(): Promise<readonly SigningKeyStatus[]>
    /**
     * Makes a new key, which signs some minutes later; what the old one signed stays good. With `now`, for
     * a key that was stolen: all old ones are dropped, and what they signed is refused from then on.
     */
    rotate(options?: { readonly now?: boolean }, asked?: Asked): Promise<RotatedKey>
  }
  readonly webhooks: WebhookDesk
  /** Lists events after a position, oldest first, 100 unless another limit is given. @throws RescindError `usage` */
  events(after?: string | null, limit?: number): Promise<readonly EventRow[]>
  /** All endpoints: from `Request` to `Response`. */
  fetch(request: Request, context?: FetchContext): Promise<Response>
  /** All endpoints, for the mounts. */
  readonly handle: Handle
  /** Stops the webhooks and closes the store, once; waits for what is being written. */
  close(): Promise<void>
}

const EVENTS_A_PAGE = 100

/**
 * Makes an authority on a store.
 *
 * @throws RescindError `usage`, `url_invalid`, `url_plain_http`, `key_invalid`, `store_unfit`, `issuer_mismatch`,
 * `key_mismatch`, `brand_mismatch`
 */
export async function createAuthority(options: AuthorityOptions): Promise<Authority> {
  const core = await createCore(options)
  const handle = createRouter(core, options)
  const webhooks = startWebhooks(core, options.webhooks ?? [], options.observer)
  const { status, enable, sendAgain } = webhooks
  let closing: Promise<void> | undefined
  const clientOf = async (id: string) => {
    const client = await core.clients.get(id)
    if (client?.enabled) return client
    throw clientUnknown(`enabled client "${id}"`)
  }
  return {
    issuer: core.issuer,
    async issue(given, asked = LIBRARY) {
      checkIssue(given)
      const { clientId, refreshable = true, ...request } = given
      const [began, client] = await Promise.all([core.issuing.begin(), clientOf(clientId)])
      const scope = checkGranted(request.userId, client, request.scope)
      return core.issuing.start({ ...request, scope, client, refreshable, began, asked })
    },
    async rotate(given, asked = LIBRARY) {
      checkRotation(given)
      const { clientId, refreshToken, scope } = given
      const client = await clientOf(clientId)
      return core.issuing.rotate({ client, refreshToken, scope: scope ?? null, asked })
    },
    revoke: revokeOf(core) as Authority['revoke'],
    count: async (reach) => core.revoking.count(parseReach(reach, core.clock.now())),
    async introspect(token, clientId) {
      checkToken(token)
      return core.introspecting.token(
        token,
        clientId === undefined ? null : await clientOf(clientId),
      )
    },
    async explain(what) {
      checkExplained(what)
      return core.explain(what)
    },
    clients: core.clients,
    keys: {
      list: core.keys.list,
      rotate: ({ now = false } = {}, asked = LIBRARY) =>
        now ? core.keys.replace('library', asked) : core.keys.rotate('library', asked),
    },
    webhooks: { status, enable, sendAgain },
    async events(after = null, limit = EVENTS_A_PAGE) {
      checkPage(after, limit)
      return core.store.readEvents(after, limit)
    },
    fetch: mountFetch(handle),
    handle,
    close() {
      closing ??= webhooks.close().then(() => core.store.close())
      return closing
    },
  }
}

function clientUnknown(who: string): RescindError {
  return new RescindError(
    'client_unknown',
    `There is no ${who}. List them with: rescind client list, or clients.list().`,
  )
}

function revokeOf({ revoking, clock }: Core) {
  return async (
    what: RevokeReach | { readonly token: string; readonly clientId: string },
    asked = LIBRARY,
  ): Promise<Revoked | undefined> => {
    if (isObject(what) && 'token' in what) {
      checkRevocation(what)
      return revoking.token({ ...what, asked })
    }
    const reach = parseReach(what, clock.now())
    const isKnown = await revoking.reach(reach, 'library', asked)
    if (!isKnown && 'client' in reach) throw clientUnknown(`client "${reach.client}"`)
    return undefined
  }
}
