import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runConformance } from '../../src/conformance/conformance.ts'
import { rescind as runCli } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'
import { OIDC_SECRET, startOidcPeer } from './peers/oidc-provider.ts'
import type { Peer } from './peers/peer.ts'
import { startToy } from './peers/toy.ts'
import { TOY_SECRET } from './peers/toy-clients.ts'

const folder = tempHome()
const home = folder.path
const env = { C1_SECRET: OIDC_SECRET }
const CLIENTS = `
clients:
  c1: { id: "c1:client", auth: client_secret_basic, secret: "\${env:C1_SECRET}" }
  p1: { id: p1, auth: none }
tokens:
  user:
    by: code
    redirectUri: https://client.example.com/cb
    scope: openid offline_access
    parameters: { prompt: consent }
    fields: { login: ann, password: any }
`

let peer: Peer
let issuer: string

beforeAll(async () => {
  peer = await startOidcPeer()
  issuer = peer.config.issuer ?? ''
  writeFileSync(join(home, 'clients.yaml'), CLIENTS)
})
afterAll(async () => {
  await peer?.close()
  folder[Symbol.dispose]()
})

const run = (args: readonly string[], more: object = {}) =>
  runCli(['conformance', '--config', 'clients.yaml', '--issuer', issuer, ...args], {
    home,
    env,
    ...more,
  })

describe('rescind conformance', () => {
  test('says how much it will send, and passes what passes', async () => {
    const { exitCode, stdout, stderr } = await run(['--only', '1,22,30,57,72,202'])
    expect(stderr).toMatch(/^6 cases against http:.*, with 900 requests at most/)
    expect(stdout).toMatch(/1 of 6 cases failed: 1 should/)
    expect(exitCode).toBe(0)
  })

  test('cases that cannot be tested are not announced, and are counted in the report', async () => {
    const { stdout, stderr } = await run(['--only', '30,41,63,82'])
    expect(stderr).toMatch(/^1 of 4 cases against http:.*, with 150 requests at most/)
    expect(stdout).toMatch(
      /^1 case tested, and none failed\n.*: of 4 cases 3 not tested, 1 passed\./,
    )
  })

  test('--strict counts a failed should', async () => {
    expect((await run(['--only', '22', '--strict'])).exitCode).toBe(5)
  })

  describe('musts that could not be decided', () => {
    const why = 'Nothing shows whether the access token of c1 lives: add a resource, or rs1.'
    let blind: Peer
    beforeAll(async () => {
      blind = await startToy(undefined, { isBlind: true })
      const { endpoints, clients, tokens } = blind.config
      writeFileSync(join(home, 'blind.yaml'), JSON.stringify({ endpoints, clients, tokens }))
    })
    afterAll(() => blind?.close())

    const runBlind = (...more: readonly string[]) =>
      runCli(['conformance', '--config', 'blind.yaml', ...more], { home })

    test('are counted in the first line, with the reason, and are exit 0', async () => {
      const { exitCode, stdout } = await runBlind('--only', '1,30,69,202')
      const [headline, , , , ...rest] = stdout.split('\n')
      expect(headline).toBe('1 case tested, and none failed; 3 musts could not be decided')
      expect(rest.join(' ')).toContain(`Not decided: cases 1, 202, 69: ${why}`)
      expect(exitCode).toBe(0)
    })

    test('alone they are not tested: the first line says so, and exit 5', async () => {
      const { exitCode, stdout } = await runBlind('--only', '1,69')
      expect(stdout.split('\n')[0]).toBe('Nothing was decided: 2 cases unclear, 2 musts among them')
      expect(exitCode).toBe(5)
    })

    test('are exit 5 with --strict, and errors in JUnit', async () => {
      const args = ['--only', '30,69', '--html', 'blind.html', '--junit', 'blind.xml']
      expect((await runBlind(...args, '--strict')).exitCode).toBe(5)
      const junit = readFileSync(join(home, 'blind.xml'), 'utf8')
      expect(junit).toContain(`<error message="${why}">`)
      expect(junit).toContain('failures="0" errors="1"')
      expect(readFileSync(join(home, 'blind.html'), 'utf8')).toContain(
        `Not decided: case 69: ${why}`,
      )
      expect(junit).not.toContain(TOY_SECRET)
    })

    test('without one, --strict is exit 0', async () => {
      expect((await runBlind('--only', '30', '--strict')).exitCode).toBe(0)
    })
  })

  test('a failed must is exit 5, with the request and the answer', async () => {
    const { exitCode, stdout } = await run(['--only', '117'])
    expect(exitCode).toBe(5)
    expect(stdout).toMatch(/FAIL 117 .*RFC 7662 §2\.2/s)
    expect(stdout).toMatch(/> POST \/token\/introspection HTTP\/1\.1/)
    expect(stdout).toMatch(/< HTTP\/1\.1 400/)
  })

  test('--json, --junit and --html say the same, and hold no secret', async () => {
    const files = ['--junit', 'report.xml', '--html', 'report.html']
    const { json, stdout } = await run(['--json', '--only', '1,22,38,72,117', ...files])
    const junit = readFileSync(join(home, 'report.xml'), 'utf8')
    const page = readFileSync(join(home, 'report.html'), 'utf8')
    expect(json.totals).toEqual({ pass: 1, fail: 2, deviation: 1, skipped: 1, inconclusive: 0 })
    expect(junit.match(/<failure /g)).toHaveLength(1)
    expect(junit.match(/<skipped /g)).toHaveLength(1)
    expect(page).toContain('2 of 4 cases failed: 1 must, 1 should')
    for (const text of [stdout, junit, page]) {
      expect(text).not.toContain(OIDC_SECRET)
      expect(text).not.toContain(encodeURIComponent(OIDC_SECRET))
      expect(text).not.toMatch(/token=[\w-]{20,}/)
      expect(text).toMatch(/(<|&lt;)refresh-token [0-9a-f]{8}/)
      expect(text).not.toMatch(/authorization: Basic [\w+/=]{8,}/)
    }
  })

  test('without a configuration, what needs a client is skipped with what to add', async () => {
    const args = ['conformance', '--issuer', issuer, '--json', '--only', '1,57']
    const { json, exitCode } = await runCli(args, { home })
    expect(json.results.map(({ what }: { what: string }) => what)).toEqual([
      'It needs a confidential client: add clients.c1.',
      'It needs a public client: add clients.p1.',
    ])
    expect(exitCode).toBe(0)
  })

  test('a signal ends it with the report of what was done', async () => {
    const stop = new AbortController()
    const report = await runConformance({
      config: peer.config,
      only: [9, 10, 11, 99],
      signal: stop.signal,
      onResult: ({ id }) => {
        if (id === 10) stop.abort(new Error('stopped'))
      },
    })
    expect(report.stopped).toBe('signal')
    expect(report.results.map(({ verdict }) => verdict)).toEqual([
      'pass',
      'pass',
      'skipped',
      'skipped',
    ])
  })

  const WRONG: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    ['no issuer', ['conformance'], 2, /Say where: --issuer URL/],
    ['no such file', ['conformance', '--config', 'none.yaml'], 2, /cannot be read/],
    [
      'an unknown case',
      ['conformance', '--issuer', 'http://127.0.0.1:9', '--only', '999'],
      2,
      /There is no case 999/,
    ],
    [
      'an unreachable server',
      ['conformance', '--issuer', 'http://127.0.0.1:9'],
      1,
      /cannot be reached/,
    ],
    ['plain http', ['conformance', '--issuer', 'http://as.example.com'], 2, /plain HTTP/],
    [
      'too many races',
      ['conformance', '--issuer', 'http://127.0.0.1:9', '--races', '99999'],
      2,
      /1 to 1000/,
    ],
  ]
  test.each(WRONG)('%s: one clear sentence', async (_title, args, exitCode, message) => {
    const done = await runCli(args, { home })
    expect(done.stderr).toMatch(message)
    expect(done.stderr.trim().split('\n')).toHaveLength(1)
    expect(done.exitCode).toBe(exitCode)
  })

  test.each(['--html', '--junit'])(
    '%s to a folder that is not there ends before it begins',
    async (option) => {
      const { exitCode, stdout, stderr } = await run(['--only', '30', option, 'none/report'])
      expect(stderr).toMatch(/^rescind: The report cannot be written to .*none\/report\. Check/)
      expect(stdout).toBe('')
      expect(exitCode).toBe(2)
    },
  )

  test('a report that can no longer be written when it is there is printed all the same', async () => {
    const path = join(home, 'late')
    mkdirSync(path)
    const args = ['conformance', '--config', 'clients.yaml', '--issuer', issuer, '--only', '30']
    const onStderr = () => rmSync(path, { recursive: true, force: true })
    const ran = await runCli([...args, '--html', 'late/report.html'], { home, env, onStderr })
    expect(ran.stdout).toContain('1 case tested, and none failed')
    expect(ran.stderr).toContain('cannot be written')
    expect(ran.exitCode).toBe(2)
  })

  test('a report that is there stays as it is when the run does not begin', async () => {
    writeFileSync(join(home, 'old.html'), 'old')
    const args = ['conformance', '--issuer', 'http://127.0.0.1:9', '--html', 'old.html']
    const { exitCode } = await runCli([...args, '--junit', 'new.xml'], { home })
    expect(exitCode).toBe(1)
    expect(readFileSync(join(home, 'old.html'), 'utf8')).toBe('old')
    expect(existsSync(join(home, 'new.xml'))).toBe(false)
  })

  test('an issuer that is not that of the metadata, to the letter', async () => {
    const args = ['conformance', '--issuer', `${issuer}/`, '--only', '135']
    const { stderr, exitCode } = await runCli(args, { home })
    expect(stderr).toContain(`says that its issuer is ${issuer}, and you gave ${issuer}/.`)
    expect(exitCode).toBe(2)
  })

  test('a misspelt key is told with its line and column', async () => {
    writeFileSync(join(home, 'wrong.yaml'), 'clients:\n  c1: { id: a, auth: none, secrt: x }\n')
    const { stderr, exitCode } = await runCli(['conformance', '--config', 'wrong.yaml'], { home })
    expect(stderr).toMatch(
      /wrong\.yaml:2:\d+: there is no key "clients\.c1\.secrt"\. Did you mean "secret"\?/,
    )
    expect(exitCode).toBe(2)
  })

  test('a variable that is not set is told with its place', async () => {
    const args = ['conformance', '--config', 'clients.yaml', '--issuer', issuer]
    const { stderr, exitCode } = await runCli(args, { home })
    expect(stderr).toMatch(/clients\.c1\.secret wants the environment variable C1_SECRET/)
    expect(exitCode).toBe(2)
  })
})
