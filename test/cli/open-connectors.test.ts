import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { makeInstance } from '../../examples/demo/instance.ts'
import type { Instance } from '../../src/connections/open-connectors/instance.ts'
import { type Estate, startEstate } from '../connections/open-connectors/estate.ts'
import { openDrillHome } from '../support/drill-home.ts'
import { freePort } from '../support/free-port.ts'
import { type Child, rescind, spawnRescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

let estate: Estate
let instance: Instance
let home: ReturnType<typeof tempHome>
let env: Record<string, string>
let port: number
beforeEach(async () => {
  // So long between two failed refreshes that none is repeated while the owner is away: after the fifth
  // the platform disables the instance, and the way back has one call more.
  estate = await startEstate({ timeScale: 1, refreshRetryMs: 3_600_000 })
  instance = await estate.makeInstance()
  home = tempHome()
  port = await freePort()
  const { userSecret, organizationSecret } = estate.account.credentials
  const { clientId, clientSecret } = estate.org.credentials.connected
  env = { OC_USER: userSecret, OC_ORG: organizationSecret, OC_APP: clientSecret }
  write(`openConnectors:
  url: ${estate.account.apiUrl}
  userSecret: \${env:OC_USER}
  organizationSecret: \${env:OC_ORG}
  callbackUrl: http://127.0.0.1:${port}/callback
  elements:
    sfdc:
      apiKey: ${clientId}
      apiSecret: \${env:OC_APP}
      scope: full refresh_token
      probe: /hubs/crm/accounts?pageSize=1
`)
})
afterEach(async () => {
  await estate[Symbol.asyncDispose]()
  home[Symbol.dispose]()
})

/** Something else that listens at a port. */
async function taken(port: number) {
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  return { port, [Symbol.dispose]: () => void server.close() }
}

const write = (text: string) => writeFileSync(join(home.path, 'rescind.yaml'), text)
const run = (...args: string[]) => rescind(['open-connectors', ...args], { home: home.path, env })

/** The options by which the admin of the org is logged in without a browser. */
function loginForm() {
  const { username, password } = estate.org.credentials.admin
  env.OC_PASSWORD = password
  return ['--form-field', `username=${username}`, '--form-field-env', 'password=OC_PASSWORD']
}

/** Lets an answer without a state be taken. */
function takeUnechoed() {
  const path = join(home.path, 'rescind.yaml')
  writeFileSync(path, `${readFileSync(path, 'utf8')}  switches: { state: if-echoed }\n`)
}

/** Waits for the link that the command prints, and visits it as a browser does. */
async function visitLink(
  child: Child,
  {
    scope,
    keepsState = true,
    ...how
  }: Parameters<Estate['consentAt']>[1] & {
    readonly scope?: string
    readonly keepsState?: boolean
  } = {},
) {
  await expect.poll(() => child.stderr(), { timeout: 10_000 }).toMatch(/^http.*authorize/m)
  const link = new URL(/^http\S+authorize\S+/m.exec(child.stderr())?.[0] ?? '')
  if (scope !== undefined) link.searchParams.set('scope', scope)
  const back = await estate.consentAt(link.href, how)
  if (!keepsState) back.searchParams.delete('state')
  return (await fetch(back)).status
}

describe('rescind open-connectors reauthorize', () => {
  it('walks the whole path, each call traced, and no secret is in any output', async () => {
    const args = [
      'reauthorize',
      String(instance.id),
      '--revoke',
      'refresh',
      '--trace',
      '--no-browser',
    ]
    const child = spawnRescind(['open-connectors', ...args], { home: home.path, env })
    expect(await visitLink(child)).toBe(200)
    const { code, stdout, stderr } = await child.done
    expect(stderr).toMatch(/PATCH http\S+\/instances → 200/)
    expect(code, stderr).toBe(0)
    expect(stdout).toMatch(/New grant +by PATCH: the tokens are others now/)
    expect(stdout).toMatch(/Instance \d+ has a new grant, by PATCH, and works/)
    const calls = stderr.split('\n').filter((line) => / → /.test(line))
    expect(
      calls.map((line) => line.replace(/http\S+?(api-v2|oauth2)/, '').replace(/ · .*/, '')),
    ).toEqual([
      ...[`GET /instances/${instance.id} → 200`, 'GET /instances → 200'],
      expect.stringMatching(/^GET \/elements\/sfdc\/oauth\/url\?apiKey=\S+&apiSecret=…&\S+ → 200$/),
      'POST /revoke → 200',
      'GET /hubs/crm/accounts?pageSize=1 → 401',
      'GET /instances → 200',
      `GET /instances/${instance.id} → 200`,
      'PATCH /instances → 200',
      `GET /instances/${instance.id} → 200`,
      'GET /hubs/crm/accounts?pageSize=1 → 200',
    ])
    const state = /[?&]state=([^&\s]+)/.exec(stderr)?.[1] ?? ''
    expect(state).not.toBe('')
    for (const secret of estate.account.truth.secrets()) {
      if (secret.length > 3) expect(stdout + stderr).not.toContain(secret)
    }
  })

  it('the whole path by commands: made, revoked, dead, logged in, applied, alive, deleted; each call traced', async () => {
    const { username, password } = estate.org.credentials.admin
    env.OC_PASSWORD = password
    const form = [
      '--form-field',
      `username=${username}`,
      '--form-field-env',
      'password=OC_PASSWORD',
    ]
    const steps = [
      ['create', 'sfdc', '--name', 'By command', '--tag', 'drill-target', ...form],
      ['reauthorize', 'ID', '--revoke', 'refresh', ...form],
      ['delete', 'ID', '--confirm'],
    ]
    let id = ''
    let said = ''
    const calls: string[] = []
    for (const args of steps) {
      const ran = await run(...args.map((one) => (one === 'ID' ? id : one)), '--trace')
      expect(ran.exitCode, ran.stderr).toBe(0)
      id ||= /Instance (\d+) "By command" is made, and works/.exec(ran.stdout)?.[1] ?? ''
      said += ran.stdout + ran.stderr
      const lines = ran.stderr.split('\n').filter((line) => / → /.test(line))
      calls.push(...lines.map((line) => line.replace(/http\S+?(api-v2|services)/, '')))
    }
    const LINK = /^GET \/elements\/sfdc\/oauth\/url\?.*apiSecret=….*state=…/
    const login = [
      /^GET \/oauth2\/authorize\?.*state=…/,
      /^POST \/oauth2\/authorize → 200/,
      /^POST \/oauth2\/authorize → 302/,
    ]
    const PROBE = /^GET \/hubs\/crm\/accounts\?pageSize=1 → 200/
    expect(calls).toEqual(
      [
        ...['GET /instances?hydrate=false → 200', LINK, ...login, /^POST \/instances → 200/],
        ...[`GET /instances/${id} → 200`, 'GET /instances → 200', PROBE],
        ...[`GET /instances/${id} → 200`, /^GET \/instances → 200/],
        ...[LINK, /^POST \/oauth2\/revoke → 200/],
        ...[/^GET \/hubs\/crm\/accounts\?pageSize=1 → 401/, /^GET \/instances → 200/],
        ...[...login, `GET /instances/${id} → 200`],
        ...[/^PATCH \/instances → 200/, `GET /instances/${id} → 200`, PROBE],
        ...[
          `GET /instances/${id} → 200`,
          `DELETE /instances/${id} → 200`,
          `GET /instances/${id} → 404`,
        ],
      ].map((line) =>
        typeof line === 'string' ? expect.stringContaining(line) : expect.stringMatching(line),
      ),
    )
    expect(said).toMatch(/Deleted instance \d+ "By command" of sfdc: it is not there any more/)
    expect(said).toMatch(/may live on at the provider/)
    for (const secret of [
      ...estate.account.truth.secrets(),
      ...estate.org.truth.secrets(),
      password,
    ]) {
      if (secret.length > 3) expect(said).not.toContain(secret)
    }
    expect(said).not.toMatch(/[?&](code|state|apiSecret)=(?!…)/)
  })

  it('logs a test user in by the forms of the login, and is told where a PATCH failed', async () => {
    const { username, password } = estate.org.credentials.admin
    env.OC_PASSWORD = password
    estate.account.setFaults([{ kind: 'error_500_before_effect', on: 'patch', nth: 1 }])
    const args = [
      '--form-field',
      `username=${username}`,
      '--form-field-env',
      'password=OC_PASSWORD',
    ]
    const ran = await run('reauthorize', String(instance.id), '--trace', ...args)
    expect(ran.exitCode, ran.stderr).toBe(0)
    expect(ran.stdout).toMatch(/PATCH did not work .* PUT with a fresh code/)
    expect(ran.stdout).toMatch(/has a new grant, by PUT, and works/)
    expect(ran.stderr).toMatch(/PUT http\S+\/instances\/\d+\?reAuthenticate=true → 200/)
    for (const secret of [...estate.account.truth.secrets(), password]) {
      if (secret.length > 3) expect(ran.stdout + ran.stderr).not.toContain(secret)
    }
  })

  it('says before the consent that the new grant ends the oldest of the same person', async () => {
    const args = ['reauthorize', String(instance.id), '--no-browser', '--json']
    const reauthorize = async () => {
      const child = spawnRescind(['open-connectors', ...args], { home: home.path, env })
      await visitLink(child)
      const { stdout, stderr } = await child.done
      return { budget: JSON.parse(stdout).budget, stderr }
    }
    const first = await reauthorize()
    expect(first.budget).toEqual({ live: 1, max: 5, complete: false })
    expect(first.stderr).not.toMatch(/ends the oldest/)
    for (const name of ['b', 'c', 'd', 'e']) await estate.makeInstance(name)
    const { budget, stderr } = await reauthorize()
    expect(budget).toEqual({ live: 5, max: 5, complete: false })
    expect(stderr).toMatch(/5 of 5 tokens of this user.*the oldest\.\n.*^http\S+authorize/ms)
  })

  it('a revocation is not begun where the port of the callback is taken', async () => {
    using listener = await taken(port)
    const ran = await run('reauthorize', String(instance.id), '--revoke', 'refresh', '--no-browser')
    expect([ran.exitCode, ran.stderr]).toEqual([
      2,
      expect.stringContaining(`Port ${listener.port} of this machine cannot be listened on`),
    ])
    expect(ran.stdout).not.toMatch(/^Revoked/m)
    const { refreshToken } = estate.account.truth.instance(instance.id) ?? {}
    const grants = [...estate.org.truth.grants()]
    expect(grants.find((one) => one.refreshToken === refreshToken)?.alive).toBe(true)
  })

  it('after a revocation a login that fails says that the instance is dead', async () => {
    env.OC_PASSWORD = 'a wrong password'
    const { username } = estate.org.credentials.admin
    const form = [
      '--form-field',
      `username=${username}`,
      '--form-field-env',
      'password=OC_PASSWORD',
    ]
    const { id } = instance
    const ran = await run('reauthorize', String(id), '--revoke', 'refresh', ...form)
    expect(ran.stderr).toMatch(
      `Instance ${id} is dead since its grant was revoked: run rescind open-connectors reauthorize ${id}.`,
    )
  })

  it('says that the id and the element token are others now', async () => {
    estate.account.setSwitches({ idOnReauth: 'new', elementTokenOnReauth: 'new' })
    const { id } = instance
    const args = ['open-connectors', 'reauthorize', String(id), '--no-browser']
    const child = spawnRescind(args, { home: home.path, env })
    await visitLink(child)
    const { stdout, stderr } = await child.done
    expect(stdout, stderr).toMatch(
      `Instance ${id}, whose id is ${id + 1} now, has a new grant, by PATCH, and works. ` +
        `Those who name it by its id need the new one, ${id + 1}. Its element token is ANOTHER one now`,
    )
    expect(stdout).toMatch(/Whose it is the provider was not asked, or did not say\.$/m)
  })

  it('stopped while the provider does not answer the end of the former grant, it says what the next run does', async () => {
    estate.org.setFaults([{ kind: 'hang_before_effect', on: 'revoke' }])
    const { refreshToken } = estate.account.truth.instance(instance.id) ?? {}
    const isAlive = () =>
      [...estate.org.truth.grants()].some((one) => one.refreshToken === refreshToken && one.alive)
    const args = ['open-connectors', 'reauthorize', String(instance.id), '--no-browser', '--json']
    const child = spawnRescind(args, { home: home.path, env })
    await visitLink(child)
    await expect.poll(() => estate.org.counters().get('revoke'), { timeout: 10_000 }).toBe(1)
    child.process.kill('SIGINT')
    const { code, stdout, stderr } = await child.done
    expect([code, JSON.parse(stdout).error.code]).toEqual([6, 'stopped_by_signal'])
    expect(stderr).toMatch(
      /the next re-authentication of this instance ends it\.\nrescind: Stopped/,
    )
    expect(stderr).not.toMatch(/end it there/)
    expect(isAlive()).toBe(true)
    estate.org.setFaults([])
    expect((await run('reauthorize', String(instance.id), ...loginForm())).exitCode).toBe(0)
    expect(isAlive()).toBe(false)
  })

  it('somebody else is refused before the provider is asked to end anything', async () => {
    estate.org.setFaults([{ kind: 'hang_before_effect', on: 'revoke' }])
    const args = ['open-connectors', 'reauthorize', String(instance.id), '--no-browser']
    const child = spawnRescind(args, { home: home.path, env })
    await visitLink(child, { as: 'limited' })
    const { code, stderr } = await child.done
    expect([code, stderr]).toEqual([3, expect.stringMatching(/another person.*It was disabled/)])
    expect(estate.org.counters().get('revoke') ?? 0).toBe(0)
    expect(estate.account.truth.instance(instance.id)?.disabled).toBe(true)
  })

  it('another person is refused with exit 3', async () => {
    const args = ['reauthorize', String(instance.id), '--no-browser', '--json']
    const child = spawnRescind(['open-connectors', ...args], { home: home.path, env })
    await visitLink(child, { as: 'limited' })
    const { code, stdout } = await child.done
    expect(code).toBe(3)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'reconnect_refused' } })
    const { userId } = estate.org.credentials.admin
    const right = `--identity=${estate.org.organizationId}/${userId}`
    const again = spawnRescind(['open-connectors', ...args], { home: home.path, env })
    await visitLink(again, { as: 'limited' })
    const second = await again.done
    expect(second.stdout).toContain(right)
    const last = spawnRescind(['open-connectors', ...args], { home: home.path, env })
    await visitLink(last)
    const third = await last.done
    expect(third.code, third.stdout).toBe(0)
    const { steps, sameIdentity } = JSON.parse(third.stdout)
    // No tenant has the app of the element: the provider was not asked.
    expect(sameIdentity).toBe(null)
    const texts = (steps as { text: string }[]).map(({ text }) => text).join('\n')
    expect(texts).toMatch(new RegExp(`since a wrong grant; the right owner is .*/${userId}`))
    expect(texts).toMatch(/disabled the instance: .* rescind for the grant of a wrong person/)
  })

  it('fewer scopes are refused, and again where the instance itself shows no more since', async () => {
    const args = ['reauthorize', String(instance.id), '--no-browser', '--json']
    const reauthorize = async (scope?: string) => {
      const child = spawnRescind(['open-connectors', ...args], { home: home.path, env })
      await visitLink(child, scope === undefined ? {} : { scope })
      const { code, stdout } = await child.done
      return [code, JSON.parse(stdout).error?.message]
    }
    const refused = [
      3,
      expect.stringMatching(/fewer scopes were granted than before\. It was disabled/),
    ]
    expect(await reauthorize('api refresh_token')).toEqual(refused)
    expect(await reauthorize('api refresh_token')).toEqual(refused)
    expect(estate.account.truth.instance(instance.id)?.disabled).toBe(true)
    expect(await reauthorize()).toEqual([0, undefined])
  }, 20_000)

  test.each<[string, string[], number, RegExp]>([
    ['an instance that is no number', ['reauthorize', 'abc'], 2, /is a number/],
    ['an unknown instance', ['reauthorize', '99', '--no-browser'], 2, /Check the id/],
    [
      'a change of no name',
      ['reauthorize', '1', '--accept-change', 'all'],
      2,
      /Known: another_person/,
    ],
    [
      'a password as an argument',
      ['reauthorize', '1', '--form-field', 'password=x'],
      2,
      /--form-field-env password=VARIABLE/,
    ],
    [
      'a variable that is not set',
      ['reauthorize', '1', '--form-field-env', 'password=NOPE'],
      2,
      /not set/,
    ],
    ['an identity of one part', ['reauthorize', '1', '--identity', 'x'], 2, /ORG\/USER/],
  ])('%s', async (_title, args, exitCode, words) => {
    const ran = await run(...args)
    expect(ran.stderr).toMatch(words)
    expect(ran.exitCode).toBe(exitCode)
  })
})

describe('the budget of an instance whose own grant is dead', () => {
  const SPENT =
    /5 of 5 tokens of this user and app live: one more, and the provider ends the oldest/
  const UNKNOWN =
    /How many of the 5 tokens of this user and app live is not known: one more may end the oldest/
  test.each([
    ['the org is asked by a connection of the same person', {}, 5, true, '5 of 5 live', SPENT],
    [
      'where the org cannot be asked, what the vault holds counts',
      { appName: null },
      ...([5, false, 'at least 5 of 5 live', SPENT] as const),
    ],
    [
      'where the name of the app is another one, none is no count',
      { appName: 'Another' },
      ...([5, false, 'at least 5 of 5 live', SPENT] as const),
    ],
    [
      'where nobody can be asked, none is not said to be all',
      null,
      ...([0, false, 'an unknown number of 5 live', UNKNOWN] as const),
    ],
  ] as const)('%s', async (_title, wish, live, complete, step, warning) => {
    const drills = await openDrillHome(31)
    try {
      // With the instance's own six: the oldest, that of the instance, is ended.
      for (let more = 0; more < 4; more += 1) await drills.addConnection()
      const config = JSON.parse(drills.config(wish ?? {}))
      if (wish === null) delete config.tenants
      writeFileSync(join(drills.home, 'rescind.yaml'), JSON.stringify(config))
      const { username } = drills.org.credentials.limited
      const form = ['--form-field', `username=${username}`, '--form-field-env', 'password=PASSWORD']
      const args = ['open-connectors', 'reauthorize', drills.instance, ...form, '--json']
      const { json, stderr, exitCode } = await drills.run(args)
      expect(exitCode, stderr).toBe(0)
      const texts = json.steps.map((one: { step: string; text: string }) => [one.step, one.text])
      expect(Object.fromEntries(texts)).toMatchObject({
        dead: expect.stringMatching(/^the provider refuses/),
        budget: step,
      })
      expect(json.budget).toEqual({ live, max: 5, complete })
      expect(stderr).toMatch(warning)
    } finally {
      await drills.close()
    }
  })

  it('where it is revoked by the command, and nobody else could ask: it asked before', async () => {
    const drills = await openDrillHome(31)
    try {
      await drills.run(['connection', 'disconnect', drills.connection])
      const { userId, username } = drills.org.credentials.limited
      const { clientId: appId } = drills.org.credentials.connected
      drills.org.addGrant({ userId, appId })
      const form = ['--form-field', `username=${username}`, '--form-field-env', 'password=PASSWORD']
      const args = ['reauthorize', drills.instance, '--revoke', 'refresh', ...form, '--json']
      const { json, stderr } = await drills.run(['open-connectors', ...args])
      expect(json.budget, stderr).toEqual({ live: 1, max: 5, complete: true })
      expect(stderr).not.toMatch(/the oldest/)
    } finally {
      await drills.close()
    }
  })

  it('another instance of the same person asks as well', async () => {
    const drills = await openDrillHome(31)
    try {
      const second = String(await makeInstance(drills.org, drills.account))
      const { username } = drills.org.credentials.limited
      const form = ['--form-field', `username=${username}`, '--form-field-env', 'password=PASSWORD']
      const args = ['reauthorize', second, '--revoke', 'refresh', ...form, '--json']
      const { json, stderr } = await drills.run(['open-connectors', ...args])
      expect(json.budget).toEqual({ live: 2, max: 5, complete: true })
      expect(stderr).not.toMatch(/ 5 tokens/)
    } finally {
      await drills.close()
    }
  })
})

describe('a tenant of the same app beside the right one', () => {
  const strangersRun = async (provider: string, options: object = {}) => {
    const drills = await openDrillHome(31)
    const { clientId } = drills.org.credentials.connected
    const app = {
      clientId,
      redirectUri: 'http://127.0.0.1:4711/callback',
      scopes: ['api'],
      options,
    }
    const tenants = { beside: { url: drills.org.url, app, provider } }
    writeFileSync(join(drills.home, 'rescind.yaml'), drills.config({ tenants }))
    const { username } = drills.org.credentials.admin
    const form = ['--form-field', `username=${username}`, '--form-field-env', 'password=STRANGER']
    const args = ['open-connectors', 'reauthorize', drills.instance, ...form]
    const before = drills.account.truth.instance(Number(drills.instance))?.refreshToken
    const { exitCode, stderr } = await drills.run(args)
    const after = drills.account.truth.instance(Number(drills.instance))
    await drills.close()
    return { exitCode, stderr, disabled: after?.disabled, isKept: after?.refreshToken === before }
  }

  it('of a provider without connections is not asked, and somebody else is refused', async () => {
    expect(await strangersRun('rfc7009')).toMatchObject({
      ...{ exitCode: 3, stderr: expect.stringMatching(/another person/) },
      ...{ disabled: true, isKept: false },
    })
  })

  it.each([
    ['of an unknown provider', 'nobody', {}, /tenants\.beside\.provider: /],
    ['with a wrong option', 'salesforce', { rotation: 'perhaps' }, /"beside".*rotation/],
  ])('%s is told before anything is changed', async (_title, provider, options, words) => {
    const ran = await strangersRun(provider, options)
    expect(ran).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(words), isKept: true })
  })
})

describe('rescind open-connectors create, delete', () => {
  it('is not said to work where a page answers instead of it', async () => {
    estate.account.setFaults([{ kind: 'html_200', on: 'hub' }])
    const ran = await run('create', 'sfdc', '--name', 'Unseen', ...loginForm())
    expect([ran.exitCode, ran.stdout]).toEqual([1, expect.not.stringMatching(/works|Alive/)])
    expect(ran.stderr).toMatch(/Instance \d+ has new tokens, and whether it works is not known/)
  })

  it('warns of the oldest grant of the same person, once it is known whose the new one is', async () => {
    const create = async () => {
      const { json, stderr, exitCode } = await run(
        'create',
        'sfdc',
        '--name',
        'x',
        '--json',
        ...loginForm(),
      )
      expect(exitCode, stderr).toBe(0)
      return { ...json.budget, stderr }
    }
    expect(await create()).toEqual({
      live: 2,
      max: 5,
      complete: false,
      stderr: expect.stringMatching(
        /At least 2 of 5 tokens are known here.*may have ended the oldest/,
      ),
    })
    await estate.makeInstance('c')
    await estate.makeInstance('d')
    const fifth = await create()
    expect([fifth.live, fifth.stderr]).toEqual([
      5,
      expect.stringMatching(
        /5 of 5 tokens .*this one may have ended the oldest, and one more does/,
      ),
    ])
    const sixth = await create()
    expect([sixth.live, sixth.stderr]).toEqual([
      6,
      expect.stringMatching(
        /6 grants of this user .* lets 5 live: this one has likely ended the oldest/,
      ),
    ])
    const client = estate.client()
    expect((await client.call(instance, '/hubs/crm/accounts')).ok).toBe(false)
  })

  test.each(['reset_after_effect', 'error_500_after_effect', 'html_200'] as const)(
    'where the answer to the creation is lost (%s), it says to look before another one',
    async (kind) => {
      estate.account.setFaults([{ kind, on: 'create' }])
      const ran = await run('create', 'sfdc', '--name', 'Maybe', ...loginForm())
      expect([ran.exitCode, ran.stderr]).toEqual([
        1,
        expect.stringMatching(
          /"Maybe" may have been made: look with rescind open-connectors list before you run this again, for that makes a second one/,
        ),
      ])
    },
  )

  test.each([
    ['reset_after_effect', 0, /^$/],
    ['error_500_after_effect', 0, /^$/],
    [
      'reset_before_effect',
      1,
      /did not say whether it deleted, and still shows instance \d+\. Look/,
    ],
    ['ok_without_effect', 1, /said yes, and still shows instance/],
  ] as const)('a deletion with the fault %s is judged by a look', async (kind, exitCode, words) => {
    estate.account.setFaults([{ kind, on: 'delete' }])
    const ran = await run('delete', String(instance.id), '--confirm')
    const error = ran.stderr.replace(/^Its grant may live on.*\n/m, '')
    expect([ran.exitCode, error]).toEqual([exitCode, expect.stringMatching(words)])
  })

  test.each([
    ['a user secret', 'OC_USER', [], /Check userSecret and organizationSecret/],
    [
      'an app secret',
      'OC_APP',
      ['elements', 'authorize'],
      /Check apiKey and apiSecret under openConnectors\.elements\.sfdc/,
    ],
  ] as const)(
    '%s that is wrong is named, and the owner is asked only by who is let in',
    async (_title, name, asked, words) => {
      env[name] = 'not-the-one'
      const ran = await run('create', 'sfdc', '--name', 'x', '--trace', ...loginForm())
      expect([ran.exitCode, ran.stderr]).toEqual([3, expect.stringMatching(words)])
      expect(ran.stderr.match(/elements(?=\/sfdc)|authorize(?=\?)/g) ?? []).toEqual(asked)
      expect(ran.stderr).not.toContain('not-the-one')
    },
  )

  it('takes a code without a state at its own callback where the switch says so', async () => {
    takeUnechoed()
    const args = ['create', 'sfdc', '--name', 'Unechoed', '--no-browser']
    const child = spawnRescind(['open-connectors', ...args], { home: home.path, env })
    expect(await visitLink(child, { keepsState: false })).toBe(200)
    const { code, stdout } = await child.done
    expect([code, stdout]).toEqual([0, expect.stringMatching(/"Unechoed" is made, and works/)])
  })

  it('an instance that is made and not shown is named', async () => {
    estate.account.setFaults([{ kind: 'html_200', on: 'read' }])
    const ran = await run('create', 'sfdc', '--name', 'Unseen', ...loginForm())
    const words =
      /what is no instance.*Instance \d+ is made: look with rescind open-connectors list/
    expect([ran.exitCode, ran.stderr]).toEqual([1, expect.stringMatching(words)])
  })

  it('a login that leads nowhere is told by the options that this command has', async () => {
    const form = loginForm()
    env.OC_PASSWORD = 'a-wrong-password'
    const ran = await run('create', 'sfdc', '--name', 'x', ...form)
    expect([ran.exitCode, ran.stderr]).toEqual([
      5,
      expect.stringMatching(
        /led nowhere.*Check --form-field and --form-field-env, or leave them out/,
      ),
    ])
    expect(ran.stderr).not.toMatch(/drill\.consent|--consent/)
  })

  it('a denial makes no instance', async () => {
    const args = ['create', 'sfdc', '--name', 'Denied', '--no-browser']
    const child = spawnRescind(['open-connectors', ...args], { home: home.path, env })
    await visitLink(child, { deny: true })
    const { code, stderr } = await child.done
    expect([code, stderr]).toEqual([
      3,
      expect.stringMatching(/The owner, or the provider, refused/),
    ])
    expect((await run('list', '--json')).json.instances).toHaveLength(1)
  })

  it('without --confirm nothing is deleted', async () => {
    const { stdout, json, exitCode } = await run('delete', String(instance.id), '--json')
    expect([exitCode, json?.deleted, stdout]).toEqual([0, false, expect.any(String)])
    expect((await run('delete', String(instance.id))).stdout).toMatch(
      /Would delete instance \d+ "Acme" of sfdc\. Nothing was changed; do it with --confirm/,
    )
    expect((await run('list', '--json')).json.instances).toHaveLength(1)
  })

  test.each<[string, string[], RegExp]>([
    [
      'an element of no name',
      ['create', 'nope', '--name', 'x'],
      /no element "nope".*Known there: sfdc/,
    ],
    ['no name', ['create', 'sfdc'], /--name/],
    ['an unknown instance', ['delete', '99', '--confirm'], /Check the id/],
    ['an instance that is no number', ['delete', 'abc'], /is a number/],
  ])('%s', async (_title, args, words) => {
    const ran = await run(...args)
    expect([ran.exitCode, ran.stderr]).toEqual([2, expect.stringMatching(words)])
  })
})

describe('rescind open-connectors list', () => {
  it('lists all pages', async () => {
    estate.account.setSwitches({ pageSize: 1 })
    await estate.makeInstance('Second')
    const { json } = await run('list', '--json')
    expect(json.instances).toMatchObject([{ name: 'Acme', disabled: false }, { name: 'Second' }])
  })

  it('wrong platform secrets are told, and not repeated', async () => {
    env.OC_USER = 'a-wrong-user-secret'
    const ran = await run('list')
    expect(ran.exitCode).toBe(3)
    expect(ran.stderr).toMatch(/Check userSecret/)
    expect(ran.stderr).not.toContain('a-wrong-user-secret')
  })
})

describe('openConnectors in rescind.yaml', () => {
  test.each<[string, string, RegExp]>([
    ['is missing', 'tenants: {}', /There is no account of Open Connectors/],
    [
      'has a secret in the file',
      'openConnectors: { url: "https://x.example", userSecret: abc, organizationSecret: "${env:OC_ORG}", callbackUrl: "https://a.example" }',
      /openConnectors\.userSecret is a secret that stands in the file/,
    ],
    [
      'has no address in url',
      'openConnectors: { url: nonsense, userSecret: "${env:OC_USER}", organizationSecret: "${env:OC_ORG}", callbackUrl: "https://a.example" }',
      /openConnectors\.url is no web address/,
    ],
    [
      'has an url without its path',
      'openConnectors: { url: "https://x.example/", userSecret: "${env:OC_USER}", organizationSecret: "${env:OC_ORG}", callbackUrl: "https://a.example" }',
      /openConnectors\.url ends with the path of the API.*: https:\/\/x\.example\/elements\/api-v2/,
    ],
    [
      'has no address in callbackUrl',
      'openConnectors: { url: "https://x.example/elements/api-v2", userSecret: "${env:OC_USER}", organizationSecret: "${env:OC_ORG}", callbackUrl: nonsense }',
      /openConnectors\.callbackUrl is no web address/,
    ],
    [
      'has a misspelt key',
      'openConnectors: { url: "https://x.example", userSecrets: abc, organizationSecret: "${env:OC_ORG}", callbackUrl: "https://a.example" }',
      /Did you mean "userSecret"/,
    ],
  ])('%s', async (_title, text, words) => {
    write(text)
    const ran = await run('list')
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toMatch(words)
  })

  test.each([
    ['OC_USER', 'two\nlines', 'userSecret'],
    ['OC_ORG', 'schlüssel', 'organizationSecret'],
    ['OC_APP', 'two words', 'elements.sfdc.apiSecret'],
  ])(
    'what no header carries in %s is refused before anything is sent',
    async (name, value, key) => {
      env[name] = value
      const ran = await run('list', '--trace')
      expect([ran.exitCode, ran.stderr]).toEqual([
        2,
        expect.stringMatching(
          new RegExp(
            `^rescind: \\S+: openConnectors\\.${key} is empty, or holds a space, a line break`,
          ),
        ),
      ])
      expect(ran.stderr).not.toContain(value)
    },
  )

  it('an address without the API is told by its key, and not by an instance', async () => {
    const path = join(home.path, 'rescind.yaml')
    writeFileSync(path, readFileSync(path, 'utf8').replace('/elements/api-v2', '/api'))
    const ran = await run('list')
    expect([ran.exitCode, ran.stderr]).toEqual([
      2,
      expect.stringMatching(/404.*Check openConnectors\.url in rescind\.yaml/),
    ])
  })
})
