import type { JournalEntry } from '../store/run-journal.ts'
import type { Run } from '../store/run-states.ts'
import type { RunStore } from '../store/runs.ts'

/**
 * An answer that is not on disk after a crash is a doubt, and looked at: it can wait a moment for
 * others, and each flush to disk stops everything else for a millisecond or two.
 */
const ANSWERS_WAIT_MS = 10

/** The run's journal, with group commit: what is written at once shares one flush to disk. */
export interface Journal {
  /** Resolves when the entries are on disk. */
  write(entries: readonly JournalEntry[]): Promise<void>
  /** The same for answers, a little later: they share the flush of what comes meanwhile. */
  writeSoon(entries: readonly JournalEntry[]): Promise<void>
  /** Resolves when everything written so far is on disk; rejects when a write failed. */
  drain(): Promise<void>
}

/** Opens the journal of a run. */
export function openJournal(runs: RunStore, run: Run): Journal {
  let queued: JournalEntry[] = []
  let flushing: Promise<void> | undefined
  let failure: { readonly error: unknown } | undefined
  let hurry = () => {}
  const flush = async () => {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ANSWERS_WAIT_MS)
      // One turn of the event loop gathers what is written together.
      hurry = () => {
        clearTimeout(timer)
        setImmediate(resolve)
      }
      if (urgent) hurry()
    })
    urgent = false
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
  let urgent = false
  const writeSoon = (entries: readonly JournalEntry[]): Promise<void> => {
    if (failure) return Promise.reject(failure.error)
    queued.push(...entries)
    flushing ??= last = last.catch(() => undefined).then(flush)
    // A failed write stops the run at the next drain, whoever awaits this one.
    flushing.catch(() => undefined)
    return flushing
  }
  const hasten = () => {
    urgent = true
    hurry()
  }
  return {
    writeSoon,
    write(entries) {
      const written = writeSoon(entries)
      hasten()
      return written
    },
    async drain() {
      hasten()
      while (flushing) await last.catch(() => undefined)
      await last.catch(() => undefined)
      if (failure) throw failure.error
    },
  }
}
