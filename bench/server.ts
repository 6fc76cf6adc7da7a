import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Authority } from '../src/server/authority.ts'
import { type PostgresServer, startPostgres } from '../test/support/postgres.ts'
import { type Figure, isKept, renderFigures } from './figures.ts'
import type { HostInput } from './server/host.ts'
import { type HostProcess, load, pinLoad, startHost } from './server/host-process.ts'
import { CLIENT, openRescind } from './server/rescind-host.ts'

/** Requests of one measurement: as many, on as many tokens, for every server. */
const REQUESTS = 40_000
/** Before anything is measured the code is warm: with fewer, compiling it was 5 % of what followed. */
const WARM = 30_000
/** Tokens that are revoked, or not, and looked at afterwards. */
const CHECKED = 500
const SMALL_STORE = 10_000
const LARGE_STORE = 10_000_000
/** Tokens of one client, all revoked at once. */
const REACH_STORES = [1_000, 1_000_000]
/** Revocations of which the median counts: one waits for one flush to disk, and that varies. */
const REACH_CALLS = 100

const GRANT = 'grant_type=client_credentials&scope=read+write'

/** Requests a second, and the 99th percentile, of one server. */
interface Speeds {
  readonly introspect: number
  readonly token: number
  readonly revoke: number
  readonly revokeP99Ms: number
  readonly introspectP99Ms: number
  readonly tokenP99Ms: number
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: 'speed,postgres,reach,scale' },
    },
  })
  const rounds = Number(values.rounds)
  const isPinned = pinLoad()
  const loadBefore = (loadavg()[0] ?? 0).toFixed(1)
  const figures: Figure[] = []
  if (values.only.includes('speed')) figures.push(...(await speedFigures(rounds, isPinned)))
  if (values.only.includes('postgres')) figures.push(...(await postgresFigures(rounds, isPinned)))
  if (values.only.includes('reach')) figures.push(...(await reachFigures(rounds)))
  if (values.only.includes('scale')) figures.push(...(await scaleFigures(rounds, isPinned)))
  const memoryGb = Math.round(totalmem() / 2 ** 30)
  const machine = `${cpus().length} processors, ${memoryGb} GB, Node ${process.versions.node}`
  const pins = isPinned ? 'server and load each on a processor' : 'processors shared'
  const loadAfter = (loadavg()[0] ?? 0).toFixed(1)
  console.log(`\n${machine}; ${pins}; load ${loadBefore} before and ${loadAfter} after\n`)
  console.log(`${renderFigures(figures)}\n`)
  const missed = figures.filter((figure) => !isKept(figure))
  for (const { name } of missed) console.log(`Missed: ${name}`)
  return missed.length === 0
}

/** Starts a server, measures it, and checks that what it said is true. */
async function speedsOf(input: Omit<HostInput, 'tokens' | 'sample'>, isPinned: boolean) {
  const tokens = input.kind === 'bare' ? 0 : REQUESTS + WARM + 2 * CHECKED
  await using host = await startHost({ ...input, tokens, sample: tokens }, isPinned)
  const take = (many: number) =>
    input.kind === 'bare'
      ? Array.from({ length: many }, (_, index) => `token-${index}`)
      : host.sample.splice(0, many)
  const [warm, checked, revoked] = [take(WARM), take(CHECKED), take(REQUESTS)]
  const canIntrospect = input.kind !== 'postgres_by_ones'
  if (canIntrospect) await load(host, 'introspect', warm.map(bodyOf))
  const introspect = canIntrospect ? await load(host, 'introspect', revoked.map(bodyOf)) : null
  const token = canIntrospect ? await load(host, 'token', Array(REQUESTS / 2).fill(GRANT)) : null
  await load(host, 'revoke', warm.map(bodyOf))
  const revoke = await load(host, 'revoke', revoked.map(bodyOf))
  if (canIntrospect && input.kind !== 'bare') await checkTruth(host, revoked, checked)
  return {
    introspect: introspect?.perSecond ?? 0,
    token: token?.perSecond ?? 0,
    revoke: revoke.perSecond,
    revokeP99Ms: revoke.p99Ms,
    introspectP99Ms: introspect?.p99Ms ?? 0,
    tokenP99Ms: token?.p99Ms ?? 0,
  } satisfies Speeds
}

function bodyOf(token: string): string {
  return `token=${token}&token_type_hint=access_token`
}

/** What was revoked is dead, and what was not is alive: a fast lie is no speed. */
async function checkTruth(
  host: HostProcess,
  revoked: readonly string[],
  others: readonly string[],
) {
  const ask = async (tokens: readonly string[]) => {
    const { bodies } = await load(host, 'introspect', tokens.map(bodyOf), true)
    return bodies.filter((body) => (JSON.parse(body) as { active: boolean }).active).length
  }
  const survivors = await ask(revoked.slice(0, CHECKED))
  const alive = await ask(others)
  if (survivors !== 0 || alive !== others.length) {
    throw new Error(`${survivors} revoked tokens live, ${others.length - alive} others are dead.`)
  }
}

async function speedFigures(rounds: number, isPinned: boolean): Promise<Figure[]> {
  const kinds = ['bare', 'sqlite', 'oidc_memory', 'oidc_sqlite'] as const
  const all = await repeat(rounds, 'speed', async () => {
    const speeds = {} as Record<(typeof kinds)[number], Speeds>
    for (const kind of kinds) {
      const place = mkdtempSync(join(tmpdir(), 'rescind-bench-'))
      speeds[kind] = await speedsOf({ kind, place }, isPinned)
      rmSync(place, { recursive: true })
    }
    return speeds
  })
  type Kind = (typeof kinds)[number]
  const of = (kind: Kind, what: keyof Speeds) => all.map((speeds) => speeds[kind][what])
  const ratio = (what: keyof Speeds, to: Kind) =>
    all.map((speeds) => speeds.sqlite[what] / speeds[to][what])
  return [
    { name: 'bare server, requests/s', values: of('bare', 'revoke') },
    { name: 'revoke, durable, /s', values: of('sqlite', 'revoke') },
    { name: '  p99, ms', values: of('sqlite', 'revokeP99Ms'), digits: 1 },
    { name: '  to bare', values: ratio('revoke', 'bare'), digits: 2, target: { atLeast: 0.4 } },
    {
      name: '  to oidc-provider, durable',
      values: ratio('revoke', 'oidc_sqlite'),
      digits: 1,
      target: { atLeast: 8 },
    },
    {
      name: '  to oidc-provider, in memory',
      values: ratio('revoke', 'oidc_memory'),
      digits: 1,
      target: { atLeast: 3 },
    },
    { name: 'introspect, /s', values: of('sqlite', 'introspect') },
    { name: '  p99, ms', values: of('sqlite', 'introspectP99Ms'), digits: 1 },
    {
      name: '  to bare',
      values: all.map((speeds) => speeds.sqlite.introspect / speeds.bare.revoke),
      digits: 2,
      target: { atLeast: 0.5 },
    },
    {
      name: '  to oidc-provider, in memory',
      values: ratio('introspect', 'oidc_memory'),
      digits: 1,
      target: { atLeast: 4 },
    },
    { name: 'client_credentials, durable, /s', values: of('sqlite', 'token') },
    { name: '  p99, ms', values: of('sqlite', 'tokenP99Ms'), digits: 1 },
    {
      name: '  to oidc-provider, durable',
      values: ratio('token', 'oidc_sqlite'),
      digits: 1,
      target: { atLeast: 6 },
    },
    { name: 'oidc-provider, in memory: revoke, /s', values: of('oidc_memory', 'revoke') },
    { name: 'oidc-provider, durable: revoke, /s', values: of('oidc_sqlite', 'revoke') },
  ]
}

async function postgresFigures(rounds: number, isPinned: boolean): Promise<Figure[]> {
  const server: PostgresServer = await startPostgres()
  try {
    const all = await repeat(rounds, 'postgres', async () => ({
      ours: await speedsOf({ kind: 'postgres', place: await server.createDatabase() }, isPinned),
      ones: await speedsOf(
        { kind: 'postgres_by_ones', place: await server.createDatabase() },
        isPinned,
      ),
      oidc: await speedsOf(
        { kind: 'oidc_postgres', place: await server.createDatabase() },
        isPinned,
      ),
    }))
    const toOidc = (what: keyof Speeds): Figure => ({
      name: '  to oidc-provider, one commit a request',
      values: all.map(({ ours, oidc }) => ours[what] / oidc[what]),
      digits: 1,
    })
    return [
      { name: 'PostgreSQL: revoke, durable, /s', values: all.map(({ ours }) => ours.revoke) },
      {
        name: '  to a bare UPDATE, one commit a request',
        values: all.map(({ ours, ones }) => ours.revoke / ones.revoke),
        digits: 1,
      },
      toOidc('revoke'),
      { name: '  p99, ms', values: all.map(({ ours }) => ours.revokeP99Ms), digits: 1 },
      { name: 'PostgreSQL: introspect, /s', values: all.map(({ ours }) => ours.introspect) },
      toOidc('introspect'),
      { name: '  p99, ms', values: all.map(({ ours }) => ours.introspectP99Ms), digits: 1 },
      {
        name: 'PostgreSQL: client_credentials, durable, /s',
        values: all.map(({ ours }) => ours.token),
      },
      toOidc('token'),
      { name: '  p99, ms', values: all.map(({ ours }) => ours.tokenP99Ms), digits: 1 },
    ]
  } finally {
    await server.stop()
  }
}

/** The same work on a store of ten thousand tokens and on one of ten million, each in a process that did not fill it. */
async function scaleFigures(rounds: number, isPinned: boolean): Promise<Figure[]> {
  const large = await filledStore(LARGE_STORE, (rounds + 1) * SMALL_STORE)
  const all = await repeat(rounds, 'scale', async () => {
    const small = await filledStore(SMALL_STORE, SMALL_STORE)
    const smallSpeeds = await storeSpeeds(small, isPinned)
    rmSync(small.place, { recursive: true })
    return { small: smallSpeeds, large: await storeSpeeds(large, isPinned) }
  })
  rmSync(large.place, { recursive: true })
  const slowdown = (what: 'introspect' | 'revoke') =>
    all.map((speeds) => speeds.small[what] / speeds.large[what])
  return [
    {
      name: 'introspect with 10,000,000 tokens: slowdown',
      values: slowdown('introspect'),
      digits: 2,
      target: { atMost: 1.3 },
    },
    {
      name: 'revoke with 10,000,000 tokens: slowdown',
      values: slowdown('revoke'),
      digits: 2,
      target: { atMost: 1.3 },
    },
    {
      name: 'peak memory with 10,000,000 tokens, MB',
      values: all.map(({ large: { peakMb } }) => peakMb),
      target: { atMost: 400 },
    },
  ]
}

interface FilledStore {
  readonly place: string
  /** Tokens that no round has taken yet. */
  readonly sample: string[]
}

async function filledStore(tokens: number, sample: number): Promise<FilledStore> {
  const place = mkdtempSync(join(tmpdir(), 'rescind-bench-'))
  if (tokens === LARGE_STORE) console.error(`scale: writing ${tokens} tokens, which takes minutes`)
  await using host = await startHost({ kind: 'sqlite', place, tokens, sample }, false)
  return { place, sample: host.sample }
}

async function storeSpeeds({ place, sample }: FilledStore, isPinned: boolean) {
  await using host = await startHost({ kind: 'sqlite', place, tokens: 0, sample: 0 }, isPinned)
  const bodies = sample.splice(0, SMALL_STORE).map(bodyOf)
  await load(host, 'introspect', bodies)
  const introspect = await load(host, 'introspect', bodies)
  const revoke = await load(host, 'revoke', bodies)
  const { perSecond: introspectPerSecond } = introspect
  return {
    ...{ introspect: introspectPerSecond, revoke: revoke.perSecond },
    peakMb: await host.peakMb(),
  }
}

/** The time to revoke all of a client that holds a million tokens, beside one that holds a thousand. */
async function reachFigures(rounds: number): Promise<Figure[]> {
  const stores = await Promise.all(
    REACH_STORES.map(async (tokens) => {
      const place = mkdtempSync(join(tmpdir(), 'rescind-bench-'))
      const { authority } = await openRescind({ kind: 'sqlite', place, tokens, sample: 0 })
      return { place, authority }
    }),
  )
  const medianMs = async (authority: Authority): Promise<number> => {
    const times: number[] = []
    for (let call = 0; call < REACH_CALLS; call += 1) {
      const startedAt = performance.now()
      await authority.revoke({ client: CLIENT })
      times.push(performance.now() - startedAt)
    }
    return times.sort((one, other) => one - other)[REACH_CALLS / 2] ?? 0
  }
  const all = await repeat(rounds, 'reach', async () => {
    const [few, many] = stores
    if (!few || !many) throw new Error('There are two stores.')
    return { few: await medianMs(few.authority), many: await medianMs(many.authority) }
  })
  for (const { authority, place } of stores) {
    await authority.close()
    rmSync(place, { recursive: true })
  }
  return [
    {
      name: 'revoke all of a client with 1,000,000 tokens, ms',
      values: all.map(({ many }) => many),
      digits: 2,
    },
    {
      name: '  to one with 1,000',
      values: all.map(({ few, many }) => many / few),
      digits: 2,
      target: { atMost: 1.5 },
    },
  ]
}

async function repeat<T>(rounds: number, what: string, work: () => Promise<T>): Promise<T[]> {
  const done: T[] = []
  for (let round = 1; round <= rounds; round += 1) {
    console.error(`${what}: round ${round} of ${rounds}`)
    done.push(await work())
  }
  return done
}

process.exitCode = (await main()) ? 0 : 1
