import { performance } from 'node:perf_hooks'
import type { Logger } from 'pino'
import { endpointPaths } from '../../server/endpoints/paths.ts'
import type { Handle } from '../../server/wire/message.ts'
import type { Metrics } from './metrics.ts'

/** What is at none of the authority's addresses; its path is not kept, for anything may stand in it. */
const NO_ENDPOINT = 'none'

/** Returns a handle that counts each answer, and writes it to the log: endpoint, status, time, address. */
export function watched(
  { issuer, handle }: { readonly issuer: string; readonly handle: Handle },
  metrics: Metrics,
  log: Logger,
): Handle {
  const names = new Map(Object.entries(endpointPaths(issuer)).map(([name, path]) => [path, name]))
  return async (request) => {
    const startedAt = performance.now()
    const answer = await handle(request)
    const ms = performance.now() - startedAt
    const endpoint = names.get(request.path) ?? NO_ENDPOINT
    metrics.answered(endpoint, answer.status, ms / 1000)
    const { method, address } = request
    const fields = { endpoint, method, status: answer.status, ms: Number(ms.toFixed(2)), address }
    if (answer.status >= 500) log.error(fields, 'request')
    else log.info(fields, 'request')
    return answer
  }
}
