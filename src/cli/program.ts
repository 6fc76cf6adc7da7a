import { Command, CommanderError } from 'commander'
import { EXIT, RescindError } from '../core/errors.ts'
import { redact } from '../core/secret.ts'
import { VERSION } from '../core/version.ts'
import { applyCommand, resumeCommand, verifyCommand } from './commands/apply.ts'
import { authorityCommand } from './commands/authority.ts'
import { blockCommand } from './commands/block.ts'
import { clientCommand } from './commands/client.ts'
import { conformanceCommand } from './commands/conformance.ts'
import { connectionCommand } from './commands/connection.ts'
import { drillCommand } from './commands/drill.ts'
import { emulateCommand } from './commands/emulate.ts'
import { inventoryCommand } from './commands/inventory.ts'
import { loginCommand } from './commands/login.ts'
import { openConnectorsCommand } from './commands/open-connectors.ts'
import { planCommand } from './commands/plan.ts'
import { reportCommand } from './commands/report.ts'
import { revokeCommand } from './commands/revoke.ts'
import { runsCommand, showCommand } from './commands/runs.ts'
import { serveCommand } from './commands/serve.ts'
import { tenantCommand } from './commands/tenant.ts'
import { vaultCommand } from './commands/vault.ts'
import type { Io } from './io.ts'
import { hideTyped, plainError } from './typed.ts'

/** Makes the program with all its commands. */
export function buildProgram(io: Io): Command {
  const program = new Command('rescind')
    .description(
      'Finds every OAuth token that should be dead, kills it, and proves that it is dead.',
    )
    .version(VERSION)
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      outputError: (text, write) => write(plainError(text)),
    })
    // What stands behind a command within a command is that one's.
    .enablePositionalOptions()
    .showHelpAfterError('Run the command with --help to see what it takes.')
    .exitOverride()
  const commands = [
    tenantCommand(io),
    loginCommand(io),
    inventoryCommand(io),
    planCommand(io),
    applyCommand(io),
    resumeCommand(io),
    verifyCommand(io),
    reportCommand(io),
    runsCommand(io),
    showCommand(io),
    blockCommand(io),
    revokeCommand(io),
    connectionCommand(io),
    vaultCommand(io),
    conformanceCommand(io),
    serveCommand(io),
    clientCommand(io),
    authorityCommand(io),
    openConnectorsCommand(io),
    drillCommand(io),
    emulateCommand(io),
  ]
  for (const command of commands) program.addCommand(inherit(command, program))
  return program
}

/** Output, help and exits of a command are those of the program. */
function inherit(command: Command, program: Command): Command {
  command.copyInheritedSettings(program)
  for (const inner of command.commands) inherit(inner, command)
  return command
}

/** Runs one command line. Never throws: what went wrong is printed, and is in `io.exitCode`. */
export async function runCommand(io: Io, args: readonly string[]): Promise<void> {
  try {
    await buildProgram(io).parseAsync([...args], { from: 'user' })
  } catch (error) {
    const hide = (text: string) => hideTyped(text, args)
    printError(io, error, args.includes('--debug'), hide)
    if (args.includes('--json') && !io.hasResult && io.exitCode !== EXIT.ok) {
      const { code, message } = errorResult(io, error)
      io.stdout.write(`${JSON.stringify({ error: { code, message: hide(message) } })}\n`)
    }
  }
}

function printError(io: Io, error: unknown, debug: boolean, hide: (text: string) => string): void {
  if (error instanceof CommanderError) {
    // Commander has printed its sentence; help and version are no errors.
    io.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage
    return
  }
  if (error instanceof RescindError) {
    io.exitCode = error.exitCode
    io.stderr.write(`rescind: ${hide(error.message)}\n`)
    if (debug && error.detail) io.stderr.write(`${hide(redact(error.detail))}\n`)
  } else if (io.signal.aborted) {
    io.exitCode = EXIT.stopped
    io.stderr.write('rescind: Stopped.\n')
  } else {
    io.exitCode = EXIT.unexpected
    const message = error instanceof Error ? error.message : String(error)
    io.stderr.write(`rescind: Something unexpected went wrong: ${hide(redact(message))}.\n`)
    if (!debug) io.stderr.write('Run it again with --debug, and report what it prints.\n')
  }
  if (debug && error instanceof Error) io.stderr.write(`${hide(redact(stackOf(error)))}\n`)
}

/** What a machine reads of an error where there is no result. */
function errorResult(io: Io, error: unknown): { code: string; message: string } {
  if (error instanceof RescindError) return { code: error.code, message: error.message }
  if (error instanceof CommanderError) {
    return { code: 'usage', message: 'The command line does not fit: see standard error.' }
  }
  if (io.signal.aborted) {
    return { code: 'stopped_by_signal', message: 'Stopped: see standard error.' }
  }
  return { code: 'unexpected', message: 'Something unexpected went wrong: see standard error.' }
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by: ${stackOf(error.cause)}` : ''
  return `${error.stack ?? error.message}${cause}`
}
