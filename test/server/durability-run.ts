import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { seededRandom } from '../../src/core/clock.ts'
import type { AuthorityStore } from '../../src/store/authority/contract.ts'
import { openAuthority } from './durability-authority.ts'
import { type Checked, checkLedger, readLedger } from './durability-ledger.ts'
import { type Line, runLoad } from './durability-load.ts'

const CHILD = fileURLToPath(new URL('./durability-child.ts', import.meta.url))
/** A kill comes so long after the first answer, at most. */
const LOAD_MS_MAX = 250
/** A process that was killed has its statements still running for a moment. */
const QUIET_MS = 10

export interface KillOptions {
  /** A path of an SQLite file, or a connection string of PostgreSQL. */
  readonly place: string
  readonly rounds: number
  /** On a slow machine a round checks little: more follow, three times as many at most, until each kind has so many. */
  readonly least?: number
  readonly seed: number
  /** In every other round a process of the database is killed first, and the load goes on. */
  readonly killsBackends?: boolean
}

/** Kills the authority under load with SIGKILL at random moments, and holds its store against its answers. */
export async function checkKills(options: KillOptions): Promise<Checked> {
  const { place, rounds, least = 0, seed, killsBackends = false } = options
  const random = seededRandom(seed)
  const total = { dead: 0, alive: 0, deadAccess: 0, events: 0 }
  const all: Line[] = []
  const isEnough = () => Math.min(total.dead, total.alive, total.deadAccess) > least
  for (let round = 1; round <= (isEnough() ? 1 : 4) * rounds; round += 1) {
    const hurt = killsBackends && round % 2 === 0 ? () => killBackend(place, random) : undefined
    const lines = await loadAndKill(place, seed * 10_000 + round, random() * LOAD_MS_MAX, hurt)
    if (place.startsWith('postgres:')) await quiet(place)
    const checked = await checkPlace(place, lines, `seed ${seed}, round ${round}`)
    total.dead += checked.dead
    total.alive += checked.alive
    total.deadAccess += checked.deadAccess
    total.events = checked.events
    all.push(...lines)
  }
  // What an earlier round was answered, a later death has not undone.
  await checkPlace(place, all, `seed ${seed}, all rounds`)
  return total
}

async function checkPlace(place: string, lines: readonly Line[], what: string): Promise<Checked> {
  await using opened = await openAuthority(place)
  try {
    return await checkLedger(opened.core, readLedger(lines))
  } catch (error) {
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error })
  }
}

async function loadAndKill(
  place: string,
  name: number,
  loadMs: number,
  hurt: (() => Promise<void>) | undefined,
): Promise<readonly Line[]> {
  const child = spawn(process.execPath, ['--no-warnings', CHILD], {
    env: { ...process.env, DURABILITY_PLACE: place, DURABILITY_NAME: String(name) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [said, trouble] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk
  })
  child.stderr.on('data', (chunk: Buffer) => {
    trouble += chunk
  })
  const closed = once(child, 'close')
  await Promise.race([once(child.stdout, 'data'), closed])
  await sleep(loadMs)
  if (hurt) {
    await hurt()
    await sleep(loadMs)
  }
  child.kill('SIGKILL')
  const [, signal] = (await closed) as [number | null, string | null]
  assert.equal(signal, 'SIGKILL', `the load ended by itself: ${trouble}`)
  // What follows the last end of line was not said to its end.
  const lines = said.split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Line)
}

/** Ends one of the database's own processes: the database then starts all over. */
async function killBackend(place: string, random: () => number): Promise<void> {
  const pids = await inDatabase(place, othersOf)
  const pid = pids[Math.floor(random() * pids.length)]
  assert.ok(pid !== undefined, 'the load has no process of the database')
  process.kill(pid, 'SIGKILL')
}

async function quiet(place: string): Promise<void> {
  for (;;) {
    const others = await inDatabase(place, othersOf).catch(() => [0])
    if (others.length === 0) return
    await sleep(QUIET_MS)
  }
}

async function othersOf(client: pg.Client): Promise<number[]> {
  const { rows } = await client.query(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
      AND backend_type = 'client backend' AND pid <> pg_backend_pid()`,
  )
  return rows.map(({ pid }: { pid: number }) => pid)
}

async function inDatabase<T>(place: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: place })
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end().catch(() => {})
  }
}

/**
 * Copies the files of an SQLite store in the moment of an answer, as a power cut would leave them, and
 * holds each copy against what had been answered by then.
 */
export async function checkPowerCuts(options: {
  /** A folder for the store and its copies. */
  readonly folder: string
  readonly cuts: number
  readonly seed: number
  readonly spoil?: (store: AuthorityStore) => AuthorityStore
}): Promise<Checked> {
  const { folder, cuts, seed, spoil } = options
  const random = seededRandom(seed)
  const copies: { path: string; lines: number }[] = []
  const lines: Line[] = []
  const stop = new AbortController()
  await using opened = await openAuthority(join(folder, 'authority.db'), spoil)
  let answersLeft = 1 + Math.floor(random() * 40)
  await runLoad({
    ...{ core: opened.core, client: opened.client, name: String(seed), random },
    signal: stop.signal,
    say(line) {
      lines.push(line)
      if (line.did === 'ask' || stop.signal.aborted) return
      answersLeft -= 1
      if (answersLeft > 0) return
      answersLeft = 1 + Math.floor(random() * 40)
      copies.push({ path: copyStore(folder, copies.length), lines: lines.length })
      if (copies.length >= cuts) stop.abort()
    },
  })
  const total = { dead: 0, alive: 0, deadAccess: 0, events: 0 }
  for (const [index, copy] of copies.entries()) {
    const checked = await checkPlace(copy.path, lines.slice(0, copy.lines), `cut ${index}`)
    total.dead += checked.dead
    total.alive += checked.alive
    total.deadAccess += checked.deadAccess
    total.events = checked.events
  }
  return total
}

/** The shared memory of the log is lost with the power, and made again from the log. */
function copyStore(folder: string, number: number): string {
  const copy = join(folder, `cut-${number}`)
  mkdirSync(copy)
  for (const name of ['authority.db', 'authority.db-wal']) {
    copyFileSync(join(folder, name), join(copy, name))
  }
  return join(copy, 'authority.db')
}
