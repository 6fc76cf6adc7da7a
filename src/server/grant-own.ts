import { isRescindError } from '../core/errors.ts'
import { createMemo } from '../core/memo.ts'
import type { GrantRow } from '../store/authority/contract.ts'
import { overtaken } from './beginning.ts'
import type { Client } from './client-settings.ts'
import type { Asked } from './events.ts'
import { type Granting, type TokenAnswer, TRIES_MAX } from './grant.ts'
import type { AuthorityParts } from './options.ts'
import type { Tokens } from './tokens.ts'

/** Grants of clients that act for themselves are kept at hand; past so many the oldest is made anew. */
const OWN_GRANTS_MAX = 10_000
/** A client's own grant is replaced when less than this share of its time is left. */
const OWN_GRANT_RENEWED_AT = 0.5

/** What a client asks for itself. */
interface OwnRequest {
  readonly client: Client
  readonly scope: string
  readonly audience: string | undefined
  readonly x5t: string | undefined
  readonly asked: Asked
}

/**
 * Returns what gives clients tokens of their own (RFC 6749 section 4.4). A client has one grant for many
 * tokens: its start is told as every other's is; a token that is added ends nothing and changes nothing,
 * and is no transition.
 */
export function createOwnGrants(
  { store, clock, beginnings }: AuthorityParts,
  tokens: Tokens,
  granting: Granting,
) {
  const { newGrant, accessToken, answerOf, start, startOf } = granting
  const ownGrants = createMemo<string, Promise<GrantRow>>(OWN_GRANTS_MAX)
  const ownToken = async ({ client, scope, audience, x5t }: OwnRequest, grant: GrantRow) => {
    const detail = { ...(scope === grant.scope ? {} : { scope }), aud: audience, x5t }
    return accessToken(await tokens.takeIds(1), client, grant, detail)
  }
  const forget = (client: Client, known: Promise<GrantRow>) => {
    if (ownGrants.get(keyOf(client)) === known) ownGrants.delete(keyOf(client))
  }
  /**
   * A request that came before its client was revoked finds the client's grant dead, and starts another: by
   * the same proof, which must still be good. Who has changed a secret and revoked is rid of the old one.
   */
  const checkUnchanged = async ({ id, version }: Client): Promise<void> => {
    const now = await store.readClient(id)
    if (now?.enabled && now.version !== version) throw overtaken()
  }
  /** Starts a client's own grant with the token that is asked for; who asks meanwhile waits for the grant. */
  const startOwn = async (request: OwnRequest): Promise<TokenAnswer> => {
    const { client, asked } = request
    const started = beginnings.begin().then(async (began) => {
      await checkUnchanged(client)
      const grant = await newGrant({ client, scope: client.scope, began })
      const access = await ownToken(request, grant)
      const events = [startOf(grant, 'client_credentials', asked)]
      await start(grant, { began, tokens: [access.row], events })
      return { grant, access }
    })
    const own = started.then(({ grant }) => grant)
    ownGrants.set(keyOf(client), own)
    own.catch(() => ownGrants.delete(keyOf(client)))
    const { grant, access } = await started
    return answerOf(grant, access)
  }
  const isWorn = ({ createdAt, expiresAt }: GrantRow) =>
    clock.now() > createdAt + (expiresAt - createdAt) * OWN_GRANT_RENEWED_AT
  return {
    async clientCredentials(
      client: Client,
      scope: string,
      audience?: string,
      asked: Asked = { actor: `client:${client.id}` },
      x5t?: string,
    ): Promise<TokenAnswer> {
      const request = { client, scope, audience, x5t, asked }
      for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
        const known = ownGrants.get(keyOf(client))
        if (!known) return startOwn(request)
        const grant = await known.catch(unlessStale)
        if (!grant) {
          forget(client, known)
          continue
        }
        const access = await ownToken(request, grant)
        const change = { grantId: grant.id, tokens: [access.row], events: [] }
        const isDone =
          !isWorn(grant) && (await store.commit({ type: 'add_tokens', ...change })) === 'done'
        if (isDone) return answerOf(grant, access)
        // The grant was revoked or forgotten, or has grown old: the client gets another, if none is being made.
        forget(client, known)
      }
      throw new Error("A client's own grant ended as often as it was made.")
    },
  }
}

/** Of a client as it proved itself: an old secret never comes by the grant that a new one has. */
function keyOf({ id, version }: Client): string {
  return `${id} ${version}`
}

/** What another request of the client was overtaken by need not concern one that came later. */
function unlessStale(error: unknown): null {
  if (isRescindError(error, 'request_stale')) return null
  throw error
}
