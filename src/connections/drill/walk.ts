import { isRescindError } from '../../core/errors.ts'
import type { EvidenceValue } from './evidence.ts'
import { APPLY_STEP, isEvidenceLost, LINK_STEP, NEW_STEP, type Run, write } from './run.ts'
import { mayBeRevoked } from './standing.ts'
import type { Judgement, Step } from './step.ts'
import { PAST_REVOKING } from './steps/revoke.ts'

/** Does each step that has no result yet, or says why it is left out. */
export async function walkSteps(run: Run, steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    if (!isToBeDone(run, step.no)) continue
    const why = whySkipped(run, step.no)
    if (why === undefined) await walkStep(run, step)
    else
      record(run, step, {
        judgement: { verdict: 'skipped', why },
        seen: {},
        startedAt: run.context.clock.now(),
      })
  }
}

function isToBeDone({ judged, context }: Run, no: number): boolean {
  if (judged.has(APPLY_STEP) || context.memory.reconnected) return !judged.has(no)
  return (no >= LINK_STEP && no <= APPLY_STEP) || !judged.has(no)
}

/** Why a step cannot be done, or would show nothing. */
export function whySkipped(run: Run, no: number): string | undefined {
  const { context, judged } = run
  const failed = (one: number) => judged.get(one)?.verdict === 'fail'
  const { memory } = context
  if (no < LINK_STEP && isEvidenceLost(run)) return 'What was seen of it is lost with the evidence.'
  if (memory.disconnected) return DISCONNECTED
  const early = [0, 1, 2].find(failed)
  if (early !== undefined && no > early) {
    return `Step ${early} failed: nothing was revoked.`
  }
  if (no > 3 && memory.revocationPast) return PAST_REVOKING
  if (no > 4 && memory.revokedAt !== null && !mayBeRevoked(memory)) {
    return 'The revocation had no effect: the connection is as it was.'
  }
  if (no > 4 && no <= APPLY_STEP && memory.reconnected) {
    return 'It was reconnected before the drill was gone on with: what came of its death cannot be looked at any more.'
  }
  if (no >= LINK_STEP && no <= APPLY_STEP && memory.healedAlone) {
    return 'The connection healed by itself: there is nothing to reconnect.'
  }
  if (no >= 9 && no <= APPLY_STEP && failed(8)) return 'There is no link to consent at.'
  if (no === APPLY_STEP && failed(9) && !context.secrets.callback?.code) {
    return 'There is no code to apply.'
  }
  if (no >= 12 && no <= 14 && !memory.healedAlone && !memory.reconnected) {
    return 'The connection was not seen to come back.'
  }
  return undefined
}

export const DISCONNECTED = 'The connection was disconnected while the drill was dead.'

async function walkStep(run: Run, one: Step): Promise<void> {
  const { context } = run
  const startedAt = context.clock.now()
  context.signal?.throwIfAborted()
  write(run, { kind: 'intent', step: one.no, name: one.name, will: one.act })
  const { seen, judgement } = await one.run(context).catch((error: unknown) => {
    if (!isRescindError(error) || context.signal?.aborted) throw error
    // Who comes later goes on from here.
    if (error.code === 'nobody_consented') throw error
    const why = `It could not be done: ${error.message}`
    return { seen: { error: error.code }, judgement: { verdict: 'fail', why } as const }
  })
  if (one.no === NEW_STEP) context.memory.seenWell = judgement.verdict === 'pass'
  context.save()
  record(run, one, { judgement, seen, startedAt })
}

interface StepEnd {
  readonly judgement: Judgement
  readonly seen: Readonly<Record<string, EvidenceValue>>
  readonly startedAt: number
}

function record(run: Run, step: Step, { judgement, seen, startedAt }: StepEnd): void {
  run.judged.set(step.no, judgement)
  write(run, {
    kind: 'step',
    step: step.no,
    name: step.name,
    did: step.act,
    passOnlyIf: step.passOnlyIf,
    verdict: judgement.verdict,
    why: judgement.why,
    startedAt: new Date(startedAt).toISOString(),
    tookMs: run.context.clock.now() - startedAt,
    evidence: seen,
  })
}
