import { type Selectable, sql } from 'kysely'
import type { Reach, TokenKind } from '../core/listing.ts'
import type { Outcome } from '../core/outcome.ts'
import { PROOFS, type Proof, proofRank } from '../core/proof.ts'
import type { Fingerprint } from '../core/secret.ts'
import { asReach, type PlanHeader } from './plans.ts'
import type { RunTable, Schema } from './schema.ts'
import { newId, type StoreParts } from './store.ts'

export interface Run {
  readonly no: number
  readonly id: string
  /** The plan's number. */
  readonly plan: number
  readonly tenant: string
  readonly state: 'running' | 'stopped' | 'finished'
  readonly why: string | null
  readonly actor: string
  readonly startedAt: number
  readonly finishedAt: number | null
  readonly holder: string | null
  readonly leaseUntil: number | null
  /** Numbers of the inventories that prove. */
  readonly after: number | null
  readonly second: number | null
}

/** One kill in the journal. */
export interface JournalledKill {
  readonly seq: number
  readonly reach: Reach
  readonly state: 'planned' | 'intent' | 'answered'
  readonly attempts: number
  readonly outcome: Outcome | null
  readonly code: string | null
  readonly tokens: readonly Fingerprint[]
}

/** An entry of the journal: an intent before the call, an answer after it, or that none was made. */
export type JournalEntry =
  | { readonly type: 'unsent'; readonly seq: number }
  | { readonly type: 'intent'; readonly seq: number; readonly at: number }
  | {
      readonly type: 'answer'
      readonly seq: number
      readonly at: number
      readonly outcome: Outcome
      readonly code: string
    }

/** One planned token in a run. */
export interface RunToken {
  readonly fingerprint: Fingerprint
  readonly kill: number
  readonly proof: Proof
  readonly proofAt: number | null
  readonly evidence: string | null
  readonly seenAt: number | null
  readonly outcome: Outcome | null
  readonly code: string | null
  readonly state: JournalledKill['state']
  readonly attempts: number
  readonly intentAt: number | null
  readonly answeredAt: number | null
  /** As the plan's inventory has them. */
  readonly userId: string | null
  readonly appId: string | null
  readonly kind: TokenKind | null
}

/** A token that came back: new, of a planned user and app. */
export interface ReturnedToken {
  readonly fingerprint: string
  readonly user: string | null
  readonly app: string | null
}

export interface RunStore {
  /** Starts a run of a plan: copies its kills to the journal. Undefined when the plan has one. */
  begin(plan: PlanHeader, actor: string, holder: string, leaseMs: number): Promise<Run | undefined>
  get(id: string): Promise<Run | undefined>
  ofPlan(plan: PlanHeader): Promise<Run | undefined>
  list(tenant?: string): Promise<readonly Run[]>
  /** Takes an unfinished run for a process; false when another one changed it meanwhile. */
  hold(run: Run, holder: string, leaseMs: number): Promise<boolean>
  /** Sets the state and ends the lease; nothing when another process has the run by now. */
  release(run: Run, state: Run['state'], why: string | null): Promise<void>
  /** Writes entries, durably and in one transaction. */
  journal(run: Run, entries: readonly JournalEntry[]): Promise<void>
  kills(run: Run): Promise<readonly JournalledKill[]>
  /** Takes tokens out of their coarse kill and gives each a kill of its own. */
  split(run: Run, tokens: readonly Fingerprint[]): Promise<readonly JournalledKill[]>
  tokens(run: Run): Promise<readonly RunToken[]>
  /** The planned tokens that an inventory lists. */
  listedIn(run: Run, inventory: number): Promise<ReadonlySet<Fingerprint>>
  /** Tokens of a planned user and app that a fresh inventory lists and the plan's does not. */
  newTokens(run: Run, fresh: number): Promise<readonly ReturnedToken[]>
  /** Records a rung for tokens. A higher rung is kept. */
  prove(run: Run, proof: Proof, tokens: readonly Fingerprint[], evidence: string): Promise<void>
  /** Records that tokens are in the provider's list: whatever proof there was is void. */
  sawAlive(run: Run, tokens: readonly Fingerprint[]): Promise<void>
  /** Lengthens the hold of the process that has the run; false when it has it no more. */
  renew(run: Run, leaseMs: number): Promise<boolean>
  /** Notes the inventories that prove; null leaves one as it is. */
  setInventories(run: Run, after: number | null, second: number | null): Promise<void>
  addReturns(run: Run, rows: readonly ReturnedToken[]): Promise<void>
  returns(run: Run): Promise<readonly ReturnedToken[]>
  event(run: Run, kind: string, text: string): Promise<void>
  events(run: Run): Promise<readonly { at: number; kind: string; text: string }[]>
}

const COPY_KILLS = `INSERT INTO run_kill (run, seq, kind, app, "user", token, state, attempts)
  SELECT ?, seq, kind, app, "user", token, 'planned', 0 FROM plan_kill WHERE plan = ?`
const COPY_TOKENS = `INSERT INTO run_token (run, fingerprint, kill, proof)
  SELECT ?, fingerprint, kill, 'none' FROM plan_token WHERE plan = ? AND verdict = 'kill'`
const INTENT = `UPDATE run_kill SET state = 'intent', attempts = attempts + 1, intent_at = ?
  WHERE run = ? AND seq = ?`
const UNSENT = `UPDATE run_kill SET attempts = attempts - 1,
  state = CASE WHEN outcome IS NULL THEN 'planned' ELSE 'answered' END
  WHERE run = ? AND seq = ? AND state = 'intent'`
const ANSWER = `UPDATE run_kill SET state = 'answered', outcome = ?, code = ?, answered_at = ?
  WHERE run = ? AND seq = ?`
/** A kill that was sent gives `sent`; a 2xx gives `acked`. Higher rungs stay. */
const RUNG = `UPDATE run_token SET proof = ?, proof_at = ?, evidence = ?
  WHERE run = ? AND kill = ? AND proof IN ('none', 'sent')`
const SPLIT_KILL = `INSERT INTO run_kill (run, seq, kind, token, state, attempts)
  VALUES (?,?,'token',?,'planned',0)`
const SPLIT_TOKEN = `UPDATE run_token SET kill = ? WHERE run = ? AND fingerprint = ?`
/** Sets a rung on tokens that stand lower; a higher one is kept. */
const prove = (proof: Proof) => `UPDATE run_token SET proof = ?, proof_at = ?, evidence = ?,
  seen_at = NULL WHERE run = ? AND fingerprint = ? AND proof IN (${PROOFS.slice(0, proofRank(proof))
    .map((lower) => `'${lower}'`)
    .join(', ')})`
/** What is seen again falls back to what its answer alone is worth. */
const SEEN = `UPDATE run_token SET seen_at = ?, proof = CASE
    WHEN proof NOT IN ('absent', 'inactive', 'rejected', 'quiet') THEN proof
    ELSE (SELECT CASE WHEN outcome IN ('revoked', 'queued') THEN 'acked'
        WHEN attempts > 0 AND outcome IS NOT 'irrevocable' THEN 'sent' ELSE 'none' END
      FROM run_kill WHERE run_kill.run = run_token.run AND run_kill.seq = run_token.kill) END
  WHERE run = ? AND fingerprint = ?`
const RETURN = `INSERT INTO run_return (run, fingerprint, "user", app, seen_at)
  VALUES (?,?,?,?,?) ON CONFLICT (run, fingerprint) DO NOTHING`

/** Opens the runs of a store's database. */
export function openRuns(parts: StoreParts): RunStore {
  const { db, clock } = parts
  const killsOf = (run: Run) => readKills(parts, run)
  return {
    async begin(plan, actor, holder, leaseMs) {
      return parts.transact(async (trx, many) => {
        const now = clock.now()
        const earlier = await trx
          .selectFrom('run')
          .select('no')
          .where('plan', '=', plan.no)
          .executeTakeFirst()
        if (earlier) return undefined
        const row = await trx
          .insertInto('run')
          .values({
            id: newId('run'),
            plan: plan.no,
            tenant: plan.tenant,
            state: 'running',
            why: null,
            actor,
            started_at: now,
            finished_at: null,
            holder,
            lease_until: now + leaseMs,
            after: null,
            second: null,
          })
          .returningAll()
          .executeTakeFirstOrThrow()
        await many([
          { sql: COPY_KILLS, rows: [[row.no, plan.no]] },
          { sql: COPY_TOKENS, rows: [[row.no, plan.no]] },
        ])
        return asRun(row)
      })
    },
    async get(id) {
      const row = await db.selectFrom('run').selectAll().where('id', '=', id).executeTakeFirst()
      return row && asRun(row)
    },
    async ofPlan(plan) {
      const row = await db
        .selectFrom('run')
        .selectAll()
        .where('plan', '=', plan.no)
        .executeTakeFirst()
      return row && asRun(row)
    },
    async list(tenant) {
      let query = db.selectFrom('run').selectAll().orderBy('no', 'desc')
      if (tenant !== undefined) query = query.where('tenant', '=', tenant)
      return (await query.execute()).map(asRun)
    },
    async hold(run, holder, leaseMs) {
      const { numUpdatedRows } = await db
        .updateTable('run')
        .set({ holder, lease_until: clock.now() + leaseMs, state: 'running', why: null })
        .where('no', '=', run.no)
        .where('state', '!=', 'finished')
        .where('holder', 'is', run.holder)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    async release(run, state, why) {
      const finished_at = state === 'finished' ? clock.now() : null
      await db
        .updateTable('run')
        .set({ state, why, finished_at, holder: null, lease_until: null })
        .where('no', '=', run.no)
        .where('holder', 'is', run.holder)
        .execute()
    },
    async journal({ no }, entries) {
      const intents: (string | number)[][] = []
      const answers: (string | number)[][] = []
      const rungs: (string | number)[][] = []
      const unsent: number[][] = []
      for (const entry of entries) {
        if (entry.type === 'intent') intents.push([entry.at, no, entry.seq])
        else if (entry.type === 'unsent') unsent.push([no, entry.seq])
        else {
          answers.push([entry.outcome, entry.code, entry.at, no, entry.seq])
          rungs.push([rungOf(entry.outcome), entry.at, `answer ${entry.code}`, no, entry.seq])
        }
      }
      // Answers first: an intent in the same batch is a later attempt.
      await parts.runMany([
        { sql: ANSWER, rows: answers },
        { sql: RUNG, rows: rungs },
        { sql: INTENT, rows: intents },
        { sql: UNSENT, rows: unsent },
      ])
    },
    kills: killsOf,
    async split({ no }, tokens) {
      return parts.transact(async (trx, many) => {
        const { last } = await trx
          .selectFrom('run_kill')
          .select(({ fn }) => fn.max('seq').as('last'))
          .where('run', '=', no)
          .executeTakeFirstOrThrow()
        const finer = tokens.map((token, index) => ({ token, seq: Number(last) + 1 + index }))
        await many([
          { sql: SPLIT_KILL, rows: finer.map(({ token, seq }) => [no, seq, token]) },
          { sql: SPLIT_TOKEN, rows: finer.map(({ token, seq }) => [seq, no, token]) },
        ])
        return finer.map(({ token, seq }) => finerKill(seq, token))
      })
    },
    async tokens({ no }) {
      const rows = await db
        .selectFrom('run_token')
        .innerJoin('run_kill', (join) =>
          join
            .onRef('run_kill.run', '=', 'run_token.run')
            .onRef('run_kill.seq', '=', 'run_token.kill'),
        )
        .innerJoin('run', 'run.no', 'run_token.run')
        .innerJoin('plan', 'plan.no', 'run.plan')
        .leftJoin('token', (join) =>
          join
            .onRef('token.inventory', '=', 'plan.inventory')
            .onRef('token.fingerprint', '=', 'run_token.fingerprint'),
        )
        .select(['run_token.fingerprint', 'token.user as user_id', 'token.app as app_id'])
        .select('token.kind as token_kind')
        .select(['run_token.kill', 'proof', 'proof_at', 'evidence', 'seen_at'])
        .select(['outcome', 'code', 'run_kill.state', 'attempts', 'intent_at', 'answered_at'])
        .where('run_token.run', '=', no)
        .orderBy('run_token.fingerprint')
        .execute()
      return rows.map((row) => ({
        fingerprint: row.fingerprint as Fingerprint,
        kill: row.kill,
        proof: row.proof,
        proofAt: row.proof_at,
        evidence: row.evidence,
        seenAt: row.seen_at,
        outcome: row.outcome,
        code: row.code,
        state: row.state,
        attempts: row.attempts,
        intentAt: row.intent_at,
        answeredAt: row.answered_at,
        userId: row.user_id,
        appId: row.app_id,
        kind: row.token_kind,
      }))
    },
    async listedIn({ no }, inventory) {
      const rows = await db
        .selectFrom('run_token')
        .innerJoin('token', 'token.fingerprint', 'run_token.fingerprint')
        .select('run_token.fingerprint')
        .where('run', '=', no)
        .where('token.inventory', '=', inventory)
        .execute()
      return new Set(rows.map(({ fingerprint }) => fingerprint as Fingerprint))
    },
    async newTokens(run, fresh) {
      const { rows } = await newTokensQuery(run, fresh).execute(db)
      return rows
    },
    async prove({ no }, proof, tokens, evidence) {
      const at = clock.now()
      const rows = tokens.map((token) => [proof, at, evidence, no, token])
      await parts.runMany([{ sql: prove(proof), rows }])
    },
    async sawAlive({ no }, tokens) {
      const at = clock.now()
      await parts.runMany([{ sql: SEEN, rows: tokens.map((token) => [at, no, token]) }])
    },
    async renew({ no, holder }, leaseMs) {
      const { numUpdatedRows } = await db
        .updateTable('run')
        .set({ lease_until: clock.now() + leaseMs })
        .where('no', '=', no)
        .where('holder', 'is', holder)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    async setInventories({ no }, after, second) {
      const values = { ...(after !== null && { after }), ...(second !== null && { second }) }
      await db.updateTable('run').set(values).where('no', '=', no).execute()
    },
    async addReturns({ no }, rows) {
      const at = clock.now()
      await parts.runMany([
        {
          sql: RETURN,
          rows: rows.map(({ fingerprint, user, app }) => [no, fingerprint, user, app, at]),
        },
      ])
    },
    async returns({ no }) {
      return db
        .selectFrom('run_return')
        .select(['fingerprint', 'user', 'app'])
        .where('run', '=', no)
        .execute()
    },
    async event({ no }, kind, text) {
      await db.insertInto('run_event').values({ run: no, at: clock.now(), kind, text }).execute()
    },
    async events({ no }) {
      return db
        .selectFrom('run_event')
        .select(['at', 'kind', 'text'])
        .where('run', '=', no)
        .orderBy('seq')
        .execute()
    },
  }
}

function finerKill(seq: number, token: Fingerprint): JournalledKill {
  const reach = { kind: 'token' as const, token }
  return { seq, reach, state: 'planned', attempts: 0, outcome: null, code: null, tokens: [token] }
}

/** The rung that an answer alone gives: a 2xx is `acked`, everything else was merely sent. */
function rungOf(outcome: Outcome): Proof {
  switch (outcome) {
    case 'revoked':
    case 'queued':
      return 'acked'
    case 'already_dead':
    case 'in_doubt':
    case 'failed':
    case 'refused':
      return 'sent'
    case 'irrevocable':
      return 'none'
  }
}

function newTokensQuery({ no, plan }: Run, fresh: number) {
  return sql<ReturnedToken>`
    WITH before AS (SELECT inventory FROM plan WHERE no = ${plan}),
    pair AS (
      SELECT DISTINCT token."user", token.app FROM run_token
      JOIN token ON token.fingerprint = run_token.fingerprint
      WHERE run_token.run = ${no} AND token.inventory = (SELECT inventory FROM before))
    SELECT token.fingerprint, token."user", token.app FROM token
    JOIN pair ON pair."user" = token."user" AND pair.app = token.app
    WHERE token.inventory = ${fresh} AND NOT EXISTS (
      SELECT 1 FROM token old WHERE old.inventory = (SELECT inventory FROM before)
      AND old.fingerprint = token.fingerprint)`
}

async function readKills({ db }: StoreParts, { no }: Run): Promise<JournalledKill[]> {
  const rows = await db
    .selectFrom('run_kill')
    .selectAll()
    .where('run', '=', no)
    .orderBy('seq')
    .execute()
  const tokens = await db
    .selectFrom('run_token')
    .select(['fingerprint', 'kill'])
    .where('run', '=', no)
    .orderBy('fingerprint')
    .execute()
  const byKill = new Map<number, Fingerprint[]>()
  for (const { fingerprint, kill } of tokens) {
    const group = byKill.get(kill)
    if (group) group.push(fingerprint as Fingerprint)
    else byKill.set(kill, [fingerprint as Fingerprint])
  }
  return rows.map((row) => asKill(row, byKill.get(row.seq) ?? []))
}

function asKill(
  row: Selectable<Schema['run_kill']>,
  tokens: readonly Fingerprint[],
): JournalledKill {
  const { seq, state, attempts, outcome, code } = row
  return { seq, reach: asReach(row), state, attempts, outcome, code, tokens }
}

function asRun(row: Selectable<RunTable>): Run {
  return {
    no: row.no,
    id: row.id,
    plan: row.plan,
    tenant: row.tenant,
    state: row.state,
    why: row.why,
    actor: row.actor,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    holder: row.holder,
    leaseUntil: row.lease_until,
    after: row.after,
    second: row.second,
  }
}
