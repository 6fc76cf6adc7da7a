import { RescindError } from '../../core/errors.ts'
import type { Handle } from '../../core/wire.ts'
import { NO_ENDPOINT } from '../../core/wire.ts'
import { isObject } from '../check-shape.ts'
import { type EndpointPaths, endpointPaths } from '../endpoints/paths.ts'
import { checkHandle } from './check-handle.ts'

/** The name of an endpoint: `revoke`, `introspect`, … */
export type EndpointName = keyof EndpointPaths

/**
 * Returns a handle that serves some endpoints alone, for hosts that have the others themselves:
 * `mountExpress(onlyEndpoints(authority, ['revoke', 'introspect']))`.
 *
 * @throws RescindError `usage` for what is no authority, and for a name that no endpoint has
 */
export function onlyEndpoints(
  authority: { readonly issuer: string; readonly handle: Handle },
  names: readonly EndpointName[],
): Handle {
  if (!isObject(authority) || typeof authority.issuer !== 'string') {
    throw new RescindError('usage', 'The first argument of onlyEndpoints must be an authority.')
  }
  const { issuer, handle } = authority
  checkHandle(handle)
  const paths = endpointPaths(issuer)
  checkNames(names, paths)
  const served = new Set(names.map((name) => paths[name]))
  return async (request) => (served.has(request.path) ? handle(request) : NO_ENDPOINT)
}

/** One that is misspelt would be served by nobody, and missed at its first request. */
function checkNames(names: unknown, paths: EndpointPaths): void {
  const isKnown = (name: unknown) => typeof name === 'string' && Object.hasOwn(paths, name)
  if (Array.isArray(names) && names.length > 0 && names.every(isKnown)) return
  throw new RescindError(
    'usage',
    `The second argument of onlyEndpoints must be a list of names of endpoints: ${Object.keys(paths).join(', ')}.`,
  )
}
