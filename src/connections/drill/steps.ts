import { type Step, step } from './step.ts'
import { hygieneStep, newStep, oldStep, recoveryStep } from './steps/after.ts'
import { baselineStep, controlStep, snapshotStep } from './steps/before.ts'
import { detectionStep, noticeStep, stormStep } from './steps/notice.ts'
import { applyStep, consentStep, enableStep, linkStep } from './steps/reconnect.ts'
import { proofStep, revokeStep } from './steps/revoke.ts'

/** The steps of a drill, in order. Step 16, the verdict, is the runner's: it signs the end. */
export const STEPS: readonly Step[] = [
  step(snapshotStep),
  step(baselineStep),
  step(controlStep),
  step(revokeStep),
  step(proofStep),
  step(detectionStep),
  step(stormStep),
  step(noticeStep),
  step(linkStep),
  step(consentStep),
  step(enableStep),
  step(applyStep),
  step(newStep),
  step(oldStep),
  step(recoveryStep),
  step(hygieneStep),
]

/** The step that judges all others. */
export const VERDICT_STEP = {
  no: 16,
  name: 'Verdict',
  act: 'Judge all steps, and sign.',
  passOnlyIf: 'No step and no fault failed.',
} as const
