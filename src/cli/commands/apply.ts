import { readFileSync } from 'node:fs'
import { isAbsolute, resolve } from 'node:path'
import { isCancel, text } from '@clack/prompts'
import { Command } from 'commander'
import { EXIT, type ExitCode, RescindError } from '../../core/errors.ts'
import { VERSION } from '../../core/version.ts'
import type { PlanHeader } from '../../store/plans.ts'
import type { Run } from '../../store/run-states.ts'
import { applyPlan, lookAgain, resumeRun } from '../../sweep/apply.ts'
import type { ApplyOptions, SweepEvent } from '../../sweep/engine.ts'
import { parsePlan } from '../../sweep/plan-file.ts'
import { durationMs } from '../../sweep/policy.ts'
import { gatherReport } from '../../sweep/report/gather.ts'
import { renderTerminal } from '../../sweep/report/terminal.ts'
import { summarizeRun } from '../../sweep/summary.ts'
import { type Context, type TenantOptions, withContext, withTenantOptions } from '../context.ts'
import type { Io } from '../io.ts'
import { positiveNumber, wholeNumber } from '../option-values.ts'
import { openProgress } from '../progress.ts'
import { sayPlan } from './plan.ts'

/** Apps that mint by themselves do so within seconds; a person's click takes longer and needs `verify`. */
const SECOND_LOOK_DEFAULT = '30s'

interface ExecuteOptions extends TenantOptions {
  readonly confirm?: number
  readonly concurrency?: number
  readonly secondLook: string
}

/** Makes `rescind apply`: executes a plan, and proves what it did. */
export function applyCommand(io: Io): Command {
  return executing(new Command('apply'))
    .argument('<plan>', 'the plan: its id, or its file')
    .description('execute a plan: kill, verify with a fresh inventory, look again')
    .option(
      '--confirm <count>',
      'the count of tokens that the plan kills, instead of typing it',
      wholeNumber,
    )
    .action(async (plan: string, options: ExecuteOptions) => {
      await withContext(io, options, (context) => apply(context, plan, options))
    })
}

/** Makes `rescind resume`: goes on with a run that was stopped or cut off. */
export function resumeCommand(io: Io): Command {
  return executing(new Command('resume'))
    .argument('[run]', 'the run (default: the one that is not finished)')
    .description('go on with a run: what is in doubt is looked at before it is sent again')
    .action(async (run: string | undefined, options: ExecuteOptions) => {
      await withContext(io, options, async (context) => {
        const found = await findRun(context, run, 'unfinished', options.tenant)
        await execute(
          context,
          options,
          found.tenant,
          (means) => resumeRun(means, found),
          () => found.id,
        )
      })
    })
}

/** Makes `rescind verify`: looks again at a run, and sends nothing. */
export function verifyCommand(io: Io): Command {
  return withTenantOptions(new Command('verify'))
    .argument('[run]', 'the run (default: the newest)')
    .description('take a fresh inventory and judge a run by it; nothing is sent')
    .action(async (run: string | undefined, options: TenantOptions) => {
      await withContext(io, options, async (context) => {
        const found = await findRun(context, run, 'any', options.tenant)
        const look = (means: ApplyOptions) => lookAgain(means, found)
        await execute(
          context,
          { ...options, secondLook: 'none' },
          found.tenant,
          look,
          () => found.id,
        )
      })
    })
}

function executing(command: Command): Command {
  return withTenantOptions(command)
    .option(
      '--second-look <time>',
      'how long to wait before looking for apps that came back; none',
      SECOND_LOOK_DEFAULT,
    )
    .option(
      '--concurrency <n>',
      'kills at once, at most (the pace finds its own below)',
      positiveNumber,
    )
}

async function apply(context: Context, name: string, options: ExecuteOptions): Promise<void> {
  const plan = await findPlan(context, name)
  const tenant = context.tenant(options.tenant ?? plan.tenant)
  if (plan.tenant !== tenant.name) {
    throw new RescindError(
      'plan_other_tenant',
      `The plan ${plan.id} is for tenant "${plan.tenant}", and this is "${tenant.name}". Nothing was sent.`,
    )
  }
  await confirm(context, plan, options.confirm)
  const { runs } = await context.store()
  await execute(
    context,
    options,
    tenant.name,
    (means) => applyPlan(means, plan),
    async () => (await runs.ofPlan(plan))?.id,
  )
}

async function findPlan(context: Context, name: string): Promise<PlanHeader> {
  const { plans } = await context.store()
  const byId = await plans.get(name)
  if (byId) return byId
  const path = isAbsolute(name) ? name : resolve(context.io.cwd, name)
  let content: string
  try {
    content = readFileSync(path, 'utf8')
  } catch (error) {
    throw new RescindError(
      'plan_unknown',
      `There is no plan "${name}" in this store, and no file of that name. Make one with: rescind plan`,
      { cause: error },
    )
  }
  const document = parsePlan(content, name)
  const stored = await plans.get(document.plan)
  if (!stored) {
    throw new RescindError(
      'plan_unknown',
      `The plan ${document.plan} of ${name} was made with another store, which holds the handles. Apply it there, or make a new one here.`,
    )
  }
  if (stored.hash !== document.hash) {
    throw new RescindError(
      'plan_altered',
      `${name} is not the plan ${stored.id} of this store: their hashes differ. A plan is never edited; make a new one with: rescind plan`,
    )
  }
  return stored
}

/** What destroys takes a confirmation bound to its count. */
async function confirm(
  context: Context,
  plan: PlanHeader,
  given: number | undefined,
): Promise<void> {
  const { output, io } = context
  if (given === undefined) {
    if (!io.stdin.isTTY || output.json) {
      throw new RescindError(
        'confirmation_missing',
        `The plan ${plan.id} kills ${plan.chosen} tokens of ${plan.account.name}. Confirm with: --confirm ${plan.chosen}`,
      )
    }
    await sayPlan(context, { header: plan, kills: await (await context.store()).plans.kills(plan) })
    const typed = await text({
      message: `This kills ${plan.chosen} tokens of ${plan.account.name} (${plan.account.url}). Type the count to go on:`,
    })
    if (isCancel(typed))
      throw new RescindError('confirmation_missing', 'Not confirmed. Nothing was sent.')
    // People type the count as they see it: 2,757.
    const digits = String(typed).replace(/[\s,.'’_]/g, '')
    given = /^\d+$/.test(digits) ? Number(digits) : Number.NaN
  }
  if (given !== plan.chosen) {
    throw new RescindError(
      'confirmation_wrong',
      `The plan ${plan.id} kills ${plan.chosen} tokens, which is not the count that was confirmed. Nothing was sent.`,
    )
  }
}

async function findRun(
  context: Context,
  id: string | undefined,
  which: 'any' | 'unfinished',
  tenant: string | undefined,
): Promise<Run> {
  if (tenant !== undefined) context.tenant(tenant)
  const { runs } = await context.store()
  if (id === undefined) return chooseRun(await runs.list(tenant), which)
  const run = await runs.get(id)
  if (!run) {
    const message = `There is no run "${id}" in this store. List them with: rescind runs`
    throw new RescindError('run_unknown', message)
  }
  if (tenant !== undefined && run.tenant !== tenant) {
    const message = `${id} is a run of tenant "${run.tenant}", and this is "${tenant}". Nothing was sent.`
    throw new RescindError('plan_other_tenant', message)
  }
  if (which === 'unfinished' && run.state === 'finished') {
    const message = `${id} is finished. Look at it again with: rescind verify ${id}`
    throw new RescindError('run_unknown', message)
  }
  return run
}

/** Without a name: the newest to look at, and the only one to resume. */
function chooseRun(all: readonly Run[], which: 'any' | 'unfinished'): Run {
  const runs = which === 'any' ? all.slice(0, 1) : all.filter(({ state }) => state !== 'finished')
  const [run, ...more] = runs
  if (!run) {
    const message = which === 'any' ? 'There is no run yet.' : 'There is no run to resume.'
    throw new RescindError('run_unknown', `${message} List them with: rescind runs`)
  }
  if (more.length > 0) {
    const names = runs.map(({ id, tenant }) => `${id} (${tenant})`).join(', ')
    throw new RescindError('usage', `Several runs can be resumed. Name one: ${names}.`)
  }
  return run
}

type Work = (means: ApplyOptions) => Promise<Run>

/** Runs the work, prints what came of it whatever happened, and sets the exit code. */
async function execute(
  context: Context,
  options: Omit<ExecuteOptions, 'confirm'>,
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
