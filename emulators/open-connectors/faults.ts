import {
  type Fault as AnyFault,
  type FaultPlan as AnyFaultPlan,
  createFaultPlan as createAnyFaultPlan,
} from '../faults.ts'

/** The routes of the account, as the request log, the counters and the faults name them. */
export const OPEN_CONNECTORS_ROUTE_NAMES = [
  'oauth-url',
  'create',
  'list',
  'read',
  'patch',
  'put',
  'delete',
  'enable',
  'disable',
  'secret-reset',
  'hub',
  'ping',
  'other',
] as const
export type RouteName = (typeof OPEN_CONNECTORS_ROUTE_NAMES)[number]

/** What can go wrong on command. */
export const OPEN_CONNECTORS_FAULT_KINDS = [
  /** A 401 of the platform's own, though every secret is right. */
  'unauthorized_401',
  'too_many_429',
  /** 502 without a provider's message: the platform's gateway failed, not the provider. */
  'bad_gateway_502',
  /** 503, with Retry-After where `retryAfterS` is given. */
  'unavailable_503',
  'error_500_before_effect',
  'error_500_after_effect',
  'reset_before_effect',
  'reset_after_effect',
  /** Takes effect, and never answers; with `ms`, the connection is cut after so long. */
  'hang',
  /** Answers after `ms` more milliseconds. */
  'slow',
  'redirect_302',
  /** The answer of success, and nothing was done: of a change to an instance. */
  'ok_without_effect',
  /** Somebody resets the user secret just before the call. */
  'user_secret_reset',
  /** The headers and half of the body, then the connection is cut. */
  'truncated_body',
  /** 200 with a page in HTML, as a proxy or a maintenance notice gives it. */
  'html_200',
] as const
export type FaultKind = (typeof OPEN_CONNECTORS_FAULT_KINDS)[number]

/** One fault of an account. */
export type Fault = AnyFault<FaultKind, RouteName>

/** The faults in force, with the count of calls that each has seen. */
export type FaultPlan = AnyFaultPlan<FaultKind, RouteName>

/** Makes a plan whose randomness comes from the account's seed alone. */
export function createFaultPlan(seed: number, faults: readonly Fault[]): FaultPlan {
  const names = { kinds: OPEN_CONNECTORS_FAULT_KINDS, routes: OPEN_CONNECTORS_ROUTE_NAMES }
  return createAnyFaultPlan(seed, names, faults)
}
