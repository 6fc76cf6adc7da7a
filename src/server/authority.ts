import { RescindError } from '../core/errors.ts'
import type { EventRow, ReachCount } from '../store/authority/contract.ts'
import type { Clients } from './clients.ts'
import { type Core, type CoreOptions, createCore } from './core.ts'
import type { Asked } from './events.ts'
import type { Explanation } from './explain.ts'
import type { Introspection } from './introspect.ts'
import type { TokenAnswer } from './issue.ts'
import { type FetchContext, mountFetch } from './mounts/fetch.ts'
import type { Refusal } from './refusal.ts'
import type { Revoked, RevokeReach } from './revoke.ts'
import { createRouter, type RouterOptions } from './router.ts'
import type { RotatedKey } from './signing-keys.ts'
import { startWebhooks, type Webhook, type Webhooks } from './webhooks.ts'
import type { Handle } from './wire/message.ts'

export interface AuthorityOptions extends CoreOptions, RouterOptions {
  /** Receivers of events; they are delivered from when the authority is made to when it is closed. */
  readonly webhooks?: readonly Webhook[] | undefined
}

/** Who gets tokens, for hosts that keep their own login and consent. */
export interface IssueRequest {
  readonly clientId: string
  readonly userId: string
  readonly sessionId?: string | undefined
  readonly scope: string
  readonly audience?: string | undefined
  /** Without one there is no refresh token. */
  readonly refreshable?: boolean | undefined
}

const LIBRARY: Asked = { actor: 'library' }

/** The issuing side: grants and tokens that we issued, and their revocation. */
export interface Authority {
  readonly issuer: string
  /** Starts a grant and returns its tokens. @throws RescindError `client_unknown` */
  issue(request: IssueRequest, asked?: Asked): Promise<TokenAnswer>
  /** Changes a refresh token into new tokens. */
  rotate(
    request: { readonly clientId: string; readonly refreshToken: string; readonly scope?: string },
    asked?: Asked,
  ): Promise<TokenAnswer | Refusal>
  /** Revokes one token as its client would, or all of a reach. Durable when it resolves. */
  revoke(
    token: { readonly token: string; readonly clientId: string },
    asked?: Asked,
  ): Promise<Revoked>
  revoke(reach: RevokeReach, asked?: Asked): Promise<ReachCount>
  /** Counts what a revocation would reach now. */
  count(reach: RevokeReach): Promise<ReachCount>
  /** Says what a token is; as a client may see it, where one is named. */
  introspect(token: string, clientId?: string): Promise<Introspection>
  /** Says why a token is dead, or that it is alive; takes its fingerprint, or the token. Null where none is known. */
  explain(what: string): Promise<Explanation | null>
  readonly clients: Clients
  /** The keys that sign JWTs. */
  readonly keys: {
    /** Makes a new key, which signs some minutes later; what the old one signed stays good. */
    rotate(): Promise<RotatedKey>
  }
  readonly webhooks: Omit<Webhooks, 'close'>
  /** Lists events after a position, oldest first. */
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
 * @throws RescindError `usage`, `url_invalid`, `url_plain_http`, `key_invalid`, `store_unfit`, `issuer_mismatch`
 */
export async function createAuthority(options: AuthorityOptions): Promise<Authority> {
  const core = await createCore(options)
  const handle = createRouter(core, options)
  const webhooks = startWebhooks(core, options.webhooks ?? [])
  let closing: Promise<void> | undefined
  const clientOf = async (id: string) => {
    const client = await core.clients.get(id)
    if (client?.enabled) return client
    throw new RescindError(
      'client_unknown',
      `There is no enabled client "${id}". List them with: rescind client list, or clients.list().`,
    )
  }
  return {
    issuer: core.issuer,
    async issue({ clientId, refreshable = true, ...request }, asked = LIBRARY) {
      const client = await clientOf(clientId)
      return core.issuing.start({ ...request, client, refreshable, asked })
    },
    async rotate({ clientId, refreshToken, scope = undefined }, asked = LIBRARY) {
      const client = await clientOf(clientId)
      return core.issuing.rotate({ client, refreshToken, scope: scope ?? null, asked })
    },
    revoke: revokeOf(core) as Authority['revoke'],
    count: core.revoking.count,
    async introspect(token, clientId) {
      return core.introspect(token, clientId === undefined ? null : await clientOf(clientId))
    },
    explain: core.explain,
    clients: core.clients,
    keys: { rotate: core.keys.rotate },
    webhooks: { status: webhooks.status, enable: webhooks.enable },
    events: (after = null, limit = EVENTS_A_PAGE) => core.store.readEvents(after, limit),
    fetch: mountFetch(handle),
    handle,
    close() {
      closing ??= webhooks.close().then(() => core.store.close())
      return closing
    },
  }
}

function revokeOf({ revoking }: Core) {
  return async (
    what: RevokeReach | { readonly token: string; readonly clientId: string },
    asked = LIBRARY,
  ): Promise<Revoked | ReachCount> => {
    if ('token' in what) return revoking.token({ ...what, asked })
    const counted = await revoking.count(what)
    await revoking.reach(what, 'library', asked)
    return counted
  }
}
