import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import type { Io } from '../../src/cli/io.ts'
import { runCommand } from '../../src/cli/program.ts'
import { systemClock } from '../../src/core/clock.ts'
import { EXIT } from '../../src/core/errors.ts'

let org: SalesforceOrg
let cwd: string
beforeEach(async () => {
  org = await startSalesforce({ seed: 81, size: { users: 40, apps: 16, tokens: 300 } })
  cwd = mkdtempSync(join(tmpdir(), 'rescind-block-'))
  const { integration, tool } = org.credentials
  const yaml = `tenants:
  acme:
    provider: salesforce
    url: ${org.url}
    login:
      method: client_credentials
      clientId: ${integration.clientId}
      clientSecret: \${env:CLIENT_SECRET}
  person:
    provider: salesforce
    url: ${org.url}
    login: { method: web, clientId: ${tool.clientId} }
`
  writeFileSync(join(cwd, 'rescind.yaml'), yaml)
})
afterEach(async () => {
  await org.close()
  rmSync(cwd, { recursive: true, force: true })
})

async function run(args: readonly string[], onWords: (text: string) => void = () => {}) {
  const words: string[] = []
  const collect = (stream: PassThrough) =>
    stream.on('data', (chunk) => {
      words.push(String(chunk))
      onWords(String(chunk))
    })
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const out: string[] = []
  stdout.on('data', (chunk) => out.push(String(chunk)))
  collect(stdout)
  collect(stderr)
  const io: Io = {
    env: {
      CLIENT_SECRET: org.credentials.integration.clientSecret,
      RESCIND_HOME: join(cwd, 'home'),
      HOME: cwd,
    },
    cwd,
    stdin: Readable.from([]) as never,
    stdout,
    stderr,
    clock: systemClock,
    random: () => 0.5,
    signal: new AbortController().signal,
    exitCode: EXIT.ok,
  }
  await runCommand(io, args)
  await new Promise((resolve) => setImmediate(resolve))
  const text = words.join('')
  for (const secret of org.truth.secrets())
    if (text.includes(secret)) throw new Error('a secret is printed')
  return {
    exitCode: io.exitCode,
    text,
    json: args.includes('--json') ? JSON.parse(out.join('')) : undefined,
  }
}

const undoFiles = () => readdirSync(cwd).filter((name) => name.startsWith('rescind-undo-'))

describe('rescind block', () => {
  it('changes nothing without --confirm', async () => {
    const { exitCode, text } = await run(['block', '--tenant', 'acme', '--app', 'drift'])
    expect(exitCode).toBe(EXIT.ok)
    expect(text).toMatch(
      /Would block Drift \(0H4.*It can come back with one consent.*Nothing was changed/,
    )
    expect(org.blockedApps()).toEqual([])
    expect(undoFiles()).toEqual([])
  })

  it('says without --confirm too that an app is not installed, and promises no block', async () => {
    const app = ['--app', 'Dataloader Partner']
    const { exitCode, text } = await run(['block', '--tenant', 'acme', ...app])
    expect(exitCode).toBe(EXIT.ok)
    expect(text).toMatch(/is not installed, and no call can block it.*click Install/)
    expect(text).toMatch(/Nothing was changed/)
    expect(text).not.toMatch(/Would block|--confirm/)
  })

  it('blocks with --confirm, and the undo record lets the app in again', async () => {
    const done = await run(['block', '--tenant', 'acme', '--app', 'Drift', '--confirm', '--json'])
    expect(done).toMatchObject({ exitCode: EXIT.ok, json: { done: true, dry: false } })
    expect(org.blockedApps()).toHaveLength(1)
    const [file] = undoFiles()
    const path = join(cwd, file ?? '')
    expect(done.json.undo).toBe(path)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ label: 'Drift' })

    const dry = await run(['block', '--tenant', 'acme', '--undo', path])
    expect(dry.text).toMatch(/Nothing was changed/)
    expect(org.blockedApps()).toHaveLength(1)
    const lifted = await run(['block', '--tenant', 'acme', '--undo', path, '--confirm'])
    expect(lifted).toMatchObject({ exitCode: EXIT.ok, text: expect.stringMatching(/let in again/) })
    expect(org.blockedApps()).toEqual([])
  })

  it.each(['reset_after_effect', 'unavailable_503', 'error_500_after_effect', 'html_200'] as const)(
    '%s at any call: an app that may be blocked has its undo record',
    async (kind) => {
      await run(['inventory', '--tenant', 'acme'])
      let [isDone, blocked, failed] = [false, 0, 0]
      for (let nth = 1; !isDone; nth += 1) {
        org.setFaults([{ kind, on: 'soap-metadata', nth }])
        const args = ['block', '--tenant', 'acme', '--app', 'Drift', '--confirm']
        const { exitCode, text } = await run(args)
        const files = undoFiles()
        isDone = exitCode === EXIT.ok && !org.log.some(({ fault }) => fault === kind)
        const isBlocked = org.blockedApps().length > 0
        if (isBlocked) {
          blocked += 1
          expect(files).toHaveLength(1)
          const undo = JSON.parse(readFileSync(join(cwd, files[0] ?? ''), 'utf8'))
          expect(undo).toMatchObject({ label: 'Drift' })
          expect(text).toContain(`rescind block --undo ${join(cwd, files[0] ?? '')}`)
        }
        if (exitCode !== EXIT.ok && files.length > 0) {
          failed += 1
          expect(text).toMatch(/may be blocked all the same|refused|does not show it/)
        }
        for (const file of files) rmSync(join(cwd, file))
        for (const appId of org.blockedApps()) org.unblock(appId)
        org.clearLog()
      }
      expect(blocked).toBeGreaterThan(1)
      expect(failed).toBeGreaterThan(0)
    },
  )

  it('what no call can block is said, with the exit code of something left to do', async () => {
    const args = ['block', '--tenant', 'acme', '--app', 'Dataloader Partner', '--confirm']
    const { exitCode, text } = await run(args)
    expect(exitCode).toBe(EXIT.notProven)
    expect(text).toMatch(/not installed.*Install/)
    expect(undoFiles()).toEqual([])
  })

  it.each<[string, readonly string[], RegExp]>([
    ['no app', [], /either --app NAME or --app-id ID/],
    ['both', ['--app', 'Drift', '--app-id', 'x'], /either --app NAME or --app-id ID/],
    ['an app that is not there', ['--app', 'Drfit'], /no app "Drfit". It has: /],
    [
      'a name of two apps',
      ['--app', 'Reporting'],
      /2 apps are called "Reporting": 0H4\w+, 0H4\w+\. Choose one with --app-id/,
    ],
    [
      'an undo record that is not there',
      ['--undo', 'nowhere.json', '--confirm'],
      /not an undo record that can be read/,
    ],
    [
      'an undo record in the place of another file',
      ['--app', 'Drift', '--confirm', '--save', 'rescind.yaml'],
      /cannot be written/,
    ],
  ])('%s is one sentence, and nothing is changed', async (_title, args, message) => {
    const { exitCode, text } = await run(['block', '--tenant', 'acme', ...args])
    expect(exitCode).toBe(EXIT.usage)
    expect(text).toMatch(message)
    expect(org.blockedApps()).toEqual([])
  })
})

describe('rescind login', () => {
  it('prints the address, waits for the person, and keeps the refresh token', async () => {
    const before = await run(['tenant', 'check', 'person'])
    expect(before).toMatchObject({
      exitCode: EXIT.denied,
      text: expect.stringMatching(/rescind login --tenant person/),
    })
    let visited: Promise<unknown> | undefined
    const { exitCode, text } = await run(
      ['login', '--tenant', 'person', '--no-browser'],
      (words) => {
        const address = /http\S+authorize\S+/.exec(words)?.[0]
        if (address) visited = visit(address)
      },
    )
    await visited
    expect(exitCode).toBe(EXIT.ok)
    expect(text).toMatch(/Logged in to Acme \(emulated\) .* as admin@acme.example/)
    expect((await run(['tenant', 'check', 'person'])).exitCode).toBe(EXIT.ok)
  })

  it('says that a tenant logs in another way', async () => {
    const { exitCode, text } = await run(['login', '--tenant', 'acme', '--no-browser'])
    expect(exitCode).toBe(EXIT.usage)
    expect(text).toMatch(/logs in by client_credentials, which needs no browser/)
  })
})

async function visit(address: string): Promise<void> {
  const url = new URL(address)
  const form = new URLSearchParams(url.search)
  const { username, password } = org.credentials.admin
  for (const [name, value] of Object.entries({ username, password, decision: 'allow' }))
    form.set(name, value)
  const page = `${url.origin}${url.pathname}`
  const answer = await fetch(page, { method: 'POST', body: form, redirect: 'manual' })
  await fetch(answer.headers.get('location') ?? '')
}
