import assert from 'node:assert/strict'
import type { Fault, FaultKind, GrantTruth, SalesforceOrg } from '../../emulators/index.ts'
import { PREFIX, recordId } from '../../emulators/salesforce/record-id.ts'
import { seededRandom } from '../../src/core/clock.ts'
import { isRescindError } from '../../src/core/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import type { Run } from '../../src/store/run-states.ts'
import { applyPlan, resumeRun } from '../../src/sweep/apply.ts'
import type { Plan } from '../../src/sweep/plan.ts'
import { parsePolicy } from '../../src/sweep/policy.ts'
import { judgeToken, summarizeRun } from '../../src/sweep/summary.ts'
import { openWorld, type World } from './sweep-world.ts'

/** A run that stops is resumed; one that stops this often does not get on. */
const RESUMES_MAX = 8

/** Leavers, a breached vendor, both apps of one label, an uninstalled one, and both external ones. */
const POLICY = parsePolicy(
  `
name: truth
kill:
  - user: { active: false }
  - app: { name: ["Drift*", Reporting, Dataloader Partner, Gainsight Connector] }
  - app: { name: Klue*, createdBefore: 2025-06-01 }
  - app: { name: Data Sync }
    kind: session
spare:
  - user: { name: a* }
`,
  'truth.yaml',
)

/** Every fault that a kill can meet, at the rate of a bad day. */
export const KILL_FAULTS: readonly Omit<Fault, 'on'>[] = [
  { kind: 'bad_id_404' },
  { kind: 'too_many_429', retryAfterS: 1 },
  { kind: 'too_many_429', retryAfterS: 0 },
  { kind: 'unavailable_503' },
  { kind: 'unavailable_503', retryAfterS: 2 },
  { kind: 'error_500_before_effect' },
  { kind: 'error_500_after_effect' },
  { kind: 'reset_before_effect' },
  { kind: 'reset_after_effect' },
  { kind: 'hang' },
  { kind: 'slow', ms: 60 },
  { kind: 'redirect_302' },
  { kind: 'ok_without_effect' },
  { kind: 'delayed_visibility', ms: 3_000 },
  { kind: 'session_expired' },
  { kind: 'reauthorise', ms: 5_000 },
  { kind: 'truncated_body' },
  { kind: 'html_200' },
]

const READ_FAULTS: readonly Omit<Fault, 'on'>[] = [
  { kind: 'error_500_before_effect' },
  { kind: 'reset_before_effect' },
  { kind: 'reset_after_effect' },
  { kind: 'unavailable_503' },
  { kind: 'too_many_429', retryAfterS: 1 },
  { kind: 'session_expired' },
  { kind: 'truncated_body' },
  { kind: 'drop_row' },
]

/** All faults at once: on kills of every kind, and on everything that is read. */
function stormFaults(): Fault[] {
  const kills = (['revoke', 'session-delete'] as const).flatMap((on) =>
    KILL_FAULTS.map((fault) => ({ ...fault, on, probability: 0.02 })),
  )
  const reads = (['query', 'usage'] as const).flatMap((on) =>
    READ_FAULTS.map((fault) => ({ ...fault, on, probability: 0.006 })),
  )
  const usage = (['reauthorise', 'delayed_visibility', 'ok_without_effect'] as const).map(
    (kind: FaultKind) => ({ kind, on: 'usage' as const, probability: 0.02, ms: 3_000 }),
  )
  return [...kills, ...reads, ...usage]
}

/** Sweeps one small org by its seed while everything goes wrong, and checks what must hold. */
export async function checkStormySeed(seed: number): Promise<void> {
  const random = seededRandom(seed)
  const one = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  await using world = await openWorld({
    seed,
    size: { users: 60, apps: 18, tokens: 300 + Math.floor(random() * 400) },
    switches: {
      ecaInOauthToken: one([true, true, false]),
      ecaAppMenuItemId: one(['null', 'set']),
      rowOrder: one(['stable', 'shuffled']),
      cursorRows: one(['snapshot', 'live']),
      secondRevoke: one(['invalid_token', '200']),
      offsetPast2500: one(['allowed', 'refused']),
      createdDateFilter: one(['allowed', 'allowed', 'refused']),
      userPermissionAccess: one(['supported', 'unsupported']),
      ecaObjects: one(['queryable', 'refused']),
    },
  })
  const before = photograph(world.org)
  const plan = await world.plan(POLICY)
  checkPlan(world, plan, before)
  world.org.setFaults(stormFaults())
  // What hangs is given up soon; the emulated org answers within a few milliseconds.
  world.giveUpAfter(700)
  const run = await finishRun(world, plan, 20_000)
  world.org.setFaults([])
  await checkRun(world, plan, run, before)
}

/** The kinds of fault that a kill can meet. */
export const KILL_FAULT_KINDS: readonly FaultKind[] = [
  ...new Set(KILL_FAULTS.map(({ kind }) => kind)),
]

/** Sweeps one small org with one fault at exactly the Nth call to the revoke endpoint. */
export async function checkNthCall(kind: FaultKind, nth: number): Promise<void> {
  const skew = { appTokens: 24, userTokens: 4, secondTokens: 5 }
  const size = { users: 20, apps: 14, tokens: 130 }
  await using world = await openWorld({ seed: nth, size, skew, times: 40 })
  const before = photograph(world.org)
  const plan = await world.plan(POLICY)
  checkPlan(world, plan, before)
  world.org.setFaults([{ kind, on: 'revoke', nth, ms: kind === 'slow' ? 60 : 2_000 }])
  world.giveUpAfter(600)
  const run = await finishRun(world, plan, 4_000)
  assert.ok(
    world.org.log.some(({ fault }) => fault === kind),
    `only ${world.org.counters().get('revoke')} kills were sent: the fault did not strike`,
  )
  await checkRun(world, plan, run, before)
}

/** Does some work for each item, a few at once: a storm is mostly waiting. */
export async function atOnce<T>(
  items: readonly T[],
  lanes: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items]
  const lane = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}

type Photo = ReadonlyMap<string, GrantTruth>

function photograph(org: SalesforceOrg): Photo {
  return new Map([...org.truth.grants()].map((grant) => [grant.deleteToken, grant]))
}

/** What the policy means, said once more and otherwise, on the truth instead of an inventory. */
function isMeant(grant: GrantTruth): boolean {
  if (!grant.alive || grant.username.startsWith('a')) return false
  if (!grant.userIsActive) return true
  if (/^Drift|^Reporting$|^Dataloader Partner$|^Gainsight Connector$/.test(grant.app)) return true
  return grant.app.startsWith('Klue') && grant.createdAt < Date.UTC(2025, 5, 1)
}

/** The plan holds exactly the living grants that the policy means, and its counts add up. */
function checkPlan(world: World, { header, kills }: Plan, before: Photo): void {
  const { chosen, spared, undecided, untouched } = header
  const sum = kills.reduce((total, { count }) => total + count, 0)
  assert.equal(sum, chosen, 'the kills do not add up to what was chosen')
  const planned = new Set<string>(kills.flatMap(({ tokens }) => tokens))
  assert.equal(planned.size, chosen, 'a token is planned twice')
  assert.equal(undecided, 0, 'nothing is unclear in this org')
  const living = [...before.values()].map((grant, row) => ({ grant, row }))
  const sessions = spared + chosen + untouched - living.filter(({ grant }) => grant.alive).length
  assert.ok(sessions >= 0, 'the inventory has fewer tokens than the org')
  for (const { grant, row } of living) {
    const isPlanned = planned.has(keyOf(world, grant, row))
    const why = `${grant.username} and ${grant.app}, created ${new Date(grant.createdAt).toISOString()}`
    assert.equal(isPlanned, isMeant(grant), `the plan is wrong on the grant of ${why}`)
  }
}

/** Grants that only the usage API lists are known by its ids, which follow the order of the grants. */
function keyOf(world: World, grant: GrantTruth, row: number): string {
  const usage = !world.ecaInOauthToken && grant.applicationId?.startsWith('0xI')
  return usage
    ? world.store.fingerprint(new Secret(`usage:${recordId(PREFIX.usageToken, row + 1)}`))
    : world.fingerprint(grant.deleteToken)
}

async function finishRun(world: World, plan: Plan, secondLookMs: number): Promise<Run> {
  let run: Run | undefined
  for (let resumes = 0; resumes <= RESUMES_MAX; resumes += 1) {
    try {
      // Each command opens a session of its own.
      const session = resumes === 0 ? world.session : await world.open()
      const means = world.means({ session, secondLookMs })
      run = run ? await resumeRun(means, run) : await applyPlan(means, plan.header)
      assert.equal(run.state, 'finished')
      return run
    } catch (error) {
      if (!isRescindError(error)) throw error
      run = await world.store.runs.ofPlan(plan.header)
      assert.equal(run?.state, 'stopped', `${error.code} left the run ${run?.state}`)
    }
  }
  throw new Error(`the run was stopped ${RESUMES_MAX} times: ${run?.why}`)
}

async function checkRun(world: World, plan: Plan, run: Run, before: Photo): Promise<void> {
  const { store, org } = world
  const tokens = await store.runs.tokens(run)
  const verdicts = new Map<string, string>(
    tokens.map((token) => [token.fingerprint, judgeToken(token)]),
  )
  const summary = await summarizeRun(store, run)
  const { planned, outcomes, unsent, proof, dead, alive, unknown } = summary
  const sumOf = (counts: object) => Object.values(counts).reduce((sum: number, n) => sum + n, 0)
  assert.equal(planned, plan.header.chosen)
  assert.equal(verdicts.size, planned)
  assert.equal(sumOf(outcomes) + unsent, planned, 'the outcomes do not add up')
  assert.equal(sumOf(proof), planned, 'the proofs do not add up')
  assert.equal(dead + alive + unknown, planned, 'dead, alive and unknown do not add up')
  for (const [row, grant] of [...org.truth.grants()].entries()) {
    const verdict = verdicts.get(keyOf(world, grant, row))
    const name = `the grant of ${grant.username} and ${grant.app} (${grant.killedBy})`
    if (verdict === 'dead') assert.ok(!grant.alive, `${name} is called dead and lives`)
    if (verdict === undefined && before.has(grant.deleteToken)) {
      const byUs = grant.killedBy === 'delete_token' || grant.killedBy === 'usage_api'
      assert.ok(!byUs, `${name} was killed and is in no plan`)
    }
  }
  const living = new Set(
    org.truth.sessions().flatMap(({ alive, id }) => (alive ? fingerprintOfSession(world, id) : [])),
  )
  for (const [fingerprint, verdict] of verdicts) {
    if (verdict === 'dead')
      assert.ok(!living.has(fingerprint), 'a session is called dead and lives')
  }
  if (alive + unknown > 0) {
    const left = tokens.filter((token) => judgeToken(token) !== 'dead').slice(0, 3)
    const said = world.events.flatMap((event) => (event.event === 'note' ? [event.text] : []))
    assert.fail(`planned tokens were missed: ${JSON.stringify({ left, said }, null, 1)}`)
  }
}

function fingerprintOfSession({ store }: World, id: string): string {
  return store.fingerprint(new Secret(`session:${id}`))
}
