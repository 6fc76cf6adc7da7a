import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runRevoke } from '../cli/run-revoke.ts'
import { type OidcServer, SECRET, startOidcServer } from './oidc-server.ts'

let server: OidcServer
let folder: string

beforeAll(async () => {
  server = await startOidcServer()
  folder = await mkdtemp(join(tmpdir(), 'rescind-'))
  await writeFile(join(folder, 'key.pem'), server.privateKeyPem)
  await writeFile(join(folder, 'key.jwk'), server.privateKeyJwk)
  await writeFile(join(folder, 'secret'), `${SECRET}\n`)
})

afterAll(async () => {
  await server?.close()
  await rm(folder, { recursive: true })
})

const CLIENTS: readonly [string, string, readonly string[]][] = [
  ['client_secret_basic', 'basic:client', ['--client-secret-env', 'CLIENT_SECRET']],
  ['client_secret_post', 'post-client', ['--client-secret-file', 'secret']],
  ['private_key_jwt', 'key-client', ['--client-key', 'key.pem']],
  ['private_key_jwt', 'key-client', ['--client-key', 'key.jwk']],
  ['none', 'public-client', []],
]

const HINTS: readonly (readonly [string, readonly string[]])[] = [
  ['without a hint', []],
  ['hint access_token', ['--hint', 'access_token']],
  ['hint refresh_token', ['--hint', 'refresh_token']],
]

function revoke(args: readonly string[], token: string) {
  const secrets = [SECRET, server.privateKeyPem, server.privateKeyJwk]
  const all = ['--json', '--issuer', server.issuer, ...args]
  return runRevoke(all, {
    stdin: `${token}\n`,
    env: { CLIENT_SECRET: SECRET },
    cwd: folder,
    secrets,
  })
}

describe('RFC 7009 section 2.1: oidc-provider, each client authentication and hint', () => {
  for (const [method, clientId, credential] of CLIENTS) {
    for (const [title, hint] of HINTS) {
      for (const kind of ['access', 'refresh'] as const) {
        test(`${method} (${credential[1] ?? 'no credential'}), ${kind} token, ${title}`, async () => {
          const tokens = await server.grantTokens(clientId)
          const client = ['--client-id', clientId, '--client-auth', method, ...credential]
          const done = await revoke([...client, ...hint], tokens[kind])
          expect(done.json).toMatchObject({ outcome: 'revoked', proof: 'acked', dead: false })
          expect(done.exitCode).toBe(0)
          expect(done.json.advice[0]).toContain('Acked, not proven')
          const model = kind === 'access' ? 'AccessToken' : 'RefreshToken'
          expect(await server.isAlive(model, tokens[kind])).toBe(false)
        })
      }
    }
  }
})

const BASIC = ['--client-id', 'basic:client', '--client-secret-env', 'CLIENT_SECRET']
const PUBLIC = ['--client-id', 'public-client']

describe('RFC 7662 section 2.2: --verify against oidc-provider', () => {
  for (const kind of ['access', 'refresh'] as const) {
    test(`${kind} token: seen alive before, inactive after`, async () => {
      const tokens = await server.grantTokens('basic:client')
      const done = await revoke([...BASIC, '--verify'], tokens[kind])
      expect(done.json).toMatchObject({ outcome: 'revoked', proof: 'inactive', dead: true })
      expect(done.json.verification.before.introspection.life).toBe('alive')
      expect(done.exitCode).toBe(0)
    })
  }

  test('an unknown token: a 200, inactive before and after, and no claim of death', async () => {
    const done = await revoke([...BASIC, '--verify'], 'a-token-that-nobody-issued')
    expect(done.json).toMatchObject({ outcome: 'revoked', proof: 'acked', dead: false })
    expect(done.json.verification.why).toMatch(/dead before the revocation, too/)
    expect(done.exitCode).toBe(5)
  })

  test('an unknown token without --verify: acked, for RFC 7009 says 200', async () => {
    const done = await revoke(BASIC, 'a-token-that-nobody-issued')
    expect(done.json).toMatchObject({ outcome: 'revoked', proof: 'acked', dead: false })
  })

  test('a foreign token, confidential client: refused, and it lives', async () => {
    const { access } = await server.grantTokens('post-client')
    const done = await revoke([...BASIC, '--verify'], access)
    expect(done.json).toMatchObject({ outcome: 'refused', code: 'invalid_request', dead: false })
    expect(done.exitCode).toBe(5)
    expect(await server.isAlive('AccessToken', access)).toBe(true)
  })

  test('a foreign token, public client: 200 and "inactive" while it lives; never called dead', async () => {
    const { access } = await server.grantTokens('post-client')
    const done = await revoke([...PUBLIC, '--verify'], access)
    expect(await server.isAlive('AccessToken', access)).toBe(true)
    expect(done.json.dead).toBe(false)
    expect(done.json.proof).toBe('acked')
    expect(done.exitCode).toBe(5)
  })

  test('a JWT access token: irrevocable, with the time until which it is accepted', async () => {
    const done = await revoke([...BASIC, '--verify'], await server.jwtAccessToken())
    expect(done.json).toMatchObject({
      outcome: 'irrevocable',
      proof: 'sent',
      code: 'unsupported_token_type',
    })
    expect(done.json.advice.join(' ')).toMatch(/It is a JWT: .* until \d{4}-/)
    expect(done.exitCode).toBe(5)
  })
})

describe('RFC 6749 section 5.2: a client that is not who it says', () => {
  const WRONG: readonly [string, readonly string[]][] = [
    ['a wrong secret', ['--client-id', 'post-client', '--client-secret-env', 'WRONG']],
    ['an unknown client', ['--client-id', 'nobody', '--client-secret-env', 'CLIENT_SECRET']],
    ['the wrong method', ['--client-id', 'key-client', '--client-secret-env', 'CLIENT_SECRET']],
  ]
  for (const [title, client] of WRONG) {
    test(`${title}: refused, exit 3, the token lives`, async () => {
      const { access } = await server.grantTokens('post-client')
      const env = { CLIENT_SECRET: SECRET, WRONG: 'not-the-secret-at-all' }
      const args = ['--json', '--issuer', server.issuer, ...client]
      const done = await runRevoke(args, { stdin: access, env, secrets: Object.values(env) })
      expect(done.json).toMatchObject({ outcome: 'refused', code: 'invalid_client', dead: false })
      expect(done.exitCode).toBe(3)
      expect(await server.isAlive('AccessToken', access)).toBe(true)
    })
  }
})

test('RFC 8414 section 2: an endpoint may be given instead of an issuer', async () => {
  const { refresh } = await server.grantTokens('key-client')
  const client = ['--client-id', 'key-client', '--client-key', 'key.pem']
  const where = ['--endpoint', `${server.issuer}/token/revocation`]
  const look = ['--introspection-endpoint', `${server.issuer}/token/introspection`, '--verify']
  const done = await runRevoke(['--json', ...where, ...look, ...client], {
    stdin: refresh,
    cwd: folder,
    secrets: [server.privateKeyPem],
  })
  expect(done.json).toMatchObject({ outcome: 'revoked', proof: 'inactive', dead: true })
})
