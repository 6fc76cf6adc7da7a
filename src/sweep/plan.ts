import { RescindError } from '../core/errors.ts'
import type { AppRow, Reach, TokenKind, UserRow } from '../core/listing.ts'
import type { Fingerprint } from '../core/secret.ts'
import { PROVIDERS } from '../providers/registry.ts'
import type { Inventory, ListedToken } from '../store/inventories.ts'
import type { HeldBack, PlanHeader, PlannedKill } from '../store/plans.ts'
import { newId, type Store } from '../store/store.ts'
import { hashPlan } from './plan-file.ts'
import { canonicalPolicy, hashPolicy, type Policy } from './policy.ts'
import { compilePolicy, OWN_RULE } from './rules.ts'
import { unmatchedNames } from './unmatched-names.ts'

export interface MakePlanOptions {
  readonly store: Store
  readonly inventory: Inventory
  readonly policy: Policy
  /** Kill the undecided too. */
  readonly includeUndecided?: boolean | undefined
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** A plan with its kills. */
export interface Plan {
  readonly header: PlanHeader
  readonly kills: readonly PlannedKill[]
}

/** A token that the policy chose. */
interface Chosen {
  readonly fingerprint: Fingerprint
  readonly app: string | null
  readonly user: string | null
  readonly rule: string
  /** A session is no part of what a coarse kill reaches: it is killed by itself. */
  readonly kind: TokenKind
}

/** What the policy made of an inventory. */
interface Sorted {
  readonly chosen: Chosen[]
  readonly heldBack: HeldBack[]
  untouched: number
  own: number
  /** Chosen tokens whose app is known by its label alone. */
  byLabel: number
}

/**
 * Makes the plan that a policy gives on an inventory, and stores it. Nothing is changed at the
 * provider.
 *
 * @throws RescindError `plan_over_limit` when more is chosen than the policy allows
 */
export async function makePlan(options: MakePlanOptions): Promise<Plan> {
  const { store, inventory, policy, now } = options
  const apps = await store.inventories.apps(inventory)
  const users = await store.inventories.users(inventory)
  const sorted = await sortTokens(options, apps, users)
  checkLimit(policy, sorted.chosen.length, inventory.tokens)
  const totals = inventory.state === 'complete' ? await countReaches(store, inventory) : NO_TOTALS
  const kills = chooseReaches(sorted.chosen, apps, totals)
  const spared = sorted.heldBack.filter(({ verdict }) => verdict === 'spare').length
  const content = {
    id: newId('plan'),
    tenant: inventory.tenant,
    account: inventory.account,
    inventory: { no: inventory.no, id: inventory.id },
    policy: canonicalPolicy(policy),
    policyHash: hashPolicy(policy),
    createdAt: now,
    chosen: sorted.chosen.length,
    spared,
    undecided: sorted.heldBack.length - spared,
    untouched: sorted.untouched,
    notes: [
      ...unmatchedNames(policy, apps, users),
      ...planNotes(inventory, sorted, options.includeUndecided ?? false),
    ],
  }
  const hash = hashPlan(content, kills)
  const header = await store.plans.save({ ...content, hash }, kills, sorted.heldBack)
  return { header, kills }
}

async function sortTokens(
  { store, inventory, policy, includeUndecided, now }: MakePlanOptions,
  apps: ReadonlyMap<string, AppRow>,
  users: ReadonlyMap<string, UserRow>,
): Promise<Sorted> {
  const canonicalId = PROVIDERS.get(inventory.provider)?.canonicalId
  const judge = compilePolicy(policy, { users, apps, now, canonicalId })
  const sorted: Sorted = { chosen: [], heldBack: [], untouched: 0, own: 0, byLabel: 0 }
  for await (const batch of store.inventories.tokens(inventory)) {
    for (const token of batch) {
      const verdict = judge(token)
      switch (verdict.verdict) {
        case 'kill':
          choose(sorted, token, verdict.rule)
          break
        case 'undecided':
          // A token that may be spared is never killed, whatever is included.
          if (includeUndecided && !verdict.maySpare) {
            choose(sorted, token, `${verdict.rule} (undecided, included)`)
          } else
            sorted.heldBack.push({
              fingerprint: token.fingerprint,
              verdict: 'undecided',
              rule: verdict.rule,
              reason: verdict.reason,
            })
          break
        case 'spare':
          if (verdict.rule === OWN_RULE) sorted.own++
          sorted.heldBack.push({
            fingerprint: token.fingerprint,
            verdict: 'spare',
            rule: verdict.rule,
            reason: verdict.reason,
          })
          break
        case 'untouched':
          sorted.untouched++
          break
      }
    }
  }
  return sorted
}

function choose(sorted: Sorted, token: ListedToken, rule: string): void {
  const { fingerprint, appId, userId, kind } = token
  sorted.chosen.push({ fingerprint, app: appId, user: userId, rule, kind })
  if (token.appMatch === 'label') sorted.byLabel++
}

function checkLimit({ limit }: Policy, chosen: number, tokens: number): void {
  if (limit.tokens !== undefined && chosen > limit.tokens) {
    throw new RescindError(
      'plan_over_limit',
      `The policy chooses ${chosen} tokens, and its limit is ${limit.tokens}. No plan was made. Narrow the policy, or raise limit.tokens if that many must die.`,
    )
  }
  if (limit.share !== undefined && chosen > (Number.parseFloat(limit.share) / 100) * tokens) {
    const share = ((100 * chosen) / tokens).toFixed(1)
    throw new RescindError(
      'plan_over_limit',
      `The policy chooses ${chosen} of ${tokens} tokens (${share}%), and its limit is ${limit.share}. No plan was made. Narrow the policy, or raise limit.share if that many must die.`,
    )
  }
}

/** How many grants the inventory has of each app, and of each user and app. */
interface Totals {
  readonly app: ReadonlyMap<string, number>
  readonly userApp: ReadonlyMap<string, number>
}

/** On an inventory that may miss tokens no reach is known to stay inside: all go one by one. */
const NO_TOTALS: Totals = { app: new Map(), userApp: new Map() }
/** No count of chosen grants equals it. */
const NEVER = -1

/** A grant that is matched to its app by a label may be another's: its app is never killed as one. */
async function countReaches(store: Store, inventory: Inventory): Promise<Totals> {
  const app = new Map<string, number>()
  const userApp = new Map<string, number>()
  for (const row of await store.inventories.countGrants(inventory)) {
    if (row.app === null) continue
    const count = row.count === row.byId ? row.count : NEVER
    const before = app.get(row.app) ?? 0
    app.set(row.app, count === NEVER || before === NEVER ? NEVER : before + count)
    if (row.user !== null) userApp.set(pairKey(row.user, row.app), count)
  }
  return { app, userApp }
}

/**
 * Picks the coarsest kill whose reach stays inside the chosen set: all of an app where every token
 * of it is chosen, else all of a user and app, else one token.
 */
export function chooseReaches(
  chosen: readonly Chosen[],
  apps: ReadonlyMap<string, AppRow>,
  totals: Totals,
): PlannedKill[] {
  const grants = chosen.filter(({ kind }) => kind === 'grant')
  const byApp = groupBy(grants, ({ app }) => app)
  const byPair = groupBy(grants, ({ app, user }) => (app && user ? pairKey(user, app) : null))
  const drafts = new Map<string, { reach: Reach; tokens: Chosen[] }>()
  const add = (key: string, reach: Reach, token: Chosen) => {
    const draft = drafts.get(key)
    if (draft) draft.tokens.push(token)
    else drafts.set(key, { reach, tokens: [token] })
  }
  for (const token of chosen) {
    const { app, user, fingerprint, kind } = token
    const can = (kind === 'grant' && app !== null && apps.get(app)?.reaches) || []
    if (app !== null && can.includes('app') && byApp.get(app) === totals.app.get(app)) {
      add(`app ${app}`, { kind: 'app', app }, token)
      continue
    }
    const pair = app && user ? pairKey(user, app) : null
    if (pair && can.includes('user_app') && byPair.get(pair) === totals.userApp.get(pair)) {
      add(`pair ${pair}`, { kind: 'user_app', user: user as string, app: app as string }, token)
      continue
    }
    add(`token ${fingerprint}`, { kind: 'token', token: fingerprint }, token)
  }
  return [...drafts.values()].map(({ reach, tokens }, seq) => ({
    seq,
    reach,
    count: tokens.length,
    rule: [...new Set(tokens.map(({ rule }) => rule))].join('; '),
    tokens: tokens.map(({ fingerprint }) => fingerprint).sort(),
  }))
}

function groupBy(
  chosen: readonly Chosen[],
  key: (token: Chosen) => string | null,
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const token of chosen) {
    const at = key(token)
    if (at !== null) counts.set(at, (counts.get(at) ?? 0) + 1)
  }
  return counts
}

function pairKey(user: string, app: string): string {
  return `${user}\u0000${app}`
}

function planNotes(inventory: Inventory, sorted: Sorted, includedUndecided: boolean): string[] {
  const notes: string[] = []
  if (inventory.state === 'partial') {
    notes.push(
      `The inventory is partial (${inventory.why}): there may be tokens that no plan on it can reach.`,
    )
  }
  if (sorted.own > 0) {
    notes.push(
      `${sorted.own} chosen tokens belong, or may belong, to the credential that Rescind works with; they are spared, and no kill reaches them.`,
    )
  }
  if (sorted.byLabel > 0) {
    notes.push(`${sorted.byLabel} chosen tokens are matched to their app by its label alone.`)
  }
  if (includedUndecided) notes.push('Undecided tokens are included (--include-undecided).')
  return [...notes, ...inventory.notes]
}
