// An existing oidc-provider whose tokens, grants and clients live in the authority's store, with the
// authority's /revoke and /introspect in place of its own. Run it: node examples/oidc-provider-adapter/server.ts
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { type Configuration, Provider } from 'oidc-provider'
// In your project: from 'rescind/server'
import {
  createAuthority,
  createTokenFormat,
  loadKey,
  mountNode,
  onlyEndpoints,
  openSqliteAuthorityStore,
} from '../../src/server/index.ts'
import { createAdapter, isSecretOf, TOKEN_MODELS } from './adapter.ts'
import { openArtifactTable } from './artifact-table.ts'

const TOKEN_SECRET_BYTES = 24
const OURS = ['/revoke', '/introspect']

/** Starts the provider where its issuer says. */
export async function start(issuer: string, folder: string) {
  const key = loadKey(join(folder, 'authority.key'), process.env.RESCIND_KEY)
  const store = await openSqliteAuthorityStore(join(folder, 'authority.db'))
  const authority = await createAuthority({ issuer, store, key })
  const artifacts = openArtifactTable(join(folder, 'artifacts.db'), Date.now)
  const format = createTokenFormat(key)
  const adapter = createAdapter({ authority, store, format, artifacts, now: Date.now })
  const provider = new Provider(issuer, { ...configuration(issuer), adapter })

  // A token's text tells its row, and a grant's name is its row: what the store is asked for by number.
  const mint = async (model: string) => {
    const id = await store.reserveIds(1)
    const kind = TOKEN_MODELS[model]
    return kind ? format.write(kind, id, randomBytes(TOKEN_SECRET_BYTES)).text : String(id)
  }
  for (const model of [...Object.keys(TOKEN_MODELS), 'Grant']) {
    const { prototype } = (provider as unknown as Record<string, { prototype: Saved }>)[model] ?? {}
    if (!prototype) throw new Error(`oidc-provider has no model ${model}.`)
    const { save } = prototype
    prototype.save = async function (ttl) {
      if (this.jti === undefined) {
        const theirs = this.generateTokenId()
        // A JWT of oidc-provider is in no store: it cannot be revoked, so give it a short time.
        this.jti = this.format === 'jwt' ? theirs : await mint(model)
      }
      return save.call(this, ttl)
    }
  }
  Object.assign(provider.Client.prototype, {
    compareClientSecret(this: { clientSecret: string }, presented: string) {
      return isSecretOf(this.clientSecret, presented)
    },
  })

  const ours = mountNode(onlyEndpoints(authority, ['revoke', 'introspect']))
  const theirs = provider.callback()
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0] ?? ''
    if (OURS.includes(path)) ours(request, response)
    else void theirs(request, response)
  })
  const { hostname, port } = new URL(issuer)
  server.listen(Number(port), hostname)
  await once(server, 'listening')
  const close = async () => {
    server.close()
    server.closeAllConnections()
    await authority.close()
    artifacts.close()
  }
  return { authority, provider, close }
}

interface Saved {
  jti?: string
  readonly format?: string
  generateTokenId(): string
  save(ttl?: number): Promise<string>
}

/** Your own, but for the two endpoints: they are off, and metadata names those of the authority. */
function configuration(issuer: string): Configuration {
  return {
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: false },
      revocation: { enabled: false },
    },
    discovery: {
      revocation_endpoint: `${issuer}/revoke`,
      introspection_endpoint: `${issuer}/introspect`,
    },
    rotateRefreshToken: true,
    pkce: { required: () => true },
  }
}

if (import.meta.main) {
  const { authority } = await start('http://127.0.0.1:9400', '.')
  if (!(await authority.clients.get('demo'))) {
    const { secret } = await authority.clients.add({
      id: 'demo',
      grantTypes: ['client_credentials'],
    })
    console.log(`The client "demo" has the secret ${secret?.reveal()}; it is not shown again.`)
  }
  console.log(`oidc-provider is at ${authority.issuer}.`)
}
