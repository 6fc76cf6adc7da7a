import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type OpenConnectorsAccount,
  type SalesforceOrg,
  startOpenConnectors,
  startSalesforce,
} from '../../emulators/index.ts'
import { askForCode, makeInstance } from '../../examples/demo/instance.ts'
import { rescind, spawnRescind } from '../support/run-cli.ts'
import { refuseSecrets } from './run-revoke.ts'

const CALLBACK = 'http://127.0.0.1:4711/callback'
const CONSENT = ['--consent', 'form']
const FORM = [...CONSENT, '--load', '500ms']

let org: SalesforceOrg
let account: OpenConnectorsAccount
let home: string
let env: Record<string, string>
let instance: string
let connection: string

function config(more: { readonly user?: string; readonly userSecret?: string } = {}): string {
  const { connected, limited } = org.credentials
  return JSON.stringify({
    tenants: {
      org: {
        provider: 'salesforce',
        url: org.url,
        app: {
          ...{ clientId: connected.clientId, clientSecret: '${env:CLIENT_SECRET}' },
          ...{ redirectUri: CALLBACK, scopes: ['api', 'id', 'refresh_token'] },
          options: { appName: 'Data Sync', rotation: 'never' },
        },
      },
    },
    openConnectors: {
      url: account.apiUrl,
      userSecret: more.userSecret ?? '${env:USER_SECRET}',
      organizationSecret: '${env:ORGANIZATION_SECRET}',
      callbackUrl: CALLBACK,
      elements: {
        sfdc: {
          ...{ apiKey: connected.clientId, apiSecret: '${env:CLIENT_SECRET}' },
          ...{ scope: 'api id refresh_token', probe: '/hubs/crm/accounts?pageSize=1' },
        },
      },
    },
    drill: {
      users: [more.user ?? limited.userId],
      consent: { fields: { username: limited.username, password: '${env:PASSWORD}' } },
    },
  })
}

const secrets = () => [
  ...org.truth.secrets(),
  ...Object.values(env),
  org.credentials.limited.password,
]

beforeAll(async () => {
  org = await startSalesforce({ seed: 31, size: { users: 40, apps: 16, tokens: 300 } })
  account = await startOpenConnectors({ salesforceUrl: org.url, refreshRetryMs: 60 })
  home = mkdtempSync(join(tmpdir(), 'rescind-drill-cli-'))
  env = {
    CLIENT_SECRET: org.credentials.connected.clientSecret,
    USER_SECRET: account.credentials.userSecret,
    ORGANIZATION_SECRET: account.credentials.organizationSecret,
    PASSWORD: org.credentials.limited.password,
  }
  writeFileSync(join(home, 'rescind.yaml'), config())
  instance = String(await makeInstance(org, account))
  const granted = await redeem(await askForCode(org, account))
  const added = await rescind(
    [
      'connection',
      'add',
      '--owner',
      'acme',
      '--tag',
      'drill-target',
      '--refresh-token-env',
      'GRANT',
      '--json',
    ],
    { home, env: { ...env, GRANT: granted } },
  )
  expect(added.exitCode, added.stderr).toBe(0)
  connection = added.json.id ?? added.json.connection.id
  await run('connection', 'check', connection)
})
afterAll(async () => {
  await account.close()
  await org.close()
  rmSync(home, { recursive: true })
})

async function redeem(code: string): Promise<string> {
  const { clientId, clientSecret } = org.credentials.connected
  const client = { client_id: clientId, client_secret: clientSecret, redirect_uri: CALLBACK }
  const body = new URLSearchParams({ ...client, grant_type: 'authorization_code', code })
  const answer = await fetch(`${org.url}/services/oauth2/token`, { method: 'POST', body })
  return ((await answer.json()) as { refresh_token: string }).refresh_token
}

async function run(...args: string[]) {
  const ran = await rescind(args, { home, env })
  refuseSecrets(`${ran.stdout}\n${ran.stderr}`, secrets())
  return ran
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds() && tries < 1_500; tries += 1) {
    await new Promise((wait) => setTimeout(wait, 20))
  }
}

/** The evidence so far. */
function linesOf(out: string): string {
  const file = join(out, 'evidence.jsonl')
  return existsSync(file) ? readFileSync(file, 'latin1') : ''
}

function everythingIn(folder: string): string {
  return readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'latin1'))
    .join('\n')
}

describe('rescind drill', () => {
  test.each(['rescind', 'open-connectors'] as const)(
    'via %s: passes, with evidence and three reports, and no secret in any',
    async (via) => {
      const subject = via === 'rescind' ? connection : instance
      const out = join(home, `out-${via}`)
      const ran = await run(
        'drill',
        subject,
        '--via',
        via,
        '--trace',
        ...FORM,
        '--out',
        out,
        '--json',
      )
      expect(ran.exitCode, ran.stderr).toBe(0)
      expect(ran.json).toMatchObject({
        verdict: 'passed',
        failedAt: null,
        isBack: true,
        platform: via,
      })
      expect(ran.stderr).toMatch(/POST http:\/\/127\.0\.0\.1:\d+\/services\/oauth2\/revoke → 200/)
      expect(readdirSync(out).sort()).toEqual([
        'evidence.jsonl',
        'junit.xml',
        'report.html',
        'report.json',
      ])
      refuseSecrets(everythingIn(out), secrets())
      const junit = readFileSync(join(out, 'junit.xml'), 'utf8')
      expect(junit).toMatch(/tests="26" failures="0" errors="0" skipped="\d"/)
      expect(readFileSync(join(out, 'report.html'), 'utf8')).toMatch(/<svg class="timeline"/)

      const file = join(out, 'evidence.jsonl')
      const good = await run('drill', 'verify', file, '--key', ran.json.key, '--json')
      expect(good.json).toMatchObject({ ok: true, isOwn: true, verdict: 'passed' })
      writeFileSync(file, readFileSync(file, 'latin1').replace('"step":5', '"step":6'))
      const altered = await run('drill', 'verify', file)
      expect(altered.exitCode).toBe(5)
      expect(altered.stderr).toMatch(
        /is refused\. Record \d+ \(line \d+, bytes \d+ to \d+\): Its hash/,
      )
    },
  )

  test.each<[string, () => readonly string[], number, RegExp]>([
    ['an unknown connection', () => ['con_nothing000'], 2, /There is no connection/],
    [
      'an unknown instance',
      () => ['999', '--via', 'open-connectors'],
      2,
      /would not show the instance/,
    ],
    [
      'what is no instance',
      () => [connection, '--via', 'open-connectors'],
      2,
      /named by its number/,
    ],
    [
      'an unknown fault',
      () => [connection, '--inject', 'earthquake'],
      2,
      /no fault "earthquake"\. Known: all/,
    ],
    [
      'a fault in earnest',
      () => [connection, '--inject', 'all', '--mode', 'sandbox'],
      2,
      /simulated alone/,
    ],
    ['a canary without consent', () => [connection, '--mode', 'canary'], 4, /owner’s consent/],
    ['a time that is none', () => [connection, '--max-detect', 'soon'], 2, /Write a time/],
  ])('%s', async (_name, args, exit, said) => {
    const ran = await run('drill', ...args(), ...FORM, '--out', join(home, `no-${_name}`))
    expect([ran.exitCode, ran.stderr]).toEqual([exit, expect.stringMatching(said)])
  })

  test('a user who is not on the list, a spent budget and one without the tag are refused, and nothing is revoked', async () => {
    const before = org.truth.counts().alive
    writeFileSync(join(home, 'other.yaml'), config({ user: '005somebodyelse' }))
    const other = await run(
      'drill',
      connection,
      '--config',
      'other.yaml',
      ...FORM,
      '--out',
      join(home, 'no-user'),
    )
    expect([other.exitCode, other.stderr]).toEqual([
      4,
      expect.stringMatching(/not on the list of users/),
    ])

    const { userId } = org.credentials.limited
    const { clientId } = org.credentials.connected
    const more = [1, 2].map(() => org.addGrant({ userId, appId: clientId }))
    const spent = await run('drill', connection, ...FORM, '--out', join(home, 'no-budget'))
    expect([spent.exitCode, spent.stderr]).toEqual([
      4,
      expect.stringMatching(/has 4 of 5 live tokens/),
    ])
    for (const { refreshToken } of more) {
      await fetch(`${org.url}/services/oauth2/revoke`, {
        method: 'POST',
        body: new URLSearchParams({ token: refreshToken }),
      })
    }

    const plain = await rescind(
      ['connection', 'add', '--owner', 'acme', '--refresh-token-env', 'GRANT', '--json'],
      { home, env: { ...env, GRANT: org.addGrant({ userId, appId: clientId }).refreshToken } },
    )
    const untagged = plain.json.id ?? plain.json.connection.id
    const refused = await run('drill', untagged, ...FORM, '--out', join(home, 'no-tag'))
    expect([refused.exitCode, refused.stderr]).toEqual([
      4,
      expect.stringMatching(/is not tagged drill-target/),
    ])
    await run('connection', 'disconnect', untagged)
    expect(org.truth.counts().alive).toBe(before)
    expect(readFileSync(join(home, 'no-tag', 'junit.xml'), 'utf8')).toMatch(/failures="2"/)
  })

  test('platform secrets that are wrong are our own fault, and say so', async () => {
    writeFileSync(join(home, 'wrong.yaml'), config({ userSecret: '${env:PASSWORD}' }))
    const ran = await run(
      'drill',
      instance,
      '--via',
      'open-connectors',
      '--config',
      'wrong.yaml',
      ...FORM,
      '--out',
      join(home, 'no-secret'),
    )
    expect([ran.exitCode, ran.stderr]).toEqual([3, expect.stringMatching(/Check userSecret/)])
  })

  test('a drill that is killed leaves its connection dead, says so, bars a second one, and is resumed', async () => {
    const out = join(home, 'killed')
    const child = spawnRescind(
      ['drill', connection, ...FORM, '--load', '20s', '--out', out, '--json'],
      { home, env },
    )
    const file = join(out, 'evidence.jsonl')
    const isAt = (step: number) =>
      existsSync(file) && readFileSync(file, 'latin1').includes(`"kind":"intent","step":${step},`)
    for (let tries = 0; !isAt(6) && tries < 300; tries += 1)
      await new Promise((wait) => setTimeout(wait, 100))

    const second = await run('drill', connection, ...FORM, '--out', join(home, 'second'))
    expect([second.exitCode, second.stderr]).toEqual([
      4,
      expect.stringMatching(/runs \(process \d+\): one at a time/),
    ])

    child.process.kill('SIGKILL')
    await child.done
    const third = await run('drill', connection, ...FORM, '--out', join(home, 'third'))
    expect([third.exitCode, third.stderr]).toEqual([
      4,
      expect.stringMatching(
        /died\. con_\w+ is dead: it was revoked on purpose at .* Bring it back with: rescind drill resume drl_\w+, or: rescind connection link/,
      ),
    ])
    refuseSecrets(everythingIn(join(home, 'drills')), secrets())
    const cut = await run('drill', 'verify', file)
    expect([cut.exitCode, cut.stderr]).toEqual([5, expect.stringMatching(/without a verdict/)])

    const refused = await run('drill', 'resume', '--max-recover', '1h')
    expect([refused.exitCode, refused.stderr]).toEqual([2, expect.stringMatching(/--max-recover/)])
    const resumed = await run('drill', 'resume', ...CONSENT, '--json')
    expect(resumed.exitCode, resumed.stderr).toBe(0)
    expect(resumed.json).toMatchObject({ verdict: 'passed', isBack: true })
    expect((await run('drill', 'verify', file)).exitCode).toBe(0)
    expect((await run('drill', 'resume')).stderr).toMatch(/No drill is to be resumed/)
    refuseSecrets(everythingIn(out), secrets())
  }, 120_000)

  test('Ctrl-C stops it, and says where the connection stands', async () => {
    const out = join(home, 'stopped')
    const args = ['drill', connection, ...FORM, '--load', '20s', '--out', out]
    const child = spawnRescind(args, { home, env })
    const file = join(out, 'evidence.jsonl')
    const isAt = (step: number) =>
      existsSync(file) && readFileSync(file, 'latin1').includes(`"kind":"intent","step":${step},`)
    for (let tries = 0; !isAt(6) && tries < 300; tries += 1) {
      await new Promise((wait) => setTimeout(wait, 100))
    }
    child.process.kill('SIGINT')
    const { code, stderr } = await child.done
    expect([code, stderr]).toEqual([6, expect.stringMatching(/Stopped\. con_\w+ is dead/)])
    const resumed = await run('drill', 'resume', ...CONSENT, '--json')
    expect(resumed.exitCode, resumed.stderr).toBe(0)
  }, 120_000)

  test('a resumed drill is judged by the limits that it began with', async () => {
    const out = join(home, 'strict')
    const child = spawnRescind(
      ['drill', connection, ...CONSENT, '--load', '2s', '--max-recover', '1ms', '--out', out],
      { home, env },
    )
    await until(() => linesOf(out).includes('"kind":"intent","step":6,'))
    child.process.kill('SIGKILL')
    await child.done
    const resumed = await run('drill', 'resume', ...CONSENT, '--json')
    expect(resumed.exitCode, resumed.stderr).toBe(5)
    expect(resumed.json).toMatchObject({ verdict: 'failed', isBack: true })
    expect(resumed.json.steps.find(({ id }: { id: string }) => id === '14').why).toMatch(
      /1 ms are allowed/,
    )
  }, 120_000)

  test('a drill of faults that was stopped says what may be dead, and its resumption brings that back alone', async () => {
    const out = join(home, 'faults')
    const faults = ['second-page', 'receiver-down', 'provider-5xx'].flatMap((one) => [
      '--inject',
      one,
    ])
    const args = ['drill', connection, ...faults, ...FORM, '--out', out]
    const child = spawnRescind(args, { home, env })
    const alive = org.truth.counts().alive
    await until(
      () => linesOf(out).includes('"inject":"receiver-down"') && org.truth.counts().alive < alive,
    )
    child.process.kill('SIGINT')
    const { code, stderr } = await child.done
    expect([code, stderr]).toEqual([
      6,
      expect.stringMatching(/Stopped\. con_\w+ may be dead: the fault receiver-down was injected/),
    ])
    const resumed = await run('drill', 'resume', ...CONSENT, '--json')
    expect(resumed.exitCode, resumed.stderr).toBe(5)
    expect(resumed.json).toMatchObject({
      verdict: 'failed',
      why: 'The drill died: what was left of its faults was not run.',
      isBack: true,
    })
    expect(resumed.json.steps).toHaveLength(3)
    expect(resumed.json.faults).toEqual([
      expect.objectContaining({ name: 'second-page', verdict: 'skipped' }),
      { name: 'receiver-down', verdict: 'skipped', why: 'The drill died before it was judged.' },
      {
        name: 'provider-5xx',
        verdict: 'skipped',
        why: 'Not run: the drill died before it.',
      },
    ])
    expect((await run('drill', 'verify', join(out, 'evidence.jsonl'))).exitCode).toBe(0)
    expect((await run('connection', 'check', connection)).exitCode).toBe(0)
  }, 120_000)

  test('a drill of faults that was killed is resumed, whatever it left on at the emulator', async () => {
    const out = join(home, 'left-on')
    const via = ['--via', 'open-connectors']
    const args = ['drill', instance, ...via, '--inject', 'five-failures', ...FORM, '--out', out]
    const child = spawnRescind(args, { home, env })
    await until(() => linesOf(out).includes('"kind":"intent","inject":"five-failures"'))
    child.process.kill('SIGKILL')
    await child.done
    account.setSwitches({ pageSize: 1, secretsInAnswers: 'masked' })
    account.setFaults([{ kind: 'unauthorized_401', on: 'any' }])
    const resumed = await run('drill', 'resume', ...CONSENT, '--json')
    expect(resumed.exitCode, resumed.stderr).toBe(5)
    expect(resumed.json).toMatchObject({ verdict: 'failed', isBack: true })
    const switches = await (await fetch(`${account.url}/__emulator/switches`)).json()
    expect(switches).toMatchObject({ pageSize: 200, secretsInAnswers: 'clear' })
  }, 120_000)

  test('an unknown connection ends the process', async () => {
    const { done, process: started } = spawnRescind(['drill', 'con_nope'], { home, env })
    const late = setTimeout(() => started.kill('SIGKILL'), 20_000)
    const { code, stderr } = await done
    clearTimeout(late)
    expect([code, stderr]).toEqual([2, expect.stringMatching(/There is no connection/)])
  }, 30_000)

  test('without a Chromium it says so, and the consent goes by the forms', async () => {
    const parsed = JSON.parse(config())
    parsed.drill.consent.browser = join(home, 'no-browser')
    writeFileSync(join(home, 'no-browser.yaml'), JSON.stringify(parsed))
    const args = ['--config', 'no-browser.yaml', '--load', '500ms', '--out', join(home, 'forms')]
    const ran = await run('drill', connection, ...args)
    expect([ran.exitCode, ran.stderr]).toEqual([
      0,
      expect.stringMatching(/There is no Chromium here: .* by the forms/),
    ])
    const named = await run(
      'drill',
      connection,
      ...args,
      '--consent',
      'browser',
      '--out',
      join(home, 'none'),
    )
    expect([named.exitCode, named.stderr]).toEqual([
      2,
      expect.stringMatching(/Or use --consent form/),
    ])
  })

  test('an unreachable provider begins nothing', async () => {
    const gone = await startSalesforce({ seed: 32, size: { users: 20, apps: 16, tokens: 100 } })
    await gone.close()
    writeFileSync(join(home, 'gone.yaml'), config().replaceAll(org.url, gone.url))
    const ran = await run(
      'drill',
      connection,
      '--config',
      'gone.yaml',
      ...FORM,
      '--out',
      join(home, 'no-provider'),
    )
    expect([ran.exitCode, ran.stderr]).toEqual([
      4,
      expect.stringMatching(/cannot be reached \(no answer\).*Nothing was revoked/s),
    ])
  })
})
