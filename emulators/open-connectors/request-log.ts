import type { RequestLog as AnyRequestLog } from '../request-log.ts'
import { readAuthorization } from './authorization.ts'
import type { Call } from './call.ts'
import type { FaultKind, RouteName } from './faults.ts'

/** One request as it is remembered: no body, and of headers and query what is no secret. */
export interface RequestRecord {
  readonly at: number
  readonly requestId: string
  readonly method: string
  readonly path: string
  /** As it came, with asterisks in place of every value that may be a secret. */
  readonly query: string
  /** Which parts the Authorization header had: `user`, `organization`, `element`. */
  readonly authorization: readonly string[]
  readonly route: RouteName
  /** The status that was sent, or 0 where the connection was cut or left hanging. */
  readonly status: number
  readonly fault: FaultKind | null
}

/** The requests that an account has seen. */
export type RequestLog = AnyRequestLog<RouteName, RequestRecord>

/** Parameters whose values are no secrets; `apiSecret`, `state` and what nobody knows are not among them. */
const HARMLESS = new Set([
  'apiKey',
  'callbackUrl',
  'scope',
  'siteAddress',
  'hydrate',
  'nextPage',
  'pageSize',
  'reAuthenticate',
])

/** Makes the record of a call. */
export function recordOf(
  call: Call,
  route: RouteName,
  status: number,
  fault: FaultKind | null,
): RequestRecord {
  const { requestId, method, path } = call
  const parts = readAuthorization(call.headers.authorization)
  return {
    at: call.account.clock.now(),
    requestId,
    method,
    path,
    query: redactQuery(call.query),
    authorization: [...(parts?.keys() ?? [])],
    route,
    status,
    fault,
  }
}

function redactQuery(query: URLSearchParams): string {
  return [...query]
    .map(([name, value]) => `${name}=${HARMLESS.has(name) ? encodeURIComponent(value) : '***'}`)
    .join('&')
}
