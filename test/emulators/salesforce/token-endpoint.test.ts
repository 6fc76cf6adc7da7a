import { createSign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { GrantTruth, SalesforceOptions, SalesforceOrg } from '../../../emulators/index.ts'
import {
  clientOf,
  grantWhere,
  NOW_MS,
  post,
  query,
  refresh,
  rest,
  send,
  startOrg,
  usableGrant,
} from './org-fixture.ts'

const TOKEN = '/services/oauth2/token'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

function assertion(
  org: SalesforceOrg,
  claims: Record<string, unknown> = {},
  alg = 'RS256',
): string {
  const { clientId, username, privateKeyPem } = org.credentials.jwt
  const all = { iss: clientId, sub: username, aud: org.url, exp: NOW_MS / 1000 + 180, ...claims }
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg })}.${part(all)}`
  return `${signed}.${createSign('RSA-SHA256').update(signed).sign(privateKeyPem).toString('base64url')}`
}

function forms(org: SalesforceOrg): Record<string, Record<string, string>> {
  const { admin, integration, jwt, tool, refreshToken } = org.credentials
  return {
    password: {
      grant_type: 'password',
      username: admin.username,
      password: admin.password + admin.securityToken,
      client_id: tool.clientId,
      client_secret: tool.clientSecret,
    },
    client_credentials: {
      grant_type: 'client_credentials',
      client_id: integration.clientId,
      client_secret: integration.clientSecret,
    },
    jwt: { grant_type: JWT_BEARER, assertion: assertion(org) },
    refresh_token: {
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
      client_id: tool.clientId,
    },
    other: { client_id: jwt.clientId },
  }
}

describe('token endpoint: every grant gives a token that works', () => {
  test.each(['password', 'client_credentials', 'jwt', 'refresh_token'])('%s', async (grant) => {
    const org = await startOrg()
    const { status, json } = await post(org, TOKEN, forms(org)[grant]!)
    expect([status, json.token_type, json.instance_url]).toEqual([200, 'Bearer', org.url])
    expect(json.id).toMatch(new RegExp(`^${org.url}/id/${org.organizationId}/005\\w{15}$`))
    expect(json.access_token).toMatch(/^00D\w{12,15}![.\w]*$/)
    expect(json.refresh_token).toBeUndefined()
    expect(json.issued_at).toBe(String(NOW_MS))
    expect((await rest(org, '/limits', {}, json.access_token)).status).toBe(200)
  })

  test('client credentials by HTTP Basic', async () => {
    const org = await startOrg()
    const { clientId, clientSecret } = org.credentials.integration
    const basic = Buffer.from(`${clientId}:${clientSecret}`).toString('base64')
    const headers = { authorization: `Basic ${basic}` }
    const { status } = await post(org, TOKEN, { grant_type: 'client_credentials' }, headers)
    expect(status).toBe(200)
  })

  test('token exchange', async () => {
    const org = await startOrg()
    const { json } = await post(org, TOKEN, {
      ...forms(org).password,
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: org.credentials.accessToken,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    })
    expect((await rest(org, '/limits', {}, json.access_token)).status).toBe(200)
  })

  test.each([
    [false, 0],
    [true, 1],
  ])('switch machineGrantsInOauthToken: %s', async (machineGrantsInOauthToken, rows) => {
    const org = await startOrg({ switches: { machineGrantsInOauthToken } })
    await post(org, TOKEN, forms(org).client_credentials!)
    expect(org.truth.counts().grants - 1_201).toBe(rows)
  })
})

type Wrong = Record<string, string> | ((org: SalesforceOrg) => Record<string, string>)

const REFUSED: readonly (readonly [string, string, Wrong, string, string])[] = [
  ['a wrong password', 'password', { password: 'x' }, 'invalid_grant', 'authentication failure'],
  [
    'no such client',
    'password',
    { client_id: 'x' },
    'invalid_client_id',
    'client identifier invalid',
  ],
  [
    'a wrong secret',
    'client_credentials',
    { client_secret: 'x' },
    'invalid_client',
    'invalid client credentials',
  ],
  [
    'a wrong secret of a public client',
    'refresh_token',
    { client_secret: 'x' },
    'invalid_client',
    'invalid client credentials',
  ],
  [
    'an unknown refresh token',
    'refresh_token',
    { refresh_token: '5Aep861x' },
    'invalid_grant',
    'expired access/refresh token',
  ],
  [
    "another app's refresh token",
    'refresh_token',
    (org) => ({ refresh_token: usableGrant(org).refreshToken }),
    'invalid_grant',
    'token was not issued to this client',
  ],
  [
    'an unknown grant',
    'password',
    { grant_type: 'magic' },
    'unsupported_grant_type',
    'grant type not supported',
  ],
  [
    'an app without client credentials',
    'client_credentials',
    (org) => ({
      client_id: org.credentials.tool.clientId,
      client_secret: org.credentials.tool.clientSecret,
    }),
    'invalid_grant',
    'no client credentials user enabled',
  ],
  [
    'an assertion for another audience',
    'jwt',
    (org) => ({ assertion: assertion(org, { aud: 'https://example.com' }) }),
    'invalid_grant',
    'Audience validation failed',
  ],
  [
    'an expired assertion',
    'jwt',
    (org) => ({ assertion: assertion(org, { exp: NOW_MS / 1000 - 1 }) }),
    'invalid_grant',
    'expired authorization code',
  ],
  [
    'an assertion by another algorithm',
    'jwt',
    (org) => ({ assertion: assertion(org, {}, 'none') }),
    'invalid_grant',
    'invalid assertion',
  ],
  [
    'an assertion that was altered',
    'jwt',
    (org) => ({ assertion: assertion(org).replace(/\.[^.]+$/, '.AAAA') }),
    'invalid_grant',
    'invalid assertion',
  ],
  [
    'an assertion for a user who was not approved',
    'jwt',
    (org) => ({ assertion: assertion(org, { sub: org.credentials.limited.username }) }),
    'invalid_grant',
    "user hasn't approved this consumer",
  ],
]

describe('token endpoint: refusals are 400 and a JSON object', () => {
  test.each(REFUSED)('%s', async (_, grant, wrong, error, description) => {
    const org = await startOrg()
    const form = { ...forms(org)[grant], ...(typeof wrong === 'function' ? wrong(org) : wrong) }
    const { status, json } = await post(org, TOKEN, form)
    expect([status, json]).toEqual([400, { error, error_description: description }])
  })

  test.each([
    ['aud with a slash behind it', (org: SalesforceOrg) => ({ aud: `${org.url}/` })],
    ['aud of the login host', () => ({ aud: 'https://login.salesforce.com' })],
    ['exp in milliseconds', () => ({ exp: NOW_MS + 300 })],
  ])('JWT bearer takes %s', async (_, claims) => {
    const org = await startOrg()
    const form = { grant_type: JWT_BEARER, assertion: assertion(org, claims(org)) }
    expect((await post(org, TOKEN, form)).status).toBe(200)
  })

  test('a user may log in 3,600 times an hour', async () => {
    const org = await startOrg()
    const form = forms(org).refresh_token!
    const send50 = (): Promise<unknown> =>
      Promise.all(Array.from({ length: 50 }, () => post(org, TOKEN, form)))
    for (let n = 0; n < 72; n += 1) await send50()
    const { json } = await post(org, TOKEN, form)
    expect(json.error_description).toBe('login rate exceeded')
  })
})

describe('users and apps that get no tokens', () => {
  test('an inactive user', async () => {
    const org = await startOrg()
    const { json } = await refresh(
      org,
      grantWhere(org, (grant) => !grant.userIsActive),
    )
    expect(json).toEqual({ error: 'invalid_grant', error_description: 'inactive user' })
  })

  test.each([
    ['unusable', 400],
    ['usable', 200],
  ] as const)('a frozen user, switch freeze: %s', async (freeze, status) => {
    const org = await startOrg({ switches: { freeze } })
    expect(
      (
        await refresh(
          org,
          grantWhere(org, (grant) => grant.userIsFrozen),
        )
      ).status,
    ).toBe(status)
  })

  test.each([
    ['unusable', 200, 0],
    ['deleted', 400, 1],
  ] as const)('a user who comes back, switch deactivate: %s', async (deactivate, status, least) => {
    const org = await startOrg({ switches: { deactivate } })
    const grant = usableGrant(org)
    org.setUserActive(grant.userId, false)
    expect((await refresh(org, grant)).status).toBe(400)
    org.setUserActive(grant.userId, true)
    expect((await refresh(org, grant)).status).toBe(status)
    expect(org.truth.counts().dead).toBeGreaterThanOrEqual(least)
  })

  test('a blocked app, until it is let in again', async () => {
    const org = await startOrg()
    const grant = usableGrant(org)
    const { access_token: token } = (await refresh(org, grant)).json
    org.block(grant.appId)
    expect((await rest(org, '/limits', {}, token)).status).toBe(401)
    expect((await refresh(org, grant)).json.error_description).toMatch(/blocked/)
    expect(org.blockedApps()).toEqual([grant.appId])
    org.unblock(grant.appId)
    expect((await refresh(org, grant)).status).toBe(200)
  })
})

describe('refresh token rotation', () => {
  const rotating = (org: SalesforceOrg) =>
    grantWhere(org, (grant) => grant.app === 'Slack Bridge' && grant.userIsActive)

  test('each refresh gives a new token; presenting a spent one ends the grant', async () => {
    const org = await startOrg()
    const first = rotating(org)
    const second = (await refresh(org, first)).json
    expect(second.refresh_token).toMatch(/^[A-Za-z0-9._-]+={0,2}$/)
    expect(second.refresh_token).not.toBe(first.refreshToken)
    const third = (await refresh(org, { ...first, refreshToken: second.refresh_token })).json
    const replay = await refresh(org, first)
    expect([replay.status, replay.json.error]).toEqual([400, 'invalid_grant'])
    expect(org.truth.grant(first.deleteToken)).toMatchObject({ alive: false, killedBy: 'replay' })
    const current = await refresh(org, { ...first, refreshToken: third.refresh_token })
    expect(current.status).toBe(400)
    expect((await rest(org, '/limits', {}, third.access_token)).status).toBe(401)
  })

  test.each([
    ['all', 'Drift', true],
    ['none', 'Slack Bridge', false],
    ['per-app', 'Drift', false],
  ] as const)('switch rotation: %s, app %s', async (rotation, app, rotates) => {
    const org = await startOrg({ switches: { rotation } })
    const grant = grantWhere(org, (entry) => entry.app === app && entry.userIsActive)
    const { json } = await refresh(org, grant)
    expect(json.refresh_token !== undefined).toBe(rotates)
  })
})

describe('UseCount and LastUsedDate', () => {
  test('move at a refresh, and at a refresh that fails', async () => {
    const org = await startOrg()
    const grant = usableGrant(org)
    await refresh(org, grant)
    org.block(grant.appId)
    await refresh(org, grant)
    const after = org.truth.grant(grant.deleteToken)!
    expect([after.useCount - grant.useCount, after.lastUsedAt]).toEqual([2, NOW_MS])
  })

  test.each([
    [true, 1],
    [false, 0],
  ])('switch refreshInLoginHistory: %s', async (refreshInLoginHistory, rows) => {
    const org = await startOrg({ switches: { refreshInLoginHistory } })
    const grant = usableGrant(org)
    await refresh(org, grant)
    const soql = `SELECT LoginSubType FROM LoginHistory WHERE UserId = '${grant.userId}' AND LoginTime = ${new Date(NOW_MS).toISOString()}`
    const { json } = await query(org, soql)
    expect(json.totalSize).toBe(rows)
  })
})

describe('introspection', () => {
  const ask = (org: SalesforceOrg, token: string, client: Record<string, string>, hint = '') =>
    post(org, '/services/oauth2/introspect', {
      token,
      ...client,
      ...(hint === '' ? {} : { token_type_hint: hint }),
    })

  test('a living access token and a living refresh token', async () => {
    const org = await startOrg()
    const grant = usableGrant(org)
    const client = clientOf(org, grant.appId)
    const { access_token: token } = (await refresh(org, grant)).json
    const access = (await ask(org, token, client)).json
    expect(access).toMatchObject({ active: true, client_id: grant.appId, username: grant.username })
    expect(access.exp).toBe(NOW_MS / 1000 + 7_200)
    const long = (await ask(org, grant.refreshToken, client, 'refresh_token')).json
    expect(long).toMatchObject({ active: true, token_type: 'refresh_token' })
  })

  test('a dead one is inactive', async () => {
    const org = await startOrg()
    const grant = usableGrant(org)
    await post(org, '/services/oauth2/revoke', { token: grant.deleteToken })
    const { status, json } = await ask(org, grant.refreshToken, clientOf(org, grant.appId))
    expect([status, json]).toEqual([200, { active: false }])
  })

  test('wrong client credentials: 401; an unknown refresh token: 400', async () => {
    const org = await startOrg()
    const grant = usableGrant(org)
    const wrong = { client_id: grant.appId, client_secret: 'x' }
    expect((await ask(org, 'x', wrong)).status).toBe(401)
    expect((await ask(org, 'x', clientOf(org, grant.appId), 'refresh_token')).status).toBe(400)
  })

  test.each([
    ['own', false],
    ['all', true],
  ] as const)("another app's token, switch introspect: %s", async (introspect, active) => {
    const org = await startOrg({ switches: { introspect } })
    const other = grantWhere(org, (grant) => grant.app === 'Drift Chat' && grant.userIsActive)
    const client = clientOf(org, usableGrant(org).appId)
    expect((await ask(org, other.refreshToken, client)).json.active).toBe(active)
  })
})

describe('identity and discovery', () => {
  test.each(['/services/oauth2/userinfo', 'identity'])('%s: alive, dead, missing', async (name) => {
    const org = await startOrg()
    const { admin, accessToken } = org.credentials
    const url =
      name === 'identity' ? `${org.url}/id/${org.organizationId}/${admin.userId}` : org.url + name
    const bearer = await send(url, { headers: { authorization: `Bearer ${accessToken}` } })
    expect([bearer.status, bearer.json.user_id]).toEqual([200, admin.userId])
    const inUrl = await send(`${url}?format=json&oauth_token=${accessToken}`)
    expect(inUrl.json.organization_id).toBe(org.organizationId)
    org.expireSessions()
    const dead = await send(url, { headers: { authorization: `Bearer ${accessToken}` } })
    expect([dead.status, dead.text]).toEqual([403, 'Bad_OAuth_Token'])
    expect((await send(url)).text).toBe('Missing_OAuth_Token')
  })

  test.each(['openid-configuration', 'oauth-authorization-server'])(
    '/.well-known/%s',
    async (name) => {
      const org = await startOrg()
      const { json } = await send(`${org.url}/.well-known/${name}`)
      expect(json).toMatchObject({
        issuer: org.url,
        revocation_endpoint: `${org.url}/services/oauth2/revoke`,
        introspection_endpoint: `${org.url}/services/oauth2/introspect`,
      })
      expect((await send(json.jwks_uri)).json.keys[0]).toMatchObject({ kty: 'RSA', use: 'sig' })
    },
  )
})

describe('what a rehearsal needs to know of refreshes', () => {
  const rotating = async (options: SalesforceOptions = {}) => {
    const org = await startOrg(options)
    return { org, grant: grantWhere(org, (entry) => entry.app === 'Slack Bridge' && usable(entry)) }
  }
  const usable = (grant: GrantTruth) => grant.userIsActive && !grant.userIsFrozen

  test.each([
    ['kills-grant', { alive: false, killedBy: 'replay' }],
    ['refused', { alive: true, killedBy: 'none' }],
  ] as const)('switch replay: %s', async (replay, expected) => {
    const { org, grant } = await rotating({ switches: { replay } })
    expect((await refresh(org, grant)).status).toBe(200)
    expect((await refresh(org, grant)).json.error).toBe('invalid_grant')
    expect(org.truth.grant(grant.deleteToken)).toMatchObject(expected)
  })

  test.each([
    ['refused', 400],
    ['ignored', 200],
  ] as const)('switch refreshScope: %s', async (refreshScope, status) => {
    const { org, grant } = await rotating({ switches: { refreshScope } })
    const reply = await post(org, '/services/oauth2/token', {
      grant_type: 'refresh_token',
      refresh_token: grant.refreshToken,
      scope: 'api',
      ...clientOf(org, grant.appId),
    })
    expect(reply.status).toBe(status)
  })

  test('switch refreshTokenPolicy expires-at-once: the grant is listed, and its token good for nothing', async () => {
    const { org, grant } = await rotating({ switches: { refreshTokenPolicy: 'expires-at-once' } })
    expect((await refresh(org, grant)).json.error_description).toBe('expired access/refresh token')
    expect(org.truth.isAlive(grant.deleteToken)).toBe(true)
    const soql = 'SELECT RefreshTokenValidityPeriod FROM ConnectedApplication LIMIT 1'
    expect((await query(org, soql)).json.records[0].RefreshTokenValidityPeriod).toBe(0)
  })

  test('the log counts them, good and refused, and holds no other text of a request', async () => {
    const { org, grant } = await rotating()
    await refresh(org, grant)
    await refresh(org, grant)
    await post(org, '/services/oauth2/token', { grant_type: '5Aep861-pasted-by-mistake' })
    const tokenCalls = org.log.map(({ grantType, status }) => [grantType, status])
    expect(tokenCalls).toEqual([
      ['refresh_token', 200],
      ['refresh_token', 400],
      [null, 400],
    ])
  })

  test('the log names the app and the grant of a refresh token, live, spent or dead, and no other text', async () => {
    const { org, grant } = await rotating()
    const other = usableGrant(org)
    const asked = { refreshToken: grant.refreshToken }
    const body = JSON.stringify(asked)
    const { json } = await send(`${org.url}/__emulator/grant-of`, { method: 'POST', body })
    expect(json).toEqual({ grant: expect.any(Number), deleteToken: grant.deleteToken })
    const first = await refresh(org, grant)
    // Spent, which ends the grant; then what is dead with it.
    await refresh(org, grant)
    await refresh(org, { ...grant, refreshToken: first.json.refresh_token })
    await refresh(org, { ...grant, appId: other.appId })
    await refresh(org, other)
    await refresh(org, { ...other, appId: 'pasted-by-mistake', refreshToken: 'pasted-too' })
    await refresh(org, { ...other, refreshToken: grant.deleteToken })
    expect(org.log.map(({ clientId, grant, status }) => [clientId, grant, status])).toEqual([
      [grant.appId, json.grant, 200],
      [grant.appId, json.grant, 400],
      [grant.appId, json.grant, 400],
      [other.appId, json.grant, 400],
      [other.appId, expect.toSatisfy((id) => id !== null && id !== json.grant), 200],
      [null, null, 400],
      [other.appId, null, 400],
    ])
    const text = JSON.stringify(org.log)
    for (const secret of ['pasted', grant.refreshToken, grant.deleteToken]) {
      expect(text).not.toContain(secret)
    }
  })

  test('a refresh keeps the scopes that the user approved', async () => {
    const org = await startOrg()
    const { clientId, clientSecret } = org.credentials.connected
    const { username, password } = org.credentials.limited
    const client = { client_id: clientId, redirect_uri: 'http://127.0.0.1:4711/callback' }
    const request = { ...client, response_type: 'code', scope: 'api refresh_token' }
    const login = { username, password, decision: 'allow' }
    const back = await post(org, '/services/oauth2/authorize', { ...request, ...login })
    const code = new URL(back.headers.get('location')!).searchParams.get('code')!
    const exchange = { ...client, client_secret: clientSecret, code }
    const first = await post(org, '/services/oauth2/token', {
      ...exchange,
      grant_type: 'authorization_code',
    })
    const { json } = await post(org, '/services/oauth2/token', {
      grant_type: 'refresh_token',
      refresh_token: first.json.refresh_token,
      client_id: clientId,
      client_secret: clientSecret,
    })
    expect(json.scope).toBe('api refresh_token')
  })
})
