import type { Selectable } from 'kysely'
import type { PlanHeader } from './plans.ts'
import type { RunTable } from './schema.ts'
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

/** The runs themselves: who holds them, how far they are, and what is remarked of them. */
export interface RunStates {
  /** Starts a run of a plan: copies its kills to the journal. Undefined when the plan has one. */
  begin(plan: PlanHeader, actor: string, holder: string, leaseMs: number): Promise<Run | undefined>
  get(id: string): Promise<Run | undefined>
  ofPlan(plan: PlanHeader): Promise<Run | undefined>
  list(tenant?: string): Promise<readonly Run[]>
  /** Takes an unfinished run for a process; false when another one changed it meanwhile. */
  hold(run: Run, holder: string, leaseMs: number): Promise<boolean>
  /** Lengthens the hold of the process that has the run; false when it has it no more. */
  renew(run: Run, leaseMs: number): Promise<boolean>
  /** Sets the state and ends the lease; nothing when another process has the run by now. */
  release(run: Run, state: Run['state'], why: string | null): Promise<void>
  /** Notes the inventories that prove; null leaves one as it is. */
  setInventories(run: Run, after: number | null, second: number | null): Promise<void>
  event(run: Run, kind: string, text: string): Promise<void>
  events(run: Run): Promise<readonly { at: number; kind: string; text: string }[]>
}

const COPY_KILLS = `INSERT INTO run_kill (run, seq, kind, app, "user", token, state, attempts)
  SELECT ?, seq, kind, app, "user", token, 'planned', 0 FROM plan_kill WHERE plan = ?`
const COPY_TOKENS = `INSERT INTO run_token (run, fingerprint, kill, proof)
  SELECT ?, fingerprint, kill, 'none' FROM plan_token WHERE plan = ? AND verdict = 'kill'`

/** Opens the runs of a store's database, without their journal and proofs. */
export function openRunStates(parts: StoreParts): RunStates {
  const { db, clock } = parts
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
    async renew({ no, holder }, leaseMs) {
      const { numUpdatedRows } = await db
        .updateTable('run')
        .set({ lease_until: clock.now() + leaseMs })
        .where('no', '=', no)
        .where('holder', 'is', holder)
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
    async setInventories({ no }, after, second) {
      const values = { ...(after !== null && { after }), ...(second !== null && { second }) }
      await db.updateTable('run').set(values).where('no', '=', no).execute()
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
