import { randomBytes } from 'node:crypto'
import { oauthProvider } from '@better-auth/oauth-provider'
import { getRequestListener } from '@hono/node-server'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { jwt } from 'better-auth/plugins'
import { conformanceSchema } from '../../../src/conformance/config.ts'
import { listen, type Peer } from './peer.ts'

const REDIRECT = 'https://client.example.com/cb'
const PASSWORD = 'a-password-of-ann'
const USERS = ['ann@example.com', 'bob@example.com']

/** Starts better-auth with its OAuth provider on its adapter in memory, without its rate limits. */
export async function startBetterAuthPeer(): Promise<Peer> {
  const clients: Record<string, object> = {}
  const server = await listen(async (origin) => {
    const auth = makeAuth(origin)
    const [headers] = await Promise.all(USERS.map((email) => signUp(auth, email)))
    for (const role of ['c1', 'c2', 'cp', 'p1', 'p2']) {
      clients[role] = await register(auth, role, headers ?? new Headers())
    }
    return getRequestListener(route(auth, origin))
  })
  const issuer = `${server.origin}/api/auth`
  const config = conformanceSchema.parse({
    endpoints: {
      authorization: `${issuer}/oauth2/authorize`,
      token: `${issuer}/oauth2/token`,
      revocation: `${issuer}/oauth2/revoke`,
      introspection: `${issuer}/oauth2/introspect`,
    },
    clients,
    tokens: {
      user: {
        by: 'code',
        redirectUri: REDIRECT,
        scope: 'openid offline_access email',
        fields: { email: USERS[0], password: PASSWORD },
        secondUser: { email: USERS[1], password: PASSWORD },
      },
    },
  })
  return { config, close: server.close }
}

function makeAuth(origin: string) {
  const tables = [
    ...['user', 'session', 'account', 'verification', 'jwks', 'rateLimit'],
    ...['oauthClient', 'oauthAccessToken', 'oauthRefreshToken', 'oauthConsent', 'oauthResource'],
    ...['oauthClientResource', 'oauthClientAssertion'],
  ]
  return betterAuth({
    baseURL: origin,
    secret: randomBytes(32).toString('hex'),
    database: memoryAdapter(Object.fromEntries(tables.map((name) => [name, []]))),
    emailAndPassword: {
      enabled: true,
      // Its own hash is slow on purpose, and each case logs in anew.
      password: {
        hash: async (text) => text,
        verify: async ({ hash, password }) => hash === password,
      },
    },
    rateLimit: { enabled: false },
    logger: { disabled: true },
    telemetry: { enabled: false },
    plugins: [
      jwt(),
      oauthProvider({
        loginPage: '/login',
        consentPage: '/consent',
        clientPrivileges: () => true,
        silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true },
        // Its types do not fit exactOptionalPropertyTypes.
      }) as never,
    ],
  })
}

type Auth = ReturnType<typeof makeAuth>

/** Makes a user, and returns what a browser of theirs would send. */
async function signUp(auth: Auth, email: string): Promise<Headers> {
  const body = { email, name: email, password: PASSWORD }
  const { headers } = await (auth.api as unknown as ClientAdmin).signUpEmail({
    body,
    returnHeaders: true,
  })
  const cookies = headers.getSetCookie().map((cookie) => cookie.split(';')[0])
  return new Headers({ cookie: cookies.join('; ') })
}

/** What is used of its API; its own types do not fit exactOptionalPropertyTypes. */
interface ClientAdmin {
  signUpEmail(call: { body: object; returnHeaders: true }): Promise<{ headers: Headers }>
  adminCreateOAuthClient(call: { body: object; headers: Headers }): Promise<{
    client_id: string
    client_secret?: string
  }>
}

async function register(auth: Auth, role: string, headers: Headers): Promise<object> {
  const open = role.startsWith('p')
  const method = open ? 'none' : role === 'cp' ? 'client_secret_post' : 'client_secret_basic'
  const made = await (auth.api as unknown as ClientAdmin).adminCreateOAuthClient({
    headers,
    body: {
      client_name: role,
      redirect_uris: [REDIRECT],
      token_endpoint_auth_method: method,
      grant_types: [
        'authorization_code',
        'refresh_token',
        ...(open ? [] : (['client_credentials'] as const)),
      ],
      scope: 'openid offline_access email',
      skip_consent: true,
      ...(open && { type: 'native' as const }),
    },
  })
  const { client_id: id, client_secret: secret } = made
  return { id, auth: method, ...(!open && { secret }) }
}

/** The server's own routes, and a login page as an application has one. */
function route(auth: Auth, origin: string) {
  return async (request: Request): Promise<Response> => {
    const url = new URL(request.url)
    if (url.pathname !== '/login') return await auth.handler(request)
    if (request.method === 'GET') {
      return new Response(
        `<form method="post" action="/login${url.search.replaceAll('&', '&amp;')}"><input name="email"><input name="password" type="password"></form>`,
        { headers: { 'content-type': 'text/html' } },
      )
    }
    const form = await request.formData()
    const signedIn = await auth.handler(
      new Request(`${origin}/api/auth/sign-in/email`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', origin },
        body: JSON.stringify({
          email: form.get('email'),
          password: form.get('password'),
          oauth_query: url.search.slice(1),
        }),
      }),
    )
    const said = (await signedIn.json()) as { url?: string; redirect_uri?: string }
    const headers = new Headers({ location: String(said.url ?? said.redirect_uri ?? '/nowhere') })
    for (const cookie of signedIn.headers.getSetCookie()) headers.append('set-cookie', cookie)
    return new Response(null, { status: 302, headers })
  }
}
