import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command } from 'commander'
import { formatCount, formatCounted } from '../../core/counts.ts'
import { RescindError } from '../../core/errors.ts'
import { hangWidth, visible } from '../../core/screen-text.ts'
import { renderTextTable, type TextColumn } from '../../core/text-table.ts'
import type { Inventory } from '../../store/inventories.ts'
import type { HeldBack } from '../../store/plans.ts'
import { makePlan, type Plan } from '../../sweep/plan.ts'
import { planDocument, renderPlan } from '../../sweep/plan-file.ts'
import { type Policy, type PolicyFlags, parsePolicy, policyFromFlags } from '../../sweep/policy.ts'
import { type Context, type TenantOptions, withContext, withTenantOptions } from '../context.ts'
import type { Io } from '../io.ts'
import { many } from '../option-values.ts'
import type { Output } from '../output.ts'
import { sayInventory, takeTenantInventory } from './inventory.ts'

/** A plan is shown in words: so many kinds of kill fit on a screen. */
const SHOWN_LINES = 20

interface PlanOptions extends TenantOptions, PolicyFlags {
  readonly policy?: string
  readonly inventory?: string
  readonly includeUndecided?: boolean
  readonly out?: string
}

/** Makes `rescind plan`: the exact kills that a policy gives on an inventory. Changes nothing. */
export function planCommand(io: Io): Command {
  return withTenantOptions(new Command('plan'))
    .description('make the plan that a policy gives; nothing is changed at the provider')
    .option('--policy <file>', 'what to kill, what to spare, and a limit (YAML)')
    .option('--user-inactive', 'kill tokens of users who are not active')
    .option('--user-frozen', 'kill tokens of frozen users')
    .option('--app <name>', 'kill tokens of this app, * for any text (repeatable)', many)
    .option('--app-id <id>', 'kill tokens of the app with this id (repeatable)', many)
    .option('--unused-for <time>', 'kill tokens not used for so long: 90d')
    .option('--created-before <date>', 'only tokens created before: 2025-09-01')
    .option('--spare-app <name>', 'spare this app (repeatable)', many)
    .option('--spare-user <name>', 'spare this user (repeatable)', many)
    .option('--include-undecided', 'kill tokens that the policy cannot decide on, too')
    .option('--inventory <id>', 'plan on this inventory (default: take a new one)')
    .option('--out <file>', 'write the plan to this file, too')
    .action(async (options: PlanOptions) => {
      const policy = readPolicy(io, options)
      await withContext(io, options, (context) => plan(context, policy, options))
    })
}

async function plan(context: Context, policy: Policy, options: PlanOptions): Promise<void> {
  const { output, io } = context
  const store = await context.store()
  const inventory = await chooseInventory(context, options.inventory)
  const { includeUndecided } = options
  const made = await makePlan({ store, inventory, policy, includeUndecided, now: io.clock.now() })
  const document = planDocument(made.header, made.kills)
  output.result(document)
  if (options.out !== undefined) writePlan(resolve(io.cwd, options.out), renderPlan(document))
  // An inventory that was named has been seen; one that was taken just now has not.
  if (options.inventory === undefined) {
    sayInventory(context, inventory)
    output.say()
  }
  await sayPlan(context, made)
  if (options.out !== undefined) output.say(`Written to ${options.out}`)
  if (made.header.chosen > 0) {
    output.say()
    output.say(`Nothing was changed. Execute it with: rescind apply ${made.header.id}`)
  }
}

function readPolicy(io: Io, options: PlanOptions): Policy {
  if (options.policy === undefined) return policyFromFlags(options)
  const path = resolve(io.cwd, options.policy)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new RescindError('policy_invalid', `The policy ${options.policy} cannot be read.`, {
      cause: error,
    })
  }
  return parsePolicy(text, options.policy)
}

async function chooseInventory(context: Context, id: string | undefined): Promise<Inventory> {
  if (id === undefined) return takeTenantInventory(context)
  const { inventories } = await context.store()
  const tenant = context.tenant()
  const inventory =
    id === 'latest' ? await inventories.latest(tenant.name) : await inventories.get(id)
  if (!inventory || inventory.tenant !== tenant.name) {
    throw new RescindError(
      'inventory_unknown',
      `There is no inventory "${id}" of tenant "${tenant.name}". Take one with: rescind inventory`,
    )
  }
  if (inventory.state === 'running') {
    throw new RescindError(
      'inventory_unknown',
      `The inventory ${id} was cut off before its end. Take a new one with: rescind inventory`,
    )
  }
  return inventory
}

function writePlan(path: string, chunks: Iterable<string>): void {
  try {
    writeFileSync(path, [...chunks].join(''), { mode: 0o600 })
  } catch (error) {
    throw new RescindError('usage', `The plan cannot be written to ${path}.`, { cause: error })
  }
}

/** Says a plan in words: the four counts, the kills by reach and rule, and what is held back. */
export async function sayPlan(context: Context, { header, kills }: Plan): Promise<void> {
  const { output } = context
  const { color, columns } = output
  const store = await context.store()
  const { chosen, spared, undecided, untouched } = header
  const sum = chosen + spared + undecided + untouched
  output.say(`${color.bold(header.id)}  ${color.dim(`${header.hash.slice(0, 23)}…`)}`)
  const [kill, ...kept] = [chosen, spared, undecided, untouched].map(formatCount)
  const adding = `${kill} to kill + ${kept[0]} spared + ${kept[1]} undecided + ${kept[2]} untouched = ${formatCounted(sum, 'token')}`
  for (const line of hangWidth('', adding, columns)) output.say(color.bold(line))
  if (kills.length > 0) output.say(`\n${renderKills(kills, output)}`)
  const held = countHeldBack(await store.plans.heldBack(header))
  if (held.length > 0) output.say(color.dim(`\n${held.join('\n')}`))
  const said = new Set((await store.inventories.byNo(header.inventory.no))?.notes)
  const notes = header.notes.filter((note) => !said.has(note))
  if (notes.length > 0) output.say()
  for (const note of notes) {
    for (const line of hangWidth('! ', visible(note), columns)) output.say(color.yellow(line))
  }
}

const KILL_COLUMNS: readonly TextColumn[] = [
  { title: 'tokens', align: 'right' },
  { title: 'calls', align: 'right' },
  { title: 'how' },
  { title: 'rule', elastic: true },
]

function renderKills(kills: Plan['kills'], { color, columns }: Output): string {
  const lines = new Map<string, { how: string; rule: string; calls: number; tokens: number }>()
  for (const { reach, count, rule } of kills) {
    const how = reachInWords(reach.kind)
    const line = lines.get(how + rule) ?? { how, rule, calls: 0, tokens: 0 }
    line.calls += 1
    line.tokens += count
    lines.set(how + rule, line)
  }
  const sorted = [...lines.values()].sort((a, b) => b.tokens - a.tokens)
  const rows = sorted
    .slice(0, SHOWN_LINES)
    .map(({ tokens, calls, how, rule }) => [
      formatCount(tokens),
      formatCount(calls),
      how,
      visible(rule),
    ])
  const table = renderTextTable(KILL_COLUMNS, rows, { columns, indent: 2, paintTitle: color.dim })
  const rest = sorted.length - SHOWN_LINES
  return rest > 0 ? `${table}\n  and ${formatCounted(rest, 'more line')}` : table
}

function countHeldBack(heldBack: readonly HeldBack[]): readonly string[] {
  const reasons = new Map<string, number>()
  for (const { verdict, reason, rule } of heldBack) {
    const key = `${verdict}: ${rule}${reason === null ? '' : ` (${reason})`}`
    reasons.set(key, (reasons.get(key) ?? 0) + 1)
  }
  const lines = [...reasons].map(([key, n]) => `  ${formatCount(n).padStart(6)}  ${visible(key)}`)
  const rest = lines.length - SHOWN_LINES
  const more = rest > 0 ? [`  and ${formatCounted(rest, 'more reason')}`] : []
  return [...lines.slice(0, SHOWN_LINES), ...more]
}

function reachInWords(kind: 'token' | 'user_app' | 'app'): string {
  switch (kind) {
    case 'app':
      return 'all of an app'
    case 'user_app':
      return 'by user and app'
    case 'token':
      return 'one by one'
  }
}
