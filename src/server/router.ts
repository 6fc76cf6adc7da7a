import type { Core } from './core.ts'
import { clientEndpoint } from './endpoints/client-endpoint.ts'
import { serveIntrospection } from './endpoints/introspect.ts'
import { metadataOf, publicDocument, serveHealth } from './endpoints/metadata.ts'
import { endpointPaths } from './endpoints/paths.ts'
import { serveRevocation } from './endpoints/revoke.ts'
import { serveTokens } from './endpoints/token.ts'
import type { Observer } from './observer.ts'
import { NO_ENDPOINT, troubleAnswer } from './wire/answers.ts'
import { type CertificateHeader, createClientAuth } from './wire/client-auth.ts'
import { createCors } from './wire/cors.ts'
import type { Handle } from './wire/message.ts'
import { createThrottle } from './wire/throttle.ts'

export interface RouterOptions {
  readonly certificates?: CertificateHeader | undefined
  /** Is told what endpoints did, for metrics. */
  readonly observer?: Observer | undefined
}

/** Returns what answers every request to the authority; it never throws. */
export function createRouter(core: Core, options: RouterOptions = {}): Handle {
  const paths = endpointPaths(core.issuer)
  const at = (path: string) => new URL(path, core.issuer).href
  const authenticate = createClientAuth({
    core,
    throttle: createThrottle(core.clock),
    audiences: [core.issuer, ...[paths.token, paths.revoke, paths.introspect].map(at)],
    certificates: options.certificates,
  })
  const cors = createCors(core.clients, core.clock)
  const endpoints = new Map<string, Handle>([
    [paths.token, clientEndpoint(authenticate, cors, serveTokens(core, options.observer))],
    [paths.revoke, clientEndpoint(authenticate, cors, serveRevocation(core, options.observer))],
    [paths.introspect, clientEndpoint(authenticate, cors, serveIntrospection(core))],
    [paths.metadata, publicDocument(() => metadataOf(core, paths, false))],
    [paths.jwks, publicDocument(() => core.keys.published())],
    [paths.health, serveHealth(core)],
  ])
  return async (request) => {
    const endpoint = endpoints.get(request.path)
    if (!endpoint) return NO_ENDPOINT
    try {
      return await endpoint(request)
    } catch (error) {
      core.onTrouble(error)
      return troubleAnswer(error)
    }
  }
}
