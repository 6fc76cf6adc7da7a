import { noOutcomes, type Outcome } from '../core/outcome.ts'
import { isDead, noProofs } from '../core/proof.ts'
import type { RunToken } from '../store/run-proofs.ts'
import type { Run } from '../store/run-states.ts'
import type { Store } from '../store/store.ts'
import type { RunSummary } from './report/model.ts'

/** What is known of one planned token at the end. */
export type TokenVerdict = 'dead' | 'alive' | 'unknown'

/**
 * Judges one planned token. Dead takes proof; alive takes a sight of it after its kill, or the
 * knowledge that nothing was done to it; everything else is unknown.
 */
export function judgeToken(token: RunToken): TokenVerdict {
  const { seenAt, answeredAt } = token
  // A sight from before its last kill says nothing of what that kill did.
  if (seenAt !== null && (answeredAt === null || answeredAt <= seenAt)) return 'alive'
  if (isDead(token.proof)) return 'dead'
  const outcome = outcomeOf(token)
  switch (outcome) {
    case 'unsent':
    case 'failed':
    case 'refused':
    case 'irrevocable':
      return 'alive'
    case 'revoked':
    case 'already_dead':
    case 'queued':
    case 'in_doubt':
      return 'unknown'
  }
}

/** The outcome of a token's kill; an intent without an answer is in doubt. */
export function outcomeOf({ state, outcome }: RunToken): Outcome | 'unsent' {
  switch (state) {
    case 'planned':
      return outcome ?? 'unsent'
    case 'intent':
      return 'in_doubt'
    case 'answered':
      return outcome ?? 'in_doubt'
  }
}

/** Adds up a run. */
export async function summarizeRun(store: Store, run: Run): Promise<RunSummary> {
  const tokens = await store.runs.tokens(run)
  const plan = await store.plans.byNo(run.plan)
  const returns = await store.runs.returns(run)
  return summarize(run, plan?.id ?? '', tokens, returns.length)
}

/** Adds up the tokens of a run. */
export function summarize(
  run: Run,
  plan: string,
  tokens: readonly RunToken[],
  cameBack: number,
): RunSummary {
  const outcomes = noOutcomes()
  const proof = noProofs()
  const verdicts = { dead: 0, alive: 0, unknown: 0 }
  let unsent = 0
  for (const token of tokens) {
    const outcome = outcomeOf(token)
    if (outcome === 'unsent') unsent++
    else outcomes[outcome]++
    proof[token.proof]++
    verdicts[judgeToken(token)]++
  }
  return {
    run: run.id,
    plan,
    tenant: run.tenant,
    state: run.state,
    planned: tokens.length,
    outcomes,
    unsent,
    proof,
    ...verdicts,
    cameBack,
    startedAt: new Date(run.startedAt).toISOString(),
    finishedAt: run.finishedAt === null ? null : new Date(run.finishedAt).toISOString(),
    why: run.why,
  }
}
