import { createRandom, type Random } from './random.ts'

/** One fault: what happens, on which route, and when. Without `probability` and `nth`, always. */
export interface Fault<Kind extends string = string, Route extends string = string> {
  readonly kind: Kind
  readonly on: Route | 'any'
  /** The share of calls that it strikes, from 0 to 1, by the emulator's seed. */
  readonly probability?: number | undefined
  /** The calls that it strikes, counted from 1 over the calls of its route since it was set. */
  readonly nth?: number | readonly number[] | undefined
  readonly retryAfterS?: number | undefined
  readonly ms?: number | undefined
}

/** What an emulator knows to do wrong, and where. */
export interface FaultNames<Kind extends string, Route extends string> {
  readonly kinds: readonly Kind[]
  readonly routes: readonly Route[]
}

/** A fault in force, and how many calls it has struck since it was set. */
export type ListedFault<Kind extends string, Route extends string> = Fault<Kind, Route> & {
  readonly struck: number
}

/** The faults in force, with the count of calls that each has seen. */
export interface FaultPlan<Kind extends string = string, Route extends string = string> {
  /** Gives the first fault that strikes this call; every fault counts the call. */
  strike(route: Route): Fault<Kind, Route> | undefined
  /** Puts faults in place of those in force. Throws TypeError where a kind or route is unknown. */
  set(faults: readonly Fault<Kind, Route>[]): void
  list(): readonly ListedFault<Kind, Route>[]
}

interface Armed<Kind extends string, Route extends string> {
  readonly fault: Fault<Kind, Route>
  readonly random: Random
  seen: number
  struck: number
}

/** Makes a plan whose randomness comes from the seed alone. Throws TypeError where a kind or route is unknown. */
export function createFaultPlan<Kind extends string, Route extends string>(
  seed: number,
  names: FaultNames<Kind, Route>,
  faults: readonly Fault<Kind, Route>[],
): FaultPlan<Kind, Route> {
  let armed: Armed<Kind, Route>[] = []
  const set = (list: readonly Fault<Kind, Route>[]): void => {
    armed = list.map((fault, at) => ({
      fault: checkFault(fault, names),
      random: createRandom(seed, `fault:${at}:${fault.kind}`),
      seen: 0,
      struck: 0,
    }))
  }
  set(faults)
  return {
    set,
    list: () => armed.map(({ fault, struck }) => ({ ...fault, struck })),
    strike: (route) => {
      let first: Armed<Kind, Route> | undefined
      for (const entry of armed) {
        if (strikes(entry, route)) first ??= entry
      }
      if (first !== undefined) first.struck += 1
      return first?.fault
    },
  }
}

function checkFault<Kind extends string, Route extends string>(
  fault: Fault<Kind, Route>,
  { kinds, routes }: FaultNames<Kind, Route>,
): Fault<Kind, Route> {
  if (!kinds.includes(fault.kind)) {
    throw new TypeError(`unknown fault "${fault.kind}"; the kinds are ${kinds.join(', ')}`)
  }
  if (fault.on !== 'any' && !routes.includes(fault.on)) {
    throw new TypeError(`unknown route "${fault.on}"; the routes are any, ${routes.join(', ')}`)
  }
  return fault
}

function strikes<Kind extends string, Route extends string>(
  entry: Armed<Kind, Route>,
  route: Route,
): boolean {
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
