import { RescindError } from '../core/errors.ts'

/**
 * Work at providers whose answers are to be stored, such as a new grant that nobody else knows of: who
 * closes the store waits for it first.
 */
export interface UnderWay {
  /** Aborted when nothing is begun any more: what only looks at a provider need not be waited for. */
  readonly signal: AbortSignal
  /** Whether there is something to wait for. */
  isBusy(): boolean
  /** @throws RescindError `store_closed` when nothing is begun any more */
  check(): void
  /** Does a piece of work. @throws RescindError `store_closed`, and what the work throws */
  run<T>(work: () => Promise<T>): Promise<T>
  /** Lets nothing begin any more. */
  stop(): void
  /** Does so, and waits for what is under way. */
  land(): Promise<void>
}

export function createUnderWay(): UnderWay {
  const works = new Set<Promise<unknown>>()
  const stopping = new AbortController()
  const { signal } = stopping
  const check = () => {
    if (signal.aborted) throw closing()
  }
  const stop = () => stopping.abort(closing())
  return {
    ...{ signal, check, stop },
    isBusy: () => works.size > 0,
    async run(work) {
      check()
      const done = work()
      works.add(done)
      try {
        return await done
      } finally {
        works.delete(done)
      }
    },
    async land() {
      stop()
      while (works.size > 0) await Promise.allSettled(works)
    },
  }
}

/** What would be begun now would be answered when nobody can store it any more. */
function closing(): RescindError {
  return new RescindError(
    'store_closed',
    'The connections are being closed: nothing is begun at a provider any more. Ask again after the next start.',
  )
}
