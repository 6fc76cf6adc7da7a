import { createRandom, type Random } from './random.ts'

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
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

/** One fault: what happens, on which route, and when. Without `probability` and `nth`, always. */
export interface Fault {
  readonly kind: FaultKind
  readonly on: RouteName | 'any'
  /** The share of calls that it strikes, from 0 to 1, by the org's seed. */
  readonly probability?: number | undefined
  /** The calls that it strikes, counted from 1 over the calls of its route since it was set. */
  readonly nth?: number | readonly number[] | undefined
  readonly retryAfterS?: number | undefined
  readonly ms?: number | undefined
}

/** The faults in force, with the count of calls that each has seen. */
export interface FaultPlan {
  /** Gives the first fault that strikes this call; every fault counts the call. */
  strike(route: RouteName): Fault | undefined
  set(faults: readonly Fault[]): void
  list(): readonly Fault[]
}

interface Armed {
  readonly fault: Fault
  readonly random: Random
  seen: number
}

/** Makes a plan whose randomness comes from the org's seed alone. */
export function createFaultPlan(seed: number, faults: readonly Fault[]): FaultPlan {
  let armed: Armed[] = []
  const set = (list: readonly Fault[]): void => {
    armed = list.map((fault, at) => ({
      fault: checkFault(fault),
      random: createRandom(seed, `fault:${at}:${fault.kind}`),
      seen: 0,
    }))
  }
  set(faults)
  return {
    set,
    list: () => armed.map(({ fault }) => fault),
    strike: (route) => {
      let struck: Fault | undefined
      for (const entry of armed) {
        if (strikes(entry, route)) struck ??= entry.fault
      }
      return struck
    },
  }
}

function checkFault(fault: Fault): Fault {
  if (!FAULT_KINDS.includes(fault.kind)) {
    throw new TypeError(`unknown fault "${fault.kind}"; the kinds are ${FAULT_KINDS.join(', ')}`)
  }
  if (fault.on !== 'any' && !ROUTE_NAMES.includes(fault.on)) {
    throw new TypeError(
      `unknown route "${fault.on}"; the routes are any, ${ROUTE_NAMES.join(', ')}`,
    )
  }
  return fault
}

function strikes(entry: Armed, route: RouteName): boolean {
  const { fault } = entry
  if (fault.on !== 'any' && fault.on !== route) return false
  entry.seen += 1
  // Drawn at every call, so that one fault's calls do not shift with another's.
  const drawn = fault.probability === undefined ? 0 : entry.random.next()
  if (fault.nth !== undefined) {
    const due =
      typeof fault.nth === 'number' ? fault.nth === entry.seen : fault.nth.includes(entry.seen)
    if (!due) return false
  }
  return fault.probability === undefined || drawn < fault.probability
}
