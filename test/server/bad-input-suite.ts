import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import { endpointPaths } from '../../src/server/endpoints/paths.ts'
import { CALLBACK, CHALLENGE } from './core-world.ts'
import {
  basicHeader,
  bearer,
  type EndpointWorld,
  FORM,
  type OpenStore,
  openEndpoints,
} from './endpoints-world.ts'

const ADMIN = 'admin-key-0123456789abcdef'
const CLIENT_PATHS = ['/token', '/revoke', '/introspect']
const RUNS = 400

/** Bad input at every endpoint of an authority on some store: each has its own answer, and none is a 500. */
export function describeBadInput(openStore: OpenStore): void {
  let world: EndpointWorld
  let app: { id: string; secret: string }
  const unhandled: unknown[] = []
  const onUnhandled = (error: unknown) => unhandled.push(error)

  beforeAll(async () => {
    process.on('unhandledRejection', onUnhandled)
    world = await openEndpoints({
      openStore,
      adminKeys: [new Secret(ADMIN)],
      globalRevocation: { callers: [{ name: 'idp', key: new Secret(ADMIN), tenant: null }] },
      authorize: async () => ({ userId: 'ada' }),
    })
    app = { id: 'app', secret: await world.addClient({ id: 'app' }) }
    await world.addClient({ id: 'spa', authMethod: 'none', origins: ['https://spa.example'] })
  })

  afterAll(async () => {
    await world[Symbol.asyncDispose]()
    process.off('unhandledRejection', onUnhandled)
    expect(unhandled).toEqual([])
  })

  function send(path: string, body: string, headers: Record<string, string> = {}) {
    const all = { 'content-type': FORM, ...basicHeader(app), ...headers }
    return world.call(path, { method: 'POST', headers: all, body })
  }

  describe.each(CLIENT_PATHS)(
    'RFC 6749 section 3.2, RFC 7009 section 2.1: bad input at %s',
    (path) => {
      const grant = 'grant_type=client_credentials'
      const cases: [string, string, Record<string, string>, number, string][] = [
        ['an empty body', '', {}, 400, 'invalid_request'],
        ['an empty token', 'token=&grant_type=', {}, 400, 'invalid_request'],
        ['a parameter twice', `token=a&token=a&${grant}`, {}, 400, 'invalid_request'],
        [
          'a parameter twice, once escaped',
          `token=a&t%6fken=a&${grant}`,
          {},
          400,
          'invalid_request',
        ],
        ['an unknown one twice', `token=a&x=1&x=2&${grant}`, {}, 400, 'invalid_request'],
        ['65 parameters', `${'x=&'.repeat(64)}token=a`, {}, 400, 'invalid_request'],
        ['NUL', `token=a%00b&${grant}`, {}, 400, 'invalid_request'],
        ['a control character as it is', `token=a\u0001b&${grant}`, {}, 400, 'invalid_request'],
        ['a broken escape', `token=%zz&${grant}`, {}, 400, 'invalid_request'],
        ['half an escape', `token=a&${grant}&x=%`, {}, 400, 'invalid_request'],
        ['bytes that are no UTF-8', `token=%ff%fe&${grant}`, {}, 400, 'invalid_request'],
        ['JSON', '{"token":"a"}', { 'content-type': 'application/json' }, 415, 'invalid_request'],
        [
          'multipart',
          '--x',
          { 'content-type': 'multipart/form-data; boundary=x' },
          415,
          'invalid_request',
        ],
        ['two authentications', `token=a&client_secret=b&${grant}`, {}, 400, 'invalid_request'],
        [
          'an assertion beside Basic',
          `token=a&client_assertion=b&${grant}`,
          {},
          400,
          'invalid_request',
        ],
        ['two clients', `token=a&client_id=spa&${grant}`, {}, 400, 'invalid_request'],
        [
          'Basic without a colon',
          `token=a&${grant}`,
          { authorization: 'Basic YXBw' },
          401,
          'invalid_client',
        ],
        [
          'Basic that is no base64',
          `token=a&${grant}`,
          { authorization: 'Basic !!' },
          401,
          'invalid_client',
        ],
        [
          'Basic with a broken escape',
          `token=a&${grant}`,
          basicOf('app:%zz'),
          401,
          'invalid_client',
        ],
        ['Basic with NUL', `token=a&${grant}`, basicOf('app\0:x'), 401, 'invalid_client'],
        ['an empty secret', `token=a&${grant}`, basicOf('app:'), 401, 'invalid_client'],
        ['a bearer token for a client', `token=a&${grant}`, bearer('x'), 401, 'invalid_client'],
        ['a body of 70 KB', `token=${'a'.repeat(70_000)}&${grant}`, {}, 413, 'invalid_request'],
      ]
      it.each(cases)('%s', async (_, body, headers, status, error) => {
        const response = await send(path, body, headers)
        expect(response.status).toBe(status)
        expect(response.headers.get('cache-control')).toBe('no-store')
        if (status === 401) expect(response.headers.get('www-authenticate')).toMatch(/^Basic /)
        expect(await response.json()).toMatchObject({ error })
      })

      it('credentials and tokens in the query are refused, and not used', async () => {
        const { refresh_token: token } = await world.issue('app')
        const query = new URLSearchParams({ token, client_id: app.id, client_secret: app.secret })
        const headers = { 'content-type': FORM }
        const response = await world.call(`${path}?${query}`, { method: 'POST', headers, body: '' })
        expect([400, 401]).toContain(response.status)
        expect((await send(`${path}?token=${token}`, '')).status).toBe(400)
        expect((await world.call(`${path}?token=${token}&callback=f`)).status).toBe(405)
        expect(await world.isActive(token)).toEqual([true])
      })

      it('a large token is unknown, and other methods are 405', async () => {
        if (path !== '/token') {
          expect((await send(path, `token=${'a'.repeat(8_192)}`)).status).toBe(200)
          expect((await send(path, 'token=%C3%A4%20%22')).status).toBe(200)
        }
        for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE']) {
          const response = await world.call(path, { method })
          expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
        }
      })
    },
  )

  describe('a body that is not wanted', () => {
    /** Sends bytes as they are, and returns all that comes back. */
    async function raw(bytes: string): Promise<string> {
      const socket = connect(Number(new URL(world.origin).port), '127.0.0.1')
      socket.write(bytes)
      return text(socket)
    }
    const head = (path: string) => `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: ${FORM}\r\n`

    it('is refused by its announced length, before it has come', async () => {
      const answer = await raw(`${head('/revoke')}Content-Length: 100000000\r\n\r\ntoken=`)
      expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    })

    it('is refused while it comes without a length', async () => {
      const chunk = `4000\r\n${'a'.repeat(0x4000)}\r\n`
      const answer = await raw(
        `${head('/revoke')}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(6)}`,
      )
      expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    })
  })

  describe('a fuzz of everything', () => {
    const paths = [...Object.values(endpointPaths('http://a')), '/', '/nothing', '//admin/revoke']
    const name = fc.constantFrom(
      ...['token', 'token_type_hint', 'client_id', 'client_secret', 'client_assertion', 'scope'],
      ...['client_assertion_type', 'grant_type', 'code', 'code_verifier', 'refresh_token', 'state'],
      ...['redirect_uri', 'response_type', 'code_challenge', 'code_challenge_method', 'resource'],
      ...['after', 'limit', 'prompt', '__proto__', 'constructor', 'callback'],
    )
    const value = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom(
        'app',
        'spa',
        'client_credentials',
        'authorization_code',
        'refresh_token',
        'code',
      ),
      fc.constantFrom(
        'eyJhbGciOiJub25lIn0.e30.',
        'eyJ.eyJ.x',
        'rsc_at_',
        `rsc_rt_${'A'.repeat(48)}`,
        '-1',
        '0',
      ),
      fc.constantFrom(
        'https://app.example/callback',
        'S256',
        'x'.repeat(43),
        'urn:x',
        '\0',
        '\ud800',
      ),
    )
    const pairs = fc.array(fc.tuple(name, value), { maxLength: 8 })
    const escaped = pairs.map((list) => new URLSearchParams(list).toString())
    const subject = fc.oneof(
      fc.record({ format: fc.constant('opaque'), id: value }),
      fc.record({ format: fc.constant('iss_sub'), iss: value, sub: value }),
      fc.record({
        format: fc.constantFrom('opaque', 'iss_sub', 'email', 'x'),
        id: value,
        sub: value,
      }),
    )
    const json = fc.oneof(
      fc.json({ maxDepth: 3 }),
      fc
        .dictionary(
          fc.constantFrom(
            'user',
            'client',
            'session',
            'grant',
            'issuedBefore',
            'dryRun',
            'sub_id',
            '__proto__',
          ),
          fc.oneof(fc.jsonValue({ maxDepth: 2 }), value),
        )
        .map((body) => JSON.stringify(body)),
      subject.map((sub_id) => JSON.stringify({ sub_id })),
    )
    const printable = fc
      .string({ unit: 'grapheme-ascii', maxLength: 60 })
      .map((text) => text.trim())
    const headers = fc.record(
      {
        'content-type': fc.oneof(
          fc.constantFrom(FORM, `${FORM}; charset=UTF-8`, 'application/json', 'text/plain'),
          printable,
        ),
        authorization: fc.oneof(
          fc.constantFrom('Basic YXBwOng=', `Bearer ${ADMIN}`, 'Bearer x', 'Basic'),
          printable.map((text) => `Basic ${Buffer.from(text).toString('base64')}`),
          printable,
        ),
        origin: fc.constantFrom('https://spa.example', 'null', 'x'),
        accept: fc.constantFrom('application/token-introspection+jwt', '*/*'),
        'x-forwarded-for': printable,
      },
      { requiredKeys: [] },
    )
    const requests = fc.record({
      method: fc.constantFrom(
        'GET',
        'POST',
        'POST',
        'POST',
        'PUT',
        'DELETE',
        'OPTIONS',
        'PATCH',
        'HEAD',
      ),
      path: fc.constantFrom(...paths),
      query: fc.oneof(fc.constant(''), escaped, printable.map(encodeURI)),
      headers,
      body: fc.oneof(escaped, json, fc.string({ unit: 'binary', maxLength: 200 })),
      known: fc.boolean(),
    })

    /** Sends one request; returns its status, which is one that is meant. */
    async function statusOf(path: string, init: RequestInit): Promise<number> {
      // Guesses are counted by the minute: none of them should keep the next from going deeper.
      world.clock.advance(61)
      const response = await world.call(path, init)
      await response.text()
      expect([200, 204, 303, 400, 401, 404, 405, 413, 415, 429]).toContain(response.status)
      return response.status
    }
    /** Checks that nothing failed unseen, and that some requests got past the doors. */
    function checkAll(statuses: readonly number[], ...met: readonly number[]): void {
      expect(world.trouble).toEqual([])
      expect(unhandled).toEqual([])
      for (const status of met) expect(statuses).toContain(status)
    }

    it(`never a 500, in ${RUNS} requests of any kind`, async () => {
      const statuses: number[] = []
      await fc.assert(
        fc.asyncProperty(requests, async ({ method, path, query, headers, body, known }) => {
          const isBodied = !['GET', 'HEAD'].includes(method)
          const credentials = known && !headers.authorization ? basicHeader(app) : {}
          const all = { method, headers: { ...headers, ...credentials } }
          const where = query === '' ? path : `${path}?${query}`
          statuses.push(await statusOf(where, { ...all, ...(isBodied ? { body } : {}) }))
        }),
        { numRuns: RUNS },
      )
      checkAll(statuses, 200, 400)
    })

    it(`never a 500, in ${RUNS} forms of a client that proved itself`, async () => {
      const statuses: number[] = []
      const headers = { 'content-type': FORM, ...basicHeader(app) }
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...CLIENT_PATHS), pairs, async (path, list) => {
          const body = new URLSearchParams(Object.fromEntries(list)).toString()
          statuses.push(await statusOf(path, { method: 'POST', headers, body }))
        }),
        { numRuns: RUNS },
      )
      checkAll(statuses, 200, 400)
    })

    it(`never a 500, in ${RUNS} bodies of a caller with the right key`, async () => {
      const statuses: number[] = []
      const headers = { 'content-type': 'application/json', ...bearer(ADMIN) }
      const path = fc.constantFrom('/admin/revoke', '/global-token-revocation')
      await fc.assert(
        fc.asyncProperty(path, json, async (where, body) => {
          statuses.push(await statusOf(where, { method: 'POST', headers, body }))
        }),
        { numRuns: RUNS },
      )
      checkAll(statuses, 204, 400)
    })

    it(`never a 500, in ${RUNS} authorization requests`, async () => {
      const statuses: number[] = []
      const good = {
        ...{ client_id: 'app', redirect_uri: CALLBACK, response_type: 'code' },
        ...{ code_challenge: CHALLENGE, code_challenge_method: 'S256' },
      }
      await fc.assert(
        fc.asyncProperty(pairs, async (list) => {
          const query = new URLSearchParams({ ...good, ...Object.fromEntries(list) })
          statuses.push(await statusOf(`/authorize?${query}`, {}))
        }),
        { numRuns: RUNS },
      )
      checkAll(statuses, 303, 400)
    })
  })
}

function basicOf(text: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(text).toString('base64')}` }
}
