import { describe, expect, it } from 'vitest'
import { Secret } from '../../../src/core/secret.ts'
import type { Comeback } from '../../../src/providers/provider.ts'
import {
  type OauthSession,
  opensAlone,
  standsAlone,
} from '../../../src/providers/salesforce/auth-sessions.ts'
import { type ComebackFacts, judgeComeback } from '../../../src/providers/salesforce/comeback.ts'
import { isSameId, toLongId } from '../../../src/providers/salesforce/ids.ts'
import { judgeRestAnswer } from '../../../src/providers/salesforce/rest-answer.ts'
import { soqlText, soqlTime, timeOf } from '../../../src/providers/salesforce/soql.ts'
import { judgeTokenAnswer } from '../../../src/providers/salesforce/token-request.ts'

describe('SOQL literals', () => {
  it.each([
    ['plain', 'Drift', "'Drift'"],
    ['quote', "O'Brien", "'O\\'Brien'"],
    ['backslash before a quote', "\\' OR Name != '", "'\\\\\\' OR Name != \\''"],
    ['line break', 'a\nb', "'a\\nb'"],
    ['other alphabets', 'Żółć 株式', "'Żółć 株式'"],
  ])('%s', (_title, text, literal) => {
    expect(soqlText(text)).toBe(literal)
  })

  it('times are whole seconds in UTC, and read back', () => {
    const ms = Date.UTC(2025, 7, 8, 10, 11, 12)
    expect(soqlTime(ms + 999)).toBe('2025-08-08T10:11:12Z')
    expect(timeOf({ At: '2025-08-08T10:11:12.000+0000' }, 'At')).toBe(ms)
    expect(timeOf({ At: '2025-08-08T12:11:12.000+0200' }, 'At')).toBe(ms)
    expect(timeOf({ At: 'soon' }, 'At')).toBeNull()
    expect(timeOf({}, 'At')).toBeNull()
  })
})

describe('record ids of 15 and 18 characters', () => {
  it.each([
    ['00D000000000062', '00D000000000062EAA'],
    ['001A0000006Vm9u', '001A0000006Vm9uIAC'],
    ['001A0000006Vm9uIAC', '001A0000006Vm9uIAC'],
    ['not-an-id', 'not-an-id'],
  ])('%s is %s', (id, long) => {
    expect(toLongId(id)).toBe(long)
  })

  it('compares both forms, and case', () => {
    expect(isSameId('001A0000006Vm9u', '001A0000006Vm9uIAC')).toBe(true)
    expect(isSameId('001A0000006Vm9u', '001A0000006vm9u')).toBe(false)
    expect(isSameId(null, null)).toBe(false)
  })
})

describe('how an app can come back', () => {
  const facts: ComebackFacts = {
    kind: 'connected',
    adminApproved: false,
    issuesJwt: false,
    opensAlone: [],
    blocked: false,
  }
  it.each<[string, Partial<ComebackFacts>, Comeback]>([
    ['self-authorised', {}, 'one_consent'],
    ['external, self-authorised', { kind: 'external' }, 'one_consent'],
    ['pre-approved by an admin', { adminApproved: true }, 'at_once'],
    ['logs in by client credentials', { opensAlone: ['OauthClientCredentials'] }, 'at_once'],
    ['may log in by JWT bearer', { issuesJwt: true }, 'at_once'],
    ['uninstalled, since September 2025', { kind: 'uninstalled', adminApproved: null }, 'admin'],
    [
      'uninstalled, with sessions of its own',
      { kind: 'uninstalled', opensAlone: ['OauthUsernamePassword'] },
      'at_once',
    ],
    ['blocked', { blocked: true, adminApproved: true }, 'blocked'],
    ['several of one label', { kind: 'ambiguous', adminApproved: null }, 'unknown'],
    ['not said', { adminApproved: null }, 'unknown'],
  ])('%s', (_title, more, comeback) => {
    const judged = judgeComeback({ ...facts, ...more })
    expect(judged.comeback).toBe(comeback)
    expect(judged.comebackWhy.length).toBeGreaterThan(10)
  })
})

describe('LoginSubType of a session', () => {
  const session = (subtype: string | null): OauthSession => ({
    id: 'x',
    userId: null,
    appLabel: null,
    subtype,
    createdAt: null,
    lastUsedAt: null,
  })
  it.each([
    ['OauthRefreshToken', false, false],
    ['OauthWebServer', false, false],
    ['OauthUserAgent', false, false],
    ['OauthHybridTokenRefresh', false, false],
    ['OauthClientCredentials', true, true],
    ['OauthJwtBearer', true, true],
    ['OauthTokenExchange', true, true],
    ['OauthUsernamePassword', true, true],
    [null, true, false],
    ['OauthSomethingNew', true, false],
  ])('%s: alone %s, without a person %s', (subtype, alone, opens) => {
    expect([standsAlone(session(subtype)), opensAlone(session(subtype))]).toEqual([alone, opens])
  })
})

describe('answers of the REST API', () => {
  const answer = (status: number, body: string) => ({
    status,
    headers: {},
    body,
    retryAfterMs: undefined,
    elapsedMs: 1,
  })
  const error = (errorCode: string, message: string) => JSON.stringify([{ errorCode, message }])
  it.each<[string, number, string, string, string | undefined]>([
    ['200', 200, '{}', 'ok', undefined],
    [
      'dead session',
      401,
      error('INVALID_SESSION_ID', 'Session expired or invalid'),
      'session_dead',
      undefined,
    ],
    [
      'live session, not for this API',
      401,
      error('INVALID_SESSION_ID', 'This session is not valid for use with the REST API'),
      'refused',
      'not_permitted',
    ],
    ['userinfo of a dead session', 403, 'Bad_OAuth_Token', 'session_dead', undefined],
    ['no permission', 403, error('INSUFFICIENT_ACCESS', 'no'), 'refused', 'not_permitted'],
    [
      'no API in this edition',
      403,
      error('API_DISABLED_FOR_ORG', 'no'),
      'refused',
      'not_permitted',
    ],
    [
      'daily limit',
      403,
      error('REQUEST_LIMIT_EXCEEDED', 'TotalRequests Limit exceeded.'),
      'refused',
      'provider_busy',
    ],
    [
      'concurrent limit',
      403,
      error(
        'REQUEST_LIMIT_EXCEEDED',
        'ConcurrentRequests (Concurrent API Requests) Limit exceeded.',
      ),
      'busy',
      'provider_busy',
    ],
    [
      'slow query',
      400,
      error('QUERY_TIMEOUT', 'Your query request was running for too long.'),
      'busy',
      'provider_busy',
    ],
    [
      'unknown column',
      400,
      error('INVALID_FIELD', "No such column 'X'"),
      'refused',
      'answer_invalid',
    ],
    ['overload', 503, '<html>', 'busy', 'provider_busy'],
    ['retired version', 410, error('GONE', 'retired'), 'refused', 'answer_invalid'],
  ])('%s', (_title, status, body, kind, code) => {
    const verdict = judgeRestAnswer(answer(status, body), 'the list')
    expect(verdict.kind).toBe(kind)
    expect('refusal' in verdict ? verdict.refusal.code : undefined).toBe(code)
  })

  it('of a web page says to check the url', () => {
    const verdict = judgeRestAnswer(answer(404, '<html>Not here</html>'), 'the list')
    expect('refusal' in verdict ? verdict.refusal.message : '').toBe(
      "The answer to the list is not one of a Salesforce API (HTTP 404). Check the tenant's url.",
    )
  })

  it('spells out what a terminal would act on', () => {
    const verdict = judgeRestAnswer(answer(400, error('X', 'a\u001b]0;b\u0007')), 'the list')
    const text = 'refusal' in verdict ? verdict.refusal.message : ''
    expect(text).toContain('a\\u{001B}]0;b\\u{0007}')
  })

  it('never passes on a credential that the vendor echoes', () => {
    const body = error('X', 'bad session 00D000000000062!AQ4AQFabcdefghijklmno for you')
    const verdict = judgeRestAnswer(answer(400, body), 'the list')
    const text = 'refusal' in verdict ? `${verdict.refusal.message} ${verdict.refusal.detail}` : ''
    expect(text).toContain('[redacted]')
    expect(text).not.toContain('AQ4AQF')
  })
})

describe('answers of the token endpoint', () => {
  const url = 'https://acme.my.salesforce.com'
  const answer = (status: number, body: unknown) => ({
    status,
    headers: {},
    body: typeof body === 'string' ? body : JSON.stringify(body),
    retryAfterMs: undefined,
    elapsedMs: 1,
  })
  it.each<[string, number, unknown, string]>([
    ['a session', 200, { access_token: 'x', instance_url: url }, 'ok'],
    ['200 without one', 200, { hello: 1 }, 'unknown'],
    [
      'an instance that is no address',
      200,
      { access_token: 'x', instance_url: 'nowhere' },
      'unknown',
    ],
    [
      'invalid_grant',
      400,
      { error: 'invalid_grant', error_description: 'inactive user' },
      'refused',
    ],
    ['invalid_client', 401, { error: 'invalid_client' }, 'refused'],
    ['429, whatever it says', 429, { error: 'slow_down' }, 'unknown'],
    ['500, whatever it says', 500, { error: 'unknown_error' }, 'unknown'],
    ['a page', 404, '<html>', 'unknown'],
    ['a list', 200, [1], 'unknown'],
  ])('%s', (_title, status, body, kind) => {
    expect(judgeTokenAnswer(answer(status, body), url, []).kind).toBe(kind)
  })

  it('repeats no secret that was sent, and nothing that cannot be seen', () => {
    const secret = new Secret('Winter 2025!')
    const said = 'no user\u001b[31m with\n password Winter 2025! or Winter+2025%21\u202e'
    const refusal = answer(400, { error: 'invalid_grant', error_description: said })
    const verdict = judgeTokenAnswer(refusal, url, [secret])
    const message = verdict.kind === 'refused' ? verdict.message : ''
    expect(message).not.toMatch(/Winter|[\p{Cc}\u202e]/u)
    expect(message).toMatch(/^no user\\u\{001B\}\[31m with password \[secret \w+\] or \[secret/)
  })

  it('takes whose session it is from the identity URL', () => {
    const id = 'https://login.salesforce.com/id/00D000000000062EAA/005000000000001AAA'
    const verdict = judgeTokenAnswer(
      answer(200, { access_token: 'x', instance_url: url, id }),
      url,
      [],
    )
    expect(verdict.kind === 'ok' && verdict.minted.identity).toEqual({
      orgId: '00D000000000062EAA',
      userId: '005000000000001AAA',
    })
  })
})
