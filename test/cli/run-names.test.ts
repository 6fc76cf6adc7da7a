import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import { type CliOptions, rescind, secretsOf, tenantArgs } from '../support/run-cli.ts'
import { scaledClock } from '../support/scaled-clock.ts'
import { tempHome } from '../support/temp-home.ts'

const home = tempHome()
let org: SalesforceOrg
let options: CliOptions
let runId = ''

beforeAll(async () => {
  const clock = scaledClock(20)
  const size = { users: 20, apps: 14, tokens: 150 }
  org = await startSalesforce({ seed: 31, size, now: clock.now })
  options = { home: home.path, env: secretsOf(org), clock }
  await rescind(tenantArgs(org), options)
  const plan = await rescind(['plan', '--user-inactive', '--json'], options)
  const { plan: id, chosen } = plan.json as { plan: string; chosen: number }
  const args = ['apply', id, '--confirm', String(chosen), '--second-look', 'none', '--json']
  const applied = await rescind(args, options)
  runId = (applied.json as { run: string }).run
})
afterAll(async () => {
  await org.close()
  home[Symbol.dispose]()
})

describe('a run is found by its name and its tenant', () => {
  const cases = [
    { args: () => ['verify', '--tenant', 'nobody'], says: /There is no tenant "nobody"/, exit: 2 },
    { args: () => ['resume', '--tenant', 'nobody'], says: /There is no tenant "nobody"/, exit: 2 },
    { args: () => ['verify', '--config', 'no.yaml'], says: /no\.yaml is not there/, exit: 2 },
    { args: () => ['inventory', '--config', 'no.yaml'], says: /no\.yaml is not there/, exit: 2 },
    { args: () => ['resume'], says: /There is no run to resume/, exit: 2 },
    { args: () => ['resume', runId], says: /is finished/, exit: 2 },
    { args: () => ['resume', 'run_nothing'], says: /There is no run "run_nothing"/, exit: 2 },
  ]
  test.each(cases)('$args', async ({ args, says, exit }) => {
    const { exitCode, stderr } = await rescind(args(), options)
    expect(stderr).toMatch(says)
    expect(exitCode).toBe(exit)
  })

  test("another tenant's run is refused", async () => {
    const file = join(home.path, 'rescind.yaml')
    const [, ...rest] = readFileSync(file, 'utf8').split('\n')
    const twin = rest.join('\n').replace(/^( +)acme:/m, '$1twin:')
    appendFileSync(file, twin)
    const { exitCode, stderr } = await rescind(['verify', runId, '--tenant', 'twin'], options)
    expect(stderr).toMatch(/is a run of tenant "acme", and this is "twin"/)
    expect(exitCode).toBe(4)
  })
})

test.each(['clientSecret', 'privateKey', 'clientKey', 'passphrase', 'assertion', 'refreshToken'])(
  'a secret is never taken as an argument: --set %s',
  async (key) => {
    const args = [
      'tenant',
      'add',
      'x',
      '--url',
      org.url,
      '--login',
      'jwt',
      '--set',
      `${key}=hunter2`,
    ]
    const { exitCode, stderr, stdout } = await rescind(args, options)
    expect(exitCode).toBe(2)
    expect(stderr).toMatch(/is a secret/)
    expect(stderr + stdout).not.toContain('hunter2')
  },
)
