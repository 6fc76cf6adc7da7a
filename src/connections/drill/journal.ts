import {
  closeSync,
  fsyncSync,
  linkSync,
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
 *  (none) ─────────▶ <drill>.json + <subject>.<n>.lock ──────────────▶ … ─────────────▶ (lock alone: free)
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
  // Before the lock: who finds the lock finds what it is of.
  const journal = journalOf(about, means, null)
  try {
    const before = takeLock(means.folder, about, (held) => refuseBusy(means.folder, held))
    if (before) rmSync(journalPath(means.folder, before.drill), { force: true })
  } catch (error) {
    journal.close()
    throw error
  }
  return journal
}

/**
 * Opens the journal of a drill that died, to go on with it.
 *
 * @throws RescindError `drill_busy` when it runs, `usage` when there is none
 */
export function resumeJournal(drill: string, means: JournalMeans) {
  const found = readUnfinished(means.folder, drill)
  takeLock(means.folder, found.about, (held) => {
    if (held.drill !== drill) refuseBusy(means.folder, held)
    else if (isRunning(held)) throw busy(`The drill ${drill} still runs (process ${held.pid}).`)
  })
  // Another may have gone on with it, and have ended it, before the lock was ours.
  const kept = readUnfinished(means.folder, drill)
  const journal = journalOf(kept.about, means, kept)
  return { journal, memory: kept.memory, secrets: openSecrets(kept, means.sealer) }
}

function readUnfinished(folder: string, drill: string): Kept {
  const kept = readKept(journalPath(folder, drill))
  if (kept === undefined) {
    throw new RescindError('usage', `There is no drill ${drill} to resume here.`)
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
  const path = journalPath(folder, about.drill)
  const write = (memory: DrillMemory | null, secrets: string | null) =>
    writeWhole(path, { about, pid: process.pid, host: hostname(), memory, secrets })
  write(before?.memory ?? null, before?.secrets ?? null)
  return {
    about,
    save: (memory, secrets) => write(memory, sealSecrets(about, secrets, sealer)),
    close: () => rmSync(path, { force: true }),
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

/** Who has a subject. */
interface Holder {
  readonly drill: string
  readonly pid: number
  readonly host: string
}

/**
 * Takes the lock of a subject: the next in a row of files, of which the last one counts. It is whole when it
 * gets its name, only one process can give that name, and a last one is never taken away: no lock that is
 * broken can be another's new one. It is held while its drill has a journal. Gives who had it before.
 *
 * @param refuse throws where who has the last one keeps it
 */
function takeLock(
  folder: string,
  about: DrillAbout,
  refuse: (held: Holder) => void,
): Holder | undefined {
  const last = locksOf(folder, about).at(-1)
  const held = last === undefined ? undefined : readHolder(lockPath(folder, about, last))
  if (held) refuse(held)
  const mine = (last ?? 0) + 1
  const draft = join(folder, `${about.drill}.${process.pid}.draft`)
  const holder: Holder = { drill: about.drill, pid: process.pid, host: hostname() }
  try {
    writeFileSync(draft, JSON.stringify(holder), { mode: 0o600, flush: true })
    linkSync(draft, lockPath(folder, about, mine))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw justBegun()
    const message = `The drill cannot be written down in ${folder}. Check the folder and its permissions.`
    throw new RescindError('store_unwritable', message, { cause: error })
  } finally {
    rmSync(draft, { force: true })
  }
  const all = locksOf(folder, about)
  const isLast = all.at(-1) === mine
  for (const one of isLast ? all.filter((no) => no < mine) : [mine]) {
    rmSync(lockPath(folder, about, one), { force: true })
  }
  if (!isLast) throw justBegun()
  return held
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
function readHolder(path: string): Holder | undefined {
  const text = readText(path)
  return text === undefined ? undefined : (JSON.parse(text) as Holder)
}

/** A drill that ended, or died before it revoked anything, keeps nobody away. */
function refuseBusy(folder: string, held: Holder): void {
  const kept = readKept(journalPath(folder, held.drill))
  if (kept === undefined) return
  if (isRunning(held)) {
    throw busy(
      `The drill ${held.drill} of ${kept.about.subject} runs (process ${held.pid}): one at a time.`,
    )
  }
  if (kept.memory && mayBeDead(kept.memory)) {
    throw busy(`The drill ${held.drill} died. ${whereItStands(kept.about, kept.memory)}`)
  }
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

/** A process of another machine cannot be looked at: it counts as running. */
function isRunning({ pid, host }: Pick<Kept, 'pid' | 'host'>): boolean {
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
