import { Command } from 'commander'
import { formatCounted } from '../../core/counts.ts'
import { isRescindError, RescindError } from '../../core/errors.ts'
import type { Core } from '../../server/core.ts'
import type { Explanation } from '../../server/explain.ts'
import { parseReach } from '../../server/reach.ts'
import type { RevokeReach } from '../../server/revoke.ts'
import { type AuthorityOptions, withAuthorityOptions } from '../authority-options.ts'
import { confirmCount } from '../confirm-count.ts'
import { type Context, withContext } from '../context.ts'
import type { Io } from '../io.ts'
import { withAuthority } from '../open-authority.ts'
import { wholeNumber } from '../option-values.ts'
import { checkOneToken, readSecretInput } from '../secret-input.ts'
import { keysCommand } from './authority-keys.ts'
import { webhooksCommand } from './authority-webhooks.ts'
import { byOperator } from './client.ts'

interface ReachOptions extends AuthorityOptions {
  readonly user?: string
  readonly client?: string
  readonly session?: string
  readonly grant?: number
  readonly issuedBefore?: string
  readonly dryRun?: boolean
  readonly confirm?: number
}

/** Makes `rescind authority revoke|explain|keys|webhooks`. */
export function authorityCommand(io: Io): Command {
  const command = new Command('authority').description('what the authority issued')
  command.addCommand(
    withAuthorityOptions(new Command('revoke'))
      .description('revoke everything of a user, a client, both, a session, a grant, or of before')
      .option('--user <id>', 'of this user')
      .option('--client <id>', 'of this client')
      .option('--session <id>', 'of this session')
      .option('--grant <id>', 'this grant', wholeNumber)
      .option('--issued-before <moment>', 'granted before: 2025-08-08 or 2025-08-08T12:00:00Z')
      .option('--dry-run', 'count, and change nothing')
      .option('--confirm <count>', 'the count of grants, instead of typing it', wholeNumber)
      .action((options: ReachOptions) =>
        withContext(io, options, (context) =>
          withAuthority(context, (core) => revoke(context, core, options)),
        ),
      ),
  )
  command.addCommand(
    withAuthorityOptions(new Command('explain'))
      .argument(
        '<fingerprint>',
        'as an event names a token: fp_…; or - for the token itself, on standard input',
      )
      .description('say why a token is dead: by which cascade, whom and which request')
      .action((fingerprint: string, options: AuthorityOptions) =>
        withContext(io, options, (context) =>
          withAuthority(context, (core) => explain(context, core, fingerprint)),
        ),
      ),
  )
  command.addCommand(keysCommand(io))
  command.addCommand(webhooksCommand(io))
  return command
}

async function revoke(context: Context, core: Core, options: ReachOptions): Promise<void> {
  const { output, actor, io } = context
  const reach = reachOf(options, io.clock.now())
  const words = wordsOf(options)
  await checkClient(core, options.client)
  const counted = await core.revoking.count(reach)
  const counts = `${formatCounted(counted.grants, 'live grant')} with ${formatCounted(counted.tokens, 'live token')}`
  if (options.dryRun) {
    output.result({ reach: words, counted, revoked: false })
    output.say(`This reaches ${counts} of ${words}. Nothing was changed.`)
    return
  }
  await confirmCount(context, {
    sentence: `This revokes ${counts} of ${words}.`,
    grants: counted.grants,
    given: options.confirm,
  })
  const revoked = await core.revoking.reach(reach, 'command_line', byOperator(actor))
  output.result({ reach: words, counted, revoked })
  if (!revoked) {
    output.say(`There is no ${words}: none was started, or all of it is dead and forgotten.`)
    return
  }
  output.say(
    counted.grants === 0
      ? `Nothing of ${words} was alive. What had begun to be issued is dead as well; what begins from now on lives.`
      : `Revoked ${counts} of ${words}. None of them is active from now on.`,
  )
}

/** Who mistypes a client must not hear that nothing of it is alive. @throws RescindError `client_unknown` */
async function checkClient({ clients }: Core, id: string | undefined): Promise<void> {
  if (id === undefined || (await clients.get(id))) return
  throw new RescindError('client_unknown', `There is no client "${id}". List them first.`)
}

/** @throws RescindError `usage` when nothing was named, or what does not go together */
function reachOf(options: ReachOptions, now: number): RevokeReach {
  const { user, client, session, grant, issuedBefore } = options
  const named = { user, client, session, grant, issuedBefore: momentOf(issuedBefore) }
  const given = Object.entries(named).filter(([, value]) => value !== undefined)
  try {
    return parseReach(Object.fromEntries(given), now)
  } catch (error) {
    if (!isRescindError(error, 'usage')) throw error
    // Here the key is an option.
    throw new RescindError('usage', error.message.replaceAll('issuedBefore', '--issued-before'))
  }
}

function momentOf(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  const isIso = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
  const moment = isIso ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(moment)) return new Date(moment)
  throw new RescindError(
    'usage',
    'The --issued-before is no moment. Write it like 2025-08-08, or 2025-08-08T12:00:00Z.',
  )
}

function wordsOf({ user, client, session, grant, issuedBefore }: ReachOptions): string {
  const words = [
    ...(user === undefined ? [] : [`user ${user}`]),
    ...(client === undefined ? [] : [`client ${client}`]),
    ...(session === undefined ? [] : [`session ${session}`]),
    ...(grant === undefined ? [] : [`grant ${grant}`]),
  ].join(' at ')
  if (issuedBefore === undefined) return words
  return `${words || 'everything'} granted before ${issuedBefore}`
}

async function explain({ output, io }: Context, core: Core, named: string): Promise<void> {
  const isToken = named === '-'
  if (!isToken && !/^fp_[0-9a-f]{24}$/.test(named)) {
    throw new RescindError(
      'usage',
      'That is no fingerprint of a token: fp_ and 24 hex digits, as events have it. A token itself is never given as an argument: write - and give it on standard input.',
    )
  }
  const explanation = await core.explain(
    isToken ? checkOneToken(await readSecretInput(io, 'token')).reveal() : named,
  )
  if (!explanation) {
    const which = isToken
      ? 'It is no token of this authority'
      : `No token has the fingerprint ${named}`
    throw new RescindError(
      'usage',
      `${which}: none was issued, or it has expired and is forgotten.`,
    )
  }
  output.result(explanation)
  for (const line of linesOf(explanation)) output.say(line)
}

function linesOf(explanation: Explanation): readonly string[] {
  const { fingerprint, kind, state, at, cascade, clientId, userId, sessionId, grantId } =
    explanation
  const { cause, actor, request, eventId } = explanation
  const when = at === null ? '' : ` since ${at.toISOString()}`
  const whose = [
    `client ${clientId}`,
    ...(userId === null ? [] : [`user ${userId}`]),
    ...(sessionId === null ? [] : [`session ${sessionId}`]),
    `grant ${grantId}`,
  ].join(', ')
  const asked = [
    ...(cause === null ? [] : [`cause ${cause}`]),
    ...(actor === null ? [] : [`by ${actor}`]),
    ...(request === null ? [] : [`request ${request}`]),
    ...(eventId === null ? [] : [`event ${eventId}`]),
  ].join(', ')
  const head = `${fingerprint}, ${kind} token, is ${state}${when}.`
  return [head, cascade, whose, ...(asked === '' ? [] : [asked])]
}
