import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import { systemClock } from '../../src/core/clock.ts'
import { openStore } from '../../src/store/store.ts'
import { type DrillHome, openDrillHome } from '../support/drill-home.ts'
import { checkKilledDrill } from '../support/drill-kill9.ts'
import { rescind, spawnRescind } from '../support/run-cli.ts'
import { refuseSecrets } from './run-revoke.ts'

const CONSENT = ['--consent', 'form']
const FORM = [...CONSENT, '--load', '500ms']

/** A home of its own for a test that runs beside others. */
async function openHome({ onTestFinished }: TestContext) {
  const drills = await openDrillHome(31)
  onTestFinished(() => drills.close())
  return { ...drills, drills, run: (...args: string[]) => drills.run(args) }
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds() && tries < 6_000; tries += 1) {
    await new Promise((wait) => setTimeout(wait, 5))
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

describe.concurrent('rescind drill', () => {
  test.for(['rescind', 'open-connectors'] as const)(
    'via %s: passes, with evidence and three reports, and no secret in any',
    async (via, context) => {
      const { run, home, instance, connection, secrets } = await openHome(context)
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
      // The login and its form, of the denial and of the consent.
      expect(ran.stderr.match(/GET http\S+\/authorize\?\S*state=…\S* → 200/g)).toHaveLength(2)
      expect(ran.stderr.match(/POST http\S+\/authorize\S* → 302/g)).toHaveLength(2)
      refuseSecrets(everythingIn(out), secrets())
      const junit = readFileSync(join(out, 'junit.xml'), 'utf8')
      expect(junit).toMatch(/tests="29" failures="0" errors="0" skipped="\d"/)
      expect(readFileSync(join(out, 'report.html'), 'utf8')).toMatch(/<svg class="timeline"/)

      const file = join(out, 'evidence.jsonl')
      const none = await run('drill', 'verify', join(out, 'report.json'))
      expect([none.exitCode, none.stderr]).toEqual([
        5,
        expect.stringMatching(/report\.json is refused\. It is no evidence file of a drill/),
      ])
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

  test('a drill that is killed leaves its connection dead, says so, bars a second one, and is resumed', async (context) => {
    const { run, home, env, connection, config, secrets } = await openHome(context)
    const out = join(home, 'killed')
    const child = spawnRescind(
      ['drill', connection, ...FORM, '--load', '8s', '--out', out, '--json'],
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
      expect.stringMatching(
        /runs \(process \d+\): one at a time\. If nothing more is heard of it, it can be taken over in \d+ s with: rescind drill resume drl_/,
      ),
    ])
    expect((await run('drill', 'status')).stdout).toMatch(/runs \(process \d+\)/)

    child.process.kill('SIGKILL')
    await child.done
    const third = await run('drill', connection, ...FORM, '--out', join(home, 'third'))
    expect([third.exitCode, third.stderr]).toEqual([
      4,
      expect.stringMatching(
        /died\. con_\w+ was dead when the drill died: it was revoked on purpose at .* Bring it back with: rescind drill resume drl_\w+, or: rescind connection link/,
      ),
    ])
    expect([existsSync(join(home, 'second')), existsSync(join(home, 'third'))]).toEqual([
      false,
      false,
    ])
    const status = await run('drill', 'status', '--json')
    expect(status.json.drills).toMatchObject([
      { subject: connection, running: null, mayBeDead: true, stands: expect.any(String) },
    ])
    refuseSecrets(everythingIn(join(home, 'drills')), secrets())
    const cut = await run('drill', 'verify', file)
    expect([cut.exitCode, cut.stderr]).toEqual([5, expect.stringMatching(/without a verdict/)])

    const sofar = linesOf(out)
    writeFileSync(join(home, 'other.yaml'), config({ user: '005somebodyelse' }))
    const forbidden = await run('drill', 'resume', '--config', 'other.yaml', ...CONSENT)
    expect([forbidden.exitCode, forbidden.stderr]).toEqual([
      4,
      expect.stringMatching(
        /The drill does not go on\. .* not on the list .* was dead when the drill died: .* Bring it back with: /,
      ),
    ])
    expect(linesOf(out)).toBe(sofar)

    const elsewhere = await run('drill', 'resume', '--tenant', 'other')
    expect([elsewhere.exitCode, elsewhere.stderr]).toEqual([
      2,
      expect.stringMatching(/The drill drl_\w+ is at the tenant \w+, and not at other\. Leave/),
    ])
    const refused = await run('drill', 'resume', '--max-recover', '1h')
    expect([refused.exitCode, refused.stderr]).toEqual([2, expect.stringMatching(/--max-recover/)])
    const resumed = await run('drill', 'resume', ...CONSENT, '--json')
    expect(resumed.exitCode, resumed.stderr).toBe(0)
    expect(resumed.json).toMatchObject({ verdict: 'passed', isBack: true })
    expect((await run('drill', 'verify', file)).exitCode).toBe(0)
    expect((await run('drill', 'resume')).stderr).toMatch(/No drill is to be resumed/)
    refuseSecrets(everythingIn(out), secrets())
  }, 120_000)

  test('a drill that died, and whose instance was deleted since, can be forgotten', async (context) => {
    const { run, home, env, instance } = await openHome(context)
    const out = join(home, 'deleted')
    const begun = ['drill', instance, '--via', 'open-connectors', '--out', out, ...CONSENT]
    const child = spawnRescind([...begun, '--load', '4s'], { home, env })
    await until(() => linesOf(out).includes('"kind":"intent","step":6,'))
    const [{ drill: id = '' } = {}] = (await run('drill', 'status', '--json')).json.drills
    const running = await run('drill', 'forget', id)
    expect([running.exitCode, running.stderr]).toEqual([4, expect.stringMatching(/runs \(process/)])
    child.process.kill('SIGKILL')
    await child.done
    const deleted = await run('open-connectors', 'delete', instance, '--confirm')
    expect(deleted.exitCode, deleted.stderr).toBe(0)
    const resumed = await run('drill', 'resume', id, ...CONSENT)
    expect([resumed.exitCode, resumed.stderr]).toEqual([
      2,
      expect.stringMatching(
        new RegExp(
          `404, .* If it was deleted, end the drill with: rescind drill forget ${id}`,
          's',
        ),
      ),
    ])
    const forgotten = await run('drill', 'forget', id)
    expect([forgotten.exitCode, forgotten.stdout]).toEqual([
      0,
      expect.stringMatching(
        /^The drill drl_\w+ is forgotten, and has no verdict\. \d+ may be dead: it was drilled on purpose at .* UTC\. If it is there, bring it back with: rescind open-connectors reauthorize \d+\nEvidence {2}.*evidence\.jsonl$/m,
      ),
    ])
    expect((await run('drill', 'status')).stdout).toMatch(/All drills have ended/)
    expect((await run('drill', 'forget', id)).stderr).toMatch(
      /There is no drill "drl_\w+" here that did not end/,
    )
  }, 60_000)

  test.for([
    ['a revocation', 'where it was', ['--depth', 'grant'], '"kind":"intent","step":5,'],
    ['a revocation', 'here, for it cannot be where it was', [], '"kind":"intent","step":5,'],
    [
      'a canary',
      'where it was',
      ['--mode', 'canary', '--owner-consent', 'Ada of Acme'],
      '"kind":"intent","step":5,',
    ],
    ['faults', 'where it was', ['--inject', 'receiver-down'], '"kind":"intent","inject":'],
  ] as const)(
    'one of %s that was killed and whose evidence is gone is ended as failed, its connection brought back; the rest is written %s',
    { timeout: 60_000 },
    async ([_what, where, how, killedAt], context) => {
      const { run, org, home, env, connection, secrets } = await openHome(context)
      const alive = org.truth.counts().alive
      const out = join(home, 'gone')
      const args = ['drill', connection, ...how, ...CONSENT, '--load', '8s', '--out', out]
      const child = spawnRescind(args, { home, env })
      await until(() => linesOf(out).includes(killedAt) && org.truth.counts().alive < alive)
      child.process.kill('SIGKILL')
      await child.done
      rmSync(out, { recursive: true })
      const isHere = where !== 'where it was'
      if (isHere) writeFileSync(out, 'in the way')
      const { drill } = (await run('drill', 'status', '--json')).json.drills[0]
      const place = isHere ? join(home, `rescind-drill-${drill}`) : out

      const resumed = await run('drill', 'resume', ...CONSENT, '--json')
      expect([resumed.exitCode, resumed.stderr]).toEqual([
        5,
        expect.stringMatching(/evidence\.jsonl is gone: the drill cannot be judged any more\./),
      ])
      const file = join(place, 'evidence.jsonl')
      expect(resumed.json).toMatchObject({ drill, verdict: 'failed', isBack: true })
      expect([resumed.json.why, resumed.json.files.evidence]).toEqual([
        expect.stringMatching(/The evidence of what came before the drill died is lost\.$/),
        file,
      ])
      expect((await run('drill', 'verify', file)).exitCode).toBe(0)
      expect(org.truth.counts().alive).toBe(alive)
      expect((await run('drill', 'status')).stdout).toMatch(/All drills have ended/)
      refuseSecrets(everythingIn(place), secrets())
      const next = await run('drill', connection, ...FORM, '--out', join(home, 'next'), '--json')
      expect([next.exitCode, next.json?.verdict], next.stderr).toEqual([0, 'passed'])
    },
  )

  test('one whose reports cannot be written at its end is not over: resume writes them', async (context) => {
    const { run, home, connection } = await openHome(context)
    const out = join(home, 'unwritable')
    mkdirSync(join(out, 'report.html'), { recursive: true })
    const ran = await run('drill', connection, ...FORM, '--out', out)
    expect([ran.exitCode, ran.stderr]).toEqual([
      2,
      expect.stringMatching(
        /report\.html cannot be written\..* Go on with: rescind drill resume drl_/,
      ),
    ])
    expect((await run('drill', 'status')).stdout).toMatch(/died\. .* is back/)
    rmSync(join(out, 'report.html'), { recursive: true })
    const sofar = linesOf(out)
    const resumed = await run('drill', 'resume', '--json')
    expect(resumed.exitCode, resumed.stderr).toBe(0)
    expect(resumed.json).toMatchObject({ verdict: 'passed', isBack: true })
    expect(readdirSync(out).sort()).toEqual([
      'evidence.jsonl',
      'junit.xml',
      'report.html',
      'report.json',
    ])
    expect(linesOf(out)).toBe(sofar)
    expect((await run('drill', 'status')).stdout).toMatch(/All drills have ended/)
  })

  test('what is typed into the forms of a consent stands in no evidence, whoever says it', async (context) => {
    const { run, home, env, connection, secrets } = await openHome(context)
    const out = join(home, 'typed')
    const who = `Ada with ${env.PASSWORD} and ${env.STRANGER}`
    const args = ['drill', connection, '--depth', 'access', ...FORM, '--owner-consent', who]
    const ran = await run(...args, '--out', out)
    expect(ran.exitCode, ran.stderr).toBe(0)
    expect(linesOf(out)).toMatch(
      /"ownerConsent":"Ada with \[secret [0-9a-f]{8}\] and \[secret [0-9a-f]{8}\]"/,
    )
    refuseSecrets(everythingIn(out), secrets())
  })

  test('Ctrl-C stops it, and says where the connection stands', async (context) => {
    const { run, home, env, connection, config } = await openHome(context)
    const out = join(home, 'stopped')
    const args = ['drill', connection, ...FORM, '--load', '8s', '--out', out]
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
    // It goes on with the consent that it began with, whatever the configuration would take.
    const other = JSON.parse(config())
    other.drill.consent.how = 'browser'
    other.drill.consent.browser = '/nowhere/chromium'
    writeFileSync(join(home, 'rescind.yaml'), JSON.stringify(other))
    const resumed = await run('drill', 'resume', '--json')
    expect(resumed.exitCode, resumed.stderr).toBe(0)
    expect(resumed.stderr).toMatch(/consent by form/)
  }, 120_000)

  test('one that died before it wrote down what there is bars nobody, and is told so', async (context) => {
    const { run, org, home, env, connection } = await openHome(context)
    const out = join(home, 'early')
    org.setFaults([{ kind: 'slow', on: 'any', ms: 300 }])
    const child = spawnRescind(['drill', connection, ...FORM, '--out', out], { home, env })
    await until(() => linesOf(out).includes('"kind":"intent","step":0,'))
    child.process.kill('SIGKILL')
    await child.done
    org.setFaults([])
    const resumed = await run('drill', 'resume', ...CONSENT)
    expect([resumed.exitCode, resumed.stderr]).toEqual([
      2,
      expect.stringMatching(/Nothing was revoked: .* Begin a new drill: rescind drill con_/),
    ])
    expect((await run('drill', 'status')).stdout).toMatch(/All drills have ended/)
  }, 60_000)

  test.for([
    ['the grant of its code was made, and nobody heard of it', 'grant', 11],
    ['it was about to be revoked', 'refresh', 3],
    ['nothing was revoked', 'refresh', 1],
  ] as const)(
    'one that is killed when %s: what is said is true, and it comes back',
    async ([_name, depth, step], context) => {
      const { drills } = await openHome(context)
      await checkKilledDrill(drills, { via: 'rescind', depth, step })
    },
  )

  test('a resumed drill is judged by the limits that it began with', async (context) => {
    const { run, home, env, connection } = await openHome(context)
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
      /at most 1 ms is allowed/,
    )
  }, 120_000)

  test('a drill of faults that was stopped says what may be dead, and its resumption brings that back alone', async (context) => {
    const { run, org, home, env, connection } = await openHome(context)
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

  test('a drill of faults that was killed is resumed, whatever it left on at the emulator', async (context) => {
    const { run, account, home, env, instance } = await openHome(context)
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

  test('an instance whose wrong grants were refused is its owner’s again, and nobody else is remembered', async (context) => {
    const { run, account, home, instance } = await openHome(context)
    const faults = ['wrong-person', 'fewer-scopes'].flatMap((one) => ['--inject', one])
    const args = ['drill', instance, '--via', 'open-connectors', ...faults, ...FORM]
    const ran = await run(...args, '--out', join(home, 'wrong-grants'), '--json')
    expect(
      ran.json.faults.map(({ verdict, why }: Record<string, string>) => [verdict, why]),
    ).toEqual([
      ['pass', 'Refused (changed, identity_changed); still disabled.'],
      ['pass', 'Refused (changed, scopes_lost); still disabled.'],
    ])
    expect(ran.exitCode, ran.stderr).toBe(0)
    const store = await openStore({ home, clock: systemClock })
    context.onTestFinished(() => store.close())
    expect(await store.grantOwners.read(account.apiUrl, Number(instance))).toBeNull()
  }, 60_000)

  test('one that is killed while a stranger’s grant is in the instance is resumed, and the owner is back', async (context) => {
    const { run, account, org, home, env, instance } = await openHome(context)
    const out = join(home, 'stranger')
    const whose = () => account.truth.instance(Number(instance))?.identityUrl
    const owner = whose()
    const faults = ['wrong-person', 'five-failures'].flatMap((one) => ['--inject', one])
    const args = ['drill', instance, '--via', 'open-connectors', ...faults, ...FORM, '--out', out]
    org.setFaults([{ kind: 'slow', on: 'any', ms: 120 }])
    const child = spawnRescind(args, { home, env })
    await until(() => whose() !== owner)
    child.process.kill('SIGKILL')
    await child.done
    expect(whose()).not.toBe(owner)
    const resumed = await run('drill', 'resume', ...CONSENT, '--json')
    expect([resumed.exitCode, resumed.json?.isBack], resumed.stderr).toEqual([5, true])
    expect(whose()).toBe(owner)
    const next = await run('drill', instance, '--via', 'open-connectors', ...FORM, '--json')
    expect([next.exitCode, next.json?.verdict], next.stderr).toEqual([0, 'passed'])
  }, 60_000)

  test('without a Chromium it says so, and the consent goes by the forms', async (context) => {
    const { run, home, connection, config } = await openHome(context)
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
})

describe('a drill that revokes nothing', () => {
  let drills: DrillHome
  let org: SalesforceOrg
  let home: string
  let env: DrillHome['env']
  let instance: string
  let connection: string
  let config: DrillHome['config']

  beforeAll(async () => {
    drills = await openDrillHome(31)
    ;({ org, home, env, instance, connection, config } = drills)
  })
  afterAll(() => drills.close())

  const run = (...args: string[]) => drills.run(args)

  test.each<[string, () => readonly string[], number, RegExp]>([
    ['an unknown connection', () => ['con_nothing000'], 2, /There is no connection/],
    [
      'the number of an instance, without the platform',
      () => [instance],
      2,
      /no connection "\d+" in our own vault.* A number names an instance .* add --via open-connectors/,
    ],
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
    [
      'a canary with an empty consent',
      () => [connection, '--mode', 'canary', '--owner-consent', ''],
      4,
      /owner’s consent/,
    ],
    [
      'a canary with a blank consent',
      () => [connection, '--mode', 'canary', '--owner-consent', '  '],
      4,
      /owner’s consent/,
    ],
    [
      'a connection of another tenant than is named',
      () => [connection, '--tenant', 'rotating'],
      2,
      /The connection con_\w+ is of the tenant org, and not of rotating\. Leave --tenant out/,
    ],
    ['a time that is none', () => [connection, '--max-detect', 'soon'], 2, /Write a time/],
  ])('%s', async (_name, args, exit, said) => {
    const out = join(home, `no-${_name}`)
    const ran = await run('drill', ...args(), ...FORM, '--out', out)
    expect([ran.exitCode, ran.stderr]).toEqual([exit, expect.stringMatching(said)])
    expect([ran.stdout, existsSync(out)]).toEqual(['', false])
  })

  test('a user who is not on the list, a spent budget and one without the tag are refused; nothing is revoked, nothing left behind', async () => {
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
      expect.stringMatching(/has 4 live tokens of at most 5/),
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
      expect.stringMatching(
        /is not tagged drill-target.* Tag it: rescind connection tag con_\w+ drill-target\nNothing was revoked\.$/m,
      ),
    ])
    await run('connection', 'disconnect', untagged)
    expect(org.truth.counts().alive).toBe(before)
    for (const out of ['no-user', 'no-budget', 'no-tag']) {
      expect(existsSync(join(home, out))).toBe(false)
    }
    expect(readdirSync(join(home, 'drills')).filter((name) => name.endsWith('.json'))).toEqual([])
  })

  test('an instance whose grant a connection of our own vault lives on is refused', async (context) => {
    const { account, org, home, env, instance, run } = await openHome(context)
    const GRANT = account.truth.instance(Number(instance))?.refreshToken ?? ''
    const add = ['connection', 'add', '--owner', 'acme', '--refresh-token-env', 'GRANT']
    expect((await rescind(add, { home, env: { ...env, GRANT } })).exitCode).toBe(0)
    const before = org.truth.counts().alive
    const out = join(home, 'shared')
    const ran = await run('drill', instance, '--via', 'open-connectors', ...FORM, '--out', out)
    expect([ran.exitCode, ran.stderr]).toEqual([
      4,
      expect.stringMatching(/shared with a connection of our own vault.*Nothing was revoked/s),
    ])
    expect([org.truth.counts().alive, existsSync(out)]).toEqual([before, false])
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

  test.each([
    ['rescind', () => connection, /Check app\.clientSecret of the tenant/],
    ['open-connectors', () => instance, /Check apiSecret of the element/],
  ] as const)(
    'a wrong secret of our app is our own fault, and leaves the connection as it was, via %s',
    async (via, subject, said) => {
      const mistaken = { ...env, CLIENT_SECRET: 'of-another-app' }
      const args = ['drill', subject(), '--via', via, ...FORM, '--out', join(home, 'no-client')]
      const before = (await run('connection', 'show', connection, '--json')).json
      const ran = await drills.run(args, { env: mistaken })
      expect([ran.exitCode, ran.stderr]).toEqual([3, expect.stringMatching(said)])
      expect(ran.stderr).toMatch(
        /refuses our client \(invalid_client\): its secret is wrong.* Nothing was revoked/,
      )
      expect((await run('connection', 'show', connection, '--json')).json).toEqual(before)
      expect(existsSync(join(home, 'no-client'))).toBe(false)
      expect((await run('drill', 'status')).stdout).toMatch(/All drills have ended/)
    },
  )

  test.each([
    ['ahead', -3_600_000],
    ['behind', 3_600_000],
  ])(
    'a provider whose clock is an hour %s fails at the snapshot, and nothing is revoked',
    async (which, ms) => {
      const alive = org.truth.counts().alive
      const clock = { now: () => systemClock.now() + ms, sleep: systemClock.sleep }
      const args = ['drill', connection, ...FORM, '--out', join(home, `clock-${which}`), '--json']
      const ran = await drills.run(args, { clock })
      expect([ran.exitCode, ran.json]).toEqual([
        5,
        expect.objectContaining({
          ...{ failedAt: 0, isBack: true },
          why: `Step 0 failed: The provider's clock is 60 minutes ${which === 'ahead' ? 'ahead of' : 'behind'} ours: set the clock that is wrong, then drill again.`,
        }),
      ])
      expect(org.truth.counts().alive).toBe(alive)
    },
  )

  test('the help shows each default of a time as it would be written', async () => {
    const { stdout } = await run('drill', '--help')
    const [times] = stdout.split('--owner-consent')
    const defaults = [...(times ?? '').matchAll(/<time>[^(]*\(default:\s+([^)]*)\)/g)]
    expect(defaults.map(([, one]) => one)).toEqual(['60s', '60s', '30m', '60s', '3s'])
  })

  test('an unknown connection ends the process', async () => {
    const { done, process: started } = spawnRescind(['drill', 'con_nope'], { home, env })
    const late = setTimeout(() => started.kill('SIGKILL'), 20_000)
    const { code, stderr } = await done
    clearTimeout(late)
    expect([code, stderr]).toEqual([2, expect.stringMatching(/There is no connection/)])
  }, 30_000)

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
    expect(existsSync(join(home, 'no-provider'))).toBe(false)
  })

  test.each([
    ['the one of its element’s app is taken', { clientId: 'another' }, 4, /not on the list/],
    ['two of the same app are chosen between', {}, 2, /Say which tenant with --tenant/],
  ])('an instance with several tenants: %s', async (_name, app, exit, said) => {
    const { org: known } = JSON.parse(config()).tenants
    const another = { ...known, app: { ...known.app, ...app }, url: 'https://another.example' }
    const file = 'more.yaml'
    const wish = { user: '005somebodyelse', tenants: { another } }
    writeFileSync(join(home, file), config(wish))
    const via = ['--via', 'open-connectors', '--config', file]
    const ran = await run('drill', instance, ...via, ...FORM, '--out', join(home, 'no-tenant'))
    expect([ran.exitCode, ran.stderr]).toEqual([exit, expect.stringMatching(said)])
  })

  test('with several tenants, a drill that was stopped is resumed at the one that it began with', async () => {
    const { tenants, ...rest } = JSON.parse(config())
    const more = { ...tenants, another: { ...tenants.org, url: 'https://another.example' } }
    writeFileSync(join(home, 'two.yaml'), JSON.stringify({ ...rest, tenants: more }))
    const out = join(home, 'of-two')
    const two = ['--config', 'two.yaml']
    const begun = ['drill', instance, '--via', 'open-connectors', ...two, '--out', out]
    const child = spawnRescind([...begun, '--tenant', 'org', ...CONSENT, '--load', '4s'], {
      ...{ home, env },
    })
    await until(() => linesOf(out).includes('"kind":"intent","step":6,'))
    child.process.kill('SIGINT')
    const { stderr } = await child.done
    const [, id = ''] = /rescind drill resume (drl_\w+)/.exec(stderr) ?? []
    const elsewhere = await run('drill', 'resume', id, ...two, '--tenant', 'another')
    expect([elsewhere.exitCode, elsewhere.stderr]).toEqual([
      2,
      expect.stringMatching(/drl_\w+ is at the tenant org, and not at another\. Leave --tenant/),
    ])
    const resumed = await run('drill', 'resume', id, ...two, ...CONSENT, '--json')
    expect([resumed.exitCode, resumed.json?.isBack], resumed.stderr).toEqual([0, true])
  }, 60_000)
})
