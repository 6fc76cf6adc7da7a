/**
 * What the provider answered to one kill. A closed union: every place that matches it has an arm
 * for each, and none of them is a default.
 *
 * - `revoked`: the provider said yes.
 * - `already_dead`: the provider said that the token was dead or unknown before.
 * - `queued`: accepted, to be done later.
 * - `refused`: the provider said no.
 * - `irrevocable`: no call can do it; a person must.
 * - `in_doubt`: sent, and no answer that tells whether it had an effect.
 * - `failed`: had no effect; the token is alive.
 */
export const OUTCOMES = [
  'revoked',
  'already_dead',
  'queued',
  'refused',
  'irrevocable',
  'in_doubt',
  'failed',
] as const

export type Outcome = (typeof OUTCOMES)[number]

/** Counts per outcome, each outcome present. */
export type OutcomeCounts = Record<Outcome, number>

/** Returns a count of zero for every outcome. */
export function noOutcomes(): OutcomeCounts {
  return Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0])) as OutcomeCounts
}

/** Says whether sending the kill again could change anything. */
export function isWorthAnotherTry(outcome: Outcome): boolean {
  switch (outcome) {
    case 'failed':
    case 'in_doubt':
      return true
    case 'revoked':
    case 'already_dead':
    case 'queued':
    case 'refused':
    case 'irrevocable':
      return false
  }
}

/** The sentence that a report prints for an outcome. */
export function describeOutcome(outcome: Outcome): string {
  switch (outcome) {
    case 'revoked':
      return 'the provider confirmed the revocation'
    case 'already_dead':
      return 'the provider said that it was dead or unknown before'
    case 'queued':
      return 'the provider accepted it and will do it later'
    case 'refused':
      return 'the provider refused'
    case 'irrevocable':
      return 'no call can revoke it; a person must'
    case 'in_doubt':
      return 'sent, and no answer came that tells whether it worked'
    case 'failed':
      return 'had no effect; the token is alive'
  }
}
