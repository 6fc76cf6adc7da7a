import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { walkLogin } from '../emulators/clients/login-walk.ts'
import { freePort } from '../support/free-port.ts'
import { rescind, spawnRescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

/** Starts an emulator as a process, and gives the one JSON object that it prints. */
async function emulate(home: string, ...args: string[]) {
  const child = spawnRescind(['emulate', ...args, '--json'], { home })
  onTestFinished(() => void child.process.kill('SIGKILL'))
  for await (const chunk of child.process.stdout!) return { child, started: JSON.parse(`${chunk}`) }
  throw new Error(child.stderr())
}

test('emulate open-connectors starts an account and the org behind it, and ends both by Ctrl-C', async () => {
  using home = tempHome()
  const { child, started } = await emulate(home.path, 'open-connectors', '--seed', '3')
  const { connected, limited } = started.salesforce.credentials
  const callback = 'http://127.0.0.1:50321/callback'
  const client = { apiKey: connected.clientId, apiSecret: connected.clientSecret }
  const query = new URLSearchParams({ ...client, callbackUrl: callback, state: 'once' })
  const asked = await fetch(`${started.apiUrl}/elements/sfdc/oauth/url?${query}`)
  const { oauthUrl } = (await asked.json()) as { oauthUrl: string }
  const back = await walkLogin(oauthUrl, callback, { ...limited, decision: 'Allow' })
  expect(back.get('code')).toMatch(/^aPrx/)
  const { userSecret, organizationSecret } = started.credentials
  const authorization = `Organization ${organizationSecret}, User ${userSecret}`
  const list = await fetch(`${started.apiUrl}/instances`, { headers: { authorization } })
  expect(await list.json()).toEqual([])
  child.process.kill('SIGINT')
  expect((await child.done).code).toBe(0)
})

test('what emulate open-connectors prints leads to an instance, and to a drill of it', async () => {
  using home = tempHome()
  const child = spawnRescind(['emulate', 'open-connectors', '--retry', '100'], { home: home.path })
  onTestFinished(() => void child.process.kill('SIGKILL'))
  let said = ''
  for await (const chunk of child.process.stdout!) {
    said += chunk
    if (said.includes('Ctrl-C')) break
  }
  const env = Object.fromEntries(
    [...said.matchAll(/^ {2}export (\w+)='(.+)'$/gm)].map(([, name, value]) => [name, value]),
  )
  const yaml = /^ {2}tenants:\n(?: {2}.*\n)+/m.exec(said)?.[0] ?? ''
  expect(yaml).toContain('appName: Data Sync')
  for (const secret of Object.values(env)) {
    if (secret !== env.DRILL_USER) expect(yaml).not.toContain(secret)
  }
  writeFileSync(join(home.path, 'rescind.yaml'), yaml)
  const commands = [...said.replaceAll('\\\n', '').matchAll(/^ {2}rescind (.+)$/gm)].map(
    ([, line = '']) =>
      [...line.matchAll(/'([^']+)'|(\S+)/g)].map(
        ([, quoted, word = '']) => quoted ?? word.replace('$DRILL_USER', env.DRILL_USER ?? ''),
      ),
  )
  expect(commands.map(([name]) => name)).toEqual(['open-connectors', 'drill'])
  for (const args of commands) {
    const more = args[0] === 'drill' ? ['--consent', 'form', '--load', '300ms'] : []
    const ran = await rescind([...args, ...more], { home: home.path, env })
    expect(ran.exitCode, ran.stdout + ran.stderr).toBe(0)
  }
}, 60_000)

test('emulate open-connectors takes an org that runs already', async () => {
  using home = tempHome()
  const { started: org } = await emulate(home.path, 'salesforce', '--tokens', '0')
  const { started } = await emulate(home.path, 'open-connectors', '--salesforce', org.url)
  const query = 'apiKey=k&apiSecret=s&callbackUrl=https://app.example/auth'
  const asked = await fetch(`${started.apiUrl}/elements/sfdc/oauth/url?${query}`)
  const { oauthUrl } = (await asked.json()) as { oauthUrl: string }
  expect([new URL(oauthUrl).origin, started.salesforce]).toEqual([org.url, undefined])
})

test.each([
  ['an unknown switch', { switches: { nonsense: 1 } }, 'unknown switch "nonsense"'],
  ['an unknown fault', { faults: [{ kind: 'gremlin', on: 'any' }] }, 'unknown fault "gremlin"'],
])('%s in the options is a usage error', async (_, options, words) => {
  using home = tempHome()
  writeFileSync(join(home.path, 'options.json'), JSON.stringify(options))
  for (const what of ['salesforce', 'open-connectors']) {
    const args = ['emulate', what, '--options', join(home.path, 'options.json')]
    const { exitCode, stderr } = await rescind(args, { home: home.path })
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining(words)])
  }
})

test.each([
  ['salesforce', { secondRevoke: 'bogus' }, '"secondRevoke" takes invalid_token, 200'],
  ['salesforce', { visibilityDelayMs: '40' }, '"visibilityDelayMs" takes a whole number from 0'],
  ['open-connectors', { valid: 'bogus' }, '"valid" takes always-true, follows, list-differs'],
  ['open-connectors', { patchClearsDisabled: 'yes' }, '"patchClearsDisabled" takes true, false'],
  ['open-connectors', { disabledCall: 404 }, '"disabledCall" takes 400, 401, 403'],
])('emulate %s refuses the value of a switch: %o', async (what, switches, words) => {
  using home = tempHome()
  writeFileSync(join(home.path, 'options.json'), JSON.stringify({ switches }))
  const args = ['emulate', what, '--options', join(home.path, 'options.json')]
  const { exitCode, stderr } = await rescind(args, { home: home.path })
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining(words)])
})

test('a running account refuses the value of a switch, and goes on as it was', async () => {
  using home = tempHome()
  const { started } = await emulate(home.path, 'open-connectors')
  const control = `${started.url}/__emulator/switches`
  const before = await (await fetch(control)).json()
  const refused = await fetch(control, { method: 'POST', body: '{"valid":"bogus"}' })
  expect([refused.status, await refused.json()]).toEqual([
    400,
    { error: 'the switch "valid" takes always-true, follows, list-differs' },
  ])
  expect(await (await fetch(control)).json()).toEqual(before)
})

test.each(['salesforce', 'open-connectors'])(
  'emulate %s on a port that is taken is a usage error, and ends',
  async (what) => {
    using home = tempHome()
    const { started: other } = await emulate(home.path, 'salesforce', '--tokens', '0')
    const { port } = new URL(other.url)
    const { done } = spawnRescind(['emulate', what, '--port', port], { home: home.path })
    const { code, stderr } = await done
    const words = `127.0.0.1:${port} cannot be listened on (another process listens there)`
    expect([code, stderr]).toEqual([2, expect.stringContaining(words)])
    expect(stderr).not.toMatch(/unexpected/)
  },
)

test.each([
  ['nothing', '{}', 'salesforceUrl is not an address: name that of an emulated org'],
  ['what is no JSON', '{', 'JSON'],
])('the program of an account, given %s, says so in one sentence', async (_title, text, words) => {
  const main = join(import.meta.dirname, '../../emulators/open-connectors/main.ts')
  const env = { ...process.env, EMULATOR_OPTIONS: text }
  const ended = spawnSync(process.execPath, [main], { env, encoding: 'utf8' })
  expect([ended.status, ended.stderr]).toEqual([2, expect.stringContaining(words)])
  expect(ended.stderr.trim().split('\n')).toHaveLength(1)
})

test('an address that is none is a usage error', async () => {
  using home = tempHome()
  const args = ['emulate', 'open-connectors', '--salesforce', 'nowhere']
  const { exitCode, stderr } = await rescind(args, { home: home.path })
  expect([exitCode, stderr]).toEqual([
    2,
    expect.stringContaining('salesforceUrl is not an address'),
  ])
})

test('emulate salesforce --drill writes what a connection can be drilled with at once', async () => {
  using home = tempHome()
  const folder = join(home.path, 'org')
  const { started } = await emulate(home.path, 'salesforce', '--drill', folder)
  expect(started.drill).toBe(folder)
  for (const name of readdirSync(folder)) {
    expect(statSync(join(folder, name)).mode & 0o777, name).toBe(0o600)
  }
  const yaml = readFileSync(join(folder, 'rescind.yaml'), 'utf8')
  for (const name of readdirSync(folder)) {
    if (name !== 'rescind.yaml')
      expect(yaml).not.toContain(readFileSync(join(folder, name), 'utf8'))
  }
  const run = (...args: string[]) => rescind([...args, '--json'], { home: folder })
  const drills = [
    ['emulated', 'refresh-token', 'lost-response-after-rotation'],
    ['rotating', 'rotating-refresh-token', 'wrong-person'],
  ] as const
  for (const [tenant, file, fault] of drills) {
    const wish = ['--owner', 'acme', '--tag', 'drill-target', '--tenant', tenant]
    const added = await run('connection', 'add', ...wish, '--refresh-token-file', file)
    const { id } = added.json.connection
    const how = ['--consent', 'form', '--load', '300ms']
    for (const what of [
      ['--depth', 'grant'],
      ['--inject', fault],
    ]) {
      const drilled = await run('drill', id, ...what, ...how)
      expect([drilled.exitCode, drilled.json?.verdict], drilled.stderr).toEqual([0, 'passed'])
    }
  }
  const again = await rescind(['emulate', 'salesforce', '--drill', folder], { home: home.path })
  expect([again.exitCode, again.stderr]).toEqual([
    2,
    `rescind: ${folder}/rescind.yaml is there already. Name another folder with --drill.\n`,
  ])
}, 60_000)

test('after a denial, what a drill in the folder of emulate --drill prints brings the connection back', async () => {
  using home = tempHome()
  const folder = join(home.path, 'org')
  const { started } = await emulate(home.path, 'salesforce', '--drill', folder)
  // The port that is written may be taken by whatever else is tested at the same time.
  const listen = `127.0.0.1:${await freePort()}`
  const config = join(folder, 'rescind.yaml')
  writeFileSync(config, readFileSync(config, 'utf8').replaceAll('127.0.0.1:4711', listen))
  const run = (...args: string[]) => rescind([...args, '--json'], { home: folder })
  const wish = ['--owner', 'acme', '--tag', 'drill-target', '--tenant', 'emulated']
  const added = await run('connection', 'add', ...wish, '--refresh-token-file', 'refresh-token')
  const { id } = added.json.connection
  const walk = async (url: string, decision: 'Allow' | 'Deny') => {
    const callback = new URL(url).searchParams.get('redirect_uri') ?? ''
    const query = await walkLogin(url, callback, { ...started.credentials.limited, decision })
    return (await fetch(`${callback}?${query}`)).text()
  }

  const args = ['drill', id, '--consent', 'link', '--load', '300ms']
  const child = spawnRescind(args, { home: folder })
  const shown = () => /^http\S+\/authorize\?\S+$/m.exec(child.stderr())?.[0]
  while (shown() === undefined) await new Promise((wait) => setTimeout(wait, 50))
  await walk(shown() ?? '', 'Deny')
  const denied = await child.done
  expect([denied.code, denied.stdout], denied.stderr).toEqual([
    5,
    expect.stringContaining(
      `Bring it back with: rescind connection link ${id} (with rescind serve, which takes the answer)`,
    ),
  ])

  const serving = spawnRescind(['serve'], { home: folder })
  onTestFinished(() => void serving.process.kill('SIGKILL'))
  const ready = once(serving.process.stdout as NodeJS.ReadableStream, 'data')
  await Promise.race([ready, serving.done.then(({ stderr }) => expect.unreachable(stderr))])
  const { url } = (await run('connection', 'link', id)).json
  expect(await walk(url, 'Allow')).toContain('<title>The connection works<')
  expect((await run('connection', 'show', id)).json.connection.state).toBe('connected')
}, 60_000)

test('emulate salesforce --drill prints the commands that lead to a drill', async () => {
  using home = tempHome()
  const stop = new AbortController()
  const onStderr = () => stop.abort()
  const args = ['emulate', 'salesforce', '--tokens', '0', '--drill', 'my org', '--json']
  const { stderr } = await rescind(args, { home: home.path, onStderr, signal: stop.signal })
  expect(stderr).toContain(`  cd '${join(home.path, 'my org')}'\n`)
  expect(stderr).toMatch(/ --tenant emulated .* \\\n {4}--refresh-token-file refresh-token\n/)
  expect(stderr).toMatch(/ {2}rescind drill con_… --depth access\n/)
})
