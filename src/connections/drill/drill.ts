import { calmFirst, endFaults, inject } from './fault-run.ts'
import { checkGuards, refusalOf, refusedBy } from './guards.ts'
import { goOn } from './resume.ts'
import {
  type DrillEnd,
  type DrillOptions,
  faultsOf,
  guardValue,
  header,
  openRun,
  type Run,
  write,
} from './run.ts'
import { STEPS } from './steps.ts'
import { ended, finish } from './verdict.ts'
import { DISCONNECTED, walkSteps } from './walk.ts'

/**
 * Runs a drill: guards, then each step with its intent written before it, then the signed verdict.
 * A step that fails does not stop those that bring the connection back. A drill of faults that died is
 * not gone on with, nor is one whose evidence is gone: the connection is brought back, and it has failed.
 *
 * @throws RescindError `drill_refused` when a guard does not hold; `stopped_by_signal`, and what a
 * step could not go on from, with what state the connection is in
 */
export async function runDrill(options: DrillOptions): Promise<DrillEnd> {
  const run = openRun(options)
  try {
    if (options.resumed === undefined) await begin(run)
    else await goOn(run)
    if (faultsOf(options.evidence.records) !== null && options.resumed !== undefined) {
      return await endFaults(run)
    }
    if (options.injections === undefined) await walkSteps(run, STEPS)
    else await inject(run, options.injections)
    return await finish(run, run.context.memory.disconnected && DISCONNECTED)
  } catch (error) {
    throw ended(run, error)
  } finally {
    options.journal.leave()
    options.evidence.close()
  }
}

/** What is refused leaves nothing behind but its message. */
async function begin(run: Run): Promise<void> {
  const { options, context } = run
  const guards = await checkGuards(context, options.permission, 'all', async () => {
    if (options.injections !== undefined) await calmFirst(context)
  })
  const refusal = refusalOf(guards)
  if (refusal !== undefined) {
    options.journal.close()
    throw refusedBy('The drill does not begin.', refusal, 'Nothing was revoked.')
  }
  write(run, header(options))
  write(run, { kind: 'guards', guards: guards.map(guardValue) })
}
