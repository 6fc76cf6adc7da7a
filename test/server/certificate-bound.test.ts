import { decodeJwt } from 'jose'
import { calculatePKCECodeChallenge, generateRandomCodeVerifier } from 'oauth4webapi'
import { describe, expect, it } from 'vitest'
import type { NewClient } from '../../src/server/clients.ts'
import { thumbprintOf } from '../../src/server/wire/client-auth.ts'
import { CERTIFICATE } from '../support/client-certificate.ts'
import { CALLBACK } from './core-world.ts'
import { type EndpointWorld, FORM, openEndpoints } from './endpoints-world.ts'

const HEADER = 'x-client-cert'
const THUMBPRINT = thumbprintOf(encodeURIComponent(CERTIFICATE)) ?? ''
const CNF = { 'x5t#S256': THUMBPRINT }
const BOUND = { certificateBoundAccessTokens: true } as const

interface Answer {
  readonly access_token: string
  readonly refresh_token?: string
}

async function open(client: Omit<NewClient, 'id'>): Promise<EndpointWorld> {
  const world = await openEndpoints({
    certificates: { header: HEADER, trustedProxies: ['127.0.0.1'] },
    authorize: async () => ({ userId: 'ada' }),
  })
  await world.addClient({
    ...{ id: 'm', authMethod: 'self_signed_tls_client_auth', certificates: [THUMBPRINT] },
    ...client,
  })
  return world
}

const post = (world: EndpointWorld, path: string, form: Readonly<Record<string, string>>) =>
  world.call(path, {
    method: 'POST',
    headers: { 'content-type': FORM, [HEADER]: encodeURIComponent(CERTIFICATE) },
    body: new URLSearchParams({ client_id: 'm', ...form }).toString(),
  })

async function tokensFor(
  world: EndpointWorld,
  form: Readonly<Record<string, string>>,
): Promise<Answer> {
  const response = await post(world, '/token', form)
  expect(response.status).toBe(200)
  return (await response.json()) as Answer
}

/** Gets tokens by every grant there is: of the client itself, of a code, refreshed, and by an honest retry of that. */
async function allTokens(world: EndpointWorld): Promise<readonly Answer[]> {
  const own = await tokensFor(world, { grant_type: 'client_credentials' })
  const verifier = generateRandomCodeVerifier()
  const asked = new URLSearchParams({
    ...{ response_type: 'code', client_id: 'm', redirect_uri: CALLBACK, scope: 'read' },
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  const { headers } = await world.call(`/authorize?${asked}`)
  const code = new URL(headers.get('location') ?? '').searchParams.get('code') ?? ''
  const redeemed = await tokensFor(world, {
    ...{ grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: verifier },
  })
  const refresh = { grant_type: 'refresh_token', refresh_token: redeemed.refresh_token ?? '' }
  const refreshed = await tokensFor(world, refresh)
  const retried = await tokensFor(world, refresh)
  return [own, redeemed, refreshed, retried]
}

async function introspected(world: EndpointWorld, token: string) {
  return (await (await post(world, '/introspect', { token })).json()) as Record<string, unknown>
}

describe('RFC 8705 section 3: access tokens that are bound to the certificate of a client', () => {
  it.each(['opaque', 'jwt'] as const)('%s: of every grant, in every answer', async (format) => {
    await using world = await open({ ...BOUND, accessTokenFormat: format })
    for (const { access_token, refresh_token } of await allTokens(world)) {
      expect(await introspected(world, access_token)).toMatchObject({ active: true, cnf: CNF })
      if (format === 'jwt') expect(decodeJwt(access_token).cnf).toEqual(CNF)
      if (refresh_token === undefined) continue
      // Of a refresh token the client's proof is enough (section 7.1).
      const refresh = await introspected(world, refresh_token)
      if (refresh.active) expect(refresh).not.toHaveProperty('cnf')
    }
  })

  it.each(['opaque', 'jwt'] as const)(
    '%s: not where the client is not registered so',
    async (format) => {
      await using world = await open({ accessTokenFormat: format })
      for (const { access_token } of await allTokens(world)) {
        const answer = await introspected(world, access_token)
        expect(answer.active).toBe(true)
        expect(answer).not.toHaveProperty('cnf')
        if (format === 'jwt') expect(decodeJwt(access_token)).not.toHaveProperty('cnf')
      }
    },
  )

  it('the host, which sees no certificate, gets none for such a client', async () => {
    await using world = await open(BOUND)
    const { refresh_token = '' } = (await allTokens(world)).at(-1) as Answer
    const refused = { code: 'usage', message: expect.stringContaining('bound to its certificate') }
    await expect(world.issue('m')).rejects.toMatchObject(refused)
    const rotating = world.authority.rotate({ clientId: 'm', refreshToken: refresh_token })
    await expect(rotating).rejects.toMatchObject(refused)
    // Nothing was spent.
    expect(await world.isActive(refresh_token)).toEqual([true])
  })

  it('a client that shows no certificate cannot be registered so', async () => {
    await using world = await openEndpoints()
    await expect(world.addClient({ id: 'app', ...BOUND })).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('cannot be bound to a certificate'),
    })
  })

  it.each([true, false])(
    'metadata tell of it where a proxy tells of certificates: %s',
    async (has) => {
      const certificates = { header: HEADER, trustedProxies: ['127.0.0.1'] }
      await using world = await openEndpoints(has ? { certificates } : {})
      const metadata = await (await world.call('/.well-known/oauth-authorization-server')).json()
      const name = 'tls_client_certificate_bound_access_tokens'
      expect((metadata as Record<string, unknown>)[name]).toBe(has ? true : undefined)
    },
  )
})
