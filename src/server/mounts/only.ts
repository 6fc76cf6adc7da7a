import { type EndpointPaths, endpointPaths } from '../endpoints/paths.ts'
import { NO_ENDPOINT } from '../wire/answers.ts'
import type { Handle } from '../wire/message.ts'

/** The name of an endpoint: `revoke`, `introspect`, … */
export type EndpointName = keyof EndpointPaths

/**
 * Returns a handle that serves some endpoints alone, for hosts that have the others themselves:
 * `mountExpress(onlyEndpoints(authority, ['revoke', 'introspect']))`.
 */
export function onlyEndpoints(
  { issuer, handle }: { readonly issuer: string; readonly handle: Handle },
  names: readonly EndpointName[],
): Handle {
  const paths = endpointPaths(issuer)
  const served = new Set(names.map((name) => paths[name]))
  return async (request) => (served.has(request.path) ? handle(request) : NO_ENDPOINT)
}
