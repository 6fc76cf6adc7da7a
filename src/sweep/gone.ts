import type { Fingerprint } from '../core/secret.ts'
import type { KillToken } from '../providers/provider.ts'
import type { JournalledKill } from '../store/run-journal.ts'
import type { Engine } from './engine.ts'

/** A list lags behind a kill; a look is repeated at these waits, in milliseconds. */
const LOOK_WAITS_MS = [0, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000]

/** How patient a look is. */
export interface Patience {
  /** The sum of the waits between looks. */
  readonly waitMsMax?: number
  /** Stops when no more than this share is left: a few may be alive for other reasons. */
  readonly leftShare?: number
}

/** What is left of some tokens after they were looked at until they were gone. */
export interface Gone {
  readonly gone: readonly Fingerprint[]
  /** Still in the list, or not to be told. */
  readonly left: readonly Fingerprint[]
}

/**
 * Looks at tokens in the provider's list until all are gone, or about half a minute has passed, the
 * time that a list may lag behind a kill; or until less patience is used up.
 */
export async function awaitGone(
  { store, inventory, session, clock, signal }: Engine,
  fingerprints: readonly Fingerprint[],
  { waitMsMax = Number.POSITIVE_INFINITY, leftShare = 0 }: Patience = {},
): Promise<Gone> {
  const handles = await store.inventories.handles(inventory, fingerprints)
  let left: KillToken[] = [...handles.values()]
  let waited = 0
  for (const wait of LOOK_WAITS_MS) {
    waited += wait
    if (left.length <= leftShare * fingerprints.length || waited > waitMsMax) break
    if (wait > 0) await clock.sleep(wait, signal)
    const { present, unclear } = await session.look(left, signal)
    left = left.filter(({ fingerprint: fp }) => present.has(fp) || unclear.has(fp))
  }
  const leftOver = new Set(left.map(({ fingerprint }) => fingerprint))
  return {
    gone: fingerprints.filter((fingerprint) => !leftOver.has(fingerprint)),
    left: [...leftOver],
  }
}

/** Takes the kills that are tried first: the narrowest, so that a mistake stays small. */
export function pickCanary(
  kills: readonly JournalledKill[],
  size: number,
): { canary: JournalledKill[]; rest: JournalledKill[] } {
  const byReach = [...kills].sort((a, b) => a.tokens.length - b.tokens.length || a.seq - b.seq)
  const canary = byReach.slice(0, size)
  const taken = new Set(canary.map(({ seq }) => seq))
  return { canary, rest: kills.filter(({ seq }) => !taken.has(seq)) }
}
