import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { type Child, rescind, spawnRescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

/** An authority that is the provider, and a platform that keeps connections at it: two homes, two processes. */
let provider: ReturnType<typeof tempHome>
let platform: ReturnType<typeof tempHome>
let issuer: string
let base: string
let secret: string
let key: string
let authority: Child
const children: Child[] = []

beforeEach(async () => {
  provider = tempHome()
  platform = tempHome()
  const [at, own] = [await freePort(), await freePort()]
  issuer = `http://127.0.0.1:${at}`
  base = `http://127.0.0.1:${own}/connections`
  secret = 'of-a-client-that-is-not-there-yet'
  const listen = `{ issuer: "${issuer}", listen: "127.0.0.1:${at}", metrics: false }`
  writeFileSync(join(provider.path, 'rescind.yaml'), `authority: ${listen}\n`)
  writeFileSync(
    join(platform.path, 'rescind.yaml'),
    `tenants:
  own:
    provider: oauth2
    url: ${issuer}
    app:
      clientId: app
      clientSecret: \${env:APP_SECRET}
      redirectUri: ${base}/callback
      scopes: [read, write]
connections: { listen: "127.0.0.1:${own}" }
`,
  )
})
afterEach(async () => {
  for (const child of children.splice(0)) await stop(child)
  provider[Symbol.dispose]()
  platform[Symbol.dispose]()
})

const env = () => ({ APP_SECRET: secret })
const run = (...args: string[]) =>
  rescind(['connection', ...args], { home: platform.path, env: env() })
const atProvider = (...args: string[]) => rescind(args, { home: provider.path })

async function serve(home: string, ...args: string[]): Promise<Child> {
  const child = spawnRescind(['serve', ...args], { home, env: env() })
  children.push(child)
  const ready = once(child.process.stdout as NodeJS.ReadableStream, 'data').then(() => true)
  if (await Promise.race([ready, child.done.then(() => false)])) return child
  throw new Error((await child.done).stderr)
}

async function stop(child: Child): Promise<void> {
  child.process.kill('SIGKILL')
  await child.done
}

async function api(path: string, method = 'GET') {
  const headers = { authorization: `Bearer ${key}` }
  const answer = await fetch(base + path, { method, headers })
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects
  return { status: answer.status, body: (await answer.json()) as any }
}

/** Logs somebody in where a link leads; returns where the browser is sent. */
async function consent(url: string, user: string): Promise<string> {
  const answer = await fetch(`${url}&dev_user=${user}`, { redirect: 'manual' })
  return answer.headers.get('location') ?? ''
}

async function visit(url: string) {
  const page = await fetch(url)
  return { status: page.status, title: /<h1>([^<]+)/.exec(await page.text())?.[1] }
}

/** A connection that its owner consented to. */
async function connect(user: string): Promise<string> {
  const { json } = await run('invite', '--owner', user, '--json')
  expect((await visit(await consent(json.url, user))).status).toBe(200)
  return json.connection
}

const sql = (statement: string) => {
  using raw = new DatabaseSync(join(platform.path, 'rescind.db'))
  raw.exec(statement)
}
const versionOf = async (id: string) => (await api(`/${id}`)).body.version

describe('a generic OAuth 2.1 provider: our own authority', () => {
  beforeEach(async () => {
    const redirect = ['--redirect-uri', `${base}/callback`, '--scope', 'read write']
    const client = ['client', 'add', 'app', ...redirect, '--introspect', 'own', '--json']
    secret = (await atProvider(...client)).json.secret
    authority = await serve(provider.path, '--dev-login')
    await serve(platform.path)
    key = (await run('key', 'add', 'billing', '--json')).json.key
  })

  test('connect by link, refresh with rotation, check, revoke there, reconnect here: one id', async () => {
    const id = await connect('ann')
    const first = (await api(`/${id}`)).body
    expect(first).toMatchObject({
      ...{ state: 'connected', scopes: ['read', 'write'], version: 2 },
      identity: { user: 'ann', org: issuer },
    })

    sql('UPDATE connection SET renew_at = 1')
    expect((await run('check', id)).exitCode).toBe(0)
    const rotated = (await run('show', id, '--json')).json.connection
    expect(rotated.version).toBe(3)
    sql('UPDATE connection SET renew_at = 1')
    expect((await run('check', id)).exitCode).toBe(0)
    const again = (await run('show', id, '--json')).json.connection
    expect(again.refreshFingerprint).not.toBe(rotated.refreshFingerprint)

    await atProvider('authority', 'revoke', '--user', 'ann', '--confirm', '1')
    const dead = await run('check', id, '--json')
    expect(dead.exitCode).toBe(5)
    expect(dead.json.connection).toMatchObject({
      ...{ state: 'reconnect_needed', cause: { code: 'revoked_or_expired' } },
    })

    const { url } = (await api(`/${id}/reconnect-link`, 'POST')).body
    expect(await visit(await consent(url, 'bob'))).toEqual({
      ...{ status: 403, title: 'This is not the access that was there before' },
    })
    // What bob consented to is not kept, at the provider either.
    const bob = await atProvider('authority', 'revoke', '--user', 'bob', '--dry-run', '--json')
    expect(bob.stdout).toMatch(/"grants":0/)
    const link = (await run('link', id, '--json')).json
    expect((await visit(await consent(link.url, 'ann'))).status).toBe(200)
    expect((await api(`/${id}`)).body).toMatchObject({ id, state: 'connected', cause: null })
    expect((await run('check', id)).exitCode).toBe(0)
  })

  test('a state that is forged, used, late or of another issuer brings nothing', async () => {
    const id = await connect('ann')
    const version = await versionOf(id)
    const link = async () => (await api(`/${id}/reconnect-link`, 'POST')).body.url as string
    const stateOf = (url: string) => new URL(url).searchParams.get('state')
    expect((await visit(`${base}/callback?state=forged&code=x`)).status).toBe(400)
    const mixed = `state=${stateOf(await link())}&code=x&iss=https://evil.example`
    expect((await visit(`${base}/callback?${mixed}`)).status).toBe(400)
    const late = await consent(await link(), 'ann')
    sql('UPDATE reconnect SET expires_at = 1 WHERE used_at IS NULL')
    expect((await visit(late)).status).toBe(410)
    expect((await visit(late)).status).toBe(409)
    // One that works is not harmed by any of it.
    expect((await api(`/${id}`)).body).toMatchObject({ state: 'connected', version })
    const good = await consent(await link(), 'ann')
    expect((await visit(good)).status).toBe(200)
    expect((await visit(good)).status).toBe(409)
    expect(await versionOf(id)).toBe(version + 1)
  })

  test('a drill: not simulated, for it is real; a person’s consent brings the same id back, by an answer that names its issuer', async () => {
    const config = join(platform.path, 'rescind.yaml')
    writeFileSync(config, `${readFileSync(config, 'utf8')}drill: { users: [ann] }\n`)
    const { json } = await run('invite', '--owner', 'acme', '--tag', 'drill-target', '--json')
    expect((await visit(await consent(json.url, 'ann'))).status).toBe(200)
    const id: string = json.connection
    // The callback is the drill's from now on.
    await stop(children.at(-1) ?? authority)
    const drill = (...args: string[]) =>
      spawnRescind(['drill', id, ...args], { home: platform.path, env: env() })
    const simulated = await drill().done
    expect([simulated.code, simulated.stderr]).toEqual([
      4,
      expect.stringMatching(/does not answer as one: use --mode sandbox\. Nothing was revoked/),
    ])
    const options = ['--mode', 'sandbox', '--consent', 'link', '--load', '300ms', '--json']
    const child = drill(...options, '--out', join(platform.path, 'out'))
    let said = ''
    child.process.stderr?.on('data', (chunk) => {
      const isNew = !said.includes('/authorize?')
      said += chunk
      const [link] = /http\S+\/authorize\?\S+/.exec(said) ?? []
      if (isNew && link) void consent(link, 'ann').then(visit)
    })
    const ran = await child.done
    expect(ran.code, said).toBe(0)
    const lines = readFileSync(join(platform.path, 'out', 'evidence.jsonl'), 'utf8')
    const applied = lines.split('\n').find((line) => line.includes('"kind":"step","step":11'))
    expect(JSON.parse(applied ?? '{}')).toMatchObject({ verdict: 'pass', evidence: { ok: true } })
    expect(JSON.parse(ran.stdout)).toMatchObject({ verdict: 'passed', isBack: true })
  })

  test('disconnect: yes, and the grant is dead there; by the API likewise', async () => {
    const [one, two] = [await connect('ann'), await connect('bob')]
    const ran = await run('disconnect', one)
    expect(ran).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/provider: yes \(/) })
    expect((await api(`/${two}`, 'DELETE')).body).toMatchObject({
      ...{ revokedAtProvider: 'yes', mayLive: false, connection: { id: two, state: 'revoked' } },
    })
    for (const user of ['ann', 'bob']) {
      const left = await atProvider('authority', 'revoke', '--user', user, '--dry-run', '--json')
      expect(left.stdout).toMatch(/"grants":0/)
    }
    for (const command of ['enable', 'disable', 'link']) {
      const refused = await run(command, one)
      expect(refused.exitCode).toBe(3)
      expect(refused.stderr).toMatch(/was disconnected\. Make a new one\./)
    }
  })

  test('disconnect while the provider is away: no, the grant may live, and once more says yes', async () => {
    const id = await connect('ann')
    await stop(authority)
    const ran = await run('disconnect', id)
    expect(ran.exitCode).toBe(5)
    expect(ran.stdout).toMatch(
      /provider: no \(the provider could not be asked: host_unreachable\)\.\nIts grant may live on\./,
    )
    expect((await api(`/${id}`, 'DELETE')).body).toMatchObject({
      ...{ revokedAtProvider: 'no', mayLive: true },
    })
    const made = await run('invite', '--owner', 'late', '--json')
    expect(made.exitCode).not.toBe(0)

    await serve(provider.path, '--dev-login')
    expect((await run('disconnect', id)).stdout).toMatch(/provider: yes \(the provider answered/)
    expect((await run('disconnect', id)).stdout).toMatch(/provider: yes \(it was revoked before\)/)
  })

  test('a grant that two connections live on is not killed under the other', async () => {
    const one = await connect('ann')
    const two = await connect('ann')
    sql(`UPDATE connection SET access_fingerprint = (SELECT access_fingerprint FROM connection WHERE id = '${one}'),
      refresh_fingerprint = (SELECT refresh_fingerprint FROM connection WHERE id = '${one}') WHERE id = '${two}'`)
    const ran = await run('disconnect', one)
    expect(ran.exitCode).toBe(0)
    expect(ran.stdout).toContain(
      `provider: no (another connection lives on the same grant: ${two})`,
    )
    const left = await atProvider('authority', 'revoke', '--user', 'ann', '--dry-run', '--json')
    expect(left.stdout).toMatch(/"grants":2/)
  })

  test('a connection that nobody consented to has nothing to revoke', async () => {
    const { json } = await run('invite', '--owner', 'acme', '--json')
    const ran = await run('disconnect', json.connection)
    expect(ran.exitCode).toBe(0)
    expect(ran.stdout).toMatch(/provider: no \(no token is held\)/)
  })
})

describe('wrong input: one clear sentence', () => {
  test.each<[string, readonly string[], RegExp]>([
    ['no owner', ['invite', '--owner', ''], /The owner is empty/],
    ['an owner of blanks', ['invite', '--owner', ' '], /The owner is empty/],
    ['an owner that cannot be printed', ['invite', '--owner', 'a\nb'], /cannot be printed/],
    ['an owner turned around', ['invite', '--owner', 'a\u202eb'], /cannot be printed/],
    ['an owner that is a text', ['invite', '--owner', 'x'.repeat(201)], /more than 200 characters/],
    ['a tag with a blank', ['invite', '--owner', 'a', '--tag', 'b c'], /A tag has 1 to 64 letters/],
    ['a tenant that is none', ['invite', '--owner', 'a', '--tenant', 'x'], /no tenant "x"/],
    ['a key without a name', ['key', 'add', ''], /The name is empty/],
    ['a link of nothing', ['link', 'con_zzzzzzzzzz'], /no connection "con_zzzzzzzzzz"/],
    ['the end of nothing', ['disconnect', 'con_zzzzzzzzzz'], /no connection "con_zzzzzzzzzz"/],
  ])('%s', async (_title, args, message) => {
    const ran = await run(...args)
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toMatch(message)
    const { json } = await run('list', '--json')
    expect(json.connections).toEqual([])
  })

  test('a link that could not be made says which connection is without one', async () => {
    const ran = await run('invite', '--owner', 'acme')
    expect(ran.stderr).toMatch(/cannot be reached/)
    const [, id] = /The connection (con_\w+) is there, without a link/.exec(ran.stderr) ?? []
    const { json } = await run('list', '--json')
    expect(json.connections).toMatchObject([{ id, state: 'reconnect_needed' }])
  })
})
