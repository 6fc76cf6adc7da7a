import { RescindError } from '../../core/errors.ts'
import type { DrillContext } from './context.ts'
import { type Injection, runInjection } from './inject.ts'
import { attempt, bringBack, calm } from './injections/row.ts'
import { injectionsOf } from './injections.ts'
import { grantsBeforeFault, revokeOrphans } from './live-grants.ts'
import { isWell } from './look.ts'
import { type DrillEnd, faultsOf, type Run, write } from './run.ts'
import { step } from './step.ts'
import { hygieneAfterFaults } from './steps/after.ts'
import { STEPS } from './steps.ts'
import { finish } from './verdict.ts'
import { walkSteps, whySkipped } from './walk.ts'

/** Takes away what a drill that died left on; where the emulator cannot be reached, a guard says so. */
export async function calmFirst({ lab }: DrillContext): Promise<void> {
  if (lab !== null) await attempt(() => calm(lab))
}

/** Steps 0 to 2, then each fault by itself, then the count of what is left. */
export async function inject(run: Run, injections: readonly Injection[]): Promise<void> {
  await walkSteps(
    run,
    STEPS.filter(({ no }) => no <= 2),
  )
  for (const injection of injections) {
    const { name, how, mustEnd } = injection
    const startedAt = run.context.clock.now()
    run.context.signal?.throwIfAborted()
    const why = whySkipped(run, 3) ?? whyHurt(run)
    write(run, { kind: 'intent', inject: name, will: how })
    const skipped = { seen: {}, judgement: { verdict: 'skipped', why: why ?? '' } as const }
    const { seen, judgement } = why === undefined ? await injectOne(run, injection) : skipped
    if (judgement.verdict === 'fail') run.failedFaults.add(name)
    write(run, {
      ...{ kind: 'inject', inject: name, did: how, passOnlyIf: mustEnd },
      ...{ verdict: judgement.verdict, why: judgement.why },
      startedAt: new Date(startedAt).toISOString(),
      tookMs: run.context.clock.now() - startedAt,
      evidence: seen,
    })
  }
  await walkSteps(run, [step(hygieneAfterFaults)])
}

/** A fault may kill the connection: that is on the disk before it is injected, and until a call goes well. */
async function injectOne({ context }: Run, injection: Injection) {
  const { memory, clock } = context
  const there = await grantsBeforeFault(context)
  memory.hurt = { fault: injection.name, at: clock.now() }
  context.save()
  const { seen, judgement } = await runInjection(injection, context)
  const leaves = judgement.verdict === 'skipped' ? 0 : injection.leaves(context.rules.traits)
  const isBack = await isWell(context)
  const orphansRevoked = isBack ? await revokeOrphans(context, { there, leaves }) : 0
  memory.leftByFaults = (memory.leftByFaults ?? 0) + leaves - orphansRevoked
  if (isBack) memory.hurt = null
  context.save()
  return { seen: { ...seen, orphansRevoked }, judgement }
}

/** What is in force when a process dies cannot be judged by the next: it brings the connection back alone. */
export async function endFaults(run: Run): Promise<DrillEnd> {
  const { options, context } = run
  const { memory, lab } = context
  const { records } = options.evidence
  if (lab === null) throw new RescindError('drill_refused', 'Faults take emulators.')
  await calm(lab)
  if (memory.hurt !== null && !memory.disconnected) {
    await bringBack(context, lab)
    if (await isWell(context)) {
      const [hurt] = injectionsOf([memory.hurt.fault])
      await revokeOrphans(context, { there: null, leaves: hurt?.leaves(context.rules.traits) ?? 0 })
      memory.hurt = null
    }
    context.save()
  }
  const of = (kind: string) =>
    records.filter((one) => one.kind === kind && one.inject !== undefined).map((one) => one.inject)
  const [begun, judged] = [of('intent'), of('inject')]
  const left = (faultsOf(records) ?? []).filter((name) => !judged.includes(name))
  for (const { name, how, mustEnd } of left.length === 0 ? [] : injectionsOf(left)) {
    const why = begun.includes(name)
      ? 'The drill died before it was judged.'
      : 'Not run: the drill died before it.'
    write(run, {
      ...{ kind: 'inject', inject: name, did: how, passOnlyIf: mustEnd, verdict: 'skipped', why },
      ...{ startedAt: new Date(context.clock.now()).toISOString(), tookMs: 0, evidence: {} },
    })
  }
  return finish(run, 'The drill died: what was left of its faults was not run.')
}

function whyHurt({ context }: Run): string | undefined {
  const { hurt } = context.memory
  return hurt ? `The fault ${hurt.fault} left the connection dead.` : undefined
}
