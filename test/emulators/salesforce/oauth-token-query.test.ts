import { describe, expect, test } from 'vitest'
import type { GrantTruth, SalesforceOrg } from '../../../emulators/index.ts'
import { NOW_MS, query, queryAllPages, revoke, startOrg } from './org-fixture.ts'

const BIG = { size: { users: 200, apps: 20, tokens: 4_000 } } as const
const LIST = 'SELECT DeleteToken FROM OauthToken'

function alive(org: SalesforceOrg): GrantTruth[] {
  return [...org.truth.grants()].filter((grant) => grant.alive)
}

describe('OauthToken: row limits', () => {
  test('500 rows a page, and after 2,500 the last page says done without a word', async () => {
    const org = await startOrg(BIG)
    const { totalSize, records, pages } = await queryAllPages(org, LIST)
    expect(pages).toEqual([500, 500, 500, 500, 500])
    expect(totalSize).toBe(4_001)
    expect(new Set(records.map((record) => record.DeleteToken)).size).toBe(2_500)
  })

  test('COUNT() gives the true total in totalSize, with no records', async () => {
    const org = await startOrg(BIG)
    const { json } = await query(org, 'SELECT COUNT() FROM OauthToken')
    expect(json).toEqual({ totalSize: 4_001, done: true, records: [] })
  })

  test('LIMIT 2500 with OFFSET 0, then 2500 reaches every row', async () => {
    const org = await startOrg(BIG)
    const first = await queryAllPages(org, `${LIST} LIMIT 2500 OFFSET 0`)
    const second = await queryAllPages(org, `${LIST} LIMIT 2500 OFFSET 2500`)
    const tokens = [...first.records, ...second.records].map((record) => record.DeleteToken)
    expect(new Set(tokens)).toEqual(new Set(alive(org).map((grant) => grant.deleteToken)))
  })

  test('OFFSET paging while revoking skips rows', async () => {
    const org = await startOrg()
    const first = await query(org, `${LIST} LIMIT 300 OFFSET 0`)
    for (const record of first.json.records) await revoke(org, record.DeleteToken)
    const seen = new Set(first.json.records.map((r: { DeleteToken: string }) => r.DeleteToken))
    for (let offset = 300; offset < 1_500; offset += 300) {
      const page = await query(org, `${LIST} LIMIT 300 OFFSET ${offset}`)
      for (const record of page.json.records) seen.add(record.DeleteToken)
    }
    expect(seen.size).toBe(901)
  })

  test.each([
    ['totalSizeOnCap: capped', { totalSizeOnCap: 'capped' }, LIST, 200, 2_500],
    [
      'offsetPast2500: refused',
      { offsetPast2500: 'refused' },
      `${LIST} OFFSET 2500`,
      400,
      undefined,
    ],
    [
      'offsetPast2500: refused, up to 2,000',
      { offsetPast2500: 'refused' },
      `${LIST} OFFSET 2000`,
      200,
      2_001,
    ],
  ] as const)('switch %s', async (_, switches, soql, status, totalSize) => {
    const org = await startOrg({ ...BIG, switches })
    const reply = await query(org, soql)
    expect([reply.status, reply.json.totalSize]).toEqual([status, totalSize])
  })

  test('other objects: 2,000 rows a page, and an OFFSET over 2,000 is refused', async () => {
    const org = await startOrg({ size: { users: 2_300, apps: 14, tokens: 100 } })
    const { pages } = await queryAllPages(org, 'SELECT Id FROM User')
    expect(pages).toEqual([2_000, 300])
    const refused = await query(org, 'SELECT Id FROM User OFFSET 2001')
    expect([refused.status, refused.json[0].errorCode]).toEqual([400, 'NUMBER_OUTSIDE_VALID_RANGE'])
  })
})

describe('OauthToken: who sees what', () => {
  test('without Customize Application a query shows the own tokens alone, and no error', async () => {
    const org = await startOrg(BIG)
    const { limited, limitedAccessToken } = org.credentials
    const own = alive(org).filter((grant) => grant.userId === limited.userId)
    const { records, totalSize } = await queryAllPages(org, LIST, limitedAccessToken)
    expect(own.length).toBeGreaterThan(0)
    expect(totalSize).toBe(own.length)
    expect(new Set(records.map((record) => record.DeleteToken))).toEqual(
      new Set(own.map((grant) => grant.deleteToken)),
    )
    const permission = 'SELECT PermissionsCustomizeApplication FROM UserPermissionAccess'
    const access = await query(org, permission, limitedAccessToken)
    expect(access.json.records[0].PermissionsCustomizeApplication).toBe(false)
  })

  test('switch userPermissionAccess: unsupported is an unknown object', async () => {
    const org = await startOrg({ switches: { userPermissionAccess: 'unsupported' } })
    const { json } = await query(org, 'SELECT Id FROM UserPermissionAccess')
    expect(json[0].errorCode).toBe('INVALID_TYPE')
  })
})

const DAY_MS = 86_400_000
const at = (iso: string): number => Date.parse(iso)
const dated = (grant: GrantTruth): number => grant.lastUsedAt ?? Number.NaN

/** A clause, and the same condition over the ground truth. */
const CLAUSES: readonly (readonly [string, (grant: GrantTruth) => boolean])[] = [
  ["AppName = 'drift'", (g) => g.app === 'Drift'],
  ["AppName LIKE 'Drift%'", (g) => g.app.startsWith('Drift')],
  ["AppName != 'Drift'", (g) => g.app !== 'Drift'],
  ["AppName IN ('Drift', 'Reporting')", (g) => ['Drift', 'Reporting'].includes(g.app)],
  ["(NOT AppName LIKE '%i%')", (g) => !/i/i.test(g.app)],
  ['AppMenuItemId = null', (g) => shownMenuItem(g) === null],
  ['AppMenuItemId != null', (g) => shownMenuItem(g) !== null],
  ['AppMenuItem.IsUsingAdminAuthorization = true', (g) => ADMIN_APPROVED.includes(g.app)],
  ['User.IsActive = false', (g) => !g.userIsActive],
  [
    "User.Username LIKE 'a%' OR User.IsActive = false",
    (g) => /^a/.test(g.username) || !g.userIsActive,
  ],
  ['UserId IN (SELECT Id FROM User WHERE IsActive = false)', (g) => !g.userIsActive],
  ['UseCount = 0', (g) => g.useCount === 0],
  ['UseCount > 100 AND UseCount <= 200', (g) => g.useCount > 100 && g.useCount <= 200],
  ['LastUsedDate = null', (g) => g.lastUsedAt === null],
  ['LastUsedDate < LAST_N_DAYS:90', (g) => dated(g) < dayStart() - 90 * DAY_MS],
  ['LastUsedDate >= LAST_N_DAYS:90', (g) => dated(g) >= dayStart() - 90 * DAY_MS],
  // Used today is the tool's own grant alone: a span of days reaches to the end of today.
  [
    'LastUsedDate = LAST_N_DAYS:1',
    (g) => dated(g) >= dayStart() - DAY_MS && dated(g) < dayStart() + DAY_MS,
  ],
  ['CreatedDate = THIS_YEAR', (g) => new Date(g.createdAt).getUTCFullYear() === 2026],
  ['CreatedDate < 2025-09-01T00:00:00Z', (g) => g.createdAt < at('2025-09-01T00:00:00Z')],
  ['CreatedDate >= 2025-09-01T00:00:00.000+0000', (g) => g.createdAt >= at('2025-09-01T00:00:00Z')],
  ['CreatedDate > 2025-09-01T02:00:00+02:00', (g) => g.createdAt > at('2025-09-01T00:00:00Z')],
  [
    "CreatedDate >= 2025-01-01T00:00:00Z AND CreatedDate < 2025-07-01T00:00:00Z AND AppName = 'Drift'",
    (g) => g.createdAt >= at('2025-01-01') && g.createdAt < at('2025-07-01') && g.app === 'Drift',
  ],
  [
    "(AppName = 'Drift' AND User.IsActive = false) OR UseCount = 7",
    (g) => (g.app === 'Drift' && !g.userIsActive) || g.useCount === 7,
  ],
  [
    "NOT (AppName = 'Drift' OR User.IsActive = false)",
    (g) => !(g.app === 'Drift' || !g.userIsActive),
  ],
]
const ADMIN_APPROVED = ['CI Deployer', 'Warehouse Export']

function shownMenuItem(grant: GrantTruth): string | null {
  // By default a grant of an External Client App shows no menu item.
  return grant.applicationId?.startsWith('0xI') ? null : grant.appMenuItemId
}

function dayStart(): number {
  return Math.floor(NOW_MS / DAY_MS) * DAY_MS
}

describe('OauthToken: WHERE agrees with the ground truth', () => {
  test.each(CLAUSES)('%s', async (clause, accepts) => {
    const org = await startOrg()
    const wanted = alive(org).filter(accepts)
    expect(wanted.length).toBeGreaterThan(0)
    expect(wanted.length).toBeLessThan(1_201)
    const { totalSize, records } = await queryAllPages(org, `${LIST} WHERE ${clause}`)
    const count = await query(org, `SELECT COUNT() FROM OauthToken WHERE ${clause}`)
    expect([totalSize, count.json.totalSize]).toEqual([wanted.length, wanted.length])
    expect(records.map((record) => record.DeleteToken).sort()).toEqual(
      wanted.map((grant) => grant.deleteToken).sort(),
    )
  })

  test.each(['<', '<=', '=', '!=', '>=', '>'])(
    'CreatedDate %s a second that has many rows',
    async (operator) => {
      const org = await startOrg()
      const grants = alive(org)
      const second = modeOf(grants.map((grant) => grant.createdAt))
      expect(second.count).toBeGreaterThan(50)
      const order = { '<': [-1], '<=': [-1, 0], '=': [0], '!=': [-1, 1], '>=': [0, 1], '>': [1] }
      const accepts = order[operator as keyof typeof order]
      const wanted = grants.filter((grant) =>
        accepts.includes(Math.sign(grant.createdAt - second.value)),
      )
      const instant = new Date(second.value).toISOString()
      const { json } = await query(
        org,
        `SELECT COUNT() FROM OauthToken WHERE CreatedDate ${operator} ${instant}`,
      )
      expect(json.totalSize).toBe(wanted.length)
    },
  )

  test('by user, by app and by second, each where one has more than a query can show', async () => {
    const skew = { appTokens: 900, userTokens: 2_600, secondTokens: 700 }
    const org = await startOrg({ size: { users: 200, apps: 16, tokens: 6_000 }, skew })
    const grants = alive(org)
    const second = modeOf(grants.map((grant) => grant.createdAt))
    const user = modeOf(grants.map((grant) => grant.userId))
    const instant = new Date(second.value).toISOString()
    const clauses = [
      [`CreatedDate = ${instant}`, second.count, 700],
      [`UserId = '${user.value}'`, user.count, 2_600],
      [`UserId = '${user.value.slice(0, 15)}' AND AppName = 'Data Sync'`, undefined, 2_600],
      ["AppName = 'Drift'", undefined, 900],
    ] as const
    for (const [clause, exact, least] of clauses) {
      const { json } = await query(org, `SELECT COUNT() FROM OauthToken WHERE ${clause}`)
      expect(json.totalSize, clause).toBeGreaterThanOrEqual(least)
      if (exact !== undefined) expect(json.totalSize, clause).toBe(exact)
    }
  })
})

function modeOf<T>(values: readonly T[]): { readonly value: T; readonly count: number } {
  const counts = new Map<T, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  const [value, count] = [...counts].reduce((most, entry) => (entry[1] > most[1] ? entry : most))
  return { value, count }
}

describe('OauthToken: columns and order', () => {
  test('a row in full, with parents by relationship', async () => {
    const org = await startOrg()
    const fields =
      'Id, UserId, AppName, AppMenuItemId, CreatedDate, UseCount, User.Name, User.Profile.Name, AppMenuItem.Label, AppMenuItem.ApplicationId'
    const { json } = await query(
      org,
      `select ${fields} from OAuthToken where DeleteToken = '${org.credentials.ownDeleteToken}'`,
    )
    const [record] = json.records
    expect(record).toMatchObject({
      attributes: { type: 'OauthToken' },
      Id: null,
      UserId: org.credentials.admin.userId,
      AppName: 'Rescind',
      CreatedDate: '2026-06-08T00:00:00.000+0000',
      User: {
        attributes: { type: 'User' },
        Name: 'Ada Admin',
        Profile: { Name: 'System Administrator' },
      },
      AppMenuItem: { Label: 'Rescind' },
    })
    expect(record.AppMenuItem.ApplicationId).toMatch(/^0H4\w{15}$/)
  })

  test('an uninstalled app has no menu item, and an External Client App shows none', async () => {
    const org = await startOrg()
    for (const app of ['Dataloader Partner', 'Klue Battlecards']) {
      const soql = `SELECT AppMenuItemId, AppMenuItem.Label FROM OauthToken WHERE AppName = '${app}' LIMIT 1`
      const { json } = await query(org, soql)
      expect(json.records[0]).toMatchObject({ AppMenuItemId: null, AppMenuItem: null })
    }
  })

  test.each([
    ['null', null],
    ['zeros', '000000000000000AAA'],
    ['empty', ''],
  ] as const)('switch idIsNull: %s', async (idIsNull, id) => {
    const org = await startOrg({ switches: { idIsNull } })
    const { json } = await query(org, 'SELECT Id FROM OauthToken LIMIT 1')
    expect(json.records[0].Id).toBe(id)
  })

  test.each([
    ['ORDER BY LastUsedDate', (a: number | null) => a ?? Number.NEGATIVE_INFINITY],
    ['ORDER BY LastUsedDate NULLS LAST', (a: number | null) => a ?? Number.POSITIVE_INFINITY],
    ['ORDER BY LastUsedDate DESC NULLS LAST', (a: number | null) => (a === null ? Infinity : -a)],
  ] as const)('%s', async (order, keyOf) => {
    const org = await startOrg()
    const { records } = await queryAllPages(org, `SELECT LastUsedDate FROM OauthToken ${order}`)
    const keys = records.map(({ LastUsedDate }) =>
      keyOf(LastUsedDate === null ? null : Date.parse(LastUsedDate)),
    )
    expect(keys.length).toBe(1_201)
    expect(keys).toEqual([...keys].sort((a, b) => (a === b ? 0 : a < b ? -1 : 1)))
  })

  test('GROUP BY AppName adds up to COUNT(), and can be switched off', async () => {
    const soql = 'SELECT AppName, COUNT(Id) n FROM OauthToken GROUP BY AppName'
    const org = await startOrg()
    const { json } = await query(org, soql)
    const sum = json.records.reduce((total: number, record: { n: number }) => total + record.n, 0)
    expect(sum).toBe(1_201)
    const refusing = await startOrg({ switches: { groupBy: 'refused' } })
    expect((await query(refusing, soql)).json[0].errorCode).toBe('MALFORMED_QUERY')
  })

  test.each([
    ['rowOrder: shuffled gives every row, in another order each time', { rowOrder: 'shuffled' }],
  ] as const)('switch %s', async (_, switches) => {
    const org = await startOrg({ switches })
    const [one, two] = [await queryAllPages(org, LIST), await queryAllPages(org, LIST)]
    const [a, b] = [one, two].map(({ records }) => records.map((record) => record.DeleteToken))
    expect(a).not.toEqual(b)
    expect([...a!].sort()).toEqual([...b!].sort())
  })

  test('switch ecaInOauthToken: false leaves External Client Apps out', async () => {
    const org = await startOrg({ switches: { ecaInOauthToken: false } })
    const { totalSize } = await queryAllPages(org, LIST)
    expect(totalSize).toBe(alive(org).filter((g) => !g.applicationId?.startsWith('0xI')).length)
    expect(totalSize).toBeLessThan(1_201)
  })

  test('switch queryAll: with-revoked shows dead rows, same does not', async () => {
    for (const [queryAll, extra] of [
      ['same', 0],
      ['with-revoked', 1],
    ] as const) {
      const org = await startOrg({ switches: { queryAll } })
      await revoke(org, alive(org)[0]!.deleteToken)
      const { json } = await query(org, 'SELECT COUNT() FROM OauthToken')
      const url = `${org.url}/services/data/v62.0/queryAll?q=SELECT+COUNT()+FROM+OauthToken`
      const headers = { authorization: `Bearer ${org.credentials.accessToken}` }
      const all = (await (await fetch(url, { headers })).json()) as { totalSize: number }
      expect(all.totalSize - json.totalSize).toBe(extra)
    }
  })
})
