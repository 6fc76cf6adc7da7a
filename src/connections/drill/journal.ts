import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { RescindError } from '../../core/errors.ts'
import { makeFolder } from '../../core/folder.ts'
import { Secret } from '../../core/secret.ts'
import type { Sealer } from '../../store/sealing.ts'
import type { Consent } from './consent/consent.ts'
import {
  type DrillLimits,
  type DrillMemory,
  type DrillSecrets,
  emptySecrets,
  type Mode,
} from './context.ts'
import type { Depth } from './platform.ts'
import { mayBeDead, whereItStood } from './standing.ts'

/**
 * The drill's own memory on the disk, so that one that died can be gone on with.
 *
 * ```
 *            open                save, before and after each step               close
 *  (none) ─────────▶ <drill>.json + <subject>.<n>.lock ──────────────▶ … ─────────────▶ (lock alone: free)
 *                            │ the process died
 *                            ▼
 *              refused to others, until it is resumed
 * ```
 *
 * 1. One drill at a time on a subject. What died before it revoked anything bars nobody.
 * 2. The old tokens are sealed: they are needed to show that they stay dead.
 * 3. Who holds a lock writes it anew every few seconds. One that nobody wrote for the length of a lease is
 *    a dead drill's, wherever that ran; who stood still meanwhile finds at its next record that it is over.
 */
export interface DrillJournal {
  readonly about: DrillAbout
  save(memory: DrillMemory, secrets: DrillSecrets): void
  /** Its evidence is elsewhere from now on; on the disk with the next `save`. */
  moveEvidence(path: string): void
  /** @throws RescindError `drill_busy` when another process has taken the drill over meanwhile */
  hold(): void
  /** Forgets the drill: it has ended. */
  close(): void
  /** Stops holding on to it, and leaves it to be resumed. */
  leave(): void
}

/** A lock that was not written for so long is a dead drill's: longer than a busy machine stands still. */
export const LEASE_MS = 60_000
/** Several go into a lease, so that one that comes late kills no drill. */
const BEAT_MS = 5_000

/** What a drill is of. */
export interface DrillAbout {
  readonly drill: string
  /** The connection, as a person names it. */
  readonly subject: string
  readonly via: 'rescind' | 'open-connectors'
  readonly depth: Depth
  readonly mode: Mode
  readonly evidence: string
  readonly begunWith: DrillBegunWith
  /** The provider, as the configuration names it; records of old have none. */
  readonly tenant?: string | undefined
}

/** What is asked of a drill at its beginning, and holds when it is gone on with. */
export interface DrillBegunWith {
  readonly limits: DrillLimits
  readonly ownerConsent: string | null
  readonly consent: Consent['how']
}

export interface Unfinished {
  readonly about: DrillAbout
  readonly memory: DrillMemory | null
  /** Where it runs; null where it died. */
  readonly running: Running | null
}

/** A drill that is at work, or was a moment ago. */
export interface Running {
  readonly host: string
  readonly pid: number
  /** When it may be taken over, if nothing more is seen of it. */
  readonly leftMs: number
}

export interface JournalMeans {
  /** The folder of all journals. */
  readonly folder: string
  readonly sealer: Sealer
}

interface Kept {
  readonly about: DrillAbout
  readonly memory: DrillMemory | null
  /** Sealed JSON, in base64. */
  readonly secrets: string | null
}

/**
 * Forgets a drill that died and cannot be gone on with, as where its instance was deleted: its subject is free.
 *
 * @throws RescindError `drill_busy` when it runs, `usage` when there is none
 */
export function forgetDrill(drill: string, means: JournalMeans): Pick<Kept, 'about' | 'memory'> {
  // Its secrets stay sealed: the key may be what is not there any more.
  const { journal, kept } = takeOver(drill, means)
  journal.close()
  journal.leave()
  return kept
}

/**
 * Takes the lock of a subject and opens its journal.
 *
 * @throws RescindError `drill_busy` when another drill has it, or died and left it dead
 */
export function openJournal(about: DrillAbout, means: JournalMeans): DrillJournal {
  makeFolder(means.folder)
  // Before the lock: who finds the lock finds what it is of.
  writeWhole(journalPath(means.folder, about.drill), { about, memory: null, secrets: null })
  try {
    const lock = takeLock(means.folder, about, (held) => refuseBusy(means.folder, held))
    if (lock.before) rmSync(journalPath(means.folder, lock.before.drill), { force: true })
    return journalOf(about, means, lock.no)
  } catch (error) {
    rmSync(journalPath(means.folder, about.drill), { force: true })
    throw error
  }
}

/**
 * Opens the journal of a drill that died, to go on with it.
 *
 * @throws RescindError `drill_busy` when it runs, `usage` when there is none
 */
export function resumeJournal(drill: string, means: JournalMeans) {
  const { journal, kept } = takeOver(drill, means)
  return { journal, memory: kept.memory, secrets: openSecrets(kept, means.sealer) }
}

function takeOver(drill: string, means: JournalMeans) {
  const found = readUnfinished(means.folder, drill)
  const { no } = takeLock(means.folder, found.about, (held) => {
    if (held.drill !== drill) refuseBusy(means.folder, held)
    else if (held.running) throw busy(sayRunning(found.about, held.running))
  })
  // Another may have gone on with it, and have ended it, before the lock was ours.
  const kept = readUnfinished(means.folder, drill)
  return { journal: journalOf(kept.about, means, no), kept }
}

/** As ids are made: no path leads elsewhere by it. */
const DRILL_ID = /^drl_\w+$/

function readUnfinished(folder: string, drill: string): Kept {
  const kept = DRILL_ID.test(drill) ? readKept(journalPath(folder, drill)) : undefined
  if (kept === undefined) {
    throw new RescindError(
      'usage',
      `There is no drill "${drill}" here that did not end. See them with: rescind drill status`,
    )
  }
  return kept
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
    .map(({ about, memory }) => ({ about, memory, running: runningOf(folder, about) }))
}

function runningOf(folder: string, about: DrillAbout): Running | null {
  const last = locksOf(folder, about).at(-1)
  const held = last === undefined ? undefined : readHolder(folder, lockPath(folder, about, last))
  return held?.drill === about.drill ? held.running : null
}

/** Says of a drill where it runs, and when and how it could be taken over if it died there. */
export function sayRunning({ drill, subject }: DrillAbout, running: Running): string {
  const { host, pid, leftMs } = running
  const where = host === hostname() ? '' : ` on ${host}`
  const left = Math.max(1, Math.ceil(leftMs / 1_000))
  return `The drill ${drill} of ${subject} runs${where} (process ${pid}): one at a time. If nothing more is heard of it, it can be taken over in ${left} s with: rescind drill resume ${drill}`
}

/** Keeps the lock with the number `no`, and writes the journal while it does. */
function journalOf(opened: DrillAbout, { folder, sealer }: JournalMeans, no: number): DrillJournal {
  let about = opened
  const path = journalPath(folder, about.drill)
  const isMine = () => locksOf(folder, about).at(-1) === no
  const beat = setInterval(() => writeAgain(lockPath(folder, about, no)), BEAT_MS)
  // A drill that has nothing more to do is not kept alive by its lock.
  beat.unref()
  const hold = () => {
    if (isMine()) return
    clearInterval(beat)
    throw busy(
      `The drill ${about.drill} was taken over by another process, while this one stood still: that one goes on with it.`,
    )
  }
  return {
    get about() {
      return about
    },
    hold,
    save(memory, secrets) {
      hold()
      writeWhole(path, { about, memory, secrets: sealSecrets(about, secrets, sealer) })
    },
    moveEvidence(evidence) {
      about = { ...about, evidence }
    },
    close() {
      clearInterval(beat)
      if (isMine()) rmSync(path, { force: true })
    },
    leave() {
      clearInterval(beat)
      endLease(lockPath(folder, about, no))
    },
  }
}

const COLUMN = 'drill.secrets'

/** The callback is not kept: its code is good for minutes, and a new one is asked for. */
function sealSecrets(
  { subject }: DrillAbout,
  { old, codes }: DrillSecrets,
  sealer: Sealer,
): string | null {
  if (old === null) return null
  const plain = JSON.stringify({
    access: old.access.reveal(),
    refresh: old.refresh?.reveal() ?? null,
    codes: codes.map((code) => code.reveal()),
  })
  return Buffer.from(sealer.seal(new Secret(plain), { tenant: subject, column: COLUMN })).toString(
    'base64',
  )
}

function openSecrets({ about, secrets }: Kept, sealer: Sealer): DrillSecrets {
  if (secrets === null) return emptySecrets()
  const place = { tenant: about.subject, column: COLUMN }
  const plain = sealer.open(Buffer.from(secrets, 'base64'), place).reveal()
  // Journals of old have no codes.
  const { access, refresh, codes = [] } = JSON.parse(plain) as SealedSecrets
  const old = { access: new Secret(access), refresh: refresh === null ? null : new Secret(refresh) }
  return { ...emptySecrets(), old, codes: codes.map((code) => new Secret(code)) }
}

interface SealedSecrets {
  readonly access: string
  readonly refresh: string | null
  readonly codes?: readonly string[]
}

/** Who has a subject. */
interface Holder {
  readonly drill: string
  readonly pid: number
  readonly host: string
  /** Where process ids count: a container has its own. */
  readonly processes: string
}

interface Held extends Holder {
  /** Null where it died. */
  readonly running: Running | null
}

/**
 * Takes the lock of a subject: the next in a row of files, of which the last one counts. It is whole when it
 * gets its name, only one process can give that name, and a last one is never taken away: no lock that is
 * broken can be another's new one. It is held while its drill has a journal. Gives its number, and who had
 * it before.
 *
 * @param refuse throws where who has the last one keeps it
 */
function takeLock(
  folder: string,
  about: DrillAbout,
  refuse: (held: Held) => void,
): { readonly no: number; readonly before: Held | undefined } {
  const last = locksOf(folder, about).at(-1)
  const before = last === undefined ? undefined : readHolder(folder, lockPath(folder, about, last))
  if (before) refuse(before)
  const no = (last ?? 0) + 1
  const draft = draftPath(folder, about.drill)
  const holder: Holder = { drill: about.drill, pid: process.pid, ...here() }
  try {
    writeFileSync(draft, JSON.stringify(holder), { mode: 0o600, flush: true })
    linkSync(draft, lockPath(folder, about, no))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw justBegun()
    throw unwritable(folder, error)
  } finally {
    rmSync(draft, { force: true })
  }
  const all = locksOf(folder, about)
  const isLast = all.at(-1) === no
  for (const one of isLast ? all.filter((other) => other < no) : [no]) {
    rmSync(lockPath(folder, about, one), { force: true })
  }
  if (!isLast) throw justBegun()
  return { no, before }
}

function unwritable(folder: string, cause: unknown): RescindError {
  const message = `The drill cannot be written down in ${folder}. Check the folder and its permissions.`
  return new RescindError('store_unwritable', message, { cause })
}

function locksOf(folder: string, about: DrillAbout): readonly number[] {
  const stem = `${lockStem(about)}.`
  return readdirSync(folder)
    .filter((name) => name.startsWith(stem))
    .map((name) => /^(\d+)\.lock$/.exec(name.slice(stem.length))?.[1])
    .filter((no) => no !== undefined)
    .map(Number)
    .sort((a, b) => a - b)
}

function lockPath(folder: string, about: DrillAbout, no: number): string {
  return join(folder, `${lockStem(about)}.${no}.lock`)
}

function lockStem({ subject, via }: DrillAbout): string {
  return `${via}-${subject.replace(/[^\w.-]/g, '_')}`
}

/** One that is gone was followed by another, which is seen when the next name is taken. */
function readHolder(folder: string, path: string): Held | undefined {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return undefined
  }
  try {
    const holder = JSON.parse(readFileSync(file, 'utf8')) as Holder
    const leftMs = fstatSync(file).mtimeMs + LEASE_MS - nowIn(folder)
    const { pid, host } = holder
    return { ...holder, running: leftMs > 0 && !isGone(holder) ? { pid, host, leftMs } : null }
  } finally {
    closeSync(file)
  }
}

/** The time of the file system, by which its files are written: hosts that share one may differ in theirs. */
function nowIn(folder: string): number {
  const draft = draftPath(folder, 'now')
  try {
    const file = openSync(draft, 'w', 0o600)
    try {
      return fstatSync(file).mtimeMs
    } finally {
      closeSync(file)
    }
  } catch (error) {
    throw unwritable(folder, error)
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Writes what is there over itself: the file is whole all the while, and its time is new. */
function writeAgain(path: string): void {
  try {
    const file = openSync(path, 'r+')
    try {
      const whole = readFileSync(file)
      writeSync(file, whole, 0, whole.length, 0)
    } finally {
      closeSync(file)
    }
  } catch {
    // It was taken over, or the disk is not well: both show at the next record.
  }
}

/** Who goes on with the drill need not wait. */
function endLease(path: string): void {
  try {
    utimesSync(path, 0, 0)
  } catch {
    // It was taken over.
  }
}

/** A drill that ended, or died before it revoked anything, keeps nobody away. */
function refuseBusy(folder: string, held: Held): void {
  const kept = readKept(journalPath(folder, held.drill))
  if (kept === undefined) return
  if (held.running) throw busy(sayRunning(kept.about, held.running))
  if (kept.memory && mayBeDead(kept.memory)) {
    throw busy(`The drill ${held.drill} died. ${whereItStood(kept.about, kept.memory)}`)
  }
}

function draftPath(folder: string, name: string): string {
  return join(folder, `${name}.${hostname()}.${process.pid}.draft`)
}

function journalPath(folder: string, drill: string): string {
  return join(folder, `${drill}.json`)
}

function justBegun(): RescindError {
  return busy('Another drill of it has just begun.')
}

function busy(text: string): RescindError {
  return new RescindError('drill_busy', text)
}

function here(): Pick<Holder, 'host' | 'processes'> {
  let processes = ''
  try {
    processes = readlinkSync('/proc/self/ns/pid')
  } catch {
    // Only Linux has containers that share a host's name.
  }
  return { host: hostname(), processes }
}

/** A process of this machine that is not there is gone at once. One that is there may be another's by now. */
function isGone({ pid, host, processes }: Holder): boolean {
  const own = here()
  if (host !== own.host || processes !== own.processes) return false
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
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
