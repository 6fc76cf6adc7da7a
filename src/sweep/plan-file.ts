import { createHash } from 'node:crypto'
import { z } from 'zod'
import { RescindError } from '../core/errors.ts'
import type { PlanHeader, PlannedKill } from '../store/plans.ts'

/** The version of the file's form. */
const FORM = 1

/** A plan as it is shown and kept: no secret in it, one kill a line, its own hash at the top. */
export interface PlanDocument {
  readonly plan: string
  readonly hash: string
  readonly form: number
  readonly tenant: string
  readonly account: string
  readonly inventory: string
  readonly policy: unknown
  readonly policyHash: string
  readonly createdAt: string
  readonly chosen: number
  readonly spared: number
  readonly undecided: number
  readonly untouched: number
  readonly notes: readonly string[]
  readonly kills: readonly PlanDocumentKill[]
}

export interface PlanDocumentKill {
  readonly reach: PlannedKill['reach']
  readonly count: number
  readonly rule: string
  /** The fingerprints of a reach that is wider than one token. */
  readonly tokens?: readonly string[]
}

/** Everything of a plan that its hash covers. */
export type PlanContent = Omit<PlanHeader, 'no' | 'hash'>

/** Returns the plan's own hash: SHA-256 over everything that decides what would be killed. */
export function hashPlan(plan: PlanContent, kills: readonly PlannedKill[]): string {
  const hash = createHash('sha256')
  hash.update(JSON.stringify(head(plan)))
  for (const kill of kills) hash.update(`\n${JSON.stringify(line(kill))}`)
  return `sha256:${hash.digest('hex')}`
}

/** Returns the document of a plan. */
export function planDocument(header: PlanHeader, kills: readonly PlannedKill[]): PlanDocument {
  const { plan, ...rest } = head(header)
  return { plan, hash: header.hash, ...rest, kills: kills.map(line) }
}

/** Renders the document as JSON with one kill a line, so that two plans can be compared by eye. */
export function* renderPlan(document: PlanDocument): Iterable<string> {
  const { kills, ...header } = document
  yield `${JSON.stringify(header, null, 2).slice(0, -2)},\n  "kills": [`
  let first = true
  for (const kill of kills) {
    yield `${first ? '' : ','}\n    ${JSON.stringify(kill)}`
    first = false
  }
  yield '\n  ]\n}\n'
}

const count = z.int().min(0)
/** Strict: what the schema would leave out, the hash would not see. */
const documentSchema = z.strictObject({
  plan: z.string(),
  hash: z.string(),
  form: z.literal(FORM),
  tenant: z.string(),
  account: z.string(),
  inventory: z.string(),
  policy: z.unknown(),
  policyHash: z.string(),
  createdAt: z.string(),
  chosen: count,
  spared: count,
  undecided: count,
  untouched: count,
  notes: z.array(z.string()),
  kills: z.array(
    z.strictObject({
      reach: z.union([
        z.strictObject({ kind: z.literal('token'), token: z.string() }),
        z.strictObject({ kind: z.literal('user_app'), user: z.string(), app: z.string() }),
        z.strictObject({ kind: z.literal('app'), app: z.string() }),
      ]),
      count,
      rule: z.string(),
      tokens: z.array(z.string()).optional(),
    }),
  ),
})

/**
 * Reads a plan file.
 *
 * @throws RescindError `plan_altered` when it is not a plan, or not the one that its hash says
 */
export function parsePlan(text: string, name: string): PlanDocument {
  const parsed = documentSchema.safeParse(parseJson(text, name))
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const where = issue ? `${issue.path.join('.')}: ${issue.message}` : 'unknown form'
    throw new RescindError(
      'plan_altered',
      `${name} is not a plan, or was altered (${where}). Make a new one with: rescind plan`,
    )
  }
  const document = parsed.data as PlanDocument
  if (hashDocument(document) !== document.hash) {
    throw new RescindError(
      'plan_altered',
      `${name} was altered: its content is not what its hash says. A plan is never edited; make a new one with: rescind plan`,
    )
  }
  return document
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new RescindError('plan_altered', `${name} is not JSON, so it is no plan.`, {
      cause: error,
    })
  }
}

function hashDocument(document: PlanDocument): string {
  const { hash: _, kills, ...rest } = document
  const hash = createHash('sha256')
  hash.update(JSON.stringify(rest))
  for (const kill of kills) hash.update(`\n${JSON.stringify(kill)}`)
  return `sha256:${hash.digest('hex')}`
}

function head(plan: PlanContent) {
  return {
    plan: plan.id,
    form: FORM,
    tenant: plan.tenant,
    account: plan.account.id,
    inventory: plan.inventory.id,
    policy: JSON.parse(plan.policy) as unknown,
    policyHash: plan.policyHash,
    createdAt: new Date(plan.createdAt).toISOString(),
    chosen: plan.chosen,
    spared: plan.spared,
    undecided: plan.undecided,
    untouched: plan.untouched,
    notes: plan.notes,
  }
}

/** A kill of one token names it in its reach; were there other tokens behind it, they would show. */
function line({ reach, count, rule, tokens }: PlannedKill): PlanDocumentKill {
  const says = reach.kind === 'token' && tokens.length === 1 && tokens[0] === reach.token
  return says ? { reach, count, rule } : { reach, count, rule, tokens }
}
