import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Fault, type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import { Secret } from '../../src/core/secret.ts'
import {
  processSalesforceUserinfo,
  salesforceTarget,
} from '../../src/providers/salesforce/revoke-token.ts'
import { answer, startRawServer } from './raw-server.ts'
import { runRevoke } from './run-revoke.ts'

let org: SalesforceOrg

beforeEach(async () => {
  org = await startSalesforce({ seed: 7, size: { users: 20, apps: 6, tokens: 60 } })
})
afterEach(() => org.close())

const revoke = (token: string, args: readonly string[] = []) =>
  runRevoke(['--json', '--provider', 'salesforce', '--url', org.url, ...args], { stdin: token })

function anyGrant() {
  for (const grant of org.truth.grants()) if (grant.alive) return grant
  throw new Error('The org has no living grant.')
}

const KINDS = ['refreshToken', 'deleteToken'] as const

describe('Salesforce: POST /services/oauth2/revoke, by possession of the token', () => {
  for (const kind of KINDS) {
    test(`a ${kind} ends the grant; it stays acked, for nothing can look at it`, async () => {
      const grant = anyGrant()
      const done = await revoke(grant[kind], ['--verify'])
      expect(done.json).toMatchObject({ outcome: 'revoked', proof: 'acked', dead: false })
      expect(done.exitCode).toBe(5)
      expect(org.truth.isAlive(grant.deleteToken)).toBe(false)
    })

    test(`a ${kind} without --verify: exit 0, and "not proven"`, async () => {
      const done = await revoke(anyGrant()[kind])
      expect(done.exitCode).toBe(0)
      expect(done.json.advice[0]).toMatch(/Acked, not proven/)
    })

    test(`a second revocation with a ${kind} is an error: already dead, not proven`, async () => {
      const token = anyGrant()[kind]
      await revoke(token)
      const done = await revoke(token)
      expect(done.json).toMatchObject({
        outcome: 'already_dead',
        proof: 'sent',
        code: 'invalid_token',
        dead: false,
      })
      expect(done.exitCode).toBe(5)
    })
  }

  test('an access token: userinfo knows it before and refuses it after', async () => {
    const done = await revoke(org.credentials.accessToken, ['--verify'])
    expect(done.json).toMatchObject({ outcome: 'revoked', proof: 'rejected', dead: true })
    expect(done.exitCode).toBe(0)
  })

  test('an access token that was dead before is not called proven', async () => {
    await revoke(org.credentials.accessToken)
    const done = await revoke(org.credentials.accessToken, ['--verify'])
    expect(done.json).toMatchObject({ outcome: 'already_dead', proof: 'sent', dead: false })
    expect(done.exitCode).toBe(5)
  })

  test('the wrong org: its invalid_token and its userinfo prove nothing, and the token lives', async () => {
    await using other = await startSalesforce({ seed: 8, size: { users: 20, apps: 6, tokens: 60 } })
    const done = await revoke(other.credentials.accessToken, ['--verify'])
    expect(done.json).toMatchObject({ outcome: 'already_dead', proof: 'sent', dead: false })
    expect(done.exitCode).toBe(5)
    expect(other.truth.isAlive(other.credentials.ownDeleteToken)).toBe(true)
  })

  test('the token goes in the body of a POST, never in a query or to a login', async () => {
    org.clearLog()
    await revoke(anyGrant().refreshToken, ['--verify'])
    expect(org.log.map(({ route }) => route)).toEqual(['revoke'])
  })
})

describe('Salesforce: what goes wrong there', () => {
  const CASES: readonly [string, Omit<Fault, 'on'>, object, number, boolean][] = [
    [
      '404 Bad_Id for ever: failed, and it lives',
      { kind: 'bad_id_404' },
      { outcome: 'failed', code: 'Bad_Id', attempts: 4 },
      5,
      true,
    ],
    [
      '404 Bad_Id once: sent again',
      { kind: 'bad_id_404', nth: 1 },
      { outcome: 'revoked', attempts: 2 },
      0,
      false,
    ],
    [
      '503 with Retry-After, once',
      { kind: 'unavailable_503', nth: 1, retryAfterS: 3 },
      { outcome: 'revoked', attempts: 2 },
      0,
      false,
    ],
    ['429 for ever', { kind: 'too_many_429' }, { outcome: 'failed', attempts: 4 }, 5, true],
    [
      '302 of a login host: not followed',
      { kind: 'redirect_302' },
      { outcome: 'failed', code: 'http_302' },
      5,
      true,
    ],
    [
      '500 before the effect',
      { kind: 'error_500_before_effect' },
      { outcome: 'in_doubt', code: 'UNKNOWN_EXCEPTION' },
      5,
      true,
    ],
    ['500 after the effect', { kind: 'error_500_after_effect' }, { outcome: 'in_doubt' }, 5, false],
    [
      'a reset after the effect',
      { kind: 'reset_after_effect' },
      { outcome: 'in_doubt', code: 'http_reset' },
      5,
      false,
    ],
    ['a hang', { kind: 'hang' }, { outcome: 'in_doubt', code: 'http_timeout' }, 5, false],
    ['a page in HTML with 200', { kind: 'html_200' }, { outcome: 'in_doubt' }, 5, true],
  ]
  for (const [title, fault, expected, exitCode, alive] of CASES) {
    test(title, async () => {
      org.setFaults([{ on: 'revoke', ...fault }])
      const grant = anyGrant()
      const done = await revoke(grant.refreshToken, ['--timeout', '0.5'])
      expect(done.json).toMatchObject({ dead: false, ...expected })
      expect(done.exitCode).toBe(exitCode)
      if (alive) expect(org.truth.isAlive(grant.deleteToken)).toBe(true)
    })
  }

  test('302: the advice names the instance host', async () => {
    org.setFaults([{ on: 'revoke', kind: 'redirect_302' }])
    const done = await revoke(anyGrant().refreshToken)
    expect(done.json.advice[0]).toContain('https://MyDomain.my.salesforce.com')
  })

  test('200 without effect: failed, for userinfo still knows the token', async () => {
    org.setFaults([{ on: 'revoke', kind: 'ok_without_effect' }])
    const done = await revoke(org.credentials.accessToken, ['--verify'])
    expect(done.json).toMatchObject({ outcome: 'failed', code: 'still_active', dead: false })
    expect(done.exitCode).toBe(5)
  })
})

test('Experience Cloud: the path of the site comes before the endpoint', async () => {
  const site = await startRawServer((_, response) => answer(response, 200))
  const where = ['--provider', 'salesforce', '--url', `${site.url}/partners/`]
  const done = await runRevoke([...where, '--hint', 'refresh_token'], { stdin: 'a-token' })
  expect(done.exitCode).toBe(0)
  expect(site.requests[0]).toMatchObject({
    method: 'POST',
    path: '/partners/services/oauth2/revoke',
    body: 'token=a-token',
  })
  expect(site.requests[0]?.headers).not.toHaveProperty('authorization')
  await site.close()
})

describe('userinfo: which answers mean a dead token', () => {
  const json = (body: unknown, status: number) => new Response(JSON.stringify(body), { status })
  const CASES: readonly [string, Response, string][] = [
    ['200 with a user', json({ user_id: '005', organization_id: '00D' }, 200), 'alive'],
    ['200 with a page', new Response('<html>', { status: 200 }), 'unclear'],
    ['403 Bad_OAuth_Token', new Response('Bad_OAuth_Token', { status: 403 }), 'dead'],
    [
      '401 Session expired or invalid',
      json([{ errorCode: 'INVALID_SESSION_ID', message: 'Session expired or invalid' }], 401),
      'dead',
    ],
    [
      '401 for a session that may not use the API',
      json(
        [
          {
            errorCode: 'INVALID_SESSION_ID',
            message: 'This session is not valid for use with the REST API',
          },
        ],
        401,
      ),
      'unclear',
    ],
    [
      '401 for an app that is not attached',
      new Response('Connected app is not attached to Agent', { status: 401 }),
      'unclear',
    ],
    ['401 without a word', new Response('', { status: 401 }), 'unclear'],
    ['403 for a scope', json({ error: 'insufficient_scope' }, 403), 'unclear'],
    ['Wrong_Org', new Response('Wrong_Org', { status: 403 }), 'unclear'],
    ['Bad_OAuth_Token with 500', new Response('Bad_OAuth_Token', { status: 500 }), 'unclear'],
    [
      'RFC 6750 section 3.1',
      new Response('', {
        status: 401,
        headers: { 'www-authenticate': 'Bearer realm="x", error="invalid_token"' },
      }),
      'dead',
    ],
  ]
  for (const [title, response, life] of CASES) {
    test(title, async () => {
      expect((await processSalesforceUserinfo(response)).life).toBe(life)
    })
  }
})

describe('which tokens are shown to userinfo', () => {
  const ACCESS = '00D000000000001!AQEAQ.abcdef'
  const REFRESH = '5Aep861KIwKdekr90I4iHdZDgWwfRo7O_6uoBgJTYvm'
  const CASES: readonly [string, string, 'access_token' | 'refresh_token' | undefined, boolean][] =
    [
      ['an access token', ACCESS, undefined, true],
      ['a JWT', 'eyJhbGciOiJSUzI1NiJ9.e30.c2ln', undefined, true],
      ['a refresh token', REFRESH, undefined, false],
      ['a refresh token with the wrong hint', REFRESH, 'access_token', false],
      ['what the holder says is a refresh token', ACCESS, 'refresh_token', false],
    ]
  for (const [title, token, hint, fits] of CASES) {
    test(title, () => {
      const [look] = salesforceTarget({ url: new URL('https://a.my.salesforce.com') }).looks
      expect(look?.fits({ token: new Secret(token), hint })).toBe(fits)
    })
  }
})
