import { readFileSync } from 'node:fs'
import type { SalesforceOptions } from './options.ts'
import { startSalesforce } from './start.ts'

/**
 * Runs an org in a process of its own. Options are JSON: `--options FILE`, else the environment variable
 * EMULATOR_OPTIONS. Prints one line of JSON once it listens, `{url, organizationId, credentials}`, and
 * lives until SIGTERM, SIGINT, or the end of its standard input where EMULATOR_STDIN is set.
 */
async function main(): Promise<void> {
  const org = await startSalesforce(readOptions())
  const { url, organizationId, credentials } = org
  process.stdout.write(`${JSON.stringify({ url, organizationId, credentials })}\n`)
  const stop = (): void => void org.close().then(() => process.exit(0))
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  if (process.env.EMULATOR_STDIN !== undefined) {
    // So that an org does not outlive a parent that was killed.
    process.stdin.on('end', stop).resume()
  }
}

function readOptions(): SalesforceOptions {
  const at = process.argv.indexOf('--options')
  const file = at < 0 ? undefined : process.argv[at + 1]
  const text = file === undefined ? process.env.EMULATOR_OPTIONS : readFileSync(file, 'utf8')
  return JSON.parse(text ?? '{}') as SalesforceOptions
}

await main()
