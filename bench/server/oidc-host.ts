import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type Adapter, type AdapterPayload, Provider } from 'oidc-provider'
import type { Host, HostInput } from './host.ts'

const CLIENT = 'bench'
const SECRET = 'a-secret-of-the-bench-and-of-nothing-else-0123456789'

/** oidc-provider, in memory without a cap or on a durable SQLite file, with some tokens in its store. */
export async function oidcHost({ kind, place, tokens, sample }: HostInput): Promise<Host> {
  mkdirSync(place, { recursive: true })
  const adapter = kind === 'oidc_memory' ? memoryAdapter() : sqliteAdapter(join(place, 'oidc.db'))
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
    ttl: { ClientCredentials: 86_400 },
  })
  const client = await provider.Client.find(CLIENT)
  const kept: string[] = []
  for (let done = 0; done < tokens; done += 1) {
    const token = new provider.ClientCredentials({ client, scope: 'read write' } as never)
    const value = await token.save()
    if (done < sample) kept.push(value as string)
  }
  const sampleFile = join(place, `sample-${kind}-${process.pid}`)
  writeFileSync(sampleFile, kept.join('\n'))
  return {
    ...{ clientId: CLIENT, clientSecret: SECRET, sampleFile },
    paths: { revoke: '/token/revocation', introspect: '/token/introspection', token: '/token' },
    listener: provider.callback(),
  }
}

type AdapterClass = new (name: string) => Adapter

/** Its own store in memory forgets the oldest past a thousand; this one does not. */
function memoryAdapter(): AdapterClass {
  const rows = new Map<string, AdapterPayload>()
  return class implements Adapter {
    readonly #name: string
    constructor(name: string) {
      this.#name = name
    }
    async upsert(id: string, payload: AdapterPayload) {
      rows.set(`${this.#name}:${id}`, payload)
    }
    async find(id: string) {
      return rows.get(`${this.#name}:${id}`)
    }
    async destroy(id: string) {
      rows.delete(`${this.#name}:${id}`)
    }
    async consume(id: string) {
      const row = rows.get(`${this.#name}:${id}`)
      if (row) row.consumed = Math.floor(Date.now() / 1000)
    }
    async findByUid() {
      return undefined
    }
    async findByUserCode() {
      return undefined
    }
    async revokeByGrantId() {}
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
  const Memory = memoryAdapter()
  return class extends Memory {
    readonly #prefix: string
    constructor(name: string) {
      super(name)
      this.#prefix = `${name}:`
    }
    override async upsert(id: string, payload: AdapterPayload) {
      put.run(this.#prefix + id, JSON.stringify(payload))
    }
    override async find(id: string) {
      const row = get.get(this.#prefix + id) as { payload: string } | undefined
      return row ? (JSON.parse(row.payload) as AdapterPayload) : undefined
    }
    override async destroy(id: string) {
      drop.run(this.#prefix + id)
    }
  }
}
