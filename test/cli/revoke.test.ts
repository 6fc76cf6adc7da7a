import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { answer, type RawServer, startRawServer } from './raw-server.ts'
import { type RunOptions, runRevoke } from './run-revoke.ts'

const TOKEN = 'held-token-0123456789'
const folder = mkdtempSync(join(tmpdir(), 'rescind-'))
const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
write('token', `${TOKEN}\n`)
write('windows', `${TOKEN}\r\n`)
write('empty', '\n')
write('two', `${TOKEN}\n${TOKEN}\n`)
write('huge', 'x'.repeat(70_000))
write('bearer', `Bearer ${TOKEN}`)
write('secret', 'a-client-secret')
write('public.pem', '-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n')
write('broken.jwk', '{"kty":"EC","d":"very-secret-part')

let server: RawServer | undefined

afterEach(async () => {
  await server?.close()
  server = undefined
})
afterAll(() => rmSync(folder, { recursive: true }))

async function revokeWith(args: readonly string[], options: RunOptions = {}) {
  server = await startRawServer((_, response) => answer(response, 200))
  const secrets = [TOKEN, ...(options.secrets ?? [])]
  const all = ['--endpoint', `${server.url}/revoke`, ...args]
  return await runRevoke(all, { cwd: folder, ...options, secrets })
}

describe('where the token comes from', () => {
  const SOURCES: readonly [string, readonly string[], RunOptions][] = [
    ['standard input', [], { stdin: `${TOKEN}\n` }],
    ['standard input without a line feed', [], { stdin: TOKEN }],
    ['a file', ['--token-file', 'token'], {}],
    ['a file of Windows', ['--token-file', 'windows'], {}],
    ['an environment variable', ['--token-env', 'T'], { env: { T: TOKEN } }],
  ]
  for (const [title, args, options] of SOURCES) {
    test(title, async () => {
      const done = await revokeWith(args, options)
      expect(done.exitCode).toBe(0)
      expect(done.stdout).toContain('Acked, not proven: use --verify')
      expect(server?.requests[0]).toMatchObject({ method: 'POST', body: `token=${TOKEN}` })
    })
  }

  const REFUSED: readonly [string, readonly string[], RunOptions, string, RegExp][] = [
    ['an argument', [TOKEN], {}, 'usage', /never taken as an argument/],
    ['an argument that looks like an option', [`-${TOKEN}`], {}, 'usage', /never taken as/],
    ['--token', ['--token', TOKEN], {}, 'usage', /never taken as an argument/],
    ['--token=', [`--token=${TOKEN}`], {}, 'usage', /never taken as an argument/],
    ['--client-secret', ['--client-secret', TOKEN], {}, 'usage', /never taken as an argument/],
    ['an unknown option', [`--tokn=${TOKEN}`], {}, 'usage', /There is no option --tokn/],
    ['the token as the name of a variable', ['--token-env', TOKEN], {}, 'token_missing', /not set/],
    ['the token as a file', ['--token-file', TOKEN], {}, 'token_missing', /ENOENT/],
    ['an empty file', ['--token-file', 'empty'], {}, 'token_missing', /is empty/],
    ['a folder', ['--token-file', '.'], {}, 'token_missing', /EISDIR/],
    ['nothing on standard input', [], {}, 'token_missing', /is empty/],
    ['two tokens', ['--token-file', 'two'], {}, 'usage', /one token at a time/],
    ['a file that holds no token', ['--token-file', 'huge'], {}, 'usage', /more than 64 KB/],
    ['a header', ['--token-file', 'bearer'], {}, 'usage', /without "Bearer"/],
    [
      'two sources',
      ['--token-file', 'token', '--token-env', 'T'],
      { env: { T: TOKEN } },
      'usage',
      /Two sources/,
    ],
  ]
  for (const [title, args, options, error, message] of REFUSED) {
    test(`refused: ${title}`, async () => {
      const done = await revokeWith(args, options)
      expect(done).toMatchObject({ error, exitCode: 2 })
      expect(done.stderr).toMatch(message)
      expect(done.stderr).not.toMatch(/\n/)
      expect(server?.requests).toEqual([])
    })
  }
})

describe('RFC 6749 section 2.3: what is said of the client must fit together', () => {
  const REFUSED: readonly [string, readonly string[], string, RegExp][] = [
    ['a secret without an id', ['--client-secret-file', 'secret'], 'usage', /--client-id/],
    [
      'a method without its secret',
      ['--client-id', 'a', '--client-auth', 'client_secret_post'],
      'usage',
      /--client-secret-env/,
    ],
    [
      'a method without its key',
      ['--client-id', 'a', '--client-auth', 'private_key_jwt'],
      'usage',
      /--client-key/,
    ],
    [
      'a secret that would not be sent',
      ['--client-id', 'a', '--client-auth', 'none', '--client-secret-file', 'secret'],
      'usage',
      /leave them out/,
    ],
    [
      'a secret and a key',
      ['--client-id', 'a', '--client-secret-file', 'secret', '--client-key', 'secret'],
      'usage',
      /one of the two/,
    ],
    [
      'a public key',
      ['--client-id', 'a', '--client-key', 'public.pem'],
      'key_invalid',
      /not a private key/,
    ],
    ['no key at all', ['--client-id', 'a', '--client-key', 'secret'], 'key_invalid', /PEM or JWK/],
    [
      'a broken JWK',
      ['--client-id', 'a', '--client-key', 'broken.jwk'],
      'key_invalid',
      /not valid JSON/,
    ],
    ['--url without a provider', ['--url', 'https://x.example'], 'usage', /--provider salesforce/],
    ['salesforce without --url', ['--provider', 'salesforce'], 'usage', /--url/],
    [
      'salesforce with --endpoint',
      ['--provider', 'salesforce', '--url', 'https://x.example'],
      'usage',
      /--endpoint goes with --provider rfc7009. With --provider salesforce say where by --url/,
    ],
    ['a timeout of no time', ['--timeout', '0'], 'usage', /more than 0/],
    ['a hint that is none', ['--hint', 'id_token'], 'commander', /Allowed choices/],
  ]
  for (const [title, args, error, message] of REFUSED) {
    test(title, async () => {
      const secrets = ['a-client-secret', 'very-secret-part']
      const done = await revokeWith(args, { stdin: TOKEN, secrets })
      expect(done).toMatchObject({ error, exitCode: 2 })
      expect(done.stderr).toMatch(message)
      expect(server?.requests).toEqual([])
    })
  }

  test('no client at all is a request with the token alone', async () => {
    await revokeWith(['--hint', 'refresh_token'], { stdin: TOKEN })
    const { body, headers } = server?.requests[0] ?? {}
    expect(body).toBe(`token_type_hint=refresh_token&token=${TOKEN}`)
    expect(headers).not.toHaveProperty('authorization')
  })
})

test('--verify without any way to look: acked, said so, exit 5', async () => {
  const done = await revokeWith(['--verify', '--json'], { stdin: TOKEN })
  expect(done.json).toMatchObject({ outcome: 'revoked', proof: 'acked', dead: false })
  expect(done.json.verification.why).toMatch(/no introspection endpoint is known/)
  expect(done.exitCode).toBe(5)
})

test('without --issuer, --endpoint or --provider: one sentence', async () => {
  const done = await runRevoke([], { stdin: TOKEN })
  expect(done).toMatchObject({ error: 'usage', exitCode: 2 })
  expect(done.stderr).toMatch(/^Say where: --issuer URL/)
})
