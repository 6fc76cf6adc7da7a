import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { answer, type RawServer, startRawServer } from '../cli/raw-server.ts'
import { refuseSecrets, runRevoke } from '../cli/run-revoke.ts'
import { type OidcServer, SECRET, startOidcServer } from './oidc-server.ts'

const run = promisify(execFile)

/** Whatever a shell, a form or a configuration file could spoil. */
const TOKEN = `held+%2Btoken"\\$HOME'&=:/~\`id\``

/** How each form is run as it was printed. */
const RUNNERS = {
  curl: (text: string, env: Env) => run('sh', ['-c', text], { env }),
  httpie: (text: string, env: Env) => run('bash', ['-c', text], { env }),
  fetch: (text: string, env: Env) =>
    run(process.execPath, ['--input-type=module', '-e', text], { env }),
} as const

type Env = Record<string, string | undefined>

const installed = async (command: string) =>
  await run(command, ['--version']).then(
    () => true,
    () => false,
  )

/** A fresh machine may have neither curl nor httpie; what is there must run what is printed for it. */
const FORMS = [
  'fetch' as const,
  ...((await installed('curl')) ? (['curl'] as const) : []),
  ...((await installed('http')) ? (['httpie'] as const) : []),
]

const CLIENTS: readonly [string, readonly string[]][] = [
  ['client_secret_basic', ['--client-id', "app:1 'x'", '--client-secret-env', 'S']],
  [
    'client_secret_post',
    ['--client-id', 'app', '--client-auth', 'client_secret_post', '--client-secret-env', 'S'],
  ],
  ['private_key_jwt', ['--client-id', 'app', '--client-key', 'no-such-file.pem']],
  ['none', ['--client-id', 'app']],
  ['no client', []],
]

describe('a printed request is the request that would be sent', () => {
  let server: RawServer
  beforeEach(async () => {
    server = await startRawServer((_, response) => answer(response, 200))
  })
  afterEach(() => server.close())

  for (const form of FORMS) {
    for (const [title, client] of CLIENTS) {
      test(`${form}, ${title}`, async () => {
        const where = [
          '--endpoint',
          `${server.url}/re'voke?tenant=a%20b`,
          '--hint',
          'refresh_token',
        ]
        const printed = await runRevoke([...where, ...client, '--print', form])
        const assertion = 'eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl'
        await RUNNERS[form](printed.stdout, {
          PATH: process.env.PATH,
          RESCIND_TOKEN: TOKEN,
          RESCIND_CLIENT_SECRET: SECRET,
          RESCIND_CLIENT_ASSERTION: assertion,
        })
        refuseSecrets(printed.stdout, [TOKEN, SECRET, assertion])
        const sent = server.requests[0]
        expect(sent).toMatchObject({ method: 'POST', path: "/re'voke?tenant=a%20b" })
        expect(sent?.headers['content-type']).toMatch(/^application\/x-www-form-urlencoded/)
        const fields = Object.fromEntries(new URLSearchParams(sent?.body))
        expect(fields).toMatchObject({ token: TOKEN, token_type_hint: 'refresh_token' })
        if (title === 'client_secret_post') expect(fields.client_secret).toBe(SECRET)
        if (title === 'private_key_jwt') expect(fields.client_assertion).toBe(assertion)
        if (title === 'none') expect(fields.client_id).toBe('app')
        expect(readBasic(sent?.headers.authorization)).toEqual(
          title === 'client_secret_basic' ? ["app:1 'x'", SECRET] : undefined,
        )
      })
    }
  }
})

/** Reads Basic credentials as RFC 6749 section 2.3.1 has a server do it. */
function readBasic(header: string | undefined): readonly string[] | undefined {
  const pair = header?.replace(/^Basic /, '')
  const decode = (text: string) => decodeURIComponent(text.replaceAll('+', ' '))
  const [id = '', ...secret] = pair === undefined ? [] : atob(pair).split(':')
  return pair === undefined ? undefined : [decode(id), decode(secret.join(':'))]
}

describe('a printed request kills at a real oidc-provider', () => {
  let server: OidcServer
  beforeAll(async () => {
    server = await startOidcServer()
  })
  afterAll(() => server.close())

  for (const form of FORMS) {
    test(form, async () => {
      const { access } = await server.grantTokens('basic:client')
      const client = ['--client-id', 'basic:client', '--client-secret-env', 'S']
      const printed = await runRevoke(['--issuer', server.issuer, ...client, '--print', form])
      const env = { PATH: process.env.PATH, RESCIND_TOKEN: access, RESCIND_CLIENT_SECRET: SECRET }
      const { stdout } = await RUNNERS[form](printed.stdout, env)
      expect(stdout).toContain('200')
      expect(await server.isAlive('AccessToken', access)).toBe(false)
    })
  }
})

test('curl gets its secrets through a pipe: none is ever an argument', async () => {
  const server = await startRawServer((_, response) => answer(response, 200))
  const client = ['--client-id', 'app', '--client-secret-env', 'S']
  const where = ['--endpoint', `${server.url}/revoke`]
  const printed = await runRevoke([...where, ...client, '--print', 'curl'])
  // A curl that shows what it was started with, and what came through the pipe.
  const shown = `curl() { printf 'ARG<%s>\\n' "$@"; cat; }\n${printed.stdout}`
  const env = {
    PATH: process.env.PATH,
    RESCIND_TOKEN: TOKEN,
    RESCIND_CLIENT_SECRET: 'plain-secret',
  }
  const { stdout } = await run('sh', ['-c', shown], { env })
  const args = stdout.split('\n').filter((line) => line.startsWith('ARG<'))
  expect(args.length).toBeGreaterThan(3)
  refuseSecrets(args.join('\n'), [TOKEN, 'plain-secret'])
  expect(stdout).toContain('plain-secret')
  await server.close()
})
