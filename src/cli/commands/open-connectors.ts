import { Command, InvalidArgumentError, Option } from 'commander'
import { formConsent } from '../../connections/drill/consent/form.ts'
import { describeChange, GRANT_CHANGES, type GrantChange } from '../../connections/grant-change.ts'
import {
  createOpenConnectorsClient,
  type OpenConnectorsClient,
} from '../../connections/open-connectors/client.ts'
import type { Instance } from '../../connections/open-connectors/instance.ts'
import {
  type Reauthorized,
  type ReauthorizeStep,
  type ReauthorizeWish,
  reauthorizeInstance,
} from '../../connections/open-connectors/reauthorize.ts'
import type { RevokedToken } from '../../connections/open-connectors/revoke-at-provider.ts'
import { traceLine } from '../../connections/open-connectors/trace.ts'
import type { OpenConnectorsMeans } from '../../connections/open-connectors/traced-send.ts'
import { connectionTenant } from '../../connections/vault-parts.ts'
import { RescindError } from '../../core/errors.ts'
import { shownName } from '../../core/screen-text.ts'
import { renderTextTable } from '../../core/text-table.ts'
import type { Identity } from '../../providers/connection-way.ts'
import { askPerson } from '../consent/ask-consent.ts'
import { type FieldOptions, readFormFields } from '../consent/form-fields.ts'
import { type Context, withContext } from '../context.ts'
import type { Io } from '../io.ts'
import { many } from '../option-values.ts'
import { type CommonOptions, withCommonOptions } from '../output.ts'
import { tenantsOfClient } from '../tenants-of-client.ts'

interface OpenConnectorsOptions extends CommonOptions {
  readonly config?: string
  readonly trace?: boolean
}

interface ReauthorizeOptions extends OpenConnectorsOptions, FieldOptions {
  readonly revoke?: RevokedToken
  readonly acceptChange: readonly GrantChange[]
  readonly identity?: string
  readonly browser: boolean
}

/** Makes `rescind open-connectors list|reauthorize`. */
export function openConnectorsCommand(io: Io): Command {
  const command = new Command('open-connectors').description(
    'instances of SAP Open Connectors or Cloud Elements',
  )
  const withOptions = (inner: Command) =>
    withCommonOptions(inner)
      .option('--config <file>', 'the configuration (default: ./rescind.yaml, then ~/.rescind)')
      .option('--trace', 'print each call: method, address without secrets, status, time')
  command.addCommand(
    withOptions(new Command('list'))
      .description('list all instances of the account')
      .action((options: OpenConnectorsOptions) =>
        withContext(io, options, (context) => list(context, options)),
      ),
  )
  command.addCommand(
    withOptions(new Command('reauthorize'))
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
      .option(
        '--form-field <name=value>',
        'log a test user in: an input of the login (repeatable)',
        many,
      )
      .option('--form-field-env <name=VARIABLE>', 'the same, for its password (repeatable)', many)
      .option('--no-browser', 'only print the address to open')
      .action((id: string, options: ReauthorizeOptions) =>
        withContext(io, options, (context) => reauthorize(context, idOf(id), options)),
      ),
  )
  return command
}

function collectChange(value: string, before: readonly GrantChange[]): readonly GrantChange[] {
  if ((GRANT_CHANGES as readonly string[]).includes(value)) return [...before, value as GrantChange]
  throw new InvalidArgumentError(`Known: ${GRANT_CHANGES.join(', ')}.`)
}

function idOf(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new RescindError(
    'usage',
    'The id of an instance is a number. List them with: rescind open-connectors list',
  )
}

function identityIn(text: string): Identity {
  const [, org, user] = /^([\w.-]+)\/([\w.@-]+)$/.exec(text) ?? []
  if (org !== undefined && user !== undefined) return { org, user, name: null }
  throw new RescindError(
    'usage',
    '--identity is two ids, of the organization and the user: ORG/USER',
  )
}

function openClient(
  { config, http, io, output }: Context,
  { trace }: OpenConnectorsOptions,
): { readonly client: OpenConnectorsClient; readonly means: OpenConnectorsMeans } {
  const tell = trace
    ? { trace: (call: Parameters<typeof traceLine>[0]) => output.note(traceLine(call)) }
    : {}
  const means = { http, clock: io.clock, ...tell }
  return { client: createOpenConnectorsClient(config.openConnectors(), means), means }
}

async function list(context: Context, options: OpenConnectorsOptions): Promise<void> {
  const { output, io } = context
  const { client } = openClient(context, options)
  const all: Instance[] = []
  for await (const instance of client.list(io.signal)) all.push(instance)
  output.result({ instances: all.map(shown) })
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
  output.say(renderTextTable(columns, rows, { columns: output.columns }))
}

function shown({ id, name, elementKey, tags, disabled }: Instance) {
  return { id, name, element: elementKey, tags, disabled }
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
  const { client, means } = openClient(context, options)
  const { fingerprint, grantOwners: owners, connections } = await context.store()
  const steps: { readonly step: ReauthorizeStep; readonly text: string }[] = []
  const done = await reauthorizeInstance(
    {
      instance,
      revoke: options.revoke ?? null,
      identity: options.identity === undefined ? null : identityIn(options.identity),
      accept: options.acceptChange,
      consent: consentOf(context, options),
      warn: output.note,
      step(step, text) {
        steps.push({ step, text })
        output.say(`${STEP_TITLES[step].padEnd(16)}${text}`)
      },
    },
    {
      ...{ ...means, client, fingerprint, owners, connections, signal: io.signal },
      tenantsOf: (clientId) => tenantsOfClient(context.config, clientId).map(connectionTenant),
    },
  )
  output.result({ ...done, steps })
  output.say(closingWords(done))
}

/** A test user's forms are walked without a browser; a person is shown the link. */
function consentOf(context: Context, options: ReauthorizeOptions): ReauthorizeWish['consent'] {
  const fields = readFormFields(context.io, options)
  if (fields === undefined) {
    return (link) => askPerson(link, context, { mayOpenBrowser: options.browser })
  }
  const form = formConsent(context.http, { fields })
  return async (link) => {
    const { callback } = await form.visit(link, 'allow', context.io.signal)
    return callback ?? { code: null, state: null, error: 'no_answer' }
  }
}

function closingWords({ instance, route, changes, elementTokenKept }: Reauthorized): string {
  const kept = elementTokenKept
    ? 'Its element token is the same.'
    : 'Its element token is ANOTHER one now: those who call through it need the new one.'
  const changed =
    changes.length === 0 ? '' : ` Accepted: ${changes.map(describeChange).join(', ')}.`
  return `Instance ${instance} has a new grant, by ${route}, and works. ${kept}${changed}`
}
