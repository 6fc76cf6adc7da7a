import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command } from 'commander'
import type {
  OpenConnectorsAccount,
  OpenConnectorsOptions,
  SalesforceOptions,
  SalesforceOrg,
} from '../../../emulators/index.ts'
import { RescindError } from '../../core/errors.ts'
import { accountConfig, writeEmulatedConfig } from '../emulated-config.ts'
import type { Io } from '../io.ts'
import { positiveNumber, wholeNumber } from '../option-values.ts'
import { type CommonOptions, type Output, openOutput, withCommonOptions } from '../output.ts'

interface EmulateOptions extends CommonOptions {
  readonly port: number
  readonly seed: number
  readonly latency: number
  readonly options?: string
}

interface OrgOptions extends EmulateOptions {
  readonly users: number
  readonly apps: number
  readonly tokens: number
  readonly drill?: string
}

interface AccountOptions extends EmulateOptions {
  readonly salesforce?: string
  readonly timeScale: number
  readonly retry: number
}

/** Makes `rescind emulate`: providers and platforms on this machine to try everything on. */
export function emulateCommand(io: Io): Command {
  const command = new Command('emulate').description('start an emulated provider on this machine')
  const salesforce = withEmulateOptions(new Command('salesforce'), 'org')
    .description('an emulated Salesforce org, with its quirks, caps and faults')
    .option('--users <n>', 'users', wholeNumber, 900)
    .option('--apps <n>', 'apps', wholeNumber, 40)
    .option('--tokens <n>', 'tokens, up to 1,000,000', wholeNumber, 12_000)
    .option('--drill <folder>', 'write a rescind.yaml there, and a grant to drill')
    .action((options: OrgOptions) => emulateOrg(io, options))
  const openConnectors = withEmulateOptions(new Command('open-connectors'), 'account')
    .description(
      'an emulated account of SAP Open Connectors, whose instances connect to an emulated org',
    )
    .option('--salesforce <url>', 'an emulated org that runs already; else one is started with it')
    .option('--retry <ms>', 'between two attempts of a failed refresh', wholeNumber, 10_000)
    .option('--time-scale <n>', 'how many times as fast its clock runs', positiveNumber, 1)
    .action((options: AccountOptions) => emulateAccount(io, options))
  return command.addCommand(salesforce).addCommand(openConnectors)
}

function withEmulateOptions(command: Command, what: 'org' | 'account'): Command {
  return withCommonOptions(command)
    .option('--port <n>', 'the port; 0 for any', wholeNumber, 0)
    .option('--seed <n>', `the same seed gives the same ${what}`, wholeNumber, 1)
    .option('--latency <ms>', 'added to every answer', wholeNumber, 0)
    .option('--options <file>', 'more options as JSON: switches, faults')
}

async function emulateOrg(io: Io, options: OrgOptions): Promise<void> {
  const { startSalesforce } = await loadEmulators()
  const output = openOutput(io, options)
  const { port, seed, users, apps, tokens, latency } = options
  const more = readOptions<SalesforceOptions>(options.options)
  const org = await begin(() =>
    startSalesforce({ port, seed, size: { users, apps, tokens }, latencyMs: latency, ...more }),
  )
  try {
    await serveOrg(io, output, { org, options })
  } finally {
    await org.close()
  }
}

interface ServedOrg {
  readonly org: SalesforceOrg
  readonly options: OrgOptions
}

async function serveOrg(io: Io, output: Output, { org, options }: ServedOrg): Promise<void> {
  const { url, organizationId, credentials } = org
  const folder = options.drill === undefined ? undefined : resolve(io.cwd, options.drill)
  if (folder !== undefined) writeEmulatedConfig(folder, org)
  output.result({ url, organizationId, credentials, ...(folder && { drill: folder }) })
  output.say(
    `An emulated Salesforce org listens on ${url} (org ${organizationId}, seed ${options.seed}).`,
  )
  output.say('Its credentials are made up, and good for this org alone.')
  output.say()
  if (folder === undefined) sayWayOfSweep(output, org)
  else sayWayOfDrill(output, folder)
  await untilStopped(io, output)
}

function sayWayOfSweep(output: Output, { url, credentials }: SalesforceOrg): void {
  output.say(`  export RESCIND_EMULATED_SECRET=${credentials.integration.clientSecret}`)
  output.say(`  rescind tenant add emulated --url ${url} --login client_credentials \\`)
  output.say(`    --set clientId=${credentials.integration.clientId} \\`)
  output.say("    --set 'clientSecret=${env:RESCIND_EMULATED_SECRET}'")
  output.say('  rescind inventory --tenant emulated')
  output.say('  rescind plan --tenant emulated --user-inactive --app "Drift*"')
  output.say()
  output.say('Start it with --drill FOLDER to drill a connection of it.')
}

function sayWayOfDrill(output: Output, folder: string): void {
  const sayAdd = (tenant: string, file: string) => {
    output.say(`  rescind connection add --tenant ${tenant} --owner acme --tag drill-target \\`)
    output.say(`    --refresh-token-file ${file}`)
  }
  output.say('A rescind.yaml for it, and its secrets in files, are written. In another terminal:')
  output.say()
  output.say(`  cd ${shellWord(folder)}`)
  sayAdd('emulated', 'refresh-token')
  output.say('  rescind drill con_… --depth access')
  output.say()
  output.say('An app whose refresh tokens work once is the other tenant, with a grant of its own:')
  output.say()
  sayAdd('rotating', 'rotating-refresh-token')
}

function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** An org beside an account needs few users and no generated tokens: they would spend the budget of five. */
const SMALL_ORG = { users: 20, apps: 16, tokens: 0 }

async function emulateAccount(io: Io, options: AccountOptions): Promise<void> {
  const { startSalesforce } = await loadEmulators()
  const { seed, salesforce } = options
  const ownOrg =
    salesforce === undefined ? await startSalesforce({ seed, size: SMALL_ORG }) : undefined
  try {
    await serveAccount(io, options, ownOrg)
  } finally {
    await ownOrg?.close()
  }
}

async function serveAccount(
  io: Io,
  options: AccountOptions,
  ownOrg: SalesforceOrg | undefined,
): Promise<void> {
  const { startOpenConnectors } = await loadEmulators()
  const output = openOutput(io, options)
  const { port, seed, latency, retry, timeScale } = options
  const more = readOptions<Partial<OpenConnectorsOptions>>(options.options)
  await using account = await begin(() =>
    startOpenConnectors({
      salesforceUrl: ownOrg?.url ?? options.salesforce ?? '',
      port,
      seed,
      latencyMs: latency,
      refreshRetryMs: retry,
      timeScale,
      ...more,
    }),
  )
  const { url, apiUrl, credentials } = account
  const salesforce = ownOrg && { url: ownOrg.url, credentials: ownOrg.credentials }
  output.result({ url, apiUrl, credentials, ...(salesforce && { salesforce }) })
  sayAccount(output, account)
  if (ownOrg !== undefined) sayWayIn(output, account, ownOrg)
  await untilStopped(io, output)
}

function sayAccount(output: Output, { url, apiUrl, credentials }: OpenConnectorsAccount): void {
  output.say(`An emulated account of Open Connectors listens on ${apiUrl}`)
  output.say('Its secrets are made up, and good for this account alone:')
  output.say()
  output.say(`  export OC_USER_SECRET='${credentials.userSecret}'`)
  output.say(`  export OC_ORGANIZATION_SECRET='${credentials.organizationSecret}'`)
  output.say(
    '  curl -H "Authorization: User $OC_USER_SECRET, Organization $OC_ORGANIZATION_SECRET" \\',
  )
  output.say(`    ${apiUrl}/instances`)
  output.say(`  curl ${url}/__emulator/emails`)
}

function sayWayIn(output: Output, { apiUrl }: OpenConnectorsAccount, org: SalesforceOrg): void {
  const { connected, limited } = org.credentials
  output.say()
  output.say(
    `Its instances connect to an emulated org on ${org.url}, by the app "${connected.appName}".`,
  )
  output.say('A user who may be drilled, and the secret of the app:')
  output.say()
  output.say(`  export SFDC_SECRET='${connected.clientSecret}'`)
  output.say(`  export DRILL_USER='${limited.username}'`)
  output.say(`  export DRILL_PASSWORD='${limited.password}'`)
  output.say()
  output.say(
    'With this as rescind.yaml an instance can be made, and drilled by the number that it gets:',
  )
  output.say()
  for (const line of accountConfig(org, apiUrl).trimEnd().split('\n')) output.say(`  ${line}`)
  output.say()
  output.say("  rescind open-connectors create sfdc --name 'Drill target' --tag drill-target \\")
  output.say('    --form-field username=$DRILL_USER --form-field-env password=DRILL_PASSWORD')
  output.say('  rescind drill 4014 --via open-connectors --depth grant')
}

async function untilStopped(io: Io, output: Output): Promise<void> {
  output.say()
  output.say('Stop it with Ctrl-C.')
  if (io.signal.aborted) return
  await new Promise((resolve) => io.signal.addEventListener('abort', resolve, { once: true }))
}

/** No other command needs the emulators and their parser. */
function loadEmulators() {
  return import('../../../emulators/index.ts')
}

/** Starts an emulator; what it refuses is the caller's input. */
async function begin<Running>(start: () => Promise<Running>): Promise<Running> {
  try {
    return await start()
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error
    const message = `The emulator refuses its options: ${error.message}.`
    throw new RescindError('usage', message, { cause: error })
  }
}

function readOptions<Options extends object>(file: string | undefined): Partial<Options> {
  if (file === undefined) return {}
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Options
  } catch (error) {
    throw new RescindError('usage', `The options ${file} cannot be read as JSON.`, { cause: error })
  }
}
