import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import { seededRandom } from '../../src/core/clock.ts'
import { Secret } from '../../src/core/secret.ts'
import type { Run } from '../../src/store/run-states.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { judgeToken, summarizeRun } from '../../src/sweep/summary.ts'
import { type CliOptions, rescind, secretsOf, spawnRescind, tenantArgs } from './run-cli.ts'
import { tempHome } from './temp-home.ts'

/** Slow enough that a kill finds calls under way, fast enough for a hundred rounds. */
const LATENCY_MS = 12
/** A run lasts about this long; every other kill comes at a random moment of it. */
const RUN_MS = 700
/** The others come when the org has seen so many more tokens, at most: answers are then on their way. */
const CALLS_MAX = 60
/** The apps that are swept one after the other; together they hold most of the org's tokens. */
const APPS = ['Drift', 'Drift Chat', 'Data Sync', 'Reporting', 'Dataloader Partner', 'Slack Bridge']

interface Scene {
  readonly org: SalesforceOrg
  readonly options: CliOptions
  readonly random: () => number
  readonly tokenOf: ReadonlyMap<string, string>
  readonly store: Store
  /** How many dead tokens a death has left in doubt so far. */
  doubts: number
}

/**
 * Kills the process that applies or resumes with SIGKILL, at seeded random moments, and resumes;
 * after each death the journal is held against what the org has seen.
 */
export async function checkKill9(seed: number, kills: number): Promise<void> {
  let left = kills
  let doubts = 0
  for (let orgs = 0; left > 0; orgs += 1) {
    const swept = await sweepOneOrg(seed * 1000 + orgs, left)
    left -= swept.kills
    doubts += swept.doubts
  }
  assert.ok(doubts > 0, 'no kill fell between a call and its answer: nothing was shown')
}

async function sweepOneOrg(seed: number, killsMax: number) {
  using home = tempHome()
  const size = { users: 40, apps: 16, tokens: 700 }
  await using org = await startSalesforce({ seed, size, skew: { appTokens: 150 } })
  const options = { home: home.path, env: secretsOf(org) }
  assert.equal((await rescind(tenantArgs(org), options)).exitCode, 0)
  const store = await openStore({ home: home.path })
  const tokens = [...org.truth.grants()].map(({ deleteToken }) => deleteToken)
  const fingerprint = (token: string) => store.fingerprint(new Secret(`delete:${token}`))
  const tokenOf = new Map<string, string>(tokens.map((token) => [fingerprint(token), token]))
  const scene: Scene = { org, options, random: seededRandom(seed), tokenOf, store, doubts: 0 }
  let kills = 0
  try {
    for (const app of APPS) {
      if (kills < killsMax) kills += await sweepOneApp(scene, app, killsMax - kills)
    }
  } finally {
    await store.close()
  }
  return { kills, doubts: scene.doubts }
}

/** Applies one plan, killed and resumed until it is through; returns how often it was killed. */
async function sweepOneApp(scene: Scene, app: string, killsMax: number): Promise<number> {
  const { org, options, store } = scene
  org.setLatency(0)
  const plan = (await rescind(['plan', '--app', app, '--json'], options)).json
  org.setLatency(LATENCY_MS)
  const settled = new Map<string, number>()
  let kills = 0
  for (let round = 0; ; round += 1) {
    const run = (await store.runs.list())[0]
    const started = run && (await store.plans.byNo(run.plan))?.id === plan.plan ? run : undefined
    if (started?.state === 'finished') break
    const mayKill = kills < killsMax && round < 6
    const args = started ? ['resume', started.id] : ['apply', plan.plan, '--confirm', plan.chosen]
    kills += await runOnce(scene, args.map(String), mayKill)
    await holdAgainstOrg(scene, plan.plan, settled)
  }
  const run = (await store.runs.list())[0] as Run
  await checkEnd(scene, run, plan.chosen)
  return kills
}

async function runOnce({ org, options, random }: Scene, args: string[], mayKill: boolean) {
  const { counters } = org
  const revoked = () => counters().get('revoke') ?? 0
  const callsMax = revoked() + 1 + Math.floor(random() * CALLS_MAX)
  const byCalls = random() < 0.5
  const child = spawnRescind(
    [...args, '--json', '--second-look', 'none', '--concurrency', '3'],
    options,
  )
  const ended = new AbortController()
  void child.done.then(() => ended.abort())
  while (mayKill && !ended.signal.aborted && !/"(started|resumed)"/.test(child.stderr())) {
    await sleep(5)
  }
  if (mayKill && byCalls) {
    while (!ended.signal.aborted && revoked() < callsMax) await sleep(1)
  } else if (mayKill) {
    await sleep(random() * RUN_MS, undefined, { signal: ended.signal }).catch(() => {})
  }
  const isKilled = mayKill && child.process.kill('SIGKILL')
  const { code, stderr } = await child.done
  if (code !== null) assert.equal(code, 0, stderr)
  return isKilled && code === null ? 1 : 0
}

/**
 * What the journal calls answered, or what was in doubt and is dead, must never be presented again:
 * the first is known, and the second is looked at first.
 */
async function holdAgainstOrg(
  scene: Scene,
  plan: string,
  settled: Map<string, number>,
): Promise<void> {
  const { org, store, tokenOf } = scene
  for (const [token, calls] of settled) {
    assert.equal(org.revokeCalls(token), calls, 'what was settled was presented again')
  }
  const run = (await store.runs.list())[0]
  if (!run || (await store.plans.byNo(run.plan))?.id !== plan) return
  for (const { fingerprint, state, outcome } of await store.runs.tokens(run)) {
    const token = tokenOf.get(fingerprint)
    if (token === undefined) continue
    const isDead = !org.truth.isAlive(token)
    if (outcome === 'revoked') assert.ok(isDead, 'the journal says revoked, and the token lives')
    if (state === 'planned') assert.equal(org.revokeCalls(token), 0, 'sent without an intent')
    if (isDead && state === 'intent') scene.doubts += 1
    if (isDead) settled.set(token, org.revokeCalls(token))
  }
}

async function checkEnd({ org, store, tokenOf }: Scene, run: Run, chosen: number): Promise<void> {
  const summary = await summarizeRun(store, run)
  assert.deepEqual(
    { state: run.state, planned: summary.planned, dead: summary.dead, unsent: summary.unsent },
    { state: 'finished', planned: chosen, dead: chosen, unsent: 0 },
  )
  const outcomes = Object.values(summary.outcomes).reduce((sum, count) => sum + count, 0)
  assert.equal(outcomes, chosen, 'the outcomes do not add up')
  const planned = new Set<string>()
  for (const token of await store.runs.tokens(run)) {
    planned.add(token.fingerprint)
    const deleteToken = tokenOf.get(token.fingerprint)
    if (deleteToken === undefined) continue
    assert.equal(judgeToken(token) === 'dead', !org.truth.isAlive(deleteToken))
  }
  for (const other of await store.runs.list()) {
    for (const { fingerprint } of await store.runs.tokens(other)) planned.add(fingerprint)
  }
  for (const [fingerprint, token] of tokenOf) {
    if (!planned.has(fingerprint)) assert.ok(org.truth.isAlive(token), 'killed outside of a plan')
  }
}
