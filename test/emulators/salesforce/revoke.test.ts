import { describe, expect, test } from 'vitest'
import type { SalesforceOrg } from '../../../emulators/index.ts'
import { post, query, refresh, rest, revoke, send, startOrg, usableGrant } from './org-fixture.ts'

type Ask = (org: SalesforceOrg, token: string) => ReturnType<typeof send>

const WAYS: readonly (readonly [string, Ask])[] = [
  ['POST with a form', (org, token) => revoke(org, token)],
  [
    'POST with the token in the query string and JSON in the body',
    (org, token) =>
      send(`${org.url}/services/oauth2/revoke?token=${encodeURIComponent(token)}`, {
        method: 'POST',
        body: '{}',
        headers: { 'content-type': 'application/json', authorization: 'Bearer nobody' },
      }),
  ],
  [
    'GET',
    (org, token) => send(`${org.url}/services/oauth2/revoke?token=${encodeURIComponent(token)}`),
  ],
  [
    'POST below the path of a site',
    (org, token) => post(org, '/site/services/oauth2/revoke', { token }),
  ],
  [
    'POST with a chunked body',
    (org, token) =>
      send(`${org.url}/services/oauth2/revoke`, {
        method: 'POST',
        body: new Blob([`token=${token}`]).stream(),
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        duplex: 'half',
      } as RequestInit),
  ],
]

describe('revoke endpoint: a delete token, without authentication of the client', () => {
  test.each(WAYS)('%s', async (_, ask) => {
    const org = await startOrg()
    const { deleteToken } = usableGrant(org)
    const reply = await ask(org, deleteToken)
    expect([reply.status, reply.text]).toEqual([200, ''])
    expect(org.truth.grant(deleteToken)).toMatchObject({ alive: false, killedBy: 'delete_token' })
    expect(org.truth.counts()).toMatchObject({ dead: 1, shown: 1_200 })
  })

  test('the grant is gone from queries, and its refresh token is refused', async () => {
    const org = await startOrg()
    const grant = usableGrant(org)
    await revoke(org, grant.deleteToken)
    const soql = `SELECT COUNT() FROM OauthToken WHERE DeleteToken = '${grant.deleteToken}'`
    expect((await query(org, soql)).json.totalSize).toBe(0)
    const reply = await refresh(org, grant)
    expect([reply.status, reply.json]).toEqual([
      400,
      { error: 'invalid_grant', error_description: 'expired access/refresh token' },
    ])
  })

  test('every error is 400 and form-encoded', async () => {
    const org = await startOrg()
    const unknown = await revoke(org, 'no-such-token')
    expect([unknown.status, unknown.text]).toEqual([
      400,
      'error=invalid_token&error_description=invalid%20token',
    ])
    expect(unknown.headers.get('content-type')).toBe('application/x-www-form-urlencoded')
    const missing = await post(org, '/services/oauth2/revoke', {})
    expect(missing.text).toMatch(/^error=unsupported_token_type&/)
  })

  test.each([
    ['invalid_token', 400],
    ['200', 200],
  ] as const)('a second revoke, switch secondRevoke: %s', async (secondRevoke, status) => {
    const org = await startOrg({ switches: { secondRevoke } })
    const { deleteToken } = usableGrant(org)
    expect((await revoke(org, deleteToken)).status).toBe(200)
    expect((await revoke(org, deleteToken)).status).toBe(status)
    expect(org.revokeCalls(deleteToken)).toBe(2)
  })

  test('JSONP answers with a call of the function', async () => {
    const org = await startOrg()
    const { deleteToken } = usableGrant(org)
    const url = `${org.url}/services/oauth2/revoke?callback=done&token=${deleteToken}`
    expect((await send(url)).text).toBe('done({});')
    expect((await send(url)).text).toBe('done({"error":"invalid_token"});')
    const odd = await send(`${org.url}/services/oauth2/revoke?callback=alert(1)//&token=x`)
    expect(odd.text).toBe('callback({"error":"invalid_token"});')
  })
})

describe('revoke endpoint: what dies with what', () => {
  async function mint(org: SalesforceOrg): Promise<readonly [string, string, string]> {
    const grant = usableGrant(org)
    const [one, two] = [await refresh(org, grant), await refresh(org, grant)]
    return [grant.refreshToken, one.json.access_token, two.json.access_token]
  }
  const statusOf = async (org: SalesforceOrg, token: string): Promise<number> =>
    (await rest(org, '/limits', {}, token)).status

  test('an access token ends alone', async () => {
    const org = await startOrg()
    const [, one, two] = await mint(org)
    expect((await revoke(org, one)).status).toBe(200)
    expect([await statusOf(org, one), await statusOf(org, two)]).toEqual([401, 200])
    expect(org.truth.counts().dead).toBe(0)
    expect((await revoke(org, one)).status).toBe(400)
  })

  test('a refresh token ends the grant and the access tokens minted from it', async () => {
    const org = await startOrg()
    const [refreshToken, one, two] = await mint(org)
    await revoke(org, refreshToken)
    expect([await statusOf(org, one), await statusOf(org, two)]).toEqual([401, 401])
    expect(org.truth.counts().dead).toBe(1)
  })

  test('a spent refresh token, replaced by rotation, revokes nothing', async () => {
    const org = await startOrg({ switches: { rotation: 'all' } })
    const grant = usableGrant(org)
    await refresh(org, grant)
    const reply = await revoke(org, grant.refreshToken)
    expect([reply.status, org.truth.isAlive(grant.deleteToken)]).toEqual([400, true])
  })

  test('switch dropSessionsOnRevoke: false leaves access tokens alive', async () => {
    const org = await startOrg({ switches: { dropSessionsOnRevoke: false } })
    const [refreshToken, one] = await mint(org)
    await revoke(org, refreshToken)
    expect(await statusOf(org, one)).toBe(200)
  })

  test('switches accessCutDelayMs and visibilityDelayMs: the token works and the row shows for a while', async () => {
    let now = Date.UTC(2026, 0, 1)
    const switches = { accessCutDelayMs: 5_000, visibilityDelayMs: 3_000 }
    const org = await startOrg({ now: () => now, switches })
    const [refreshToken, one] = await mint(org)
    await revoke(org, refreshToken)
    const shown = async (): Promise<number> =>
      (await query(org, 'SELECT COUNT() FROM OauthToken')).json.totalSize
    expect([await shown(), await statusOf(org, one)]).toEqual([1_201, 200])
    now += 3_000
    expect([await shown(), await statusOf(org, one)]).toEqual([1_200, 200])
    now += 2_000
    expect(await statusOf(org, one)).toBe(401)
  })

  test.each([
    ['allowed', 200],
    ['refused', 400],
  ] as const)(
    'a session id of the SOAP login, switch revokeSessionId: %s',
    async (revokeSessionId, status) => {
      const org = await startOrg({ switches: { revokeSessionId } })
      const { admin } = org.credentials
      const body = `<Envelope><Body><login><username>${admin.username}</username><password>${admin.password}${admin.securityToken}</password></login></Body></Envelope>`
      const login = await send(`${org.url}/services/Soap/u/59.0`, { method: 'POST', body })
      const sessionId = /<sessionId>([^<]+)</.exec(login.text)![1]!
      expect(await statusOf(org, sessionId)).toBe(200)
      expect((await revoke(org, sessionId)).status).toBe(status)
      expect(await statusOf(org, sessionId)).toBe(status === 200 ? 401 : 200)
    },
  )
})
