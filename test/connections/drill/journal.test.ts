import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { emptyMemory } from '../../../src/connections/drill/context.ts'
import {
  type DrillAbout,
  LEASE_MS,
  listUnfinished,
  openJournal,
  resumeJournal,
} from '../../../src/connections/drill/journal.ts'
import { LIMITS, sealer } from './world.ts'

const SOURCE = join(import.meta.dirname, '../../../src')
const PROCESSES = 6
const ROUNDS = 6

/** Waits for the word, takes the lock at that instant, says what came of it, and keeps it until told to end. */
const TAKER = `
const { openJournal, resumeJournal } = await import('${SOURCE}/connections/drill/journal.ts')
const { createSealer } = await import('${SOURCE}/store/sealing.ts')
const [, folder, drill, how] = process.argv
const means = { folder, sealer: createSealer(Buffer.alloc(32, 7)) }
const about = { drill, subject: 'con_1', via: 'rescind', depth: 'refresh', mode: 'simulated', evidence: '' }
console.log('ready')
process.stdin.once('data', (at) => {
  while (Date.now() < Number(at));
  try {
    if (how === 'resume') resumeJournal('drl_dead', means)
    else openJournal(about, means)
    console.log('got')
  } catch (error) { console.log(error.code) }
})
process.stdin.once('end', () => process.exit(0))
`

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-journal-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}

/** Lets processes go for the lock at one instant; gives what each said. */
async function race(folder: string, how: 'open' | 'resume'): Promise<readonly string[]> {
  const takers = Array.from({ length: PROCESSES }, (_, no) => {
    const args = ['--input-type=module', '-e', TAKER, folder, `drl_${no}_${randomUUID()}`, how]
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = child.stdout.setEncoding('utf8')[Symbol.asyncIterator]()
    const ended = new Promise((resolve) => child.once('close', resolve))
    return { child, ended, next: async () => String((await lines.next()).value).trim() }
  })
  await Promise.all(takers.map(({ next }) => next()))
  const at = Date.now() + 150
  for (const { child } of takers) child.stdin.write(`${at}`)
  const said = await Promise.all(takers.map(({ next }) => next()))
  for (const { child } of takers) child.stdin.end()
  await Promise.all(takers.map(({ ended }) => ended))
  return said.sort()
}

const ABOUT = { drill: 'drl_dead', subject: 'con_1', via: 'rescind', depth: 'refresh' } as const
const NONE = { old: null, link: null, callback: null, codes: [] }

interface Left {
  readonly pid?: number
  readonly host?: string
  /** How long nothing has been heard of it. */
  readonly silentMs?: number
}

/** What a process leaves that was killed. */
function leaveDead(folder: string, revokedAt: number | null, left: Left = {}): void {
  const { pid = 2 ** 22 + 1, host = hostname(), silentMs = 0 } = left
  const memory = { ...emptyMemory(0), revokedAt }
  const kept = { about: ABOUT, memory, secrets: null }
  writeFileSync(join(folder, 'drl_dead.json'), JSON.stringify(kept))
  const processes = process.platform === 'linux' ? readlinkSync('/proc/self/ns/pid') : ''
  const lock = join(folder, 'rescind-con_1.1.lock')
  writeFileSync(lock, JSON.stringify({ drill: 'drl_dead', pid, host, processes }))
  const at = (Date.now() - silentMs) / 1_000
  utimesSync(lock, at, at)
}

const ONE = [...Array.from({ length: PROCESSES - 1 }, () => 'drill_busy'), 'got']

describe(`${PROCESSES} processes at one instant`, () => {
  test('exactly one begins; and again, over the lock that it left when it died', async () => {
    const folder = newFolder()
    for (let round = 0; round < ROUNDS; round += 1) expect(await race(folder, 'open')).toEqual(ONE)
    expect(readdirSync(folder).filter((name) => name.endsWith('.lock'))).toHaveLength(1)
  }, 60_000)

  test('exactly one takes the lock of a drill that died before it revoked anything', async () => {
    const folder = newFolder()
    leaveDead(folder, null)
    expect(await race(folder, 'open')).toEqual(ONE)
  }, 60_000)

  test('none begins where one died after it revoked; exactly one resumes it', async () => {
    const folder = newFolder()
    leaveDead(folder, 1)
    expect(await race(folder, 'open')).toEqual(
      Array.from({ length: PROCESSES }, () => 'drill_busy'),
    )
    expect(await race(folder, 'resume')).toEqual(ONE)
  }, 60_000)
})

const NEXT: DrillAbout = {
  ...{ ...ABOUT, drill: 'drl_next', mode: 'simulated', evidence: '' },
  begunWith: { limits: LIMITS, ownerConsent: null, consent: 'form' },
}

/** Where a drill may have died that its lock tells of: another machine, or a process id that lives on. */
const PLACES = [
  ['of another host', { host: 'elsewhere', pid: 1 }],
  ['whose process id another process has by now', { pid: process.pid }],
] as const

describe.each(PLACES)('the lock of a drill %s', (_name, place) => {
  test('written a moment ago is held; the refusal says until when, and how it is taken over', () => {
    const folder = newFolder()
    leaveDead(folder, 1, { ...place, silentMs: 20_000 })
    const said =
      /runs( on elsewhere)? \(process \d+\): one at a time\. .* in (39|40|41) s with: rescind drill resume drl_dead/
    expect(() => openJournal(NEXT, { folder, sealer })).toThrow(said)
    expect(() => resumeJournal('drl_dead', { folder, sealer })).toThrow(said)
    expect(listUnfinished(folder)).toMatchObject([
      { about: ABOUT, running: { pid: place.pid, leftMs: expect.any(Number) } },
    ])
  })

  test('not written for a lease is a dead drill’s: resumed, or free where nothing was revoked', () => {
    const folder = newFolder()
    leaveDead(folder, 1, { ...place, silentMs: LEASE_MS + 1_000 })
    expect(listUnfinished(folder)).toMatchObject([{ about: ABOUT, running: null }])
    expect(() => openJournal(NEXT, { folder, sealer })).toThrow(/drl_dead died\./)
    resumeJournal('drl_dead', { folder, sealer }).journal.close()

    const unhurt = newFolder()
    leaveDead(unhurt, null, { ...place, silentMs: LEASE_MS + 1_000 })
    openJournal(NEXT, { folder: unhurt, sealer }).close()
    expect(listUnfinished(unhurt)).toEqual([])
  })
})

describe('a drill that holds its lock', () => {
  test('writes it anew, whole, while it runs', async () => {
    const folder = newFolder()
    const journal = openJournal(NEXT, { folder, sealer })
    const lock = join(folder, readdirSync(folder).find((name) => name.endsWith('.lock')) ?? '')
    utimesSync(lock, 1, 1)
    for (let tries = 0; statSync(lock).mtimeMs < 2_000 && tries < 400; tries += 1) {
      await new Promise((wait) => setTimeout(wait, 50))
    }
    expect(Date.now() - statSync(lock).mtimeMs).toBeLessThan(LEASE_MS)
    expect(listUnfinished(folder)).toMatchObject([{ running: { pid: process.pid } }])
    journal.close()
  }, 30_000)

  test('and stood still for a lease finds that it was taken over, and touches nothing of the other’s', () => {
    const folder = newFolder()
    const stood = openJournal(NEXT, { folder, sealer })
    stood.save({ ...emptyMemory(0), revokedAt: 1 }, NONE)
    const lock = join(folder, readdirSync(folder).find((name) => name.endsWith('.lock')) ?? '')
    utimesSync(lock, 1, 1)
    const other = resumeJournal('drl_next', { folder, sealer }).journal
    expect(() => stood.save(emptyMemory(0), NONE)).toThrow(/taken over by another process/)
    stood.close()
    stood.leave()
    other.hold()
    expect(listUnfinished(folder)).toMatchObject([
      { memory: { revokedAt: 1 }, running: { pid: process.pid } },
    ])
    other.leave()
    expect(listUnfinished(folder)).toMatchObject([{ running: null }])
  })
})
