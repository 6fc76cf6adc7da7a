import { formatCounted } from '../../core/counts.ts'
import { isRescindError, RescindError } from '../../core/errors.ts'
import type { EvidenceRecord } from './evidence.ts'
import { identityText, isAnothers, isBackNow } from './look.ts'
import {
  APPLY_STEP,
  DETECTION_STEP,
  type DrillEnd,
  faultsOf,
  isEvidenceLost,
  LINK_STEP,
  NOTICE_STEP,
  type Run,
  write,
} from './run.ts'
import { mayBeDead, mayBeRevoked, whereItEnded, whereItStands } from './standing.ts'
import { detectMsOf, sinceRevoked } from './steps/notice.ts'
import { VERDICT_STEP } from './steps.ts'

/**
 * Looks at the connection for the last time, and writes the verdict.
 *
 * @param cut why it has failed, even where no step has
 */
export async function finish(run: Run, cut?: string): Promise<DrillEnd> {
  const startedAt = run.context.clock.now()
  const failed = [...run.judged].filter(([, { verdict }]) => verdict === 'fail').map(([no]) => no)
  failed.sort((a, b) => a - b)
  const failedAt = failed[0] ?? null
  const failedFaults = [...run.failedFaults]
  const { memory } = run.context
  const isMended = memory.healedAlone || memory.reconnected
  // An access token that was revoked may be refreshed after the drill has looked.
  const isHealed = run.context.rules.depth === 'access'
  const isOver = isMended || !mayBeRevoked(memory) || isHealed
  // Where access tokens outlive the grant a call goes well, and the next refresh does not.
  const isBack = (await isBackNow(run.context)) && isOver
  const isFailed = failed.length > 0 || failedFaults.length > 0
  const complaints = [
    ...failed.map((no) => `Step ${no} failed: ${run.judged.get(no)?.why}`),
    failedFaults.length > 0 &&
      `${formatCounted(failedFaults.length, 'fault')} failed: ${failedFaults.join(', ')}.`,
    cut,
    isEvidenceLost(run) && 'The evidence of what came before the drill died is lost.',
    !isFailed && !isBack && !memory.disconnected && 'At the end the connection is not well.',
  ].filter((one) => typeof one === 'string')
  const verdict = complaints.length === 0 ? 'passed' : 'failed'
  const notJudged = notJudgedIn(run)
  const why =
    complaints.length === 0
      ? passedText(notJudged, run.options.evidence.records)
      : complaints.join(' ')
  const { about } = run.options.journal
  const stands = isBack ? null : whereItEnded(about, memory, await isAnothers(run.context))
  const end = { verdict, failedAt, failedFaults, notJudged, why, isBack, stands, startedAt }
  write(run, endOf(run, end))
  run.options.journal.close()
  return { verdict, failedAt, failedFaults }
}

/** Steps of which nothing is known; those of a reconnect are none where it healed by itself. */
function notJudgedIn({ judged, context }: Run): readonly number[] {
  const isNeedless = (no: number) =>
    context.memory.healedAlone && no >= LINK_STEP && no <= APPLY_STEP
  return [...judged]
    .filter(([no, { verdict }]) => verdict === 'skipped' && !isNeedless(no))
    .map(([no]) => no)
}

function passedText(notJudged: readonly number[], records: readonly EvidenceRecord[]): string {
  const steps =
    notJudged.length === 0
      ? 'All steps passed.'
      : `All steps passed that were judged; not judged: ${notJudged.join(', ')}.`
  if (faultsOf(records) === null) return steps
  const faults = records.filter(({ kind }) => kind === 'inject')
  const skipped = faults.filter(({ verdict }) => verdict === 'skipped').map(({ inject }) => inject)
  const notRun =
    skipped.length === 0 ? '' : `, and ${skipped.length} skipped: ${skipped.join(', ')}`
  return `${steps} ${formatCounted(faults.length - skipped.length, 'fault')} passed${notRun}.`
}

function endOf(
  { context, options, judged }: Run,
  end: {
    readonly verdict: string
    readonly failedAt: number | null
    readonly failedFaults: readonly string[]
    readonly notJudged: readonly number[]
    readonly why: string
    /** By a call at the end. */
    readonly isBack: boolean
    /** Where the connection stands; null where it is back. */
    readonly stands: string | null
    readonly startedAt: number
  },
) {
  const { memory } = context
  // What was not judged is no number of the drill's: a resumed one may have seen a part of what was told.
  const isToldJudged = !end.notJudged.includes(NOTICE_STEP)
  const isSeenJudged = !end.notJudged.includes(DETECTION_STEP)
  return {
    kind: 'end',
    step: VERDICT_STEP.no,
    name: VERDICT_STEP.name,
    did: VERDICT_STEP.act,
    passOnlyIf: VERDICT_STEP.passOnlyIf,
    ...end,
    startedAt: new Date(end.startedAt).toISOString(),
    tookMs: context.clock.now() - end.startedAt,
    numbers: {
      detectMs: isSeenJudged ? detectMsOf(context) : null,
      refusedMs: isSeenJudged ? sinceRevoked(memory, memory.failedAt) : null,
      notifyMs: isToldJudged ? sinceRevoked(memory, memory.notifiedAt) : null,
      recoverMs: sinceRevoked(memory, memory.recoveredAt),
      falseHealthyMs:
        !isSeenJudged || memory.deadAt === null || memory.unhealthyAt === null
          ? null
          : Math.max(0, memory.unhealthyAt - memory.deadAt),
      refreshAttempts: isSeenJudged ? memory.refreshAttempts : null,
      duplicateNotices: isToldJudged ? memory.duplicateNotices : null,
    },
    appliedBy: memory.appliedBy,
    identity: identityText(memory.before?.identity ?? null),
    passed: [...judged.values()].filter(({ verdict }) => verdict === 'pass').length,
    records: options.evidence.records.length + 1,
  }
}

/** What ended a drill early says also where the connection stands, and how to go on. */
export function ended({ options, context }: Run, error: unknown): unknown {
  if (isRescindError(error, 'drill_refused') || isRescindError(error, 'drill_busy')) return error
  const stands = whereItStands(options.journal.about, context.memory)
  if (!mayBeDead(context.memory)) options.journal.close()
  if (context.signal?.aborted) {
    return new RescindError('stopped_by_signal', `Stopped. ${stands}`, { cause: error })
  }
  if (!isRescindError(error)) return error
  return new RescindError(error.code, `${error.message} ${stands}`, { cause: error })
}
