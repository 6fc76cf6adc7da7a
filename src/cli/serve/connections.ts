import { performance } from 'node:perf_hooks'
import { getRequestListener } from '@hono/node-server'
import type { Logger } from 'pino'
import { type ConnectionsApi, createConnectionsApi } from '../../connections/api.ts'
import type { ConnectionsConfig } from '../config.ts'
import type { Context } from '../context.ts'
import { type OpenVault, openVault } from '../open-vault.ts'
import { type Listening, listen } from './listen.ts'
import { errorFields } from './log.ts'

/** How often owners who never came back are given up, and notices that nobody took are tried again. */
const ROUND_MS = 60_000
/** Paths of the API in the log: of all others nothing is kept, for anything may stand in them. */
const KNOWN_PATH = /^(\/(con_[0-9a-z]{10}|[a-z-]+|openapi\.json))*$/

/** Serves the connections' HTTP API and the callback of their owners, until it is stopped. */
export async function serveConnections(
  context: Context,
  { listen: at }: ConnectionsConfig,
  log: Logger,
): Promise<Listening> {
  const open = await openVault(context)
  const onTrouble = (error: unknown) => log.error(errorFields(error), 'trouble')
  const { vault, reauthorizing, parts } = open
  const api = createConnectionsApi({ vault, reauthorizing, store: parts.store, onTrouble })
  const send = () => void open.notices.send().catch(onTrouble)
  const listener = getRequestListener(logged(api, log, send))
  const rounds = new AbortController()
  const keepingRounds = keepRounds(context, open, rounds.signal, onTrouble)
  const listening = await listen(
    (request, response) => void listener(request, response),
    at,
    context.io.clock,
  )
  return {
    url: listening.url + api.basePath,
    async stop() {
      rounds.abort()
      // Before its answers are cut off: a person waits for the page, and a grant to be stored.
      await vault.underWay.land()
      await listening.stop()
      await keepingRounds
    },
  }
}

function logged(api: ConnectionsApi, log: Logger, changed: () => void) {
  return async (request: Request): Promise<Response> => {
    const startedAt = performance.now()
    const answer = await api.fetch(request)
    const { basePath } = api
    const { pathname } = new URL(request.url)
    const inside = pathname.startsWith(basePath) ? pathname.slice(basePath.length) : undefined
    const isKnown = inside !== undefined && KNOWN_PATH.test(inside)
    const ms = Number((performance.now() - startedAt).toFixed(2))
    const endpoint = isKnown ? basePath + inside : 'none'
    const fields = { endpoint, method: request.method, status: answer.status, ms }
    if (answer.status >= 500) log.error(fields, 'request')
    else log.info(fields, 'request')
    if (request.method !== 'GET' || inside === '/callback') changed()
    return answer
  }
}

async function keepRounds(
  { io: { clock } }: Context,
  { reauthorizing, notices }: OpenVault,
  signal: AbortSignal,
  onTrouble: (error: unknown) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await reauthorizing.expire()
      await notices.send()
    } catch (error) {
      onTrouble(error)
    }
    await clock.sleep(ROUND_MS, signal).catch(() => {})
  }
}
