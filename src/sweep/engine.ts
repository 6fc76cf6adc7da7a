import type { Clock, Random } from '../core/clock.ts'
import type { Outcome } from '../core/outcome.ts'
import type { ProviderSession } from '../providers/provider.ts'
import type { Inventory } from '../store/inventories.ts'
import type { Run } from '../store/run-states.ts'
import type { Store } from '../store/store.ts'
import type { Journal } from './journal.ts'
import type { Pace } from './pace.ts'

/** What happens in a run, told as it happens. */
export type SweepEvent =
  | {
      readonly event: 'progress'
      readonly phase: 'kill' | 'verify' | 'inventory'
      readonly done: number
      readonly total: number | null
      readonly outcomes: Readonly<Partial<Record<Outcome, number>>>
      readonly limit: number
    }
  | { readonly event: 'note'; readonly kind: string; readonly text: string }

/** What a run works with. */
export interface ApplyOptions {
  readonly store: Store
  readonly session: ProviderSession
  readonly provider: string
  readonly tenant: string
  readonly actor: string
  readonly clock: Clock
  readonly random: Random
  /** Aborted when a person stops the run. */
  readonly signal: AbortSignal
  readonly tell: (event: SweepEvent) => void
  /** Most kills at once. */
  readonly concurrencyMax?: number | undefined
  /** The wait before the second look for apps that came back; undefined for none. */
  readonly secondLookMs?: number | undefined
  /** How long something minted from a token may outlive it. */
  readonly residualMs?: number | undefined
}

/** What the parts of a run share. */
export interface Engine {
  readonly store: Store
  readonly session: ProviderSession
  readonly provider: string
  readonly run: Run
  /** The inventory that the plan stands on; the handles are there. */
  readonly inventory: Inventory
  readonly journal: Journal
  readonly pace: Pace
  readonly clock: Clock
  readonly random: Random
  /** Aborted by a person, or by the breaker. */
  readonly signal: AbortSignal
  readonly tell: (event: SweepEvent) => void
}

/** Writes an event to the run's journal and tells it. */
export async function record(engine: Engine, kind: string, text: string): Promise<void> {
  await engine.store.runs.event(engine.run, kind, text)
  engine.tell({ event: 'note', kind, text })
}
