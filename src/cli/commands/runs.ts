import { Command } from 'commander'
import { RescindError } from '../../core/errors.ts'
import { VERSION } from '../../core/version.ts'
import { planDocument } from '../../sweep/plan-file.ts'
import { gatherReport } from '../../sweep/report/gather.ts'
import { renderJson } from '../../sweep/report/json.ts'
import { renderTerminal } from '../../sweep/report/terminal.ts'
import { summarizeRun } from '../../sweep/summary.ts'
import { type Context, type TenantOptions, withContext, withTenantOptions } from '../context.ts'
import type { Io } from '../io.ts'
import { inventoryResult, sayInventory } from './inventory.ts'
import { sayPlan } from './plan.ts'

/** Makes `rescind runs`: the runs of this store, newest first. */
export function runsCommand(io: Io): Command {
  return withTenantOptions(new Command('runs'))
    .description('list the runs, newest first')
    .action(async (options: TenantOptions) => {
      await withContext(io, options, (context) => listRuns(context, options.tenant))
    })
}

async function listRuns(context: Context, tenant: string | undefined): Promise<void> {
  const { output } = context
  const store = await context.store()
  const summaries = []
  for (const run of await store.runs.list(tenant)) summaries.push(await summarizeRun(store, run))
  output.result({ runs: summaries })
  if (summaries.length === 0) output.say('There is no run yet.')
  for (const { run, tenant, state, startedAt, planned, dead, alive, unknown } of summaries) {
    const counts = `${dead} of ${planned} dead, ${alive} alive, ${unknown} unknown`
    output.say(
      `${run}  ${startedAt.slice(0, 19)}Z  ${tenant.padEnd(14)} ${state.padEnd(9)} ${counts}`,
    )
  }
}

/** Makes `rescind show`: an inventory, a plan or a run, by its id. */
export function showCommand(io: Io): Command {
  return withTenantOptions(new Command('show'))
    .argument('<id>', 'the id of an inventory, a plan or a run')
    .description('show an inventory, a plan or a run')
    .action(async (id: string, options: TenantOptions) => {
      await withContext(io, options, (context) => show(context, id))
    })
}

async function show(context: Context, id: string): Promise<void> {
  const { output, io } = context
  const store = await context.store()
  const inventory = await store.inventories.get(id)
  if (inventory) {
    output.result(inventoryResult(inventory))
    return sayInventory(context, inventory)
  }
  const header = await store.plans.get(id)
  if (header) {
    const kills = await store.plans.kills(header)
    const heldBack = await store.plans.heldBack(header)
    output.result({ ...planDocument(header, kills), heldBack })
    return sayPlan(context, { header, kills })
  }
  const run = await store.runs.get(id)
  if (!run) {
    throw new RescindError(
      'run_unknown',
      `There is no inventory, plan or run "${id}" in this store. List the runs with: rescind runs`,
    )
  }
  const model = await gatherReport(store, run, { clock: io.clock, version: VERSION })
  output.result(renderJson(model))
  output.say(renderTerminal(model, { columns: output.columns, color: output.color }).trimEnd())
}
