import { describe, expect, test } from 'vitest'
import type { LifeSign } from '../../src/protocol/introspect.ts'
import { processIntrospectionResponse } from '../../src/protocol/introspect.ts'
import type { Look } from '../../src/protocol/revocation-target.ts'
import { judgeSightings } from '../../src/protocol/verify-dead.ts'

const looks: readonly Look[] = [
  { name: 'introspection', proves: 'inactive', fits: () => true, look: async () => unclear },
  { name: 'userinfo', proves: 'rejected', fits: () => true, look: async () => unclear },
]
const alive: LifeSign = { life: 'alive', code: 'active' }
const dead: LifeSign = { life: 'dead', code: 'inactive' }
const unclear: LifeSign = { life: 'unclear', code: 'http_500' }

describe('what looks before and after prove', () => {
  const CASES: readonly [string, LifeSign | undefined, LifeSign, string, boolean][] = [
    ['alive, then dead', alive, dead, 'inactive', false],
    ['alive, then alive', alive, alive, 'none', true],
    ['alive, then unclear', alive, unclear, 'none', false],
    ['dead, then dead: a foreign token looks so, too', dead, dead, 'none', false],
    ['unclear, then dead', unclear, dead, 'none', false],
    ['not looked at, then dead', undefined, dead, 'none', false],
    ['dead, then alive', dead, alive, 'none', true],
  ]
  for (const [title, before, after, proof, lives] of CASES) {
    test(title, () => {
      const seen = before ? { introspection: before } : {}
      const judged = judgeSightings(looks.slice(0, 1), seen, { introspection: after })
      expect(judged).toMatchObject({ proof, alive: lives })
    })
  }

  test('two looks: the higher rung', () => {
    const before = { introspection: alive, userinfo: alive }
    const judged = judgeSightings(looks, before, { introspection: dead, userinfo: dead })
    expect(judged.proof).toBe('rejected')
  })

  test('two looks that disagree: alive', () => {
    const before = { introspection: alive, userinfo: alive }
    const judged = judgeSightings(looks, before, { introspection: dead, userinfo: alive })
    expect(judged).toMatchObject({ proof: 'none', alive: true })
  })
})

describe('RFC 7662 section 2.2: what an introspection shows', () => {
  const request = {
    server: { issuer: 'https://a.example' },
    client: { method: 'none', clientId: 'a' },
  } as const
  const json = { 'content-type': 'application/json' }
  const CASES: readonly [string, Response, string][] = [
    ['active', new Response('{"active":true}', { headers: json }), 'alive'],
    ['inactive', new Response('{"active":false}', { headers: json }), 'dead'],
    ['active as a word', new Response('{"active":"false"}', { headers: json }), 'unclear'],
    ['no active', new Response('{}', { headers: json }), 'unclear'],
    ['a web page', new Response('<html>', { headers: { 'content-type': 'text/html' } }), 'unclear'],
    ['401', new Response('{"error":"invalid_client"}', { status: 401, headers: json }), 'unclear'],
    ['400', new Response('{"active":false}', { status: 400, headers: json }), 'unclear'],
    ['500', new Response('', { status: 500 }), 'unclear'],
  ]
  for (const [title, response, life] of CASES) {
    test(title, async () => {
      expect((await processIntrospectionResponse(request, response)).life).toBe(life)
    })
  }
})
