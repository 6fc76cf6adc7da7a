import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type PostgresServer, startPostgres } from '../test/support/postgres.ts'
import { type Figure, isKept, renderFigures } from './figures.ts'
import type { HostInput } from './server/host.ts'
import { type HostProcess, load, pinLoad, startHost } from './server/host-process.ts'

/** Requests of one measurement; a server of some thousand a second takes seconds. */
const REQUESTS = { fast: 40_000, slow: 8_000 }
/** Before anything is measured the code is warm. */
const WARM = 8_000
/** Tokens that are revoked, or not, and looked at afterwards. */
const CHECKED = 500
const SMALL_STORE = 10_000
const LARGE_STORE = 10_000_000

const GRANT = 'grant_type=client_credentials&scope=read+write'

/** Requests a second, and the 99th percentile, of one server. */
interface Speeds {
  readonly introspect: number
  readonly token: number
  readonly revoke: number
  readonly revokeP99Ms: number
  readonly introspectP99Ms: number
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: 'speed,postgres,scale' },
    },
  })
  const rounds = Number(values.rounds)
  const isPinned = pinLoad()
  const loadBefore = (loadavg()[0] ?? 0).toFixed(1)
  const figures: Figure[] = []
  if (values.only.includes('speed')) figures.push(...(await speedFigures(rounds, isPinned)))
  if (values.only.includes('postgres')) figures.push(...(await postgresFigures(rounds, isPinned)))
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
  const isSlow = input.kind.startsWith('oidc') || input.kind === 'postgres_by_ones'
  const count = isSlow ? REQUESTS.slow : REQUESTS.fast
  const tokens = input.kind === 'bare' ? 0 : count + WARM + 2 * CHECKED
  await using host = await startHost({ ...input, tokens, sample: tokens }, isPinned)
  const take = (many: number) =>
    input.kind === 'bare'
      ? Array.from({ length: many }, (_, index) => `token-${index}`)
      : host.sample.splice(0, many)
  const [warm, checked, revoked] = [take(WARM), take(CHECKED), take(count)]
  const canIntrospect = input.kind !== 'postgres_by_ones'
  if (canIntrospect) await load(host, 'introspect', warm.map(bodyOf))
  const introspect = canIntrospect ? await load(host, 'introspect', revoked.map(bodyOf)) : null
  const token = canIntrospect
    ? await load(host, 'token', Array(Math.round(count / 2)).fill(GRANT))
    : null
  await load(host, 'revoke', warm.map(bodyOf))
  const revoke = await load(host, 'revoke', revoked.map(bodyOf))
  if (canIntrospect && input.kind !== 'bare') await checkTruth(host, revoked, checked)
  return {
    introspect: introspect?.perSecond ?? 0,
    token: token?.perSecond ?? 0,
    revoke: revoke.perSecond,
    revokeP99Ms: revoke.p99Ms,
    introspectP99Ms: introspect?.p99Ms ?? 0,
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
    }))
    return [
      { name: 'PostgreSQL: revoke, durable, /s', values: all.map(({ ours }) => ours.revoke) },
      {
        name: '  to one commit a request',
        values: all.map(({ ours, ones }) => ours.revoke / ones.revoke),
        digits: 1,
      },
      { name: '  introspect, /s', values: all.map(({ ours }) => ours.introspect) },
      { name: '  client_credentials, durable, /s', values: all.map(({ ours }) => ours.token) },
    ]
  } finally {
    await server.stop()
  }
}

/** The same work on a store of ten thousand tokens and on one of ten million. */
async function scaleFigures(rounds: number, isPinned: boolean): Promise<Figure[]> {
  const sides = await Promise.all(
    [SMALL_STORE, LARGE_STORE].map(async (tokens) => {
      const place = mkdtempSync(join(tmpdir(), 'rescind-bench-'))
      const sample = Math.min(tokens, (rounds + 1) * SMALL_STORE)
      return { place, tokens, sample }
    }),
  )
  const speeds: { introspect: number; revoke: number }[][] = [[], []]
  let kept: string[] = []
  let peakMb = 0
  for (const [index, { place, tokens, sample }] of sides.entries()) {
    for (let round = 0; round < rounds; round += 1) {
      // The small store is spent in one round, and made anew.
      if (index === 0) rmSync(place, { recursive: true, force: true })
      const isFilled = index === 1 && round > 0
      const input = { kind: 'sqlite', place, tokens: isFilled ? 0 : tokens, sample } as const
      console.error(`scale: ${tokens} tokens, round ${round + 1} of ${rounds}`)
      await using host = await startHost(input, isPinned)
      if (host.sample.length > 0) kept = host.sample
      const own = kept.splice(0, Math.min(SMALL_STORE, kept.length))
      await load(host, 'introspect', own.map(bodyOf))
      const introspect = await load(host, 'introspect', own.map(bodyOf))
      const revoke = await load(host, 'revoke', own.map(bodyOf))
      speeds[index]?.push({ introspect: introspect.perSecond, revoke: revoke.perSecond })
      if (isFilled) peakMb = Math.max(peakMb, await host.peakMb())
    }
  }
  for (const { place } of sides) rmSync(place, { recursive: true, force: true })
  const slowdown = (what: 'introspect' | 'revoke') =>
    (speeds[0] ?? []).map((small, round) => small[what] / (speeds[1]?.[round]?.[what] ?? 0))
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
    { name: 'peak memory with 10,000,000 tokens, MB', values: [peakMb], target: { atMost: 400 } },
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
