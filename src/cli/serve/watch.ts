import { performance } from 'node:perf_hooks'
import type { Logger } from 'pino'
import type { Handle } from '../../core/wire.ts'
import { endpointPaths } from '../../server/endpoints/paths.ts'
import { REQUEST_ID } from '../../server/wire/request-id.ts'
import type { Metrics } from './metrics.ts'
import { createRequestIds } from './request-ids.ts'

/** What is at none of the authority's addresses; its path is not kept, for anything may stand in it. */
const NO_ENDPOINT = 'none'

/**
 * Returns a handle that counts each answer, and writes it to the log: request, endpoint, status, time,
 * address. A request that no proxy named gets an id; its events and its answer bear the same.
 */
export function watched(
  { issuer, handle }: { readonly issuer: string; readonly handle: Handle },
  metrics: Metrics,
  log: Logger,
): Handle {
  const names = new Map(Object.entries(endpointPaths(issuer)).map(([name, path]) => [path, name]))
  const newId = createRequestIds()
  return async (request) => {
    const startedAt = performance.now()
    const id = request.id ?? newId()
    const answer = await handle({ ...request, id })
    const ms = performance.now() - startedAt
    const endpoint = names.get(request.path) ?? NO_ENDPOINT
    metrics.answered(endpoint, answer.status, ms / 1000)
    const { method, address } = request
    const { status } = answer
    const fields = { request: id, endpoint, method, status, ms: Number(ms.toFixed(2)), address }
    if (status >= 500) log.error(fields, 'request')
    else log.info(fields, 'request')
    return { ...answer, headers: { ...answer.headers, [REQUEST_ID]: id } }
  }
}
