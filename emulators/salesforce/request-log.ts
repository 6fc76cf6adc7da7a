import type { FaultKind, RouteName } from './faults.ts'

/** One request as it is remembered: no query string, no header, no body, so no secret. */
export interface RequestRecord {
  readonly at: number
  readonly method: string
  readonly path: string
  readonly route: RouteName
  /** The status that was sent, or 0 where the connection was cut or left hanging. */
  readonly status: number
  readonly fault: FaultKind | null
}

/** The requests that an org has seen: the newest ones, and counters of all. */
export interface RequestLog {
  readonly entries: RequestRecord[]
  readonly counters: Map<RouteName, number>
  add(entry: RequestRecord): void
  clear(): void
}

/** How many requests are remembered; the counters go on for ever. */
const ENTRIES_MAX = 5_000

/** Makes an empty log. */
export function createRequestLog(): RequestLog {
  const entries: RequestRecord[] = []
  const counters = new Map<RouteName, number>()
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
