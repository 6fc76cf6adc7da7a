import { describe, expect, test } from 'vitest'
import { query, queryAllPages, rest, send, startOrg } from './org-fixture.ts'

describe('REST errors: a JSON array with code and message', () => {
  test.each([
    [
      'SELECT Nope FROM OauthToken',
      400,
      'INVALID_FIELD',
      /No such column 'Nope' on entity 'OauthToken'/,
    ],
    [
      'SELECT Id FROM OauthToken WHERE Owner.Name = null',
      400,
      'INVALID_FIELD',
      /relationship 'Owner'/,
    ],
    [
      'SELECT Id FROM ScratchOrgInfo LIMIT 1',
      400,
      'INVALID_TYPE',
      /sObject type 'ScratchOrgInfo' is not supported/,
    ],
    ['SELECT Id FROM', 400, 'MALFORMED_QUERY', /./],
    [
      "SELECT Id FROM User WHERE IsActive = true AND Name = 'a' OR Name = 'b'",
      400,
      'MALFORMED_QUERY',
      /OR/,
    ],
    [
      "SELECT Id FROM User WHERE Id = 'short'",
      400,
      'INVALID_QUERY_FILTER_OPERATOR',
      /invalid ID field/,
    ],
    [
      "SELECT Id FROM User WHERE IsActive = 'true'",
      400,
      'INVALID_FIELD',
      /must be of type boolean/,
    ],
    [
      "SELECT Id FROM OauthToken WHERE CreatedDate > '2026-01-01T00:00:00Z'",
      400,
      'INVALID_FIELD',
      /must be of type dateTime/,
    ],
    [
      "SELECT Id FROM LoginHistory WHERE Application = 'Drift'",
      400,
      'INVALID_FIELD',
      /can not be filtered/,
    ],
    ['SELECT FIELDS(ALL) FROM User', 400, 'MALFORMED_QUERY', /LIMIT/],
  ])('%s', async (soql, status, errorCode, message) => {
    const org = await startOrg()
    const reply = await query(org, soql)
    expect(reply.headers.get('content-type')).toBe('application/json;charset=UTF-8')
    expect([reply.status, reply.json.length, reply.json[0].errorCode]).toEqual([
      status,
      1,
      errorCode,
    ])
    expect(reply.json[0].message).toMatch(message)
  })

  test.each([
    ['no token', undefined],
    ['an unknown token', 'Bearer 00DWt000000000B!AQnever'],
    ['another scheme', 'Basic abc'],
  ])('%s: 401 INVALID_SESSION_ID', async (_, authorization) => {
    const org = await startOrg()
    const headers = authorization === undefined ? {} : { authorization }
    const reply = await send(`${org.url}/services/data/v62.0/limits`, { headers })
    expect([reply.status, reply.json]).toEqual([
      401,
      [{ message: 'Session expired or invalid', errorCode: 'INVALID_SESSION_ID' }],
    ])
  })

  test.each([
    ['/nothing', 404, 'NOT_FOUND'],
    ['/tooling/query?q=SELECT+Id+FROM+SandboxProcess', 404, 'NOT_FOUND'],
    ['/sobjects/OauthToken/000000000000000AAA', 404, 'NOT_FOUND'],
    ['/query/01gWt0000000009ZAA-500', 400, 'INVALID_QUERY_LOCATOR'],
  ])('GET %s: %i %s', async (path, status, errorCode) => {
    const org = await startOrg()
    const reply = await rest(org, path)
    expect([reply.status, reply.json[0].errorCode]).toEqual([status, errorCode])
  })

  test('DELETE of an OauthToken record is no call that the object knows', async () => {
    const org = await startOrg()
    const reply = await rest(org, '/sobjects/OauthToken/000000000000000AAA', { method: 'DELETE' })
    expect([reply.status, reply.json[0].errorCode]).toEqual([405, 'METHOD_NOT_ALLOWED'])
    expect(org.truth.counts().dead).toBe(0)
  })

  test('the daily limit: 403 REQUEST_LIMIT_EXCEEDED, and Sforce-Limit-Info up to it', async () => {
    const org = await startOrg({ apiRequestsMax: 2 })
    const first = await rest(org, '/limits')
    expect(first.headers.get('sforce-limit-info')).toBe('api-usage=1/2')
    await rest(org, '/limits')
    const third = await rest(org, '/limits')
    expect([third.status, third.json[0].errorCode]).toEqual([403, 'REQUEST_LIMIT_EXCEEDED'])
  })
})

describe('cursors', () => {
  const SOQL = 'SELECT DeleteToken FROM OauthToken'

  test('a locator is valid under any version, and the same page can be read again', async () => {
    const org = await startOrg()
    const { json } = await query(org, SOQL)
    const locator = json.nextRecordsUrl.split('/').at(-1)
    expect(locator).toMatch(/^01g\w{15}-500$/)
    const headers = { authorization: `Bearer ${org.credentials.accessToken}` }
    const [one, two] = [
      await send(`${org.url}/services/data/v50.0/query/${locator}`, { headers }),
      await send(`${org.url}/services/data/v59.0/query/${locator}`, { headers }),
    ]
    expect(one.json.records.length).toBe(500)
    expect(two.json.records).toHaveLength(500)
    expect(two.json.records[0].DeleteToken).toBe(one.json.records[0].DeleteToken)
  })

  test('a user has ten: the eleventh closes the oldest', async () => {
    const org = await startOrg()
    const opened: string[] = []
    for (let n = 0; n < 11; n += 1) opened.push((await query(org, SOQL)).json.nextRecordsUrl)
    const statuses = await Promise.all(
      opened.map(async (url) => (await rest(org, url.replace('/services/data/v62.0', ''))).status),
    )
    expect(statuses).toEqual([400, ...Array(10).fill(200)])
  })

  test('it expires after fifteen minutes', async () => {
    let now = Date.UTC(2026, 0, 1)
    const org = await startOrg({ now: () => now })
    const { json } = await query(org, SOQL)
    const path = json.nextRecordsUrl.replace('/services/data/v62.0', '')
    now += 14 * 60_000
    expect((await rest(org, path)).status).toBe(200)
    now += 60_000
    expect((await rest(org, path)).json[0].errorCode).toBe('INVALID_QUERY_LOCATOR')
  })

  test('another user cannot read it', async () => {
    const org = await startOrg()
    const { json } = await query(org, SOQL)
    const path = json.nextRecordsUrl.replace('/services/data/v62.0', '')
    const reply = await rest(org, path, {}, org.credentials.limitedAccessToken)
    expect(reply.json[0].errorCode).toBe('INVALID_QUERY_LOCATOR')
  })

  test.each([
    ['snapshot', 1_201],
    ['live', 1_200],
  ] as const)('switch cursorRows: %s', async (cursorRows, rows) => {
    const org = await startOrg({ switches: { cursorRows } })
    const { json } = await query(org, SOQL)
    // The very last row is the grant that these queries themselves work with.
    const last = (await queryAllPages(org, SOQL)).records.at(-2).DeleteToken
    await send(`${org.url}/services/oauth2/revoke?token=${last}`)
    let page = json
    let count = page.records.length
    while (page.nextRecordsUrl !== undefined) {
      page = (await rest(org, page.nextRecordsUrl.replace('/services/data/v62.0', ''))).json
      count += page.records.length
    }
    expect(count).toBe(rows)
  })
})

describe('the wire', () => {
  test.each([
    ['duplicate slashes', '//services/data//v62.0/query?q=SELECT+COUNT()+FROM+OauthToken'],
    ['%20 for a blank', '/services/data/v62.0/query?q=SELECT%20COUNT()%20FROM%20OauthToken'],
    [
      'a slash before the question mark',
      '/services/data/v62.0/query/?q=SELECT+COUNT()+FROM+OauthToken',
    ],
    ['any version', '/services/data/v31.0/query?q=select+count()+from+oauthtoken'],
  ])('takes %s', async (_, path) => {
    const org = await startOrg()
    const headers = { authorization: `Bearer ${org.credentials.accessToken}` }
    const reply = await send(org.url + path, { headers })
    expect(reply.json.totalSize).toBe(1_201)
  })

  test('columns=true describes the columns', async () => {
    const org = await startOrg()
    const soql = encodeURIComponent('SELECT Id, User.Name FROM OauthToken')
    const { json } = await rest(org, `/query?q=${soql}&columns=true`)
    const names = json.columnMetadata.map((column: { columnName: string }) => column.columnName)
    expect(names).toEqual(['Id', 'User.Name'])
    expect(json.columnMetadata[0].joinColumns).toEqual([])
  })

  test('/services/data lists versions without a session', async () => {
    const org = await startOrg()
    const { json } = await send(`${org.url}/services/data/`)
    expect(json.at(-1)).toMatchObject({ url: '/services/data/v68.0', version: '68.0' })
  })

  test('Sforce-Limit-Info stands on REST answers only', async () => {
    const org = await startOrg()
    const limited = await rest(org, '/limits')
    const free = await send(`${org.url}/services/oauth2/revoke?token=x`)
    expect(limited.headers.get('sforce-limit-info')).toMatch(/^api-usage=\d+\/\d+$/)
    expect(free.headers.get('sforce-limit-info')).toBeNull()
  })

  test('the request log holds no query string', async () => {
    const org = await startOrg()
    await send(`${org.url}/services/oauth2/revoke?token=secret-in-the-url`)
    expect(org.log.at(-1)).toMatchObject({
      path: '/services/oauth2/revoke',
      route: 'revoke',
      status: 400,
    })
    expect(JSON.stringify(org.log)).not.toContain('secret-in-the-url')
  })
})
