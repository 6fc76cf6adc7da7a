import type { Selectable } from 'kysely'
import type { Reach } from '../core/listing.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Proof } from '../core/proof.ts'
import type { Fingerprint } from '../core/secret.ts'
import { asReach } from './plans.ts'
import type { Run } from './run-states.ts'
import type { Schema } from './schema.ts'
import type { StoreParts } from './store.ts'

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

/** The journal of a run: an intent before each kill, and its answer after. */
export interface RunJournal {
  /** Writes entries, durably and in one transaction. */
  journal(run: Run, entries: readonly JournalEntry[]): Promise<void>
  kills(run: Run): Promise<readonly JournalledKill[]>
  /** Takes tokens out of their coarse kill and gives each a kill of its own. */
  split(run: Run, tokens: readonly Fingerprint[]): Promise<readonly JournalledKill[]>
}

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

/** Opens the journals of a store's database. */
export function openRunJournal(parts: StoreParts): RunJournal {
  return {
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
    kills: (run) => readKills(parts, run),
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
