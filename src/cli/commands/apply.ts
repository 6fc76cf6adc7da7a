import { readFileSync } from 'node:fs'
import { isAbsolute, resolve } from 'node:path'
import { isCancel, text } from '@clack/prompts'
import { Command } from 'commander'
import { formatCounted } from '../../core/counts.ts'
import { RescindError } from '../../core/errors.ts'
import type { PlanHeader } from '../../store/plans.ts'
import { applyPlan, lookAgain, resumeRun } from '../../sweep/apply.ts'
import type { ApplyOptions } from '../../sweep/engine.ts'
import { parsePlan } from '../../sweep/plan-file.ts'
import { findRun } from '../choose-run.ts'
import { type Context, type TenantOptions, withContext, withTenantOptions } from '../context.ts'
import { type ExecuteOptions, execute } from '../execute-run.ts'
import type { Io } from '../io.ts'
import { positiveNumber, wholeNumber } from '../option-values.ts'
import { sayPlan } from './plan.ts'

/** Apps that mint by themselves do so within seconds; a person's click takes longer and needs `verify`. */
const SECOND_LOOK_DEFAULT = '30s'

interface RunOptions extends TenantOptions, ExecuteOptions {
  readonly confirm?: number
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
    .action(async (plan: string, options: RunOptions) => {
      await withContext(io, options, (context) => apply(context, plan, options))
    })
}

/** Makes `rescind resume`: goes on with a run that was stopped or cut off. */
export function resumeCommand(io: Io): Command {
  return executing(new Command('resume'))
    .argument('[run]', 'the run (default: the one that is not finished)')
    .description('go on with a run: what is in doubt is looked at before it is sent again')
    .action(async (run: string | undefined, options: RunOptions) => {
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

async function apply(context: Context, name: string, options: RunOptions): Promise<void> {
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
  const tokens = formatCounted(plan.chosen, 'token')
  if (given === undefined) {
    if (!io.stdin.isTTY || output.json) {
      throw new RescindError(
        'confirmation_missing',
        `The plan ${plan.id} kills ${tokens} of ${plan.account.name}. Confirm with: --confirm ${plan.chosen}`,
      )
    }
    await sayPlan(context, { header: plan, kills: await (await context.store()).plans.kills(plan) })
    const typed = await text({
      message: `This kills ${tokens} of ${plan.account.name} (${plan.account.url}). Type the count to go on:`,
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
      `The plan ${plan.id} kills ${tokens}, which is not the count that was confirmed. Nothing was sent.`,
    )
  }
}
