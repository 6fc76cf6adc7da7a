import { generateKeyPairSync } from 'node:crypto'
import { exportJWK, importSPKI } from 'jose'
import { conformanceSchema } from '../../../src/conformance/config.ts'
import { type Authority, createAuthority } from '../../../src/server/authority.ts'
import type { Authorize } from '../../../src/server/endpoints/authorize.ts'
import { mountNode } from '../../../src/server/mounts/node.ts'
import type { Lifetimes } from '../../../src/server/options.ts'
import { thumbprintOf } from '../../../src/server/wire/client-auth.ts'
import type { AuthorityStore } from '../../../src/store/authority/contract.ts'
import { CERTIFICATE } from '../../support/client-certificate.ts'
import { listen, type Peer } from './peer.ts'

const REDIRECT = 'https://client.example.com/cb'
const KEY = new Uint8Array(32).fill(9)
const CERTIFICATE_HEADER = 'x-client-cert'
const SCOPE = 'read write'
const LOGIN_PAGE = `<!doctype html><title>Log in</title><form method="post">
<label>User <input name="login"></label><button>Log in</button></form>`

const { privateKey, publicKey } = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})

/** Whoever names a user in the form is that user. */
const logIn: Authorize = async (_request, { parameters }) => {
  const userId = parameters.get('login')
  const headers = { 'content-type': 'text/html' }
  return userId === undefined ? new Response(LOGIN_PAGE, { headers }) : { userId }
}

/** Starts our own authority with a client for each role, and a protected resource. */
export async function startAuthorityPeer(
  store: AuthorityStore,
  options: {
    readonly lifetimes?: Partial<Lifetimes> | undefined
    readonly jwt?: boolean | undefined
  } = {},
): Promise<Peer> {
  let authority: Authority | undefined
  const server = await listen(async (origin) => {
    const { lifetimes } = options
    const made = await createAuthority({
      issuer: origin,
      store,
      key: KEY,
      authorize: logIn,
      lifetimes,
      certificates: { header: CERTIFICATE_HEADER, trustedProxies: ['127.0.0.1'] },
    })
    authority = made
    const endpoints = mountNode(made.handle)
    return (request, response) => {
      if (request.url !== '/resource') return endpoints(request, response)
      const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
      made.introspect(token).then(({ active }) => {
        response.writeHead(active ? 200 : 401).end()
      })
    }
  })
  const clients = await addClients(authority as unknown as Authority, options.jwt ?? false)
  const config = conformanceSchema.parse({
    issuer: server.origin,
    clients,
    tokens: {
      user: {
        by: 'code',
        redirectUri: REDIRECT,
        scope: SCOPE,
        fields: { login: 'ann' },
        secondUser: { login: 'bob' },
      },
      service: { by: 'client_credentials', scope: SCOPE },
    },
    resource: { url: `${server.origin}/resource` },
  })
  return {
    config,
    async close() {
      await server.close()
      await authority?.close()
    },
  }
}

async function addClients({ clients }: Authority, isJwt: boolean) {
  const jwk = await exportJWK(await importSPKI(publicKey, 'ES256'))
  const user = {
    scope: SCOPE,
    redirectUris: [REDIRECT],
    accessTokenFormat: isJwt ? ('jwt' as const) : ('opaque' as const),
    origins: ['https://app.example.com'],
  }
  const all = ['authorization_code', 'refresh_token', 'client_credentials'] as const
  const add = async (id: string, authMethod: 'client_secret_basic' | 'client_secret_post') => {
    const grantTypes = [...all]
    const { secret } = await clients.add({ ...user, id, authMethod, grantTypes })
    return { id, auth: authMethod, secret }
  }
  const addPublic = async (id: string) => {
    await clients.add({ ...user, id, authMethod: 'none' })
    return { id, auth: 'none' as const }
  }
  const addServer = async (id: string, introspect: 'all' | 'none') => {
    const { secret } = await clients.add({ id, introspect, grantTypes: [] })
    return { id, auth: 'client_secret_basic' as const, secret }
  }
  const keys = { keys: [{ ...jwk, kid: 'key-1' }] }
  const cj = { ...user, id: 'cj', authMethod: 'private_key_jwt', jwks: keys } as const
  await clients.add({ ...cj, grantTypes: [...all] })
  const certificates = [thumbprintOf(encodeURIComponent(CERTIFICATE)) ?? '']
  const cm = { ...user, id: 'cm', authMethod: 'self_signed_tls_client_auth', certificates } as const
  await clients.add({ ...cm, certificateBoundAccessTokens: true })
  const cx = await add('cx', 'client_secret_basic')
  await clients.disable('cx')
  return {
    c1: await add('c1:client', 'client_secret_basic'),
    c2: await add('c2', 'client_secret_basic'),
    cp: await add('cp', 'client_secret_post'),
    cm: {
      ...{ id: 'cm', auth: 'self_signed_tls_client_auth' as const },
      certificate: { header: CERTIFICATE_HEADER, pem: CERTIFICATE },
    },
    cj: { id: 'cj', auth: 'private_key_jwt', key: privateKey },
    p1: await addPublic('p1'),
    p2: await addPublic('p2'),
    rs1: await addServer('rs1', 'all'),
    rs2: await addServer('rs2', 'none'),
    cx,
  }
}
