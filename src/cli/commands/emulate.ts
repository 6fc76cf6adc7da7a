import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import type { SalesforceOptions } from '../../../emulators/index.ts'
import { RescindError } from '../../core/errors.ts'
import type { Io } from '../io.ts'
import { wholeNumber } from '../option-values.ts'
import { type CommonOptions, openOutput, withCommonOptions } from '../output.ts'

interface EmulateOptions extends CommonOptions {
  readonly port: number
  readonly seed: number
  readonly users: number
  readonly apps: number
  readonly tokens: number
  readonly latency: number
  readonly options?: string
}

/** Makes `rescind emulate salesforce`: an org on this machine to try everything on. */
export function emulateCommand(io: Io): Command {
  const command = new Command('emulate').description('start an emulated provider on this machine')
  const salesforce = withCommonOptions(new Command('salesforce'))
    .description('an emulated Salesforce org, with its quirks, caps and faults')
    .option('--port <n>', 'the port; 0 for any', wholeNumber, 0)
    .option('--seed <n>', 'the same seed gives the same org', wholeNumber, 1)
    .option('--users <n>', 'users', wholeNumber, 900)
    .option('--apps <n>', 'apps', wholeNumber, 40)
    .option('--tokens <n>', 'tokens, up to 1,000,000', wholeNumber, 12_000)
    .option('--latency <ms>', 'added to every answer', wholeNumber, 0)
    .option('--options <file>', 'more options as JSON: switches, faults, skew')
    .action((options: EmulateOptions) => emulate(io, options))
  return command.addCommand(salesforce)
}

async function emulate(io: Io, options: EmulateOptions): Promise<void> {
  // Loaded here alone: no other command needs the emulator and its parser.
  const { startSalesforce } = await import('../../../emulators/index.ts')
  const output = openOutput(io, options)
  const { port, seed, users, apps, tokens, latency } = options
  const more = readOptions(options.options)
  const org = await startSalesforce({
    port,
    seed,
    size: { users, apps, tokens },
    latencyMs: latency,
    ...more,
  })
  const { url, organizationId, credentials } = org
  output.result({ url, organizationId, credentials })
  output.say(`An emulated Salesforce org listens on ${url} (org ${organizationId}, seed ${seed}).`)
  output.say('Its credentials are made up, and good for this org alone:')
  output.say()
  output.say(`  export RESCIND_EMULATED_SECRET=${credentials.integration.clientSecret}`)
  output.say(`  rescind tenant add emulated --url ${url} --login client_credentials \\`)
  output.say(`    --set clientId=${credentials.integration.clientId} \\`)
  output.say("    --set 'clientSecret=${env:RESCIND_EMULATED_SECRET}'")
  output.say('  rescind inventory --tenant emulated')
  output.say('  rescind plan --tenant emulated --user-inactive --app "Drift*"')
  output.say()
  output.say('Stop it with Ctrl-C.')
  await new Promise((resolve) => io.signal.addEventListener('abort', resolve, { once: true }))
  await org.close()
}

function readOptions(file: string | undefined): SalesforceOptions {
  if (file === undefined) return {}
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as SalesforceOptions
  } catch (error) {
    throw new RescindError('usage', `The options ${file} cannot be read as JSON.`, { cause: error })
  }
}
