import { type Logger, pino } from 'pino'
import { isRescindError } from '../../core/errors.ts'
import { redact } from '../../core/secret.ts'
import type { Io } from '../io.ts'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/**
 * Opens the log: JSON lines on standard error. What goes in is named field by field; bodies, headers
 * and queries never do.
 */
export function openLog(io: Io, level: LogLevel, worker: number | undefined): Logger {
  return pino(
    {
      level,
      base: { pid: process.pid, ...(worker === undefined ? {} : { worker }) },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date(io.clock.now()).toISOString()}"`,
    },
    io.stderr,
  )
}

/** The fields of an error: its code and its safe sentence. */
export function errorFields(error: unknown): Readonly<Record<string, string>> {
  if (isRescindError(error)) return { code: error.code, reason: error.message }
  const reason = error instanceof Error ? redact(error.message) : 'not an error'
  return { code: 'unexpected', reason }
}
