import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import { systemClock } from '../../src/core/clock.ts'
import {
  type CliOptions,
  type Ran,
  rescind,
  secretsOf,
  spawnRescind,
  tenantArgs,
} from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'
import { answer, startRawServer } from './raw-server.ts'

const home = tempHome()
let org: SalesforceOrg
let options: CliOptions

beforeAll(async () => {
  org = await startSalesforce({ seed: 6, size: { users: 30, apps: 14, tokens: 200 } })
  options = { home: home.path, env: secretsOf(org) }
  expect((await rescind(tenantArgs(org), options)).exitCode).toBe(0)
})
afterAll(async () => {
  await org.close()
  home[Symbol.dispose]()
})

/** One sentence or two on one line, the right exit code, no stack, and nothing half on standard output. */
function expectRefusal(ran: Ran, exitCode: number, message: RegExp): void {
  const lines = ran.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'))
  const errors = lines.filter((line) => line.startsWith('rescind: '))
  expect(errors, ran.stderr).toHaveLength(1)
  expect(errors[0]).toMatch(message)
  expect(errors[0]).toMatch(/[.!?]$|: (rescind|openssl|--confirm) [\w .-]+$/)
  expect(ran.exitCode, ran.stderr).toBe(exitCode)
  expect(ran.stderr).not.toMatch(/\n\s+at |Something unexpected|\bundefined\b|\[object/)
}

/** Runs a command line as it is and with --json; both must be refused. */
async function refuses(
  args: readonly string[],
  exitCode: number,
  message: RegExp,
  more: Partial<CliOptions> = {},
): Promise<void> {
  const at = { ...options, ...more, env: { ...options.env, ...more.env } }
  expectRefusal(await rescind(args, at), exitCode, message)
  const asJson = await rescind([...args, '--json'], at)
  expectRefusal(asJson, exitCode, message)
  if (asJson.stdout !== '') expect(asJson.stdout.trim().split('\n')).toHaveLength(1)
}

/** Writes a configuration of one tenant, named apart. */
function configOf(name: string, tenant: object): string[] {
  const path = join(home.path, `${name}.yaml`)
  writeFileSync(
    path,
    JSON.stringify({ tenants: { [name]: { provider: 'salesforce', ...tenant } } }),
  )
  return ['--config', path]
}

function clientCredentials(more: object = {}) {
  const { clientId } = org.credentials.integration
  const clientSecret = `\${env:TEST_CLIENT_SECRET}`
  return { url: org.url, login: { method: 'client_credentials', clientId, clientSecret, ...more } }
}

async function newPlan(...args: string[]) {
  const ran = await rescind(['plan', '--app', 'Drift', '--json', ...args], options)
  expect(ran.exitCode, ran.stderr).toBe(0)
  return ran.json as { plan: string; chosen: number; hash: string }
}

describe('tenants and addresses', () => {
  test('an unknown tenant', () =>
    refuses(['inventory', '--tenant', 'acne'], 2, /no tenant "acne".*acme/))
  test('an unknown provider', () =>
    refuses(
      ['inventory', ...configOf('other', { ...clientCredentials(), provider: 'salesfarce' })],
      2,
      /no provider "salesfarce".*salesforce/,
    ))
  test('an unknown login method', () =>
    refuses(
      ['inventory', ...configOf('method', { url: org.url, login: { method: 'magic' } })],
      2,
      /login method.*"magic".*jwt/,
    ))
  test('a variable that is not set', () =>
    refuses(
      ['inventory', ...configOf('unset', clientCredentials({ clientSecret: `\${env:NOT_THERE}` }))],
      2,
      /NOT_THERE, which is not set/,
    ))
  test('an address that is none', () =>
    refuses(['tenant', 'add', 'x', '--url', 'acme', '--login', 'sf'], 2, /not a web address/))
  test('an address with a password, which is not repeated', async () => {
    const args = [
      'tenant',
      'add',
      'x',
      '--url',
      'htps://joe:hunter22@acme.example',
      '--login',
      'sf',
    ]
    await refuses(args, 2, /not a web address/)
    expect((await rescind(args, options)).stderr).not.toContain('hunter22')
  })
  test('a name that no file could bear', () =>
    refuses(
      ['tenant', 'add', '../x', '--url', 'https://acme.example', '--login', 'sf'],
      2,
      /called by letters/,
    ))
  test('a secret as an argument, which is not repeated', async () => {
    const args = [...tenantArgs(org, 'y'), '--set', 'clientSecret=hunter22']
    await refuses(args, 2, /is a secret.*\$\{env:NAME\}/)
    expect((await rescind(args, options)).stderr).not.toContain('hunter22')
  })
  test('plain HTTP to a public host', () =>
    refuses(
      [
        'inventory',
        ...configOf('plain', { ...clientCredentials(), url: 'http://acme.example.com' }),
      ],
      2,
      /plain HTTP to acme\.example\.com.*--accept-risk=plain-http/,
    ))
  test('a risk that does not exist, in the words of the option', async () => {
    const ran = await rescind(['inventory', '--accept-risk', 'yolo'], options)
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toMatch(/^rescind: .*There is no risk of that name\. Known: plain-http/)
  })
  test.for([
    ['a page of the browser', '/lightning/page/home', {}, /has the path of a page/],
    ['a frontdoor with a session', '/secur/frontdoor.jsp?sid=hunter22', {}, /has a query/],
    ['a path where no site can be', '/site', { method: 'sf', org: 'x' }, /has a path behind/],
  ] as const)('a url that goes on behind its host: %s', async ([, path, login, message]) => {
    const tenant = { ...clientCredentials(), ...('method' in login && { login }) }
    const args = configOf('long', { ...tenant, url: org.url + path })
    await refuses(['inventory', ...args], 2, message)
    expect((await rescind(['inventory', ...args], options)).stderr).not.toContain('hunter22')
  })
  test('a url that goes on behind its host is not added', () =>
    refuses(
      ['tenant', 'add', 'x', '--url', 'https://acme.example/lightning/x', '--login', 'sf'],
      2,
      /Write it as https:\/\/acme\.example\./,
    ))
  test('a host that cannot be reached', () =>
    refuses(
      ['inventory', ...configOf('closed', { ...clientCredentials(), url: 'http://127.0.0.1:9' })],
      1,
      /127\.0\.0\.1:9 cannot be reached \(ECONNREFUSED\)/,
    ))
  test('an address that is no Salesforce', async () => {
    const args = configOf('elsewhere', { ...clientCredentials(), url: `${org.url}/elsewhere` })
    org.setFaults([{ kind: 'html_200', on: 'token' }])
    await refuses(
      ['inventory', ...args],
      1,
      /does not answer like a Salesforce login.*Check the tenant's url/,
    )
    org.setFaults([])
  })
  test('a server that cannot prove who it is', async () => {
    const server = await startUntrusted(home.path)
    const args = configOf('tls', { ...clientCredentials(), url: server.url })
    await refuses(
      ['inventory', ...args],
      1,
      /could not prove who it is \(DEPTH_ZERO_SELF_SIGNED_CERT\)/,
    )
    await server.close()
  })
})

async function startUntrusted(folder: string) {
  const [key, cert] = [join(folder, 'tls.key'), join(folder, 'tls.pem')]
  const subject = ['-subj', '/CN=localhost', '-days', '2', '-nodes', '-newkey', 'rsa:2048']
  execFileSync('openssl', ['req', '-x509', ...subject, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  })
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) =>
    response.end('{}'),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `https://127.0.0.1:${port}`,
    close: () => new Promise((done) => server.close(done)),
  }
}

describe('credentials', () => {
  test('a wrong client secret', () =>
    refuses(['inventory'], 3, /refused the login: invalid_client/, {
      env: { TEST_CLIENT_SECRET: 'not-the-secret' },
    }))
  test('a wrong password', () => {
    const { clientId, clientSecret: _ } = org.credentials.integration
    const login = {
      method: 'password',
      clientId,
      clientSecret: `\${env:TEST_CLIENT_SECRET}`,
      username: org.credentials.admin.username,
      password: `\${env:TEST_PASSWORD}`,
    }
    const args = ['inventory', ...configOf('password', { url: org.url, login })]
    return refuses(args, 3, /refused the login: invalid_grant/, { env: { TEST_PASSWORD: 'wrong' } })
  })
  test('a session that has ended', () => {
    const accessToken = `\${env:TEST_ACCESS_TOKEN}`
    const args = configOf('ended', { url: org.url, login: { method: 'access_token', accessToken } })
    const env = { TEST_ACCESS_TOKEN: '00D000000000001!AQ.ended' }
    return refuses(['inventory', ...args], 3, /has ended or is not valid there.*Give a new one/, {
      env,
    })
  })
  test('no permission to use the API', async () => {
    const server = await startRawServer(({ path }, response) => {
      if (path.endsWith('/userinfo')) {
        return answer(response, 200, {
          user_id: '005000000000001AAA',
          organization_id: '00D000000000001AAA',
        })
      }
      answer(response, 403, [
        { errorCode: 'API_DISABLED_FOR_ORG', message: 'The REST API is not enabled.' },
      ])
    })
    const accessToken = `\${env:TEST_ACCESS_TOKEN}`
    const args = configOf('disabled', {
      url: server.url,
      login: { method: 'access_token', accessToken },
    })
    await refuses(['inventory', ...args], 3, /does not permit .*The REST API is not enabled/)
    await server.close()
  })
  test('the limit of API requests is reached', async () => {
    org.setFaults([{ kind: 'request_limit_403', on: 'query' }])
    await refuses(['inventory'], 1, /limit of API requests.*Try again later/)
    org.setFaults([])
  })
})

describe('policies', () => {
  const policies: [string, string, RegExp][] = [
    [
      'broken YAML',
      'name: x\nkill:\n  - user: { active: false\n',
      /broken\.yaml:\d+:\d+: this is not valid YAML/,
    ],
    [
      'an unknown key',
      'name: x\nkill:\n  - user: { activ: false }\n',
      /broken\.yaml:3:13: there is no key "kill 1: user\.activ"\. Did you mean "active"\?/,
    ],
    [
      'an unknown key at the top',
      'nme: x\nkill: []\n',
      /broken\.yaml:1:1: there is no key "nme"\. Did you mean "name"\?/,
    ],
    [
      'an empty rule',
      'name: x\nkill:\n  - {}\n',
      /broken\.yaml:3:5: .*an empty rule would mean every token/,
    ],
    [
      'a rule of nothing but an empty condition',
      'name: x\nkill:\n  - user: {}\n',
      /broken\.yaml:3:5: .*empty rule/,
    ],
    ['no rule', 'name: x\nkill: []\n', /broken\.yaml:2:1: "kill": /],
    [
      'a date that does not exist',
      'name: x\nkill:\n  - created: { before: 2025-02-31 }\n',
      /broken\.yaml:3:16: .*write a date/,
    ],
    [
      'a length of time in words',
      'name: x\nkill:\n  - lastUsed: { olderThan: 90 days }\n',
      /broken\.yaml:3:17: .*like 90d/,
    ],
    [
      'a name that is a number',
      'name: x\nkill:\n  - app: { name: 5 }\n',
      /broken\.yaml:3:12: .*expected string/,
    ],
    ['a file that is a list', '- user\n', /broken\.yaml:1:1: the file: .*expected object/],
    ['nothing at all', '', /broken\.yaml:1:1: the file/],
    ['an alias of nothing', 'name: x\nkill: *nowhere\n', /broken\.yaml.*alias/],
  ]
  test.for(policies)('%s', async ([, text, message]) => {
    writeFileSync(join(home.path, 'broken.yaml'), text)
    await refuses(['plan', '--policy', 'broken.yaml'], 2, message)
  })
  test('a file that is not there', () =>
    refuses(['plan', '--policy', 'nowhere.yaml'], 2, /nowhere\.yaml cannot be read/))
  test('nothing that says what to kill', () =>
    refuses(['plan'], 2, /Nothing says which tokens to kill/))
  test('a flag out of form', () => refuses(['plan', '--unused-for', 'long'], 2, /like 90d/))
  test('broken configuration, with line and column', async () => {
    writeFileSync(join(home.path, 'config.yaml'), 'tenants:\n  acme:\n    provder: salesforce\n')
    const message =
      /config\.yaml:3:5: there is no key "tenants\.acme\.provder"\. Did you mean "provider"\?/
    await refuses(['inventory', '--config', 'config.yaml'], 2, message)
  })
})

describe('plans', () => {
  test('a limit exceeded, in tokens and in share', async () => {
    const policy = (limit: string) =>
      writeFileSync(
        join(home.path, 'limit.yaml'),
        `name: x\nkill: [{ app: { name: Drift } }]\nlimit: ${limit}\n`,
      )
    policy('{ tokens: 3 }')
    await refuses(
      ['plan', '--policy', 'limit.yaml'],
      4,
      /chooses \d+ tokens, and its limit is 3\. No plan was made/,
    )
    policy('{ share: 2% }')
    await refuses(['plan', '--policy', 'limit.yaml'], 4, /its limit is 2%\. No plan was made/)
  })
  test('an inventory that is not there', () =>
    refuses(['plan', '--user-inactive', '--inventory', 'inv_x'], 2, /no inventory "inv_x"/))
  test('a plan that is not there', () =>
    refuses(['apply', 'plan_x', '--confirm', '1'], 2, /no plan "plan_x"/))
  test('a run that is not there', async () => {
    for (const command of ['resume', 'verify', 'report', 'show']) {
      await refuses([command, 'run_x'], 2, /"run_x"/)
    }
  })
  test('no confirmation, and one of another count', async () => {
    const { plan, chosen } = await newPlan()
    await refuses(['apply', plan], 2, new RegExp(`kills ${chosen} tokens.*--confirm ${chosen}`))
    await refuses(
      ['apply', plan, '--confirm', `${chosen + 1}`],
      2,
      /not the count that was confirmed/,
    )
  })
  test('a plan file altered by a hand', async () => {
    const { plan, chosen } = await newPlan('--out', 'plan.json')
    const path = join(home.path, 'plan.json')
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, text.replace(`"chosen": ${chosen}`, `"chosen": ${chosen - 1}`))
    await refuses(['apply', 'plan.json', '--confirm', `${chosen}`], 4, /plan\.json was altered/)
    writeFileSync(path, text.slice(0, 200))
    await refuses(['apply', 'plan.json', '--confirm', `${chosen}`], 4, /not JSON/)
    expect(plan).toMatch(/^plan_/)
  })
  test('a plan of another tenant, and of another org under the same name', async () => {
    const { plan, chosen } = await newPlan()
    const more = configOf('other', clientCredentials())
    await refuses(
      ['apply', plan, '--confirm', `${chosen}`, '--tenant', 'other', ...more],
      4,
      /is for tenant "acme", and this is "other"/,
    )
    await using second = await startSalesforce({
      seed: 60,
      size: { users: 20, apps: 14, tokens: 40 },
    })
    const elsewhere = configOf('acme', {
      url: second.url,
      login: { ...clientCredentials().login, clientId: second.credentials.integration.clientId },
    })
    await refuses(
      ['apply', plan, '--confirm', `${chosen}`, ...elsewhere],
      4,
      /is for tenant "acme".*and this is "acme"/,
      {
        env: { TEST_CLIENT_SECRET: second.credentials.integration.clientSecret },
      },
    )
  })
  test('a stale plan', async () => {
    const { plan, chosen } = await newPlan()
    const clock = { now: () => Date.now() + 25 * 3_600_000, sleep: systemClock.sleep }
    await refuses(['apply', plan, '--confirm', `${chosen}`], 4, /older than 24 hours/, { clock })
  })
  test('a plan that was applied before', async () => {
    const { json } = await rescind(['plan', '--app', 'Drift Chat', '--json'], options)
    const args = ['apply', json.plan, '--confirm', `${json.chosen}`, '--second-look', 'none']
    expect((await rescind(args, options)).exitCode).toBe(0)
    await refuses(args, 4, /was applied before, as run_\w+ \(finished\)/)
  })
  test('a concurrency of nothing', async () => {
    const { plan } = await newPlan()
    const ran = await rescind(['apply', plan, '--concurrency', '0'], options)
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toMatch(/1 or more/)
  })
})

describe('the store', () => {
  const storeOf = (name: string): CliOptions => {
    const folder = join(home.path, name)
    mkdirSync(folder)
    return { home: folder, env: { ...options.env } }
  }
  test('a database of a newer version', async () => {
    const at = storeOf('newer')
    await rescind(['runs'], at)
    using database = new DatabaseSync(join(at.home, 'rescind.db'))
    database.exec(
      `INSERT INTO kysely_migration (name, timestamp) VALUES ('0099_future', '2030-01-01')`,
    )
    await refuses(['runs'], 2, /written by a newer Rescind.*Update Rescind/, at)
  })
  test('a locked database', { timeout: 30_000 }, async () => {
    const at = storeOf('locked')
    await rescind(['runs'], at)
    using database = new DatabaseSync(join(at.home, 'rescind.db'))
    database.exec('BEGIN IMMEDIATE')
    expectRefusal(await rescind(['runs'], at), 1, /is locked by another process/)
  })
  test('a full disk', async (context) => {
    const at = storeOf('full')
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'rescind-test', at.home], {
        stdio: 'ignore',
      })
    } catch {
      return context.skip('a small disk of its own takes the right to mount one')
    }
    try {
      expect((await rescind(tenantArgs(org), at)).exitCode).toBe(0)
      expect((await rescind(['runs'], at)).exitCode).toBe(0)
      expect(() => writeFileSync(join(at.home, 'ballast'), Buffer.alloc(4 << 20))).toThrow(/ENOSPC/)
      expectRefusal(
        await rescind(['inventory'], at),
        1,
        /disk under the store .* is full.*make room/,
      )
      rmSync(join(at.home, 'ballast'))
      expect((await rescind(['inventory'], at)).exitCode).toBe(0)
    } finally {
      execFileSync('umount', [at.home])
    }
  })
  test('a file that is no database', async () => {
    const at = storeOf('garbage')
    writeFileSync(
      join(at.home, 'rescind.db'),
      'this is not a database, and never was one; it is text.\n'.repeat(50),
    )
    await refuses(['runs'], 1, /is not a sound Rescind store/, at)
  })
  test('a folder that cannot be one', async () => {
    writeFileSync(join(home.path, 'file'), '')
    await refuses(['runs'], 2, /cannot be made/, {
      home: join(home.path, 'file', 'deeper'),
      env: {},
    })
  })
  test('another key', async () => {
    const at = storeOf('other-key')
    await rescind(['runs'], at)
    const env = { ...at.env, RESCIND_KEY: 'a'.repeat(64) }
    await refuses(['runs'], 2, /sealed with another key/, { ...at, env })
    await refuses(['runs'], 2, /RESCIND_KEY is not a key of 32 bytes/, {
      ...at,
      env: { ...env, RESCIND_KEY: 'short' },
    })
  })
})

describe('Ctrl-C in the middle', () => {
  test('stops with exit 6, says how to resume, and resume ends what was begun', {
    timeout: 60_000,
  }, async () => {
    const { json } = await rescind(
      ['plan', '--app', 'Data Sync', '--app', 'Reporting', '--json'],
      options,
    )
    const confirm = ['--confirm', `${json.chosen}`, '--second-look', 'none', '--concurrency', '2']
    org.setLatency(25)
    const child = spawnRescind(['apply', json.plan, '--json', ...confirm], options)
    while (!child.stderr().includes('10 of 10 gone')) await sleep(5)
    await sleep(60)
    child.process.kill('SIGINT')
    const { code, stdout, stderr } = await child.done
    org.setLatency(0)
    expectRefusal(
      { exitCode: code as Ran['exitCode'], stdout, stderr, json: null },
      6,
      /^rescind: Stopped\..*rescind resume run_\w+$/,
    )
    const stopped = JSON.parse(stdout)
    expect(stopped).toMatchObject({ state: 'stopped', finishedAt: null })
    expect(stopped.unsent).toBeGreaterThan(0)
    // Calls under way were let end: nothing is in doubt.
    expect(stopped.outcomes.in_doubt).toBe(0)

    const verified = await rescind(['verify', stopped.run, '--json'], options)
    expect(verified.exitCode).toBe(6)
    const resumed = await rescind(['resume', '--second-look', 'none', '--json'], options)
    expect(resumed.exitCode, resumed.stderr).toBe(0)
    expect(resumed.json).toMatchObject({ run: stopped.run, state: 'finished', dead: json.chosen })
    await refuses(['resume', stopped.run], 2, /is finished.*rescind verify/)
  })
})
