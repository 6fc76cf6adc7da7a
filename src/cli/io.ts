import type { Writable } from 'node:stream'
import type { Clock, Random } from '../core/clock.ts'
import type { ExitCode } from '../core/errors.ts'

/** What a command may touch of the process; passed in, so that tests run commands as functions. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly stdin: NodeJS.ReadStream
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly clock: Clock
  readonly random: Random
  /** Aborted on SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  /** What the process exits with; a command sets it, and only `main` exits. */
  exitCode: ExitCode
  /** Whether the one JSON object of `--json` is out. */
  hasResult?: boolean
}
