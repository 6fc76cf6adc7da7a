import { describe, expect, test } from 'vitest'
import { processRevocationResponse } from '../../src/index.ts'

const NOW = Date.parse('2026-11-20T12:00:00Z')
const clock = { now: () => NOW }
const json = (body: unknown, status: number, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json', ...headers },
  })

type Expected = Awaited<ReturnType<typeof processRevocationResponse>>
type Case = readonly [string, () => Response, Partial<Expected>]

const CASES: readonly Case[] = [
  [
    'RFC 7009 section 2.2: 200',
    () => new Response('', { status: 200 }),
    { outcome: 'revoked', proof: 'acked', code: 'http_200', busy: false, credentialTrouble: false },
  ],
  ['200 with {} (Doorkeeper)', () => json({}, 200), { outcome: 'revoked', proof: 'acked' }],
  ['200 with null (better-auth)', () => json(null, 200), { outcome: 'revoked', proof: 'acked' }],
  ['204', () => new Response(null, { status: 204 }), { outcome: 'revoked', proof: 'acked' }],
  [
    '200 with an error (Keycloak, unknown token)',
    () => json({ error: 'invalid_token' }, 200),
    { outcome: 'already_dead', proof: 'acked', code: 'invalid_token' },
  ],
  [
    '200 with another error',
    () => json({ error: 'token_not_yours' }, 200),
    { outcome: 'refused', proof: 'sent', code: 'token_not_yours' },
  ],
  [
    '200 with a web page',
    () => new Response('\n <html><body>Sign in', { status: 200 }),
    { outcome: 'in_doubt', proof: 'sent', code: 'web_page' },
  ],
  [
    '202: accepted, for later (GitHub)',
    () => new Response('', { status: 202 }),
    { outcome: 'queued', proof: 'acked', code: 'http_202' },
  ],
  [
    'section 2.2.1: unsupported_token_type',
    () => json({ error: 'unsupported_token_type' }, 400),
    { outcome: 'irrevocable', proof: 'sent', code: 'unsupported_token_type' },
  ],
  [
    '400 invalid_token (Google): dead or mangled',
    () => json({ error: 'invalid_token', error_description: 'Token expired' }, 400),
    { outcome: 'already_dead', proof: 'sent', description: 'Token expired' },
  ],
  [
    '401 invalid_token: about a credential of ours',
    () => json({ error: 'invalid_token' }, 401),
    { outcome: 'refused', credentialTrouble: true },
  ],
  [
    'RFC 6749 section 5.2: 401 invalid_client',
    () => json({ error: 'invalid_client' }, 401),
    { outcome: 'refused', proof: 'sent', code: 'invalid_client', credentialTrouble: true },
  ],
  [
    '400 invalid_client (Duende)',
    () => json({ error: 'invalid_client' }, 400),
    { outcome: 'refused', credentialTrouble: true },
  ],
  [
    '403 unauthorized_client (Doorkeeper, foreign token)',
    () => json({ error: 'unauthorized_client' }, 403),
    { outcome: 'refused', credentialTrouble: true },
  ],
  [
    '400 invalid_grant (Authlib, foreign token)',
    () => json({ error: 'invalid_grant' }, 400),
    { outcome: 'refused', proof: 'sent', credentialTrouble: false },
  ],
  [
    'a form-encoded error',
    () => new Response('error=invalid_request&error_description=no%20token', { status: 400 }),
    { outcome: 'refused', code: 'invalid_request', description: 'no token' },
  ],
  [
    '503 with seconds: the token still exists',
    () => new Response('', { status: 503, headers: { 'retry-after': '120' } }),
    { outcome: 'failed', proof: 'sent', busy: true, retryAfterMs: 120_000 },
  ],
  [
    '503 with a date',
    () =>
      new Response('', {
        status: 503,
        headers: { 'retry-after': 'Fri, 20 Nov 2026 12:00:30 GMT' },
      }),
    { outcome: 'failed', busy: true, retryAfterMs: 30_000 },
  ],
  ['429', () => new Response('', { status: 429 }), { outcome: 'failed', busy: true }],
  [
    '500: it may have acted before it broke',
    () => json({ error: 'server_error' }, 500),
    { outcome: 'in_doubt', proof: 'sent', busy: false },
  ],
  ['502', () => new Response('', { status: 502 }), { outcome: 'in_doubt', code: 'http_502' }],
  ['302', () => new Response('', { status: 302 }), { outcome: 'failed', code: 'http_302' }],
  ['404', () => new Response('Not Found', { status: 404 }), { outcome: 'failed' }],
  ['405', () => new Response('', { status: 405 }), { outcome: 'failed', code: 'http_405' }],
  [
    'a code that is a text is not printed',
    () => json({ error: 'x'.repeat(65) }, 400),
    { outcome: 'failed', code: 'http_400' },
  ],
  ['an error that is no string', () => json({ error: { code: 1 } }, 400), { code: 'http_400' }],
  ['broken JSON', () => new Response('{"error":', { status: 400 }), { code: 'http_400' }],
]

describe('processRevocationResponse', () => {
  for (const [title, response, expected] of CASES) {
    test(title, async () => {
      expect(await processRevocationResponse(response(), clock)).toMatchObject(expected)
    })
  }

  test('no answer is ever more than acked', async () => {
    for (let status = 200; status < 600; status += 1) {
      const body = [204, 205, 304].includes(status) ? null : ''
      const { proof, outcome } = await processRevocationResponse(new Response(body, { status }))
      expect(['sent', 'acked']).toContain(proof)
      if (proof === 'acked') expect(status).toBeLessThan(300)
      if (outcome === 'revoked') expect(proof).toBe('acked')
    }
  })
})
