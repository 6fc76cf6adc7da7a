import { describe, expect, it, test } from 'vitest'
import {
  type Failure,
  judgeFailure,
  judgeSuccess,
} from '../../../src/connections/open-connectors/answer.ts'
import { authorizationHeader } from '../../../src/connections/open-connectors/authorization-header.ts'
import {
  configurationOf,
  readValue,
  refreshTimeMs,
} from '../../../src/connections/open-connectors/configuration.ts'
import { callbackIn, codeIn } from '../../../src/connections/open-connectors/consent.ts'
import { checkConsentUrl } from '../../../src/connections/open-connectors/consent-url.ts'
import { type Findings, judgeRefusal } from '../../../src/connections/open-connectors/diagnose.ts'
import {
  type Instance,
  identityOf,
  readInstance,
  scopesOf,
} from '../../../src/connections/open-connectors/instance.ts'
import { putBody, refuseMasked } from '../../../src/connections/open-connectors/requests.ts'
import {
  DEFAULT_OPEN_CONNECTORS_SWITCHES,
  type OpenConnectorsSettings,
  type OpenConnectorsSwitches,
} from '../../../src/connections/open-connectors/settings.ts'
import { traceableUrl, traceLine } from '../../../src/connections/open-connectors/trace.ts'
import { Secret } from '../../../src/core/secret.ts'

const settings = (switches: Partial<OpenConnectorsSwitches> = {}): OpenConnectorsSettings => ({
  url: 'https://api.example/elements/api-v2',
  userSecret: new Secret('u+s/e=r'),
  organizationSecret: new Secret('0123456789abcdef0123456789abcdef'),
  callbackUrl: 'https://app.example/callback',
  elements: {
    sfdc: {
      apiKey: 'key',
      apiSecret: new Secret('the-api-secret'),
      scope: 'full refresh_token',
      siteAddress: null,
      probePath: '/hubs/crm/accounts?pageSize=1',
      consentHosts: ['login.salesforce.com'],
      secrets: { 'sfdc.password': new Secret('the-password') },
    },
  },
  switches: { ...DEFAULT_OPEN_CONNECTORS_SWITCHES, ...switches },
})

const instance = (configuration: Record<string, unknown> = {}, more: object = {}): Instance =>
  readInstance({
    id: 4014,
    token: 'an-element-token',
    element: { key: 'sfdc' },
    configuration,
    ...more,
  }) ?? expect.unreachable()

describe('a 2xx of a call through an instance', () => {
  const requestId = '0123456789abcdef01234567'
  test.each<[string, string, string | null]>([
    ['records', '[{"id":"1"}]', null],
    ['a record with a message of its own', '{"id":"1","message":"hello"}', null],
    ['no records', '[]', null],
    ['a page', '<!doctype html><title>Maintenance</title>', 'no JSON'],
    ['nothing', '', 'no JSON'],
    ['an error', `{"requestId":"${requestId}","message":"Failed"}`, 'an error: Failed'],
    [
      'an error of the provider',
      '{"providerMessage":{"code":"gone"}}',
      'an error: {"code":"gone"}',
    ],
    [
      'an error that echoes what was sent',
      `{"requestId":"${requestId}","message":"not known: the-api-secret"}`,
      'an error: not known: fp_',
    ],
  ])('with %s', (_title, body, message) => {
    const sent = [new Secret('the-api-secret')]
    const failure = judgeSuccess({ status: 200, body, retryAfterMs: undefined }, sent)
    if (message === null) return expect(failure).toBeNull()
    expect(failure).toMatchObject({ whose: 'platform', status: 200 })
    expect(failure?.message).toContain(message.replace(/fp_$/, ''))
    expect(failure?.message).not.toContain('the-api-secret')
  })
})

describe('the Authorization header: pairs joined by commas, secrets as they are', () => {
  test.each<[string, Partial<OpenConnectorsSwitches>, Secret | undefined, string]>([
    [
      'for the platform',
      {},
      undefined,
      'User u+s/e=r, Organization 0123456789abcdef0123456789abcdef',
    ],
    [
      'through an instance',
      {},
      new Secret('e=l+'),
      'User u+s/e=r, Organization 0123456789abcdef0123456789abcdef, Element e=l+',
    ],
    [
      'in the short form',
      { elementHeader: 'user-element' },
      new Secret('e=l+'),
      'User u+s/e=r, Element e=l+',
    ],
  ])('%s', (_title, switches, token, header) => {
    expect(authorizationHeader(settings(switches), token)).toBe(header)
  })
})

describe('the configuration: a flat map of strings', () => {
  test.each<[string, Record<string, unknown>, string]>([
    ['a text', { k: 'v' }, 'set'],
    ['a boolean', { k: false }, 'set'],
    ['null', { k: null }, 'blank'],
    ['an empty text', { k: '' }, 'blank'],
    ['no such key', {}, 'absent'],
    ['asterisks', { k: '********' }, 'masked'],
    ['asterisks and more', { k: '***a' }, 'set'],
  ])('%s', (_title, wire, kind) => {
    expect(readValue(configurationOf(wire), 'k').kind).toBe(kind)
  })

  test.each<[string, unknown, number | null]>([
    ['thirteen digits are milliseconds', '1530000000123', 1_530_000_000_123],
    ['ten digits are seconds', '1530000000', 1_530_000_000_000],
    ['a number is a text as well', 1530000000123, 1_530_000_000_123],
    ['null before the first refresh', null, null],
    ['no number', 'soon', null],
  ])('oauth.user.refresh_time: %s', (_title, value, ms) => {
    expect(refreshTimeMs(configurationOf({ 'oauth.user.refresh_time': value }))).toBe(ms)
  })

  test('tags are texts, or objects with a name', () => {
    expect(instance({}, { tags: ['a', { id: 1, name: 'b' }] }).tags).toEqual(['a', 'b'])
  })

  test('scopes are separated by spaces or commas', () => {
    expect(scopesOf(instance({ 'oauth.scope': 'full, api refresh_token' }))).toEqual([
      'full',
      'api',
      'refresh_token',
    ])
  })

  test.each([
    ['https://login.salesforce.com/id/00Dx0000000BV7z/005x00000012Q9P', '005x00000012Q9P'],
    ['https://login.salesforce.com/', undefined],
    [null, undefined],
  ])('who a grant belongs to, in sfdc.user.id.url %s', (url, user) => {
    expect(identityOf(instance({ 'sfdc.user.id.url': url }))?.user).toBe(user)
  })

  test('nothing of an instance is printed', () => {
    const text = JSON.stringify({
      ...instance({ 'oauth.user.token': 'a-live-token' }),
      configuration: null,
    })
    expect(text).not.toMatch(/a-live-token|an-element-token/)
  })
})

const failureOf = (status: number, body: unknown, switches: Partial<OpenConnectorsSwitches> = {}) =>
  judgeFailure(
    {
      status,
      body: typeof body === 'string' ? body : JSON.stringify(body),
      retryAfterMs: undefined,
    },
    { ...DEFAULT_OPEN_CONNECTORS_SWITCHES, ...switches },
    [new Secret('sent-secret')],
  )

describe('whose a refusal is: providerMessage tells', () => {
  test.each<[string, Failure, Partial<Failure>]>([
    [
      'the platform has no such account',
      failureOf(404, { requestId: '5a'.repeat(12), message: 'no' }),
      { whose: 'platform', requestId: '5a'.repeat(12) },
    ],
    [
      'the provider forbids',
      failureOf(403, { message: 'no', providerMessage: 'INSUFFICIENT_ACCESS' }),
      { whose: 'provider', providerMessage: 'INSUFFICIENT_ACCESS' },
    ],
    [
      'its words are JSON',
      failureOf(400, { message: 'no', providerMessage: { error: 'invalid_grant' } }),
      { whose: 'provider', providerMessage: '{"error":"invalid_grant"}' },
    ],
    [
      'a 401 without words',
      failureOf(401, { message: 'Invalid Organization or User Secret' }),
      { whose: 'unclear' },
    ],
    [
      'blank words are none',
      failureOf(401, { message: 'x', providerMessage: ' ' }),
      { whose: 'unclear', providerMessage: null },
    ],
    [
      'words that are not trusted',
      failureOf(502, { providerMessage: 'x' }, { providerMessage: 'ignored' }),
      { whose: 'unclear' },
    ],
    ['a page of a proxy', failureOf(502, '<html>'), { whose: 'platform', message: 'HTTP 502' }],
    [
      'a request id that is none',
      failureOf(500, { requestId: '<script>', message: 'x' }),
      { requestId: null },
    ],
    [
      'our secret comes back',
      failureOf(400, { message: 'wrong sent-secret' }),
      { message: expect.not.stringContaining('sent-secret') as string },
    ],
  ])('%s', (_title, failure, expected) => {
    expect(failure).toMatchObject(expected)
  })
})

describe('why a call through an instance was refused', () => {
  const bare = failureOf(401, { message: 'Unauthorized' })
  const was = instance()
  const found = (more: Partial<Findings>): Findings => ({ isLetIn: true, now: was, ...more })
  test.each<[string, Failure, Findings | undefined, object, boolean]>([
    [
      'a failed refresh, in the provider’s words',
      failureOf(401, { providerMessage: 'invalid_grant: expired access/refresh token' }),
      undefined,
      { code: 'revoked_or_expired', confidence: 'likely' },
      true,
    ],
    [
      'the same as a 502',
      failureOf(502, { providerMessage: 'invalid_grant' }),
      undefined,
      { code: 'revoked_or_expired' },
      true,
    ],
    [
      'a session that is refused, perhaps for its address',
      failureOf(401, { providerMessage: 'INVALID_SESSION_ID' }),
      undefined,
      { code: 'revoked_or_expired', confidence: 'possible' },
      true,
    ],
    [
      'our app is refused: no owner can mend that',
      failureOf(400, { providerMessage: 'invalid_client' }),
      undefined,
      { code: 'our_client_refused' },
      true,
    ],
    [
      'the provider is down',
      failureOf(502, { providerMessage: 'Bad Gateway' }),
      undefined,
      { code: 'provider_down' },
      true,
    ],
    [
      'a quota',
      failureOf(429, { providerMessage: 'REQUEST_LIMIT_EXCEEDED' }),
      undefined,
      { code: 'rate_limited' },
      true,
    ],
    ['a scope', failureOf(403, { providerMessage: 'no' }), undefined, { code: 'forbidden' }, true],
    [
      '401, and the control call is refused',
      bare,
      found({ isLetIn: false, now: null }),
      { code: 'our_client_refused', confidence: 'certain' },
      false,
    ],
    [
      '401, and the instance is gone',
      bare,
      found({ now: 'gone' }),
      { code: 'our_client_refused' },
      false,
    ],
    [
      '401, and the element token is another',
      bare,
      found({ now: instance({}, { token: 'other' }) }),
      { code: 'our_client_refused' },
      false,
    ],
    [
      '401, and the instance is disabled',
      bare,
      found({ now: instance({}, { disabled: true }) }),
      { code: 'revoked_or_expired', confidence: 'possible' },
      false,
    ],
    [
      '400 of a disabled instance',
      failureOf(400, { message: 'disabled' }),
      found({ now: instance({}, { disabled: true }) }),
      { code: 'revoked_or_expired' },
      false,
    ],
    [
      '401, and all of ours is well',
      bare,
      found({}),
      { code: 'revoked_or_expired', confidence: 'possible' },
      true,
    ],
    [
      '401, and the platform does not answer',
      bare,
      { isLetIn: null, now: null },
      { code: 'provider_down' },
      false,
    ],
  ])('%s', (_title, failure, findings, cause, providerRefused) => {
    expect(judgeRefusal(failure, was, findings)).toMatchObject({ cause, providerRefused })
  })
})

describe('a limit, a lack of rights and what nobody can tell are no death', () => {
  const letIn: Findings = { isLetIn: true, now: instance() }
  const untrusted = { providerMessage: 'ignored' } as const
  test.each<[string, Failure, Findings | undefined, string]>([
    [
      '429, whatever its words',
      failureOf(429, { providerMessage: 'invalid_grant' }),
      undefined,
      'rate_limited',
    ],
    ['429 of the platform', failureOf(429, { message: 'slow down' }), undefined, 'rate_limited'],
    [
      '429 with words that are not trusted',
      failureOf(429, { providerMessage: 'x' }, untrusted),
      undefined,
      'rate_limited',
    ],
    [
      '401, and 429 in its text',
      failureOf(401, { providerMessage: 'HTTP 429 from the provider' }),
      undefined,
      'rate_limited',
    ],
    [
      '401, and 429 in its JSON',
      failureOf(401, { providerMessage: { status: 429, error: 'x' } }),
      undefined,
      'rate_limited',
    ],
    [
      '403 with the code of a limit',
      failureOf(403, { providerMessage: [{ errorCode: 'REQUEST_LIMIT_EXCEEDED' }] }),
      undefined,
      'rate_limited',
    ],
    [
      'invalid_grant for too many logins',
      failureOf(401, { providerMessage: 'invalid_grant: login rate exceeded' }),
      undefined,
      'rate_limited',
    ],
    [
      '403, whatever its words',
      failureOf(403, { providerMessage: 'token expired' }),
      undefined,
      'forbidden',
    ],
    ['403 of the platform', failureOf(403, { message: 'no' }), letIn, 'forbidden'],
    [
      '403 with words that are not trusted',
      failureOf(403, { providerMessage: 'x' }, untrusted),
      letIn,
      'forbidden',
    ],
    [
      '401, and 403 in its text',
      failureOf(401, { providerMessage: 'status code: 403' }),
      undefined,
      'forbidden',
    ],
    [
      'invalid_grant for an address',
      failureOf(401, { providerMessage: 'invalid_grant: ip restricted' }),
      undefined,
      'forbidden',
    ],
    [
      '401 with words that do not tell',
      failureOf(401, { providerMessage: 'Unauthorized' }),
      undefined,
      'forbidden',
    ],
    [
      'the same, not trusted',
      failureOf(401, { providerMessage: 'Unauthorized' }, untrusted),
      letIn,
      'forbidden',
    ],
    [
      '401, and 503 in its text',
      failureOf(401, { providerMessage: 'HTTP/1.1 503' }),
      undefined,
      'provider_down',
    ],
    [
      '502 with words that are not trusted',
      failureOf(502, { providerMessage: 'x' }, untrusted),
      undefined,
      'provider_down',
    ],
  ])('%s', (_title, failure, findings, code) => {
    expect(judgeRefusal(failure, instance(), findings).cause.code).toBe(code)
  })
})

describe('the consent URL of the platform', () => {
  const state = new Secret('our-state')
  const url = (query: Record<string, string>, host = 'https://login.salesforce.com') =>
    `${host}/services/oauth2/authorize?${new URLSearchParams({ client_id: 'key', redirect_uri: 'https://app.example/callback', response_type: 'code', ...query })}`
  const check = (text: string, switches: Partial<OpenConnectorsSwitches> = {}) => {
    const all = settings(switches)
    return new URL(checkConsentUrl(text, all.elements.sfdc!, all, state))
  }

  it('loses the client secret that the vendor puts into it', () => {
    const href = check(url({ state: 'our-state', client_secret: 'the-api-secret' })).href
    expect(href).not.toContain('the-api-secret')
  })
  it('gets our state where the platform left it out', () => {
    expect(check(url({})).searchParams.get('state')).toBe('our-state')
  })
  test.each<[string, string, string]>([
    ['leads elsewhere', url({ state: 'our-state' }, 'https://evil.example'), 'answer_invalid'],
    ['asks for another client', url({ state: 'our-state', client_id: 'x' }), 'answer_invalid'],
    [
      'comes back elsewhere',
      url({ state: 'our-state', redirect_uri: 'https://evil.example/' }),
      'answer_invalid',
    ],
    ['has a state of its own', url({ state: 'sfdc' }), 'answer_invalid'],
    ['is no address', 'javascript:alert(1)', 'url_invalid'],
    ['is plain HTTP', url({ state: 'our-state' }, 'http://login.salesforce.com'), 'url_plain_http'],
  ])('is refused when it %s', (_title, text, code) => {
    expect(() => check(text)).toThrow(expect.objectContaining({ code }))
  })
  it('may have a state of the platform’s own where that is accepted', () => {
    expect(check(url({ state: 'sfdc' }), { state: 'if-echoed' }).searchParams.get('state')).toBe(
      'sfdc',
    )
  })
})

describe('RFC 6749 section 10.12: what came to the callback', () => {
  const state = new Secret('our-state')
  const taken = (address: string, switches: Partial<OpenConnectorsSwitches> = {}) =>
    codeIn(callbackIn(`https://app.example/callback${address}`), state, settings(switches).switches)

  test.each<[string, string, Partial<OpenConnectorsSwitches>]>([
    ['a code with our state', '?code=c1&state=our-state', {}],
    ['a code without state, where elements do not echo it', '?code=c1', { state: 'if-echoed' }],
  ])('%s is taken', (_title, address, switches) => {
    expect(taken(address, switches).reveal()).toBe('c1')
  })
  test.each<[string, string, Partial<OpenConnectorsSwitches>]>([
    ['another state', '?code=c1&state=other', {}],
    ['no state', '?code=c1', {}],
    ['another state, where none would do', '?code=c1&state=other', { state: 'if-echoed' }],
    ['a denial', '?error=access_denied&state=our-state', {}],
    ['a denial with another state', '?error=access_denied&state=other', {}],
    ['nothing', '', {}],
    ['no code', '?state=our-state', {}],
  ])('%s is refused', (_title, address, switches) => {
    expect(() => taken(address, switches)).toThrow(
      expect.objectContaining({ code: 'reconnect_refused' }),
    )
  })
})

describe('a masked secret is never sent back', () => {
  test('PUT leaves out both tokens, and puts our secrets in for the asterisks', () => {
    const shown = {
      'oauth.user.token': 'old',
      'oauth.user.refresh_token': 'old',
      'oauth.api.secret': '********',
      'sfdc.password': '********',
      'oauth.scope': 'full',
    }
    const body = putBody(instance(shown, { extra: [1] }), new Secret('c1'), settings())
    expect(body).toMatchObject({
      extra: [1],
      providerData: { code: 'c1' },
      configuration: { 'oauth.api.secret': 'the-api-secret', 'sfdc.password': 'the-password' },
    })
    expect(JSON.stringify(body)).not.toMatch(/oauth\.user\.(refresh_)?token|\*/)
    expect(() => refuseMasked(body)).not.toThrow()
  })
  test('one that we do not know stops the call, and is named', () => {
    const body = putBody(
      instance({ 'sfdc.security.token': '********' }),
      new Secret('c1'),
      settings(),
    )
    expect(() => refuseMasked(body)).toThrow(
      expect.objectContaining({
        code: 'secret_masked',
        message: expect.stringContaining('configuration.sfdc.security.token'),
      }),
    )
  })
})

describe('the trace', () => {
  test('hides what may be secret in an address', () => {
    const url =
      'https://api.example/elements/sfdc/oauth/url?apiKey=k&apiSecret=s3cret&state=st&callbackUrl=https%3A%2F%2Fa.example'
    const line = traceLine({
      method: 'GET',
      url: traceableUrl(url),
      status: 200,
      requestId: null,
      ms: 3,
    })
    expect(line).toBe(
      'GET https://api.example/elements/sfdc/oauth/url?apiKey=k&apiSecret=…&state=…&callbackUrl=https%3A%2F%2Fa.example → 200 · 3 ms',
    )
  })
})
