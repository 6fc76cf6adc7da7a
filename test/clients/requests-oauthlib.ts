import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../support/free-port.ts'
import { rescind, spawnRescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'
import type { CaseResult } from './client-case.ts'
import { runPythonCases } from './python-cases.ts'

const SCRIPT = fileURLToPath(new URL('./requests_oauthlib_check.py', import.meta.url))
const CALLBACK = 'http://127.0.0.1/callback'
const METHODS = ['client_secret_basic', 'client_secret_post', 'none']

/** Runs requests-oauthlib's cases against `rescind serve`, by each way in which it proves a client. */
export async function runRequestsOauthlib(python: string): Promise<CaseResult[]> {
  using home = tempHome()
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const section = `issuer: ${issuer}\n  listen: 127.0.0.1:${port}\n  metrics: false`
  writeFileSync(join(home.path, 'rescind.yaml'), `authority:\n  ${section}\n`)
  const add = async (id: string, ...args: string[]): Promise<string | null> => {
    const added = await rescind(['client', 'add', id, '--json', ...args], { home: home.path })
    if (added.exitCode !== 0) throw new Error(added.stderr)
    return added.json.secret
  }
  const clients: object[] = []
  for (const auth of METHODS) {
    const id = `app-${auth}`
    const secret = await add(id, '--auth', auth, '--redirect-uri', CALLBACK, '--scope', 'read')
    clients.push({ id, auth, secret })
  }
  const apiSecret = await add('api', '--introspect', 'all')
  await using _ = await serve(home.path)
  await using api = await startApi(issuer, apiSecret ?? '')
  // oauthlib refuses plain HTTP, on loopback too, unless it is told.
  const env = { ...process.env, OAUTHLIB_INSECURE_TRANSPORT: '1' }
  const script = { client: 'requests-oauthlib', python, script: SCRIPT, env }
  return await runPythonCases(script, { issuer, api: api.url, callback: CALLBACK, clients })
}

/** Starts the authority with the login that believes anybody, and waits until it listens. */
async function serve(home: string): Promise<AsyncDisposable> {
  const child = spawnRescind(['serve', '--dev-login', '--log-level', 'warn'], { home })
  const ready = once(child.process.stdout as NodeJS.ReadableStream, 'data').then(() => true)
  if (!(await Promise.race([ready, child.done.then(() => false)]))) throw new Error(child.stderr())
  return {
    async [Symbol.asyncDispose]() {
      child.process.kill('SIGTERM')
      await child.done
    },
  }
}

/** Starts a protected route, which asks the authority about each token that it is shown. */
async function startApi(issuer: string, secret: string) {
  const basic = Buffer.from(`api:${secret}`).toString('base64')
  const server = createServer(async (request, response) => {
    const token = request.headers.authorization?.replace(/^Bearer /i, '') ?? ''
    const answer = await fetch(`${issuer}/introspect`, {
      method: 'POST',
      headers: { authorization: `Basic ${basic}` },
      body: new URLSearchParams({ token }),
    })
    const known = (answer.ok ? await answer.json() : { active: false }) as Record<string, unknown>
    response.writeHead(known.active ? 200 : 401).end(known.active ? `hello ${known.sub}` : '')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}
