import {
  type Fault as AnyFault,
  type FaultPlan as AnyFaultPlan,
  createFaultPlan as createAnyFaultPlan,
} from '../faults.ts'

/** The routes of the org, as the request log, the counters and the faults name them. */
export const ROUTE_NAMES = [
  'revoke',
  'token',
  'authorize',
  'introspect',
  'userinfo',
  'identity',
  'discovery',
  'query',
  'usage',
  'session-delete',
  'sobject',
  'limits',
  'versions',
  'bulk-query',
  'soap-login',
  'soap-metadata',
  'other',
] as const
export type RouteName = (typeof ROUTE_NAMES)[number]

/** What can go wrong on command. */
export const FAULT_KINDS = [
  /** 404 `Bad_Id`, without effect: seen from the real revoke endpoint now and then. */
  'bad_id_404',
  'too_many_429',
  /** 503, with Retry-After where `retryAfterS` is given. */
  'unavailable_503',
  'error_500_before_effect',
  'error_500_after_effect',
  'reset_before_effect',
  'reset_after_effect',
  /** Takes effect, and never answers; with `ms`, the connection is cut after so long. */
  'hang',
  /** The same, and nothing was done. */
  'hang_before_effect',
  /** Answers after `ms` more milliseconds. */
  'slow',
  'redirect_302',
  /** The answer of success, and nothing was done. */
  'ok_without_effect',
  /** Takes effect, and queries still show the row for `ms` milliseconds. */
  'delayed_visibility',
  /** All sessions end at that call. */
  'session_expired',
  /** The app makes a new grant for the same user `ms` milliseconds after its token was revoked. */
  'reauthorise',
  /** 403 REQUEST_LIMIT_EXCEEDED. */
  'request_limit_403',
  /** One row is missing from the page of a query. */
  'drop_row',
  /** One row stands twice on the page of a query. */
  'duplicate_row',
  /** Somebody approves an app just before the call. */
  'new_grant',
  /** Somebody logs out of an app just before the call: a grant dies by itself. */
  'grant_vanishes',
  /** The headers and half of the body, then the connection is cut. */
  'truncated_body',
  /** 200 with a page in HTML, as a proxy or a maintenance notice gives it. */
  'html_200',
  /** 200 with JSON that ends in the middle; nothing was done. */
  'malformed_200',
  /** 200 with an error inside; nothing was done. */
  'error_in_200',
  /** 200 with JSON that holds nothing of what was asked for; nothing was done. */
  'empty_200',
  /** 401 `invalid_client`, though the client is right. */
  'invalid_client_401',
  /** 403 without a word of the token. */
  'forbidden_403',
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

/** One fault of an org. */
export type Fault = AnyFault<FaultKind, RouteName>

/** The faults in force, with the count of calls that each has seen. */
export type FaultPlan = AnyFaultPlan<FaultKind, RouteName>

/** Makes a plan whose randomness comes from the org's seed alone. */
export function createFaultPlan(seed: number, faults: readonly Fault[]): FaultPlan {
  return createAnyFaultPlan(seed, { kinds: FAULT_KINDS, routes: ROUTE_NAMES }, faults)
}
