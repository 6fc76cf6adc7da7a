import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { answer, type RawHandler, type RawServer, startRawServer } from './raw-server.ts'
import { runRevoke } from './run-revoke.ts'

const TOKEN = 'held-token-0123456789+/=.~'
const SECRET = 'the-client-secret-9876'
const ENV = { SECRET }
const CLIENT = ['--client-id', 'app', '--client-secret-env', 'SECRET']

/** Makes the certificate; a fresh machine may be without it. */
const hasOpenssl = spawnSync('openssl', ['version']).status === 0
const withoutOpenssl = hasOpenssl ? '' : ' (SKIPPED: no openssl on this machine)'

let server: RawServer | undefined

afterEach(async () => {
  await server?.close()
  server = undefined
})

async function serve(handler: RawHandler): Promise<string> {
  server = await startRawServer(handler)
  return server.url
}

function revokeAt(url: string, args: readonly string[] = []) {
  const all = ['--json', '--endpoint', `${url}/revoke`, ...CLIENT, ...args]
  return runRevoke(all, { stdin: TOKEN, env: ENV, secrets: [SECRET] })
}

/** A server whose introspection gives these answers in turn, the last one for ever. */
function introspecting(lives: readonly boolean[], revocation: RawHandler): RawHandler {
  return (request, response, nth) => {
    if (request.path !== '/introspect') return revocation(request, response, nth)
    answer(response, 200, { active: lives[Math.min(nth, lives.length) - 1] })
  }
}

describe('a server that lies or is slow', () => {
  const verify = (url: string) => ['--verify', '--introspection-endpoint', `${url}/introspect`]

  test('200 and nothing done: failed, exit 5, after looking for some seconds', async () => {
    const url = await serve(introspecting([true], (_, response) => answer(response, 200)))
    const done = await revokeAt(url, verify(url))
    expect(done.json).toMatchObject({
      outcome: 'failed',
      proof: 'acked',
      dead: false,
      code: 'still_active',
    })
    expect(done.exitCode).toBe(5)
    expect(done.sleptMs).toEqual([250, 500, 1000, 2000, 4000])
  })

  test('a revocation that takes three looks to spread is proven', async () => {
    const lives = [true, true, true, false]
    const url = await serve(introspecting(lives, (_, response) => answer(response, 200)))
    const done = await revokeAt(url, verify(url))
    expect(done.json).toMatchObject({ outcome: 'revoked', proof: 'inactive', dead: true })
    expect(done.sleptMs).toEqual([250, 500])
    expect(done.exitCode).toBe(0)
  })

  test('introspection that breaks after the kill proves nothing', async () => {
    const url = await serve((request, response, nth) => {
      if (request.path === '/revoke') return answer(response, 200)
      answer(response, nth === 1 ? 200 : 500, nth === 1 ? { active: true } : 'boom')
    })
    const done = await revokeAt(url, verify(url))
    expect(done.json).toMatchObject({ outcome: 'revoked', proof: 'acked', dead: false })
    expect(done.exitCode).toBe(5)
  })

  test('a lost answer, then inactive: in doubt as it was seen, and proven dead', async () => {
    const url = await serve(introspecting([true, false], (_, r) => void r.socket?.destroy()))
    const done = await revokeAt(url, verify(url))
    expect(done.json).toMatchObject({ outcome: 'in_doubt', proof: 'inactive', dead: true })
    expect(done.exitCode).toBe(0)
  })

  test('503 with the effect done: failed as it was said, and proven dead', async () => {
    const url = await serve(introspecting([true, false], (_, r) => answer(r, 503)))
    const done = await revokeAt(url, verify(url))
    expect(done.json).toMatchObject({ outcome: 'failed', proof: 'inactive', dead: true })
  })
})

describe('RFC 7009 section 2.2.1: faults of the server', () => {
  const busyTwice: RawHandler = (_, response, nth) =>
    nth < 3 ? answer(response, 503, '', { 'retry-after': '7' }) : answer(response, 200)
  const huge = 'x'.repeat(33 * 1024 * 1024)
  const CASES: readonly [string, RawHandler, object, number, number?][] = [
    ['503 with Retry-After, twice, then 200', busyTwice, { outcome: 'revoked', attempts: 3 }, 0, 3],
    [
      '503 for ever',
      (_, r) => answer(r, 503),
      { outcome: 'failed', code: 'http_503', attempts: 4 },
      5,
      4,
    ],
    [
      '503 with a Retry-After that nobody waits for',
      (_, r) => answer(r, 503, '', { 'retry-after': '600' }),
      { outcome: 'failed', attempts: 1, retryAfterMs: 600_000 },
      5,
    ],
    [
      '429, then 200',
      (_, r, nth) => answer(r, nth === 1 ? 429 : 200),
      { outcome: 'revoked', attempts: 2 },
      0,
    ],
    [
      'temporarily_unavailable with 400, then 200',
      (_, r, n) =>
        n === 1 ? answer(r, 400, { error: 'temporarily_unavailable' }) : answer(r, 200),
      { outcome: 'revoked', attempts: 2 },
      0,
    ],
    ['500', (_, r) => answer(r, 500, 'boom'), { outcome: 'in_doubt', code: 'http_500' }, 5, 1],
    [
      'a reset connection',
      (_, r) => void r.socket?.destroy(),
      { outcome: 'in_doubt', proof: 'sent', code: 'http_reset' },
      5,
      1,
    ],
    ['a hang', () => undefined, { outcome: 'in_doubt', code: 'http_timeout' }, 5, 1],
    [
      'a web page with 200',
      (_, r) => answer(r, 200, '<!DOCTYPE html><title>Sign in</title>'),
      { outcome: 'in_doubt', proof: 'sent', code: 'web_page' },
      5,
    ],
    [
      'a web page with 404',
      (_, r) => answer(r, 404, '<html>no</html>'),
      { outcome: 'failed', code: 'http_404' },
      5,
    ],
    [
      'more than any answer has',
      (_, r) => answer(r, 200, huge),
      { outcome: 'in_doubt', code: 'http_too_large' },
      5,
    ],
    [
      'a redirect, which is not followed',
      (_, r) => answer(r, 307, '', { location: 'https://other.example/' }),
      { outcome: 'failed', code: 'http_307' },
      5,
      1,
    ],
    [
      '401 without a body',
      (_, r) => answer(r, 401, '', { 'www-authenticate': 'Basic realm="x"' }),
      { outcome: 'refused', code: 'http_401' },
      3,
    ],
  ]
  for (const [title, handler, expected, exitCode, sent] of CASES) {
    test(title, async () => {
      const url = await serve(handler)
      // Only what hangs may run out of time: a busy machine takes long over 33 MB.
      const done = await revokeAt(url, ['--timeout', title === 'a hang' ? '0.5' : '60'])
      expect(done.json).toMatchObject({ dead: false, ...expected })
      expect(done.exitCode).toBe(exitCode)
      if (sent !== undefined) expect(server?.requests).toHaveLength(sent)
    })
  }

  test('waits as long as the server asks', async () => {
    const done = await revokeAt(await serve(busyTwice))
    expect(done.sleptMs).toEqual([7000, 7000])
  })
})

describe('a server that gives back what it was sent', () => {
  const FIELDS: readonly [string, unknown][] = [
    ['in an error code', { error: TOKEN }],
    ['in a description', { error: 'invalid_request', error_description: `${TOKEN} for ${SECRET}` }],
    [
      'in a long description, where a cut would leave half',
      { error: 'invalid_request', error_description: `${'x'.repeat(190)}${TOKEN}` },
    ],
    [
      'with what drives a terminal',
      { error: 'invalid_request', error_description: '\u001b[2J\u202eno' },
    ],
  ]
  for (const [title, body] of FIELDS) {
    test(title, async () => {
      const url = await serve((_, response) => answer(response, 400, body))
      for (const json of [['--json'], []]) {
        const args = ['--endpoint', `${url}/revoke`, ...CLIENT, ...json]
        // The run fails by itself if a secret is printed, or a prefix of one.
        const secrets = [SECRET, TOKEN.slice(0, 10)]
        const done = await runRevoke(args, { stdin: TOKEN, env: ENV, secrets })
        expect(done.exitCode).toBe(5)
        expect(done.stdout).not.toContain('\u001b')
        expect(done.stdout).not.toContain('\u202e')
      }
    })
  }
})

test('introspection that gives back what it was sent, as a code', async () => {
  const url = await serve((request, response) => {
    if (request.path === '/revoke') return answer(response, 200)
    answer(response, 400, { error: `${SECRET} ${TOKEN}` })
  })
  const look = ['--verify', '--introspection-endpoint', `${url}/introspect`]
  const done = await revokeAt(url, look)
  expect(done.json.verification.after.introspection.life).toBe('unclear')
  expect(done.json.verification.why).toContain('nothing can be told ([secret')
})

test('Ctrl-C while the server thinks: one sentence, exit 6', async () => {
  const stop = new AbortController()
  const url = await serve(() => stop.abort())
  const done = await runRevoke(['--endpoint', `${url}/revoke`], {
    stdin: TOKEN,
    signal: stop.signal,
  })
  expect(done).toMatchObject({ error: 'stopped_by_signal', exitCode: 6 })
  expect(done.stderr).toMatch(/^Stopped\. The revocation may have been sent/)
})

describe('RFC 8414: an issuer that cannot be trusted or understood', () => {
  const metadata = (more: object): RawHandler => {
    return (request, response) => {
      const issuer = `http://${request.headers.host}`
      if (request.path === '/.well-known/oauth-authorization-server') {
        return answer(response, 200, { issuer, ...more })
      }
      answer(response, 404)
    }
  }
  const CASES: readonly [string, RawHandler, string, number, RegExp][] = [
    [
      'section 3.3: metadata of another issuer',
      metadata({ issuer: 'https://evil.example' }),
      'answer_invalid',
      1,
      /says that its issuer is "https:\/\/evil\.example\/"/,
    ],
    [
      'section 2: no revocation_endpoint',
      metadata({}),
      'answer_invalid',
      1,
      /names no revocation_endpoint.*--endpoint/,
    ],
    [
      'a revocation endpoint in plain HTTP on a public host',
      metadata({ revocation_endpoint: 'http://login.example.com/revoke' }),
      'url_plain_http',
      2,
      /revocation_endpoint in the metadata .* plain HTTP/,
    ],
    ['no metadata at all', (_, r) => answer(r, 404), 'answer_invalid', 1, /publishes no metadata/],
    [
      'a web page instead',
      (_, r) => answer(r, 200, '<html></html>'),
      'answer_invalid',
      1,
      /not a metadata document/,
    ],
    ['503', (_, r) => answer(r, 503), 'provider_busy', 1, /Try again later/],
    [
      'a redirect',
      (_, r) => answer(r, 302, '', { location: 'https://evil.example/' }),
      'answer_invalid',
      1,
      /HTTP 302/,
    ],
  ]
  for (const [title, handler, error, exitCode, message] of CASES) {
    test(title, async () => {
      const url = await serve(handler)
      const done = await runRevoke(['--issuer', url, ...CLIENT], { stdin: TOKEN, env: ENV })
      expect(done).toMatchObject({ error, exitCode })
      expect(done.stderr).toMatch(message)
      expect(server?.requests.some(({ body }) => body !== '')).toBe(false)
    })
  }

  test('section 3.1: the path of an issuer goes after .well-known, or before it for OpenID', async () => {
    const url = await serve((request, response) => {
      if (request.path === '/revoke') return answer(response, 200)
      if (request.path !== '/realm/.well-known/openid-configuration') return answer(response, 404)
      const host = `http://${request.headers.host}`
      answer(response, 200, { issuer: `${host}/realm`, revocation_endpoint: `${host}/revoke` })
    })
    const done = await runRevoke(['--issuer', `${url}/realm`, ...CLIENT], {
      stdin: TOKEN,
      env: ENV,
    })
    expect(done.exitCode).toBe(0)
    expect(server?.requests.map(({ path }) => path)).toEqual([
      '/.well-known/oauth-authorization-server/realm',
      '/realm/.well-known/openid-configuration',
      '/revoke',
    ])
  })
})

describe('a host that must not get a token', () => {
  const CASES: readonly [string, readonly string[], string, RegExp][] = [
    [
      'plain HTTP to a public host',
      ['--endpoint', 'http://login.example.com/revoke'],
      'url_plain_http',
      /plain HTTP/,
    ],
    [
      'a password in the address',
      ['--endpoint', 'https://a:b@login.example.com/revoke'],
      'url_invalid',
      /user name or a password/,
    ],
    ['no address', ['--endpoint', 'login'], 'url_invalid', /not a web address/],
    ['a fragment', ['--endpoint', 'https://a.example/revoke#x'], 'usage', /fragment/],
    [
      'a token in the address',
      ['--endpoint', `https://a.example/revoke?token=${TOKEN}`],
      'usage',
      /goes in the body/,
    ],
    [
      'nobody there',
      ['--endpoint', 'http://127.0.0.1:9/revoke'],
      'host_unreachable',
      /ECONNREFUSED/,
    ],
    [
      'no such host',
      ['--endpoint', 'https://no-such-host.invalid/revoke'],
      'host_unreachable',
      /cannot be reached/,
    ],
  ]
  for (const [title, args, error, message] of CASES) {
    test(title, async () => {
      const done = await runRevoke([...args, ...CLIENT], {
        stdin: TOKEN,
        env: ENV,
        secrets: [SECRET],
      })
      expect(done.error).toBe(error)
      expect(done.stderr).toMatch(message)
    })
  }

  // Skipped only where there is no openssl to make such a certificate with: the title says so.
  test.skipIf(!hasOpenssl)(`a certificate that nobody vouches for${withoutOpenssl}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rescind-'))
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
    const make = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', ...subject]
    execFileSync('openssl', [...make, '-keyout', key, '-out', cert], { stdio: 'ignore' })
    const files = { key: await readFile(key), cert: await readFile(cert) }
    let asked = 0
    const secure = createServer(files, (_, response) => {
      asked += 1
      response.end()
    }).listen(0)
    await once(secure, 'listening')
    const { port } = secure.address() as AddressInfo
    const done = await revokeAt(`https://localhost:${port}`)
    secure.closeAllConnections()
    secure.close()
    await rm(folder, { recursive: true })
    expect(done).toMatchObject({ error: 'tls_failed', exitCode: 1 })
    expect(done.stderr).toMatch(/could not prove who it is.*NODE_EXTRA_CA_CERTS/)
    expect(asked).toBe(0)
  })
})
