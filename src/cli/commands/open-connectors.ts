import { Command, InvalidArgumentError, Option } from 'commander'
import { describeChange, GRANT_CHANGES, type GrantChange } from '../../connections/grant-change.ts'
import type { Instance } from '../../connections/open-connectors/instance.ts'
import {
  type Reauthorized,
  type ReauthorizeStep,
  reauthorizeInstance,
} from '../../connections/open-connectors/reauthorize.ts'
import type { RevokedToken } from '../../connections/open-connectors/revoke-at-provider.ts'
import { RescindError } from '../../core/errors.ts'
import { shownName } from '../../core/screen-text.ts'
import { renderTextTable } from '../../core/text-table.ts'
import type { Identity } from '../../providers/connection-way.ts'
import { type Context, withContext } from '../context.ts'
import type { Io } from '../io.ts'
import {
  type AccountOptions,
  type ConsentOptions,
  callbackCheckOf,
  consentOf,
  idOf,
  openAccount,
  shownInstance,
  withAccountOptions,
  withConsentOptions,
} from '../open-account.ts'
import { connectionTenantsOf } from '../tenants-of-client.ts'
import { createCommand, deleteCommand } from './open-connectors-instance.ts'

interface ReauthorizeOptions extends AccountOptions, ConsentOptions {
  readonly revoke?: RevokedToken
  readonly acceptChange: readonly GrantChange[]
  readonly identity?: string
}

/** Makes `rescind open-connectors create|list|reauthorize|delete`. */
export function openConnectorsCommand(io: Io): Command {
  const command = new Command('open-connectors').description(
    'instances of SAP Open Connectors or Cloud Elements',
  )
  command.addCommand(createCommand(io))
  command.addCommand(
    withAccountOptions(new Command('list'))
      .description('list all instances of the account')
      .action((options: AccountOptions) =>
        withContext(io, options, (context) => list(context, options)),
      ),
  )
  command.addCommand(
    withConsentOptions(withAccountOptions(new Command('reauthorize')))
      .argument('<instance>', 'its id')
      .description('give an instance a new grant: consent, code, PATCH, and PUT where that fails')
      .addOption(
        new Option('--revoke <token>', 'revoke this token at the provider first').choices([
          'access',
          'refresh',
        ]),
      )
      .addOption(
        new Option('--accept-change <what>', 'take a new grant although this changed (repeatable)')
          .choices(GRANT_CHANGES)
          .default([])
          .argParser(collectChange),
      )
      .option('--identity <org/user>', 'who the new grant must be of, instead of who it is of now')
      .action((id: string, options: ReauthorizeOptions) =>
        withContext(io, options, (context) => reauthorize(context, idOf(id), options)),
      ),
  )
  command.addCommand(deleteCommand(io))
  return command
}

function collectChange(value: string, before: readonly GrantChange[]): readonly GrantChange[] {
  if ((GRANT_CHANGES as readonly string[]).includes(value)) return [...before, value as GrantChange]
  throw new InvalidArgumentError(`Known: ${GRANT_CHANGES.join(', ')}.`)
}

function identityIn(text: string): Identity {
  const [, org, user] = /^([\w.-]+)\/([\w.@-]+)$/.exec(text) ?? []
  if (org !== undefined && user !== undefined) return { org, user, name: null }
  throw new RescindError(
    'usage',
    '--identity is two ids, of the organization and the user: ORG/USER',
  )
}

async function list(context: Context, options: AccountOptions): Promise<void> {
  const { output, io } = context
  const { client } = openAccount(context, options)
  const all: Instance[] = []
  for await (const instance of client.list(io.signal)) all.push(instance)
  output.result({ instances: all.map(shownInstance) })
  if (all.length === 0) return output.say('There is no instance in this account.')
  const columns = [
    { title: 'instance' },
    { title: 'element' },
    { title: 'name', elastic: true },
    { title: 'tags', elastic: true },
    { title: 'state' },
  ]
  const rows = all.map(({ id, elementKey, name, tags, disabled }) => [
    ...[String(id), elementKey ?? '', shownName(name), shownName(tags.join(' '))],
    disabled === null ? 'unknown' : disabled ? 'disabled' : 'enabled',
  ])
  output.say(renderTextTable(columns, rows, { columns: output.tableColumns }))
}

/** What each step is called on the screen. */
const STEP_TITLES: Readonly<Record<ReauthorizeStep, string>> = {
  instance: 'Instance',
  header: 'Header',
  token: 'Current tokens',
  revoke: 'Revoked',
  dead: 'Dead',
  budget: 'Budget',
  link: 'Consent URL',
  consent: 'Consent',
  enable: 'Enabled',
  apply: 'New grant',
  alive: 'Alive',
}

async function reauthorize(
  context: Context,
  instance: number,
  options: ReauthorizeOptions,
): Promise<void> {
  const { output, io } = context
  const { client, means } = openAccount(context, options)
  const store = await context.store()
  const { fingerprint, grantOwners: owners, formerGrants: formers, connections } = store
  const steps: { readonly step: ReauthorizeStep; readonly text: string }[] = []
  const done = await reauthorizeInstance(
    {
      instance,
      revoke: options.revoke ?? null,
      identity: options.identity === undefined ? null : identityIn(options.identity),
      accept: options.acceptChange,
      checkCallback: callbackCheckOf(context, options),
      consent: consentOf(context, means.http, options),
      warn: output.note,
      step(step, text) {
        steps.push({ step, text })
        output.say(`${STEP_TITLES[step].padEnd(16)}${text}`)
      },
    },
    {
      ...{ ...means, client, fingerprint, owners, formers, connections, signal: io.signal },
      tenantsOf: (clientId) => connectionTenantsOf(context.config, clientId),
    },
  )
  output.result({ ...done, steps })
  output.say(closingWords(instance, done))
}

function closingWords(asked: number, done: Reauthorized): string {
  const { instance, route, changes, idKept, elementTokenKept, sameIdentity } = done
  const name = idKept ? `Instance ${asked}` : `Instance ${asked}, whose id is ${instance} now,`
  const words = [`${name} has a new grant, by ${route}, and works.`]
  if (!idKept) words.push(`Those who name it by its id need the new one, ${instance}.`)
  words.push(
    elementTokenKept
      ? 'Its element token is the same.'
      : 'Its element token is ANOTHER one now: those who call through it need the new one.',
  )
  if (sameIdentity === true) words.push('The provider says that it is of the same person.')
  if (sameIdentity === null) words.push('Whose it is the provider was not asked, or did not say.')
  if (changes.length > 0) words.push(`Accepted: ${changes.map(describeChange).join(', ')}.`)
  return words.join(' ')
}
