import { Command } from 'commander'
import { budgetText, evictsOldest } from '../../connections/budget.ts'
import { showLink } from '../../connections/http/shapes.ts'
import type { Invitation } from '../../connections/reauthorize.ts'
import { type Context, type TenantOptions, withContext, withTenantOptions } from '../context.ts'
import type { Io } from '../io.ts'
import { openVault } from '../open-vault.ts'
import { many } from '../option-values.ts'

interface InviteOptions extends TenantOptions {
  readonly owner: string
  readonly tag?: readonly string[]
}

/** Makes `rescind connection link`: a link at which the owner of a connection consents anew. */
export function linkCommand(io: Io): Command {
  return withTenantOptions(new Command('link'))
    .argument('<id>', 'the connection: con_…')
    .description(
      'make a link for the owner, good once and for a day; rescind serve has its callback',
    )
    .action((id: string, options: TenantOptions) =>
      withContext(io, options, async (context) => {
        const { reauthorizing } = await openVault(context)
        tellLink(context, id, await reauthorizing.link(id))
      }),
    )
}

/** Makes `rescind connection invite`: a connection that its owner's first consent fills. */
export function inviteCommand(io: Io): Command {
  return withTenantOptions(new Command('invite'))
    .description('make a connection without a grant, and the link for its owner')
    .requiredOption('--owner <name>', 'who it belongs to on our side: a customer, an account')
    .option('--tag <word>', 'a word to find it by (repeatable)', many)
    .action((options: InviteOptions) =>
      withContext(io, options, async (context) => {
        const { reauthorizing } = await openVault(context)
        const { owner, tag: tags } = options
        const { name: tenant } = context.tenant()
        const { id } = await reauthorizing.create({ tenant, owner, tags })
        const link = await reauthorizing.link(id).catch((error) => {
          const later = `Make one later: rescind connection link ${id}`
          context.output.note(`The connection ${id} is there, without a link. ${later}`)
          throw error
        })
        tellLink(context, id, link)
      }),
    )
}

/** The link is for one person: it stands alone on its line, to be copied. */
function tellLink({ output }: Context, id: string, link: Invitation): void {
  const { url, expiresAt: until, budget } = showLink(link)
  output.result({ connection: id, url, expiresAt: until, budget })
  if (link.budget && evictsOldest(link.budget) !== false) output.note(budgetText(link.budget))
  output.say(
    `Send this to the owner of ${id}, and to nobody else. It is good once, until ${until}:`,
  )
  if (!output.json) output.say(`\n${url}\n`)
}
