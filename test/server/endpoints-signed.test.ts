import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import type { SubjectIdentifier } from '../../src/server/endpoints/global-revocation.ts'
import type { SigningCaller } from '../../src/server/endpoints/signed-caller.ts'
import { bearer, type EndpointWorld, openEndpoints } from './endpoints-world.ts'

const PATH = '/global-token-revocation'
const ISSUER = 'https://acme.okta.example'
const USERS: Readonly<Record<string, string>> = {
  'acme ada@x.example': 'ada',
  'beta bob@x.example': 'bob',
}
const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
const stranger = await generateKeyPair('RS256')
const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'RS256' }] }

async function open(keys: SigningCaller['keys'] = jwks): Promise<EndpointWorld> {
  const resolveSubject = async (subject: SubjectIdentifier, tenant: string | null) =>
    subject.format === 'email' ? (USERS[`${tenant} ${subject.email}`] ?? null) : null
  const signers = [{ name: 'okta', tenant: 'acme', issuer: ISSUER, keys }]
  const world = await openEndpoints({
    globalRevocation: { callers: [], signers, resolveSubject },
  })
  await world.addClient({ id: 'app' })
  return world
}

let count = 0
/** Signs an assertion as Okta does; `given` changes a claim of it, or takes it away. */
async function sign(
  { origin, clock }: EndpointWorld,
  given: Readonly<Record<string, unknown>> = {},
  { key = privateKey, typ = 'global-token-revocation+jwt' } = {},
): Promise<string> {
  count += 1
  const now = Math.floor(clock.now() / 1000)
  const times = { iat: now, nbf: now - 300, exp: now + 300 }
  const claims = {
    iss: ISSUER,
    sub: ISSUER,
    aud: origin + PATH,
    jti: `j${count}`,
    ...times,
    ...given,
  }
  const present = Object.entries(claims).filter(([, value]) => value !== undefined)
  const payload = Object.fromEntries(present) as JWTPayload
  return new SignJWT(payload).setProtectedHeader({ alg: 'RS256', kid: 'k1', typ }).sign(key)
}

function kill({ call }: EndpointWorld, jwt: string, email = 'ada@x.example'): Promise<Response> {
  return call(PATH, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...bearer(jwt) },
    body: JSON.stringify({ sub_id: { format: 'email', email } }),
  })
}

describe('Global Token Revocation by callers that sign, as Okta Universal Logout', () => {
  it('all of the user of its tenant, once for each JWT', async () => {
    await using world = await open()
    const [ada, bob] = [await world.issue('app'), await world.issue('app', 'bob')]
    const jwt = await sign(world)
    expect((await kill(world, jwt)).status).toBe(204)
    expect(await world.isActive(ada.access_token, ada.refresh_token)).toEqual([false, false])
    expect((await kill(world, await sign(world), 'bob@x.example')).status).toBe(404)
    expect(await world.isActive(bob.access_token)).toEqual([true])
    const last = (await world.authority.events()).at(-1)
    expect(last).toMatchObject({ cause: 'global_token_revocation', actor: 'caller:okta' })
    const again = await kill(world, jwt)
    expect([again.status, again.headers.get('www-authenticate')]).toEqual([
      401,
      expect.stringContaining('invalid_token'),
    ])
    const metadata = await (await world.call('/.well-known/oauth-authorization-server')).json()
    expect(metadata).toMatchObject({
      global_token_revocation_endpoint: world.origin + PATH,
      global_token_revocation_endpoint_auth_methods_supported: ['Bearer'],
    })
  })

  it('keys may be found at each request, and trouble with them is no refusal', async () => {
    let isDown = true
    await using world = await open(async () => {
      if (isDown) throw new Error('the keys cannot be fetched')
      return publicKey
    })
    const { access_token } = await world.issue('app')
    expect((await kill(world, await sign(world))).status).toBe(500)
    expect(await world.isActive(access_token)).toEqual([true])
    isDown = false
    expect((await kill(world, await sign(world))).status).toBe(204)
  })

  it.each<[string, Readonly<Record<string, unknown>>, Parameters<typeof sign>[2]?]>([
    ['another key', {}, { key: stranger.privateKey }],
    ['another issuer', { iss: 'https://x.example' }],
    ['another audience', { aud: 'https://x.example/global-token-revocation' }],
    ['another type', {}, { typ: 'at+jwt' }],
    ['no type but JWT', {}, { typ: 'JWT' }],
    ['no jti', { jti: undefined }],
    ['no exp', { exp: undefined }],
    ['an exp that is past', { exp: 1 }],
    ['an exp that is far', { exp: Number.MAX_SAFE_INTEGER }],
    ['an nbf to come', { nbf: 4_000_000_000 }],
  ])('refuses %s, and nothing dies', async (_, claims, how) => {
    await using world = await open()
    const { access_token } = await world.issue('app')
    expect((await kill(world, await sign(world, claims, how))).status).toBe(401)
    expect(await world.isActive(access_token)).toEqual([true])
  })

  it('who tries too often waits', async () => {
    await using world = await open()
    const statuses = []
    for (let tries = 0; tries < 11; tries += 1) {
      const jwt = await sign(world, {}, { key: stranger.privateKey })
      statuses.push((await kill(world, jwt)).status)
    }
    expect(statuses).toEqual([...Array(10).fill(401), 429])
    world.clock.advance(61)
    expect((await kill(world, await sign(world))).status).toBe(204)
  })

  it('a tenant without what knows its users is refused at the start', async () => {
    const signers = [{ name: 'okta', tenant: 'acme', issuer: ISSUER, keys: jwks }]
    const opened = openEndpoints({ globalRevocation: { callers: [], signers } })
    await expect(opened).rejects.toMatchObject({ code: 'usage' })
  })
})
