import { describe, expect, test } from 'vitest'
import type { SalesforceOrg, SalesforceSwitches } from '../../../emulators/index.ts'
import {
  grantWhere,
  query,
  queryAllPages,
  type Reply,
  refresh,
  rest,
  send,
  startOrg,
} from './org-fixture.ts'

const USAGE = '/apps/oauth/usage'

describe('Connect REST: OAuth usage of External Client Apps', () => {
  test('lists External Client Apps only, and a next page that is empty', async () => {
    const org = await startOrg()
    const { json } = await rest(org, `${USAGE}?pageSize=1`)
    expect(json.apps).toHaveLength(1)
    expect(json.apps[0].identifier).toMatch(/^0xI/)
    const follow = (url: string): Promise<Reply> =>
      rest(org, url.replace('/services/data/v62.0', ''))
    const second = await follow(json.nextPageUrl)
    expect(second.json.apps).toHaveLength(1)
    const third = await follow(second.json.nextPageUrl)
    expect(third.json.apps).toEqual([])
    expect(third.json.nextPageUrl).toContain('page=3')
  })

  async function firstApp(org: SalesforceOrg): Promise<string> {
    return (await rest(org, USAGE)).json.apps[0].identifier
  }
  const aliveOf = (org: SalesforceOrg, app: string, user?: string): number =>
    [...org.truth.grants()].filter(
      (grant) =>
        grant.alive && grant.applicationId === app && (user ?? grant.userId) === grant.userId,
    ).length

  test('users, their tokens, and one DELETE a token, a user, an app', async () => {
    const org = await startOrg()
    const app = await firstApp(org)
    const all = aliveOf(org, app)
    const { users } = (await rest(org, `${USAGE}/${app}/users?pageSize=200`)).json
    const first = users[0]
    const tokens = (await rest(org, `${USAGE}/${app}/${first.userIdentifier}/tokens`)).json.tokens
    const own = aliveOf(org, app, first.userIdentifier)
    expect(tokens).toHaveLength(own)
    const drop = (path: string) => rest(org, path, { method: 'DELETE' })
    expect((await drop(`${USAGE}/tokens/${tokens[0].identifier}`)).status).toBe(204)
    expect(aliveOf(org, app)).toBe(all - 1)
    expect((await drop(`${USAGE}/tokens/${tokens[0].identifier}`)).status).toBe(404)
    expect((await drop(`${USAGE}/${app}/${first.userIdentifier}/tokens`)).status).toBe(204)
    expect(aliveOf(org, app)).toBe(all - own)
    expect((await drop(`${USAGE}/${app}/tokens`)).status).toBe(204)
    expect(aliveOf(org, app)).toBe(0)
    expect(org.truth.counts().dead).toBe(all)
    expect((await rest(org, USAGE)).json.apps).toHaveLength(1)
  })

  test('a connected app is not known here, and the family begins with version 59', async () => {
    const org = await startOrg()
    const drift = org.truth.apps().find((app) => app.label === 'Drift')!
    const reply = await rest(org, `${USAGE}/${drift.applicationId}/tokens`, { method: 'DELETE' })
    expect(reply.status).toBe(404)
    const headers = { authorization: `Bearer ${org.credentials.accessToken}` }
    expect((await send(`${org.url}/services/data/v58.0${USAGE}`, { headers })).status).toBe(404)
  })

  test('listing needs no permission, revoking does', async () => {
    const org = await startOrg()
    const token = org.credentials.limitedAccessToken
    const app = await firstApp(org)
    expect((await rest(org, USAGE, {}, token)).status).toBe(200)
    const reply = await rest(org, `${USAGE}/${app}/tokens`, { method: 'DELETE' }, token)
    expect([reply.status, reply.json[0].errorCode]).toEqual([403, 'INSUFFICIENT_ACCESS'])
  })
})

describe('apps by SOQL', () => {
  test('ConnectedApplication lacks the uninstalled app and the External Client Apps', async () => {
    const org = await startOrg()
    const { records } = await queryAllPages(org, 'SELECT Id, Name FROM ConnectedApplication')
    const kinds = org.truth.apps().filter((app) => app.kind === 'connected')
    expect(records).toHaveLength(kinds.length)
    expect(records.filter((record) => record.Name === 'Reporting')).toHaveLength(2)
  })

  test('AppMenuItem leads to both kinds by ApplicationId', async () => {
    const org = await startOrg()
    const { records } = await queryAllPages(org, 'SELECT ApplicationId FROM AppMenuItem')
    const prefixes = records.map((record) => record.ApplicationId.slice(0, 3))
    expect(new Set(prefixes)).toEqual(new Set(['0H4', '0xI']))
  })

  test.each([
    ['queryable', 200],
    ['refused', 400],
  ] as const)('switch ecaObjects: %s', async (ecaObjects, status) => {
    const org = await startOrg({ switches: { ecaObjects } })
    const reply = await query(org, 'SELECT Id, MasterLabel FROM ExternalClientApplication')
    expect(reply.status).toBe(status)
  })
})

describe('Metadata API: blocking an app', () => {
  function soap(
    org: SalesforceOrg,
    inner: string,
    version = '62.0',
    token = org.credentials.accessToken,
  ) {
    const body = `<?xml version="1.0"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soap:Header><SessionHeader><sessionId>${token}</sessionId></SessionHeader></soap:Header><soap:Body>${inner}</soap:Body></soap:Envelope>`
    const headers = { 'content-type': 'text/xml', soapaction: '""' }
    return send(`${org.url}/services/Soap/m/${version}`, { method: 'POST', body, headers })
  }
  const update = (org: SalesforceOrg, name: string, policy: string, version?: string) =>
    soap(
      org,
      `<updateMetadata><metadata xsi:type="ConnectedApp"><fullName>${name}</fullName>${policy}</metadata></updateMetadata>`,
      version,
    )
  const BLOCK = '<sessionPolicy><policyAction>Block</policyAction></sessionPolicy>'

  test('Block ends the sessions of the app and its grants mint nothing; leaving the policy out undoes it', async () => {
    const org = await startOrg()
    const grant = grantWhere(org, (entry) => entry.app === 'Drift' && entry.userIsActive)
    expect((await update(org, 'Drift', BLOCK)).text).toContain('<success>true</success>')
    expect((await refresh(org, grant)).status).toBe(400)
    const read = await soap(
      org,
      '<readMetadata><type>ConnectedApp</type><fullNames>Drift</fullNames></readMetadata>',
    )
    expect(read.text).toContain('<policyAction>Block</policyAction>')
    const soql = "SELECT Display FROM SetupAuditTrail WHERE Action = 'blockConnectedApplication'"
    expect((await query(org, soql)).json.totalSize).toBe(1)
    await update(org, 'Drift', '')
    expect((await refresh(org, grant)).status).toBe(200)
  })

  test('the policy of an External Client App', async () => {
    const org = await startOrg()
    const inner =
      '<updateMetadata><metadata xsi:type="ExtlClntAppOauthConfigurablePolicies"><fullName>Klue_Battlecards_oauthPlcy</fullName><policyAction>Block</policyAction></metadata></updateMetadata>'
    await soap(org, inner)
    const grant = grantWhere(org, (entry) => entry.app === 'Klue Battlecards' && entry.userIsActive)
    expect(org.blockedApps()).toEqual([grant.appId])
    expect((await refresh(org, grant)).status).toBe(400)
  })

  test.each([
    ['an unknown app', {}, 'Nobody', BLOCK, '62.0', 'INVALID_CROSS_REFERENCE_KEY'],
    ['an uninstalled app', {}, 'Dataloader_Partner', BLOCK, '62.0', 'INVALID_CROSS_REFERENCE_KEY'],
    ['a version before the policy', {}, 'Drift', BLOCK, '48.0', 'INVALID_FIELD'],
    [
      'no level, where the org wants one',
      { blockNeedsSessionLevel: true },
      'Drift',
      BLOCK,
      '62.0',
      'REQUIRED_FIELD_MISSING',
    ],
  ] as const)(
    'refuses %s',
    async (_, switches: Partial<SalesforceSwitches>, name, policy, version, code) => {
      const org = await startOrg({ switches })
      const { text } = await update(org, name, policy, version)
      expect(text).toContain(`<statusCode>${code}</statusCode>`)
      expect(org.blockedApps()).toEqual([])
    },
  )

  test('switch blockUninstalledApps: allowed', async () => {
    const org = await startOrg({ switches: { blockUninstalledApps: 'allowed' } })
    await update(org, 'Dataloader_Partner', BLOCK)
    expect(org.blockedApps()).toHaveLength(1)
  })

  test.each([
    ['replaces', 0],
    ['merges', 1],
  ] as const)('switch metadataUpdate: %s', async (metadataUpdate, blocked) => {
    const org = await startOrg({ switches: { metadataUpdate } })
    await update(org, 'Drift', BLOCK)
    await update(org, 'Drift', '<label>Drift</label>')
    expect(org.blockedApps()).toHaveLength(blocked)
  })

  test.each([
    ['an unknown session', 'nobody', 'INVALID_SESSION_ID'],
    ['a user without the permissions', 'limited', 'INSUFFICIENT_ACCESS'],
  ])('%s gets a SOAP fault', async (_, who, code) => {
    const org = await startOrg()
    const token = who === 'limited' ? org.credentials.limitedAccessToken : 'x'
    const reply = await soap(org, '<describeMetadata/>', '62.0', token)
    expect([reply.status, reply.text.includes(`sf:${code}`)]).toEqual([500, true])
  })
})
