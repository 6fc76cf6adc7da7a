import { generateKeyPairSync } from 'node:crypto'
import { exportJWK, importSPKI } from 'jose'
import { Provider } from 'oidc-provider'
import { conformanceSchema } from '../../../src/conformance/config.ts'
import { listen, type Peer } from './peer.ts'
import { slowAdapter } from './slow-adapter.ts'

const REDIRECT = 'https://client.example.com/cb'
export const OIDC_SECRET = 'a-secret-of-c1-+%&=:/'

const { privateKey, publicKey } = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})

/** Starts oidc-provider with its own development pages. `slow` delays each store operation. */
export async function startOidcPeer(options: { readonly slowMs?: number } = {}): Promise<Peer> {
  const server = await listen(async (origin) =>
    new Provider(origin, await configuration(options.slowMs)).callback(),
  )
  return { config: configOf(server.origin), close: server.close }
}

function configOf(issuer: string) {
  return conformanceSchema.parse({
    issuer,
    clients: {
      c1: { id: 'c1:client', auth: 'client_secret_basic', secret: OIDC_SECRET },
      c2: { id: 'c2', auth: 'client_secret_basic', secret: OIDC_SECRET },
      cp: { id: 'cp', auth: 'client_secret_post', secret: OIDC_SECRET },
      cj: { id: 'cj', auth: 'private_key_jwt', key: privateKey },
      p1: { id: 'p1', auth: 'none' },
      p2: { id: 'p2', auth: 'none' },
      rs1: { id: 'rs1', auth: 'client_secret_basic', secret: OIDC_SECRET },
    },
    tokens: {
      user: {
        by: 'code',
        redirectUri: REDIRECT,
        scope: 'openid offline_access email',
        parameters: { prompt: 'consent' },
        fields: { login: 'ann', password: 'any' },
        secondUser: { login: 'bob', password: 'any' },
      },
      service: { by: 'client_credentials' },
    },
  })
}

async function configuration(slowMs: number | undefined) {
  const jwk = await exportJWK(await importSPKI(publicKey, 'ES256'))
  const client = (client_id: string, token_endpoint_auth_method: string, more: object = {}) => ({
    client_id,
    token_endpoint_auth_method,
    redirect_uris: [REDIRECT],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    ...(token_endpoint_auth_method.startsWith('client_secret') && { client_secret: OIDC_SECRET }),
    ...more,
  })
  const open = { grant_types: ['authorization_code', 'refresh_token'] }
  return {
    ...(slowMs !== undefined && { adapter: slowAdapter(slowMs) }),
    clients: [
      client('c1:client', 'client_secret_basic'),
      client('c2', 'client_secret_basic'),
      client('cp', 'client_secret_post'),
      client('cj', 'private_key_jwt', {
        jwks: { keys: [{ ...jwk, kid: 'key-1' }] },
        token_endpoint_auth_signing_alg: 'ES256',
      }),
      client('p1', 'none', open),
      client('p2', 'none', open),
      client('rs1', 'client_secret_basic'),
    ],
    scopes: ['openid', 'offline_access', 'email'],
    features: {
      introspection: { enabled: true },
      revocation: { enabled: true },
      clientCredentials: { enabled: true },
    },
    // biome-ignore lint/suspicious/noExplicitAny: its types lag behind what it takes
  } as any
}
