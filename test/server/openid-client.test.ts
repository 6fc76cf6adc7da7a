import { createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose'
import * as openid from 'openid-client'
import { describe, expect, it } from 'vitest'
import type { ClientAuthMethod } from '../../src/server/client-settings.ts'
import type { NewClient } from '../../src/server/clients.ts'
import { CALLBACK } from './core-world.ts'
import { type EndpointWorld, openEndpoints } from './endpoints-world.ts'

type Format = 'opaque' | 'jwt'
type Case = [method: ClientAuthMethod, accessTokenFormat: Format]

const CASES: readonly Case[] = (
  ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'] as const
).flatMap((method) => [[method, 'opaque'] as Case, [method, 'jwt'] as Case])

/** An authority of Ada's, with an API that may ask about every token. */
async function open() {
  const world = await openEndpoints({ authorize: async () => ({ userId: 'ada' }) })
  const secret = await world.addClient({ id: 'api', introspect: 'all' })
  const api = await discover(world, 'api', openid.ClientSecretBasic(secret))
  return { world, api }
}

/** RFC 8414: a client that has read the metadata. */
function discover(world: EndpointWorld, id: string, auth: openid.ClientAuth) {
  return openid.discovery(new URL(world.authority.issuer), id, undefined, auth, {
    algorithm: 'oauth2',
    execute: [openid.allowInsecureRequests],
  })
}

/** Registers the client "app", which proves itself by this method. */
async function register(world: EndpointWorld, [authMethod, accessTokenFormat]: Case) {
  const client: NewClient = { id: 'app', authMethod, accessTokenFormat }
  if (authMethod === 'private_key_jwt') {
    const pair = await generateKeyPair('ES256', { extractable: true })
    const jwk = { ...(await exportJWK(pair.publicKey)), alg: 'ES256' }
    await world.addClient({ ...client, jwks: { keys: [jwk] } })
    return discover(world, 'app', openid.PrivateKeyJwt(pair.privateKey))
  }
  const secret = await world.addClient(client)
  const auths: Partial<Record<ClientAuthMethod, () => openid.ClientAuth>> = {
    client_secret_basic: () => openid.ClientSecretBasic(secret),
    client_secret_post: () => openid.ClientSecretPost(secret),
  }
  return discover(world, 'app', auths[authMethod]?.() ?? openid.None())
}

/** RFC 6749 section 4.1 with RFC 7636: goes where a browser would, and changes the code into tokens. */
async function logIn(app: openid.Configuration) {
  const [pkceCodeVerifier, expectedState] = [openid.randomPKCECodeVerifier(), openid.randomState()]
  const url = openid.buildAuthorizationUrl(app, {
    ...{ redirect_uri: CALLBACK, scope: 'read', state: expectedState },
    code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  })
  const answer = await fetch(url, { redirect: 'manual' })
  const back = new URL(answer.headers.get('location') ?? '')
  return pairOf(await openid.authorizationCodeGrant(app, back, { pkceCodeVerifier, expectedState }))
}

function pairOf({ access_token, refresh_token }: openid.TokenEndpointResponse) {
  if (refresh_token === undefined) throw new Error('There is no refresh token.')
  return { access_token, refresh_token }
}

const refresh = async (app: openid.Configuration, token: string) =>
  pairOf(await openid.refreshTokenGrant(app, token))

describe.each(CASES)('openid-client, by %s, with %s access tokens', (...one) => {
  const [method, format] = one

  it('RFC 6749, RFC 7662: logs in, refreshes, and the API hears of Ada', async () => {
    const { world, api } = await open()
    await using _ = world
    const app = await register(world, one)
    const next = await refresh(app, (await logIn(app)).refresh_token)
    const told = { active: true, sub: 'ada', client_id: 'app', scope: 'read' }
    expect(await openid.tokenIntrospection(api, next.access_token)).toMatchObject(told)
    // A public client cannot prove that a token is its own: a 401, of which the client tells the challenge.
    const own = openid.tokenIntrospection(app, next.access_token)
    const challenged = { code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE', status: 401 }
    if (method === 'none') await expect(own).rejects.toMatchObject(challenged)
    else expect(await own).toMatchObject(told)
  })

  it('RFC 7009 section 2.1: an access token dies alone', async () => {
    const { world, api } = await open()
    await using _ = world
    const app = await register(world, one)
    const { access_token, refresh_token } = await logIn(app)
    await openid.tokenRevocation(app, access_token)
    expect(await openid.tokenIntrospection(api, access_token)).toEqual({ active: false })
    if (format === 'jwt') await expectAtJwt(app, access_token)
    const next = await refresh(app, refresh_token)
    expect(await openid.tokenIntrospection(api, next.access_token)).toMatchObject({ active: true })
  })

  it('RFC 7009 section 2.1: a refresh token takes its grant along; a refresh is refused', async () => {
    const { world, api } = await open()
    await using _ = world
    const app = await register(world, one)
    const [first, other] = [await logIn(app), await logIn(app)]
    const next = await refresh(app, first.refresh_token)
    await openid.tokenRevocation(app, next.refresh_token, { token_type_hint: 'refresh_token' })
    for (const token of [first.access_token, next.access_token, next.refresh_token]) {
      expect(await openid.tokenIntrospection(api, token)).toEqual({ active: false })
    }
    for (const token of [first.refresh_token, next.refresh_token]) {
      await expect(refresh(app, token)).rejects.toMatchObject({ error: 'invalid_grant' })
    }
    expect(await openid.tokenIntrospection(api, other.access_token)).toMatchObject({ active: true })
  })
})

/** RFC 9068 section 4: by its signature it is good all the same, so that introspection must know better. */
async function expectAtJwt(app: openid.Configuration, token: string): Promise<void> {
  const { issuer, jwks_uri = '' } = app.serverMetadata()
  const keys = createRemoteJWKSet(new URL(jwks_uri))
  const { payload } = await jwtVerify(token, keys, { issuer, typ: 'at+jwt' })
  expect(payload).toMatchObject({ sub: 'ada', client_id: 'app', scope: 'read' })
}
