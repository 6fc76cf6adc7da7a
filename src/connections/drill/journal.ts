import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { RescindError } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'
import type { Sealer } from '../../store/sealing.ts'
import type { DrillMemory, DrillSecrets, Mode } from './context.ts'
import type { Depth } from './platform.ts'

/**
 * The drill's own memory on the disk, so that one that died can be gone on with.
 *
 * ```
 *            open                save, before and after each step               close
 *  (none) ─────────▶ <subject>.lock + <drill>.json ─────────────────▶ … ─────────────▶ (none)
 *                            │ the process died
 *                            ▼
 *              refused to others, until it is resumed
 * ```
 *
 * 1. One drill at a time on a subject. What died before it revoked anything bars nobody.
 * 2. The old tokens are sealed: they are needed to show that they stay dead.
 */
export interface DrillJournal {
  readonly about: DrillAbout
  save(memory: DrillMemory, secrets: DrillSecrets): void
  /** Forgets the drill: it has ended. */
  close(): void
}

/** What a drill is of. */
export interface DrillAbout {
  readonly drill: string
  /** The connection, as a person names it. */
  readonly subject: string
  readonly via: 'rescind' | 'open-connectors'
  readonly depth: Depth
  readonly mode: Mode
  readonly evidence: string
}

export interface Unfinished {
  readonly about: DrillAbout
  readonly memory: DrillMemory | null
  readonly isRunning: boolean
}

export interface JournalMeans {
  /** The folder of all journals. */
  readonly folder: string
  readonly sealer: Sealer
}

interface Kept {
  readonly about: DrillAbout
  readonly pid: number
  readonly host: string
  readonly memory: DrillMemory | null
  /** Sealed JSON, in base64. */
  readonly secrets: string | null
}

/**
 * Takes the lock of a subject and opens its journal.
 *
 * @throws RescindError `drill_busy` when another drill has it, or died and left it dead
 */
export function openJournal(about: DrillAbout, means: JournalMeans): DrillJournal {
  mkdirSync(means.folder, { recursive: true, mode: 0o700 })
  const lock = lockPath(means.folder, about)
  if (!takeLock(lock, about)) {
    refuseBusy(means.folder, lock)
    if (!takeLock(lock, about)) throw busy('Another drill of it has just begun.')
  }
  return journalOf(about, means, null)
}

/**
 * Opens the journal of a drill that died, to go on with it.
 *
 * @throws RescindError `drill_busy` when it runs, `usage` when there is none
 */
export function resumeJournal(drill: string, means: JournalMeans) {
  const kept = readKept(join(means.folder, `${drill}.json`))
  if (kept === undefined) {
    throw new RescindError('usage', `There is no drill ${drill} to resume here.`)
  }
  if (isRunning(kept)) throw busy(`The drill ${drill} still runs (process ${kept.pid}).`)
  const journal = journalOf(kept.about, means, kept)
  return { journal, memory: kept.memory, secrets: openSecrets(kept, means.sealer) }
}

/** Lists the drills that did not end. */
export function listUnfinished(folder: string): readonly Unfinished[] {
  let names: readonly string[]
  try {
    names = readdirSync(folder)
  } catch {
    return []
  }
  return names
    .filter((name) => name.endsWith('.json'))
    .map((name) => readKept(join(folder, name)))
    .filter((kept) => kept !== undefined)
    .map((kept) => ({ about: kept.about, memory: kept.memory, isRunning: isRunning(kept) }))
}

/** Whether a drill may have killed its connection. */
export function mayBeDead({ revokedAt, hurt }: DrillMemory): boolean {
  return revokedAt !== null || hurt !== null
}

/** Says what state a drill that did not end left its connection in, and how to bring it back. */
export function whereItStands(about: DrillAbout, memory: DrillMemory | null): string {
  const { subject, depth, drill } = about
  if (memory === null || !mayBeDead(memory)) return `Nothing was revoked: ${subject} is as it was.`
  const resume = `rescind drill resume ${drill}`
  const { revokedAt, hurt } = memory
  if (hurt !== null) {
    return `${subject} may be dead: the fault ${hurt.fault} was injected at ${momentOf(hurt.at)} UTC, and no call has gone well since. Bring it back with: ${resume}, or: ${byHand(about)}`
  }
  const at = momentOf(revokedAt)
  if (memory.healedAlone || memory.reconnected) {
    return `${subject} was revoked on purpose at ${at} UTC and is back; what follows is not checked. Go on with: ${resume}`
  }
  if (depth === 'access') {
    return `The access token of ${subject} was revoked on purpose at ${at} UTC; the next call through the platform should refresh it. Go on with: ${resume}`
  }
  return `${subject} is dead: it was revoked on purpose at ${at} UTC (${depth}), and nobody has reconnected it. Bring it back with: ${resume}, or: ${byHand(about)}`
}

/** Says of a drill that ended what state it left its connection in, which is not well. */
export function whereItEnded(about: DrillAbout, memory: DrillMemory): string {
  const { subject, depth } = about
  const { revokedAt, hurt, healedAlone, reconnected } = memory
  const bring = `Bring it back with: ${byHand(about)}`
  if (hurt !== null) {
    return `${subject} is dead: the fault ${hurt.fault} was injected at ${momentOf(hurt.at)} UTC, and calls fail since. ${bring}`
  }
  if (revokedAt === null) return `Nothing was revoked, and a call through ${subject} fails.`
  const since = `it was revoked on purpose at ${momentOf(revokedAt)} UTC (${depth})`
  return healedAlone || reconnected
    ? `${subject} came back and does not work: ${since}, and a call at the end failed. ${bring}`
    : `${subject} is dead: ${since}, and nobody has reconnected it. ${bring}`
}

function byHand({ via, subject }: DrillAbout): string {
  return via === 'rescind'
    ? `rescind connection link ${subject}`
    : `rescind open-connectors reauthorize ${subject}`
}

function momentOf(at: number | null): string {
  return new Date(at ?? 0).toISOString().slice(0, 19).replace('T', ' ')
}

function journalOf(
  about: DrillAbout,
  { folder, sealer }: JournalMeans,
  before: Kept | null,
): DrillJournal {
  const path = join(folder, `${about.drill}.json`)
  const write = (memory: DrillMemory | null, secrets: string | null) =>
    writeWhole(path, { about, pid: process.pid, host: hostname(), memory, secrets })
  write(before?.memory ?? null, before?.secrets ?? null)
  return {
    about,
    save: (memory, secrets) => write(memory, sealSecrets(about, secrets, sealer)),
    close() {
      rmSync(path, { force: true })
      rmSync(lockPath(folder, about), { force: true })
    },
  }
}

const COLUMN = 'drill.secrets'

/** The callback's code is not kept: it is good for minutes, and a new one is asked for. */
function sealSecrets(
  { subject }: DrillAbout,
  { old }: DrillSecrets,
  sealer: Sealer,
): string | null {
  if (old === null) return null
  const plain = JSON.stringify({
    access: old.access.reveal(),
    refresh: old.refresh?.reveal() ?? null,
  })
  return Buffer.from(sealer.seal(new Secret(plain), { tenant: subject, column: COLUMN })).toString(
    'base64',
  )
}

function openSecrets({ about, secrets }: Kept, sealer: Sealer): DrillSecrets {
  if (secrets === null) return { old: null, link: null, callback: null }
  const place = { tenant: about.subject, column: COLUMN }
  const plain = sealer.open(Buffer.from(secrets, 'base64'), place).reveal()
  const { access, refresh } = JSON.parse(plain) as { access: string; refresh: string | null }
  const old = { access: new Secret(access), refresh: refresh === null ? null : new Secret(refresh) }
  return { old, link: null, callback: null }
}

function lockPath(folder: string, { subject, via }: DrillAbout): string {
  return join(folder, `${via}-${subject.replace(/[^\w.-]/g, '_')}.lock`)
}

function takeLock(path: string, { drill }: DrillAbout): boolean {
  try {
    writeFileSync(path, drill, { flag: 'wx', mode: 0o600, flush: true })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    const message = `The drill cannot be written down in ${path}. Check the folder and its permissions.`
    throw new RescindError('store_unwritable', message, { cause: error })
  }
}

/** Clears the lock of a drill that died before it revoked anything; refuses for all others. */
function refuseBusy(folder: string, lock: string): void {
  const drill = readText(lock)
  const kept = drill === undefined ? undefined : readKept(join(folder, `${drill}.json`))
  if (kept !== undefined && isRunning(kept)) {
    throw busy(
      `The drill ${kept.about.drill} of ${kept.about.subject} runs (process ${kept.pid}): one at a time.`,
    )
  }
  if (kept?.memory && mayBeDead(kept.memory)) {
    throw busy(`The drill ${kept.about.drill} died. ${whereItStands(kept.about, kept.memory)}`)
  }
  if (drill !== undefined) rmSync(join(folder, `${drill}.json`), { force: true })
  rmSync(lock, { force: true })
}

function busy(text: string): RescindError {
  return new RescindError('drill_busy', text)
}

/** A process of another machine cannot be looked at: it counts as running. */
function isRunning({ pid, host }: Kept): boolean {
  if (host !== hostname()) return true
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function readKept(path: string): Kept | undefined {
  const text = readText(path)
  try {
    return text === undefined ? undefined : (JSON.parse(text) as Kept)
  } catch {
    return undefined
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** Written beside and put in place: half a file would lose the old tokens. */
function writeWhole(path: string, kept: Kept): void {
  const draft = `${path}.new`
  const file = openSync(draft, 'w', 0o600)
  try {
    writeFileSync(file, JSON.stringify(kept))
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(draft, path)
}
