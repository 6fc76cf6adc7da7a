import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { emptyMemory } from '../../../src/connections/drill/context.ts'

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

/** What a process leaves that was killed. */
function leaveDead(folder: string, revokedAt: number | null): void {
  const about = { drill: 'drl_dead', subject: 'con_1', via: 'rescind', depth: 'refresh' } as const
  const gone = { pid: 2 ** 22 + 1, host: hostname() }
  const memory = { ...emptyMemory(0), revokedAt }
  const kept = { about, ...gone, memory, secrets: null }
  writeFileSync(join(folder, 'drl_dead.json'), JSON.stringify(kept))
  const lock = join(folder, 'rescind-con_1.1.lock')
  writeFileSync(lock, JSON.stringify({ drill: 'drl_dead', ...gone }))
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
