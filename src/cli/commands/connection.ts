import { Command } from 'commander'
import { type Budget, budgetText, countText, isSpent } from '../../connections/budget.ts'
import type { Cause, Connection, ConnectionState } from '../../connections/connection.ts'
import type { Disconnected } from '../../connections/disconnect.ts'
import type { Checked } from '../../connections/health.ts'
import { formatCounted } from '../../core/counts.ts'
import { EXIT, isRescindError, RescindError } from '../../core/errors.ts'
import { formatDuration } from '../../core/moments.ts'
import { shownName, visible } from '../../core/screen-text.ts'
import type { Secret } from '../../core/secret.ts'
import { renderTextTable } from '../../core/text-table.ts'
import type { Identity } from '../../providers/connection-way.ts'
import { notAskedText, toAskText, whatToDo } from '../connection-advice.ts'
import { type Context, type TenantOptions, withContext, withTenantOptions } from '../context.ts'
import type { Io } from '../io.ts'
import { checkTenants, type OpenVault, openVault } from '../open-vault.ts'
import { many } from '../option-values.ts'
import { EXIT_GRACE_MS } from '../process-io.ts'
import { checkOneToken, readNamedSecret, readSecretInput } from '../secret-input.ts'
import { connectionKeyCommand } from './connection-keys.ts'
import { inviteCommand, linkCommand } from './connection-link.ts'
import { connectionNoticesCommand } from './connection-notices.ts'

const STATES: readonly ConnectionState[] = [
  ...(['connected', 'degraded', 'reconnect_needed'] as const),
  ...(['reconnecting', 'disabled', 'revoked'] as const),
]
/** Of the history, what fits a screen. */
const EVENTS_SHOWN = 20

interface AddOptions extends TenantOptions {
  readonly owner: string
  readonly tag?: readonly string[]
  readonly refreshTokenEnv?: string
  readonly refreshTokenFile?: string
  readonly accessTokenEnv?: string
  readonly accessTokenFile?: string
}

interface ListOptions extends TenantOptions {
  readonly owner?: string
  readonly state?: string
  readonly tag?: string
}

interface TagOptions extends TenantOptions {
  readonly remove?: boolean
}

type Work = (context: Context, vault: OpenVault) => Promise<void>

/** Makes `rescind connection add|list|show|check|watch|tag|disconnect|enable|disable`, and the groups below it. */
export function connectionCommand(io: Io): Command {
  const command = new Command('connection').description(
    'OAuth connections that are kept and healed',
  )
  const run = (options: TenantOptions, work: Work): Promise<void> =>
    withContext(io, options, (context) => stoppable(context, work))
  const one = (name: string, description: string, work: (id: string) => Work) =>
    withTenantOptions(new Command(name))
      .argument('<id>', 'the connection: con_…')
      .description(description)
      .action((id: string, options: TenantOptions) => run(options, work(id)))
  command.addCommand(
    addingOptions(withTenantOptions(new Command('add')))
      .description('keep a connection, from its refresh token on standard input')
      .action((options: AddOptions) => run(options, (c, open) => add(c, open, options))),
  )
  command.addCommand(
    withTenantOptions(new Command('list'))
      .description('list the connections')
      .option('--owner <name>', 'of this owner alone')
      .option('--state <state>', `in this state alone: ${STATES.join(', ')}`)
      .option('--tag <word>', 'with this tag alone')
      .action((options: ListOptions) => run(options, (c, open) => list(c, open, options))),
  )
  command.addCommand(one('show', 'show a connection and its history', show))
  command.addCommand(
    withTenantOptions(new Command('check'))
      .argument('[id]', 'the connection; without it, all that are not disabled or disconnected')
      .description('make a real call to the provider, and say how the connection is')
      .action((id: string | undefined, options: TenantOptions) =>
        run(options, id === undefined ? checkAll : check(id)),
      ),
  )
  command.addCommand(
    withTenantOptions(new Command('watch'))
      .description('check the connections again and again, and tell the receivers')
      .action((options: TenantOptions) =>
        withContext(io, options, async (context) => {
          checkTenants(context, options.acceptRisk)
          await stoppable(context, watch)
        }),
      ),
  )
  command.addCommand(
    one('disconnect', 'revoke a connection at the provider, and end it here', disconnect),
  )
  command.addCommand(one('enable', 'use a connection again', setEnabled(true)))
  command.addCommand(
    one('disable', 'use a connection no more, until it is enabled', setEnabled(false)),
  )
  command.addCommand(
    withTenantOptions(new Command('tag'))
      .argument('<id>', 'the connection: con_…')
      .argument('<tag>', 'a word to find it by: drill-target')
      .description('give a connection a tag')
      .option('--remove', 'take the tag away')
      .action((id: string, word: string, options: TagOptions) =>
        run(options, tag(id, word, !options.remove)),
      ),
  )
  command.addCommand(inviteCommand(io))
  command.addCommand(linkCommand(io))
  command.addCommand(connectionKeyCommand(io))
  command.addCommand(connectionNoticesCommand(io))
  return command
}

/** Does some work on the connections; a person who stops it is told what is waited for. */
async function stoppable(context: Context, work: Work): Promise<void> {
  const { signal } = context.io
  const open = await openVault(context)
  const onStop = () => {
    if (open.vault.underWay.isBusy()) context.output.note(STOPPING)
  }
  signal.addEventListener('abort', onStop, { once: true })
  try {
    await work(context, open)
  } catch (error) {
    if (!signal.aborted || !isRescindError(error, 'store_closed')) throw error
    throw new RescindError('stopped_by_signal', STOPPED, { cause: error })
  } finally {
    signal.removeEventListener('abort', onStop)
  }
}

const STOPPING = `Stopping. What is under way at a provider is waited for, ${formatDuration(EXIT_GRACE_MS)} at most. A second Ctrl-C ends it at once, and may lose a token.`
const STOPPED =
  'Stopped before the provider said how it is. Nothing more was begun there, and what it gave is stored.'

function addingOptions(command: Command): Command {
  return command
    .requiredOption('--owner <name>', 'who it belongs to on our side: a customer, an account')
    .option('--tag <word>', 'a word to find it by (repeatable)', many)
    .option('--refresh-token-env <name>', 'the environment variable of its refresh token')
    .option('--refresh-token-file <path>', 'the file of its refresh token')
    .option('--access-token-env <name>', 'the environment variable of its access token')
    .option('--access-token-file <path>', 'the file of its access token')
}

async function add(context: Context, open: OpenVault, options: AddOptions): Promise<void> {
  const { io, output } = context
  const tenant = context.tenant()
  // What is wrong in the configuration is said before a token is asked for.
  open.parts.tenantOf(tenant.name)
  const { accessToken, refreshToken } = await readTokens(io, options)
  const { owner, tag } = options
  const { id } = await open.vault.create({
    ...{ tenant: tenant.name, owner, tags: tag, accessToken, refreshToken },
  })
  const { connection } = await open.health.check(id)
  output.result({ connection })
  output.say(`Added ${id}, of ${shownName(owner)}.`)
  tell(context, connection)
  if (connection.state === 'connected') return
  io.exitCode = EXIT.notProven
  output.say(whatToDo(connection))
}

async function readTokens(io: Io, options: AddOptions) {
  const read = (kind: 'refresh' | 'access') => {
    const source = { env: options[`${kind}TokenEnv`], file: options[`${kind}TokenFile`] }
    const what = `${kind} token (--${kind}-token-file or --${kind}-token-env)`
    return readNamedSecret(io, source, what)
  }
  const [refresh, access] = [await read('refresh'), await read('access')]
  const checked = (token: Secret | undefined) => (token ? checkOneToken(token) : null)
  if (refresh || access) return { refreshToken: checked(refresh), accessToken: checked(access) }
  const given = await readSecretInput(io, 'refresh token')
  return { refreshToken: checkOneToken(given), accessToken: null }
}

async function list(context: Context, { vault }: OpenVault, options: ListOptions): Promise<void> {
  const { output } = context
  const { owner, tag, state } = options
  if (state !== undefined && !(STATES as readonly string[]).includes(state)) {
    throw new RescindError('usage', `There is no such --state. Known: ${STATES.join(', ')}.`)
  }
  const filter = {
    owner,
    tag,
    tenant: options.tenant,
    states: state === undefined ? state : [state],
  }
  const connections: Connection[] = []
  for await (const connection of vault.list(filter)) connections.push(connection)
  output.result({ connections })
  if (connections.length === 0) {
    output.say((await hasAny(vault)) ? NONE_FITS : NONE_YET)
    return
  }
  const columns = [
    { title: 'connection' },
    ...[{ title: 'owner', elastic: true }, { title: 'tenant', elastic: true }, { title: 'state' }],
    { title: 'why', elastic: true },
  ]
  const rows = connections.map(({ id, owner, tenant, state, cause }) => [
    ...[id, shownName(owner), tenant, state],
    cause === null ? '' : cause.code,
  ])
  output.say(renderTextTable(columns, rows, { columns: output.tableColumns }))
}

const NONE_YET = 'There is no connection yet. Add one with: rescind connection add --owner NAME'
const NONE_FITS =
  'No connection fits what was asked for. List them all with: rescind connection list'

async function hasAny(vault: OpenVault['vault']): Promise<boolean> {
  for await (const _ of vault.list()) return true
  return false
}

const show =
  (id: string): Work =>
  async (context, { vault }) => {
    const { output } = context
    const connection = await vault.get(id)
    const events = await vault.events(id)
    const budget = await vault.budget(id)
    const replaced = await vault.replaced(id)
    output.result({ connection, events, budget, replaced })
    const { owner, tenant, provider, tags, scopes, identity, version } = connection
    output.say(`${output.color.bold(id)}  ${shownName(owner)}, at ${tenant} (${provider})`)
    tell(context, connection)
    if (tags.length > 0) output.say(`tags      ${tags.join(' ')}`)
    output.say(`scopes    ${scopes.join(' ') || 'not known'}`)
    output.say(`identity  ${identity ? whoIs(identity) : 'not known'}`)
    output.say(
      `tokens    version ${version}, access ${connection.accessFingerprint ?? 'none'}, refresh ${connection.refreshFingerprint ?? 'none'}`,
    )
    if (budget)
      output.say(
        `budget    ${countText(budget)} live tokens of this user and app${budget.complete ? '' : ': the provider did not count them'}`,
      )
    if (replaced > 0)
      output.say(
        `older     ${formatCounted(replaced, 'token')} of replaced or refused grants may live at the provider: disconnect revokes them too`,
      )
    for (const { at, type, cause } of events.slice(-EVENTS_SHOWN)) {
      output.say(
        `${new Date(at).toISOString()}  ${type.padEnd(24)} ${cause ? visible(cause.text) : ''}`,
      )
    }
  }

const check =
  (id: string): Work =>
  async (context, { health, notices, vault }) => {
    const { connection, probe, isAsked } = await health.check(id)
    await notices.send()
    // A connection that is not used any more may be of a tenant that is gone.
    const budget = probe && (await vault.budget(id))
    context.output.result({ connection, asked: isAsked, probe, budget })
    if (budget && isSpent(budget)) context.output.note(budgetText(budget))
    context.output.say(context.output.color.bold(id))
    tell(context, connection)
    if (!isAsked) context.output.say(`${notAskedText(connection)} ${toAskText(connection)}`.trim())
    if (connection.state !== 'connected') context.io.exitCode = EXIT.notProven
  }

const checkAll: Work = async (context, { watch, notices, vault }) => {
  const { io, output } = context
  const connections: Connection[] = []
  const counted = new Set<string>()
  const budgets: (Budget & { readonly connection: string })[] = []
  const found = await watch.all({
    signal: io.signal,
    async tell({ connection, probe, isAsked }) {
      const { id, tenant, identity } = connection
      connections.push(connection)
      output.say(isAsked ? lineOf(connection) : `${lineOf(connection)} ${notAskedText(connection)}`)
      const whose = JSON.stringify([tenant, identity?.org, identity?.user])
      // All connections of one user and app have one budget.
      if (!probe || identity === null || counted.has(whose)) return
      counted.add(whose)
      const budget = await vault.budget(id)
      if (budget === null) return
      budgets.push({ connection: id, ...budget })
      if (isSpent(budget)) output.note(`${id}: ${budgetText(budget)}`)
    },
  })
  const sent = await notices.send()
  output.result({ ...found, connections, budgets, notices: sent })
  const counts = Object.entries(found.states).map(([state, count]) => `${count} ${state}`)
  output.say(
    `Checked ${formatCounted(found.checked, 'connection')}${counts.length === 0 ? '' : `: ${counts.join(', ')}`}.`,
  )
  for (const { id, why } of found.failed) output.say(`${id}: ${why}`)
  if (io.signal.aborted) throw new RescindError('stopped_by_signal', STOPPED_EARLY)
  const isWell = found.checked === (found.states.connected ?? 0) && found.failed.length === 0
  if (!isWell) io.exitCode = EXIT.notProven
}

const STOPPED_EARLY = 'Stopped: those that are not listed were not checked.'

const watch: Work = async (context, open) => {
  const { io, output } = context
  output.note('Watching the connections. Ctrl-C ends it.')
  const tellOne = (one: Checked) => tellChange(context, one)
  const tellFailed = ({ message }: RescindError) => output.note(visible(message))
  await open.watch.run({ signal: io.signal, tell: tellOne, tellFailed }, async () => {
    await open.notices.send()
  })
}

const disconnect =
  (id: string): Work =>
  async ({ output, io }, { vault, notices }) => {
    const done = await vault.disconnect(id)
    await notices.send()
    output.result(done)
    output.say(
      `Disconnected ${id}. Revoked at the provider: ${done.revokedAtProvider} (${visible(done.why)}).`,
    )
    if (done.mayLive) {
      io.exitCode = EXIT.notProven
      output.say(`Its grant may live on. ${await whatLeft(done, vault)}`)
    }
  }

async function whatLeft(
  { connection, leftAlone }: Disconnected,
  vault: OpenVault['vault'],
): Promise<string> {
  const { id, accessFingerprint, refreshFingerprint } = connection
  const isHeld = accessFingerprint !== null || refreshFingerprint !== null
  if (!isHeld && (await vault.replaced(id)) === 0) return 'End it at the provider.'
  return leftAlone ? END_OTHERS : TRY_AGAIN
}

const TRY_AGAIN =
  'Run the command again to try it again: the token is kept, sealed, until the provider says yes. Or end the grant at the provider.'
const END_OTHERS =
  'Run the command again once no connection lives that it could take along: those of the same app that are of the same person, or of whom nobody knows the person. Until then that changes nothing; the token is kept, sealed. Or end the grant at the provider, which may end those too.'

const tag =
  (id: string, word: string, isOn: boolean): Work =>
  async ({ output }, { vault }) => {
    const connection = await vault.setTag(id, word, isOn)
    output.result({ connection })
    output.say(`${id} is tagged ${connection.tags.join(', ') || 'with nothing'}.`)
  }

const setEnabled =
  (isEnabled: boolean) =>
  (id: string): Work =>
  async (context, { vault, notices }) => {
    const connection = await (isEnabled ? vault.enable(id) : vault.disable(id))
    await notices.send()
    context.output.result({ connection })
    context.output.say(context.output.color.bold(id))
    tell(context, connection)
  }

/** The name of whom a grant is of, and the id where that says more. */
function whoIs({ user, org, name }: Identity): string {
  const shown = name === null || name === user ? user : `${shownName(name)} (${user})`
  return `${shown}, ${org}`
}

function tellChange({ output }: Context, { connection }: Checked): void {
  output.note(lineOf(connection))
}

function lineOf({ id, owner, state, cause }: Connection): string {
  return `${id}  ${shownName(owner)}: ${state}${cause ? `. ${causeText(cause)}` : ''}`
}

function tell({ output }: Context, { state, cause }: Connection): void {
  const color = state === 'connected' ? output.color.green : output.color.yellow
  output.say(`state     ${color(state)}`)
  if (cause) output.say(`why       ${causeText(cause)}`)
}

function causeText({ code, confidence, text }: Cause): string {
  return `${visible(text)} [${code}, ${confidence}]`
}
