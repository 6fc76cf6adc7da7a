import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Logger } from 'pino'
import { RescindError } from '../../core/errors.ts'
import type { Io } from '../io.ts'

/** After a stop was asked for, a worker has this long; its own drain takes ten seconds at most. */
const STOP_MS = 15_000
/** Before a worker that died is started again: a fault at its start must not become a loop. */
const RESTART_MS = 1_000
const STOP = 'rescind:stop'

/** The number of this process among the workers; undefined when it is the only one, or the first. */
export function workerNumber(): number | undefined {
  return cluster.isWorker ? cluster.worker?.id : undefined
}

/** Returns the signal of a worker: a signal of the system, or the word of the process that started it. */
export function workerSignal(io: Io): AbortSignal {
  const told = new AbortController()
  process.on('message', (message) => {
    if (message === STOP) told.abort()
  })
  return AbortSignal.any([io.signal, told.signal])
}

/** Lets go of the process that started this worker, so that it can end. */
export function leaveWorkers(): void {
  cluster.worker?.disconnect()
}

/** Processes that share one port. */
export interface Workers {
  /** Resolves when all were asked to stop and have ended. */
  stop(): Promise<void>
}

/**
 * Starts workers, each running the same command, and starts one again that dies.
 *
 * @param args the command line of a worker
 * @throws RescindError `unexpected` when a worker ends before it listens
 */
export async function startWorkers(
  count: number,
  args: readonly string[],
  log: Logger,
): Promise<Workers> {
  const main = new URL(`../main${extname(import.meta.filename)}`, import.meta.url)
  cluster.setupPrimary({ exec: fileURLToPath(main), args: [...args] })
  let isStopping = false
  const restart = (code: number | null, signal: string | null, worker: Worker) => {
    if (isStopping) return
    log.error({ worker: worker.id, exit: code, signal }, 'a worker ended, and is started again')
    setTimeout(() => !isStopping && start(), RESTART_MS).unref()
  }
  const start = (): Worker => {
    const worker = cluster.fork()
    worker.on('exit', (code, signal) => restart(code, signal, worker))
    return worker
  }
  const stop = async () => {
    isStopping = true
    await Promise.all(Object.values(cluster.workers ?? {}).map((worker) => worker && end(worker)))
  }
  try {
    await Promise.all(Array.from({ length: count }, () => listening(start())))
  } catch (error) {
    await stop()
    throw error
  }
  return { stop }
}

async function listening(worker: Worker): Promise<void> {
  const isUp = await Promise.race([
    once(worker, 'listening').then(() => true),
    once(worker, 'exit').then(() => false),
  ])
  if (isUp) return
  throw new RescindError(
    'unexpected',
    'A worker ended before it listened; its own message stands above.',
  )
}

async function end(worker: Worker): Promise<void> {
  if (worker.isDead()) return
  const ended = once(worker, 'exit')
  const late = setTimeout(() => worker.process.kill('SIGKILL'), STOP_MS)
  if (worker.isConnected()) worker.send(STOP)
  await ended
  clearTimeout(late)
}
