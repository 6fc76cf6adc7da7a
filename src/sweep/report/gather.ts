import { stringify } from 'yaml'
import type { Clock } from '../../core/clock.ts'
import { RescindError } from '../../core/errors.ts'
import type { AppRow, UserRow } from '../../core/listing.ts'
import { describeOutcome, isWorthAnotherTry } from '../../core/outcome.ts'
import type { Inventory, ListedToken } from '../../store/inventories.ts'
import type { PlanHeader, PlannedKill } from '../../store/plans.ts'
import type { ReturnedToken, RunToken } from '../../store/run-proofs.ts'
import type { Run } from '../../store/run-states.ts'
import type { Store } from '../../store/store.ts'
import { judgeToken, outcomeOf, summarize, type TokenVerdict } from '../summary.ts'
import type {
  AppTally,
  InventoryFacts,
  LeftForAPerson,
  ReportModel,
  Tally,
  TokenLine,
  UserTally,
} from './model.ts'

/** A picture has no more points than pixels that tell them apart. */
const TIMELINE_POINTS_MAX = 200

/**
 * Gathers everything that a report shows of a run.
 *
 * @throws RescindError `plan_unknown` when the run's plan or inventory is not in the store
 */
export async function gatherReport(
  store: Store,
  run: Run,
  { clock, version }: { readonly clock: Clock; readonly version: string },
): Promise<ReportModel> {
  const plan = await store.plans.byNo(run.plan)
  const before = plan && (await store.inventories.byNo(plan.inventory.no))
  if (!plan || !before) {
    throw new RescindError('plan_unknown', `The plan of ${run.id} is not in this store.`)
  }
  const kills = await store.plans.kills(plan)
  const tokens = await store.runs.tokens(run)
  const returns = await store.runs.returns(run)
  const users = await store.inventories.users(before)
  const apps = tellApart(await store.inventories.apps(before))
  const listed = await listPlanned(store, before, tokens)
  const ruleOf = rulesByToken(kills)
  const summary = summarize(run, plan.id, tokens, returns.length)
  const policy = JSON.parse(plan.policy) as { name: string; why: string }
  const appTallies = tallyApps(tokens, apps, returns)
  return {
    summary,
    account: before.account,
    actor: run.actor,
    planHash: plan.hash,
    policy: { name: policy.name, why: policy.why, hash: plan.policyHash, text: stringify(policy) },
    chosen: plan.chosen,
    spared: plan.spared,
    undecided: plan.undecided,
    untouched: plan.untouched,
    rules: countRules(ruleOf),
    kills: countKills(kills),
    before: inventoryFacts(before),
    after: await factsOf(store, run.after),
    secondLook: await factsOf(store, run.second),
    apps: appTallies,
    users: tallyUsers(tokens, users),
    timeline: timeline(tokens),
    timeToDeadMs: timeToDead(tokens),
    left: leftForAPerson(tokens, appTallies, { run, plan }),
    events: (await store.runs.events(run)).map(({ at, kind, text }) => ({
      at: iso(at),
      kind,
      text,
    })),
    tokens: () => tokenLines(tokens, { users, apps, listed, ruleOf }),
    version,
    madeAt: iso(clock.now()),
  }
}

/** Two apps of one label are told apart by their ids. */
function tellApart(apps: ReadonlyMap<string, AppRow>): ReadonlyMap<string, AppRow> {
  const bearers = new Map<string, number>()
  for (const { label } of apps.values()) bearers.set(label, (bearers.get(label) ?? 0) + 1)
  const named = (app: AppRow) =>
    (bearers.get(app.label) ?? 0) > 1 ? { ...app, label: `${app.label} (${app.id})` } : app
  return new Map([...apps].map(([id, app]) => [id, named(app)]))
}

function iso(at: number): string {
  return new Date(at).toISOString()
}

async function listPlanned(
  store: Store,
  inventory: Inventory,
  tokens: readonly RunToken[],
): Promise<ReadonlyMap<string, ListedToken>> {
  const planned = new Set<string>(tokens.map(({ fingerprint }) => fingerprint))
  const listed = new Map<string, ListedToken>()
  for await (const batch of store.inventories.tokens(inventory)) {
    for (const token of batch) {
      if (planned.has(token.fingerprint)) listed.set(token.fingerprint, token)
    }
  }
  return listed
}

function rulesByToken(kills: readonly PlannedKill[]): ReadonlyMap<string, string> {
  const rules = new Map<string, string>()
  for (const { tokens, rule } of kills) for (const token of tokens) rules.set(token, rule)
  return rules
}

function countRules(ruleOf: ReadonlyMap<string, string>): { rule: string; count: number }[] {
  const counts = new Map<string, number>()
  for (const rule of ruleOf.values()) counts.set(rule, (counts.get(rule) ?? 0) + 1)
  return [...counts]
    .map(([rule, count]) => ({ rule, count }))
    .sort((a, b) => b.count - a.count || (a.rule < b.rule ? -1 : 1))
}

function countKills(kills: readonly PlannedKill[]) {
  const counts = new Map<string, { reach: string; calls: number; tokens: number }>()
  for (const { reach, count } of kills) {
    const row = counts.get(reach.kind) ?? { reach: reach.kind, calls: 0, tokens: 0 }
    counts.set(reach.kind, { ...row, calls: row.calls + 1, tokens: row.tokens + count })
  }
  return [...counts.values()]
}

async function factsOf(store: Store, no: number | null): Promise<InventoryFacts | null> {
  const inventory = no === null ? undefined : await store.inventories.byNo(no)
  return inventory ? inventoryFacts(inventory) : null
}

/** What an inventory says of itself, as reports print it. */
export function inventoryFacts(inventory: Inventory): InventoryFacts {
  return {
    inventory: inventory.id,
    takenAt: iso(inventory.takenAt),
    tokens: inventory.tokens,
    counted: inventory.counted,
    complete: inventory.state === 'complete',
    why: inventory.why,
    notes: inventory.notes,
  }
}

const NO_TALLY: Tally = { planned: 0, dead: 0, alive: 0, unknown: 0 }

function addVerdict<T extends Tally>(tally: T, verdict: TokenVerdict): T {
  return { ...tally, planned: tally.planned + 1, [verdict]: tally[verdict] + 1 }
}

function tallyApps(
  tokens: readonly RunToken[],
  apps: ReadonlyMap<string, AppRow>,
  returns: readonly ReturnedToken[],
): AppTally[] {
  const tallies = new Map<string, AppTally>()
  for (const token of tokens) {
    const id = token.appId ?? 'unknown'
    const app = apps.get(id)
    const tally = tallies.get(id) ?? {
      ...NO_TALLY,
      id,
      label: app?.label ?? 'unknown app',
      kind: app?.kind ?? 'unknown',
      cameBack: returns.filter((row) => row.app === id).length,
      comeback: app?.comeback ?? 'unknown',
      comebackWhy: app?.comebackWhy ?? 'the app is not known',
    }
    tallies.set(id, addVerdict(tally, judgeToken(token)))
  }
  return [...tallies.values()].sort((a, b) => b.planned - a.planned || (a.label < b.label ? -1 : 1))
}

function tallyUsers(tokens: readonly RunToken[], users: ReadonlyMap<string, UserRow>): UserTally[] {
  const tallies = new Map<string, UserTally>()
  for (const token of tokens) {
    const id = token.userId ?? 'unknown'
    const user = users.get(id)
    const tally = tallies.get(id) ?? {
      ...NO_TALLY,
      id,
      name: user?.name ?? 'unknown user',
      displayName: user?.displayName ?? null,
      active: user?.active ?? null,
      frozen: user?.frozen ?? null,
    }
    tallies.set(id, addVerdict(tally, judgeToken(token)))
  }
  return [...tallies.values()].sort((a, b) => b.planned - a.planned || (a.name < b.name ? -1 : 1))
}

function timeline(tokens: readonly RunToken[]): ReportModel['timeline'] {
  const answered = tokens.flatMap(({ answeredAt }) => answeredAt ?? []).sort((a, b) => a - b)
  const dead = tokens
    .filter((token) => judgeToken(token) === 'dead')
    .flatMap(({ proofAt }) => proofAt ?? [])
    .sort((a, b) => a - b)
  const all = [...answered, ...dead].sort((a, b) => a - b)
  const first = all[0]
  const last = all.at(-1)
  if (first === undefined || last === undefined) return []
  const step = Math.max(1, (last - first) / (TIMELINE_POINTS_MAX - 1))
  const points: { at: number; answered: number; dead: number }[] = []
  let a = 0
  let d = 0
  for (let at = first; ; at += step) {
    const now = Math.min(Math.ceil(at), last)
    while (a < answered.length && (answered[a] as number) <= now) a++
    while (d < dead.length && (dead[d] as number) <= now) d++
    points.push({ at: now, answered: a, dead: d })
    if (now >= last) return points
  }
}

function timeToDead(tokens: readonly RunToken[]): ReportModel['timeToDeadMs'] {
  const times = tokens
    .filter((token) => judgeToken(token) === 'dead')
    .flatMap(({ proofAt, intentAt }) =>
      proofAt !== null && intentAt !== null ? [Math.max(0, proofAt - intentAt)] : [],
    )
    .sort((a, b) => a - b)
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(share * times.length))]
  const [median, p90, max] = [at(0.5), at(0.9), times.at(-1)]
  if (median === undefined || p90 === undefined || max === undefined) return null
  return { median, p90, max }
}

function leftForAPerson(
  tokens: readonly RunToken[],
  apps: readonly AppTally[],
  { run, plan }: { readonly run: Run; readonly plan: PlanHeader },
): LeftForAPerson[] {
  const left: LeftForAPerson[] = []
  const living = new Map<string, number>()
  let unfinished = 0
  for (const token of tokens) {
    if (judgeToken(token) === 'dead') continue
    const outcome = outcomeOf(token)
    if (run.state !== 'finished' && (outcome === 'unsent' || isWorthAnotherTry(outcome))) {
      unfinished += 1
      continue
    }
    const said = outcome === 'unsent' ? 'its kill was not sent' : describeOutcome(outcome)
    const why = token.seenAt === null ? said : `${said}, and it is still in the provider's list`
    living.set(why, (living.get(why) ?? 0) + 1)
  }
  if (unfinished > 0) {
    left.push({
      what: 'The run is not finished',
      why: `${run.why ?? 'it was cut off'}: these tokens wait for their kill, or for a look`,
      todo: `Go on with: rescind resume ${run.id}`,
      count: unfinished,
    })
  }
  for (const [why, count] of living) {
    const todo =
      'Look again with "rescind verify"; plan once more for what stays, and what is refused revoke in Setup.'
    left.push({ what: 'Tokens that are not proven dead', why, todo, count })
  }
  for (const app of apps) {
    if (app.cameBack > 0) {
      left.push({
        what: `${app.label} came back`,
        why: `${app.cameBack} new tokens after the kill: ${app.comebackWhy}`,
        todo: `Put it out with "rescind block --app-id ${app.id}", then plan again.`,
        count: app.cameBack,
      })
    } else if (app.comeback === 'at_once') {
      left.push({
        what: `${app.label} can come back without a person`,
        why: app.comebackWhy,
        todo: `If it must stay out: "rescind block --app-id ${app.id}", and rotate its key or secret.`,
        count: app.planned,
      })
    }
  }
  const { id, undecided } = plan
  if (undecided > 0) {
    left.push({
      what: 'Undecided tokens',
      why: 'a signal that the policy asks for is missing, so they were not killed',
      todo: `See them with "rescind show ${id} --json"; narrow the policy, or plan with --include-undecided.`,
      count: undecided,
    })
  }
  return left
}

interface LineSources {
  readonly users: ReadonlyMap<string, UserRow>
  readonly apps: ReadonlyMap<string, AppRow>
  readonly listed: ReadonlyMap<string, ListedToken>
  readonly ruleOf: ReadonlyMap<string, string>
}

function* tokenLines(
  tokens: readonly RunToken[],
  { users, apps, listed, ruleOf }: LineSources,
): Iterable<TokenLine> {
  const time = (at: number | null | undefined) => (at == null ? null : iso(at))
  for (const token of tokens) {
    const row = listed.get(token.fingerprint)
    yield {
      fingerprint: token.fingerprint,
      kind: row?.kind ?? 'grant',
      user: users.get(token.userId ?? '')?.name ?? token.userId ?? 'unknown user',
      app: apps.get(token.appId ?? '')?.label ?? token.appId ?? 'unknown app',
      createdAt: time(row?.createdAt),
      lastUsedAt: time(row?.lastUsedAt),
      rule: ruleOf.get(token.fingerprint) ?? '',
      outcome: outcomeOf(token),
      code: token.code,
      answeredAt: time(token.answeredAt),
      proof: token.proof,
      proofAt: time(token.proofAt),
      evidence: token.evidence,
      verdict: judgeToken(token),
    }
  }
}
