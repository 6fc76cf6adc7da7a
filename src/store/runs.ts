import { openRunJournal, type RunJournal } from './run-journal.ts'
import { openRunProofs, type RunProofs } from './run-proofs.ts'
import { openRunStates, type RunStates } from './run-states.ts'
import type { StoreParts } from './store.ts'

/** The runs, with their journals and proofs. */
export type RunStore = RunStates & RunJournal & RunProofs

/** Opens the runs of a store's database. */
export function openRuns(parts: StoreParts): RunStore {
  return { ...openRunStates(parts), ...openRunJournal(parts), ...openRunProofs(parts) }
}
