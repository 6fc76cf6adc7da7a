import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import { createHttp } from '../../src/core/http.ts'
import { Secret } from '../../src/core/secret.ts'
import {
  type ConnectionApp,
  type ConnectionWay,
  traitsOf,
  type WayMeans,
} from '../../src/providers/connection-way.ts'
import { PROVIDERS } from '../../src/providers/registry.ts'
import { walkLogin } from '../emulators/clients/login-walk.ts'
import { SECRET as OIDC_SECRET, type OidcServer, startOidcServer } from '../protocol/oidc-server.ts'
import { CALLBACK } from '../server/core-world.ts'
import { type EndpointWorld, openEndpoints } from '../server/endpoints-world.ts'

const VERIFIER = new Secret('a-verifier-of-at-least-forty-three-characters-000')
const CHALLENGE = createHash('sha256').update(VERIFIER.reveal()).digest('base64url')
const http = createHttp()
const means: WayMeans = { http }

/** A server of a way, with somebody who consents. */
interface Place {
  readonly way: ConnectionWay
  readonly app: ConnectionApp
  /** Goes where a browser would, and brings back what comes to the callback; null where nobody can log in here. */
  consent: ((url: string) => Promise<URLSearchParams>) | null
  /** A pair of tokens that the server gave without a browser. */
  grant(): Promise<{ readonly access: string | null; readonly refresh: string }>
  readonly user: string
  /** What stands in an answer for the refresh token: a new one, the same again, or nothing. */
  readonly gives: 'new' | 'same' | 'nothing'
}

const wayOf = (id: string): ConnectionWay => {
  const way = PROVIDERS.get(id)?.connection
  if (!way) throw new Error(`${id} has no connections`)
  return way
}

let org: SalesforceOrg
let world: EndpointWorld
let oidc: OidcServer
const places = new Map<string, Place>()

beforeAll(async () => {
  org = await startSalesforce({ seed: 12, size: { users: 30, apps: 14, tokens: 100 } })
  world = await openEndpoints({ authorize: async () => ({ userId: 'ada' }) })
  oidc = await startOidcServer()
  const { tool, admin } = org.credentials
  places.set('salesforce', {
    way: wayOf('salesforce'),
    app: {
      ...{ url: org.url, clientId: tool.clientId, clientSecret: null },
      redirectUri: 'http://127.0.0.1:50123/callback',
      ...{ scopes: ['api', 'id', 'refresh_token'], options: { appName: 'Rescind' } },
    },
    consent: (url) =>
      walkLogin(url, 'http://127.0.0.1:50123/callback', { ...admin, decision: 'Allow' }),
    grant: async () => {
      const { refreshToken } = org.addGrant({ userId: admin.userId, appId: tool.clientId })
      return { access: null, refresh: refreshToken }
    },
    user: admin.userId,
    gives: 'nothing',
  })
  const secret = await world.addClient({ id: 'app', introspect: 'own' })
  places.set('our authority', {
    way: wayOf('oauth2'),
    app: {
      ...{ url: world.authority.issuer, clientId: 'app', clientSecret: new Secret(secret) },
      ...{ redirectUri: CALLBACK, scopes: ['read'], options: {} },
    },
    consent: async (url) => {
      const answer = await fetch(url, { redirect: 'manual' })
      return new URL(answer.headers.get('location') ?? '').searchParams
    },
    grant: async () => {
      const { access_token: access, refresh_token: refresh } = await world.issue('app')
      return { access, refresh }
    },
    user: 'ada',
    gives: 'new',
  })
  places.set('oidc-provider', {
    way: wayOf('oauth2'),
    app: {
      ...{ url: oidc.issuer, clientId: 'post-client', clientSecret: new Secret(OIDC_SECRET) },
      ...{ redirectUri: 'https://client.example.com/cb', scopes: ['openid', 'offline_access'] },
      options: {},
    },
    consent: null,
    grant: () => oidc.grantTokens('post-client'),
    user: 'ann',
    gives: 'same',
  })
})
afterAll(async () => {
  await http.close()
  await org.close()
  await world[Symbol.asyncDispose]()
  await oidc.close()
})

describe.each(['salesforce', 'our authority', 'oidc-provider'])('the way to %s', (name) => {
  const place = () => places.get(name) as Place
  const refreshed = async () => {
    const { way, app, grant } = place()
    const { refresh } = await grant()
    const answer = await way.refresh(app, new Secret(refresh), means)
    if (!answer.tokens) throw new Error(`refused: ${answer.error} ${answer.description}`)
    return { ...answer.tokens, before: new Secret(refresh) }
  }

  test('RFC 7636, RFC 6749 section 4.1.3: a consent becomes tokens, with PKCE', async () => {
    const { way, app, consent, user } = place()
    if (!consent) return
    const request = { state: 'st&te', challenge: CHALLENGE, force: false }
    const url = await way.authorizationUrl(app, request, means)
    expect(new URL(url).searchParams.get('code_challenge_method')).toBe('S256')
    if (app.clientSecret) expect(url).not.toContain(app.clientSecret.reveal())
    const back = await consent(url)
    expect(back.get('state')).toBe('st&te')
    const code = new Secret(back.get('code') ?? '')
    const grant = { code, verifier: VERIFIER, iss: back.get('iss') }
    const { tokens, error } = await way.redeem(app, grant, means)
    expect(error).toBeNull()
    expect(tokens?.refreshToken).not.toBeNull()
    const probe = await way.probe(app, tokens?.accessToken as Secret, means)
    expect(probe).toMatchObject({ verdict: 'alive', identity: { user } })
    expect((await way.redeem(app, grant, means)).error).toBe('invalid_grant')
  })

  test('RFC 6749 section 6: a refresh gives tokens, and leaves out what it does not change', async () => {
    const { gives } = place()
    const { accessToken, refreshToken, before } = await refreshed()
    expect(accessToken.isEmpty).toBe(false)
    if (gives === 'nothing') expect(refreshToken).toBeNull()
    else expect(refreshToken?.reveal() === before.reveal()).toBe(gives === 'same')
  })

  test('an unknown refresh token is read as invalid_grant, and nothing of it is repeated', async () => {
    const { way, app } = place()
    const token = new Secret('not-a-token-of-anybody')
    const answer = await way.refresh(app, token, means)
    expect(answer).toMatchObject({ tokens: null, error: 'invalid_grant', body: 'oauth_error' })
    expect(JSON.stringify(answer)).not.toContain(token.reveal())
  })

  test('a client that is refused is read as such', async () => {
    const { way, app, grant } = place()
    const { refresh } = await grant()
    const wrong = { ...app, clientSecret: new Secret('WRONG') }
    const answer = await way.refresh(wrong, new Secret(refresh), means)
    expect(answer.error).toBe('invalid_client')
  })

  test('a probe tells a living token from a dead one, and whose it is', async () => {
    const { way, app, user } = place()
    const { accessToken } = await refreshed()
    expect(await way.probe(app, accessToken, means)).toMatchObject({
      verdict: 'alive',
      identity: { user },
    })
    const revoked = await way.revoke(app, { kind: 'access', token: accessToken }, means)
    expect(revoked).toMatchObject({ revoked: 'yes', alreadyDead: false })
    expect(await way.probe(app, accessToken, means)).toMatchObject({ verdict: 'dead' })
  })

  test('its traits are what the server does: what dies with a refresh token, and a second time', async () => {
    const { way, app } = place()
    const traits = traitsOf(way, app)
    const { accessToken, refreshToken, before, facts } = await refreshed()
    const held = { kind: 'refresh', token: refreshToken ?? before, facts } as const
    expect(await way.look?.(app, held, means)).toBe('alive')
    expect(await way.revoke(app, held, means)).toMatchObject({ revoked: 'yes' })
    expect(await way.look?.(app, held, means)).toBe('dead')
    const second = await way.revoke(app, held, means)
    expect(second.revoked).toBe('yes')
    expect(second.alreadyDead).toBe(traits.revokesTwice === 'refused')
    const { verdict } = await way.probe(app, accessToken, means)
    expect(verdict).toBe(traits.revokeRefresh === 'grant' ? 'dead' : 'alive')
  })

  test('the control call needs no grant, and fails where nobody is', async () => {
    const { way, app } = place()
    expect(await way.control(app, means)).toMatchObject({ ok: true })
    const nowhere = { ...app, url: 'http://127.0.0.1:9' }
    expect(await way.control(nowhere, means)).toEqual({ ok: false, status: null })
  })

  test('nobody there: nothing was sent', async () => {
    const { way, app } = place()
    const nowhere = { ...app, url: 'http://127.0.0.1:9' }
    const token = new Secret('rt')
    expect(await way.refresh(nowhere, token, means)).toMatchObject({
      status: null,
      mayHaveActed: false,
    })
    expect(await way.probe(nowhere, token, means)).toMatchObject({ verdict: 'unclear' })
    expect(await way.revoke(nowhere, { kind: 'access', token }, means)).toMatchObject({
      revoked: 'no',
    })
  })

  test('options that it does not know are refused before anything is sent', () => {
    const { way, app } = place()
    const check = (options: Record<string, unknown>) => () =>
      way.checkApp?.('a', { ...app, options })
    expect(check({ rotation: 'may', replayKills: false, graceMs: 1_800_000 })).not.toThrow()
    expect(check({ rotations: 'may' })).toThrow(/unknown key rotations/)
    expect(check({ graceMs: 'long' })).toThrow(/graceMs is of the wrong kind/)
  })
})

describe('Salesforce', () => {
  const place = () => places.get('salesforce') as Place

  test('a sixth token of a user and app ends the first: they are counted where the user may', async () => {
    const { way, app, grant } = place()
    const { refresh } = await grant()
    const { tokens } = await way.refresh(app, new Secret(refresh), means)
    const count = await way.countLive?.(app, tokens!.identity!, tokens!.accessToken, means)
    expect(count).toBeGreaterThanOrEqual(1)
    const unnamed = { ...app, options: {} }
    expect(await way.countLive?.(unnamed, tokens!.identity!, tokens!.accessToken, means)).toBeNull()
  })

  test.each([
    ['on', 'always'],
    ['off', 'never'],
    ['unknown', 'may'],
  ])('rotation is a switch of the app: %s is %s', (rotation, trait) => {
    const { way, app } = place()
    expect(traitsOf(way, { ...app, options: { rotation } }).rotation).toBe(trait)
  })
})

describe('RFC 9207 section 2.4: an answer of another issuer', () => {
  test.each([
    ['our authority', 'another issuer', 'https://evil.example'],
    ['our authority', 'no issuer, where one is promised', null],
    ['salesforce', 'another issuer', 'https://evil.example'],
  ])('%s, %s: the code is not sent', async (name, _title, iss) => {
    const { way, app } = places.get(name) as Place
    const grant = { code: new Secret('code'), verifier: VERIFIER, iss }
    const answer = await way.redeem(app, grant, means)
    expect(answer).toMatchObject({ error: 'issuer_mismatch', mayHaveActed: false, status: null })
  })
})
