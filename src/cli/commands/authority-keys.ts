import { Command } from 'commander'
import { formatCounted } from '../../core/counts.ts'
import { RescindError } from '../../core/errors.ts'
import { renderTextTable } from '../../core/text-table.ts'
import type { Core } from '../../server/core.ts'
import { type AuthorityOptions, withAuthorityOptions } from '../authority-options.ts'
import { confirmCount } from '../confirm-count.ts'
import { type Context, withContext } from '../context.ts'
import type { Io } from '../io.ts'
import { withAuthority } from '../open-authority.ts'
import { wholeNumber } from '../option-values.ts'
import { byOperator } from './client.ts'

interface RotateOptions extends AuthorityOptions {
  readonly now?: boolean
  readonly dryRun?: boolean
  readonly confirm?: number
}

/** Makes `rescind authority keys list|rotate`. */
export function keysCommand(io: Io): Command {
  const command = new Command('keys').description('the keys that sign its JWTs')
  command.addCommand(
    withAuthorityOptions(new Command('list'))
      .description('list the keys: the one that signs, the next, and those that are kept')
      .action((options: AuthorityOptions) =>
        withContext(io, options, (context) =>
          withAuthority(context, (core) => list(context, core)),
        ),
      ),
  )
  command.addCommand(
    withAuthorityOptions(new Command('rotate'))
      .description('make a new key; what the old one signed stays good')
      .option('--now', 'a key was stolen: drop all, and refuse what they signed')
      .option('--dry-run', 'with --now: count, and change nothing')
      .option(
        '--confirm <count>',
        'with --now: the count of grants, instead of typing it',
        wholeNumber,
      )
      .action((options: RotateOptions) =>
        withContext(io, options, (context) =>
          withAuthority(context, (core) => rotate(context, core, options)),
        ),
      ),
  )
  return command
}

async function list({ output }: Context, { keys }: Core): Promise<void> {
  const all = await keys.list()
  output.result({ keys: all })
  if (all.length === 0) {
    output.say('There is no key yet: the first JWT makes one.')
    return
  }
  const columns = [
    { title: 'key', elastic: true },
    { title: 'algorithm' },
    { title: 'state' },
    { title: 'signs from' },
    { title: 'kept until' },
  ]
  const rows = all.map(({ kid, alg, state, signsFrom, keptUntil }) => [
    ...[kid, alg, state, signsFrom.toISOString()],
    keptUntil?.toISOString() ?? '',
  ])
  output.say(renderTextTable(columns, rows, { columns: output.tableColumns }))
}

async function rotate(context: Context, core: Core, options: RotateOptions): Promise<void> {
  const { output, actor } = context
  if (options.now) return replace(context, core, options)
  if (options.dryRun || options.confirm !== undefined) {
    throw new RescindError(
      'usage',
      'Without --now nothing dies: leave --dry-run and --confirm out, or add --now.',
    )
  }
  const { kid, signsFrom } = await core.keys.rotate('command_line', byOperator(actor))
  output.result({ kid, signsFrom })
  output.say(`The key ${kid} is published, and signs from ${signsFrom.toISOString()}.`)
  output.say('What the old one signed stays good until it expires.')
}

/** Drops all keys: of what a thief read, one key is as bad as the other. */
async function replace(context: Context, core: Core, options: RotateOptions): Promise<void> {
  const { output, actor } = context
  const dropped = (await core.keys.list()).map(({ kid }) => kid)
  const { grants, clients } = await countJwtGrants(core)
  const keys = formatCounted(dropped.length, 'key')
  const reach = `${formatCounted(grants, 'live grant')} of ${formatCounted(clients, 'client')}`
  if (options.dryRun) {
    output.result({ dropped, counted: { grants, clients }, replaced: false })
    output.say(`This drops ${keys}, and every JWT that ${reach} got. Nothing was changed.`)
    return
  }
  await confirmCount(context, {
    sentence: `This drops ${keys}, and every JWT that ${reach} got.`,
    grants,
    given: options.confirm,
  })
  const { kid } = await core.keys.replace('command_line', byOperator(actor))
  output.result({ kid, dropped, counted: { grants, clients }, replaced: true })
  output.say(
    `Dropped ${keys}: they are in /jwks no more, and no JWT of theirs is active. ${kid} signs.`,
  )
  output.say('Grants and refresh tokens live: the next refresh brings a JWT of the new key.')
  output.say('Who verifies by a copy of /jwks believes the old keys for up to five minutes more.')
}

/** The live grants of clients whose access tokens are JWTs. */
async function countJwtGrants({ clients, revoking }: Core) {
  const holders = (await clients.list()).filter((client) => client.accessTokenFormat === 'jwt')
  const counts = []
  for (const { id } of holders) counts.push((await revoking.count({ client: id })).grants)
  const holding = counts.filter((grants) => grants > 0)
  return { grants: holding.reduce((sum, grants) => sum + grants, 0), clients: holding.length }
}
