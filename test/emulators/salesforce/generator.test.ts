import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createSalesforce, type SalesforceOptions } from '../../../emulators/index.ts'
import { createTokenCodec } from '../../../emulators/salesforce/token-codec.ts'
import { NOW_MS, revoke, send, startOrg } from './org-fixture.ts'

const BASE: SalesforceOptions = {
  seed: 5,
  size: { users: 50, apps: 20, tokens: 800 },
  now: () => NOW_MS,
}
const grantsOf = (options: SalesforceOptions) => [...createSalesforce(options).truth.grants()]

describe('generator', () => {
  test('the same seed and sizes make the same org, another seed another one', () => {
    expect(grantsOf(BASE)).toEqual(grantsOf(BASE))
    expect(grantsOf(BASE)).not.toEqual(grantsOf({ ...BASE, seed: 6 }))
    const sessions = createSalesforce(BASE).truth.sessions()
    expect(sessions).toEqual(createSalesforce(BASE).truth.sessions())
  })

  test('sizes and heaps are what was asked for', () => {
    const { truth } = createSalesforce({
      ...BASE,
      size: { users: 300, apps: 30, tokens: 20_000 },
      skew: { appTokens: 5_000, userTokens: 3_000, secondTokens: 1_000 },
    })
    expect(truth.counts()).toMatchObject({ grants: 20_001, users: 300, apps: 30 })
    const count = (
      keyOf: (grant: { app: string; userId: string; createdAt: number }) => string | number,
    ) => {
      const counts = new Map<string | number, number>()
      for (const grant of truth.grants())
        counts.set(keyOf(grant), (counts.get(keyOf(grant)) ?? 0) + 1)
      return Math.max(...counts.values())
    }
    expect(count((grant) => grant.app)).toBeGreaterThanOrEqual(5_000)
    expect(count((grant) => `${grant.userId} ${grant.app}`)).toBeGreaterThanOrEqual(3_000)
    expect(count((grant) => grant.createdAt)).toBeGreaterThanOrEqual(1_000)
  })

  test('every org has who and what the stories need', () => {
    const { truth } = createSalesforce({ ...BASE, size: { users: 1, apps: 1, tokens: 10 } })
    expect(truth.users().some((user) => !user.isActive)).toBe(true)
    expect(truth.users().some((user) => user.isFrozen)).toBe(true)
    const apps = truth.apps()
    const kinds = new Set(apps.map((app) => app.kind))
    expect(kinds).toEqual(new Set(['connected', 'external', 'uninstalled']))
    expect(apps.filter((app) => app.label === 'Reporting')).toHaveLength(2)
    expect(apps.map((app) => app.label)).toEqual(expect.arrayContaining(['Rescind', 'Drift']))
  })

  test('delete tokens are all different, and lead back to their grant', () => {
    const grants = grantsOf(BASE)
    expect(new Set(grants.map((grant) => grant.deleteToken)).size).toBe(801)
    const { truth } = createSalesforce(BASE)
    for (const grant of grants.slice(0, 50)) {
      expect(truth.grant(grant.deleteToken)).toEqual(grant)
      expect(truth.grant(`${grant.deleteToken.slice(0, -1)}!`)).toBeUndefined()
    }
  })

  test('a token codec reads what it wrote, of its own kind and seed only', () => {
    const codec = createTokenCodec(3)
    for (const [row, rotation] of [
      [0, 0],
      [1, 0],
      [999_999, 7],
      [16_777_215, 65_535],
    ] as const) {
      const value = codec.encode('refresh', row, rotation)
      expect(codec.decode('refresh', value)).toEqual({ row, rotation })
      expect(codec.decode('delete', value)).toBeUndefined()
      expect(createTokenCodec(4).decode('refresh', value)).toBeUndefined()
    }
  })

  test('more than a million tokens are refused', () => {
    expect(() => createSalesforce({ size: { tokens: 1_000_001 } })).toThrow(/between 0 and 1000000/)
  })

  test('an unknown switch is refused with the list of switches', () => {
    const switches = { secondrevoke: '200' } as SalesforceOptions['switches']
    expect(() => createSalesforce({ switches })).toThrow(
      /unknown switch "secondrevoke".*secondRevoke/,
    )
  })

  test('no grant was created after its org, nor used before it was made', () => {
    for (const grant of grantsOf(BASE)) {
      expect(grant.createdAt).toBeLessThanOrEqual(NOW_MS)
      if (grant.lastUsedAt !== null)
        expect(grant.lastUsedAt).toBeGreaterThanOrEqual(grant.createdAt)
    }
  })

  test('an added grant can be seen, used and revoked, however old it is', async () => {
    const org = await startOrg()
    const app = org.truth.apps().find((entry) => entry.label === 'Drift')!
    const createdAt = Date.UTC(2020, 0, 1)
    const added = org.addGrant({
      userId: org.credentials.admin.userId,
      appId: app.appId,
      createdAt,
    })
    expect(org.truth.grant(added.deleteToken)).toMatchObject({
      createdAt,
      alive: true,
      app: 'Drift',
    })
    const soql = 'SELECT+COUNT()+FROM+OauthToken+WHERE+CreatedDate+<+2020-06-01T00:00:00Z'
    const url = `${org.url}/services/data/v62.0/query?q=${soql}`
    const headers = { authorization: `Bearer ${org.credentials.accessToken}` }
    expect((await send(url, { headers })).json.totalSize).toBe(1)
    expect((await revoke(org, added.deleteToken)).status).toBe(200)
  })

  test('the secrets of the truth hold every token and password', () => {
    const { truth, credentials } = createSalesforce(BASE)
    const secrets = new Set(truth.secrets())
    const known = [
      credentials.accessToken,
      credentials.refreshToken,
      credentials.ownDeleteToken,
      credentials.admin.password,
      credentials.integration.clientSecret,
      credentials.jwt.privateKeyPem,
    ]
    for (const secret of known) expect(secrets.has(secret)).toBe(true)
    for (const grant of truth.grants()) expect(secrets.has(grant.deleteToken)).toBe(true)
  })
})

describe('an org in a process of its own', () => {
  test('prints where it is, serves truth and faults over HTTP, and ends by SIGTERM', async () => {
    const main = fileURLToPath(new URL('../../../emulators/salesforce/main.ts', import.meta.url))
    const env = { ...process.env, EMULATOR_OPTIONS: JSON.stringify({ ...BASE, now: undefined }) }
    const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    let text = ''
    for await (const chunk of child.stdout) {
      text += chunk
      if (text.includes('\n')) break
    }
    const { url, credentials } = JSON.parse(text)
    const control = (path: string, body?: unknown) =>
      send(
        `${url}/__emulator/${path}`,
        body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) },
      )
    const lines = (await control('truth')).text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toHaveLength(801)
    await control('faults', [{ kind: 'unavailable_503', on: 'revoke', nth: 1 }])
    const drop = () => send(`${url}/services/oauth2/revoke?token=${lines[0].deleteToken}`)
    expect([(await drop()).status, (await drop()).status]).toEqual([503, 200])
    expect((await control('counts')).json).toMatchObject({ dead: 1, alive: 800 })
    const presented = (await control('presented')).text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(presented).toEqual([{ deleteToken: lines[0].deleteToken, calls: 1 }])
    expect((await control('requests')).json.counters).toMatchObject({ revoke: 2 })
    const grant = { userId: credentials.admin.userId, appId: lines[0].appId }
    expect((await control('grants', grant)).json.deleteToken).toMatch(/^5Aep861d/)
    expect((await control('faults', [{ kind: 'gremlin', on: 'any' }])).status).toBe(400)
    expect((await control('nothing')).status).toBe(404)
    child.kill('SIGTERM')
    expect((await once(child, 'exit'))[0]).toBe(0)
  })
})

test.each([1, 2, 3, 4, 5, 6])(
  'seed %i: the budget of the test user is free for the apps that are there for tests',
  (seed) => {
    const size = { users: 900, apps: 40, tokens: 12_000 }
    const { credentials, truth } = createSalesforce({ seed, size })
    const { connected, rotating, limited } = credentials
    const spent = [...truth.grants()].filter(
      ({ userId, appId }) =>
        userId === limited.userId && [connected.clientId, rotating.clientId].includes(appId),
    )
    expect(spent).toEqual([])
  },
)
