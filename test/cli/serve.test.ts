import { once } from 'node:events'
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openReceiver } from '../server/webhook-receiver.ts'
import { CERTIFICATE_THUMBPRINT } from '../support/client-certificate.ts'
import { freePort } from '../support/free-port.ts'
import { findPostgres, newDatabase } from '../support/postgres-database.ts'
import { type Child, rescind, spawnRescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

const HOOK = Buffer.alloc(32, 5).toString('base64')
const SECRETS = { ADMIN_KEY: 'an-admin-key-that-is-long-enough', HOOK: `whsec_${HOOK}` }

const BY_CERTIFICATE = ['add', 'm', '--auth', 'self_signed_tls_client_auth', '--certificate']
/** As openssl prints it. */
const FINGERPRINT = Buffer.from(CERTIFICATE_THUMBPRINT, 'base64url')
  .toString('hex')
  .toUpperCase()
  .replace(/..(?=.)/g, '$&:')

let home: ReturnType<typeof tempHome>
let url: string
let metricsUrl: string
const children: Child[] = []

beforeEach(async () => {
  home = tempHome()
  const [port, metricsPort] = [await freePort(), await freePort()]
  url = `http://127.0.0.1:${port}`
  metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`
  write(`issuer: ${url}`, `listen: 127.0.0.1:${port}`, `metrics: 127.0.0.1:${metricsPort}`)
})
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.process.kill('SIGKILL')
    await child.done
  }
  home[Symbol.dispose]()
})

/** Writes the section `authority` of the configuration. */
function write(...lines: string[]): void {
  const text = `authority:\n${lines.map((line) => `  ${line}\n`).join('')}`
  writeFileSync(join(home.path, 'rescind.yaml'), text)
}

const run = (...args: string[]) => rescind(args, { home: home.path, env: SECRETS })

/** Starts `rescind serve`, and waits until it says that it listens. */
async function serve(...args: string[]): Promise<Child> {
  const child = spawnRescind(['serve', ...args], { home: home.path, env: SECRETS })
  children.push(child)
  const ready = once(child.process.stdout as NodeJS.ReadableStream, 'data').then(() => true)
  if (await Promise.race([ready, child.done.then(() => false)])) return child
  throw new Error(child.stderr())
}

async function addClient(id: string, ...args: string[]): Promise<string> {
  const added = await run('client', 'add', id, ...args, '--json')
  expect(added.exitCode).toBe(0)
  if (added.json.secret !== null) expect(added.stderr).not.toContain(added.json.secret)
  return added.json.secret
}

const post = (path: string, form: Record<string, string>) =>
  fetch(url + path, { method: 'POST', body: new URLSearchParams(form) })

async function tokenOf(client: Record<string, string>): Promise<string> {
  const answer = await post('/token', { ...client, grant_type: 'client_credentials' })
  expect(answer.status).toBe(200)
  return ((await answer.json()) as { access_token: string }).access_token
}

async function isActive(client: Record<string, string>, token: string): Promise<boolean> {
  const answer = await post('/introspect', { ...client, token })
  return ((await answer.json()) as { active: boolean }).active
}

const metric = (text: string, name: string) =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')
      .at(-1),
  )

describe.each([1, 2])('rescind serve --workers %i', (workers) => {
  test('serves the authority, counts what it does, and stops when it is asked to', async () => {
    const client_secret = await addClient('app', '--grant', 'client_credentials')
    const client = { client_id: 'app', client_secret }
    const child = await serve('--workers', String(workers))
    const token = await tokenOf(client)
    expect(await isActive(client, token)).toBe(true)
    expect((await post('/revoke', { ...client, token })).status).toBe(200)
    for (let nth = 0; nth < 8; nth += 1) expect(await isActive(client, token)).toBe(false)
    await post('/revoke', { ...client, token })
    await post('/revoke', { ...client, token: 'nothing' })
    expect((await fetch(`${url}/own?token=${token}`)).status).toBe(404)
    const text = await (await fetch(metricsUrl)).text()
    expect(metric(text, 'rescind_revocations_total{outcome="revoked"}')).toBe(1)
    expect(metric(text, 'rescind_revocations_total{outcome="already_dead"}')).toBe(1)
    expect(metric(text, 'rescind_revocations_total{outcome="unknown"}')).toBe(1)
    expect(metric(text, 'rescind_tokens_issued_total{kind="access"}')).toBe(1)
    expect(metric(text, 'rescind_http_requests_total{endpoint="introspect",status="200"}')).toBe(9)
    expect(metric(text, 'rescind_http_request_duration_seconds_count{endpoint="revoke"}')).toBe(3)
    child.process.kill('SIGTERM')
    const { code, stdout, stderr } = await child.done
    expect(code).toBe(0)
    expect(stdout).toContain(`The authority ${url} listens on ${url}.`)
    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.filter(({ endpoint }) => endpoint === 'revoke')).toHaveLength(3)
    expect(lines.at(-1)).toMatchObject({ level: 'info', msg: 'stopped' })
    for (const secret of [token, client_secret, 'token=']) expect(stderr).not.toContain(secret)
  })

  test('tells how long the oldest event waits that a receiver of webhooks does not have', async () => {
    await using receiver = await openReceiver(HOOK)
    receiver.manner = { status: 500 }
    const webhook = `webhooks: [{ url: "${receiver.url}", secret: "\${env:HOOK}" }]`
    appendFileSync(join(home.path, 'rescind.yaml'), `  ${webhook}\n`)
    const addedFrom = Date.now()
    await addClient('app')
    const addedBy = Date.now()
    await serve('--workers', String(workers))
    const ages = async () => {
      const latestMs = Date.now() - addedBy
      const text = await (await fetch(metricsUrl)).text()
      const age = metric(text, 'rescind_webhook_oldest_undelivered_seconds{receiver="1"}')
      return { age, latest: latestMs / 1000, longest: (Date.now() - addedFrom) / 1000 }
    }
    const { age, latest, longest } = await ages()
    expect(age).toBeGreaterThanOrEqual(latest)
    // All workers tell of the same receiver: their words are not added up.
    expect(age).toBeLessThanOrEqual(longest)
    receiver.manner = 'take'
    await expect.poll(async () => (await ages()).age, { timeout: 20_000 }).toBe(0)
  })
})

/** Opens a new connection, and says how it went. */
async function connectLate(): Promise<string> {
  const late = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {})
  try {
    await once(late, 'connect')
    return 'connected'
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code)
  } finally {
    late.destroy()
  }
}

/** Asks on one connection again and again, until an answer says that it is the last. */
async function askUntilClosed(): Promise<string> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  try {
    for (;;) {
      const [answer] = (await once(get(`${url}/health`, { agent }), 'response')) as [
        IncomingMessage,
      ]
      for await (const _ of answer);
      if (answer.statusCode !== 200) return `${answer.statusCode}`
      if (answer.headers.connection === 'close') return 'told to close'
    }
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code)
  } finally {
    agent.destroy()
  }
}

test.each([1, 2])(
  'busy connections are told to close, and none is reset (workers: %i)',
  async (n) => {
    const child = await serve('--workers', String(n))
    const idle = connect(Number(new URL(url).port), '127.0.0.1')
    idle.write('GET /health HTTP/1.1\r\nhost: a\r\n\r\n')
    await once(idle, 'data')
    const asking = Array.from({ length: 32 }, askUntilClosed)
    await sleep(300)
    const startedAt = performance.now()
    child.process.kill('SIGTERM')
    expect(await Promise.all(asking)).toEqual(Array(32).fill('told to close'))
    expect((await child.done).code).toBe(0)
    // What is idle is not waited for as an answer is.
    expect(performance.now() - startedAt).toBeLessThan(8_000)
    idle.destroy()
  },
)

describe('rescind serve', () => {
  test('an answer that is under way when it stops is finished', async () => {
    const client_secret = await addClient('app', '--grant', 'client_credentials')
    const child = await serve()
    const body = `grant_type=client_credentials&client_id=app&client_secret=${client_secret}`
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    let answer = ''
    socket.on('data', (part) => {
      answer += part
    })
    const type = 'content-type: application/x-www-form-urlencoded'
    socket.write(
      `POST /token HTTP/1.1\r\nhost: a\r\n${type}\r\ncontent-length: ${body.length}\r\n\r\n${body.slice(0, 9)}`,
    )
    // An answered request shows that the one before it has arrived.
    await fetch(`${url}/health`)
    child.process.kill('SIGTERM')
    while (!child.stderr().includes('stopping')) await once(child.process.stderr!, 'data')
    await expect.poll(connectLate).toBe('ECONNREFUSED')
    socket.write(body.slice(9))
    expect((await child.done).code).toBe(0)
    expect(answer).toContain('HTTP/1.1 200')
    expect(answer).toContain('"access_token"')
    socket.destroy()
  })

  test('what was revoked before a kill -9 is dead after it', async () => {
    const client_secret = await addClient('app', '--grant', 'client_credentials')
    const client = { client_id: 'app', client_secret }
    const child = await serve('--workers', '2')
    const [dead, alive] = [await tokenOf(client), await tokenOf(client)]
    expect((await post('/revoke', { ...client, token: dead })).status).toBe(200)
    child.process.kill('SIGKILL')
    await child.done
    const again = await serve('--workers', '1')
    expect(await isActive(client, dead)).toBe(false)
    expect(await isActive(client, alive)).toBe(true)
    again.process.kill('SIGTERM')
    await again.done
  })

  test('a worker that dies is started again', async () => {
    const child = await serve('--workers', '2')
    const listening = () =>
      child
        .stderr()
        .split('\n')
        .filter((line) => line.includes('"listening"'))
        .map((line) => JSON.parse(line).pid as number)
    while (listening().length < 2) await once(child.process.stderr!, 'data')
    process.kill(listening()[0] as number, 'SIGKILL')
    while (listening().length < 3) await once(child.process.stderr!, 'data')
    expect(child.stderr()).toContain('a worker ended, and is started again')
    expect((await fetch(`${url}/health`)).status).toBe(200)
    child.process.kill('SIGTERM')
    expect((await child.done).code).toBe(0)
  })

  test('--dev-login asks who it is, believes it, and gives a code', async () => {
    const redirect = 'http://127.0.0.1/callback'
    await addClient('web', '--auth', 'none', '--redirect-uri', redirect, '--scope', 'read')
    await serve('--dev-login')
    const verifier = 'v'.repeat(43)
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))
    const ask = new URLSearchParams({
      ...{ response_type: 'code', client_id: 'web', redirect_uri: redirect, state: '"><script>' },
      code_challenge: Buffer.from(digest).toString('base64url'),
      code_challenge_method: 'S256',
    })
    const page = await fetch(`${url}/authorize?${ask}`)
    expect([page.status, page.headers.get('content-type')]).toEqual([
      200,
      'text/html; charset=utf-8',
    ])
    const html = await page.text()
    expect(html).toContain('name="dev_user"')
    expect(html).not.toContain('<script>')
    const wrong = await fetch(`${url}/authorize?${ask}&dev_user=${encodeURIComponent('a b')}`)
    expect(await wrong.text()).toContain('role="alert"')
    const named = await fetch(`${url}/authorize?${ask}&dev_user=web`, { redirect: 'manual' })
    expect([named.status, await named.text()]).toEqual([
      200,
      expect.stringContaining('<p role="alert">This is the name of the application'),
    ])
    const denied = await fetch(`${url}/authorize?${ask}&dev_user=&dev_decision=deny`, {
      redirect: 'manual',
    })
    const back = new URL(denied.headers.get('location') ?? '').searchParams
    expect([back.get('error'), back.get('code')]).toEqual(['access_denied', null])
    const there = await fetch(`${url}/authorize?${ask}&dev_user=ann`, { redirect: 'manual' })
    const code = new URL(there.headers.get('location') ?? '').searchParams.get('code') ?? ''
    const tokens = await post('/token', {
      ...{ grant_type: 'authorization_code', client_id: 'web', code },
      ...{ redirect_uri: redirect, code_verifier: verifier },
    })
    expect([tokens.status, await tokens.json()]).toMatchObject([200, { scope: 'read' }])
  })

  test('admin keys come from the environment, and their endpoint works', async () => {
    const section = [`issuer: ${url}`, `listen: ${new URL(url).host}`, 'metrics: false']
    write(...section, 'adminKeys: ["${env:ADMIN_KEY}"]')
    await serve()
    const answer = await fetch(`${url}/admin/revoke`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${SECRETS.ADMIN_KEY}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ user: 'ann', dryRun: true }),
    })
    expect([answer.status, await answer.json()]).toMatchObject([200, { revoked: false }])
  })
})

describe('the id of a request', () => {
  const OWN = /^[\w-]{16}$/
  const LONGEST = '~'.repeat(128)
  test.each<[string, string, string | undefined, string | RegExp]>([
    ['without any', '127.0.0.1', undefined, OWN],
    ['of a trusted proxy', '127.0.0.1', 'req-1', /^req-1$/],
    ['of a trusted proxy, as long as may be', '127.0.0.1', LONGEST, LONGEST],
    ['of a trusted proxy, too long', '127.0.0.1', `${LONGEST}~`, OWN],
    ['of a trusted proxy, with a space', '127.0.0.1', 'req 1', OWN],
    ['of anybody else', '192.0.2.1', 'req-1', OWN],
  ])('%s: the answer, the log and explain have the same', async (_, proxy, sent, id) => {
    const section = [`issuer: ${url}`, `listen: ${new URL(url).host}`, 'metrics: false']
    write(...section, `trustedProxies: [${proxy}]`, 'adminKeys: ["${env:ADMIN_KEY}"]')
    const client = { client_id: 'app', client_secret: '' }
    client.client_secret = await addClient('app', '--grant', 'client_credentials')
    const child = await serve()
    const token = await tokenOf(client)
    const answer = await fetch(`${url}/revoke`, {
      method: 'POST',
      headers: sent === undefined ? {} : { 'x-request-id': sent },
      body: new URLSearchParams({ ...client, token }),
    })
    const named = answer.headers.get('x-request-id')
    expect(named).toMatch(id)
    const listed = await fetch(`${url}/admin/events`, {
      headers: { authorization: `Bearer ${SECRETS.ADMIN_KEY}` },
    })
    const { events } = (await listed.json()) as { events: Record<string, string>[] }
    const revoked = events.find(({ type }) => type === 'token.revoked')
    expect(revoked).toMatchObject({ request: named })
    const told = await run('authority', 'explain', revoked?.token ?? '')
    expect(told.stdout).toContain(`, request ${named}, `)
    child.process.kill('SIGTERM')
    const { stderr } = await child.done
    const lines = stderr.trim().split('\n')
    const requests = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request')
    expect(requests.map(({ endpoint }) => endpoint)).toEqual(['token', 'revoke', 'adminEvents'])
    expect(requests.filter(({ request }) => request === named)).toMatchObject([
      { endpoint: 'revoke', status: 200 },
    ])
  })
})

describe('rescind serve refuses at start, with one sentence', () => {
  const AT_HOME = 'issuer: http://127.0.0.1:9400'
  test.each<[string, string[], string[], string, number]>([
    [
      'no issuer',
      ['listen: 127.0.0.1:0'],
      [],
      '"authority.issuer": write the issuer identifier, like https://login.example.com.',
      2,
    ],
    ['an issuer that is a number', ['issuer: 7'], [], 'write the issuer identifier', 2],
    ['an http issuer that is not loopback', ['issuer: http://as.example'], [], 'must be https', 2],
    ['an issuer that is no URL', ['issuer: nonsense'], [], 'is not a URL', 2],
    ['--dev-login for the world', ['issuer: https://as.example'], ['--dev-login'], 'anybody', 2],
    [
      '--dev-login on an address that others reach',
      [AT_HOME, 'listen: 0.0.0.0:9400'],
      ['--dev-login', '--accept-risk', 'plain-http'],
      'on this machine alone',
      2,
    ],
    [
      'a name for a proxy',
      [AT_HOME, 'trustedProxies: [localhost]'],
      [],
      'must be an IP address',
      2,
    ],
    [
      'certificates that no proxy is believed for',
      [AT_HOME, 'certificateHeader: X-Client-Cert'],
      [],
      '"authority.certificateHeader": name in trustedProxies',
      2,
    ],
    ['plain HTTP to the world', [AT_HOME, 'listen: 0.0.0.0:9400'], [], 'plain-http', 2],
    ['metrics to the world', [AT_HOME, 'metrics: 0.0.0.0:9464'], [], 'authority.metrics', 2],
    ['an address without a port', [AT_HOME, 'listen: 127.0.0.1'], [], '127.0.0.1:9400', 2],
    ['a lifetime without a unit', [AT_HOME, 'lifetimes: { code: 60 }'], [], 'lifetimes.code', 2],
    [
      'a lifetime that is a number',
      [AT_HOME, 'lifetimes: { accessToken: 5 }'],
      [],
      '"authority.lifetimes.accessToken": write a time with its unit, like 10m or 30d.',
      2,
    ],
    ['a time that is a number', [AT_HOME, 'eventsKept: 30'], [], 'write a time with its unit', 2],
    [
      'a port alone',
      [AT_HOME, 'listen: 9700'],
      [],
      '"authority.listen": write an address and a',
      2,
    ],
    [
      'metrics at a port alone',
      [AT_HOME, 'metrics: 9464'],
      [],
      '"authority.metrics": write an address and a port, like 127.0.0.1:9400, or false.',
      2,
    ],
    [
      'metrics where the authority listens',
      [AT_HOME, 'listen: 127.0.0.1:9400', 'metrics: 127.0.0.1:9400'],
      [],
      'authority.listen and authority.metrics are both 127.0.0.1:9400.',
      2,
    ],
    ['a misspelt key', [AT_HOME, 'isuer: x'], [], 'Did you mean "issuer"?', 2],
    [
      'the misspelt beginning of a key',
      [AT_HOME, 'lifetimes: { acess: 5m }'],
      [],
      'Did you mean "accessToken"?',
      2,
    ],
    [
      'a key that is like none',
      [AT_HOME, 'lifetimes: { login: 5m }'],
      [],
      'Known here: code, accessToken, refreshToken, grant, refreshGrace.',
      2,
    ],
    ['a password in the file', [AT_HOME, 'store: postgres://a:geheim@h/d'], [], '${env:NAME}', 2],
    ['a key in the file', [AT_HOME, 'adminKeys: [geheim]'], [], 'adminKeys 1', 2],
    ['a key that is short', [AT_HOME, 'adminKeys: ["${env:SHORT}"]'], [], 'too short', 2],
    ['too many workers', [AT_HOME], ['--workers', '1000'], '128 at most', 2],
    ['no workers', [AT_HOME], ['--workers', '0'], '1 or more', 2],
    [
      'a database that is not there',
      [AT_HOME, 'store: postgres://127.0.0.1:1/d'],
      [],
      'database',
      1,
    ],
  ])('%s', async (_, section, args, sentence, exitCode) => {
    write(...section)
    const env = { SHORT: 'short' }
    const ran = await rescind(['serve', ...args], { home: home.path, env })
    expect(ran.stderr).toContain(sentence)
    expect(ran.stderr).not.toMatch(/geheim|\n {4}at /)
    expect(ran.exitCode).toBe(exitCode)
  })
  test.each([
    'postgress://app:geheim@db.example/x',
    'mysql://app:geheim@db.example/x',
    'postgres:/app:geheim@db.example/x',
    '"postgres://app:geheim@db.example/x"',
    'file:///tmp/authority.db',
  ])('an address of no PostgreSQL, %s: it becomes no file', async (address) => {
    write(AT_HOME, 'store: "${env:PGU}"')
    const before = readdirSync(home.path)
    const ran = await rescind(['serve'], { home: home.path, env: { PGU: address } })
    expect(ran.stderr).toContain('begins neither with postgres:// nor with postgresql://')
    expect(ran.stderr).not.toContain('geheim')
    expect(ran.exitCode).toBe(2)
    expect(readdirSync(home.path)).toEqual(before)
  })
  test('no section', async () => {
    writeFileSync(join(home.path, 'rescind.yaml'), '')
    const ran = await run('serve')
    expect([ran.exitCode, ran.stderr]).toEqual([2, expect.stringContaining('no authority in')])
  })
  test.each([1, 2])('a port that is taken, with %i workers', async (workers) => {
    await serve()
    const child = spawnRescind(['serve', '--workers', String(workers)], { home: home.path })
    children.push(child)
    const { code, stderr } = await child.done
    expect(stderr).toContain('another process listens there')
    expect(stderr).not.toContain(' at ')
    expect(code).toBe(workers === 1 ? 2 : 1)
  })
  test('a store that is another issuer’s', async () => {
    await run('client', 'list')
    write('issuer: https://other.example')
    const ran = await run('serve')
    expect(ran.stderr).toContain('Give each issuer a store of its own.')
  })
})

const { missing } = await findPostgres()

describe.each(['SQLite', `PostgreSQL${missing ?? ''}`])('two homes on one store: %s', (kind) => {
  // Skipped only where no PostgreSQL can be started: the title says why.
  test.skipIf(kind !== 'SQLite' && missing !== undefined)(
    'the second key is refused until it is the same',
    async () => {
      using second = tempHome()
      const store = kind === 'SQLite' ? join(home.path, 'shared.db') : await newDatabase()
      const section = [`issuer: ${url}`, `listen: ${new URL(url).host}`, 'metrics: false']
      write(...section, 'store: "${env:STORE}"')
      const config = ['--config', join(home.path, 'rescind.yaml')]
      const at = (place: string, env = {}) => ({ home: place, env: { STORE: store, ...env } })
      const added = await rescind(['client', 'add', 'app', ...config], at(home.path))
      expect(added.exitCode).toBe(0)
      for (const args of [['serve'], ['serve', '--workers', '2'], ['client', 'list']]) {
        const ran = await rescind([...args, ...config], at(second.path))
        expect([ran.exitCode, ran.stderr]).toEqual([
          2,
          expect.stringMatching(
            /made with another key\. Give all its processes the same one, as R/,
          ),
        ])
      }
      const RESCIND_KEY = readFileSync(join(home.path, 'key'), 'utf8')
      const same = await rescind(['client', 'list', ...config], at(second.path, { RESCIND_KEY }))
      expect([same.exitCode, same.stdout]).toEqual([0, expect.stringContaining('app')])
    },
  )
})

describe('rescind client', () => {
  test('add prints a secret once, list never does, rotate-secret takes the old one away', async () => {
    const secret = await addClient('app', '--grant', 'client_credentials', '--scope', 'read')
    const [listed, shown] = [await run('client', 'list', '--json'), await run('client', 'list')]
    expect(listed.json.clients).toMatchObject([
      { id: 'app', scope: 'read', grantTypes: ['client_credentials'], enabled: true, secrets: 1 },
    ])
    expect(listed.stdout + shown.stdout).not.toContain(secret)
    expect(shown.stdout).toContain('client_secret_basic')
    const rotated = await run('client', 'rotate-secret', 'app', '--json')
    expect(rotated.json.secret).not.toBe(secret)
    await serve()
    const asked = (client_secret: string) =>
      post('/token', { grant_type: 'client_credentials', client_id: 'app', client_secret })
    expect((await asked(secret)).status).toBe(401)
    expect((await asked(rotated.json.secret)).status).toBe(200)
    const overlapped = await run('client', 'rotate-secret', 'app', '--overlap', '60', '--json')
    expect((await asked(rotated.json.secret)).status).toBe(200)
    expect((await asked(overlapped.json.secret)).status).toBe(200)
  })
  test('disable kills what the client holds, in a server that runs', async () => {
    const client = { client_id: 'app', client_secret: '' }
    client.client_secret = await addClient('app', '--grant', 'client_credentials')
    const reader = { client_id: 'api', client_secret: '' }
    reader.client_secret = await addClient('api', '--introspect', 'all')
    await serve()
    const token = await tokenOf(client)
    expect(await isActive(reader, token)).toBe(true)
    expect((await run('client', 'disable', 'app')).exitCode).toBe(0)
    expect(await isActive(reader, token)).toBe(false)
    const refused = await post('/token', { ...client, grant_type: 'client_credentials' })
    expect(refused.status).toBe(401)
  })
  test.each<[string, string[], string]>([
    ['an id with a space', ['add', 'a b'], 'cannot be a client id'],
    ['an unknown grant', ['add', 'a', '--grant', 'password'], 'authorization_code'],
    ['an unknown authentication', ['add', 'a', '--auth', 'magic'], 'private_key_jwt'],
    ['a redirect with a fragment', ['add', 'a', '--redirect-uri', 'https://a/#b'], 'fragment'],
    ['a script as redirect', ['add', 'a', '--redirect-uri', 'javascript:1'], '--redirect-uri'],
    ['an origin with a path', ['add', 'a', '--origin', 'https://a/b'], 'web origin'],
    ['a scope that is none', ['add', 'a', '--scope', 'read  write'], 'single spaces'],
    [
      'client credentials without a proof',
      ['add', 'a', '--auth', 'none', '--grant', 'client_credentials'],
      'cannot use client_credentials',
    ],
    ['keys that are not there', ['add', 'a', '--jwks', 'no.json'], '--jwks'],
    ['no keys for private_key_jwt', ['add', 'a', '--auth', 'private_key_jwt'], '--jwks'],
    [
      'no certificate for mTLS',
      ['add', 'a', '--auth', 'self_signed_tls_client_auth'],
      '--certificate',
    ],
    [
      'a fingerprint of openssl for a certificate',
      [...BY_CERTIFICATE, `sha256 Fingerprint=${FINGERPRINT}`],
      `Give ${CERTIFICATE_THUMBPRINT}.`,
    ],
    ['a certificate in a file', [...BY_CERTIFICATE, 'client.pem'], 'docs/authority.md'],
    [
      'a client that is not there',
      ['rotate-secret', 'a'],
      'There is no client "a". List them with: rescind client list',
    ],
    ['disabling one that is not there', ['disable', 'a'], 'There is no client "a"'],
  ])('%s is one sentence', async (_, args, sentence) => {
    const ran = await run('client', ...args)
    expect(ran.stderr).toContain(sentence)
    expect(ran.exitCode).toBe(2)
  })
  test('a client by certificate is told what the authority needs to see one', async () => {
    const add = (id: string) =>
      run('client', 'add', id, ...BY_CERTIFICATE.slice(2), CERTIFICATE_THUMBPRINT)
    expect((await add('blind')).stderr).toContain('authority.certificateHeader')
    const seeing = '  certificateHeader: x-client-cert\n  trustedProxies: [127.0.0.1]\n'
    appendFileSync(join(home.path, 'rescind.yaml'), seeing)
    expect((await add('seen')).stderr).toBe('')
  })
  test.each([
    ['client', 'list'],
    ['authority', 'keys', 'list'],
  ])('%s %s: on a pipe nothing is cut', async (...args) => {
    const id = `a-client-with-a-long-name-${'x'.repeat(80)}`
    await addClient(id, '--scope', 'read write', '--jwt')
    await run('authority', 'keys', 'rotate')
    const { stdout, exitCode } = await run(...args)
    expect(exitCode).toBe(0)
    expect(stdout).not.toContain('…')
    if (args[0] === 'client') expect(stdout).toContain(id)
    else expect(stdout).toMatch(/^[\da-f-]{36} /m)
  })
  test('a secret that a public client has not cannot be rotated; an id is taken once', async () => {
    expect(await addClient('pub', '--auth', 'none')).toBe(null)
    expect((await run('client', 'rotate-secret', 'pub')).stderr).toContain('has no secret')
    expect((await run('client', 'add', 'pub')).stderr).toContain('already')
  })
  test('private keys in a file of --jwks are refused', async () => {
    writeFileSync(join(home.path, 'k.json'), '{"keys":[{"kty":"EC","d":"geheim"}]}')
    const ran = await run('client', 'add', 'a', '--auth', 'private_key_jwt', '--jwks', 'k.json')
    expect(ran.stderr).toContain('public keys')
    expect(ran.stderr).not.toContain('geheim')
  })
})

describe('rescind authority revoke', () => {
  test('counts, changes nothing dry, wants the count, and then all is dead', async () => {
    const client = { client_id: 'app', client_secret: '' }
    client.client_secret = await addClient('app', '--grant', 'client_credentials')
    await serve()
    const tokens = [await tokenOf(client), await tokenOf(client)]
    const dry = await run('authority', 'revoke', '--client', 'app', '--dry-run', '--json')
    expect(dry.json).toEqual({
      reach: 'client app',
      counted: { grants: 1, tokens: 2 },
      revoked: false,
    })
    const missing = await run('authority', 'revoke', '--client', 'app')
    expect([missing.exitCode, missing.stderr]).toEqual([2, expect.stringContaining('--confirm 1')])
    const wrong = await run('authority', 'revoke', '--client', 'app', '--confirm', '7')
    expect([wrong.exitCode, wrong.stderr]).toEqual([2, expect.stringContaining('Nothing was')])
    expect(await isActive(client, tokens[0] ?? '')).toBe(true)
    const done = await run('authority', 'revoke', '--client', 'app', '--confirm', '1')
    expect(done.stdout).toContain('Revoked 1 live grant with 2 live tokens of client app.')
    for (const token of tokens) expect(await isActive(client, token)).toBe(false)
    expect(await isActive(client, await tokenOf(client))).toBe(true)
  })
  test('a client that is not there is an error, and a user of whom nothing lives is no success', async () => {
    for (const args of [['--confirm', '0'], ['--dry-run']]) {
      const ran = await run('authority', 'revoke', '--client', 'no-such', ...args)
      expect([ran.exitCode, ran.stdout]).toEqual([2, ''])
      expect(ran.stderr).toContain('There is no client "no-such".')
    }
    const none = await run('authority', 'revoke', '--user', 'no-such', '--confirm', '0')
    expect(none.stdout).toContain('Nothing of user no-such was alive.')
    expect(none.stdout).toContain('What had begun to be issued is dead as well')
    expect(none.stdout).not.toContain('Revoked')
    const grant = ['authority', 'revoke', '--grant', '999999', '--confirm', '0']
    expect((await run(...grant)).stdout).toContain('There is no grant 999999: none was started')
    expect((await run(...grant, '--json')).json.revoked).toBe(false)
  })
  test('keys and secrets that it does not use may be missing: it runs from any shell', async () => {
    const aside = [
      'adminKeys: ["${env:GONE_ADMIN}"]',
      'webhooks: [{ url: "https://siem.example.com/in", secret: "${env:GONE_HOOK}" }]',
      'globalRevocation: [{ name: idp, key: "${env:GONE_IDP}" }]',
    ]
    write(`issuer: ${url}`, ...aside)
    expect((await run('client', 'add', 'app')).exitCode).toBe(0)
    const revoked = await run('authority', 'revoke', '--client', 'app', '--confirm', '0')
    expect([revoked.exitCode, revoked.stderr]).toEqual([0, ''])
    const explained = await run('authority', 'explain', `fp_${'0'.repeat(24)}`)
    expect(explained.stderr).toContain('No token has the fingerprint')
    for (const [args, name] of [
      [['serve'], 'GONE_'],
      [['authority', 'webhooks', 'list'], 'GONE_HOOK'],
    ] as const) {
      const ran = await run(...args)
      expect(ran.exitCode).toBe(2)
      expect(ran.stderr).toContain(name)
    }
  })
  test('what looks writes nothing: --dry-run, client list', async () => {
    await addClient('app')
    const contents = () => {
      using database = new DatabaseSync(join(home.path, 'authority.db'))
      const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
      return tables.map(({ name }) => [name, database.prepare(`SELECT * FROM "${name}"`).all()])
    }
    const before = contents()
    await run('authority', 'revoke', '--client', 'app', '--dry-run')
    await run('client', 'list')
    expect(contents()).toEqual(before)
    const rows = Object.fromEntries(before as [string, unknown[]][])
    expect([rows.grant, rows.token, rows.used_once]).toEqual([[], [], []])
  })
  test.each<[string, string[], string]>([
    ['nothing', [], 'Say what to revoke'],
    ['a session and a user', ['--session', 's', '--user', 'u'], 'stands alone'],
    ['a session and a grant', ['--session', 's', '--grant', '0'], 'stands alone'],
    ['a grant that is no number', ['--grant', 'x'], 'whole number'],
    ['an empty user', ['--user', ''], 'needs a name'],
    ['no moment', ['--issued-before', 'yesterday'], '2025-08-08'],
    ['a day that is not there', ['--issued-before', '2025-13-08'], '2025-08-08'],
    [
      'a moment to come',
      ['--issued-before', '2999-01-01'],
      'The moment --issued-before lies ahead',
    ],
    ['nothing but a wish to see', ['--dry-run'], 'by --issued-before what is older'],
  ])('%s is one sentence', async (_, args, sentence) => {
    const ran = await run('authority', 'revoke', ...args)
    expect(ran.stderr).toContain(sentence)
    expect(ran.exitCode).toBe(2)
  })
})

describe('rescind authority explain', () => {
  test('says why a token is dead, by which cascade and whom', async () => {
    const client = { client_id: 'app', client_secret: '' }
    client.client_secret = await addClient('app', '--grant', 'client_credentials')
    const section = [`issuer: ${url}`, `listen: ${new URL(url).host}`, 'metrics: false']
    write(...section, 'adminKeys: ["${env:ADMIN_KEY}"]')
    await serve()
    const token = await tokenOf(client)
    await post('/revoke', { ...client, token })
    const events = await fetch(`${url}/admin/events`, {
      headers: { authorization: `Bearer ${SECRETS.ADMIN_KEY}` },
    })
    const { events: all } = (await events.json()) as { events: { type: string; token: string }[] }
    const fingerprint = all.find(({ type }) => type === 'token.revoked')?.token ?? ''
    const told = await run('authority', 'explain', fingerprint, '--json')
    expect(told.json).toMatchObject({
      state: 'dead',
      cause: 'revocation_endpoint',
      clientId: 'app',
    })
    const said = await run('authority', 'explain', fingerprint)
    expect(said.stdout).toContain(`${fingerprint}, access token, is dead since `)
    expect(said.stdout).not.toContain(token)
  })
  test('takes the token itself on standard input: that of an access token no event names', async () => {
    const client = { client_id: 'app', client_secret: '' }
    client.client_secret = await addClient('app', '--grant', 'client_credentials')
    await serve()
    const token = await tokenOf(client)
    await run('authority', 'revoke', '--client', 'app', '--confirm', '1')
    const explain = (stdin: string) =>
      rescind(['authority', 'explain', '-'], { home: home.path, env: SECRETS, stdin })
    const told = await explain(`${token}\n`)
    expect(told.exitCode).toBe(0)
    expect(told.stdout).toMatch(/^fp_[0-9a-f]{24}, access token, is dead since /)
    expect(told.stdout + told.stderr).not.toContain(token)
    const unknown = await explain(`${token.slice(0, -1)}`)
    expect([unknown.exitCode, unknown.stderr]).toEqual([
      2,
      expect.stringContaining('It is no token of this authority'),
    ])
    expect(unknown.stderr).not.toContain(token.slice(0, -1))
    expect((await explain('')).stderr).toContain('The token is empty')
  })
  test.each([
    ['a token itself', 'rsc_at_abc', 'never given as an argument'],
    ['one that is not known', `fp_${'0'.repeat(24)}`, 'No token has the fingerprint'],
  ])('%s is one sentence', async (_, what, sentence) => {
    const ran = await run('authority', 'explain', what)
    expect([ran.exitCode, ran.stderr]).toEqual([2, expect.stringContaining(sentence)])
  })
})
