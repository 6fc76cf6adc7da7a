import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Fault, type SalesforceOrg, startSalesforce } from '../../../emulators/index.ts'
import { RescindError } from '../../../src/core/errors.ts'
import type { HttpResponse } from '../../../src/core/http.ts'
import { createHttp } from '../../../src/core/http.ts'
import { Secret } from '../../../src/core/secret.ts'
import type {
  Kill,
  KillAnswer,
  KillToken,
  ProviderSession,
  TokenRow,
} from '../../../src/providers/provider.ts'
import {
  judgeDeletion,
  judgeKillError,
  judgeRevocation,
} from '../../../src/providers/salesforce/kill-answer.ts'
import { processSalesforceRevocation } from '../../../src/providers/salesforce/revoke-token.ts'
import {
  type Bench,
  createBench,
  passwordLogin,
  rawHandle,
  take,
  tenantOf,
} from './session-fixture.ts'

function answerOf(status: number, body = '', retryAfterMs?: number): HttpResponse {
  return { status, headers: {}, body, retryAfterMs, elapsedMs: 1 }
}

const limit = '[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]'
const denied = '[{"errorCode":"INSUFFICIENT_ACCESS","message":"no"}]'

describe('what an answer to a revocation is worth, in a sweep and for one token that is held', () => {
  it.each<[string, HttpResponse, KillAnswer]>([
    ['200', answerOf(200), { outcome: 'revoked', code: 'http_200' }],
    ['200 with a page', answerOf(200, '<html>'), { outcome: 'in_doubt', code: 'web_page' }],
    [
      '400 invalid_token, form-encoded',
      answerOf(400, 'error=invalid_token&error_description=x'),
      { outcome: 'already_dead', code: 'invalid_token' },
    ],
    [
      '400 invalid_token, JSON',
      answerOf(400, '{"error":"invalid_token"}'),
      { outcome: 'already_dead', code: 'invalid_token' },
    ],
    [
      '400 unsupported_token_type',
      answerOf(400, 'error=unsupported_token_type'),
      { outcome: 'refused', code: 'unsupported_token_type' },
    ],
    ['400 of another kind', answerOf(400, 'oops'), { outcome: 'refused', code: 'http_400' }],
    ['404 Bad_Id', answerOf(404, 'Bad_Id'), { outcome: 'failed', code: 'Bad_Id' }],
    ['404', answerOf(404), { outcome: 'failed', code: 'http_404' }],
    ['302', answerOf(302), { outcome: 'failed', code: 'http_302' }],
    [
      '429',
      answerOf(429, '', 3000),
      { outcome: 'failed', code: 'http_429', congested: true, retryAfterMs: 3000 },
    ],
    [
      '503',
      answerOf(503),
      { outcome: 'failed', code: 'http_503', congested: true, retryAfterMs: undefined },
    ],
    [
      '403 at the limit',
      answerOf(403, limit),
      {
        outcome: 'failed',
        code: 'REQUEST_LIMIT_EXCEEDED',
        congested: true,
        retryAfterMs: undefined,
      },
    ],
    ['403', answerOf(403, denied), { outcome: 'refused', code: 'INSUFFICIENT_ACCESS' }],
    ['500', answerOf(500), { outcome: 'in_doubt', code: 'http_500' }],
    ['502', answerOf(502), { outcome: 'in_doubt', code: 'http_502' }],
    ['504', answerOf(504), { outcome: 'in_doubt', code: 'http_504' }],
    ['405', answerOf(405), { outcome: 'refused', code: 'http_405' }],
    ['401', answerOf(401), { outcome: 'failed', code: 'http_401' }],
    [
      '200 with an error, form-encoded',
      answerOf(200, 'error=invalid_token'),
      { outcome: 'refused', code: 'invalid_token' },
    ],
    [
      '200 with an error, JSON',
      answerOf(200, '{"error":"unsupported_token_type"}'),
      { outcome: 'refused', code: 'unsupported_token_type' },
    ],
    [
      '200 with markup that is no page',
      answerOf(200, ' <?xml version="1.0"?><a/>'),
      { outcome: 'in_doubt', code: 'web_page' },
    ],
  ])('%s', async (_title, answer, expected) => {
    expect(judgeRevocation(answer)).toEqual(expected)
    const { status, body, retryAfterMs } = answer
    const response = new Response(body, { status })
    if (retryAfterMs) response.headers.set('retry-after', String(retryAfterMs / 1000))
    const { outcome, code, congested } = expected
    const held = await processSalesforceRevocation(response, { now: () => 0 })
    expect(held).toMatchObject({ outcome, code, retryAfterMs })
    expect(held.busy).toBe(congested === true || code === 'Bad_Id')
  })

  it('a code that is no code is not passed on', () => {
    const { code } = judgeRevocation(answerOf(400, 'error=<script>alert(1)</script>'))
    expect(code).toBe('http_400')
  })
})

describe('what an answer to a DELETE is worth', () => {
  const gone = '[{"errorCode":"NOT_FOUND","message":"gone"}]'
  const deleted = '[{"errorCode":"ENTITY_IS_DELETED","message":"gone"}]'
  it.each<[string, HttpResponse, 'one' | 'many', KillAnswer]>([
    ['204', answerOf(204), 'one', { outcome: 'revoked', code: 'http_204' }],
    ['404 of one', answerOf(404, gone), 'one', { outcome: 'already_dead', code: 'NOT_FOUND' }],
    [
      '404 of many: dead, or named wrongly',
      answerOf(404, gone),
      'many',
      { outcome: 'in_doubt', code: 'NOT_FOUND' },
    ],
    [
      'deleted before',
      answerOf(400, deleted),
      'one',
      { outcome: 'already_dead', code: 'ENTITY_IS_DELETED' },
    ],
    ['401', answerOf(401), 'one', { outcome: 'failed', code: 'http_401', credentialTrouble: true }],
    ['403', answerOf(403, denied), 'many', { outcome: 'refused', code: 'INSUFFICIENT_ACCESS' }],
    [
      '403 at the limit',
      answerOf(403, limit),
      'many',
      {
        outcome: 'failed',
        code: 'REQUEST_LIMIT_EXCEEDED',
        congested: true,
        retryAfterMs: undefined,
      },
    ],
    ['500', answerOf(500), 'many', { outcome: 'in_doubt', code: 'http_500' }],
  ])('%s', (_title, answer, what, expected) => {
    expect(judgeDeletion(answer, what)).toEqual(expected)
  })

  it.each<[string, KillAnswer]>([
    ['host_unreachable', { outcome: 'failed', code: 'host_unreachable' }],
    ['tls_failed', { outcome: 'failed', code: 'tls_failed' }],
    ['http_timeout', { outcome: 'in_doubt', code: 'http_timeout' }],
    ['http_reset', { outcome: 'in_doubt', code: 'http_reset' }],
    ['http_too_large', { outcome: 'in_doubt', code: 'http_too_large' }],
    ['login_needed', { outcome: 'failed', code: 'login_needed', credentialTrouble: true }],
    [
      'not_authenticated',
      { outcome: 'failed', code: 'not_authenticated', credentialTrouble: true },
    ],
  ])('no answer: %s', (code, expected) => {
    expect(judgeKillError(new RescindError(code as 'http_reset', 'x'))).toEqual(expected)
  })
})

describe('kills, against what is really so', () => {
  let org: SalesforceOrg
  let bench: Bench
  let session: ProviderSession
  let tokens: readonly TokenRow[]
  beforeAll(async () => {
    org = await startSalesforce({ seed: 31, size: { users: 80, apps: 16, tokens: 2_000 } })
    // A hang is waited for; half a second is long enough for the others.
    bench = await createBench({ http: createHttp({ timeoutMs: 500 }) })
    session = await bench.open(tenantOf(org, passwordLogin(org)))
    tokens = (await take(session)).tokens
  })
  afterAll(async () => {
    await org.close()
    await bench[Symbol.asyncDispose]()
  })

  const asKillToken = (token: TokenRow): KillToken => ({
    ...token,
    fingerprint: bench.means.fingerprint(token.handle),
  })
  const killOne = (token: TokenRow): Kill => {
    const one = asKillToken(token)
    return { reach: { kind: 'token', token: one.fingerprint }, tokens: [one] }
  }
  let next = 0
  const victim = () => {
    const found = tokens.filter(
      (token) => token.kind === 'grant' && !token.own && token.appId?.startsWith('0H4'),
    )[next++]
    if (!found) throw new Error('the org has too few tokens')
    return found
  }

  it.each<[string, Fault | undefined, Partial<KillAnswer>, boolean]>([
    ['no fault', undefined, { outcome: 'revoked' }, false],
    [
      '404 Bad_Id',
      { kind: 'bad_id_404', on: 'revoke' },
      { outcome: 'failed', code: 'Bad_Id' },
      true,
    ],
    [
      '429',
      { kind: 'too_many_429', on: 'revoke', retryAfterS: 2 },
      { outcome: 'failed', congested: true, retryAfterMs: 2000 },
      true,
    ],
    [
      '503',
      { kind: 'unavailable_503', on: 'revoke' },
      { outcome: 'failed', congested: true },
      true,
    ],
    [
      '403 at the limit',
      { kind: 'request_limit_403', on: 'revoke' },
      { outcome: 'failed', congested: true },
      true,
    ],
    ['302', { kind: 'redirect_302', on: 'revoke' }, { outcome: 'failed', code: 'http_302' }, true],
    [
      '500 after the effect',
      { kind: 'error_500_after_effect', on: 'revoke' },
      { outcome: 'in_doubt' },
      false,
    ],
    [
      '500 before the effect',
      { kind: 'error_500_before_effect', on: 'revoke' },
      { outcome: 'in_doubt' },
      true,
    ],
    [
      'reset before the effect',
      { kind: 'reset_before_effect', on: 'revoke' },
      { outcome: 'in_doubt', code: 'http_reset' },
      true,
    ],
    [
      'reset after the effect',
      { kind: 'reset_after_effect', on: 'revoke' },
      { outcome: 'in_doubt', code: 'http_reset' },
      false,
    ],
    ['hang', { kind: 'hang', on: 'revoke' }, { outcome: 'in_doubt', code: 'http_timeout' }, false],
    ['page in HTML', { kind: 'html_200', on: 'revoke' }, { outcome: 'in_doubt' }, true],
  ])('%s', async (_title, fault, expected, alive) => {
    const token = victim()
    org.setFaults(fault ? [fault] : [])
    expect(await session.kill(killOne(token))).toMatchObject(expected)
    org.setFaults([])
    expect(org.truth.isAlive(rawHandle(token))).toBe(alive)
    expect(org.revokeCalls(rawHandle(token))).toBeLessThanOrEqual(1)
    const { present, unclear } = await session.look([asKillToken(token)])
    expect([present.size, unclear.size]).toEqual([alive ? 1 : 0, 0])
  })

  it('a second kill of one token is already_dead', async () => {
    const token = victim()
    await session.kill(killOne(token))
    expect(await session.kill(killOne(token))).toMatchObject({ outcome: 'already_dead' })
  })

  it('a session is deleted, and a second time already dead', async () => {
    const token = tokens.find(({ kind, own }) => kind === 'session' && !own)
    if (!token) throw new Error('no session')
    const isAlive = () =>
      org.truth.sessions().find(({ id }) => id === rawHandle(token))?.alive ?? false
    expect(isAlive()).toBe(true)
    expect((await session.look([asKillToken(token)])).present.size).toBe(1)
    expect(await session.kill(killOne(token))).toMatchObject({ outcome: 'revoked' })
    expect(isAlive()).toBe(false)
    expect((await session.look([asKillToken(token)])).present.size).toBe(0)
    expect(await session.kill(killOne(token))).toMatchObject({ outcome: 'already_dead' })
  })

  it('an external client app dies by user, then whole; what it reaches is known before', async () => {
    const external = tokens.filter(({ appId }) => appId?.startsWith('0xI'))
    const [first] = external
    if (!first?.appId || !first.userId) throw new Error('no external client app')
    const { appId: app, userId: user } = first
    const all = external.filter((token) => token.appId === app).map(asKillToken)
    const ofUser = all.filter((token) => token.userId === user)
    const byUser: Kill = { reach: { kind: 'user_app', user, app }, tokens: ofUser }
    expect(await session.reachNow(byUser)).toEqual(new Set(ofUser.map((t) => t.fingerprint)))
    expect(await session.kill(byUser)).toMatchObject({ outcome: 'revoked' })
    expect((await session.reachNow(byUser)).size).toBe(0)

    const rest = all.filter((token) => token.userId !== user)
    const byApp: Kill = { reach: { kind: 'app', app }, tokens: rest }
    expect(await session.reachNow(byApp)).toEqual(new Set(rest.map((t) => t.fingerprint)))
    expect(await session.kill(byApp)).toMatchObject({ outcome: 'revoked' })
    expect((await session.look(all)).present.size).toBe(0)
    for (const token of all) expect(org.truth.isAlive(rawHandle(token))).toBe(false)
  })

  it('what a coarse kill would reach is not said by a credential that sees its own tokens alone', async () => {
    const app = tokens.find(({ appId }) => appId?.startsWith('0xI'))?.appId ?? ''
    const { userId } = org.credentials.admin
    const reach = { kind: 'app', app } as const
    org.setPermission(userId, 'CustomizeApplication', false)
    await expect(session.reachNow({ reach, tokens: [] })).rejects.toMatchObject({
      code: 'not_permitted',
    })
    org.setPermission(userId, 'CustomizeApplication', true)
    expect((await session.reachNow({ reach, tokens: [] })).size).toBeGreaterThanOrEqual(0)
  })

  it('an app that is not there is no death, and no lasting no: it is looked at', async () => {
    const kill: Kill = { reach: { kind: 'app', app: '0xI000000000000AAA' }, tokens: [] }
    expect(await session.kill(kill)).toMatchObject({ outcome: 'in_doubt', code: 'NOT_FOUND' })
  })

  it('a handle of no known kind is refused before anything is sent', async () => {
    const requests = org.log.length
    const kill = killOne({ ...victim(), handle: new Secret('something-else') })
    expect(await session.kill(kill)).toEqual({ outcome: 'refused', code: 'no_handle' })
    expect(org.log.length).toBe(requests)
  })

  it('an abort is thrown, and nothing else', async () => {
    const reason = new Error('stop')
    const kill = session.kill(killOne(victim()), AbortSignal.abort(reason))
    await expect(kill).rejects.toBe(reason)
  })

  it('tokens of the usage API are killed and looked at by their own id', async () => {
    await using hidden = await startSalesforce({
      seed: 32,
      size: { users: 40, apps: 14, tokens: 600 },
      switches: { ecaInOauthToken: false },
    })
    const there = await bench.open({ ...tenantOf(hidden), name: 'hidden' })
    const listed = (await take(there)).tokens.filter(({ handle }) =>
      handle.reveal().startsWith('usage:'),
    )
    const [one, two] = listed
    if (!one || !two) throw new Error('no usage tokens')
    const pair = [one, two].map(asKillToken)
    expect((await there.look(pair)).present.size).toBe(2)
    expect(await there.kill(killOne(one))).toMatchObject({ outcome: 'revoked' })
    expect((await there.look(pair)).present).toEqual(new Set([bench.means.fingerprint(two.handle)]))
    expect(await there.kill(killOne(one))).toMatchObject({ outcome: 'already_dead' })
    const app = one.appId ?? ''
    const reached = await there.reachNow({ reach: { kind: 'app', app }, tokens: [] })
    const alive = listed.filter((token) => token.appId === app && token !== one)
    expect(reached).toEqual(new Set(alive.map(({ handle }) => bench.means.fingerprint(handle))))
  })
})
