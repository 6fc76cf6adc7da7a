import { Command } from 'commander'
import type { NoticeAside } from '../../connections/notices.ts'
import { formatCount, formatCounted } from '../../core/counts.ts'
import { RescindError } from '../../core/errors.ts'
import { formatMomentShort } from '../../core/moments.ts'
import { visible } from '../../core/screen-text.ts'
import { renderTextTable } from '../../core/text-table.ts'
import { type Context, withContext } from '../context.ts'
import type { Io } from '../io.ts'
import { openVault } from '../open-vault.ts'
import { type CommonOptions, withCommonOptions } from '../output.ts'

interface NoticeOptions extends CommonOptions {
  readonly config?: string
  readonly all?: boolean
}

/** Makes `rescind connection notices list|send-again`: what receivers did not take. */
export function connectionNoticesCommand(io: Io): Command {
  const command = new Command('notices').description('the notices that receivers did not take')
  const withOptions = (inner: Command) =>
    withCommonOptions(inner).option(
      '--config <file>',
      'the configuration (default: ./rescind.yaml, then ~/.rescind)',
    )
  command.addCommand(
    withOptions(new Command('list'))
      .description('list the notices that are set aside')
      .action((options: NoticeOptions) => withContext(io, options, list)),
  )
  command.addCommand(
    withOptions(new Command('send-again'))
      .argument('[id]', 'the notice: cev_…')
      .option('--all', 'all that are set aside')
      .description('send what is set aside again')
      .action((id: string | undefined, options: NoticeOptions) =>
        withContext(io, options, (context) => sendAgain(context, id, options)),
      ),
  )
  return command
}

async function list(context: Context): Promise<void> {
  const { output } = context
  const { notices } = await openVault(context)
  const { aside, more } = await notices.aside()
  output.result({ notices: aside.map(shown), more })
  if (aside.length === 0) {
    output.say('No notice is set aside.')
    return
  }
  const titles = ['notice', 'connection', 'type', 'when (UTC)']
  const rows = aside.map((one) => [
    ...[one.id, one.connection, one.type.replace(/^connection\./, '')],
    formatMomentShort(one.at),
  ])
  const table = renderTextTable(
    titles.map((title) => ({ title })),
    rows,
    { columns: output.tableColumns },
  )
  const [head = '', ...lines] = table.split('\n')
  output.say(head)
  // What is to be mended stands on a line of its own: beside the ids no screen has room for it.
  for (const [at, one] of aside.entries()) {
    output.say(lines[at])
    output.say(`  ${originOf(one) ?? 'not in rescind.yaml'}: ${visible(one.why ?? 'not taken')}`)
  }
  if (more > 0) output.say(`And ${formatCount(more)} more, which are younger.`)
  output.say('Send them again with: rescind connection notices send-again --all')
}

async function sendAgain(
  context: Context,
  id: string | undefined,
  { all = false }: NoticeOptions,
): Promise<void> {
  const { output } = context
  if ((id === undefined) !== all) {
    throw new RescindError('usage', 'Say which notice by its id, cev_…, or all of them by --all.')
  }
  const { notices } = await openVault(context)
  const again = await notices.takeUp(id)
  if (id !== undefined && again === 0) throw new RescindError('usage', await whyNot(id, notices))
  const sent = await notices.send()
  output.result({ again, ...sent })
  output.say(`Sent ${formatCounted(sent.sent, 'notice')}; ${again} had been set aside.`)
  const refused = sent.failed + sent.aside
  if (refused === 0) return
  const what = [
    sent.failed > 0 &&
      'What it did not refuse for good is tried again for five days by rescind serve and rescind connection watch, and what follows of the same connections waits.',
    sent.aside > 0 && `What is set aside (${sent.aside}) holds up nothing.`,
  ].filter((one) => one !== false)
  throw new RescindError(
    'webhook_refused',
    `${formatCounted(refused, 'notice was', 'notices were')} not taken: mend the receiver. ${what.join(' ')}`,
  )
}

async function whyNot(
  id: string,
  notices: { aside(): Promise<{ readonly aside: readonly NoticeAside[] }> },
): Promise<string> {
  const { aside } = await notices.aside()
  return aside.some((one) => one.id === id)
    ? `${id} is for a receiver that is not in rescind.yaml: put it back under connections.webhooks first.`
    : `No notice "${id.slice(0, 40)}" is set aside. List them: rescind connection notices list`
}

/** An address may hold a secret of its receiver's. */
function originOf({ url }: NoticeAside): string | null {
  return url === null ? null : new URL(url).origin
}

function shown({ url, at, ...notice }: NoticeAside) {
  const receiver = originOf({ url, at, ...notice })
  return { ...notice, at: new Date(at).toISOString(), receiver }
}
