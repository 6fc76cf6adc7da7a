import { describe, expect, test } from 'vitest'
import type { SalesforceOrg } from '../../../emulators/index.ts'
import {
  NOW_MS,
  query,
  queryAllPages,
  refresh,
  rest,
  send,
  startOrg,
  usableGrant,
} from './org-fixture.ts'

function soapLogin(org: SalesforceOrg, version: string, password?: string) {
  const { admin } = org.credentials
  const secret = password ?? admin.password + admin.securityToken
  const body = `<se:Envelope xmlns:se="http://schemas.xmlsoap.org/soap/envelope/"><se:Body><login xmlns="urn:partner.soap.sforce.com"><username>${admin.username}</username><password>${secret}</password></login></se:Body></se:Envelope>`
  return send(`${org.url}/services/Soap/u/${version}`, { method: 'POST', body })
}

describe('AuthSession', () => {
  test('IsCurrent is the session that asks; UsersId leads to its user', async () => {
    const org = await startOrg()
    const soql =
      'SELECT Id, UsersId, Users.Username, LoginType FROM AuthSession WHERE IsCurrent = true'
    const { json } = await query(org, soql)
    expect(json.records).toHaveLength(1)
    expect(json.records[0]).toMatchObject({
      UsersId: org.credentials.admin.userId,
      Users: { Username: org.credentials.admin.username },
      LoginType: 'Remote Access 2.0',
    })
  })

  test('shows sessions with no refresh token behind them, and those of grants', async () => {
    const org = await startOrg()
    const { records } = await queryAllPages(
      org,
      "SELECT Id, LoginHistory.LoginSubType, LoginHistory.Application FROM AuthSession WHERE LoginType = 'Remote Access 2.0'",
    )
    const origins = new Set(records.map((record) => record.LoginHistory.LoginSubType))
    expect(origins).toEqual(
      new Set([
        'OauthRefreshToken',
        'OauthUsernamePassword',
        'OauthJwtBearer',
        'OauthClientCredentials',
      ]),
    )
    expect(records).toHaveLength(org.truth.sessions().filter((session) => session.alive).length)
  })

  test('without Manage Users only the own sessions', async () => {
    const org = await startOrg()
    const token = org.credentials.limitedAccessToken
    const { records } = await queryAllPages(org, 'SELECT UsersId FROM AuthSession', token)
    expect(new Set(records.map((record) => record.UsersId))).toEqual(
      new Set([org.credentials.limited.userId]),
    )
  })

  test('DELETE ends the access token; a second one says that it is deleted', async () => {
    const org = await startOrg()
    const grant = usableGrant(org)
    const { access_token: token } = (await refresh(org, grant)).json
    const { json } = await query(org, 'SELECT Id FROM AuthSession WHERE IsCurrent = true', token)
    const path = `/sobjects/AuthSession/${json.records[0].Id}`
    expect((await rest(org, path, { method: 'DELETE' })).status).toBe(204)
    expect((await rest(org, '/limits', {}, token)).status).toBe(401)
    expect(org.truth.isAlive(grant.deleteToken)).toBe(true)
    const again = await rest(org, path, { method: 'DELETE' })
    expect([again.status, again.json[0].errorCode]).toEqual([404, 'ENTITY_IS_DELETED'])
    const unknown = await rest(org, '/sobjects/AuthSession/0AkWt000000zzzzZZZ', {
      method: 'DELETE',
    })
    expect([unknown.status, unknown.json[0].errorCode]).toEqual([404, 'NOT_FOUND'])
  })

  test('composite/sobjects deletes up to 200, each with its own result', async () => {
    const org = await startOrg()
    const soql = 'SELECT Id FROM AuthSession WHERE IsCurrent = false LIMIT 3'
    const ids = (await query(org, soql)).json.records.map((record: { Id: string }) => record.Id)
    const path = (list: readonly string[]): string => `/composite/sobjects?ids=${list.join(',')}`
    await rest(org, `/sobjects/AuthSession/${ids[0]}`, { method: 'DELETE' })
    const { json } = await rest(org, path(ids), { method: 'DELETE' })
    expect(json.map((result: { success: boolean }) => result.success)).toEqual([false, true, true])
    expect(json[0].errors[0].statusCode).toBe('ENTITY_IS_DELETED')
    const tooMany = await rest(org, path(Array(201).fill(ids[0])), { method: 'DELETE' })
    expect(tooMany.status).toBe(400)
  })

  test("another user's session cannot be deleted without Manage Users", async () => {
    const org = await startOrg()
    const { json } = await query(org, 'SELECT Id FROM AuthSession WHERE IsCurrent = true')
    const path = `/sobjects/AuthSession/${json.records[0].Id}`
    const reply = await rest(org, path, { method: 'DELETE' }, org.credentials.limitedAccessToken)
    expect([reply.status, reply.json[0].errorCode]).toEqual([403, 'INSUFFICIENT_ACCESS'])
  })
})

describe('session life', () => {
  test('two hours without use end a session; use keeps it', async () => {
    let now = NOW_MS
    const org = await startOrg({ now: () => now })
    now += 7_199_000
    expect((await rest(org, '/limits')).status).toBe(200)
    now += 7_199_000
    expect((await rest(org, '/limits')).status).toBe(200)
    now += 7_200_000
    expect((await rest(org, '/limits')).status).toBe(401)
  })
})

describe('UserLogin', () => {
  test('IsFrozen can be updated, UserId cannot', async () => {
    const org = await startOrg()
    const grant = usableGrant(org)
    const soql = `SELECT Id FROM UserLogin WHERE UserId = '${grant.userId}'`
    const id = (await query(org, soql)).json.records[0].Id
    const patch = (body: object, token?: string) =>
      rest(org, `/sobjects/UserLogin/${id}`, { method: 'PATCH', body: JSON.stringify(body) }, token)
    expect((await patch({ IsFrozen: true }, org.credentials.limitedAccessToken)).status).toBe(403)
    expect((await patch({ UserId: grant.userId })).status).toBe(400)
    expect((await patch({ IsFrozen: true })).status).toBe(204)
    expect((await refresh(org, grant)).status).toBe(400)
    const frozen = await queryAllPages(org, 'SELECT UserId FROM UserLogin WHERE IsFrozen = true')
    expect(frozen.records.map((record) => record.UserId)).toContain(grant.userId)
  })
})

describe('SOAP login', () => {
  test('gives a session; logout ends it', async () => {
    const org = await startOrg()
    const { text } = await soapLogin(org, '59.0')
    const token = /<sessionId>([^<]+)</.exec(text)![1]!
    expect(text).toContain(`<serverUrl>${org.url}/services/Soap/u/59.0/`)
    expect((await rest(org, '/limits', {}, token)).status).toBe(200)
    const body = `<Envelope><Header><SessionHeader><sessionId>${token}</sessionId></SessionHeader></Header><Body><logout/></Body></Envelope>`
    await send(`${org.url}/services/Soap/u/59.0`, { method: 'POST', body })
    expect((await rest(org, '/limits', {}, token)).status).toBe(401)
  })

  test.each([
    ['a wrong password', '59.0', 'wrong', 'INVALID_LOGIN'],
    ['version 65, where login is gone', '65.0', undefined, 'UNSUPPORTED_API_VERSION'],
  ])('%s: 500 and a fault', async (_, version, password, code) => {
    const org = await startOrg()
    const reply = await soapLogin(org, version, password)
    expect([reply.status, reply.text.includes(`<faultcode>sf:${code}</faultcode>`)]).toEqual([
      500,
      true,
    ])
  })
})

describe('Bulk API 2.0 query', () => {
  test('a job, its state, its results in parts, its end', async () => {
    const org = await startOrg()
    const body = JSON.stringify({
      operation: 'query',
      query: 'SELECT DeleteToken, AppMenuItem.Label FROM OauthToken',
    })
    const job = (await rest(org, '/jobs/query', { method: 'POST', body })).json
    expect((await rest(org, `/jobs/query/${job.id}`)).json.state).toBe('JobComplete')
    const first = await rest(org, `/jobs/query/${job.id}/results?maxRecords=1000`)
    expect(first.headers.get('sforce-locator')).toBe('1000')
    const last = await rest(org, `/jobs/query/${job.id}/results?locator=1000`)
    expect(last.headers.get('sforce-locator')).toBe('null')
    expect(first.text.split('\n')[0]).toBe('"DeleteToken","AppMenuItem.Label"')
    expect(first.text.trim().split('\n').length + last.text.trim().split('\n').length - 2).toBe(
      1_201,
    )
    expect((await rest(org, `/jobs/query/${job.id}`, { method: 'DELETE' })).status).toBe(204)
    expect((await rest(org, `/jobs/query/${job.id}`)).status).toBe(404)
  })

  test('OFFSET is refused', async () => {
    const org = await startOrg()
    const body = JSON.stringify({
      operation: 'query',
      query: 'SELECT DeleteToken FROM OauthToken OFFSET 5',
    })
    expect((await rest(org, '/jobs/query', { method: 'POST', body })).status).toBe(400)
  })
})
