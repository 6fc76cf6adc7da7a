import type { RequestLog as AnyRequestLog } from '../request-log.ts'
import type { FaultKind, RouteName } from './faults.ts'

/** One request as it is remembered: no query string, no header, no body, so no secret. */
export interface RequestRecord {
  readonly at: number
  readonly method: string
  readonly path: string
  readonly route: RouteName
  /** What the token endpoint was asked for, where that is a grant type that it knows. */
  readonly grantType: GrantType | null
  /** The client that asked it, where that is an app of the org. */
  readonly clientId: string | null
  /** The number of the grant whose refresh token it was given, live, spent or dead. */
  readonly grant: number | null
  /** The status that was sent, or 0 where the connection was cut or left hanging. */
  readonly status: number
  readonly fault: FaultKind | null
}

/** The grant types of the token endpoint, as the log names them. */
export const GRANT_TYPES = [
  'authorization_code',
  'refresh_token',
  'client_credentials',
  'password',
  'device',
  'urn:ietf:params:oauth:grant-type:device_code',
  'urn:ietf:params:oauth:grant-type:jwt-bearer',
  'urn:ietf:params:oauth:grant-type:token-exchange',
] as const
export type GrantType = (typeof GRANT_TYPES)[number]

/** The requests that an org has seen. */
export type RequestLog = AnyRequestLog<RouteName, RequestRecord>
