import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import { OUTCOMES } from '../../src/core/outcome.ts'
import { PROOFS } from '../../src/core/proof.ts'
import { type CliOptions, rescind, secretsOf, tenantArgs } from '../support/run-cli.ts'
import { scaledClock } from '../support/scaled-clock.ts'
import { tempHome } from '../support/temp-home.ts'

const home = tempHome()
let org: SalesforceOrg
let options: CliOptions

beforeAll(async () => {
  const clock = scaledClock(20)
  org = await startSalesforce({
    seed: 12,
    size: { users: 30, apps: 16, tokens: 260 },
    now: clock.now,
  })
  options = { home: home.path, env: secretsOf(org), clock }
  expect((await rescind(tenantArgs(org), options)).exitCode).toBe(0)
})
afterAll(async () => {
  await org.close()
  home[Symbol.dispose]()
})

const run = (...args: string[]) => rescind([...args, '--json'], options)
const sum = (counts: object) => Object.values(counts).reduce((a: number, b) => a + b, 0)

describe('what others build on: --json', () => {
  test('inventory', async () => {
    const { json, exitCode } = await run('inventory')
    expect(exitCode).toBe(0)
    expect(json).toMatchObject({
      inventory: expect.stringMatching(/^inv_/),
      tenant: 'acme',
      takenAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      counted: { before: json.tokens, after: json.tokens },
      complete: true,
      why: expect.stringMatching(/\w/),
      users: 30,
    })
    expect(json.apps).toBeGreaterThan(10)
  })

  test('plan', async () => {
    const { json, exitCode } = await run('plan', '--app', 'Drift', '--out', 'plan.json')
    expect(exitCode).toBe(0)
    expect(json).toMatchObject({
      plan: expect.stringMatching(/^plan_/),
      hash: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    })
    const inventory = (await run('show', json.inventory)).json
    expect(json.chosen + json.spared + json.undecided + json.untouched).toBe(inventory.tokens)
    for (const { reach, count, rule } of json.kills) {
      expect(reach.kind).toMatch(/^(token|user_app|app)$/)
      expect(count).toBeGreaterThan(0)
      expect(rule).toBe('kill 1: app.name=Drift')
    }
    expect(JSON.parse(readFileSync(join(home.path, 'plan.json'), 'utf8'))).toEqual(json)
    expect(statSync(join(home.path, 'plan.json')).mode & 0o777).toBe(0o600)
  })

  test('apply, by the plan file; verify, report and resume', async () => {
    const { json: plan } = await run('plan', '--app', 'Drift', '--out', 'plan.json')
    const applied = await run(
      'apply',
      'plan.json',
      '--confirm',
      `${plan.chosen}`,
      '--second-look',
      '2s',
    )
    expect(applied.exitCode, applied.stderr).toBe(0)
    const verified = await run('verify')
    const reported = await run('report')
    for (const { json, exitCode } of [applied, verified, reported]) {
      expect(exitCode).toBe(0)
      expect(json).toMatchObject({
        plan: plan.plan,
        planned: plan.chosen,
        dead: plan.chosen,
        alive: 0,
        unknown: 0,
        cameBack: 0,
      })
      expect(Object.keys(json.outcomes).sort()).toEqual([...OUTCOMES].sort())
      expect(Object.keys(json.proof).sort()).toEqual([...PROOFS].sort())
      expect(sum(json.outcomes)).toBe(plan.chosen)
      expect(sum(json.proof)).toBe(plan.chosen)
      expect(Date.parse(json.finishedAt)).toBeGreaterThan(Date.parse(json.startedAt))
    }
    const { json: resumed, exitCode, stderr } = await run('resume')
    expect([resumed, exitCode]).toEqual([
      { error: { code: 'run_unknown', message: expect.any(String) } },
      2,
    ])
    expect(stderr).toMatch(/no run to resume/)
  })

  test('words go to standard error, an event a line', async () => {
    const { json: plan } = await run('plan', '--app', 'Drift Chat')
    const { stdout, stderr } = await run(
      'apply',
      plan.plan,
      '--confirm',
      `${plan.chosen}`,
      '--second-look',
      'none',
    )
    expect(stdout.trim().split('\n')).toHaveLength(1)
    const events = stderr
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line).event)
    expect(events).toEqual(expect.arrayContaining(['started', 'canary', 'progress', 'verify']))
  })
})

describe('exit codes', () => {
  test('0 for a plan of nothing', async () => {
    const { json: plan } = await run('plan', '--app', 'No Such App')
    expect(plan.chosen).toBe(0)
    const applied = await run('apply', plan.plan, '--confirm', '0', '--second-look', 'none')
    expect(applied.exitCode, applied.stderr).toBe(0)
    expect(applied.json).toMatchObject({ planned: 0, dead: 0, state: 'finished' })
  })

  test('5 when something is not proven dead at the end, and verify says the same until it is', async () => {
    const { json: plan } = await run('plan', '--app', 'Data Sync')
    // The canary passes; later the org says yes to one kill and does nothing, each time.
    const nth = Array.from({ length: 600 }, (_, at) => at + 13)
    org.setFaults([{ kind: 'ok_without_effect', on: 'revoke', nth }])
    const applied = await run(
      'apply',
      plan.plan,
      '--confirm',
      `${plan.chosen}`,
      '--second-look',
      'none',
    )
    org.setFaults([])
    expect(applied.exitCode, applied.stderr).toBe(5)
    expect(applied.json).toMatchObject({ state: 'finished', unknown: 0 })
    expect(applied.json.alive).toBeGreaterThan(0)
    expect(applied.json.dead + applied.json.alive).toBe(plan.chosen)
    const { json, exitCode } = await run('verify', applied.json.run)
    expect([exitCode, json.alive]).toEqual([5, applied.json.alive])
    expect((await rescind(['report', applied.json.run], options)).stdout).toMatch(/alive/)
  })
})

describe('reports', () => {
  test('in HTML and CSV are files of their owner alone, with a line for each token', async () => {
    const { json } = await run('report', '--html', 'r.html', '--csv', 'r.csv')
    for (const file of ['r.html', 'r.csv'])
      expect(statSync(join(home.path, file)).mode & 0o777).toBe(0o600)
    const lines = readFileSync(join(home.path, 'r.csv'), 'utf8').trim().split('\n')
    expect(lines.length).toBe(json.planned + 1)
    expect(readFileSync(join(home.path, 'r.html'), 'utf8')).toContain(json.run)
  })

  test('and runs are listed, newest first', async () => {
    const { json } = await run('runs')
    const started = json.runs.map(({ startedAt }: { startedAt: string }) => startedAt)
    expect(started.length).toBeGreaterThanOrEqual(4)
    expect(started).toEqual([...started].sort().reverse())
  })
})

describe('tenants', () => {
  test('are added, listed, checked and removed, with their credentials', async () => {
    const env = { ...options.env }
    expect((await rescind(tenantArgs(org, 'second'), { ...options, env })).exitCode).toBe(0)
    expect((await rescind(tenantArgs(org, 'second'), options)).exitCode).toBe(2)
    const names = async () =>
      (await run('tenant', 'list')).json.tenants.map(({ name }: { name: string }) => name)
    expect(await names()).toEqual(['acme', 'second'])
    // With two, a command must be told which.
    expect((await run('inventory')).stderr).toMatch(
      /Say which tenant with --tenant. Known in .*: acme, second/,
    )
    const checked = (await run('tenant', 'check', 'second')).json
    expect(
      checked.capabilities.every(({ can }: { can: string }) => /^(yes|no|unknown)$/.test(can)),
    ).toBe(true)
    expect((await run('tenant', 'remove', 'second')).json).toEqual({
      tenant: 'second',
      removed: true,
    })
    expect(await names()).toEqual(['acme'])
  })
})
