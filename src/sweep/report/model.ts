import type { Outcome, OutcomeCounts } from '../../core/outcome.ts'
import type { Proof, ProofCounts } from '../../core/proof.ts'
import type { Comeback } from '../../providers/provider.ts'

/**
 * The one JSON object of `apply`, `resume`, `verify` and `report`. `dead + alive + unknown` is
 * `planned`, and so is the sum of `outcomes` plus `unsent`, and the sum of `proof`.
 */
export interface RunSummary {
  readonly run: string
  readonly plan: string
  readonly tenant: string
  readonly state: 'running' | 'stopped' | 'finished'
  readonly planned: number
  readonly outcomes: OutcomeCounts
  /** Planned tokens whose kill was not sent (the run stopped before). */
  readonly unsent: number
  readonly proof: ProofCounts
  readonly dead: number
  readonly alive: number
  readonly unknown: number
  /** New tokens of a planned user and app, seen after the kill. */
  readonly cameBack: number
  /** ISO 8601. */
  readonly startedAt: string
  readonly finishedAt: string | null
  /** Why the run stopped, when it did. */
  readonly why: string | null
}

/** What was known of the tenant at one moment. */
export interface InventoryFacts {
  readonly inventory: string
  readonly takenAt: string
  readonly tokens: number
  readonly counted: { readonly before: number | null; readonly after: number | null }
  readonly complete: boolean
  readonly why: string
  readonly notes: readonly string[]
}

export interface Tally {
  readonly planned: number
  readonly dead: number
  readonly alive: number
  readonly unknown: number
}

export interface AppTally extends Tally {
  readonly id: string
  readonly label: string
  readonly kind: string
  readonly cameBack: number
  readonly comeback: Comeback
  readonly comebackWhy: string
}

export interface UserTally extends Tally {
  readonly id: string
  readonly name: string
  readonly displayName: string | null
  readonly active: boolean | null
  readonly frozen: boolean | null
}

/** One planned token, without its handle. */
export interface TokenLine {
  readonly fingerprint: string
  readonly kind: string
  readonly user: string
  readonly app: string
  readonly createdAt: string | null
  readonly lastUsedAt: string | null
  readonly rule: string
  readonly outcome: Outcome | 'unsent'
  readonly code: string | null
  readonly answeredAt: string | null
  readonly proof: Proof
  readonly proofAt: string | null
  readonly evidence: string | null
  readonly verdict: 'dead' | 'alive' | 'unknown'
}

/** Work that no call can do, or that did not succeed. */
export interface LeftForAPerson {
  readonly what: string
  readonly why: string
  readonly todo: string
  /** Tokens or apps concerned. */
  readonly count: number
}

/** Everything that a report shows; each rendering is a pure function of it. */
export interface ReportModel {
  readonly summary: RunSummary
  readonly account: { readonly id: string; readonly name: string; readonly url: string }
  readonly actor: string
  readonly planHash: string
  readonly policy: {
    readonly name: string
    readonly why: string
    readonly hash: string
    /** The policy as YAML. */
    readonly text: string
  }
  readonly chosen: number
  readonly spared: number
  readonly undecided: number
  readonly untouched: number
  /** Tokens per rule that chose them. */
  readonly rules: readonly { readonly rule: string; readonly count: number }[]
  /** Kill calls per reach. */
  readonly kills: readonly {
    readonly reach: string
    readonly calls: number
    readonly tokens: number
  }[]
  readonly before: InventoryFacts
  /** The inventory that proves; null when none was taken. */
  readonly after: InventoryFacts | null
  readonly secondLook: InventoryFacts | null
  readonly apps: readonly AppTally[]
  readonly users: readonly UserTally[]
  /** Acknowledged and proven dead up to each moment; at most 200 points. `at` in ms since the epoch. */
  readonly timeline: readonly {
    readonly at: number
    readonly answered: number
    readonly dead: number
  }[]
  /** Milliseconds from the first kill sent to the proof of death, over the dead tokens. */
  readonly timeToDeadMs: {
    readonly median: number
    readonly p90: number
    readonly max: number
  } | null
  readonly left: readonly LeftForAPerson[]
  /** Pauses, slow-downs, stops, looks: what happened on the way. */
  readonly events: readonly { readonly at: string; readonly kind: string; readonly text: string }[]
  /** Every planned token. */
  readonly tokens: () => Iterable<TokenLine>
  readonly version: string
  readonly madeAt: string
}
