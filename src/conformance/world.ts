import type { Clock } from '../core/clock.ts'
import type { SecretBook } from '../protocol/exchange.ts'
import { type Caller, openCaller } from './caller.ts'
import type { CaseLimits } from './case.ts'
import { asSecret, type ConformanceConfig } from './config.ts'
import type { Sender } from './sender.ts'
import type { Target } from './target.ts'
import { openTokenDesk, type TokenDesk } from './token-desk.ts'

export interface WorldOptions {
  readonly target: Target
  readonly config: ConformanceConfig
  readonly limits: CaseLimits
  readonly clock: Clock
  /** A monotonic clock in microseconds, for cases that compare times. */
  readonly microseconds: () => number
  readonly random: () => number
  /** How long a revocation may take to spread before a token counts as alive. */
  readonly settleMs: number
  readonly sender: Sender
  readonly book: SecretBook
  readonly signal?: AbortSignal | undefined
}

/** What a case works with. */
export interface World extends WorldOptions, Caller, TokenDesk {
  /** Something to say beside the verdict. */
  note(sentence: string): void
  readonly notes: readonly string[]
  /**
   * What could not be seen: a case that finds nothing wrong is inconclusive for it, and one that does
   * has failed all the same.
   */
  doubt(why: string): void
  readonly doubts: readonly string[]
  /** Forgets notes, doubts and evidence so far: a new case begins. */
  startOver(): void
}

/** Opens what the cases of a run work with. */
export function openWorld(options: WorldOptions): World {
  const { config, sender, book } = options
  let notes: string[] = []
  let doubts: string[] = []
  for (const client of Object.values(config.clients)) {
    if (client?.secret !== undefined) book.add(asSecret(client.secret), 'client-secret')
    if (client?.key !== undefined) book.add(asSecret(client.key), 'client-key')
  }
  const caller = openCaller(options)
  return {
    ...options,
    ...caller,
    ...openTokenDesk({ ...options, caller }),
    get notes() {
      return notes
    },
    note(sentence) {
      notes = [...new Set([...notes, sentence])]
    },
    get doubts() {
      return doubts
    },
    doubt(why) {
      doubts = [...new Set([...doubts, why])]
    },
    startOver() {
      book.startOver()
      sender.forget()
      notes = []
      doubts = []
    },
  }
}
