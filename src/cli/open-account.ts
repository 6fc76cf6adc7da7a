import type { Command } from 'commander'
import { formConsent } from '../connections/drill/consent/form.ts'
import {
  createOpenConnectorsClient,
  type OpenConnectorsClient,
} from '../connections/open-connectors/client.ts'
import type { Instance } from '../connections/open-connectors/instance.ts'
import type { ReauthorizeWish } from '../connections/open-connectors/reauthorize.ts'
import { traceLine } from '../connections/open-connectors/trace.ts'
import { tracedHttp } from '../connections/open-connectors/traced-http.ts'
import type { OpenConnectorsMeans } from '../connections/open-connectors/traced-send.ts'
import { RescindError } from '../core/errors.ts'
import type { Http } from '../core/http.ts'
import { askPerson, checkDoor } from './consent/ask-consent.ts'
import { type FieldOptions, readFormFields } from './consent/form-fields.ts'
import type { Context } from './context.ts'
import { many } from './option-values.ts'
import { type CommonOptions, withCommonOptions } from './output.ts'

/** The options of a command that works on an account of Open Connectors. */
export interface AccountOptions extends CommonOptions {
  readonly config?: string
  readonly trace?: boolean
}

/** Adds the options of a command that works on an account of Open Connectors. */
export function withAccountOptions(command: Command): Command {
  return withCommonOptions(command)
    .option('--config <file>', 'the configuration (default: ./rescind.yaml, then ~/.rescind)')
    .option('--trace', 'print each call: method, address without secrets, status, time')
}

/** How the owner of an instance consents. */
export interface ConsentOptions extends FieldOptions {
  readonly browser: boolean
}

/** Adds the options of a command for which the owner of an instance consents. */
export function withConsentOptions(command: Command): Command {
  return command
    .option(
      '--form-field <name=value>',
      'log a test user in: an input of the login (repeatable)',
      many,
    )
    .option('--form-field-env <name=VARIABLE>', 'the same, for its password (repeatable)', many)
    .option('--no-browser', 'only print the address to open')
}

/** Opens the way to the account of a command's configuration; with `--trace` every call that goes out is told. */
export function openAccount(
  { config, http: bare, io, output }: Context,
  { trace }: AccountOptions,
): { readonly client: OpenConnectorsClient; readonly means: OpenConnectorsMeans } {
  const { clock } = io
  const http = trace ? tracedHttp(bare, clock, (call) => output.note(traceLine(call))) : bare
  const means = { http, clock }
  return { client: createOpenConnectorsClient(config.openConnectors(), means), means }
}

/** A test user's forms come back to no port; a person's browser does. */
export function callbackCheckOf({ io }: Context, options: ConsentOptions) {
  return readFormFields(io, options) === undefined ? checkDoor : async () => {}
}

const FORM_ADVICE =
  'Check --form-field and --form-field-env, or leave them out: a person consents then.'

/** A test user's forms are walked without a browser; a person is shown the link. */
export function consentOf(
  context: Context,
  http: Http,
  options: ConsentOptions,
): ReauthorizeWish['consent'] {
  const fields = readFormFields(context.io, options)
  if (fields === undefined) {
    return (link) => askPerson(link, context, { mayOpenBrowser: options.browser })
  }
  const form = formConsent(http, { fields, advice: FORM_ADVICE })
  return async (link) => {
    const { callback } = await form.visit(link, 'allow', context.io.signal)
    return callback ?? { code: null, state: null, error: 'no_answer' }
  }
}

/** Reads the id of an instance. @throws RescindError `usage` */
export function idOf(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new RescindError(
    'usage',
    'The id of an instance is a number. List them with: rescind open-connectors list',
  )
}

/** An instance as `--json` shows it, without secrets. */
export function shownInstance({ id, name, elementKey, tags, disabled }: Instance) {
  return { id, name, element: elementKey, tags, disabled }
}
