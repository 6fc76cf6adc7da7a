import { randomBytes } from 'node:crypto'
import { Command } from 'commander'
import { RescindError } from '../../core/errors.ts'
import { shownName } from '../../core/screen-text.ts'
import { Secret } from '../../core/secret.ts'
import { renderTextTable } from '../../core/text-table.ts'
import { type Context, withContext } from '../context.ts'
import type { Io } from '../io.ts'
import { type CommonOptions, withCommonOptions } from '../output.ts'

/** 256 bits: a key is kept as its SHA-256, and cannot be guessed from that. */
const KEY_BYTES = 32
const KEY_PREFIX = 'rsk_'

interface KeyOptions extends CommonOptions {
  readonly config?: string
}

/** Makes `rescind connection key add|list|remove`: the keys of the HTTP API. */
export function connectionKeyCommand(io: Io): Command {
  const command = new Command('key').description('the keys of the HTTP API of connections')
  const withOptions = (inner: Command) =>
    withCommonOptions(inner).option(
      '--config <file>',
      'the configuration (default: ./rescind.yaml, then ~/.rescind)',
    )
  command.addCommand(
    withOptions(new Command('add'))
      .argument('<name>', 'what it is for: billing, support')
      .description('make a key; it is printed once')
      .action((name: string, options: KeyOptions) =>
        withContext(io, options, (context) => add(context, name)),
      ),
  )
  command.addCommand(
    withOptions(new Command('list'))
      .description('list the keys')
      .action((options: KeyOptions) => withContext(io, options, list)),
  )
  command.addCommand(
    withOptions(new Command('remove'))
      .argument('<id>', 'the key: key_…')
      .description('refuse a key from now on')
      .action((id: string, options: KeyOptions) =>
        withContext(io, options, (context) => remove(context, id)),
      ),
  )
  return command
}

async function add(context: Context, name: string): Promise<void> {
  const { output } = context
  if (name.trim() === '')
    throw new RescindError('usage', 'The name is empty: say what the key is for.')
  const { connections } = await context.store()
  const key = new Secret(KEY_PREFIX + randomBytes(KEY_BYTES).toString('base64url'))
  const { id } = await connections.addApiKey(key, name)
  output.result({ id, name, key: key.reveal() })
  output.say(`Added the key ${id} (${shownName(name)}).`)
  if (!output.json) output.say(`It is not shown again:\n\n  ${key.reveal()}`)
}

async function list({ output, store }: Context): Promise<void> {
  const { connections } = await store()
  const keys = await connections.listApiKeys()
  output.result({ keys })
  if (keys.length === 0) {
    output.say('There is no key yet. Add one with: rescind connection key add NAME')
    return
  }
  const columns = [
    { title: 'key' },
    { title: 'name', elastic: true },
    { title: 'made' },
    { title: 'state' },
  ]
  const rows = keys.map(({ id, name, createdAt, revokedAt }) => [
    ...[id, shownName(name), new Date(createdAt).toISOString()],
    revokedAt === null ? 'good' : 'removed',
  ])
  output.say(renderTextTable(columns, rows, { columns: output.tableColumns }))
}

async function remove({ output, store }: Context, id: string): Promise<void> {
  const { connections } = await store()
  if (!(await connections.revokeApiKey(id))) {
    throw new RescindError(
      'usage',
      `There is no good key "${id.slice(0, 40)}". List them with: rescind connection key list`,
    )
  }
  output.result({ id, removed: true })
  output.say(`The key ${id} is refused from now on.`)
}
