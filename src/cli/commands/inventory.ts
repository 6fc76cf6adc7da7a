import { Command } from 'commander'
import type { Inventory } from '../../store/inventories.ts'
import { takeInventory } from '../../sweep/inventory.ts'
import { inventoryFacts } from '../../sweep/report/gather.ts'
import { type Context, openContext, type TenantOptions, withTenantOptions } from '../context.ts'
import type { Io } from '../io.ts'
import { openProgress } from '../progress.ts'

/** Makes `rescind inventory`: one snapshot of a tenant's live tokens. */
export function inventoryCommand(io: Io): Command {
  return withTenantOptions(new Command('inventory'))
    .description('take one snapshot of the live tokens, and say whether it is complete')
    .action(async (options: TenantOptions) => {
      const context = openContext(io, options)
      try {
        const inventory = await takeTenantInventory(context)
        context.output.result(inventoryResult(inventory))
        sayInventory(context, inventory)
      } finally {
        await context.close()
      }
    })
}

/** Takes the inventory of the command's tenant, with its progress on standard error. */
export async function takeTenantInventory(context: Context): Promise<Inventory> {
  const tenant = context.tenant()
  const session = await context.session(tenant)
  const { inventories } = await context.store()
  const progress = openProgress(context.io, { label: 'Reading tokens', total: 0 })
  try {
    return await takeInventory({
      tenant: tenant.name,
      provider: tenant.provider,
      session,
      inventories,
      signal: context.io.signal,
      onProgress: ({ read, of }) =>
        progress.update({ done: read, state: of === null ? '' : `of ${of} counted` }),
    })
  } finally {
    progress.end()
  }
}

/** The JSON object of `rescind inventory`. */
export function inventoryResult(inventory: Inventory) {
  const facts = inventoryFacts(inventory)
  return {
    inventory: facts.inventory,
    tenant: inventory.tenant,
    takenAt: facts.takenAt,
    counted: facts.counted,
    tokens: facts.tokens,
    complete: facts.complete,
    why: facts.why,
    users: inventory.users,
    apps: inventory.apps,
    account: inventory.account,
    notes: facts.notes,
  }
}

/** Says an inventory in words. */
export function sayInventory({ output }: Context, inventory: Inventory): void {
  const { color } = output
  const { counted } = inventory
  output.say(
    `${color.bold(inventory.id)}  ${inventory.account.name} (${inventory.account.id}), as ${inventory.account.caller.userName}`,
  )
  output.say(
    `${inventory.tokens} tokens of ${inventory.apps} apps; ${inventory.users} users known; counted ${counted.before ?? '?'} before and ${counted.after ?? '?'} after`,
  )
  const verdict =
    inventory.state === 'complete'
      ? color.green('Complete')
      : color.yellow('PARTIAL: there may be tokens that it does not show')
  output.say(`${verdict}: ${inventory.why}`)
  for (const note of inventory.notes) output.say(color.dim(`  ${note}`))
}
