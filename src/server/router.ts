import type { Handle } from '../core/wire.ts'
import { NO_ENDPOINT } from '../core/wire.ts'
import type { Core } from './core.ts'
import { serveAdminEvents, serveAdminRevocation } from './endpoints/admin.ts'
import { type Authorize, serveAuthorization } from './endpoints/authorize.ts'
import { clientEndpoint } from './endpoints/client-endpoint.ts'
import {
  type GlobalRevocationOptions,
  serveGlobalRevocation,
} from './endpoints/global-revocation.ts'
import { serveIntrospection } from './endpoints/introspect.ts'
import { metadataOf, publicDocument, serveHealth } from './endpoints/metadata.ts'
import { type EndpointPaths, endpointPaths } from './endpoints/paths.ts'
import { serveRevocation } from './endpoints/revoke.ts'
import { serveTokens } from './endpoints/token.ts'
import type { Observer } from './observer.ts'
import { troubleAnswer } from './wire/answers.ts'
import { type CallerKey, createBearerAuth } from './wire/bearer.ts'
import {
  type CertificateHeader,
  createClientAuth,
  readCertificateHeader,
} from './wire/client-auth.ts'
import { createCors } from './wire/cors.ts'
import { createThrottle } from './wire/throttle.ts'

export interface RouterOptions {
  readonly certificates?: CertificateHeader | undefined
  /** Is told what endpoints did, for metrics. */
  readonly observer?: Observer | undefined
  /** The host's login and consent; without it there is no authorization endpoint. */
  readonly authorize?: Authorize | undefined
  /** Keys of administrators; without any there are no admin endpoints. */
  readonly adminKeys?: readonly CallerKey[] | undefined
  /** Who may revoke all of a user by Global Token Revocation; without it there is no such endpoint. */
  readonly globalRevocation?: GlobalRevocationOptions | undefined
}

/** Returns what answers every request to the authority; it never throws. */
export function createRouter(core: Core, options: RouterOptions = {}): Handle {
  const paths = endpointPaths(core.issuer)
  const certificates = options.certificates && readCertificateHeader(options.certificates)
  const at = (path: string) => new URL(path, core.issuer).href
  const auth = createClientAuth({
    core,
    throttle: createThrottle(core.clock),
    audiences: [core.issuer, ...[paths.token, paths.revoke, paths.introspect].map(at)],
    certificates,
  })
  const has = {
    authorize: options.authorize !== undefined,
    globalRevocation: options.globalRevocation !== undefined,
    certificates: certificates !== undefined,
  }
  const cors = createCors(core.clients, core.clock)
  const endpoints = new Map<string, Handle>([
    [paths.token, clientEndpoint(auth, cors, serveTokens(core, certificates, options.observer))],
    [paths.revoke, serveRevocation(core, auth, cors, options.observer)],
    [paths.introspect, serveIntrospection(core, auth, cors)],
    [paths.metadata, publicDocument(() => metadataOf(core, paths, has))],
    [paths.jwks, publicDocument(() => core.keys.published())],
    [paths.health, serveHealth(core)],
    ...optionalEndpoints(core, paths, options),
  ])
  const reads = new Set([
    paths.introspect,
    paths.metadata,
    paths.jwks,
    paths.health,
    paths.adminEvents,
  ])
  return async (request) => {
    const endpoint = endpoints.get(request.path)
    if (!endpoint) return NO_ENDPOINT
    try {
      return await endpoint(request)
    } catch (error) {
      core.onTrouble(error, request.id)
      return troubleAnswer(error, reads.has(request.path))
    }
  }
}

/** @throws RescindError `key_invalid`, `usage` */
function* optionalEndpoints(
  core: Core,
  paths: EndpointPaths,
  { authorize, adminKeys = [], globalRevocation }: RouterOptions,
): Generator<[path: string, handle: Handle]> {
  // Of their own: a client that is called like a realm is not counted with its callers.
  const throttle = createThrottle(core.clock)
  if (authorize) yield [paths.authorize, serveAuthorization(core, authorize)]
  if (adminKeys.length > 0) {
    const callers = adminKeys.map((key) => ({ name: 'admin', key }))
    const authenticate = createBearerAuth({ callers, throttle, realm: 'admin' })
    yield [paths.adminRevoke, serveAdminRevocation(core, authenticate)]
    yield [paths.adminEvents, serveAdminEvents(core, authenticate)]
  }
  if (globalRevocation) {
    const { callers } = globalRevocation
    const authenticate = createBearerAuth({ callers, throttle, realm: 'global token revocation' })
    yield [paths.globalRevocation, serveGlobalRevocation(core, globalRevocation, authenticate)]
  }
}
