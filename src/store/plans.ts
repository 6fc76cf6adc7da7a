import type { Selectable } from 'kysely'
import type { Account, Reach } from '../core/listing.ts'
import type { Fingerprint } from '../core/secret.ts'
import type { PlanTable, Schema } from './schema.ts'
import type { StoreParts } from './store.ts'

/** A stored plan, without its kills. */
export interface PlanHeader {
  readonly no: number
  readonly id: string
  readonly hash: string
  readonly tenant: string
  readonly account: Account
  /** The inventory's number and id. */
  readonly inventory: { readonly no: number; readonly id: string }
  /** Canonical JSON of the policy. */
  readonly policy: string
  readonly policyHash: string
  readonly createdAt: number
  readonly chosen: number
  readonly spared: number
  readonly undecided: number
  readonly untouched: number
  readonly notes: readonly string[]
}

/** One planned kill and the tokens that it is meant to reach. */
export interface PlannedKill {
  readonly seq: number
  readonly reach: Reach
  readonly count: number
  readonly rule: string
  readonly tokens: readonly Fingerprint[]
}

/** Why a token is not killed though a kill rule spoke of it. */
export interface HeldBack {
  readonly fingerprint: Fingerprint
  readonly verdict: 'spare' | 'undecided'
  readonly rule: string
  readonly reason: string | null
}

export interface PlanStore {
  save(
    header: Omit<PlanHeader, 'no'>,
    kills: readonly PlannedKill[],
    heldBack: readonly HeldBack[],
  ): Promise<PlanHeader>
  get(id: string): Promise<PlanHeader | undefined>
  byNo(no: number): Promise<PlanHeader | undefined>
  latest(tenant: string): Promise<PlanHeader | undefined>
  kills(plan: PlanHeader): Promise<readonly PlannedKill[]>
  heldBack(plan: PlanHeader): Promise<readonly HeldBack[]>
  /** Counts the planned tokens that the inventory marks as our own. */
  ownPlanned(plan: PlanHeader): Promise<number>
  /** Counts the planned tokens of a user. */
  plannedOfUser(plan: PlanHeader, userId: string): Promise<number>
}

const INSERT_KILL = `INSERT INTO plan_kill (plan, seq, kind, app, "user", token, count, rule)
  VALUES (?,?,?,?,?,?,?,?)`
const INSERT_TOKEN = `INSERT INTO plan_token (plan, fingerprint, verdict, kill, rule, reason)
  VALUES (?,?,?,?,?,?)`

/** Opens the plans of a store's database. A plan is written once and never changed. */
export function openPlans(parts: StoreParts): PlanStore {
  const { db } = parts
  const select = () =>
    db
      .selectFrom('plan')
      .innerJoin('inventory', 'inventory.no', 'plan.inventory')
      .selectAll('plan')
      .select('inventory.id as inventory_id')
  const countPlanned = ({ no, inventory }: PlanHeader) =>
    db
      .selectFrom('plan_token')
      .innerJoin('token', 'token.fingerprint', 'plan_token.fingerprint')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('plan', '=', no)
      .where('verdict', '=', 'kill')
      .where('token.inventory', '=', inventory.no)
  return {
    async save(header, kills, heldBack) {
      const { inventory, account, policyHash, createdAt, notes, ...same } = header
      return parts.transact(async (trx, many) => {
        const { no } = await trx
          .insertInto('plan')
          .values({
            ...same,
            account: JSON.stringify(account),
            inventory: inventory.no,
            policy_hash: policyHash,
            created_at: createdAt,
            notes: JSON.stringify(notes),
          })
          .returning('no')
          .executeTakeFirstOrThrow()
        await many([
          { sql: INSERT_KILL, rows: kills.map((kill) => killRow(no, kill)) },
          { sql: INSERT_TOKEN, rows: tokenRows(no, kills, heldBack) },
        ])
        return { ...header, no }
      })
    },
    async get(id) {
      const row = await select().where('plan.id', '=', id).executeTakeFirst()
      return row && asHeader(row)
    },
    async byNo(no) {
      const row = await select().where('plan.no', '=', no).executeTakeFirst()
      return row && asHeader(row)
    },
    async latest(tenant) {
      const row = await select()
        .where('plan.tenant', '=', tenant)
        .orderBy('plan.no', 'desc')
        .executeTakeFirst()
      return row && asHeader(row)
    },
    async kills({ no }) {
      const rows = await db
        .selectFrom('plan_kill')
        .selectAll()
        .where('plan', '=', no)
        .orderBy('seq')
        .execute()
      // What a run would kill is copied from here, so that it is what the hash must cover.
      const tokens = await db
        .selectFrom('plan_token')
        .select(['fingerprint', 'kill'])
        .where('plan', '=', no)
        .where('verdict', '=', 'kill')
        .orderBy('fingerprint')
        .execute()
      const groups = groupByKill(tokens)
      return rows.map((row) => asKill(row, groups))
    },
    async heldBack({ no }) {
      const rows = await db
        .selectFrom('plan_token')
        .select(['fingerprint', 'verdict', 'rule', 'reason'])
        .where('plan', '=', no)
        .where('verdict', '!=', 'kill')
        .orderBy('fingerprint')
        .execute()
      return rows as HeldBack[]
    },
    async ownPlanned(plan) {
      return (await countPlanned(plan).where('own', '=', 1).executeTakeFirstOrThrow()).count
    },
    async plannedOfUser(plan, userId) {
      return (await countPlanned(plan).where('user', '=', userId).executeTakeFirstOrThrow()).count
    },
  }
}

/** Reads a reach from the columns that it is stored in. */
export function asReach(row: {
  kind: Reach['kind']
  app: string | null
  user: string | null
  token: string | null
}): Reach {
  switch (row.kind) {
    case 'app':
      return { kind: 'app', app: row.app ?? '' }
    case 'user_app':
      return { kind: 'user_app', user: row.user ?? '', app: row.app ?? '' }
    case 'token':
      return { kind: 'token', token: (row.token ?? '') as Fingerprint }
  }
}

function killRow(plan: number, { seq, reach, count, rule }: PlannedKill) {
  const app = reach.kind === 'token' ? null : reach.app
  const user = reach.kind === 'user_app' ? reach.user : null
  const token = reach.kind === 'token' ? reach.token : null
  return [plan, seq, reach.kind, app, user, token, count, rule]
}

function tokenRows(
  plan: number,
  kills: readonly PlannedKill[],
  heldBack: readonly HeldBack[],
): (string | number | null)[][] {
  const rows: (string | number | null)[][] = []
  for (const { seq, rule, tokens } of kills) {
    for (const token of tokens) rows.push([plan, token, 'kill', seq, rule, null])
  }
  for (const { fingerprint, verdict, rule, reason } of heldBack) {
    rows.push([plan, fingerprint, verdict, null, rule, reason])
  }
  return rows
}

type TokensOfKill = ReadonlyMap<number, readonly Fingerprint[]>

function groupByKill(rows: readonly { fingerprint: string; kill: number | null }[]): TokensOfKill {
  const groups = new Map<number, Fingerprint[]>()
  for (const { fingerprint, kill } of rows) {
    if (kill === null) continue
    const group = groups.get(kill)
    if (group) group.push(fingerprint as Fingerprint)
    else groups.set(kill, [fingerprint as Fingerprint])
  }
  return groups
}

function asKill(row: Selectable<Schema['plan_kill']>, groups: TokensOfKill): PlannedKill {
  const { seq, count, rule } = row
  return { seq, reach: asReach(row), count, rule, tokens: groups.get(seq) ?? [] }
}

function asHeader(row: Selectable<PlanTable> & { inventory_id: string }): PlanHeader {
  return {
    no: row.no,
    id: row.id,
    hash: row.hash,
    tenant: row.tenant,
    account: JSON.parse(row.account) as Account,
    inventory: { no: row.inventory, id: row.inventory_id },
    policy: row.policy,
    policyHash: row.policy_hash,
    createdAt: row.created_at,
    chosen: row.chosen,
    spared: row.spared,
    undecided: row.undecided,
    untouched: row.untouched,
    notes: JSON.parse(row.notes) as string[],
  }
}
