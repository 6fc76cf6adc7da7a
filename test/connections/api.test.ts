import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { createConnectionsApi } from '../../src/connections/api.ts'
import { BODY_BYTES_MAX } from '../../src/connections/http/requests.ts'
import { createReauthorizing } from '../../src/connections/reauthorize.ts'
import { createVault } from '../../src/connections/vault.ts'
import { RescindError } from '../../src/core/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import { type ApiWorld, KEY, openApi } from './api-world.ts'
import type { ConnectionWorld } from './world.ts'

let api: ApiWorld
let world: ConnectionWorld
let origin: string
let troubles: unknown[]

beforeEach(async () => {
  api = await openApi()
  ;({ world, origin, troubles } = api)
})
afterEach(() => api[Symbol.asyncDispose]())

const call: ApiWorld['call'] = (...args) => api.call(...args)
const connect = () => api.connect()
const consent: ApiWorld['consent'] = (...args) => api.consent(...args)

describe('the HTTP API of connections', () => {
  it('makes, links, reconnects, disables, enables and disconnects', async () => {
    const made = await call('POST', '', { tenant: 'org', owner: 'acme', tags: ['gold'] })
    expect(made).toMatchObject({ status: 201, body: { state: 'reconnect_needed', tags: ['gold'] } })
    const { id } = made.body
    const link = await call('POST', `/${id}/reconnect-link`)
    expect(link).toMatchObject({ status: 201, body: { budget: null } })
    const query = await consent(link.body.url)
    expect((await call('HEAD', `/callback?${query}`)).status).toBe(405)
    const page = await call('GET', `/callback?${query}`, undefined, { authorization: '' })
    expect(page.status).toBe(200)
    expect(page.text).toContain('<title>The connection works<')
    expect(page.headers.get('referrer-policy')).toBe('no-referrer')
    expect((await call('GET', `/${id}`)).body).toMatchObject({ state: 'connected', owner: 'acme' })
    expect((await call('GET', `/callback?${query}`)).status).toBe(409)
    expect((await call('POST', `/${id}/disable`)).body.state).toBe('disabled')
    expect((await call('POST', `/${id}/enable`)).body.state).toBe('degraded')
    const ended = await call('DELETE', `/${id}`)
    expect(ended.body).toMatchObject({ revokedAtProvider: 'yes', connection: { state: 'revoked' } })
    expect((await call('POST', `/${id}/enable`)).status).toBe(409)
    expect((await call('POST', `/${id}/disable`)).status).toBe(409)
    expect((await call('POST', `/${id}/reconnect-link`)).status).toBe(409)
    const { events } = (await call('GET', `/${id}/events`)).body
    expect(events.map(({ type }: { type: string }) => type.slice(11))).toEqual([
      ...['created', 'reconnecting', 'connected', 'disabled', 'enabled', 'revoked'],
    ])
  })

  it('reads and ends a connection whose tenant is configured no longer', async () => {
    const id = await api.connect()
    await api.world.store.connections.update(id, () => ({ set: { tenant: 'crm' } }))
    expect(await call('GET', `/${id}`)).toMatchObject({ status: 200, body: { tenant: 'crm' } })
    const why = expect.stringContaining('the tenant "crm" is not configured')
    expect(await call('DELETE', `/${id}`)).toMatchObject({
      status: 200,
      body: { revokedAtProvider: 'unknown', why, mayLive: true, connection: { state: 'revoked' } },
    })
  })

  it('says with a link that its grant ends the oldest of the user', async () => {
    const identity = { user: '005', org: '00D', name: null }
    const ids: string[] = []
    for (let live = 1; live <= 5; live += 1) {
      const tokens = { accessToken: new Secret(`at${live}`), refreshToken: null }
      const made = { tenant: 'org', owner: `o${live}`, identity, ...tokens }
      ids.push((await api.world.vault.create(made)).id)
      const { body } = await call('POST', `/${ids[0]}/reconnect-link`)
      expect(body.budget).toEqual({
        ...{ live, max: 5, complete: false },
        evictsOldest: live === 5 ? true : null,
      })
    }
  })

  it('takes the code of a platform’s own callback', async () => {
    const id = await connect()
    const link = await call('POST', `/${id}/reconnect-link`)
    const query = await consent(link.body.url)
    const body = { state: query.get('state'), code: query.get('code') }
    expect(await call('POST', '/code', body)).toMatchObject({
      ...{ status: 200, body: { connection: { id }, changes: [] } },
    })
    expect(await call('POST', '/code', body)).toMatchObject({
      ...{ status: 409, body: { error: { code: 'used' } } },
    })
    expect((await call('POST', '/code', { ...body, state: 'forged' })).body.error.code).toBe(
      'forged',
    )
    const second = await call('POST', `/${id}/reconnect-link`)
    const state = new URL(second.body.url).searchParams.get('state')
    const denied = await call('POST', '/code', { state, error: 'access_denied' })
    expect(denied).toMatchObject({ status: 409, body: { error: { code: 'denied' } } })
  })

  it('lists by pages, filtered, and tells events by a cursor', async () => {
    for (const owner of ['a', 'b', 'c', 'd', 'e']) {
      await call('POST', '', { tenant: 'org', owner })
    }
    const owners: string[] = []
    let after = ''
    for (let pages = 0; pages < 5; pages += 1) {
      const { body } = await call('GET', `?limit=2${after}`)
      owners.push(...body.connections.map(({ owner }: { owner: string }) => owner))
      if (body.next === null) break
      after = `&after=${body.next}`
    }
    expect(owners).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect((await call('GET', '?owner=c')).body.connections).toHaveLength(1)
    expect((await call('GET', '?state=connected')).body.connections).toEqual([])
    expect((await call('GET', '?tag=none')).body.connections).toEqual([])
    const first = (await call('GET', '/events?limit=3')).body
    expect(first.events).toHaveLength(3)
    const rest = (await call('GET', `/events?after=${first.next}`)).body
    expect(rest.events).toHaveLength(2)
    expect((await call('GET', `/events?after=${rest.next}`)).body).toEqual({
      ...{ events: [], next: rest.next },
    })
  })

  it('shows no token, no state and no key in any answer', async () => {
    const id = await connect()
    const { access, refresh } = await world.vault.tokens(id)
    const link = await call('POST', `/${id}/reconnect-link`)
    const texts = [
      await call('GET', `/${id}`),
      await call('GET', ''),
      await call('GET', `/${id}/events`),
      await call('GET', '/events'),
      await call('DELETE', `/${id}`),
    ].map(({ text }) => text)
    const state = new URL(link.body.url).searchParams.get('state') ?? ''
    for (const secret of [access?.reveal() ?? '', refresh?.reveal() ?? '', state, KEY]) {
      expect(secret.length).toBeGreaterThan(10)
      expect(texts.join('\n')).not.toContain(secret)
    }
  })
})

describe('keys', () => {
  it('who has none learns nothing: not what is there, nor which paths there are', async () => {
    const id = await connect()
    const paths: [string, string][] = [
      ['GET', `/${id}`],
      ['GET', '/con_0000000000'],
      ['GET', ''],
      ['DELETE', `/${id}`],
      ['POST', '/code'],
      ['GET', '/nothing/here'],
      ['PUT', `/${id}`],
    ]
    const answers = new Set<string>()
    for (const [method, path] of paths) {
      for (const authorization of ['', 'Bearer x', `Bearer ${KEY}x`, `Basic ${KEY}`]) {
        const { status, text } = await call(method, path, undefined, { authorization })
        answers.add(`${status} ${text}`)
      }
    }
    expect([...answers]).toEqual([
      '401 {"error":{"code":"not_authenticated","message":"The key is missing or not known."}}',
    ])
  })

  it('a removed key is refused from then on', async () => {
    const { store } = world.parts
    const [key] = await store.listApiKeys()
    expect((await call('GET', '')).status).toBe(200)
    await store.revokeApiKey(key?.id ?? '')
    const refused = await call('GET', '')
    expect(refused.status).toBe(401)
    expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="rescind connections"')
  })

  it('is stored as a hash', async () => {
    const { readFileSync } = await import('node:fs')
    const files = ['rescind.db', 'rescind.db-wal'].map((name) =>
      readFileSync(`${world.home}/${name}`, 'latin1'),
    )
    expect(files.join('')).not.toContain(KEY)
  })
})

describe('wrong input gets one clear sentence', () => {
  test.each<[string, unknown, string]>([
    ['no JSON', '{', 'The body is no JSON.'],
    ['a list', [], 'Known keys are tenant, owner and tags.'],
    [
      'an unknown key',
      { tenant: 'org', owner: 'a', x: 1 },
      'Known keys are tenant, owner and tags.',
    ],
    ['no tenant', { owner: 'a' }, 'tenant must be the name of a tenant.'],
    ['a tenant that is none', { tenant: 'nope', owner: 'a' }, 'There is no tenant of that name.'],
    ['an empty owner', { tenant: 'org', owner: '' }, 'owner must not be empty.'],
    ['an owner with a line feed', { tenant: 'org', owner: 'a\nb' }, 'owner must be printable.'],
    ['an owner turned around', { tenant: 'org', owner: 'a\u202eb' }, 'owner must be printable.'],
    [
      'a long owner',
      { tenant: 'org', owner: 'x'.repeat(201) },
      'owner has 200 characters at most.',
    ],
    [
      'too many tags',
      { tenant: 'org', owner: 'a', tags: Array(21).fill('t') },
      'There are more than 20 tags.',
    ],
    [
      'a tenant with a long name',
      { tenant: 'x'.repeat(65), owner: 'a' },
      'tenant has 64 characters at most.',
    ],
    [
      'a tag that is none',
      { tenant: 'org', owner: 'a', tags: ['a b'] },
      'A tag has 1 to 64 letters, digits and the signs . : _ -',
    ],
  ])('POST: %s', async (_title, body, message) => {
    const answer = await call('POST', '', body)
    expect(answer).toMatchObject({ status: 400, body: { error: { message } } })
    expect(answer.text).not.toContain('/home/')
  })

  test.each<[string, unknown, string]>([
    ['an empty state', { state: '' }, 'state must not be empty.'],
    ['an empty code', { state: 's', code: '' }, 'code must not be empty.'],
    ['a long error', { state: 's', error: 'x'.repeat(201) }, 'error has 200 characters at most.'],
    ['a long iss', { state: 's', iss: 'x'.repeat(4_097) }, 'iss has 4096 characters at most.'],
    ['an unknown key', { state: 's', x: 1 }, 'Known keys are state, code, error and iss.'],
  ])('POST /code: %s', async (_title, body, message) => {
    expect(await call('POST', '/code', body)).toMatchObject({
      ...{ status: 400, body: { error: { message } } },
    })
  })

  test.each<[string, string]>([
    ['?limit=0', 'limit must be a number from 1 to 500.'],
    ['?limit=501', 'limit must be a number from 1 to 500.'],
    ['?limit=abc', 'limit must be a number from 1 to 500.'],
    ['?limit=1.5', 'limit must be a number from 1 to 500.'],
    ['?after=1', 'after must be the id of a connection.'],
    ['?after=con_zzzz', 'after must be the id of a connection.'],
    [`?tenant=${'x'.repeat(65)}`, 'tenant has 64 characters at most.'],
    ['?after=con_0000000000', 'after must be a connection of this list.'],
    [
      '?state=dead',
      'state must be one of connected, degraded, reconnect_needed, reconnecting, disabled, revoked.',
    ],
    ['?page=2', 'Known parameters are after, limit, tenant, owner, state and tag.'],
    ['?limit=1&limit=2', 'A parameter stands twice.'],
    ['/events?after=x', 'after must be the id of an event.'],
  ])('GET %s', async (path, message) => {
    expect(await call('GET', path)).toMatchObject({ status: 400, body: { error: { message } } })
  })

  test.each(['con_0000000000', 'con_x', '..%2f..', 'a'.repeat(5_000)])(
    'an id that is of no connection: %s',
    async (id) => {
      for (const [method, tail] of [
        ['GET', ''],
        ['DELETE', ''],
        ['GET', '/events'],
        ['POST', '/enable'],
        ['POST', '/disable'],
        ['POST', '/reconnect-link'],
      ] as const) {
        expect(await call(method, `/${id}${tail}`)).toMatchObject({
          status: 404,
          body: { error: { message: 'There is no such connection.' } },
        })
      }
    },
  )

  it('a body that is too large, whether its length is told or not', async () => {
    const large = JSON.stringify({ tenant: 'org', owner: 'x'.repeat(BODY_BYTES_MAX) })
    expect((await call('POST', '', large)).status).toBe(413)
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(large))
        controller.close()
      },
    })
    const answer = await fetch(`${origin}/connections`, {
      ...{ method: 'POST', body: stream, duplex: 'half' },
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    } as RequestInit)
    expect(answer.status).toBe(413)
  })

  it('a form is no JSON', async () => {
    const type = { 'content-type': 'application/x-www-form-urlencoded' }
    expect((await call('POST', '', 'tenant=org', type)).status).toBe(415)
  })

  test.each<[string, Error, number]>([
    ['trouble of the store', new RescindError('store_locked', 'The store /x is locked.'), 503],
    ['an error that nobody foresaw', new Error('/x: secret-detail'), 500],
  ])('%s says nothing of itself', async (_title, error, status) => {
    const { parts } = world
    const store = { ...parts.store, read: () => Promise.reject(error) }
    const vault = createVault({ ...parts, store })
    const reauthorizing = createReauthorizing({ ...parts, store }, vault)
    const onTrouble = (one: unknown) => void troubles.push(one)
    const { fetch: ask } = createConnectionsApi({ vault, reauthorizing, store, onTrouble })
    const headers = { authorization: `Bearer ${KEY}` }
    const url = 'http://rescind.example/connections/con_0000000000'
    const answer = await ask(new Request(url, { headers }))
    expect(answer.status).toBe(status)
    expect(await answer.text()).not.toContain('/x')
    expect(troubles).toEqual([error])
  })
})
