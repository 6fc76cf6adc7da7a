import { formatCount, formatCounted } from '../core/counts.ts'
import { EXIT, RescindError } from '../core/errors.ts'
import { isWorthAnotherTry, type Outcome } from '../core/outcome.ts'
import { isDead } from '../core/proof.ts'
import type { Inventory } from '../store/inventories.ts'
import type { PlanHeader } from '../store/plans.ts'
import type { JournalledKill } from '../store/run-journal.ts'
import type { RunToken } from '../store/run-proofs.ts'
import type { Run } from '../store/run-states.ts'
import type { Store } from '../store/store.ts'
import { type ApplyOptions, type Engine, record } from './engine.ts'
import { awaitGone, pickCanary } from './gone.ts'
import { HOLDER, isHeld, keepHold, LEASE_MS, runBusy, takeOver } from './hold.ts'
import { openJournal } from './journal.ts'
import { createPace } from './pace.ts'
import { checkPlan, refuseStale } from './plan-guard.ts'
import { sendKills } from './send.ts'
import { isPastResidual, type Verified, verifyRun } from './verify.ts'

/** Kills of the two canary steps; each is looked at before the next. */
const CANARY_STEPS = [1, 10] as const
/** Kill, verify, and kill again what still lives: so many times. */
const CYCLES_MAX = 4
/**
 * What is still listed after its kill may merely be listed late. A second kill does no harm, so the
 * first wait is short, and each next one is longer.
 */
const LATE_MS = 2_000
/** Tokens whose disappearance is awaited before a whole inventory is taken; a few of them may live. */
const SAMPLE_TOKENS = 50
const SAMPLE_LEFT_SHARE = 0.1
/**
 * Executes a plan: canary first, then everything at the pace that the provider allows, then a
 * fresh inventory as proof, and a second look for apps that came back.
 *
 * @throws RescindError `plan_altered`, `plan_stale`, `plan_other_tenant`, `plan_kills_self`,
 * `plan_applied` before anything is sent; `stopped_by_breaker`, `stopped_by_signal` with the run resumable
 */
export async function applyPlan(options: ApplyOptions, plan: PlanHeader): Promise<Run> {
  const { store, actor } = options
  const inventory = await checkPlan(options, plan)
  refuseStale(inventory, options.clock.now(), {
    what: `The plan ${plan.id}`,
    next: 'Take a new one with "rescind inventory" and plan again.',
  })
  const run = await store.runs.begin(plan, actor, HOLDER, LEASE_MS)
  if (!run) throw await appliedBefore(store, plan)
  return execute(options, inventory, run, true)
}

async function appliedBefore(store: Store, plan: PlanHeader): Promise<RescindError> {
  const earlier = await store.runs.ofPlan(plan)
  const next =
    earlier?.state === 'finished' ? 'See it with: rescind show' : 'Go on with: rescind resume'
  return new RescindError(
    'plan_applied',
    `The plan ${plan.id} was applied before, as ${earlier?.id} (${earlier?.state}). ${next} ${earlier?.id}`,
  )
}

/**
 * Goes on with a run that was stopped or cut off: what was acknowledged is not sent again, what
 * was in doubt is looked at first.
 *
 * @throws RescindError as {@link applyPlan}, and `run_busy` when another process has the run
 */
export async function resumeRun(options: ApplyOptions, run: Run): Promise<Run> {
  const { store } = options
  const plan = await store.plans.byNo(run.plan)
  if (!plan)
    throw new RescindError(
      'plan_unknown',
      `The plan of ${run.id} is not in this store. Look with the store that the run was made with.`,
    )
  const inventory = await checkPlan(options, plan)
  refuseStale(inventory, options.clock.now(), {
    what: run.id,
    next: `See what it did with "rescind verify ${run.id}"; for what is left take an inventory and plan again.`,
  })
  const held = await takeOver(options, run)
  return execute(options, inventory, held, false)
}

async function execute(
  options: ApplyOptions,
  inventory: Inventory,
  run: Run,
  isNew: boolean,
): Promise<Run> {
  const { store, clock } = options
  const lost = new AbortController()
  const signal = AbortSignal.any([options.signal, lost.signal])
  const engine = startEngine({ ...options, signal }, inventory, run)
  const ended = new AbortController()
  void keepHold(options, run, lost, ended.signal)
  try {
    await record(engine, isNew ? 'started' : 'resumed', `${options.actor}`)
    let verified = await killAndVerify(engine)
    if (options.secondLookMs !== undefined) {
      options.tell({
        event: 'note',
        kind: 'waiting',
        text: `looking again in ${Math.round(options.secondLookMs / 1000)} s for apps that came back`,
      })
      await clock.sleep(options.secondLookMs, signal)
      verified = await verifyRun(engine)
      await store.runs.setInventories(run, null, verified.inventory.no)
    }
    await markQuiet(engine, options, verified)
    await store.runs.release(run, 'finished', null)
  } catch (error) {
    await stopRun(engine, options.signal.aborted, error)
  } finally {
    ended.abort()
  }
  return (await store.runs.get(run.id)) ?? run
}

function startEngine(options: ApplyOptions, inventory: Inventory, run: Run): Engine {
  const { store, session, provider, clock, random, signal, tell } = options
  const engine: Engine = {
    store,
    session,
    provider,
    run,
    inventory,
    journal: openJournal(store.runs, run),
    pace: createPace({
      clock,
      limitMax: options.concurrencyMax,
      onEvent: (text) => {
        tell({ event: 'note', kind: 'pace', text })
        store.runs.event(run, 'pace', text).catch(() => undefined)
      },
    }),
    clock,
    random,
    signal,
    tell,
  }
  return engine
}

/** Marks the run as stopped, says how to go on, and throws what stopped it. */
async function stopRun(engine: Engine, byPerson: boolean, error: unknown): Promise<never> {
  const { run } = engine
  const why = byPerson ? 'stopped by a person' : error instanceof Error ? error.message : 'unknown'
  await engine.journal.drain().catch(() => undefined)
  await engine.store.runs.release(run, 'stopped', why).catch(() => undefined)
  if (byPerson) {
    throw new RescindError(
      'stopped_by_signal',
      `Stopped. What was sent is in the journal; go on with: rescind resume ${run.id}`,
      { cause: error },
    )
  }
  if (error instanceof RescindError && !isFinal(error)) {
    throw new RescindError(
      'stopped_by_trouble',
      `Stopped: ${error.message} When it is mended go on with: rescind resume ${run.id}`,
      { cause: error },
    )
  }
  throw error
}

/** Says whether an error speaks for itself: the run is another's, its store is spoilt, or it says how to go on. */
function isFinal({ code, exitCode }: RescindError): boolean {
  return (
    exitCode === EXIT.stopped || ['run_busy', 'store_corrupt', 'store_unsealable'].includes(code)
  )
}

/** Kills, verifies, and kills again what still lives. */
async function killAndVerify(engine: Engine): Promise<Verified> {
  const { store, run, signal } = engine
  const kills = await store.runs.kills(run)
  let pending = kills.filter(isUnsettled)
  // A run that was cut off before its first answer has no canary yet.
  const isFirst = kills.every(({ state }) => state !== 'answered')
  if (isFirst && pending.length > 0) pending = await sendCanary(engine, pending)
  for (let cycle = 1; ; cycle++) {
    await sendAll(engine, pending)
    await awaitSample(engine)
    const verified = await verifyRun(engine)
    await store.runs.setInventories(run, verified.inventory.no, null)
    const again = verified.present.filter(mayDieYet)
    if (again.length === 0 || cycle === CYCLES_MAX) return verified
    pending = await killsOfLiving(engine, again, LATE_MS * 4 ** (cycle - 1))
    signal.throwIfAborted()
  }
}

/** A kill that no pass has brought to its end. */
function isUnsettled({ state, outcome, tokens }: JournalledKill): boolean {
  if (tokens.length === 0) return false
  return state !== 'answered' || outcome === null || isWorthAnotherTry(outcome)
}

/** Alive, and another kill may change that. */
function mayDieYet({ outcome }: RunToken): boolean {
  return outcome !== 'refused' && outcome !== 'irrevocable'
}

/** The first kills, each step looked at before the next: a mistake in a policy or a provider shows here. */
async function sendCanary(
  engine: Engine,
  kills: readonly JournalledKill[],
): Promise<JournalledKill[]> {
  let rest = [...kills]
  for (const size of CANARY_STEPS) {
    const step = pickCanary(rest, size)
    rest = step.rest
    if (step.canary.length === 0) break
    await sendAll(engine, step.canary)
    const tokens = step.canary.flatMap((kill) => kill.tokens)
    const { gone, left } = await awaitGone(engine, tokens)
    await record(
      engine,
      'canary',
      `${formatCount(gone.length)} of ${formatCount(tokens.length)} gone from the list`,
    )
    if (gone.length === 0) {
      throw new RescindError(
        'stopped_by_breaker',
        `Stopped after the canary: the provider answered, but of ${formatCounted(left.length, 'token')} none is gone from its list. Look at them with "rescind show ${engine.run.id}", then go on with: rescind resume ${engine.run.id}`,
      )
    }
  }
  return rest
}

async function sendAll(engine: Engine, kills: readonly JournalledKill[]): Promise<void> {
  if (kills.length === 0) return
  const total = kills.reduce((sum, { tokens }) => sum + tokens.length, 0)
  const outcomes: Partial<Record<Outcome, number>> = {}
  let done = 0
  const progress = {
    total,
    answered: (kill: JournalledKill, outcome: Outcome) => {
      outcomes[outcome] = (outcomes[outcome] ?? 0) + kill.tokens.length
      if (!isWorthAnotherTry(outcome)) done += kill.tokens.length
      const { limit } = engine.pace
      engine.tell({ event: 'progress', phase: 'kill', done, total, outcomes, limit })
    },
  }
  const { stopped } = await sendKills(engine, kills, progress)
  if (stopped !== undefined) {
    await record(engine, 'breaker', stopped)
    throw new RescindError(
      'stopped_by_breaker',
      `Stopped, because ${stopped}. Nothing is lost; when the cause is mended go on with: rescind resume ${engine.run.id}`,
    )
  }
}

/** Waits until the tokens that were killed last are gone from the list, so that the inventory is not early. */
async function awaitSample(engine: Engine): Promise<void> {
  const tokens = await engine.store.runs.tokens(engine.run)
  const latest = tokens
    .filter(({ proof, answeredAt }) => !isDead(proof) && answeredAt !== null)
    .sort((a, b) => (b.answeredAt ?? 0) - (a.answeredAt ?? 0))
    .slice(0, SAMPLE_TOKENS)
  const fingerprints = latest.map(({ fingerprint }) => fingerprint)
  await awaitGone(engine, fingerprints, { leftShare: SAMPLE_LEFT_SHARE })
}

/** The kills for tokens that are still listed; tokens of a coarse kill get one each. */
async function killsOfLiving(
  engine: Engine,
  tokens: readonly RunToken[],
  waitMsMax: number,
): Promise<JournalledKill[]> {
  const { store, run } = engine
  const fingerprints = tokens.map(({ fingerprint }) => fingerprint)
  const { left } = await awaitGone(engine, fingerprints, { waitMsMax })
  const living = new Set(left)
  const kills = await store.runs.kills(run)
  const concerned = kills.filter(({ tokens }) => tokens.some((token) => living.has(token)))
  const fine = concerned.filter(({ reach }) => reach.kind === 'token')
  const coarse = concerned.filter(({ reach }) => reach.kind !== 'token')
  const finer = await store.runs.split(
    run,
    coarse.flatMap((kill) => kill.tokens.filter((token) => living.has(token))),
  )
  const count = fine.length + finer.length
  const text = `${formatCounted(count, 'token')} still listed after the kill, and killed again`
  if (count > 0) await record(engine, 'again', text)
  return [...fine, ...finer].map((kill) => ({ ...kill, state: 'planned', outcome: null }))
}

/** What the last look proved absent, and is past the residual deadline, is quiet. */
async function markQuiet(
  { store, run }: Engine,
  { residualMs, clock }: ApplyOptions,
  { inventory, absent }: Verified,
): Promise<void> {
  if (residualMs === undefined) return
  const quiet = absent.filter((token) => isPastResidual(token, clock.now(), residualMs))
  const fingerprints = quiet.map(({ fingerprint }) => fingerprint)
  await store.runs.prove(run, 'quiet', fingerprints, `inventory ${inventory.id}`)
}

/**
 * Looks again at a run: a fresh inventory, and nothing is sent.
 *
 * @throws RescindError when the list cannot be read, or the run is another tenant's
 */
export async function lookAgain(options: ApplyOptions, run: Run): Promise<Run> {
  const { store } = options
  const plan = await store.plans.byNo(run.plan)
  const inventory = plan && (await store.inventories.byNo(plan.inventory.no))
  if (!plan || !inventory) {
    throw new RescindError(
      'plan_unknown',
      `The plan of ${run.id} is not in this store. Look with the store that the run was made with.`,
    )
  }
  if (plan.account.id !== options.session.account.id) {
    throw new RescindError(
      'plan_other_tenant',
      `${run.id} is of ${plan.account.name} (${plan.account.id}), and this is ${options.session.account.name} (${options.session.account.id}).`,
    )
  }
  if (isHeld(run, options.clock.now())) throw runBusy(run)
  const engine = startEngine(options, inventory, run)
  const verified = await verifyRun(engine)
  const { no } = verified.inventory
  await store.runs.setInventories(
    run,
    run.after === null ? no : null,
    run.after === null ? null : no,
  )
  await markQuiet(engine, options, verified)
  return (await store.runs.get(run.id)) ?? run
}
