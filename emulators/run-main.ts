import { readFileSync } from 'node:fs'

/**
 * Runs an emulator as a program. Options are JSON: `--options FILE`, else the environment variable
 * EMULATOR_OPTIONS. Prints one line of JSON once it listens, and lives until SIGTERM, SIGINT, or the end of
 * its standard input where EMULATOR_STDIN is set. Options that it refuses are one sentence, and exit code 2.
 */
export async function runMain<Options, Running extends { close(): Promise<void> }>(
  start: (options: Options) => Promise<Running>,
  hello: (running: Running) => object,
): Promise<void> {
  const running = await begin(start)
  if (running === undefined) return
  process.stdout.write(`${JSON.stringify(hello(running))}\n`)
  const stop = (): void => void running.close().then(() => process.exit(0))
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  if (process.env.EMULATOR_STDIN !== undefined) {
    // So that an emulator does not outlive a parent that was killed.
    process.stdin.on('end', stop).resume()
  }
}

async function begin<Options, Running>(
  start: (options: Options) => Promise<Running>,
): Promise<Running | undefined> {
  try {
    return await start(readOptions())
  } catch (error) {
    const isRefusal = [TypeError, RangeError, SyntaxError].some((kind) => error instanceof kind)
    if (!isRefusal && !(error as NodeJS.ErrnoException).code) throw error
    const { message } = error as Error
    process.stderr.write(
      `The emulator refuses its options: ${message}. They are JSON, in EMULATOR_OPTIONS or --options FILE.\n`,
    )
    process.exitCode = 2
  }
}

function readOptions<Options>(): Options {
  const at = process.argv.indexOf('--options')
  const file = at < 0 ? undefined : process.argv[at + 1]
  const text = file === undefined ? process.env.EMULATOR_OPTIONS : readFileSync(file, 'utf8')
  return JSON.parse(text ?? '{}') as Options
}
