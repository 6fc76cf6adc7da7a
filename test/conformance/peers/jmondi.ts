import { randomUUID } from 'node:crypto'
import { getRequestListener } from '@hono/node-server'
import {
  AuthorizationServer,
  DateInterval,
  type GrantIdentifier,
  type OAuthAuthCode,
  type OAuthClient,
  type OAuthToken,
} from '@jmondi/oauth2-server'
import {
  handleVanillaError,
  requestFromVanilla,
  responseToVanilla,
} from '@jmondi/oauth2-server/vanilla'
import { conformanceSchema } from '../../../src/conformance/config.ts'
import { listen, type Peer } from './peer.ts'

const REDIRECT = 'https://client.example.com/cb'
const SECRET = 'a-secret-of-thirty-two-characters'
const HOUR_MS = 3_600_000
const GRANTS: GrantIdentifier[] = ['authorization_code', 'refresh_token', 'client_credentials']

/** What its store does beside what it must. */
export interface JmondiOptions {
  /** The repository throws at every revocation, as when a database is down. */
  readonly brokenStore?: boolean
  readonly opaqueRefreshTokens?: boolean
}

/** Starts @jmondi/oauth2-server on repositories in memory, as its documentation shows them. */
export async function startJmondiPeer(options: JmondiOptions = {}): Promise<Peer> {
  const server = await listen(() => getRequestListener(route(authority(options))))
  const { origin } = server
  const config = conformanceSchema.parse({
    endpoints: {
      authorization: `${origin}/authorize`,
      token: `${origin}/token`,
      revocation: `${origin}/revoke`,
      introspection: `${origin}/introspect`,
    },
    clients: {
      c1: { id: 'c1', auth: 'client_secret_basic', secret: SECRET },
      c2: { id: 'c2', auth: 'client_secret_basic', secret: SECRET },
      cp: { id: 'cp', auth: 'client_secret_post', secret: SECRET },
      p1: { id: 'p1', auth: 'none' },
      p2: { id: 'p2', auth: 'none' },
      rs1: { id: 'rs1', auth: 'client_secret_basic', secret: SECRET },
    },
    tokens: {
      user: { by: 'code', redirectUri: REDIRECT, scope: 'read write' },
      service: { by: 'client_credentials', scope: 'read' },
    },
  })
  return { config, close: server.close }
}

function authority(options: JmondiOptions): AuthorizationServer {
  const clients = new Map<string, OAuthClient>(
    ['c1', 'c2', 'cp', 'rs1', 'p1', 'p2'].map((id) => [id, clientOf(id)]),
  )
  const tokens = new Map<string, OAuthToken>()
  const codes = new Map<string, OAuthAuthCode>()
  const revokedCodes = new Set<string>()
  const missing = (): never => {
    throw new Error('not found')
  }
  const server = new AuthorizationServer(
    {
      getByIdentifier: async (id) => clients.get(id) ?? missing(),
      isClientValid: async (grant, client, secret) =>
        client.allowedGrants.includes(grant) && (!client.secret || client.secret === secret),
    },
    {
      issueToken: async (client, scopes, user) => ({
        accessToken: randomUUID(),
        accessTokenExpiresAt: new Date(Date.now() + HOUR_MS),
        client,
        scopes,
        ...(user && { user }),
      }),
      issueRefreshToken: async (token) =>
        Object.assign(token, {
          refreshToken: randomUUID(),
          refreshTokenExpiresAt: new Date(Date.now() + HOUR_MS),
        }),
      persist: async (token) => void tokens.set(token.accessToken, token),
      revoke: async (token) => {
        if (options.brokenStore) throw new Error('the database is down')
        token.accessTokenExpiresAt = new Date(0)
        token.refreshTokenExpiresAt = new Date(0)
        tokens.set(token.accessToken, token)
      },
      revokeDescendantsOf: async (codeId) => {
        for (const token of tokens.values()) {
          if (token.originatingAuthCodeId !== codeId) continue
          token.accessTokenExpiresAt = new Date(0)
          token.refreshTokenExpiresAt = new Date(0)
        }
      },
      isRefreshTokenRevoked: async (token) => Number(token.refreshTokenExpiresAt ?? 0) < Date.now(),
      getByRefreshToken: async (id) =>
        [...tokens.values()].find(({ refreshToken }) => refreshToken === id) ?? missing(),
      getByAccessToken: async (id) => tokens.get(id) ?? missing(),
    },
    {
      getAllByIdentifiers: async (names) => names.map((name) => ({ name })),
      finalize: async (scopes) => scopes,
    },
    'a-key-for-a-loopback-test-and-nothing-else',
    { issuer: 'http://127.0.0.1', useOpaqueRefreshTokens: options.opaqueRefreshTokens ?? false },
  )
  server.enableGrantTypes(
    [
      {
        grant: 'authorization_code',
        userRepository: { getUserByCredentials: async (id) => ({ id }) },
        authCodeRepository: {
          getByIdentifier: async (code) => codes.get(code) ?? missing(),
          issueAuthCode: (client, user, scopes) => ({
            code: randomUUID(),
            expiresAt: new Date(Date.now() + HOUR_MS),
            client,
            scopes,
            ...(user && { user }),
          }),
          persist: async (code) => void codes.set(code.code, code),
          isRevoked: async (code) => revokedCodes.has(code),
          revoke: async (code) => void revokedCodes.add(code),
        },
      },
      new DateInterval('1h'),
    ],
    'client_credentials',
    'refresh_token',
  )
  return server
}

function clientOf(id: string): OAuthClient {
  const open = id.startsWith('p')
  return {
    id,
    name: id,
    ...(!open && { secret: SECRET }),
    redirectUris: [REDIRECT],
    // Its revocation asks the client for the grant client_credentials, public clients too.
    allowedGrants: GRANTS,
    scopes: [{ name: 'read' }, { name: 'write' }],
  }
}

function route(server: AuthorizationServer) {
  return async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url)
    try {
      const asked = await requestFromVanilla(request)
      if (pathname === '/authorize') {
        const wish = await server.validateAuthorizationRequest(asked)
        wish.user = { id: 'ann' }
        wish.isAuthorizationApproved = true
        return responseToVanilla(await server.completeAuthorizationRequest(wish))
      }
      if (request.method !== 'POST') return new Response(null, { status: 404 })
      if (pathname === '/token') {
        return responseToVanilla(await server.respondToAccessTokenRequest(asked))
      }
      if (pathname === '/revoke') return responseToVanilla(await server.revoke(asked))
      if (pathname === '/introspect') return responseToVanilla(await server.introspect(asked))
      return new Response(null, { status: 404 })
    } catch (error) {
      return responseToVanilla(handleVanillaError(error))
    }
  }
}
