// Runs `rescind revoke` and `rescind conformance` against authorization servers that others wrote and
// Debian packages: django-oauth-toolkit, Authlib. Where they cannot be installed it says so, and ends well.
import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { installDebian, PYTHON } from './debian-packages.mjs'
import { authlibConfig, checkConformance, djangoConfig } from './peers-conformance.mjs'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const MAIN = join(ROOT, 'src', 'cli', 'main.ts')
const DJANGO = { packages: ['python3-django-oauth-toolkit'], imports: 'oauth2_provider' }
const AUTHLIB = {
  packages: ['python3-authlib', 'python3-flask', 'python3-sqlalchemy'],
  imports: 'authlib, flask, sqlalchemy',
}
/** An import of Django and its migrations take seconds on a small machine. */
const START_MS_MAX = 60_000
const RUN_MS_MAX = 60_000

await withServer(DJANGO, 'django', async (server) => {
  const rows = await runCases(server)
  print(server, rows)
  const title = `django-oauth-toolkit ${server.toolkit} on Django ${server.django}`
  const ran = await checkConformance(ROOT, title, djangoConfig(ROOT, server))
  return ran && rows.every(({ ok }) => ok)
})
await withServer(AUTHLIB, 'authlib', (server) =>
  checkConformance(ROOT, `Authlib ${server.authlib}`, authlibConfig(server)),
)

/** Starts a server of test/peers where its packages can be had, and ends it after its checks. */
async function withServer(needs, folder, check) {
  const trouble = installDebian(needs)
  if (trouble) return console.log(`skipped: ${trouble}`)
  const server = await start(folder)
  try {
    if (!(await check(server))) process.exitCode = 1
  } finally {
    server.process.kill()
  }
}

async function start(folder) {
  const script = join(ROOT, 'test', 'peers', folder, 'serve.py')
  const child = spawn(PYTHON, ['-B', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const timer = setTimeout(() => child.kill(), START_MS_MAX)
  for await (const line of createInterface({ input: child.stdout })) {
    clearTimeout(timer)
    return { ...JSON.parse(line), process: child }
  }
  throw new Error(`The server of test/peers/${folder} did not start: see its message above.`)
}

/** Every client type, token and hint, with and without --verify; then what must be refused. */
function* cases() {
  for (const [client, auth] of [
    ['confidential', 'client_secret_basic'],
    ['confidential', 'client_secret_post'],
    ['public', 'none'],
  ]) {
    for (const kind of ['access', 'refresh']) {
      for (const hint of [undefined, 'access_token', 'refresh_token']) {
        for (const verify of [false, true]) {
          // The toolkit's introspection knows access tokens alone, and answers clients with a secret.
          const provable = client === 'confidential' && kind === 'access'
          const exit = verify && !provable ? 5 : 0
          const proof = verify && provable ? 'inactive' : 'acked'
          yield { client, auth, kind, hint, verify, want: { exit, proof, alive: false } }
        }
      }
    }
  }
  const basic = {
    client: 'confidential',
    auth: 'client_secret_basic',
    kind: 'access',
    verify: true,
  }
  yield {
    ...basic,
    title: 'unknown token',
    token: 'nobody-issued-this',
    want: { exit: 5, proof: 'acked', alive: false },
  }
  yield {
    ...basic,
    title: 'wrong secret',
    secret: 'wrong-secret',
    want: { exit: 3, proof: 'sent', alive: true },
  }
  // Before 3.4.1 the toolkit let any client revoke any token; later it leaves it alone and says 200.
  yield { ...basic, title: 'foreign token', owner: 'other', want: { honest: true } }
  yield {
    ...basic,
    client: 'public',
    auth: 'none',
    title: 'foreign token',
    owner: 'other',
    want: { honest: true },
  }
}

async function runCases(server) {
  const rows = []
  for (const one of cases()) {
    const owner = server.clients[one.owner ?? one.client]
    const tokens = await post(`${server.url}/control/grant`, { client_id: owner.id })
    const token = one.token ?? tokens[one.kind]
    const run = await revoke(server, one, token)
    const { alive } = await post(`${server.url}/control/alive`, { token })
    rows.push({ one, run, alive, ok: judge(one, run, alive) })
  }
  return rows
}

/** Whatever was expected, nothing that is alive may be called dead, and nothing secret be printed. */
function judge({ want }, { exit, proof, dead, leaked }, alive) {
  if (leaked || proof === undefined || (dead && alive) || (exit === 0 && alive)) return false
  return want.honest || (want.exit === exit && want.proof === proof && want.alive === alive)
}

function revoke(server, one, token) {
  const { id, secret } = server.clients[one.client]
  const known = { SECRET: one.secret ?? secret }
  const args = [
    ...['revoke', '--json', '--endpoint', `${server.url}/o/revoke_token/`],
    ...['--introspection-endpoint', `${server.url}/o/introspect/`],
    ...['--client-id', id, '--client-auth', one.auth],
    ...(one.auth === 'none' ? [] : ['--client-secret-env', 'SECRET']),
    ...(one.hint ? ['--hint', one.hint] : []),
    ...(one.verify ? ['--verify'] : []),
  ]
  return new Promise((resolve) => {
    const env = { ...process.env, ...known }
    const child = spawn(process.execPath, [MAIN, ...args], { env, timeout: RUN_MS_MAX })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk) => (out += chunk))
    child.stderr.on('data', (chunk) => (err += chunk))
    child.on('close', (exit) => {
      const leaked = [token, known.SECRET].some((value) => `${out}${err}`.includes(value))
      const result = out.startsWith('{') ? JSON.parse(out) : { outcome: err.trim().slice(0, 60) }
      resolve({ exit, leaked, ...result })
    })
    child.stdin.end(`${token}\n`)
  })
}

async function post(url, fields) {
  const answer = await fetch(url, { method: 'POST', body: new URLSearchParams(fields) })
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`)
  return await answer.json()
}

function print(server, rows) {
  console.log(`django-oauth-toolkit ${server.toolkit} on Django ${server.django}, over a socket`)
  const head = [
    'client',
    'authentication',
    'token',
    'hint',
    'verify',
    'outcome',
    'proof',
    'exit',
    'then',
    '',
  ]
  const cells = rows.map(({ one, run, alive, ok }) => [
    one.client,
    one.auth,
    one.title ?? one.kind,
    one.hint ?? '-',
    one.verify ? 'yes' : '-',
    String(run.outcome),
    String(run.proof ?? '-'),
    String(run.exit),
    alive ? 'alive' : 'gone',
    ok ? 'passed' : 'FAILED',
  ])
  const widths = head.map((title, at) =>
    Math.max(title.length, ...cells.map((row) => row[at].length)),
  )
  for (const row of [head, ...cells]) {
    console.log(
      row
        .map((cell, at) => cell.padEnd(widths[at]))
        .join('  ')
        .trimEnd(),
    )
  }
  const passed = rows.filter(({ ok }) => ok).length
  console.log(`\n${passed} passed, ${rows.length - passed} failed`)
}
