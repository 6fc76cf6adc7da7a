import { once } from 'node:events'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { type Child, rescind, spawnRescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

let home: ReturnType<typeof tempHome>
let url: string
let child: Child | undefined

beforeEach(async () => {
  home = tempHome()
  url = `http://127.0.0.1:${await freePort()}`
  const lines = [`issuer: ${url}`, `listen: ${new URL(url).host}`, 'metrics: false']
  writeFileSync(join(home.path, 'rescind.yaml'), `authority:\n  ${lines.join('\n  ')}\n`)
})
afterEach(async () => {
  child?.process.kill('SIGKILL')
  await child?.done
  child = undefined
  home[Symbol.dispose]()
})

const run = (...args: string[]) => rescind(args, { home: home.path })
const keys = (...args: string[]) => run('authority', 'keys', ...args)

interface Answer {
  readonly access_token: string
  readonly active: boolean
  readonly keys: readonly { readonly kid: string }[]
}

async function json(path: string, form?: Record<string, string>): Promise<Answer> {
  const body = form && new URLSearchParams(form)
  const answer = await fetch(url + path, body ? { method: 'POST', body } : {})
  expect(answer.status).toBe(200)
  return (await answer.json()) as Answer
}

const kids = async () => (await json('/jwks')).keys.map(({ kid }) => kid)

describe('rescind authority keys', () => {
  test('a stolen key: counted, confirmed, and out at once of what two workers serve', async () => {
    const grant = ['--grant', 'client_credentials']
    const added = await run('client', 'add', 'app', ...grant, '--jwt', '--json')
    const client = { client_id: 'app', client_secret: added.json.secret }
    expect((await keys('list')).stdout).toContain('There is no key yet')
    child = spawnRescind(['serve', '--workers', '2'], { home: home.path })
    await once(child.process.stdout as NodeJS.ReadableStream, 'data')
    const tokenOf = async () =>
      (await json('/token', { ...client, grant_type: 'client_credentials' })).access_token
    const activities = async (token: string) => {
      const found = await Promise.all(
        Array.from(
          { length: 10 },
          async () => (await json('/introspect', { ...client, token })).active,
        ),
      )
      return [...new Set(found)]
    }
    const token = await tokenOf()
    expect(await activities(token)).toEqual([true])
    const [old] = await kids()

    const dry = await keys('rotate', '--now', '--dry-run', '--json')
    expect(dry.json).toMatchObject({ dropped: [old], counted: { clients: 1 }, replaced: false })
    const { grants } = dry.json.counted
    expect(grants).toBeGreaterThan(0)
    const missing = await keys('rotate', '--now')
    expect([missing.exitCode, missing.stderr]).toEqual([
      2,
      expect.stringContaining(`--confirm ${grants}`),
    ])
    const wrong = await keys('rotate', '--now', '--confirm', '99')
    expect([wrong.exitCode, wrong.stderr]).toEqual([2, expect.stringContaining('Nothing was')])
    expect(await activities(token)).toEqual([true])

    const done = await keys('rotate', '--now', '--confirm', String(grants))
    expect([done.exitCode, done.stdout]).toEqual([0, expect.stringContaining('Dropped 1 key')])
    expect(await activities(token)).toEqual([false])
    for (let times = 0; times < 10; times += 1) expect(await kids()).not.toContain(old)
    expect(await activities(await tokenOf())).toEqual([true])
  })

  test('a change that is not urgent kills nothing, and needs no confirmation', async () => {
    expect((await keys('rotate')).exitCode).toBe(0)
    const listed = await keys('list', '--json')
    expect(listed.json.keys).toMatchObject([{ state: 'signs' }, { state: 'next', keptUntil: null }])
    expect((await keys('list')).stdout).toMatch(/ES256 +signs +/)
  })

  test.each(['--dry-run', '--confirm=1'])('%s without --now is one sentence', async (flag) => {
    const ran = await keys('rotate', flag)
    expect([ran.exitCode, ran.stderr]).toEqual([2, expect.stringContaining('add --now')])
  })
})

describe('a home whose key file is gone: refused with one sentence, and no other key is written', () => {
  test.each<[string, readonly string[], readonly string[], RegExp]>([
    [
      'of a store',
      ['connection', 'list'],
      ['serve'],
      /^rescind: The key file \S+ is gone, and the store \S+rescind\.db was made/,
    ],
    [
      'of a store',
      ['connection', 'list'],
      ['client', 'list'],
      /^rescind: The key file \S+ is gone, and the store \S+rescind\.db was made/,
    ],
    [
      'of a store',
      ['connection', 'list'],
      ['drill', 'status'],
      /^rescind: The key file \S+ is gone, and the store \S+rescind\.db was made/,
    ],
    [
      'of a store',
      ['connection', 'list'],
      ['drill', 'resume'],
      /^rescind: The key file \S+ is gone, and the store \S+rescind\.db was made/,
    ],
    [
      'of the authority',
      ['client', 'list'],
      ['serve'],
      /^rescind: The authority's store \S+ was made with another key\. Give all its/,
    ],
  ])('%s that %j made, and %j', async (_title, before, after, what) => {
    expect((await run(...before)).exitCode).toBe(0)
    const key = join(home.path, 'key')
    rmSync(key)
    const stop = AbortSignal.timeout(10_000)
    const ran = await rescind(after, { home: home.path, signal: stop })
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toMatch(what)
    expect(existsSync(key)).toBe(false)
  })
})
