import { mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type Adapter, type AdapterPayload, Provider } from 'oidc-provider'
import { Pool } from 'pg'
import type { Host, HostInput, OidcKind } from './host.ts'
import { sampleOf } from './sample.ts'

// Its own adapter has no types, since it is not meant for production.
const { default: MemoryAdapter } = (await import(
  'oidc-provider/lib/adapters/memory_adapter.js' as string
)) as { default: new (name: string, store: unknown) => Adapter }
const { default: LRU } = (await import('oidc-provider/lib/helpers/lru.js' as string)) as {
  default: new (options: { maxSize: number }) => unknown
}

const CLIENT = 'bench'
const FILLED_AT_ONCE = 64
const SECRET = 'a-secret-of-the-bench-and-of-nothing-else-0123456789'

/** oidc-provider, in memory without a cap, on a durable SQLite file or on PostgreSQL, with some tokens in its store. */
export async function oidcHost({ kind, place, tokens, sample }: HostInput): Promise<Host> {
  const folder = kind === 'oidc_postgres' ? join(tmpdir(), 'rescind-bench-oidc') : place
  mkdirSync(folder, { recursive: true })
  const adapter = await adapterOf(kind as OidcKind, place)
  const provider = new Provider('http://127.0.0.1:9', {
    adapter,
    clients: [
      {
        ...{ client_id: CLIENT, client_secret: SECRET, redirect_uris: [], response_types: [] },
        ...{ grant_types: ['client_credentials'], scope: 'read write' },
      },
    ],
    scopes: ['read', 'write'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true },
    },
    ttl: { ClientCredentials: 86_400, AccessToken: 86_400, Grant: 172_800 },
  })
  const kept = await fill(provider, tokens)
  const sampleFile = join(folder, `sample-${kind}-${process.pid}`)
  writeFileSync(sampleFile, sampleOf(kept, sample).join('\n'))
  return {
    ...{ clientId: CLIENT, clientSecret: SECRET, sampleFile },
    paths: { revoke: '/token/revocation', introspect: '/token/introspection', token: '/token' },
    listener: provider.callback(),
  }
}

/**
 * Users' tokens, as in our own store. It takes all access tokens of a grant down with one of them: so that
 * the others can be seen to live, each has a grant of its own.
 */
async function fill(provider: Provider, tokens: number): Promise<string[]> {
  const client = await provider.Client.find(CLIENT)
  const kept: string[] = []
  const addOne = async (no: number) => {
    const accountId = `user-${no}`
    const grant = new provider.Grant({ clientId: CLIENT, accountId })
    grant.addOIDCScope('read write')
    const claims = { accountId, grantId: await grant.save(), scope: 'read write' }
    const token = new provider.AccessToken({ client, ...claims } as never)
    kept.push((await token.save()) as string)
  }
  for (let no = 0; no < tokens; no += FILLED_AT_ONCE) {
    const count = Math.min(FILLED_AT_ONCE, tokens - no)
    await Promise.all(Array.from({ length: count }, (_, index) => addOne(no + index)))
  }
  return kept
}

function adapterOf(kind: OidcKind, place: string): AdapterClass | Promise<AdapterClass> {
  switch (kind) {
    case 'oidc_memory':
      return memoryAdapter()
    case 'oidc_sqlite':
      return sqliteAdapter(join(place, 'oidc.db'))
    case 'oidc_postgres':
      return postgresAdapter(place)
  }
}

type AdapterClass = new (name: string) => Adapter

/** Its own store in memory, which forgets the oldest past a thousand; here it has room. */
function memoryAdapter(): AdapterClass {
  const store = new LRU({ maxSize: 100_000_000 })
  return class extends MemoryAdapter {
    constructor(name: string) {
      super(name, store)
    }
  }
}

/** One durable write a change, as an adapter of its documentation would do it. */
function sqliteAdapter(path: string): AdapterClass {
  const database = new DatabaseSync(path)
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  database.exec(
    'CREATE TABLE IF NOT EXISTS model (id TEXT PRIMARY KEY, payload TEXT NOT NULL) WITHOUT ROWID',
  )
  const put = database.prepare('INSERT OR REPLACE INTO model VALUES (?, ?)')
  const get = database.prepare('SELECT payload FROM model WHERE id = ?')
  const drop = database.prepare('DELETE FROM model WHERE id = ?')
  return rowAdapter({
    put: (id, payload) => put.run(id, payload),
    get: (id) => get.get(id)?.payload as string | undefined,
    drop: (id) => drop.run(id),
  })
}

/** One commit a change, on sixteen connections. */
async function postgresAdapter(connectionString: string): Promise<AdapterClass> {
  const pool = new Pool({ connectionString, max: 16 })
  await pool.query('CREATE TABLE IF NOT EXISTS model (id text PRIMARY KEY, payload text NOT NULL)')
  const query = (name: string, text: string, values: string[]) => pool.query({ name, text, values })
  const put = `INSERT INTO model VALUES ($1, $2)
    ON CONFLICT (id) DO UPDATE SET payload = excluded.payload`
  return rowAdapter({
    put: (id, payload) => query('put', put, [id, payload]),
    get: async (id) => {
      const { rows } = await query('get', 'SELECT payload FROM model WHERE id = $1', [id])
      return rows[0]?.payload as string | undefined
    },
    drop: (id) => query('drop', 'DELETE FROM model WHERE id = $1', [id]),
  })
}

/** A table of payloads by id. */
interface Rows {
  put(id: string, payload: string): unknown
  get(id: string): string | undefined | Promise<string | undefined>
  drop(id: string): unknown
}

function rowAdapter(rows: Rows): AdapterClass {
  const Memory = memoryAdapter()
  return class extends Memory {
    readonly #prefix: string
    constructor(name: string) {
      super(name)
      this.#prefix = `${name}:`
    }
    override async upsert(id: string, payload: AdapterPayload) {
      await rows.put(this.#prefix + id, JSON.stringify(payload))
    }
    override async find(id: string) {
      const payload = await rows.get(this.#prefix + id)
      return payload === undefined ? undefined : (JSON.parse(payload) as AdapterPayload)
    }
    override async destroy(id: string) {
      await rows.drop(this.#prefix + id)
    }
  }
}
