// Runs `rescind conformance` against servers that Debian packages, and prints what it finds.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A command makes each token: with the default of 50 races it would take minutes. */
const RACES = 10
const SAMPLES = 60
const RUN_MS_MAX = 600_000

/** The clients file for django-oauth-toolkit: its control makes the tokens. */
export function djangoConfig(root, { url, clients }) {
  const client = ({ id, secret }, auth) => ({ id, auth, ...(auth !== 'none' && { secret }) })
  return {
    endpoints: {
      token: `${url}/o/token/`,
      revocation: `${url}/o/revoke_token/`,
      introspection: `${url}/o/introspect/`,
    },
    clients: {
      c1: client(clients.confidential, 'client_secret_basic'),
      c2: client(clients.other, 'client_secret_basic'),
      p1: client(clients.public, 'none'),
    },
    tokens: {
      user: {
        by: 'command',
        run: [process.execPath, join(root, 'test/peers/grant.mjs'), `${url}/control/grant`],
      },
    },
  }
}

/** The clients file for Authlib: the code flow, by its own page. */
export function authlibConfig({ url, secret, redirect, clients }) {
  return {
    endpoints: {
      authorization: `${url}/authorize`,
      token: `${url}/token`,
      revocation: `${url}/revoke`,
      introspection: `${url}/introspect`,
    },
    clients: Object.fromEntries(
      Object.entries(clients).map(([id, auth]) => [
        id,
        { id, auth, ...(auth !== 'none' && { secret }) },
      ]),
    ),
    tokens: {
      user: {
        by: 'code',
        redirectUri: redirect,
        scope: 'read write',
        fields: { user: 'ann' },
        secondUser: { user: 'bob' },
      },
      service: { by: 'client_credentials', scope: 'read' },
    },
    resource: { url: `${url}/resource` },
  }
}

/** Runs the suite, prints each failure in a line, and says whether the run itself went well. */
export async function checkConformance(root, title, config) {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-peers-'))
  try {
    const file = join(folder, 'clients.yaml')
    // JSON is YAML.
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
    const { exit, out, err } = await run(root, file)
    const report = out.startsWith('{') ? JSON.parse(out) : undefined
    if (report?.totals === undefined) {
      console.log(`\n${title}: the run failed (exit ${exit}): ${err.trim().slice(0, 400)}`)
      return false
    }
    print(title, report)
    return report.stopped === null
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function run(root, file) {
  const args = ['conformance', '--config', file, '--json']
  args.push('--races', String(RACES), '--samples', String(SAMPLES))
  const main = join(root, 'src', 'cli', 'main.ts')
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [main, ...args], { timeout: RUN_MS_MAX })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk) => (out += chunk))
    child.stderr.on('data', (chunk) => (err += chunk))
    child.on('close', (exit) => resolve({ exit, out, err }))
  })
}

function print(title, { totals, results, requests }) {
  const counts = Object.entries(totals).map(([name, count]) => `${count} ${name}`)
  console.log(`\nConformance of ${title}: ${counts.join(', ')} (${requests} requests)`)
  for (const { id, level, verdict, title: name, what, evidence } of results) {
    if (verdict !== 'fail' && verdict !== 'inconclusive') continue
    console.log(`  ${id} ${verdict} (${level}) ${name}: ${what}`)
    if (process.argv.includes('--evidence')) {
      for (const { request, answer } of evidence) console.log(`${request}\n--\n${answer}\n`)
    }
  }
}
