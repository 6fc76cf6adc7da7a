import { EXIT, type ExitCode, RescindError } from '../core/errors.ts'
import { VERSION } from '../core/version.ts'
import type { Run } from '../store/run-states.ts'
import type { ApplyOptions, SweepEvent } from '../sweep/engine.ts'
import { durationMs } from '../sweep/policy.ts'
import { gatherReport } from '../sweep/report/gather.ts'
import { renderTerminal } from '../sweep/report/terminal.ts'
import { summarizeRun } from '../sweep/summary.ts'
import type { Context } from './context.ts'
import { openProgress } from './progress.ts'

/** How a run is executed. */
export interface ExecuteOptions {
  readonly concurrency?: number
  /** A length of time, or `none`. */
  readonly secondLook: string
}

type Work = (means: ApplyOptions) => Promise<Run>

/** Runs the work, prints what came of it whatever happened, and sets the exit code. */
export async function execute(
  context: Context,
  options: ExecuteOptions,
  tenantName: string,
  work: Work,
  runId: () => string | undefined | Promise<string | undefined>,
): Promise<void> {
  const { io } = context
  const tenant = context.tenant(tenantName)
  const secondLookMs = readSecondLook(options.secondLook)
  const session = await context.session(tenant)
  const store = await context.store()
  const { residualMs } = context.provider(tenant).supports
  const show = progressOf(context)
  let failure: { readonly error: unknown } | undefined
  try {
    await work({
      store,
      session,
      provider: tenant.provider,
      tenant: tenant.name,
      actor: context.actor,
      clock: io.clock,
      random: io.random,
      signal: io.signal,
      tell: show.tell,
      concurrencyMax: options.concurrency,
      secondLookMs,
      residualMs,
    })
  } catch (error) {
    failure = { error }
  }
  show.end()
  try {
    const id = await runId()
    if (id !== undefined && !isRefusal(failure?.error)) await conclude(context, id)
  } catch (error) {
    // What stopped the run comes first; a report that fails after it says the same.
    failure ??= { error }
  }
  if (failure) throw failure.error
}

/** A refusal says nothing of a run: the one that there may be is another's. */
function isRefusal(error: unknown): boolean {
  return error instanceof RescindError && error.exitCode === EXIT.planRefused
}

function readSecondLook(value: string): number | undefined {
  if (value === 'none') return undefined
  const seconds = /^(\d+)s$/.exec(value)?.[1]
  if (seconds !== undefined) return Number(seconds) * 1000
  if (/^\d+[mhd]$/.test(value)) return durationMs(value)
  throw new RescindError(
    'usage',
    `--second-look takes a time like 30s, 5m or none, not "${value}".`,
  )
}

/** Shows what happens on standard error: one line on a terminal, JSON lines elsewhere. */
function progressOf({ io }: Context) {
  const progress = openProgress(io, { label: 'Killing', total: null })
  let part = ''
  let startedAt = 0
  const tell = (event: SweepEvent): void => {
    if (event.event === 'note') {
      const byWhom = event.kind === 'started' || event.kind === 'resumed'
      progress.say(event.kind, byWhom ? `by ${event.text}` : event.text)
      return
    }
    const { phase, done, outcomes, limit } = event
    // A provider's count may leave out what else it lists: sessions.
    const total = event.total === null ? null : Math.max(event.total, done)
    // The canary, the rest, and each look are parts of their own, with a rate of their own.
    if (part !== `${phase} ${event.total}`) startedAt = io.clock.now()
    part = `${phase} ${event.total}`
    const seconds = (io.clock.now() - startedAt) / 1000
    const rate = seconds < RATE_AFTER_S ? undefined : done / seconds
    const left = total === null ? 0 : Math.max(0, total - done)
    progress.update({
      label: PHASES[phase],
      done,
      total,
      failed: (outcomes.failed ?? 0) + (outcomes.in_doubt ?? 0) + (outcomes.refused ?? 0),
      rate,
      etaMs: rate ? (left / rate) * 1000 : null,
      limit: limit || undefined,
    })
  }
  return { tell, end: () => progress.end() }
}

const PHASES = { kill: 'Killing', verify: 'Verifying', inventory: 'Reading tokens' } as const
/** Over a shorter time a rate says nothing. */
const RATE_AFTER_S = 0.5

function exitCodeOf(state: Run['state'], allDead: boolean): ExitCode {
  if (allDead) return EXIT.ok
  return state === 'stopped' ? EXIT.stopped : EXIT.notProven
}

/** Prints a run, and sets the exit code where nothing worse was thrown. */
async function conclude(context: Context, id: string): Promise<void> {
  const { output, io } = context
  const store = await context.store()
  const run = await store.runs.get(id)
  if (!run) return
  const summary = await summarizeRun(store, run)
  output.result(summary)
  const model = await gatherReport(store, run, { clock: io.clock, version: VERSION })
  output.say(renderTerminal(model, { columns: output.columns, color: output.color }).trimEnd())
  io.exitCode = exitCodeOf(run.state, summary.dead === summary.planned)
  if (run.state === 'finished') {
    output.say(`\nFor the auditor: rescind report ${id} --html report.html`)
  }
}
