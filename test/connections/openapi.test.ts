import { DatabaseSync } from 'node:sqlite'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BODY_BYTES_MAX } from '../../src/connections/http/requests.ts'
import { type Operation, ROUTES, type Route } from '../../src/connections/http/routes.ts'
import { RescindError } from '../../src/core/errors.ts'
import { type Answered, type ApiWorld, NOWHERE, openApi } from './api-world.ts'

let api: ApiWorld
beforeEach(async () => {
  api = await openApi()
})
afterEach(() => api[Symbol.asyncDispose]())

const isOperation = (key: string): key is Operation => key in ROUTES
const OPERATIONS = Object.keys(ROUTES).filter(isOperation)

describe('the OpenAPI document', () => {
  test('OpenAPI 3.1: is what the official meta-schema wants', async () => {
    const validator = new Validator()
    expect(await validator.validate(api.document)).toEqual({ valid: true })
    expect(validator.version).toBe('3.1')
    const spoilt = { ...api.document, paths: { connections: {} } }
    expect((await new Validator().validate(spoilt)).valid).toBe(false)
  })

  test('JSON Schema 2020-12: every schema in it is one', () => {
    const schemas: object[] = []
    JSON.stringify(api.document, (key, value) => {
      if (key === 'schema') schemas.push(value)
      return value
    })
    expect(schemas.length).toBeGreaterThan(OPERATIONS.length)
    const ajv = new Ajv2020({ strict: true, validateFormats: false, strictTypes: false })
    for (const schema of schemas) expect(() => ajv.compile(schema)).not.toThrow()
  })

  test('has every route that is served, and no other', async () => {
    const id = await api.connect()
    const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']
    for (const [path, operations] of Object.entries<object>(api.document.paths)) {
      const asked = path.replace('/connections', '').replace('{id}', id)
      for (const method of methods) {
        const { body } = await api.call(method, asked)
        // A fixed path with another method is read as an id that nobody has.
        const isServed = !/There is (nothing here|no such connection)/.test(body?.error?.message)
        expect(isServed, `${method} ${path}`).toBe(method.toLowerCase() in operations)
      }
    }
    const listed = Object.values<Record<string, { operationId: string }>>(api.document.paths)
      .flatMap((operations) => Object.values(operations))
      .map(({ operationId }) => operationId)
    expect(listed.sort()).toEqual([...OPERATIONS].sort())
  })
})

type Provoke = () => Promise<Answered>

const UNKNOWN = 'con_0000000000'
const pathOf = (route: Route, id = UNKNOWN) => route.path.replace('{id}', id)
const ask = ({ method, ...route }: Route, body?: unknown, headers?: Record<string, string>) =>
  api.call(method.toUpperCase(), pathOf(route as Route), body, headers)

/** What answers with a status at any route. */
const anywhere = (route: Route): Readonly<Record<number, Provoke>> => ({
  401: () => ask(route, undefined, { authorization: 'Bearer of-somebody-else-0000000' }),
  404: () => ask(route),
  413: () => ask(route, JSON.stringify({ owner: 'x'.repeat(BODY_BYTES_MAX) })),
  415: () => ask(route, 'tenant=org', { 'content-type': 'text/plain' }),
  500: () => {
    api.breakStore(new Error('/x: secret-detail'))
    return ask(route, route.method === 'post' ? GOOD_BODY[route.path] : undefined)
  },
  503: () => {
    api.breakStore(new RescindError('store_locked', 'The store /x is locked.'))
    return ask(route, route.method === 'post' ? GOOD_BODY[route.path] : undefined)
  },
})

const GOOD_BODY: Readonly<Record<string, object>> = {
  '': { tenant: 'org', owner: 'acme' },
  '/code': { state: 's', code: 'c' },
}

/** Makes a link, and brings back what came to the callback of who followed it. */
async function consented(how: Parameters<ApiWorld['consent']>[1] = {}) {
  const id = await api.connect()
  const { body } = await api.call('POST', `/${id}/reconnect-link`)
  return { id, query: await api.consent(body.url, how) }
}

/** The ways in which an answer of a provider comes: to our callback, and to a platform's. */
const CALLBACKS = {
  callback: (query: URLSearchParams) => api.call('GET', `/callback?${query}`),
  applyCode: (query: URLSearchParams) => api.call('POST', '/code', Object.fromEntries(query)),
} as const

const outcomes = (at: keyof typeof CALLBACKS): Readonly<Record<number, Provoke>> => {
  const come = (query: URLSearchParams) => CALLBACKS[at](query)
  return {
    200: async () => come((await consented()).query),
    400: () => come(new URLSearchParams({ state: 'forged', code: 'c' })),
    403: async () => come((await consented({ as: 'limited' })).query),
    409: async () => {
      const { query } = await consented()
      await come(query)
      return come(query)
    },
    410: async () => {
      const { query } = await consented()
      sql('UPDATE reconnect SET expires_at = 1')
      return come(query)
    },
    502: async () => {
      const { query } = await consented()
      return come(new URLSearchParams({ state: query.get('state') ?? '', error: 'server_error' }))
    },
  }
}

/** A call on a connection that is kept, after something was done to it. */
const onOne =
  (operation: Operation, before: (id: string) => unknown = () => {}): Provoke =>
  async () => {
    const id = await api.connect()
    await before(id)
    const { method, path } = ROUTES[operation]
    return api.call(method.toUpperCase(), path.replace('{id}', id))
  }

const sql = (statement: string) => {
  using raw = new DatabaseSync(api.world.store.path)
  raw.exec(statement)
}
const end = (id: string) => api.call('DELETE', `/${id}`)
const loseTenant = () => sql("UPDATE connection SET tenant = 'gone'")
const query =
  (path: string): Provoke =>
  () =>
    api.call('GET', path)

const PROVOKED: Readonly<Record<Operation, Readonly<Record<number, Provoke>>>> = {
  openapi: { 200: query('/openapi.json') },
  callback: {
    ...outcomes('callback'),
    503: () => {
      api.breakStore(new Error('/x: secret-detail'))
      return api.call('GET', '/callback?state=s&code=c')
    },
  },
  applyCode: outcomes('applyCode'),
  list: { 200: query('?limit=1'), 400: query('?limit=0') },
  create: {
    201: () => api.call('POST', '', { tenant: 'org', owner: 'acme', tags: ['a'] }),
    400: () => api.call('POST', '', { tenant: 'org' }),
  },
  feed: { 200: query('/events?limit=1'), 400: query('/events?after=1') },
  read: { 200: onOne('read') },
  disconnect: { 200: onOne('disconnect') },
  link: {
    201: onOne('link'),
    400: onOne('link', loseTenant),
    409: onOne('link', end),
    502: async () => {
      const { body } = await api.call('POST', '', { tenant: NOWHERE, owner: 'acme' })
      return api.call('POST', `/${body.id}/reconnect-link`)
    },
  },
  enable: {
    200: onOne('enable', (id) => api.call('POST', `/${id}/disable`)),
    409: onOne('enable', end),
  },
  disable: { 200: onOne('disable'), 409: onOne('disable', end) },
  events: {
    200: onOne('events'),
    400: async () => api.call('GET', `/${await api.connect()}/events?limit=x`),
  },
}

const PROMISED = OPERATIONS.flatMap((operation) =>
  Object.keys(ROUTES[operation].answers).map((status) => [operation, Number(status)] as const),
)

describe('what the document promises is what is answered', () => {
  // `call` holds each answer against the schema of its status.
  test.each(PROMISED)('%s: %i', async (operation, status) => {
    const provoke = PROVOKED[operation][status] ?? anywhere(ROUTES[operation])[status]
    expect(provoke, 'nothing provokes this answer').toBeDefined()
    const answer = await provoke?.()
    expect(answer?.status, answer?.text).toBe(status)
    expect(answer?.text).not.toMatch(/secret-detail|\/x\b|\/home\//)
    if (status === 500 || status === 503) expect(api.troubles.length).toBe(1)
  })
})
