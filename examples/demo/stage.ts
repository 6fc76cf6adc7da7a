import { Writable } from 'node:stream'
import pc from 'picocolors'
import type { Io } from '../../src/cli/io.ts'
import { runCommand } from '../../src/cli/program.ts'
import { EXIT } from '../../src/core/errors.ts'
import { hangWidth } from '../../src/core/screen-text.ts'

/** Lines longer than this are hard to read. */
const COLUMNS_MAX = 110

/** Where the demo is shown: words of its own, and real commands with their real output. */
export interface Stage {
  readonly color: ReturnType<typeof pc.createColors>
  /** Says a text, wrapped behind a mark. */
  say(mark?: string, text?: string): void
  /** Shows a command line, runs it, and gives its JSON. */
  run<Result>(args: readonly string[]): Promise<Result>
}

/** A command that did not end as the demo expects; it has said why itself. */
export class CommandFailed extends Error {
  readonly exitCode: Io['exitCode']

  constructor(args: readonly string[], exitCode: Io['exitCode']) {
    super(`"rescind ${args.join(' ')}" ended with exit code ${exitCode}`)
    this.exitCode = exitCode
  }
}

/** Opens the stage on the process's output. `env` is what the commands see of the environment. */
export function openStage(io: Io, env: Io['env']): Stage {
  const color = pc.createColors(io.stdout.isTTY === true && !io.env.NO_COLOR)
  const columns = Math.min(io.stdout.columns ?? 80, COLUMNS_MAX)
  return {
    color,
    say: (mark = '', text = '') => {
      for (const line of hangWidth(mark, text, columns)) io.stdout.write(`${line}\n`)
    },
    async run<Result>(args: readonly string[]) {
      io.stdout.write(`${color.cyan(color.bold(`$ rescind ${args.map(quote).join(' ')}`))}\n`)
      const json = capture()
      // Under --json a command's words go to standard error, so that both can be had of one run.
      const own: Io = { ...io, env, stdout: json.stream, stderr: wordsOf(io), exitCode: EXIT.ok }
      await runCommand(own, [...args, '--json'])
      // What is not proven dead is said in the result, and no reason to end the demo.
      if (own.exitCode === EXIT.notProven) io.exitCode = EXIT.notProven
      else if (own.exitCode !== EXIT.ok) throw new CommandFailed(args, own.exitCode)
      return JSON.parse(json.text()) as Result
    },
  }
}

function quote(arg: string): string {
  return /^[\w./=-]+$/.test(arg) ? arg : `"${arg}"`
}

function capture() {
  const chunks: Buffer[] = []
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk)
      done()
    },
  })
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') }
}

/** A terminal shows everything; a log is for reading, and gets remarks in words and no progress. */
function wordsOf({ stdout }: Io): Io['stderr'] {
  if (stdout.isTTY) return stdout
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      const text = chunk.toString('utf8')
      stdout.write(text.startsWith('{"event":') ? remarkOf(text) : text)
      done()
    },
  })
}

function remarkOf(line: string): string {
  const { event, text } = JSON.parse(line) as { event: string; text?: string }
  return text === undefined ? '' : `  ${event.replaceAll('_', ' ').padEnd(9)}  ${text}\n`
}
