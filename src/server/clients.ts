import { hash } from 'node:crypto'
import { RescindError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'
import type { ClientRow } from '../store/authority/contract.ts'
import { type Client, type ClientSettings, clientSettings, isPublic } from './client-settings.ts'
import { type Asked, eventOf } from './events.ts'
import type { AuthorityParts } from './options.ts'
import type { Revoking } from './revoke.ts'

/** 256 bits: nothing slower than SHA-256 protects it better. */
const SECRET_BYTES = 32
/** Parsed settings kept at hand; a row of another version is parsed again. */
const PARSED_MAX = 10_000
const CLIENT_ID = /^[\x21-\x7e]{1,200}$/
const SYSTEM: Asked = { actor: 'system' }

/** What a new client may say of itself; everything has a default. */
export type NewClient = Partial<Omit<ClientSettings, 'secrets'>> & { readonly id: string }

/** Registers clients, and reads them. */
export interface Clients {
  get(id: string): Promise<Client | null>
  list(): Promise<readonly Client[]>
  /**
   * Registers a client; returns its secret where it has one. It is not to be had again.
   *
   * @throws RescindError `usage` when the id is taken or a setting is wrong
   */
  add(client: NewClient, asked?: Asked): Promise<{ client: Client; secret: Secret | null }>
  /** Makes a new secret; the old ones are good for `overlapSeconds` more. */
  rotateSecret(id: string, overlapSeconds?: number, asked?: Asked): Promise<Secret>
  /** Refuses the client from now on, and revokes all that it holds, in a constant number of writes. */
  disable(id: string, asked?: Asked): Promise<void>
}

export function createClients(
  { store, clock, random }: AuthorityParts,
  revoking: Pick<Revoking, 'reach'>,
): Clients {
  const parsed = new Map<string, Client>()
  const clientOf = (row: ClientRow): Client => {
    const known = parsed.get(row.id)
    if (known && known.version === row.version) return known
    const settings = clientSettings.parse(JSON.parse(row.settings))
    const client = { ...settings, id: row.id, enabled: row.enabled, version: row.version }
    if (parsed.size >= PARSED_MAX) parsed.delete(parsed.keys().next().value ?? '')
    parsed.set(row.id, client)
    return client
  }
  const get = async (id: string): Promise<Client | null> => {
    const row = await store.readClient(id)
    return row ? clientOf(row) : null
  }
  const known = async (id: string): Promise<Client> => {
    const client = await get(id)
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
    list: async () => (await store.listClients()).map(clientOf),
    async add({ id, ...rest }, asked = SYSTEM) {
      if (!CLIENT_ID.test(id)) {
        throw new RescindError(
          'usage',
          `"${id}" cannot be a client id. Take 1 to 200 printable ASCII characters without spaces.`,
        )
      }
      const made = makeSecret()
      const checked = clientSettings.safeParse(rest)
      if (!checked.success) {
        const [issue] = checked.error.issues
        throw new RescindError(
          'usage',
          `Client "${id}": ${issue?.path.join('.')}: ${issue?.message}.`,
        )
      }
      const hasSecret = checked.data.authMethod.startsWith('client_secret')
      const entry = { hash: made.hash, createdAt: clock.now(), expiresAt: null }
      const settings = { ...checked.data, secrets: hasSecret ? [entry] : [] }
      const change = { settings, enabled: true, expected: null, what: 'added' }
      if (!(await put(id, change, asked))) {
        throw new RescindError('usage', `There is a client "${id}" already. Choose another id.`)
      }
      return { client: await known(id), secret: hasSecret ? made.secret : null }
    },
    async rotateSecret(id, overlapSeconds = 0, asked = SYSTEM) {
      for (;;) {
        const { enabled, version, ...client } = await known(id)
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
      for (;;) {
        const { enabled, version, id: _, ...settings } = await known(id)
        const change = { settings, enabled: false, expected: version, what: 'disabled' }
        if (!enabled || (await put(id, change, asked))) break
      }
      await revoking.reach({ client: id }, 'library', asked)
    },
  }
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
