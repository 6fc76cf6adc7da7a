import { randomBytes } from 'node:crypto'
import { systemClock } from '../core/clock.ts'
import { EXIT } from '../core/errors.ts'
import type { Io } from './io.ts'

/**
 * A command that does not end after its signal has this long before the process is ended: longer than all
 * the requests of one refresh or one code may take, each of 30 seconds: their answers may hold a token.
 */
export const EXIT_GRACE_MS = 120_000

/**
 * The process as commands see it. The first SIGINT or SIGTERM asks the command to stop; the second
 * one, or too long a wait, ends the process: the journal knows what was sent.
 */
export function processIo(): Io {
  const controller = new AbortController()
  const stop = () => {
    if (controller.signal.aborted) process.exit(EXIT.stopped)
    controller.abort(new Error('stopped by a signal'))
    setTimeout(() => process.exit(EXIT.stopped), EXIT_GRACE_MS).unref()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  // A reader that went away (`| head`) is no error of ours.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  }
  return {
    env: process.env,
    cwd: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    clock: systemClock,
    random: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
    signal: controller.signal,
    exitCode: EXIT.ok,
  }
}
