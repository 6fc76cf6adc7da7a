import { type Command, InvalidArgumentError } from 'commander'
import pc from 'picocolors'
import { RISKS, type Risk } from '../core/url.ts'
import type { Io } from './io.ts'

/** The width when nobody tells: a file, a pipe. */
const COLUMNS_DEFAULT = 80
/** Lines longer than this are hard to read, whatever the screen. */
const COLUMNS_MAX = 110

/** The options that every command takes. */
export interface CommonOptions {
  readonly json?: boolean
  readonly debug?: boolean
  readonly acceptRisk?: readonly Risk[]
}

/** Adds the options that every command takes. */
export function withCommonOptions(command: Command): Command {
  return command
    .option('--json', 'one JSON object on standard output; words go to standard error')
    .option('--debug', 'print the details and the stack of an error')
    .option('--accept-risk <name>', `accept a named risk: ${RISKS.join(', ')}`, collectRisk, [])
}

function collectRisk(value: string, before: readonly Risk[]): readonly Risk[] {
  if (!(RISKS as readonly string[]).includes(value)) {
    throw new InvalidArgumentError(`There is no risk of that name. Known: ${RISKS.join(', ')}.`)
  }
  return [...before, value as Risk]
}

/** Where a command prints: results to standard output, words to standard error under `--json`. */
export interface Output {
  readonly json: boolean
  readonly color: ReturnType<typeof pc.createColors>
  /** The width for words, in columns of the screen. */
  readonly columns: number
  /** The width for tables: on what is no screen nothing of a name is cut. */
  readonly tableColumns: number
  /** A line for a person; standard error under `--json`. */
  say(line?: string): void
  /** A line of progress or advice; always standard error. */
  note(line: string): void
  /** The command's one JSON object; printed under `--json` alone. */
  result(value: unknown): void
}

/** Opens a command's output as its options say. Colors are on for a terminal without NO_COLOR. */
export function openOutput(io: Io, options: CommonOptions): Output {
  const json = options.json ?? false
  const stream = json ? io.stderr : io.stdout
  const columns = Math.min(stream.columns ?? COLUMNS_DEFAULT, COLUMNS_MAX)
  const color = pc.createColors(stream.isTTY === true && !io.env.NO_COLOR)
  return {
    json,
    color,
    columns,
    tableColumns: stream.isTTY === true ? columns : Number.POSITIVE_INFINITY,
    say: (line = '') => void stream.write(`${line}\n`),
    note: (line) => void io.stderr.write(`${line}\n`),
    result: (value) => {
      if (!json) return
      io.hasResult = true
      io.stdout.write(`${JSON.stringify(value)}\n`)
    },
  }
}
