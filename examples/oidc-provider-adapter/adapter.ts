import { hash } from 'node:crypto'
import { type Adapter, type AdapterPayload, errors } from 'oidc-provider'
// In your project: from 'rescind/server'
import {
  type Authority,
  type AuthorityStore,
  type Change,
  deathOf,
  eventOf,
  fingerprintOf,
  isGrantDead,
  type TokenFormat,
  type TokenKind,
  type TokenView,
} from '../../src/server/index.ts'
import type { ArtifactTable } from './artifact-table.ts'

/** The models whose rows are tokens of the authority, so that its /revoke and /introspect know them. */
export const TOKEN_MODELS: Readonly<Record<string, TokenKind>> = {
  AccessToken: 'access',
  ClientCredentials: 'access',
  RefreshToken: 'refresh',
  AuthorizationCode: 'code',
}
/** No grant outlives this; each token has the time that oidc-provider gives it. */
const GRANT_MS_MAX = 365 * 86_400_000
/** What oidc-provider gives no time lives so long. */
const ARTIFACT_S = 86_400
const SECOND_MS = 1000

export interface AdapterParts {
  readonly authority: Pick<Authority, 'clients'>
  readonly store: AuthorityStore
  readonly format: TokenFormat
  readonly artifacts: ArtifactTable
  readonly now: () => number
}

/**
 * Returns the adapter factory of oidc-provider: tokens and grants are rows of the authority's store,
 * clients are the authority's, and the rest is in a table beside them.
 *
 * @see https://github.com/panva/node-oidc-provider/blob/main/docs/README.md#adapter
 */
export function createAdapter(parts: AdapterParts) {
  return (model: string): Adapter => {
    if (model === 'Client') return clientAdapter(parts)
    if (model === 'Grant') return grantAdapter(parts)
    const kind = TOKEN_MODELS[model]
    return kind === undefined ? artifactAdapter(model, parts) : tokenAdapter(model, kind, parts)
  }
}

function tokenAdapter(model: string, kind: TokenKind, parts: AdapterParts): Adapter {
  const { store, format, now } = parts
  const look = async (text: string): Promise<TokenView | null> => {
    const parsed = format.read(text)
    const view = parsed?.kind === kind ? await store.readToken(parsed.id) : null
    return view && Buffer.from(view.hash).equals(parsed?.hash ?? Buffer.alloc(0)) ? view : null
  }
  return {
    ...artifactAdapter(model, parts),
    async upsert(text, payload) {
      const parsed = format.read(text)
      if (parsed?.kind !== kind) throw new Error(`${model} has an id that is no ${kind} token.`)
      const { id, hash: digest } = parsed
      const { scope, aud, grantId: grantName, exp = 0, clientId = '' } = payload
      const grantId = grantName === undefined ? await store.reserveIds(1) : grantIdOf(grantName)
      const token = {
        ...{ id, kind, hash: digest, grantId, issuedAt: now(), expiresAt: exp * SECOND_MS },
        detail: JSON.stringify({ scope, aud, oidc: { model, ...payload } }),
      }
      const change: Change =
        grantName === undefined
          ? {
              ...{ type: 'start_grant', began: await store.readEpoch() },
              ...{ tokens: [token], events: [] },
              grant: grantRow(grantId, { clientId, accountId: null, scope, now: now() }),
            }
          : { type: 'add_tokens', grantId, tokens: [token], events: [] }
      // The grant was revoked while this was under way.
      if ((await store.commit(change)) === 'conflict')
        throw new errors.InvalidGrant('grant revoked')
    },
    async find(text) {
      const view = await look(text)
      if (!view) return undefined
      const death = deathOf(view, now())
      if (death !== null && death !== 'used') return undefined
      const { oidc } = JSON.parse(view.detail ?? '{}') as {
        oidc?: AdapterPayload & { model?: string }
      }
      // An access token of a client is none of a user, though both are access tokens to the store.
      if (oidc?.model !== model) return undefined
      // oidc-provider takes the family of a token down that is presented again, when it sees this.
      return death === 'used' ? { ...oidc, consumed: Math.floor(now() / SECOND_MS) } : oidc
    },
    async consume(text) {
      const view = await look(text)
      const gone = new errors.InvalidGrant('token already used')
      if (!view) throw gone
      const committed = await store.commit({
        ...{ type: 'spend_token', tokenId: view.id, grantId: view.grantId, at: now() },
        ...{ successorId: null, tokens: [], events: [] },
      })
      if (committed === 'done') return
      // Two at once are a replay as much as one after the other: the family dies.
      await endGrant(parts, view.grantId, 'refresh_reuse')
      throw gone
    },
    async destroy(text) {
      const view = await look(text)
      if (!view) return
      const event = eventOf({
        ...{ at: now(), type: 'token.revoked', cause: 'library', actor: 'oidc-provider' },
        ...{ grant: view.grant, token: fingerprintOf(view) },
      })
      await store.commit({ type: 'end_token', tokenId: view.id, at: now(), events: [event] })
    },
    revokeByGrantId: (name) => endGrant(parts, grantIdOf(name), 'library'),
  }
}

/**
 * What a grant holds may change, and is in the table; whether it lives is in the authority's store alone,
 * which forgets it with its last token: who comes back later is asked for consent again.
 */
function grantAdapter(parts: AdapterParts): Adapter {
  const { store, artifacts, now } = parts
  const rest = artifactAdapter('Grant', parts)
  return {
    ...rest,
    async upsert(name, payload, expiresIn) {
      const id = grantIdOf(name)
      // The consent is given, and oidc-provider tells of it only now: what is revoked from here on reaches it.
      const began = await store.readEpoch()
      await rest.upsert(name, payload, expiresIn)
      if (await store.readGrant(id)) return
      const { clientId = '', accountId = null } = payload
      const grant = grantRow(id, { clientId, accountId, scope: '', now: now() })
      await store.commit({ type: 'start_grant', grant, began, tokens: [], events: [] })
    },
    async find(name) {
      const grant = await store.readGrant(grantIdOf(name))
      return grant && !isGrantDead(grant) ? artifacts.get('Grant', name) : undefined
    },
    async destroy(name) {
      await endGrant(parts, grantIdOf(name), 'library')
      artifacts.remove('Grant', name)
    },
  }
}

/** The authority's clients, as oidc-provider wants to see them; a secret is the hash of one. */
function clientAdapter(parts: AdapterParts): Adapter {
  const { authority, now } = parts
  return {
    ...artifactAdapter('Client', parts),
    async find(id) {
      const client = await authority.clients.get(id)
      if (!client?.enabled) return undefined
      const live = client.secrets.filter(({ expiresAt }) => (expiresAt ?? Infinity) > now())
      return {
        client_id: id,
        redirect_uris: [...client.redirectUris],
        grant_types: [...client.grantTypes],
        response_types: client.grantTypes.includes('authorization_code') ? ['code'] : [],
        token_endpoint_auth_method: client.authMethod,
        ...(live.length > 0 ? { client_secret: live.map((secret) => secret.hash).join(' ') } : {}),
        ...(client.jwks ? { jwks: client.jwks as never } : {}),
      }
    },
  }
}

/** Says whether a secret is one of those whose hashes {@link createAdapter} gave as `client_secret`. */
export function isSecretOf(hashes: string, presented: string): boolean {
  return hashes.split(' ').includes(hash('sha256', presented, 'base64url'))
}

function artifactAdapter(model: string, { artifacts, now }: AdapterParts): Adapter {
  return {
    async upsert(id, payload, expiresIn = ARTIFACT_S) {
      artifacts.put(model, id, payload, now() + expiresIn * SECOND_MS)
    },
    find: async (id) => artifacts.get(model, id),
    findByUid: async (uid) => artifacts.getBy(model, 'uid', uid),
    findByUserCode: async (code) => artifacts.getBy(model, 'userCode', code),
    async consume(id) {
      if (artifacts.consume(model, id, Math.floor(now() / SECOND_MS))) return
      throw new errors.InvalidGrant(`${model} already used`)
    },
    destroy: async (id) => artifacts.remove(model, id),
    revokeByGrantId: async (grantId) => artifacts.removeGrant(model, grantId),
  }
}

async function endGrant(
  { store, now }: AdapterParts,
  id: number,
  cause: 'library' | 'refresh_reuse',
): Promise<void> {
  const grant = await store.readGrant(id)
  if (!grant) return
  const happened = { at: now(), type: 'grant.revoked', cause, actor: 'oidc-provider' } as const
  const events = [eventOf({ ...happened, grant })]
  await store.commit({ type: 'end_grant', grantId: id, at: now(), events })
}

function grantRow(
  id: number,
  of: { clientId: string; accountId: string | null; scope: string | undefined; now: number },
) {
  return {
    ...{ id, clientId: of.clientId, userId: of.accountId, sessionId: null },
    ...{ scope: of.scope ?? '', createdAt: of.now, expiresAt: of.now + GRANT_MS_MAX, detail: null },
  }
}

/** A grant of oidc-provider is called by the number of its row. */
function grantIdOf(name: string): number {
  return Number(name)
}
