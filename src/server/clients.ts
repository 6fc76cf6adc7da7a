import { hash } from 'node:crypto'
import { RescindError } from '../core/errors.ts'
import { createMemo } from '../core/memo.ts'
import { Secret } from '../core/secret.ts'
import type { ClientRow } from '../store/authority/contract.ts'
import { isObject } from './check-shape.ts'
import { keysFlaw } from './client-keys.ts'
import {
  type Client,
  type ClientSettings,
  clientSettings,
  isPublic,
  newClientSettings,
} from './client-settings.ts'
import { type Asked, eventOf } from './events.ts'
import { isClientId } from './names.ts'
import type { AuthorityParts } from './options.ts'
import { MARK_KEPT_MIN_MS, type Revoking } from './revoke.ts'

/** 256 bits: nothing slower than SHA-256 protects it better. */
const SECRET_BYTES = 32
/** Parsed settings kept at hand; a row of another version is parsed again. */
const PARSED_MAX = 10_000
const SYSTEM: Asked = { actor: 'system' }

/** What a new client may say of itself; everything has a default. */
export type NewClient = Partial<Omit<ClientSettings, 'secrets'>> & { readonly id: string }

/** Registers clients, and reads them. */
export interface Clients {
  get(id: string): Promise<Client | null>
  /** The client as it was seen last; whoever acts on that must ask again whether it is still so. */
  seen(id: string): Client | undefined
  list(): Promise<readonly Client[]>
  /**
   * Registers a client; returns its secret where it has one. It is not to be had again.
   *
   * @throws RescindError `usage` when the id is taken or a setting is wrong
   */
  add(client: NewClient, asked?: Asked): Promise<{ client: Client; secret: Secret | null }>
  /** Makes a new secret; the old ones are good for `overlapSeconds` more. @throws RescindError `usage` where it is disabled or has none */
  rotateSecret(id: string, overlapSeconds?: number, asked?: Asked): Promise<Secret>
  /** Refuses the client from now on, and revokes all that it holds, in one change. */
  disable(id: string, asked?: Asked): Promise<void>
}

export function createClients(
  { store, clock, beginnings, random }: AuthorityParts,
  revoking: Pick<Revoking, 'reach'>,
): Clients {
  const parsed = createMemo<string, Client>(PARSED_MAX)
  const clientOf = (row: ClientRow): Client => {
    const known = parsed.get(row.id)
    if (known && known.version === row.version) return known
    const settings = clientSettings.parse(JSON.parse(row.settings))
    const client = { ...settings, id: row.id, enabled: row.enabled, version: row.version }
    parsed.set(row.id, client)
    return client
  }
  const get = async (id: string): Promise<Client | null> => {
    const row = await store.readClient(id)
    return row ? clientOf(row) : null
  }
  const known = async (id: string): Promise<Client> => {
    const client = isClientId(id) ? await get(id) : null
    if (!client) {
      throw new RescindError(
        'client_unknown',
        `There is no client "${id}". List them with: rescind client list, or clients.list().`,
      )
    }
    return client
  }
  const makeSecret = () => {
    const text = Buffer.from(random(new Uint8Array(SECRET_BYTES))).toString('base64url')
    return { secret: new Secret(text), hash: secretHash(text) }
  }
  const put = async (id: string, change: Put, asked: Asked) => {
    const { settings, enabled, expected, what } = change
    const event = eventOf({
      ...{ at: clock.now(), type: 'client.changed', cause: 'library', ...asked },
      ...{ clientId: id, detail: { what } },
    })
    const committed = await store.commit({
      ...{ type: 'put_client', expected, events: [event] },
      client: { id, enabled, settings: JSON.stringify(settings) },
    })
    return committed === 'done'
  }
  return {
    get,
    seen: (id) => parsed.get(id),
    list: async () => (await store.listClients()).map(clientOf),
    async add(given, asked = SYSTEM) {
      if (!isObject(given)) {
        throw new RescindError(
          'usage',
          'Give an object with the id of the client, and its settings.',
        )
      }
      const { id, ...rest } = given
      if (!isClientId(id)) {
        throw new RescindError(
          'usage',
          `"${id}" cannot be a client id. Take 1 to 200 printable ASCII characters without spaces.`,
        )
      }
      const made = makeSecret()
      const checked = checkSettings(id, rest)
      const hasSecret = checked.authMethod.startsWith('client_secret')
      const entry = { hash: made.hash, createdAt: clock.now(), expiresAt: null }
      const settings = { ...checked, secrets: hasSecret ? [entry] : [] }
      const change = { settings, enabled: true, expected: null, what: 'added' }
      if (!(await put(id, change, asked))) {
        throw new RescindError('usage', `There is a client "${id}" already. Choose another id.`)
      }
      return { client: await known(id), secret: hasSecret ? made.secret : null }
    },
    async rotateSecret(id, overlapSeconds = 0, asked = SYSTEM) {
      for (;;) {
        const { enabled, version, ...client } = await known(id)
        if (!enabled) {
          throw new RescindError(
            'usage',
            `Client "${id}" is disabled: no secret lets it in. Add another client.`,
          )
        }
        if (isPublic(client) || !client.authMethod.startsWith('client_secret')) {
          throw new RescindError(
            'usage',
            `Client "${id}" has no secret: it uses ${client.authMethod}.`,
          )
        }
        const now = clock.now()
        const { secret, hash: made } = makeSecret()
        const { id: _, ...settings } = client
        const old = settings.secrets
          .map((entry) => ({
            ...entry,
            expiresAt: Math.min(entry.expiresAt ?? Infinity, now + overlapSeconds * 1000),
          }))
          .filter(({ expiresAt }) => expiresAt > now)
        const secrets = [...old, { hash: made, createdAt: now, expiresAt: null }]
        const change = { settings: { ...settings, secrets }, enabled, expected: version }
        if (await put(id, { ...change, what: 'secret rotated' }, asked)) return secret
      }
    },
    async disable(id, asked = SYSTEM) {
      await known(id)
      const at = clock.now()
      await beginnings.settled()
      const told = { at, cause: 'client_disabled', ...asked, clientId: id } as const
      const committed = await store.commit({
        ...{ type: 'disable_client', clientId: id, at },
        keepUntil: at + MARK_KEPT_MIN_MS,
        events: [
          eventOf({ ...told, type: 'client.changed', detail: { what: 'disabled' } }),
          eventOf({ ...told, type: 'reach.revoked' }),
        ],
      })
      // It was disabled before: what a host has written for it since dies as well.
      if (committed === 'conflict') await revoking.reach({ client: id }, 'client_disabled', asked)
    },
  }
}

/** @throws RescindError `usage` for what is none, or by which the client could never prove itself */
function checkSettings(id: string, given: Omit<NewClient, 'id'>): ClientSettings {
  const wrong = (why: string) => new RescindError('usage', `Client "${id}": ${why}.`)
  const { success, data, error } = newClientSettings.safeParse(given)
  if (!success) {
    const [issue] = error.issues
    // What is wrong with the object as a whole, as a key that is not known, has no path.
    throw wrong([issue?.path.join('.'), issue?.message].filter(Boolean).join(': '))
  }
  if (data.authMethod === 'private_key_jwt' && !data.jwks) throw wrong('its jwks is missing')
  if (data.authMethod === 'self_signed_tls_client_auth' && data.certificates.length === 0) {
    throw wrong('its certificates are missing')
  }
  if (data.certificateBoundAccessTokens && data.authMethod !== 'self_signed_tls_client_auth') {
    throw wrong(
      'its tokens cannot be bound to a certificate, as it shows none: it uses another authMethod',
    )
  }
  // RFC 6749 section 4.4: confidential clients alone, and the token endpoint holds to it.
  if (isPublic(data) && data.grantTypes.includes('client_credentials')) {
    throw wrong('without a proof of who it is it cannot use client_credentials')
  }
  const flaw = data.jwks ? keysFlaw(data.jwks) : null
  if (flaw !== null) throw wrong(flaw)
  return data
}

interface Put {
  readonly settings: ClientSettings
  readonly enabled: boolean
  readonly expected: number | null
  readonly what: string
}

/** Returns the hash of a client's secret, as it is stored. */
export function secretHash(secret: string): string {
  return hash('sha256', secret, 'base64url')
}
