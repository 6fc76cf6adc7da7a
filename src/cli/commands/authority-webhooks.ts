import { Command } from 'commander'
import { formatCounted } from '../../core/counts.ts'
import { RescindError } from '../../core/errors.ts'
import { renderTextTable } from '../../core/text-table.ts'
import type { WebhookAside, WebhookDesk, WebhookStatus } from '../../server/webhook-desk.ts'
import { openWebhookDesk } from '../../server/webhooks.ts'
import { type AuthorityOptions, withAuthorityOptions } from '../authority-options.ts'
import { type Context, withContext } from '../context.ts'
import type { Io } from '../io.ts'
import { withAuthority } from '../open-authority.ts'
import { positiveNumber } from '../option-values.ts'

/** Makes `rescind authority webhooks list|send-again|enable`. */
export function webhooksCommand(io: Io): Command {
  const command = new Command('webhooks').description('the receivers of its events')
  const run = (
    options: AuthorityOptions,
    work: (context: Context, desk: WebhookDesk) => Promise<void>,
  ): Promise<void> =>
    withContext(io, options, (context) =>
      withAuthority(context, async (core, { webhooks }) => {
        const desk = openWebhookDesk(core, webhooks)
        try {
          await work(context, desk)
        } finally {
          await desk.close()
        }
      }),
    )
  const number = 'its number in the list, which is its place in rescind.yaml'
  command.addCommand(
    withAuthorityOptions(new Command('list'))
      .description('list the receivers, and the events that each would not take')
      .action((options: AuthorityOptions) => run(options, list)),
  )
  command.addCommand(
    withAuthorityOptions(new Command('send-again'))
      .argument('<number>', number, positiveNumber)
      .description('send what was set aside for a receiver again')
      .action((nth: number, options: AuthorityOptions) =>
        run(options, (context, desk) => sendAgain(context, desk, nth)),
      ),
  )
  command.addCommand(
    withAuthorityOptions(new Command('enable'))
      .argument('<number>', number, positiveNumber)
      .description('try a receiver that is disabled or fails again, from where it stopped')
      .action((nth: number, options: AuthorityOptions) =>
        run(options, (context, desk) => enable(context, desk, nth)),
      ),
  )
  return command
}

async function list({ output }: Context, desk: WebhookDesk): Promise<void> {
  const all = await desk.status()
  output.result({ webhooks: all.map(shown) })
  if (all.length === 0) {
    output.say('There is no webhook. rescind.yaml names them, under authority.webhooks.')
    return
  }
  const columns = [
    { title: 'number', align: 'right' as const },
    { title: 'receiver', elastic: true },
    { title: 'state' },
    { title: 'failures', align: 'right' as const },
    { title: 'set aside', align: 'right' as const },
  ]
  const rows = all.map(({ url, state, failures, aside }, nth) => [
    ...[String(nth + 1), new URL(url).origin, state],
    ...[String(failures), String(aside.length)],
  ])
  output.say(renderTextTable(columns, rows, { columns: output.tableColumns }))
  for (const [nth, { aside }] of all.entries()) {
    for (const one of aside) output.say(`${nth + 1}: ${lineOf(one)}`)
  }
}

async function sendAgain({ output }: Context, desk: WebhookDesk, nth: number): Promise<void> {
  const { url } = await chosen(desk, nth)
  const { taken, left } = await desk.sendAgain(url)
  output.result({ webhook: nth, taken, left })
  output.say(`The receiver took ${formatCounted(taken.length, 'event')}.`)
  for (const one of left) output.say(lineOf(one))
  if (left.length === 0) return
  throw new RescindError(
    'webhook_refused',
    `${formatCounted(left.length, 'event is', 'events are')} still set aside for ${new URL(url).origin}. Mend the receiver, or let it answer 200 to what it does not want, and send again.`,
  )
}

async function enable({ output }: Context, desk: WebhookDesk, nth: number): Promise<void> {
  const { url } = await chosen(desk, nth)
  await desk.enable(url)
  output.result({ webhook: nth, state: 'delivering' })
  output.say(`The receiver ${new URL(url).origin} is tried again, from where it stopped.`)
}

/** @throws RescindError `usage` */
async function chosen(desk: WebhookDesk, nth: number): Promise<WebhookStatus> {
  const all = await desk.status()
  const webhook = all[nth - 1]
  if (webhook) return webhook
  throw new RescindError(
    'usage',
    `There is no webhook ${nth}: rescind.yaml has ${all.length}. See: rescind authority webhooks list`,
  )
}

/** An address may hold a secret of its receiver's. */
function shown({ url, ...status }: WebhookStatus, nth: number) {
  return { number: nth + 1, origin: new URL(url).origin, ...status }
}

function lineOf({ id, type, at, tries, why }: WebhookAside): string {
  return `${id} ${type}, set aside ${at.toISOString()} after ${formatCounted(tries, 'try', 'tries')}: ${why}`
}
