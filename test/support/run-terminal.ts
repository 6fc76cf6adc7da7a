import { spawn, spawnSync } from 'node:child_process'
import { type CliOptions, commandLine } from './run-cli.ts'

/** Whether util-linux's script(1) is here, which lends a command a terminal; that of macOS takes other options. */
const { stdout: version = '' } = spawnSync('script', ['--version'], { encoding: 'utf8' })
export const hasTerminal = (version ?? '').includes('util-linux')
/** For the title of a test that needs a terminal. */
export const withoutTerminal = hasTerminal ? '' : ' (SKIPPED: no script of util-linux here)'

/** What the command asks, and the keys that are pressed then. */
export interface Dialog {
  readonly asked: string
  readonly keys: string
}

/** A person's screen: without a size nothing is drawn on it. */
const SCREEN = 'stty cols 120 rows 40'

/** Runs one command line on a terminal of its own, and presses keys once it has asked. */
export function rescindOnTerminal(
  args: readonly string[],
  options: CliOptions,
  { asked, keys }: Dialog,
): Promise<{ readonly exitCode: number | null; readonly screen: string }> {
  const { command, cwd, env } = commandLine(args, options)
  const words = command.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ')
  const line = `${SCREEN}; exec ${words}`
  const child = spawn('script', ['--quiet', '--return', '--command', line, '/dev/null'], {
    ...{ cwd, env, stdio: ['pipe', 'pipe', 'inherit'] },
  })
  let screen = ''
  let isAnswered = false
  child.stdout.on('data', (chunk: Buffer) => {
    screen += chunk.toString('utf8')
    if (isAnswered || !screen.includes(asked)) return
    isAnswered = true
    child.stdin.write(keys)
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (exitCode) => resolve({ exitCode, screen }))
  })
}
