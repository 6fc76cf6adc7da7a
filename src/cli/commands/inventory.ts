import { Command } from 'commander'
import { formatCount, formatCounted } from '../../core/counts.ts'
import { hangWidth, shownName, visible } from '../../core/screen-text.ts'
import type { Inventory } from '../../store/inventories.ts'
import { takeInventory } from '../../sweep/inventory.ts'
import { inventoryFacts } from '../../sweep/report/gather.ts'
import { type Context, type TenantOptions, withContext, withTenantOptions } from '../context.ts'
import type { Io } from '../io.ts'
import { openProgress } from '../progress.ts'

/** Makes `rescind inventory`: one snapshot of a tenant's live tokens. */
export function inventoryCommand(io: Io): Command {
  return withTenantOptions(new Command('inventory'))
    .description('take one snapshot of the live tokens, and say whether it is complete')
    .action(async (options: TenantOptions) => {
      await withContext(io, options, async (context) => {
        const inventory = await takeTenantInventory(context)
        context.output.result(inventoryResult(inventory))
        sayInventory(context, inventory)
      })
    })
}

/** Takes the inventory of the command's tenant, with its progress on standard error. */
export async function takeTenantInventory(context: Context): Promise<Inventory> {
  const tenant = context.tenant()
  const session = await context.session(tenant)
  const { inventories } = await context.store()
  const progress = openProgress(context.io, { label: 'Reading tokens', total: null })
  try {
    return await takeInventory({
      tenant: tenant.name,
      provider: tenant.provider,
      session,
      inventories,
      signal: context.io.signal,
      onProgress: ({ read, of }) =>
        progress.update({ done: read, total: of === null ? null : Math.max(of, read) }),
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
  const { color, columns } = output
  const { account, counted } = inventory
  const about = `${shownName(account.name)} (${account.id}), as ${shownName(account.caller.userName)}`
  const [first, ...more] = hangWidth(`${inventory.id}  `, about, columns)
  output.say(first?.replace(inventory.id, color.bold(inventory.id)))
  for (const line of more) output.say(line)
  const tokens = formatCounted(inventory.tokens, 'live token')
  const owners = `${formatCounted(inventory.apps, 'app')} and ${formatCounted(inventory.users, 'user')}`
  const counts = `counted ${countedOf(counted.before)} before and ${countedOf(counted.after)} after`
  for (const line of hangWidth('', `${tokens} of ${owners}; ${counts}`, columns)) output.say(line)
  const complete = inventory.state === 'complete'
  const verdict = complete
    ? `Complete: ${inventory.why}.`
    : `PARTIAL, so that there may be tokens that it does not show: ${inventory.why}.`
  const [sign, paint] = complete ? ['✓ ', color.green] : ['! ', color.yellow]
  for (const line of hangWidth(sign, visible(verdict), columns)) output.say(paint(line))
  for (const note of inventory.notes) {
    for (const line of hangWidth('  ', visible(note), columns)) output.say(color.dim(line))
  }
}

function countedOf(count: number | null): string {
  return count === null ? 'an unknown number' : formatCount(count)
}
