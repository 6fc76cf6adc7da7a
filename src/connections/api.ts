import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { RescindError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'
import { type Handle, NO_ENDPOINT } from '../core/wire.ts'
import type { ConnectionStore } from '../store/connections.ts'
import {
  jsonAnswer,
  refuse,
  refuseError,
  refuseKey,
  refuseMethod,
  refuseOutcome,
} from './http/errors.ts'
import { openApiDocument } from './http/openapi.ts'
import { BODY_BYTES_MAX, readBody, readQuery } from './http/requests.ts'
import { type Operation, ROUTES } from './http/routes.ts'
import {
  codeShape,
  eventsQuery,
  idShape,
  listQuery,
  newConnectionShape,
  showConnection,
  showEvent,
  showLink,
} from './http/shapes.ts'
import { requestOf, wireAnswerOf } from './http/wire.ts'
import type { CallbackAnswer, Reauthorizing } from './reauthorize.ts'
import { reconnectPage, troublePage } from './reconnect-page.ts'
import { asEvent } from './transitions.ts'
import type { Vault } from './vault.ts'

/** A key has 256 bits in base64url, and a name before it. */
const KEY = /^bearer +([\w.~+/-]{22,128}=*)$/i
const METHODS_NEVER: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK'])
/** As it stands in an address: nothing is escaped in it, and no slash ends it. */
const BASE_PATH = /^(\/[\w~-][\w.~-]*)+$/

export interface ConnectionsApiOptions {
  readonly vault: Vault
  readonly reauthorizing: Reauthorizing
  readonly store: ConnectionStore
  /** Where the routes are, from the root of the host: `/connections`, if it is not said. */
  readonly basePath?: string | undefined
  /** Is told what went wrong on our side. */
  readonly onTrouble?: ((error: unknown) => void) | undefined
}

/** The HTTP API of connections, for any runtime and framework. */
export interface ConnectionsApi {
  readonly basePath: string
  /** For the mounts of `rescind/server`, which pass on what is not below `basePath`. */
  readonly handle: Handle
  /** For any other runtime and framework; answers whatever it is given. */
  readonly fetch: (request: Request) => Promise<Response>
}

type Handler = (request: Request, id: string) => Promise<Response> | Response

/**
 * Makes the API. Every route but the callback and the document wants a key.
 *
 * @throws RescindError `usage` when `basePath` is no path
 */
export function createConnectionsApi(options: ConnectionsApiOptions): ConnectionsApi {
  const { store, basePath = '/connections', onTrouble = () => {} } = options
  if (!BASE_PATH.test(basePath)) {
    const message = `basePath ${JSON.stringify(basePath)} is no path. Write it from the root, without a slash at its end: /connections.`
    throw new RescindError('usage', message)
  }
  const handlers = handlersOf(options, basePath)
  const app = new Hono()
  for (const [operation, route] of Object.entries(ROUTES)) {
    const handler = handlers[operation as Operation]
    const path = basePath + route.path.replace('{id}', ':id')
    app.on(
      route.method.toUpperCase(),
      path,
      async (context, next) => {
        if (route.isPublic || (await hasKey(store, context.req.raw))) return next()
        return refuseKey()
      },
      bodyLimit({
        maxSize: BODY_BYTES_MAX,
        onError: () => refuse(413, 'invalid_request', 'The body is too large.'),
      }),
      (context) => handler(context.req.raw, context.req.param('id') ?? ''),
    )
  }
  app.notFound(async (context) => {
    // Who has no key does not learn which paths there are.
    if (!(await hasKey(store, context.req.raw))) return refuseKey()
    return refuse(
      404,
      'invalid_request',
      'There is nothing here: /openapi.json lists what there is.',
    )
  })
  app.onError((error) => {
    const answer = refuseError(error)
    if (answer.status >= 500) onTrouble(error)
    return answer
  })
  return {
    basePath,
    async handle(request) {
      const isOurs = request.path === basePath || request.path.startsWith(`${basePath}/`)
      if (!isOurs) return NO_ENDPOINT
      const { method } = request
      // A `Request` cannot have the first, and takes `get` for `GET` (RFC 9110 section 9.1).
      const isNone = METHODS_NEVER.has(method) || method !== method.toUpperCase()
      if (isNone) return wireAnswerOf(refuseMethod())
      return wireAnswerOf(await app.fetch(requestOf(request)))
    },
    fetch: async (request) => app.fetch(request),
  }
}

/** Keys are looked up by their SHA-256: what a comparison might give away is the hash of a guess. */
async function hasKey(store: ConnectionStore, { headers }: Request): Promise<boolean> {
  const key = KEY.exec(headers.get('authorization') ?? '')?.[1]
  return key !== undefined && (await store.findApiKey(new Secret(key))) !== undefined
}

function handlersOf(
  { vault, reauthorizing, store, onTrouble = () => {} }: ConnectionsApiOptions,
  basePath: string,
): Readonly<Record<Operation, Handler>> {
  const document = openApiDocument(basePath)
  const withId = (work: (id: string, request: Request) => Promise<Response>): Handler => {
    return (request, id) => {
      if (idShape.safeParse({ id }).success) return work(id, request)
      return refuse(404, 'connection_unknown', 'There is no such connection.')
    }
  }
  const eventsPage = async (request: Request, id?: string): Promise<Response> => {
    const asked = readQuery(request.url, eventsQuery)
    if ('answer' in asked) return asked.answer
    const { after, limit } = asked.value
    const rows = await store.feed(Number(after.slice('cev_'.length)), limit, id)
    const events = rows.map(asEvent).map(showEvent)
    return jsonAnswer({ events, next: events.at(-1)?.id ?? after })
  }
  return {
    openapi: () => jsonAnswer(document),
    async callback(request) {
      // Hono gives HEAD to GET's handler: a look at an address must not use its state up.
      if (request.method !== 'GET') return refuse(405, 'invalid_request', 'It takes GET alone.')
      try {
        return reconnectPage(await reauthorizing.callback(answerIn(request)))
      } catch (error) {
        // A person is there: whatever went wrong is no JSON.
        onTrouble(error)
        return troublePage()
      }
    },
    async list(request) {
      const asked = readQuery(request.url, listQuery)
      if ('answer' in asked) return asked.answer
      const { after, limit, state, ...filter } = asked.value
      const from = after === undefined ? { no: 0 } : await store.read(after)
      if (!from) return refuse(400, 'invalid_request', 'after must be a connection of this list.')
      const states = state === undefined ? undefined : [state]
      const rows = await store.list({ ...filter, states }, from.no, limit)
      const next = rows.length < limit ? null : (rows.at(-1)?.id ?? null)
      const connections = rows.map(vault.shown).map(showConnection)
      return jsonAnswer({ connections, next })
    },
    async create(request) {
      const asked = await readBody(request, newConnectionShape)
      if ('answer' in asked) return asked.answer
      return jsonAnswer(showConnection(await reauthorizing.create(asked.value)), 201)
    },
    feed: (request) => eventsPage(request),
    async applyCode(request) {
      const asked = await readBody(request, codeShape)
      if ('answer' in asked) return asked.answer
      const { state, code, error = null, iss = null } = asked.value
      const secret = code === undefined ? null : new Secret(code)
      const outcome = await reauthorizing.callback({ state, code: secret, error, iss })
      if (outcome.kind !== 'reconnected') return refuseOutcome(outcome)
      const { connection, changes } = outcome
      return jsonAnswer({ connection: showConnection(connection), changes })
    },
    read: withId(async (id) => jsonAnswer(showConnection(await vault.get(id)))),
    disconnect: withId(async (id) => {
      const { connection, ...revoked } = await vault.disconnect(id)
      return jsonAnswer({ connection: showConnection(connection), ...revoked })
    }),
    link: withId(async (id) => jsonAnswer(showLink(await reauthorizing.link(id)), 201)),
    enable: withId(async (id) => jsonAnswer(showConnection(await vault.enable(id)))),
    disable: withId(async (id) => jsonAnswer(showConnection(await vault.disable(id)))),
    events: withId(async (id, request) => {
      await vault.get(id)
      return eventsPage(request, id)
    }),
  }
}

/** Reads what a provider sent with the owner's browser. */
function answerIn({ url }: Request): CallbackAnswer {
  const query = new URL(url).searchParams
  const one = (name: string) => query.get(name) || null
  const code = one('code')
  return {
    ...{ state: one('state'), error: one('error'), iss: one('iss') },
    code: code === null ? null : new Secret(code),
  }
}
