import { describe, expect, test } from 'vitest'
import { judgeProbe, judgeRefresh } from '../../src/connections/taxonomy.ts'
import { RescindError } from '../../src/core/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import type { ProbeAnswer } from '../../src/providers/connection-way.ts'
import {
  lostTokenAnswer,
  readTokenAnswer,
  unsentTokenAnswer,
} from '../../src/providers/token-answer.ts'

const SENT = new Secret('the-refresh-token-sent')

const grant = (description: string, more: object = {}) =>
  JSON.stringify({ error: 'invalid_grant', error_description: description, ...more })

/** What the vendors answer to a refresh, as section 4 of the fact sheet has it. */
const TABLE: readonly [title: string, status: number, body: string, verdict: string][] = [
  [
    'Google: expired or revoked',
    400,
    grant('Token has been expired or revoked.'),
    'permanent revoked_or_expired likely',
  ],
  [
    'Google: session control',
    400,
    grant('Bad Request', { error_subtype: 'invalid_rapt' }),
    'permanent revoked_or_expired certain',
  ],
  [
    'Salesforce: expired',
    400,
    grant('expired access/refresh token'),
    'permanent revoked_or_expired likely',
  ],
  [
    'Salesforce: password or deactivated',
    400,
    grant('authentication failure'),
    'permanent revoked_or_expired likely',
  ],
  [
    'Salesforce: inactive user',
    400,
    grant('inactive user'),
    'permanent revoked_or_expired certain',
  ],
  ['Salesforce: locked to an address', 400, grant('ip restricted'), 'ambiguous forbidden likely'],
  [
    'Salesforce: app blocked',
    400,
    grant('this app is blocked by admin'),
    'ambiguous forbidden certain',
  ],
  ['Salesforce: login rate', 400, grant('login rate exceeded'), 'transient rate_limited certain'],
  [
    'Salesforce: another client',
    400,
    grant('token was not issued to this client'),
    'ours our_client_refused certain',
  ],
  [
    'Salesforce: client id',
    400,
    '{"error":"invalid_client_id","error_description":"client identifier invalid"}',
    'ours our_client_refused certain',
  ],
  [
    'Salesforce: form-encoded',
    400,
    'error=invalid_grant&error_description=expired%20access%2Frefresh%20token',
    'permanent revoked_or_expired likely',
  ],
  [
    'Entra: idle for 90 days',
    400,
    grant('AADSTS700082: The refresh token has expired due to inactivity.', {
      error_codes: [700082],
    }),
    'permanent revoked_or_expired certain',
  ],
  [
    'Entra: SPA, a day',
    400,
    grant('The token was issued to a SPA', { error_codes: [700084] }),
    'permanent revoked_or_expired certain',
  ],
  [
    'Entra: revoked',
    400,
    grant('AADSTS50173: The provided grant has expired due to it being revoked'),
    'permanent revoked_or_expired certain',
  ],
  [
    'Entra: MFA',
    400,
    grant('AADSTS50076: you must use multi-factor authentication'),
    'permanent revoked_or_expired certain',
  ],
  [
    'Entra: conditional access',
    400,
    grant('AADSTS50158: External security challenge not satisfied'),
    'permanent revoked_or_expired certain',
  ],
  [
    'Entra: consent removed',
    400,
    grant('AADSTS65001: not consented', { suberror: 'consent_required' }),
    'permanent revoked_or_expired certain',
  ],
  [
    'Entra: bad token',
    400,
    grant('AADSTS70000: Provided grant is invalid or malformed.'),
    'permanent revoked_or_expired likely',
  ],
  [
    'Entra: our secret',
    401,
    '{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}',
    'ours our_client_refused certain',
  ],
  ['Entra: not now', 400, '{"error":"temporarily_unavailable"}', 'transient provider_down certain'],
  [
    'Slack: ok false with 200',
    200,
    '{"ok":false,"error":"invalid_refresh_token"}',
    'permanent revoked_or_expired likely',
  ],
  [
    'Slack: uninstalled',
    200,
    '{"ok":false,"error":"account_inactive"}',
    'permanent revoked_or_expired certain',
  ],
  [
    'Slack: our secret',
    200,
    '{"ok":false,"error":"bad_client_secret"}',
    'ours our_client_refused certain',
  ],
  ['Slack: limited', 200, '{"ok":false,"error":"ratelimited"}', 'transient rate_limited certain'],
  [
    'Slack: its own trouble',
    200,
    '{"ok":false,"error":"internal_error"}',
    'transient provider_down certain',
  ],
  [
    'Atlassian: 403',
    403,
    grant('Unknown or invalid refresh token.'),
    'permanent revoked_or_expired likely',
  ],
  [
    'HubSpot',
    400,
    '{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token"}',
    'permanent revoked_or_expired likely',
  ],
  [
    'Oracle: a race',
    400,
    grant('The token has already been consumed.'),
    'permanent rotated_token_lost likely',
  ],
  [
    'reuse detection',
    401,
    '{"error":"refresh_token_reused"}',
    'permanent rotated_token_lost certain',
  ],
  [
    'Intuit, Xero, and any other',
    400,
    '{"error":"invalid_grant"}',
    'permanent revoked_or_expired likely',
  ],
  [
    'a scope that a refresh may not name',
    400,
    '{"error":"invalid_scope"}',
    'ours our_client_refused certain',
  ],
  [
    'a web page with 200',
    200,
    '<!doctype html><title>Maintenance</title>',
    'ambiguous malformed_answer likely',
  ],
  ['a web page with 403', 403, '<html><body>Blocked</body></html>', 'ambiguous forbidden possible'],
  [
    '200 with an error of no list',
    200,
    '{"error":"something_else"}',
    'ambiguous malformed_answer likely',
  ],
  [
    '200 without an access token',
    200,
    '{"token_type":"Bearer"}',
    'ambiguous malformed_answer likely',
  ],
  [
    '200 with an empty access token',
    200,
    '{"access_token":""}',
    'ambiguous malformed_answer likely',
  ],
  ['200 that is no JSON', 200, 'ok', 'ambiguous malformed_answer likely'],
  ['200 with nothing', 200, '', 'ambiguous malformed_answer likely'],
  ['302', 302, '', 'ambiguous malformed_answer likely'],
  ['401 without words', 401, '', 'ambiguous forbidden possible'],
  ['403 without words', 403, '{"message":"Forbidden"}', 'ambiguous forbidden possible'],
  ['404', 404, 'Not found', 'ambiguous malformed_answer likely'],
  [
    '429 is never death',
    429,
    grant('Token has been expired or revoked.'),
    'transient rate_limited certain',
  ],
  [
    '500, whatever it says',
    500,
    grant('Token has been expired or revoked.'),
    'transient provider_down certain',
  ],
  ['503', 503, '', 'transient provider_down certain'],
]

const read = (status: number, body: string) =>
  readTokenAnswer({ status, body, retryAfterMs: undefined }, [SENT])

describe('section 4: what came back on a refresh', () => {
  test.each(TABLE)('%s', (_title, status, body, expected) => {
    const { verdict } = judgeRefresh(read(status, body))
    const said =
      verdict.kind === 'alive'
        ? 'alive'
        : `${verdict.kind} ${verdict.cause.code} ${verdict.cause.confidence}`
    expect(said).toBe(expected)
  })

  test.each([
    ['tokens', 200, '{"access_token":"at"}', true],
    ['a clear refusal', 400, '{"error":"invalid_grant"}', false],
    ['a client that is refused', 401, '{"error":"invalid_client"}', false],
    ['429', 429, '', false],
    ['302', 302, '', false],
    ['500', 500, '', true],
    ['200 that cannot be read', 200, 'ok', true],
  ])('%s: whether the token may be spent', (_title, status, body, maybeSpent) => {
    expect(judgeRefresh(read(status, body)).maybeSpent).toBe(maybeSpent)
  })

  test.each([429, 503])(
    'RFC 9110 section 10.2.3: the wait that a %s asks for is kept',
    (status) => {
      const answer = readTokenAnswer({ status, body: '', retryAfterMs: 7_000 }, [SENT])
      expect(judgeRefresh(answer).verdict).toMatchObject({ kind: 'transient', retryAfterMs: 7_000 })
    },
  )

  test.each([
    ['http_timeout', true],
    ['http_reset', true],
    ['host_unreachable', false],
    ['tls_failed', false],
  ] as const)(
    '%s: of the network, and spent only where it may have come through',
    (code, spent) => {
      const answer = lostTokenAnswer(new RescindError(code, 'No answer.'))
      expect(judgeRefresh(answer)).toMatchObject({
        verdict: { kind: 'transient', cause: { code: 'network' } },
        maybeSpent: spent,
      })
    },
  )

  test('RFC 9207: an answer of another issuer is ours to mend', () => {
    const answer = unsentTokenAnswer('issuer_mismatch', 'Another issuer.')
    expect(judgeRefresh(answer).verdict).toMatchObject({
      ...{ kind: 'ours', cause: { code: 'issuer_mismatch' } },
    })
  })

  test('a description that echoes the token does not repeat it', () => {
    const answer = read(400, grant(`bad token ${SENT.reveal()}`))
    expect(JSON.stringify([answer, judgeRefresh(answer)])).not.toContain(SENT.reveal())
  })

  test('an answer without a refresh token, or with an empty one, takes none away', () => {
    for (const more of ['', ',"refresh_token":null', ',"refresh_token":""']) {
      expect(read(200, `{"access_token":"at"${more}}`).tokens?.refreshToken).toBeNull()
    }
  })

  test.each([
    ['3600', 3_600],
    ['"3600"', 3_600],
    ['0', null],
    ['null', null],
    ['"soon"', null],
    ['-1', null],
  ])('expires_in %s is %s', (written, seconds) => {
    const { tokens } = read(200, `{"access_token":"at","expires_in":${written}}`)
    expect(tokens?.expiresInS).toBe(seconds)
  })
})

describe('what a probe showed', () => {
  test.each<[ProbeAnswer, string]>([
    [{ verdict: 'alive', status: 200, identity: null }, 'alive'],
    [{ verdict: 'dead', status: 401, code: 'invalid_token' }, 'permanent revoked_or_expired'],
    [{ verdict: 'refused', status: 403, code: 'http_403' }, 'ambiguous forbidden'],
    [{ verdict: 'refused', status: 429, code: 'http_429' }, 'transient rate_limited'],
    [{ verdict: 'unclear', status: 503, code: 'http_503' }, 'transient provider_down'],
    [{ verdict: 'unclear', status: 200, code: 'answer_invalid' }, 'ambiguous malformed_answer'],
    [{ verdict: 'unclear', status: 200, code: 'missing_scope' }, 'ambiguous malformed_answer'],
    [{ verdict: 'unclear', status: 200, code: 'ratelimited' }, 'transient rate_limited'],
    [{ verdict: 'unclear', status: 200, code: 'internal_error' }, 'transient provider_down'],
    [{ verdict: 'unclear', status: null, code: 'http_timeout' }, 'transient network'],
  ])('%j is %s', (answer, expected) => {
    const verdict = judgeProbe(answer)
    const said = verdict.kind === 'alive' ? 'alive' : `${verdict.kind} ${verdict.cause.code}`
    expect(said).toBe(expected)
  })
})
