import { PassThrough, Readable } from 'node:stream'
import { Command, CommanderError } from 'commander'
import { revokeCommand } from '../../src/cli/commands/revoke.ts'
import type { Io } from '../../src/cli/io.ts'
import type { Clock } from '../../src/core/clock.ts'
import { EXIT, RescindError } from '../../src/core/errors.ts'

export interface Run {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  /** The object of `--json`. */
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects
  readonly json: any
  /** The error's code, where the command threw one. */
  readonly error: string | undefined
  readonly sleptMs: readonly number[]
}

export interface RunOptions {
  /** Standard input; a token as a rule. */
  readonly stdin?: string | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly cwd?: string | undefined
  readonly signal?: AbortSignal | undefined
  /** All secrets that the run can know: none of them may be in what it prints. */
  readonly secrets?: readonly string[] | undefined
}

/** Runs `rescind revoke` as a function, with a clock that does not wait, and checks that it leaks nothing. */
export async function runRevoke(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const sleptMs: number[] = []
  const [stdout, stderr] = [capture(), capture()]
  const io: Io = {
    env: options.env ?? {},
    cwd: options.cwd ?? process.cwd(),
    stdin: Readable.from(options.stdin ? [Buffer.from(options.stdin)] : []) as never,
    stdout: stdout.stream,
    stderr: stderr.stream,
    clock: impatientClock(sleptMs),
    random: () => 0.5,
    signal: options.signal ?? new AbortController().signal,
    exitCode: EXIT.ok,
  }
  const error = await run(io, args)
  const out = stdout.text()
  const known = [options.stdin?.trim() ?? '', ...(options.secrets ?? [])]
  refuseSecrets(`${out}\n${stderr.text()}\n${error?.message}\n${error?.stack}`, known)
  return {
    exitCode: error instanceof RescindError ? error.exitCode : error ? EXIT.usage : io.exitCode,
    stdout: out,
    stderr: error ? `${stderr.text()}${error.message}` : stderr.text(),
    json: out.startsWith('{') && args.includes('--json') ? JSON.parse(out) : undefined,
    error: error instanceof RescindError ? error.code : error && 'commander',
    sleptMs,
  }
}

async function run(io: Io, args: readonly string[]): Promise<Error | undefined> {
  // As the program has it: a command under it takes over its settings.
  const program = new Command('rescind')
    .exitOverride()
    .configureOutput({ writeErr: (text) => void io.stderr.write(text) })
  program.addCommand(revokeCommand(io).copyInheritedSettings(program))
  try {
    await program.parseAsync(['revoke', ...args], { from: 'user' })
    return undefined
  } catch (error) {
    if (error instanceof RescindError || error instanceof CommanderError) return error
    throw error
  }
}

/** Throws when a text holds a secret, as it is or as a form or a header would write it. */
export function refuseSecrets(text: string, secrets: readonly string[]): void {
  for (const secret of secrets) {
    if (secret.length < 4) continue
    const forms = [
      secret,
      encodeURIComponent(secret),
      btoa(secret),
      JSON.stringify(secret).slice(1, -1),
    ]
    if (forms.some((form) => text.includes(form))) throw new Error('A secret is in the output.')
  }
}

function impatientClock(sleptMs: number[]): Clock {
  let skippedMs = 0
  return {
    now: () => Date.now() + skippedMs,
    sleep: async (ms) => {
      sleptMs.push(ms)
      skippedMs += ms
    },
  }
}

function capture() {
  const stream = new PassThrough()
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') }
}
