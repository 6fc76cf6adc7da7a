import { randomBytes } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { RescindError } from '../core/errors.ts'
import type { Run } from '../store/run-states.ts'
import type { ApplyOptions } from './engine.ts'

/** A process that does not renew its hold in this time is taken for dead. */
export const LEASE_MS = 30_000
const HEARTBEAT_MS = 10_000

/** Containers may share a machine's name and its numbers of processes: their namespace tells them apart. */
const HOST = `${hostname()}${pidNamespace()}`
/** This process: its machine, its number, and chance, for numbers come back. */
export const HOLDER = `${HOST}:${process.pid}:${randomBytes(4).toString('hex')}`

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid').replace(/\D+/g, '/')
  } catch {
    // Systems without namespaces have no need of their names.
    return ''
  }
}

/** Takes a run whose holder is gone. */
export async function takeOver({ store, clock }: ApplyOptions, run: Run): Promise<Run> {
  if (isHeld(run, clock.now()) || !(await store.runs.hold(run, HOLDER, LEASE_MS)))
    throw runBusy(run)
  return (await store.runs.get(run.id)) ?? run
}

/** Says whether a living process is at work on a run. */
export function isHeld({ holder, leaseUntil }: Run, now: number): boolean {
  return holder !== null && (leaseUntil ?? 0) > now && !isDeadHere(holder)
}

/** The error of a run that is another process's. */
export function runBusy({ id, holder }: Run): RescindError {
  const who = holder === null ? '' : ` (${holder.split(':').slice(0, 2).join(', process ')})`
  return new RescindError(
    'run_busy',
    `Another process is at work on ${id}${who}, or has finished it. Let it end, or stop it, then resume.`,
  )
}

/** Says whether a holder was a process of this machine that is no more. */
function isDeadHere(holder: string): boolean {
  const [host, pid] = holder.split(':')
  if (host !== HOST || holder === HOLDER) return false
  if (Number(pid) === process.pid) return true
  try {
    process.kill(Number(pid), 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

/**
 * Renews the hold while the run goes on. A process that slept for longer than its lease may find
 * another one at work: then it stops.
 */
export async function keepHold(
  { store, clock }: ApplyOptions,
  run: Run,
  lost: AbortController,
  ended: AbortSignal,
): Promise<void> {
  let heldAt = clock.now()
  while (!ended.aborted) {
    await clock.sleep(HEARTBEAT_MS, ended).catch(() => undefined)
    if (ended.aborted) return
    const at = clock.now()
    // A store that is busy now is asked again at the next beat, while the lease lasts.
    const held = await store.runs.renew(run, LEASE_MS).catch(() => at - heldAt < LEASE_MS)
    if (held) heldAt = at
    else lost.abort(runBusy({ ...run, holder: null }))
  }
}
