/** What a log must know of each request: the route that it is counted under. */
interface Counted<Route extends string> {
  readonly route: Route
}

/** The requests that an emulator has seen: the newest ones, and counters of all. */
export interface RequestLog<Route extends string, Entry extends Counted<Route>> {
  readonly entries: Entry[]
  readonly counters: Map<Route, number>
  add(entry: Entry): void
  clear(): void
}

/** How many requests are remembered; the counters go on for ever. */
const ENTRIES_MAX = 5_000

/** Makes an empty log. */
export function createRequestLog<Route extends string, Entry extends Counted<Route>>(): RequestLog<
  Route,
  Entry
> {
  const entries: Entry[] = []
  const counters = new Map<Route, number>()
  return {
    entries,
    counters,
    add: (entry) => {
      counters.set(entry.route, (counters.get(entry.route) ?? 0) + 1)
      entries.push(entry)
      if (entries.length >= ENTRIES_MAX * 2) entries.splice(0, ENTRIES_MAX)
    },
    clear: () => {
      entries.length = 0
      counters.clear()
    },
  }
}
