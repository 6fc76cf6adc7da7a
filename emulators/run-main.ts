import { readFileSync } from 'node:fs'

/**
 * Runs an emulator as a program. Options are JSON: `--options FILE`, else the environment variable
 * EMULATOR_OPTIONS. Prints one line of JSON once it listens, and lives until SIGTERM, SIGINT, or the end of
 * its standard input where EMULATOR_STDIN is set.
 */
export async function runMain<Options, Running extends { close(): Promise<void> }>(
  start: (options: Options) => Promise<Running>,
  hello: (running: Running) => object,
): Promise<void> {
  const running = await start(readOptions())
  process.stdout.write(`${JSON.stringify(hello(running))}\n`)
  const stop = (): void => void running.close().then(() => process.exit(0))
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  if (process.env.EMULATOR_STDIN !== undefined) {
    // So that an emulator does not outlive a parent that was killed.
    process.stdin.on('end', stop).resume()
  }
}

function readOptions<Options>(): Options {
  const at = process.argv.indexOf('--options')
  const file = at < 0 ? undefined : process.argv[at + 1]
  const text = file === undefined ? process.env.EMULATOR_OPTIONS : readFileSync(file, 'utf8')
  return JSON.parse(text ?? '{}') as Options
}
