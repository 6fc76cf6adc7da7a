import { spawn } from 'node:child_process'
import { cpus, loadavg, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Fault } from '../emulators/index.ts'
import { type OrgProcess, spawnSalesforce } from '../emulators/salesforce/spawn.ts'
import type { GrantTruth } from '../emulators/salesforce/truth.ts'
import { READ_LANES } from '../src/providers/salesforce/lanes.ts'
import { fetchAndDiscard } from './ceiling.ts'
import { type Figure, isKept, renderFigures } from './figures.ts'
import type { InventoryRound } from './inventory-round.ts'
import { CLIENT_APP, type KillRound, SPARED_APPS } from './kill-plan.ts'
import { killOneAtATime } from './naive.ts'

/** Of every answer, as of an org in the same country. */
const LATENCY_MS = 40
/** So that a little over 20,000 tokens are left when those of external client apps are spared. */
const TOKENS = 21_200
const KILLS_MIN = 20_000
/** At one kill in some 45 ms, 300 take a quarter of a minute: enough to know their rate. */
const NAIVE_KILLS = 300
const INVENTORY_TOKENS = 1_000_000
const SEED = 5

const FAULTS: readonly Fault[] = [
  { kind: 'bad_id_404', on: 'revoke', probability: 0.004 },
  { kind: 'error_500_after_effect', on: 'revoke', probability: 0.004 },
  { kind: 'reset_before_effect', on: 'revoke', probability: 0.004 },
  { kind: 'reset_after_effect', on: 'revoke', probability: 0.004 },
  { kind: 'ok_without_effect', on: 'revoke', probability: 0.0038 },
  { kind: 'too_many_429', on: 'revoke', probability: 0.0002 },
]

/** The figures of one round. */
interface Round {
  readonly naivePerSecond: readonly number[]
  readonly clean: Run
  readonly faulty: Run
}

/** A run of the client, held against the org's truth. */
interface Run extends KillRound {
  /** Planned tokens that live on in truth. */
  readonly lost: number
  /** Tokens outside the plan that died. */
  readonly strays: number
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: 'kills,inventory' },
    },
  })
  const rounds = Number(values.rounds)
  const memoryGb = Math.round(totalmem() / 2 ** 30)
  const machine = `${cpus().length} processors, ${memoryGb} GB, Node ${process.versions.node}`
  const load = () => (loadavg()[0] ?? 0).toFixed(1)
  const loadBefore = load()
  const figures: Figure[] = []
  if (values.only.includes('kills')) {
    figures.push(...killFigures(await repeat(rounds, 'kills', killRound)))
  }
  if (values.only.includes('inventory')) figures.push(...(await inventoryFigures(rounds)))
  console.log(`\n${machine}; load ${loadBefore} before and ${load()} after; ${rounds} rounds\n`)
  console.log(`${renderFigures(figures)}\n`)
  const missed = figures.filter((figure) => !isKept(figure))
  for (const { name } of missed) console.log(`Missed: ${name}`)
  return missed.length === 0
}

async function repeat<T>(rounds: number, what: string, work: () => Promise<T>): Promise<T[]> {
  const done: T[] = []
  for (let round = 1; round <= rounds; round += 1) {
    console.error(`${what}: round ${round} of ${rounds}`)
    done.push(await work())
  }
  return done
}

async function killRound(): Promise<Round> {
  const naive = await spawnSalesforce({ seed: SEED, latencyMs: LATENCY_MS })
  try {
    const tokens: string[] = []
    for await (const { deleteToken } of naive.grants()) tokens.push(deleteToken)
    const sample = (from: number) => tokens.slice(from, from + NAIVE_KILLS)
    const before = await killOneAtATime(naive.url, sample(0))
    const clean = await runClient([])
    const after = await killOneAtATime(naive.url, sample(NAIVE_KILLS))
    const faulty = await runClient(FAULTS)
    return { naivePerSecond: [before, after], clean, faulty }
  } finally {
    naive.close()
  }
}

async function runClient(faults: readonly Fault[]): Promise<Run> {
  const size = { tokens: TOKENS }
  const org = await spawnSalesforce({ seed: SEED, size, latencyMs: LATENCY_MS, faults })
  try {
    const round = await inOwnProcess<KillRound>('kill-round.ts', org)
    return { ...round, ...(await audit(org, round)) }
  } finally {
    org.close()
  }
}

/**
 * Holds the org's own books against what the plan was made for: every app but those that are spared,
 * and never a token that the client works with.
 */
async function audit(org: OrgProcess, { planned, sessions }: KillRound) {
  const { username } = org.credentials.integration
  const isDue = ({ app, username: owner }: GrantTruth) =>
    !SPARED_APPS.includes(app) && !(owner === username && app === CLIENT_APP)
  let [due, lost, strays] = [0, 0, 0]
  for await (const grant of org.grants()) {
    if (isDue(grant)) due += 1
    if (isDue(grant) && grant.alive) lost += 1
    if (!isDue(grant) && !grant.alive) strays += 1
  }
  if (due !== planned - sessions) throw new Error(`${due} grants are due, and ${planned} planned`)
  return { lost, strays }
}

/** Runs a part of the client in a process of its own, as the command line is one. */
async function inOwnProcess<Result>(file: string, org: OrgProcess): Promise<Result> {
  const { clientId, clientSecret } = org.credentials.integration
  const input = JSON.stringify({ url: org.url, clientId, clientSecret })
  const child = spawn(process.execPath, [fileURLToPath(new URL(file, import.meta.url))], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, BENCH_INPUT: input },
  })
  let text = ''
  for await (const chunk of child.stdout) text += chunk
  if (text === '') throw new Error(`${file} failed; its own message is above`)
  return JSON.parse(text) as Result
}

function killFigures(rounds: readonly Round[]): readonly Figure[] {
  const clean = rounds.map((round) => round.clean)
  const faulty = rounds.map((round) => round.faulty)
  const perSecond = ({ kills, seconds }: Run) => kills / seconds
  const overNaive = (rate: (run: Run) => number) =>
    rounds.flatMap((round) => round.naivePerSecond.map((naive) => rate(round.clean) / naive))
  const ideal = (run: Run) => run.meanConcurrency / (LATENCY_MS / 1000)
  const ofBoth = [...clean, ...faulty]
  return [
    {
      name: 'kills in a run',
      values: clean.map((run) => run.kills),
      target: { atLeast: KILLS_MIN },
    },
    { name: 'one at a time, kills/s', values: rounds.flatMap((r) => r.naivePerSecond), digits: 1 },
    { name: 'rescind, kills/s', values: clean.map(perSecond) },
    { name: 'ratio to one at a time', values: overNaive(perSecond), target: { atLeast: 40 } },
    {
      name: 'the same, with the canary and the proof',
      values: overNaive((run) => run.planned / run.secondsWithProof),
    },
    { name: 'concurrency in force', values: clean.map((run) => run.meanConcurrency), digits: 1 },
    {
      name: 'share of its ideal, concurrency ÷ latency',
      values: clean.map((run) => perSecond(run) / ideal(run)),
      digits: 2,
      target: { atLeast: 0.85 },
    },
    { name: 'processor time a kill, ms', values: clean.map((run) => run.cpuMsPerKill), digits: 2 },
    {
      name: '2 % faults: kills/s',
      values: faulty.map((run) => run.planned / run.secondsWithProof),
    },
    {
      name: 'planned, not proven dead',
      values: ofBoth.map((run) => run.planned - run.dead),
      target: { atMost: 0 },
    },
    { name: 'lost in truth', values: ofBoth.map((run) => run.lost), target: { atMost: 0 } },
    {
      name: 'dead outside the plan',
      values: ofBoth.map((run) => run.strays),
      target: { atMost: 0 },
    },
  ]
}

async function inventoryFigures(rounds: number): Promise<readonly Figure[]> {
  const size = { tokens: INVENTORY_TOKENS }
  const org = await spawnSalesforce({ seed: SEED, size, latencyMs: LATENCY_MS })
  try {
    const taken = await repeat(rounds, 'inventory', async () => {
      const round = await inOwnProcess<InventoryRound>('inventory-round.ts', org)
      const ceiling = await fetchAndDiscard(org, round.queries, READ_LANES)
      return { round, ceiling }
    })
    const of = (value: (round: InventoryRound) => number) => taken.map(({ round }) => value(round))
    return [
      {
        name: 'tokens in an inventory',
        values: of((r) => r.tokens),
        target: { atLeast: INVENTORY_TOKENS },
      },
      { name: 'complete, of 1', values: of((r) => Number(r.complete)), target: { atLeast: 1 } },
      { name: 'peak memory, MB', values: of((r) => r.peakMb), target: { atMost: 400 } },
      { name: 'tokens/s', values: of((r) => r.tokens / r.seconds) },
      {
        name: 'processor time, µs a token',
        values: of((r) => (r.cpuSeconds / r.tokens) * 1e6),
        digits: 1,
      },
      {
        name: 'the same pages thrown away, tokens/s',
        values: taken.map(({ round, ceiling }) => round.tokens / ceiling.seconds),
      },
      {
        name: 'time against that ceiling',
        values: taken.map(({ round, ceiling }) => round.seconds / ceiling.seconds),
        digits: 2,
      },
    ]
  } finally {
    org.close()
  }
}

process.exitCode = (await main()) ? 0 : 1
