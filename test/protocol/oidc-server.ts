import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, importPKCS8, importSPKI } from 'jose'
import { Provider } from 'oidc-provider'

/** The secret has every character that form-encoding or a shell could spoil. */
export const SECRET = `s3cret+%2B "q" \\ $HOME 'x' & = : / ~`
export const RESOURCE = 'https://api.example.com/'

const { privateKey, publicKey } = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})

export interface OidcServer {
  readonly issuer: string
  readonly privateKeyPem: string
  readonly privateKeyJwk: string
  /** A new grant of a client, with an access and a refresh token. */
  grantTokens(clientId: string): Promise<{ access: string; refresh: string }>
  /** A self-contained access token (RFC 9068). */
  jwtAccessToken(): Promise<string>
  /** The server's own view of a token. */
  isAlive(kind: 'AccessToken' | 'RefreshToken', value: string): Promise<boolean>
  close(): Promise<void>
}

/** Starts a real oidc-provider on a loopback socket, with a client for each authentication method. */
export async function startOidcServer(): Promise<OidcServer> {
  const server = createServer((request, response) => provider.callback()(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = new Provider(issuer, await configuration())
  return {
    issuer,
    privateKeyPem: privateKey,
    privateKeyJwk: JSON.stringify({
      ...(await exportJWK(await importPKCS8(privateKey, 'ES256', { extractable: true }))),
      kid: 'key-1',
      alg: 'ES256',
    }),
    grantTokens: (clientId) => grantTokens(provider, clientId),
    jwtAccessToken: () => jwtAccessToken(issuer),
    isAlive: async (kind, value) =>
      (kind === 'AccessToken'
        ? await provider.AccessToken.find(value)
        : await provider.RefreshToken.find(value)) !== undefined,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function configuration() {
  const jwk = await exportJWK(await importSPKI(publicKey, 'ES256'))
  const base = {
    redirect_uris: ['https://client.example.com/cb'],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
  }
  const client = (client_id: string, token_endpoint_auth_method: string, more: object) => ({
    ...base,
    client_id,
    token_endpoint_auth_method,
    ...more,
  })
  return {
    clients: [
      client('basic:client', 'client_secret_basic', { client_secret: SECRET }),
      client('post-client', 'client_secret_post', { client_secret: SECRET }),
      client('key-client', 'private_key_jwt', {
        jwks: { keys: [{ ...jwk, kid: 'key-1' }] },
        token_endpoint_auth_signing_alg: 'ES256',
      }),
      client('public-client', 'none', { grant_types: ['authorization_code', 'refresh_token'] }),
    ],
    features: {
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => [],
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'read',
          audience: RESOURCE,
          accessTokenFormat: 'jwt' as const,
          accessTokenTTL: 600,
        }),
      },
    },
    // biome-ignore lint/suspicious/noExplicitAny: its types lag behind what it takes
  } as any
}

async function grantTokens(provider: Provider, clientId: string) {
  const client = await provider.Client.find(clientId)
  if (!client) throw new Error(`There is no client ${clientId}.`)
  const scope = 'openid offline_access'
  const grant = new provider.Grant({ accountId: 'ann', clientId })
  grant.addOIDCScope(scope)
  const grantId = await grant.save()
  const shared = { accountId: 'ann', client, grantId, gty: 'authorization_code', scope }
  // biome-ignore lint/suspicious/noExplicitAny: the models take more than their types say
  const [access, refresh] = [shared, shared] as any[]
  return {
    access: await new provider.AccessToken(access).save(),
    refresh: await new provider.RefreshToken(refresh).save(),
  }
}

async function jwtAccessToken(issuer: string): Promise<string> {
  const form = { grant_type: 'client_credentials', resource: RESOURCE, scope: 'read' }
  const client = { client_id: 'post-client', client_secret: SECRET }
  const body = new URLSearchParams({ ...form, ...client })
  const answer = await fetch(`${issuer}/token`, { method: 'POST', body })
  const { access_token } = (await answer.json()) as { access_token?: string }
  if (!access_token) throw new Error(`No token: ${answer.status}`)
  return access_token
}
