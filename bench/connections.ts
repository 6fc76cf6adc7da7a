import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cpus, loadavg, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createHealth } from '../src/connections/health.ts'
import { createVault } from '../src/connections/vault.ts'
import { connectionTenant, type VaultParts } from '../src/connections/vault-parts.ts'
import { createWatch } from '../src/connections/watch.ts'
import { systemClock } from '../src/core/clock.ts'
import { createHttp } from '../src/core/http.ts'
import { Secret } from '../src/core/secret.ts'
import { openStore } from '../src/store/store.ts'
import { type Figure, isKept, median, renderFigures } from './figures.ts'

/** Reads in one measurement; some tenths of a second. */
const READS = 200_000
/** Requests to the provider with a token each, to see what the vault adds to one. */
const REQUESTS = 1_000
const TURNS = 5
/** Connections whose tokens are read in turn: those of a busy job. */
const HEALTHY = 200
const OWNER_KEYS = { tags: '[]', scopes: '[]', identity: null, facts: '{}' } as const

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '100000' },
    round: { type: 'boolean', default: false },
  },
})

/** The figures of one round, each round in a process of its own. */
interface Round {
  readonly readsPerSecond: number
  readonly plainReadsPerSecond: number
  readonly requestsPerSecond: number
  readonly plainRequestsPerSecond: number
  readonly watchSeconds: number
  readonly plainWatchSeconds: number
  readonly watchMemoryMiB: number
  readonly watched: number
}

async function main(rounds: number, connections: number): Promise<number> {
  const model = cpus()[0]?.model ?? 'unknown'
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`
  console.log(`${cpus().length} × ${model}, ${memory}, load ${loadavg()[0]?.toFixed(1)}`)
  const found: Round[] = []
  for (let n = 1; n <= rounds; n += 1) {
    console.log(`Round ${n} of ${rounds} …`)
    found.push(await inProcess(connections))
  }
  const of = (figure: (one: Round) => number) => found.map(figure)
  const figures: readonly Figure[] = [
    { name: 'reads of a healthy credential a second', values: of((one) => one.readsPerSecond) },
    {
      name: '  as a share of a plain map with a mutex a credential',
      values: of((one) => one.readsPerSecond / one.plainReadsPerSecond),
      digits: 2,
    },
    {
      name: '  microseconds added to a request',
      values: of((one) => 1e6 / one.readsPerSecond),
      digits: 1,
    },
    {
      name: 'requests to a provider, as a share of those with a fixed token',
      values: of((one) => one.requestsPerSecond / one.plainRequestsPerSecond),
      digits: 2,
      target: { atLeast: 0.9 },
    },
    {
      name: `seconds to check ${connections.toLocaleString('en-US')} connections`,
      values: of((one) => one.watchSeconds),
      digits: 1,
    },
    {
      name: '  as a multiple of the bare probes, as many at once',
      values: of((one) => one.watchSeconds / one.plainWatchSeconds),
      digits: 2,
    },
    { name: '  MiB of memory it takes', values: of((one) => one.watchMemoryMiB) },
  ]
  console.log(renderFigures(figures))
  const isWhole = found.every(({ watched }) => watched === connections)
  if (!isWhole) console.log('Not every connection was checked.')
  return isWhole && figures.every(isKept) ? 0 : 1
}

function inProcess(connections: number): Promise<Round> {
  const args = [fileURLToPath(import.meta.url), '--round', `--connections=${connections}`]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  return new Promise((resolve, reject) =>
    child.on('close', (code) =>
      code === 0 ? resolve(JSON.parse(output) as Round) : reject(new Error('a round failed')),
    ),
  )
}

async function round(connections: number): Promise<Round> {
  const home = mkdtempSync(join(tmpdir(), 'rescind-bench-'))
  const provider = await startProvider()
  const http = createHttp()
  const store = await openStore({ home })
  const tenant = connectionTenant({
    ...{ name: 'bench', provider: 'oauth2', url: provider.url, login: {}, options: {} },
    app: {
      ...{ clientId: 'bench', clientSecret: null, redirectUri: 'http://127.0.0.1/cb' },
      ...{ scopes: [], options: {} },
    },
  })
  const parts: VaultParts = {
    ...{ store: store.connections, http, clock: systemClock, random: Math.random },
    tenantOf: () => tenant,
  }
  const vault = createVault(parts)
  const ids = await fill(store, connections)
  const healthy = ids.slice(0, HEALTHY)
  const plain = plainVault(healthy)
  const read = async (id: string) => (await vault.accessToken(id)).token
  const readsPerSecond = await perSecond(READS, (n) => read(healthy[n % HEALTHY] as string))
  const plainReadsPerSecond = await perSecond(READS, (n) => plain(healthy[n % HEALTHY] as string))
  const fixed = new Secret('at')
  const ask = async (token: Secret) => void (await tenant.way.probe(tenant.app, token, { http }))
  const { requestsPerSecond, plainRequestsPerSecond } = await inTurns(
    async (n) => ask(await read(healthy[n % HEALTHY] as string)),
    () => ask(fixed),
  )
  const before = process.memoryUsage().rss
  let peak = before
  const looking = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss)
  }, 50)
  const watch = createWatch(parts, createHealth(parts, vault))
  const startedAt = performance.now()
  const { checked } = await watch.pass({ signal: new AbortController().signal })
  const watchSeconds = (performance.now() - startedAt) / 1000
  clearInterval(looking)
  const plainWatchSeconds = connections / (await atOnce(connections, 16, () => ask(fixed)))
  await store.close()
  await http.close()
  provider.server.closeAllConnections()
  provider.server.close()
  rmSync(home, { recursive: true })
  return {
    ...{ readsPerSecond, plainReadsPerSecond, requestsPerSecond, plainRequestsPerSecond },
    ...{ watchSeconds, plainWatchSeconds, watched: checked },
    watchMemoryMiB: (peak - before) / 2 ** 20,
  }
}

/** Connections that are due at once, whose tokens are good. */
async function fill({ connections, path }: Awaited<ReturnType<typeof openStore>>, count: number) {
  const ids: string[] = []
  const { DatabaseSync } = await import('node:sqlite')
  const now = Date.now()
  for (let n = 0; n < HEALTHY; n += 1) {
    const row = await connections.add(
      {
        ...{ ...OWNER_KEYS, tenant: 'bench', provider: 'oauth2', owner: `owner ${n}` },
        ...{ state: 'connected', due_at: 1, identity: JSON.stringify(IDENTITY) },
      },
      {
        ...{ access: new Secret(`at${n}`), refresh: new Secret(`rt${n}`) },
        ...{ expiresAt: now + 3_600_000, renewAt: now + 3_500_000 },
      },
      { type: 'connection.created', to: 'connected', cause: null, notice: false },
    )
    ids.push(row.id)
  }
  // The rest are copies without a flush each; their tokens are sealed for them, as every token is.
  using raw = new DatabaseSync(path)
  raw.exec('PRAGMA synchronous = OFF; BEGIN IMMEDIATE')
  await addCopies(raw, path, ids, count)
  raw.exec('COMMIT')
  return ids
}

async function addCopies(
  raw: import('node:sqlite').DatabaseSync,
  path: string,
  ids: string[],
  count: number,
): Promise<void> {
  const { createSealer } = await import('../src/store/sealing.ts')
  const { loadKey } = await import('../src/store/key.ts')
  const sealer = createSealer(loadKey(join(path, '..', 'key'), undefined))
  const row = raw.prepare(
    `INSERT INTO connection SELECT ?, ?, tenant, provider, owner, tags, state, cause, scopes, identity, facts,
      version, ?, ?, access_expires_at, renew_at, created_at, changed_at, checked_at, due_at,
      failures, fence, intent, intent_at, revoked_at_provider, NULL FROM connection WHERE no = 1`,
  )
  const tokens = raw.prepare('INSERT INTO connection_token VALUES (?, 1, ?, ?, NULL, NULL)')
  for (let no = HEALTHY + 1; no <= count; no += 1) {
    const id = `con_${String(no).padStart(10, '0')}`
    const seal = (column: string) =>
      sealer.seal(new Secret(`${column}${no}`), {
        ...{ tenant: 'bench', column: `connection_token.${column}`, row: id },
      })
    row.run(no, id, `fp_a${no}`, `fp_r${no}`)
    tokens.run(no, seal('access'), seal('refresh'))
    ids.push(id)
  }
}

const IDENTITY = { user: 'ann', org: '', name: null }

/** A provider that says yes at once: what is measured is ours. */
async function startProvider(): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer((request, response) => {
    const issuer = `http://${request.headers.host}`
    const body = request.url?.startsWith('/.well-known')
      ? {
          ...{ issuer, token_endpoint: `${issuer}/token`, userinfo_endpoint: `${issuer}/me` },
          revocation_endpoint: `${issuer}/revoke`,
        }
      : { sub: 'ann' }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  IDENTITY.org = url
  return { url, server }
}

/** What one writes in an afternoon: tokens in a map, and a mutex a credential around each use. */
function plainVault(ids: readonly string[]) {
  const tokens = new Map(
    ids.map((id) => [id, { token: new Secret(id), until: Date.now() + 3.6e6 }]),
  )
  const locks = new Map<string, Promise<unknown>>()
  return async (id: string): Promise<Secret> => {
    const before = locks.get(id) ?? Promise.resolve()
    const mine = before.then(() => {
      const found = tokens.get(id)
      if (!found || found.until < Date.now()) throw new Error('refresh')
      return found.token
    })
    locks.set(id, mine)
    return mine
  }
}

/** Both sides in turns, so that a machine that warms up or slows down does so for both. */
async function inTurns(
  ours: (n: number) => Promise<unknown>,
  plain: (n: number) => Promise<unknown>,
): Promise<Pick<Round, 'requestsPerSecond' | 'plainRequestsPerSecond'>> {
  const speeds = { ours: [] as number[], plain: [] as number[] }
  for (let turn = 0; turn <= TURNS; turn += 1) {
    const [one, other] = [await perSecond(REQUESTS, ours), await perSecond(REQUESTS, plain)]
    // The first turn warms up.
    if (turn === 0) continue
    speeds.ours.push(one)
    speeds.plain.push(other)
  }
  return {
    requestsPerSecond: median(speeds.ours),
    plainRequestsPerSecond: median(speeds.plain),
  }
}

async function perSecond(count: number, work: (n: number) => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  for (let n = 0; n < count; n += 1) await work(n)
  return count / ((performance.now() - startedAt) / 1000)
}

async function atOnce(count: number, lanes: number, work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  let left = count
  const lane = async () => {
    for (; left > 0; left -= 1) await work()
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return count / ((performance.now() - startedAt) / 1000)
}

if (options.round) console.log(JSON.stringify(await round(Number(options.connections))))
else process.exitCode = await main(Number(options.rounds), Number(options.connections))
