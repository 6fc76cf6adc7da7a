import { sql } from 'kysely'
import type { TokenKind } from '../core/listing.ts'
import type { Outcome } from '../core/outcome.ts'
import { PROOFS, type Proof, proofRank } from '../core/proof.ts'
import type { Fingerprint } from '../core/secret.ts'
import type { JournalledKill } from './run-journal.ts'
import type { Run } from './run-states.ts'
import type { StoreParts } from './store.ts'

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

/** What is known of a run's planned tokens, and of those that came back. */
export interface RunProofs {
  tokens(run: Run): Promise<readonly RunToken[]>
  /** The planned tokens that an inventory lists. */
  listedIn(run: Run, inventory: number): Promise<ReadonlySet<Fingerprint>>
  /** Tokens of a planned user and app that a fresh inventory lists and the plan's does not. */
  newTokens(run: Run, fresh: number): Promise<readonly ReturnedToken[]>
  /** Records a rung for tokens. A higher rung is kept. */
  prove(run: Run, proof: Proof, tokens: readonly Fingerprint[], evidence: string): Promise<void>
  /** Records that tokens are in the provider's list: whatever proof there was is void. */
  sawAlive(run: Run, tokens: readonly Fingerprint[]): Promise<void>
  addReturns(run: Run, rows: readonly ReturnedToken[]): Promise<void>
  returns(run: Run): Promise<readonly ReturnedToken[]>
}

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

/** Opens the proofs of a store's database. */
export function openRunProofs(parts: StoreParts): RunProofs {
  const { db, clock } = parts
  return {
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
