import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import { walkLogin } from '../emulators/clients/login-walk.ts'
import { freePort } from '../support/free-port.ts'
import { type Child, rescind, spawnRescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'
import { answer, startRawServer } from './raw-server.ts'

let org: SalesforceOrg
let home: ReturnType<typeof tempHome>
let base: string
let callback: string
let port: number
const children: Child[] = []

beforeEach(async () => {
  org = await startSalesforce({ seed: 9, size: { users: 30, apps: 14, tokens: 60 } })
  home = tempHome()
  port = await freePort()
  base = `http://127.0.0.1:${port}/connections`
  callback = `${base}/callback`
  write(`connections: { listen: "127.0.0.1:${port}" }`)
})
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.process.kill('SIGKILL')
    await child.done
  }
  await org.close()
  home[Symbol.dispose]()
})

const env = () => ({ APP_SECRET: org.credentials.connected.clientSecret })
const run = (...args: string[]) => rescind(args, { home: home.path, env: env() })

function write(...sections: string[]): void {
  const tenant = `tenants:
  crm:
    provider: salesforce
    url: ${org.url}
    app:
      clientId: ${org.credentials.connected.clientId}
      clientSecret: \${env:APP_SECRET}
      redirectUri: ${callback}
      scopes: [api, refresh_token]
`
  writeFileSync(join(home.path, 'rescind.yaml'), tenant + sections.join('\n'))
}

/** An OpenID provider that takes long to give a token, and as long to say whose it is. */
async function startSlowProvider() {
  const [slowMs, asked] = [700, Promise.withResolvers<void>()]
  const server = await startRawServer(async ({ path }, response) => {
    if (path.includes('/.well-known/')) {
      const at = (name: string) => [`${name}_endpoint`, `${server.url}/${name}`]
      const endpoints = ['authorization', 'token', 'userinfo'].map(at)
      return answer(response, 200, { issuer: server.url, ...Object.fromEntries(endpoints) })
    }
    asked.resolve()
    await sleep(slowMs)
    if (path === '/userinfo') return answer(response, 200, { sub: 'ada' })
    const tokens = { access_token: 'at', refresh_token: 'rt', expires_in: 600 }
    answer(response, 200, { ...tokens, token_type: 'bearer' })
  })
  return {
    asked: asked.promise,
    tenant: () => `tenants:
  idp:
    provider: oauth2
    url: ${server.url}
    app: { clientId: app, redirectUri: "${callback}", scopes: [openid] }
connections: { listen: "127.0.0.1:${port}" }`,
    [Symbol.asyncDispose]: () => server.close(),
  }
}

async function serve(...args: string[]): Promise<Child> {
  const child = spawnRescind(['serve', ...args], { home: home.path, env: env() })
  children.push(child)
  const ready = once(child.process.stdout as NodeJS.ReadableStream, 'data').then(() => true)
  if (await Promise.race([ready, child.done.then(() => false)])) return child
  throw new Error((await child.done).stderr)
}

describe('rescind serve with connections', () => {
  it('brings an owner back: invited by the command, consenting in a browser, read by a platform', async () => {
    const child = await serve()
    const { key } = (await run('connection', 'key', 'add', 'billing', '--json')).json
    const invited = (await run('connection', 'invite', '--owner', 'acme', '--json')).json
    const person = { ...org.credentials.admin, decision: 'Allow' } as const
    const query = await walkLogin(invited.url, callback, person)
    const page = await fetch(`${callback}?${query}`)
    expect(page.status).toBe(200)
    expect(await page.text()).toContain('<title>The connection works<')
    const headers = { authorization: `Bearer ${key}` }
    const read = await fetch(`${base}/${invited.connection}`, { headers })
    expect(await read.json()).toMatchObject({ state: 'connected', owner: 'acme' })
    expect((await fetch(`${base}/${invited.connection}`)).status).toBe(401)
    const check = await run('connection', 'check', invited.connection, '--json')
    expect(check.json.connection.state).toBe('connected')

    child.process.kill('SIGTERM')
    const { code, stdout, stderr } = await child.done
    expect(code, stderr).toBe(0)
    expect(stdout).toContain(`The connections are served at ${base}.`)
    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.filter(({ endpoint }) => endpoint === '/connections/callback')).toHaveLength(1)
    const secrets = [key, query.get('code'), query.get('state'), env().APP_SECRET]
    for (const secret of secrets) expect(stdout + stderr).not.toContain(secret)
  })

  it('stores a grant that comes while it stops, with whose it is, though its owner waits no longer', async () => {
    await using provider = await startSlowProvider()
    writeFileSync(join(home.path, 'rescind.yaml'), provider.tenant())
    const child = await serve()
    const invited = (await run('connection', 'invite', '--owner', 'acme', '--json')).json
    const query = { state: new URL(invited.url).searchParams.get('state') ?? '', code: 'code' }
    const owner = new AbortController()
    const address = `${callback}?${new URLSearchParams(query)}`
    const left = fetch(address, { signal: owner.signal }).catch(({ name }) => name)
    await provider.asked
    child.process.kill('SIGTERM')
    owner.abort()
    expect(await left).toBe('AbortError')
    const { code, stderr } = await child.done
    expect(code, stderr).toBe(0)
    const read = await run('connection', 'show', invited.connection, '--json')
    expect(read.json.connection).toMatchObject({ state: 'connected', identity: { user: 'ada' } })
  })

  it('serves beside an authority, on a port of its own', async () => {
    const own = await freePort()
    write(
      `authority: { issuer: "http://127.0.0.1:${own}", listen: "127.0.0.1:${own}", metrics: false }`,
      `connections: { listen: "127.0.0.1:${port}" }`,
    )
    await serve('--workers', '2')
    expect((await fetch(`http://127.0.0.1:${own}/health`)).status).toBe(200)
    expect((await fetch(`${base}/openapi.json`)).status).toBe(200)
  })

  test.each<[string, string, RegExp]>([
    [
      'an address that others can reach',
      'connections: { listen: "0.0.0.0:9401" }',
      /connections\.listen is 0\.0\.0\.0.*plain HTTP/,
    ],
    ['a change that is none', 'connections: { acceptChanges: [all] }', /acceptChanges/],
    [
      'neither connections nor an authority',
      '',
      /There is no authority in .*, and there are no connections.* Add authority: \{ issuer: ".*" \}, or connections: \{ listen: "127\.0\.0\.1:9401" \}/,
    ],
  ])('%s is refused', async (_title, section, words) => {
    write(section)
    const ran = await run('serve')
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toMatch(words)
  })
})

describe('rescind connection key', () => {
  it('prints a key once, lists it without, and removes it', async () => {
    const added = await run('connection', 'key', 'add', 'billing', '--json')
    const { id, key } = added.json
    expect(key).toMatch(/^rsk_[\w-]{43}$/)
    const listed = await run('connection', 'key', 'list')
    expect(listed.stdout).toContain('billing')
    expect(listed.stdout).not.toContain(key)
    expect((await run('connection', 'key', 'remove', id)).exitCode).toBe(0)
    expect((await run('connection', 'key', 'list')).stdout).toContain('removed')
    const again = await run('connection', 'key', 'remove', id)
    expect(again.exitCode).toBe(2)
    expect(again.stderr).toMatch(/There is no good key/)
  })
})

describe('rescind connection link', () => {
  it('of an unknown connection is one sentence', async () => {
    const ran = await run('connection', 'link', 'con_0000000000')
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toMatch(/There is no connection "con_0000000000"/)
  })
})
