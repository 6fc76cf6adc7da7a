import type { JournalEntry, Run, RunStore } from '../store/runs.ts'

/** The run's journal, with group commit: what is written at once shares one flush to disk. */
export interface Journal {
  /** Resolves when the entries are on disk. */
  write(entries: readonly JournalEntry[]): Promise<void>
  /** Resolves when everything written so far is on disk; rejects when a write failed. */
  drain(): Promise<void>
}

/** Opens the journal of a run. */
export function openJournal(runs: RunStore, run: Run): Journal {
  let queued: JournalEntry[] = []
  let flushing: Promise<void> | undefined
  let failure: { readonly error: unknown } | undefined
  const flush = async () => {
    // One turn of the event loop gathers the answers that arrived together.
    await new Promise(setImmediate)
    const batch = queued
    queued = []
    flushing = undefined
    try {
      await runs.journal(run, batch)
    } catch (error) {
      failure ??= { error }
      throw error
    }
  }
  let last: Promise<void> = Promise.resolve()
  return {
    write(entries) {
      if (failure) return Promise.reject(failure.error)
      queued.push(...entries)
      flushing ??= last = last.catch(() => undefined).then(flush)
      // A failed write stops the run at the next drain, whoever awaits this one.
      flushing.catch(() => undefined)
      return flushing
    },
    async drain() {
      while (flushing) await last.catch(() => undefined)
      await last.catch(() => undefined)
      if (failure) throw failure.error
    },
  }
}
