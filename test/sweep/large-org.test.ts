import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import { formatCount } from '../../src/core/counts.ts'
import { type CliOptions, rescind, secretsOf, tenantArgs } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

const TOKENS = 100_000
const SKEW = { appTokens: 30_000, userTokens: 6_000, secondTokens: 5_000 }

describe('100,000 tokens, 30,000 of one app, 6,000 of one user, 5,000 in one second', () => {
  const home = tempHome()
  let org: SalesforceOrg
  let options: CliOptions
  beforeAll(async () => {
    org = await startSalesforce({ seed: 9, size: { tokens: TOKENS }, skew: SKEW })
    options = { home: home.path, env: secretsOf(org) }
    await rescind(tenantArgs(org), options)
  })
  afterAll(async () => {
    await org.close()
    home[Symbol.dispose]()
  })

  test('the inventory is complete, and says why it knows', { timeout: 120_000 }, async () => {
    const { exitCode, json, stderr } = await rescind(['inventory', '--json'], options)
    expect(exitCode, stderr).toBe(0)
    const { alive } = org.truth.counts()
    expect(json).toMatchObject({ complete: true, tenant: 'acme' })
    expect(json.tokens).toBeGreaterThanOrEqual(alive)
    expect(json.counted).toEqual({ before: json.tokens, after: json.tokens })
    expect(json.why).toContain(`together they are the ${formatCount(alive)} that the org counts`)
  })

  test('a plan for the one app holds its 30,000 tokens and more, and adds up', async () => {
    const args = ['plan', '--inventory', 'latest', '--app', 'Drift', '--json']
    const { exitCode, json } = await rescind(args, options)
    expect(exitCode).toBe(0)
    const alive = [...org.truth.grants()].filter((grant) => grant.app === 'Drift' && grant.alive)
    expect(json.chosen).toBe(alive.length)
    expect(json.chosen).toBeGreaterThanOrEqual(SKEW.appTokens)
    const { chosen, spared, undecided, untouched, kills } = json
    const inventory = (await rescind(['show', json.inventory, '--json'], options)).json
    expect(chosen + spared + undecided + untouched).toBe(inventory.tokens)
    expect(kills.reduce((sum: number, { count }: { count: number }) => sum + count, 0)).toBe(chosen)
  })

  test('without Customize Application it is partial, and the plan says so, in words and in JSON', async () => {
    const add = [
      ...['tenant', 'add', 'limited', '--url', org.url, '--login', 'access_token'],
      ...['--set', `accessToken=\${env:TEST_LIMITED_TOKEN}`],
    ]
    expect((await rescind(add, options)).exitCode).toBe(0)
    const inventory = await rescind(['inventory', '--tenant', 'limited', '--json'], options)
    expect(inventory.exitCode, inventory.stderr).toBe(0)
    expect(inventory.json).toMatchObject({ complete: false })
    expect(inventory.json.why).toMatch(/own tokens only.*Customize Application/)
    const args = ['plan', '--tenant', 'limited', '--app', 'Drift']
    const words = await rescind(args, options)
    expect(words.exitCode).toBe(0)
    expect(words.stdout).toMatch(/partial/i)
    expect(words.stdout.replace(/\s+/g, ' ')).toMatch(/lacks Customize Application/)
    const asJson = await rescind([...args, '--json'], options)
    expect(asJson.exitCode).toBe(0)
    expect(asJson.json.notes.join('\n')).toMatch(/inventory is partial \(own tokens only/)
  })
})
