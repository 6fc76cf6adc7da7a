import { importPKCS8, SignJWT } from 'jose'
import { describe, expect, test, vi } from 'vitest'
import type { SalesforceOrg } from '../../../emulators/index.ts'
import { grantWhere, NOW_MS, startOrg } from '../salesforce/org-fixture.ts'
import { walkLogin } from './login-walk.ts'

// jsforce takes its proxy from the environment when it is loaded, even for 127.0.0.1.
vi.hoisted(() => {
  for (const name of ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'])
    delete process.env[name]
})
const { Connection, OAuth2 } = (await import('jsforce')).default

const VERSION = '62.0'
const CALLBACK = 'http://127.0.0.1:50123/callback'
const SELECT = 'SELECT AppName, DeleteToken, User.Name FROM OauthToken'

type Client = InstanceType<typeof Connection>

/** A connection of the tool's own app, with a live access token and a refresh token behind it. */
function connected(org: SalesforceOrg): Client {
  const { accessToken, refreshToken, tool } = org.credentials
  return new Connection({
    instanceUrl: org.url,
    version: VERSION,
    accessToken,
    refreshToken,
    oauth2: { loginUrl: org.url, clientId: tool.clientId },
  })
}

/** What a promise was rejected with: its name and its words. */
async function rejection(promise: PromiseLike<unknown>): Promise<readonly [string, string]> {
  try {
    await promise
  } catch (error) {
    return error instanceof Error ? [error.name, error.message] : ['', String(error)]
  }
  throw new Error('it was not refused')
}

async function assertion(org: SalesforceOrg, audience = org.url): Promise<string> {
  const { clientId, username, privateKeyPem } = org.credentials.jwt
  return new SignJWT({})
    .setProtectedHeader({ alg: 'RS256' })
    .setIssuer(clientId)
    .setSubject(username)
    .setAudience(audience)
    .setExpirationTime(Math.floor(NOW_MS / 1000) + 180)
    .sign(await importPKCS8(privateKeyPem, 'RS256'))
}

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

describe('jsforce: login', () => {
  test('SOAP, by password and security token', async () => {
    const org = await startOrg()
    const { username, password, securityToken, userId } = org.credentials.admin
    const client = new Connection({ loginUrl: org.url, version: VERSION })
    const user = await client.login(username, password + securityToken)
    expect(user).toMatchObject({ id: userId, organizationId: org.organizationId })
    expect(client.instanceUrl).toBe(org.url)
    expect((await client.query('SELECT Id FROM Organization')).totalSize).toBe(1)
  })

  test.each([
    ['a wrong password', VERSION, 'wrong', /^INVALID_LOGIN: Invalid username, password/],
    ['version 65.0, which has no login()', '65.0', '', /^UNSUPPORTED_API_VERSION: /],
  ])('SOAP, %s is refused in its words', async (_, version, tail, words) => {
    const org = await startOrg()
    const { username, password, securityToken } = org.credentials.admin
    const client = new Connection({ loginUrl: org.url, version })
    const login = client.login(username, password + securityToken + tail)
    expect((await rejection(login))[1]).toMatch(words)
  })

  test('OAuth, by password: no refresh token', async () => {
    const org = await startOrg()
    const { admin, tool } = org.credentials
    const client = new Connection({ loginUrl: org.url, version: VERSION, oauth2: { ...tool } })
    const user = await client.login(admin.username, admin.password + admin.securityToken)
    expect([user.id, client.refreshToken]).toEqual([admin.userId, undefined])
    expect((await client.identity()).username).toBe(admin.username)
    const wrong = client.login(admin.username, admin.password)
    expect(await rejection(wrong)).toEqual(['invalid_grant', 'authentication failure'])
  })

  test('JWT bearer', async () => {
    const org = await startOrg()
    const client = new Connection({ loginUrl: org.url, version: VERSION })
    await client.authorize({ grant_type: JWT_BEARER, assertion: await assertion(org) })
    expect((await client.identity()).username).toBe(org.credentials.jwt.username)
    expect(client.refreshToken).toBeUndefined()
    const foreign = await assertion(org, 'https://else.example')
    const refused = client.authorize({ grant_type: JWT_BEARER, assertion: foreign })
    expect(await rejection(refused)).toEqual(['invalid_grant', 'Audience validation failed'])
  })

  test('client credentials', async () => {
    const org = await startOrg()
    const { clientId, clientSecret, username } = org.credentials.integration
    const oauth2 = { loginUrl: org.url, clientId, clientSecret }
    const client = new Connection({ version: VERSION, oauth2 })
    await client.authorize({ grant_type: 'client_credentials' })
    expect((await client.identity()).username).toBe(username)
  })
})

describe('jsforce: authorization code with PKCE', () => {
  function oauth2Of(org: SalesforceOrg) {
    const { clientId } = org.credentials.tool
    return new OAuth2({ loginUrl: org.url, clientId, redirectUri: CALLBACK, useVerifier: true })
  }
  const allowing = (org: SalesforceOrg) =>
    ({ ...org.credentials.admin, decision: 'Allow' }) as const

  test('the pages, the code, the tokens', async () => {
    const org = await startOrg()
    const oauth2 = oauth2Of(org)
    const url = oauth2.getAuthorizationUrl({ scope: 'api id refresh_token', state: 'a&b' })
    const back = await walkLogin(url, CALLBACK, allowing(org))
    expect(back.get('state')).toBe('a&b')
    const client = new Connection({ version: VERSION, oauth2 })
    const user = await client.authorize(back.get('code')!)
    expect(user.id).toBe(org.credentials.admin.userId)
    expect(client.refreshToken).toMatch(/^5Aep861/)
    expect((await client.query(SELECT)).totalSize).toBe(1_202)
  })

  test('another verifier is refused', async () => {
    const org = await startOrg()
    const url = oauth2Of(org).getAuthorizationUrl({ scope: 'api' })
    const code = (await walkLogin(url, CALLBACK, allowing(org))).get('code')!
    const thief = new Connection({ version: VERSION, oauth2: oauth2Of(org) })
    expect(await rejection(thief.authorize(code))).toEqual([
      'invalid_grant',
      'invalid code verifier',
    ])
  })

  test('a person who denies sends access_denied back', async () => {
    const org = await startOrg()
    const url = oauth2Of(org).getAuthorizationUrl({ scope: 'api' })
    const back = await walkLogin(url, CALLBACK, { ...org.credentials.admin, decision: 'Deny' })
    expect([back.get('error'), back.get('code')]).toEqual(['access_denied', null])
  })
})

describe('jsforce: query', () => {
  test('a caller who fetches no further sees 500 rows of 1,201', async () => {
    const org = await startOrg()
    const result = await connected(org).query(SELECT)
    expect([result.totalSize, result.records.length, result.done]).toEqual([1_201, 500, false])
  })

  test.each([
    ['autoFetch', {}, 1_201, 3],
    ['maxFetch 700', { maxFetch: 700 }, 700, 2],
    ['scanAll', { scanAll: true }, 1_201, 3],
  ])('%s follows the pages', async (_, more, rows, pages) => {
    const org = await startOrg()
    const result = await connected(org).query(SELECT, { autoFetch: true, ...more })
    const handles = new Set(result.records.map((record) => record.DeleteToken))
    expect([result.records.length, handles.size]).toEqual([rows, rows])
    expect(org.counters().get('query')).toBe(pages)
  })

  test('queryMore goes on from a locator', async () => {
    const org = await startOrg()
    const client = connected(org)
    const first = await client.query(SELECT)
    const second = await client.queryMore(first.nextRecordsUrl!)
    expect([second.records.length, second.done]).toEqual([500, false])
  })

  test('at 2,500 rows it ends as if that were all', async () => {
    const org = await startOrg({ size: { users: 60, apps: 16, tokens: 3_000 } })
    const result = await connected(org).query(SELECT, { autoFetch: true })
    expect([result.totalSize, result.records.length, result.done]).toEqual([3_001, 2_500, true])
  })

  test('an event for each record, and fields of a parent', async () => {
    const org = await startOrg()
    const names: string[] = []
    const query = connected(org).query(`${SELECT} WHERE AppName = 'Drift'`)
    query.on('record', (record) => names.push(record.User.Name))
    await query.run({ autoFetch: true })
    expect(names).toHaveLength(query.totalFetched)
    expect(names.every((name) => name.length > 0)).toBe(true)
  })

  test('bulk2 gives the same rows', async () => {
    const org = await startOrg()
    const soql = "SELECT AppName, DeleteToken FROM OauthToken WHERE AppName = 'Drift'"
    const client = connected(org)
    const rest = await client.query(soql, { autoFetch: true })
    const bulk = await (await client.bulk2.query(soql, { pollInterval: 10 })).toArray()
    const handles = (rows: readonly Record<string, unknown>[]) =>
      rows.map((row) => row.DeleteToken).sort()
    expect(handles(bulk)).toEqual(handles(rest.records))
  })

  test('an error has its code as its name', async () => {
    const org = await startOrg()
    const [name, message] = await rejection(connected(org).query('SELECT Nope FROM OauthToken'))
    expect([name, message]).toEqual(['INVALID_FIELD', expect.stringContaining('Nope')])
  })
})

describe('jsforce: who and how much', () => {
  test('identity', async () => {
    const org = await startOrg()
    const { username, userId } = org.credentials.admin
    const client = connected(org)
    client.userInfo = { id: userId, organizationId: org.organizationId, url: idOf(org) }
    expect(await client.identity()).toMatchObject({ username, user_id: userId })
  })

  test('limits, and the use that every answer tells', async () => {
    const org = await startOrg()
    const client = connected(org)
    const { DailyApiRequests } = await client.limits()
    // The answer does not count itself, the header does.
    expect(DailyApiRequests).toEqual({ Max: 160_000, Remaining: 160_000 })
    expect(client.limitInfo.apiUsage).toEqual({ used: 1, limit: 160_000 })
  })

  test('a dead session without a refresh token', async () => {
    const org = await startOrg()
    const client = new Connection({ instanceUrl: org.url, accessToken: '00Dnobody!x' })
    expect(await rejection(client.limits())).toEqual([
      'INVALID_SESSION_ID',
      'Session expired or invalid',
    ])
  })
})

function idOf(org: SalesforceOrg): string {
  return `${org.url}/id/${org.organizationId}/${org.credentials.admin.userId}`
}

describe('jsforce: refresh', () => {
  test('an expired session is renewed once, with an event, and the query goes on', async () => {
    const org = await startOrg()
    const client = connected(org)
    const renewed: string[] = []
    client.on('refresh', (accessToken: string) => renewed.push(accessToken))
    org.expireSessions()
    const result = await client.query(SELECT)
    expect(result.records).toHaveLength(500)
    expect(renewed).toEqual([client.accessToken])
    expect(org.counters().get('token')).toBe(1)
  })

  test('rotation: jsforce keeps the spent token, and its second refresh ends the grant', async () => {
    const org = await startOrg({ switches: { rotation: 'all' } })
    const client = connected(org)
    let rotated = ''
    client.on('refresh', (_: string, answer: { refresh_token: string }) => {
      rotated = answer.refresh_token
    })
    org.expireSessions()
    await client.limits()
    expect([client.refreshToken, rotated === client.refreshToken]).toEqual([
      org.credentials.refreshToken,
      false,
    ])
    org.expireSessions()
    const neighbour = connected(org)
    neighbour.accessToken = (await neighbour.oauth2.refreshToken(rotated)).access_token
    await neighbour.limits()
    expect((await rejection(client.limits()))[1]).toBe(
      'Unable to refresh session due to: expired access/refresh token',
    )
    const own = org.truth.grant(org.credentials.ownDeleteToken)
    expect(own).toMatchObject({ alive: false, killedBy: 'replay' })
    expect(aliveSession(org, neighbour.accessToken)).toBe(false)
  })

  test('rotation: whoever stores the token of the event lives on', async () => {
    const org = await startOrg({ switches: { rotation: 'all' } })
    const client = connected(org)
    client.on('refresh', (_: string, answer: { refresh_token: string }) => {
      client.refreshToken = answer.refresh_token
    })
    for (let round = 0; round < 3; round += 1) {
      org.expireSessions()
      await client.limits()
    }
    expect(org.truth.isAlive(org.credentials.ownDeleteToken)).toBe(true)
  })
})

describe('jsforce: revoke and logout', () => {
  test('a delete token, once', async () => {
    const org = await startOrg()
    const client = connected(org)
    const { deleteToken } = grantWhere(org, (grant) => grant.app === 'Drift')
    await client.oauth2.revokeToken(deleteToken)
    expect(org.truth.grant(deleteToken)).toMatchObject({ alive: false, killedBy: 'delete_token' })
    const again = client.oauth2.revokeToken(deleteToken)
    expect(await rejection(again)).toEqual(['invalid_token', 'invalid token'])
  })

  test('no token', async () => {
    const org = await startOrg()
    expect(await rejection(connected(org).oauth2.revokeToken(''))).toEqual([
      'unsupported_token_type',
      'this token type is not supported',
    ])
  })

  test('logout ends the access token, and the grant lives', async () => {
    const org = await startOrg()
    const { accessToken, ownDeleteToken } = org.credentials
    const client = connected(org)
    await client.logout()
    expect(client.accessToken).toBeNull()
    expect(aliveSession(org, accessToken)).toBe(false)
    expect(org.truth.isAlive(ownDeleteToken)).toBe(true)
  })

  test('logout(true) ends the grant with its sessions', async () => {
    const org = await startOrg()
    const { accessToken, ownDeleteToken } = org.credentials
    await connected(org).logout(true)
    expect(org.truth.grant(ownDeleteToken)).toMatchObject({ killedBy: 'refresh_token' })
    expect(aliveSession(org, accessToken)).toBe(false)
  })

  test('logout(true) after a rotation presents the spent token: an error, and the grant lives', async () => {
    const org = await startOrg({ switches: { rotation: 'all' } })
    const client = connected(org)
    org.expireSessions()
    await client.limits()
    expect((await rejection(client.logout(true)))[0]).toBe('invalid_token')
    expect(org.truth.isAlive(org.credentials.ownDeleteToken)).toBe(true)
  })

  test('logout of a SOAP session', async () => {
    const org = await startOrg()
    const { username, password, securityToken } = org.credentials.admin
    const client = new Connection({ loginUrl: org.url, version: VERSION })
    await client.login(username, password + securityToken)
    const session = client.accessToken!
    expect(aliveSession(org, session)).toBe(true)
    await client.logout()
    expect(aliveSession(org, session)).toBe(false)
  })
})

/** Whether a session works, as the org knows it. */
function aliveSession(org: SalesforceOrg, token: string): boolean {
  return org.truth.sessions().some((session) => session.token === token && session.alive)
}
