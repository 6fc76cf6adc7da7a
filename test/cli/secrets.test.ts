import { readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createSalesforce, type SalesforceOptions } from '../../emulators/index.ts'
import {
  type CliOptions,
  rescind,
  secretsOf,
  spawnRescind,
  tenantArgs,
} from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

/** A secret this short would be found by chance. */
const SECRET_CHARS_MIN = 12

/** Starts an org that remembers every request line, query and all, and every header but the one for it. */
async function startWitnessed(options: SalesforceOptions) {
  const { handler, setOrigin, ...org } = createSalesforce(options)
  const seen: string[] = []
  const server = createServer((incoming, response) => {
    const { authorization: _, ...others } = incoming.headers
    seen.push(`${incoming.method} ${incoming.url} ${JSON.stringify(others)}`)
    handler(incoming, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  setOrigin(url)
  const close = async () => {
    server.closeAllConnections()
    server.close()
  }
  return { ...org, url, seen, close, [Symbol.asyncDispose]: close }
}

/** Finds any of many secrets in a text in one pass: its words are looked up, and not the secrets. */
function findSecret(text: string, secrets: ReadonlySet<string>): string | undefined {
  const lengths = [...new Set([...secrets].map((secret) => secret.length))]
  const forms = [text, safelyDecoded(text)]
  for (const form of forms) {
    for (const [word] of form.matchAll(/[\w.!~*'()/+=%$-]{12,}/g)) {
      for (const length of lengths) {
        for (let at = 0; at + length <= word.length; at += 1) {
          const part = word.slice(at, at + length)
          if (secrets.has(part)) return part
        }
      }
    }
  }
  return undefined
}

function safelyDecoded(text: string): string {
  return text.replace(/%[0-9a-f]{2}/gi, (code) =>
    String.fromCharCode(Number.parseInt(code.slice(1), 16)),
  )
}

/** All files below a folder, as Latin-1 text so that no byte is lost. */
function filesBelow(folder: string): { path: string; text: string }[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => ({ path, text: readFileSync(path, 'latin1') }))
}

async function argvOf(pid: number | undefined): Promise<string> {
  await sleep(150)
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
}

test('the whole path of a sweep: no secret of the org or of the run in any output, file, byte of the store, URL or argument', {
  timeout: 120_000,
}, async () => {
  using home = tempHome()
  await using org = await startWitnessed({
    seed: 8,
    size: { users: 30, apps: 16, tokens: 300 },
    switches: { rotation: 'all' },
    faults: [
      { kind: 'error_500_after_effect', on: 'revoke', nth: [3, 9] },
      { kind: 'bad_id_404', on: 'revoke', nth: 5 },
      { kind: 'session_expired', on: 'query', nth: 40 },
    ],
  })
  const at: CliOptions = { home: home.path, env: secretsOf(org) }
  const said: string[] = []
  const run = async (args: readonly string[], more: Partial<CliOptions> = {}) => {
    const ran = await rescind(args, { ...at, ...more })
    said.push(ran.stdout, ran.stderr)
    return ran
  }
  const { clientId } = org.credentials.tool
  const refreshing = [
    ...['tenant', 'add', 'tool', '--url', org.url, '--login', 'refresh_token'],
    ...['--set', `clientId=${clientId}`, '--set', `refreshToken=\${env:TEST_REFRESH_TOKEN}`],
  ]
  expect((await run(tenantArgs(org))).exitCode).toBe(0)
  expect((await run(refreshing)).exitCode).toBe(0)
  for (const args of [
    ['tenant', 'list'],
    ['tenant', 'check', 'acme'],
    ['tenant', 'check', 'tool'],
    ['inventory', '--tenant', 'tool'],
  ]) {
    expect((await run([...args, '--debug'])).exitCode).toBe(0)
  }
  const planned = await run([
    'plan',
    '--tenant',
    'acme',
    '--app',
    '*',
    '--user-inactive',
    '--out',
    'plan.json',
    '--json',
  ])
  const { plan, chosen } = planned.json

  // As a process of its own, whose arguments everybody on the machine can read.
  const child = spawnRescind(
    ['apply', plan, '--confirm', `${chosen}`, '--second-look', '1s', '--debug'],
    at,
  )
  said.push(await argvOf(child.process.pid))
  const { code, stdout, stderr } = await child.done
  said.push(stdout, stderr)
  expect(code, stderr).toBe(0)

  for (const args of [
    ['verify'],
    ['report', '--html', 'report.html', '--csv', 'report.csv'],
    ['report', '--json'],
    ['show', plan],
    ['show', plan, '--json'],
    ['runs', '--json'],
  ]) {
    expect((await run(args)).exitCode).toBe(0)
  }
  // And where it goes wrong: the vendor echoes what it was given.
  await run(['inventory', '--tenant', 'acme', '--debug'], {
    env: { ...at.env, TEST_CLIENT_SECRET: 'a-wrong-secret-of-the-run' },
  })
  org.setFaults([{ kind: 'html_200', on: 'token' }])
  await run(['tenant', 'check', 'tool', '--debug'])
  await run(['tenant', 'check', 'tool', '--debug', '--json'])

  const files = filesBelow(home.path)
  const names = files.map(({ path }) => path.slice(home.path.length + 1))
  expect(names).toEqual(
    expect.arrayContaining([
      'rescind.db',
      'rescind.yaml',
      'key',
      'plan.json',
      'report.html',
      'report.csv',
    ]),
  )
  for (const { path } of files) expect(statSync(path).mode & 0o077, path).toBe(0)

  const secrets = new Set(
    [...org.truth.secrets(), 'a-wrong-secret-of-the-run'].filter(
      (s) => s.length >= SECRET_CHARS_MIN,
    ),
  )
  expect(secrets.size).toBeGreaterThan(600)
  const key = files.find(({ path }) => path.endsWith('/key'))?.text.trim() ?? ''
  expect(key).toHaveLength(44)
  const everywhere = [
    ...said.map((text) => ({ path: 'an output', text })),
    ...org.seen.map((text) => ({ path: 'a request line', text })),
    ...files.filter(({ path }) => !path.endsWith('/key')),
  ]
  expect(org.seen.length).toBeGreaterThan(200)
  for (const { path, text } of everywhere) {
    const found = findSecret(text, secrets)
    expect(
      found === undefined ? 'no secret' : `a secret of ${found.length} characters in ${path}`,
    ).toBe('no secret')
    expect(text.includes(key), `the store's key is in ${path}`).toBe(false)
  }
  // The search itself can find one.
  const [one = ''] = secrets
  expect(findSecret(`x=${encodeURIComponent(one)}&y`, secrets)).toBe(one)
})
