import type { AppRow, UserRow } from '../core/listing.ts'
import type { ListedToken } from '../store/inventories.ts'
import { compileGlobs } from './glob.ts'
import { describeRule, durationMs, momentMs, type Policy, type Rule } from './policy.ts'

/** What a rule says of a token; `undecided` when a signal is missing or known to lie. */
export type Answer =
  | { readonly says: 'yes' | 'no' }
  | { readonly says: 'undecided'; readonly reason: string }

/** What a policy says of a token. */
export type Verdict =
  | { readonly verdict: 'kill' | 'spare'; readonly rule: string; readonly reason: string | null }
  | {
      readonly verdict: 'undecided'
      readonly rule: string
      readonly reason: string
      /** The doubt is whether a spare rule holds. */
      readonly maySpare: boolean
    }
  | { readonly verdict: 'untouched' }

/** What rules look at beside the token. */
export interface Surroundings {
  readonly users: ReadonlyMap<string, UserRow>
  readonly apps: ReadonlyMap<string, AppRow>
  /** Milliseconds since the epoch: the moment that `olderThan` counts back from. */
  readonly now: number
  /** Writes an id that a person gave in the form that the inventory has. */
  readonly canonicalId?: ((id: string) => string) | undefined
}

export const OWN_RULE = 'own credential'

const YES: Answer = { says: 'yes' }
const NO: Answer = { says: 'no' }
const undecided = (reason: string): Answer => ({ says: 'undecided', reason })

/** Compiles a policy to a function of one token. Spare beats kill; our own credential is spared. */
export function compilePolicy(
  policy: Policy,
  around: Surroundings,
): (token: ListedToken) => Verdict {
  const kill = compileList('kill', policy.kill, around)
  const spare = compileList('spare', policy.spare, around)
  return (token) => {
    const killed = firstOf(kill, token)
    if (killed === undefined) return { verdict: 'untouched' }
    if (token.own) {
      const reason = 'Rescind works with it, or may work with it'
      return { verdict: 'spare', rule: OWN_RULE, reason }
    }
    const spared = firstOf(spare, token)
    if (spared?.reason === null) return { verdict: 'spare', rule: spared.rule, reason: null }
    if (spared) {
      const reason = `may be spared: ${spared.reason}`
      return { verdict: 'undecided', rule: spared.rule, reason, maySpare: true }
    }
    if (killed.reason === null) return { verdict: 'kill', rule: killed.rule, reason: null }
    return { verdict: 'undecided', rule: killed.rule, reason: killed.reason, maySpare: false }
  }
}

interface CompiledRule {
  readonly name: string
  readonly ask: (token: ListedToken) => Answer
}

function compileList(list: 'kill' | 'spare', rules: readonly Rule[], around: Surroundings) {
  return rules.map(
    (rule, index): CompiledRule => ({
      name: describeRule(list, index, rule),
      ask: compileRule(rule, around),
    }),
  )
}

/** The first rule that says yes (reason null), else the first that cannot decide, else undefined. */
function firstOf(
  rules: readonly CompiledRule[],
  token: ListedToken,
): { rule: string; reason: string | null } | undefined {
  let open: { rule: string; reason: string } | undefined
  for (const { name, ask } of rules) {
    const answer = ask(token)
    if (answer.says === 'yes') return { rule: name, reason: null }
    if (answer.says === 'undecided') open ??= { rule: name, reason: answer.reason }
  }
  return open
}

/** All conditions of a rule must hold: one `no` decides, then one `undecided`. */
function compileRule(rule: Rule, around: Surroundings): (token: ListedToken) => Answer {
  const conditions: ((token: ListedToken) => Answer)[] = []
  if (rule.kind) conditions.push((token) => (token.kind === rule.kind ? YES : NO))
  if (rule.app) conditions.push(...appConditions(rule.app, around))
  if (rule.user) conditions.push(...userConditions(rule.user, around))
  if (rule.created) conditions.push(...createdConditions(rule.created, around.now))
  if (rule.lastUsed) conditions.push(...lastUsedConditions(rule.lastUsed, around.now))
  return (token) => {
    let open: Answer | undefined
    for (const condition of conditions) {
      const answer = condition(token)
      if (answer.says === 'no') return NO
      if (answer.says === 'undecided') open ??= answer
    }
    return open ?? YES
  }
}

type Condition = (token: ListedToken) => Answer

function userConditions(
  rule: NonNullable<Rule['user']>,
  { users, canonicalId }: Surroundings,
): Condition[] {
  const on = (judge: (user: UserRow) => Answer): Condition => {
    return (token) => {
      const user = token.userId === null ? undefined : users.get(token.userId)
      return user ? judge(user) : undecided('its user is not in the list of users')
    }
  }
  const conditions: Condition[] = []
  if (rule.id !== undefined) {
    const matches = compileIds(rule.id, canonicalId)
    conditions.push(({ userId }) =>
      userId === null ? undecided('its user is not known') : toAnswer(matches(userId)),
    )
  }
  if (rule.name !== undefined) conditions.push(on(named(rule.name, 'login name', (u) => u.name)))
  if (rule.type !== undefined) conditions.push(on(named(rule.type, 'user type', (u) => u.type)))
  if (rule.profile !== undefined) {
    conditions.push(on(named(rule.profile, 'profile', (u) => u.profile)))
  }
  if (rule.active !== undefined) {
    conditions.push(on((user) => same(user.active, rule.active, 'whether its user is active')))
  }
  if (rule.frozen !== undefined) {
    conditions.push(on((user) => same(user.frozen, rule.frozen, 'whether its user is frozen')))
  }
  return conditions
}

function appConditions(
  rule: NonNullable<Rule['app']>,
  { apps, canonicalId }: Surroundings,
): Condition[] {
  const on = (judge: (app: AppRow) => Answer): Condition => {
    return (token) => {
      const app = token.appId === null ? undefined : apps.get(token.appId)
      return app ? judge(app) : undecided('its app is not known')
    }
  }
  const conditions: Condition[] = []
  if (rule.id !== undefined) conditions.push(on(isApp(compileIds(rule.id, canonicalId), apps)))
  if (rule.name !== undefined) conditions.push(on(named(rule.name, 'app name', (a) => a.label)))
  if (rule.kind !== undefined) conditions.push(on(named(rule.kind, 'app kind', (a) => a.kind)))
  if (rule.installed !== undefined) {
    conditions.push(
      on((app) => same(app.installed, rule.installed, 'whether its app is installed')),
    )
  }
  if (rule.createdBefore !== undefined) {
    const limit = momentMs(rule.createdBefore)
    conditions.push(({ createdAt }) => before(createdAt, limit))
  }
  return conditions
}

/** A person copies an id as the vendor's page shows it, which need not be as the vendor's list has it. */
function compileIds(
  ids: string | readonly string[],
  canonicalId: Surroundings['canonicalId'],
): (id: string) => boolean {
  const given = [ids].flat()
  return compileGlobs(canonicalId ? [...given, ...given.map(canonicalId)] : given)
}

/** An app known by its label alone may be any app of that label: then its id cannot be decided. */
function isApp(
  matches: (id: string) => boolean,
  apps: ReadonlyMap<string, AppRow>,
): (app: AppRow) => Answer {
  const labels = new Set([...apps.values()].filter((a) => matches(a.id)).map((a) => a.label))
  return (app) => {
    if (matches(app.id)) return YES
    if (app.id.startsWith('label:') && labels.has(app.label)) {
      return undecided(
        `its app is known by the label "${app.label}" alone, which several apps bear`,
      )
    }
    return NO
  }
}

function createdConditions(rule: NonNullable<Rule['created']>, now: number): Condition[] {
  const conditions: Condition[] = []
  if (rule.before !== undefined) {
    const limit = momentMs(rule.before)
    conditions.push(({ createdAt }) => before(createdAt, limit))
  }
  if (rule.olderThan !== undefined) {
    const limit = now - durationMs(rule.olderThan)
    conditions.push(({ createdAt }) => before(createdAt, limit))
  }
  if (rule.after !== undefined) {
    const limit = momentMs(rule.after)
    conditions.push(({ createdAt }) =>
      createdAt === null
        ? undecided('when it was created is not known')
        : toAnswer(createdAt > limit),
    )
  }
  return conditions
}

/**
 * A token that was never used is as old as its creation. A recent use may be a failed try (the
 * vendor counts those too), and is taken as use: the doubt is in the token's favour.
 */
function lastUsedConditions(rule: NonNullable<Rule['lastUsed']>, now: number): Condition[] {
  const usedBefore =
    (limit: number): Condition =>
    ({ lastUsedAt, useCount, createdAt }) => {
      if (lastUsedAt !== null) return toAnswer(lastUsedAt < limit)
      if (useCount === 0) return before(createdAt, limit)
      return undecided('when it was last used is not known')
    }
  const conditions: Condition[] = []
  if (rule.before !== undefined) conditions.push(usedBefore(momentMs(rule.before)))
  if (rule.olderThan !== undefined) conditions.push(usedBefore(now - durationMs(rule.olderThan)))
  return conditions
}

function before(at: number | null, limit: number): Answer {
  return at === null ? undecided('when it was created is not known') : toAnswer(at < limit)
}

function toAnswer(yes: boolean): Answer {
  return yes ? YES : NO
}

function same(have: boolean | null, want: boolean | undefined, what: string): Answer {
  return have === null ? undecided(`${what} is not known`) : toAnswer(have === want)
}

function named<T>(
  patterns: string | readonly string[],
  what: string,
  read: (row: T) => string | null,
): (row: T) => Answer {
  const matches = compileGlobs(patterns)
  return (row) => {
    const name = read(row)
    return name === null ? undecided(`the ${what} is not known`) : toAnswer(matches(name))
  }
}
