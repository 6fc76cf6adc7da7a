import { Command } from 'commander'
import { orThrow } from '../../connections/open-connectors/client.ts'
import {
  type CreateStep,
  createInstance,
} from '../../connections/open-connectors/create-instance.ts'
import { deleteInstance } from '../../connections/open-connectors/delete-instance.ts'
import { shownName } from '../../core/screen-text.ts'
import { type Context, withContext } from '../context.ts'
import type { Io } from '../io.ts'
import {
  type AccountOptions,
  type ConsentOptions,
  consentOf,
  idOf,
  openAccount,
  shownInstance,
  withAccountOptions,
  withConsentOptions,
} from '../open-account.ts'
import { many } from '../option-values.ts'
import { connectionTenantsOf } from '../tenants-of-client.ts'

interface CreateOptions extends AccountOptions, ConsentOptions {
  readonly name: string
  readonly tag?: readonly string[]
}

/** Makes `rescind open-connectors create`. */
export function createCommand(io: Io): Command {
  return withConsentOptions(withAccountOptions(new Command('create')))
    .argument('<element>', 'its key, as in rescind.yaml: sfdc')
    .description('make an instance: consent, code, POST')
    .requiredOption('--name <name>', 'what it is called on the platform')
    .option('--tag <word>', 'a tag, like drill-target (repeatable)', many)
    .action((element: string, options: CreateOptions) =>
      withContext(io, options, (context) => create(context, element, options)),
    )
}

/** What each step is called on the screen. */
const STEP_TITLES: Readonly<Record<CreateStep, string>> = {
  link: 'Consent URL',
  consent: 'Consent',
  instance: 'Instance',
  budget: 'Budget',
  alive: 'Alive',
}

async function create(context: Context, element: string, options: CreateOptions): Promise<void> {
  const { output, io } = context
  const { name, tag: tags = [] } = options
  const { client, means } = openAccount(context, options)
  const { fingerprint, connections } = await context.store()
  const { instance: made, budget } = await createInstance(
    {
      ...{ element, name, tags, consent: consentOf(context, means.http, options) },
      step: (step, text) => output.say(`${STEP_TITLES[step].padEnd(16)}${text}`),
      warn: output.note,
    },
    {
      ...{ http: means.http, client, fingerprint, connections, signal: io.signal },
      tenantsOf: (clientId) => connectionTenantsOf(context.config, clientId),
    },
  )
  output.result({ instance: shownInstance(made), budget })
  output.say(`Instance ${made.id} "${shownName(made.name)}" is made, and works.`)
}

interface DeleteOptions extends AccountOptions {
  readonly confirm?: boolean
}

/** Makes `rescind open-connectors delete`. */
export function deleteCommand(io: Io): Command {
  return withAccountOptions(new Command('delete'))
    .argument('<instance>', 'its id')
    .description('delete an instance and its token on the platform; a dry run without --confirm')
    .option('--confirm', 'do it')
    .action((id: string, options: DeleteOptions) =>
      withContext(io, options, (context) => remove(context, idOf(id), options)),
    )
}

async function remove(context: Context, id: number, options: DeleteOptions): Promise<void> {
  const { output, io, store } = context
  const { client } = openAccount(context, options)
  const instance = orThrow(await client.get(id, io.signal), 'show the instance')
  const what = `instance ${id} "${shownName(instance.name)}" of ${instance.elementKey ?? 'an unknown element'}`
  if (!options.confirm) {
    output.result({ instance: shownInstance(instance), deleted: false })
    output.say(`Would delete ${what}. Nothing was changed; do it with --confirm.`)
    return
  }
  await deleteInstance(id, client, io.signal)
  const { grantOwners, formerGrants } = await store()
  await grantOwners.forget(client.settings.url, id)
  for (const former of await formerGrants.list(client.settings.url, id)) {
    await formerGrants.forget(client.settings.url, id, former)
  }
  output.result({ instance: shownInstance(instance), deleted: true })
  output.say(`Deleted ${what}: it is not there any more.`)
  // No page says that the provider is told.
  output.note('Its grant may live on at the provider: end it there, where it must not.')
}
