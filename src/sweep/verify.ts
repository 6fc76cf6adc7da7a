import { formatCount, formatCounted } from '../core/counts.ts'
import { isDead } from '../core/proof.ts'
import type { Fingerprint } from '../core/secret.ts'
import type { Inventory } from '../store/inventories.ts'
import type { RunToken } from '../store/run-proofs.ts'
import { type Engine, record } from './engine.ts'
import { takeInventory } from './inventory.ts'

/** What a fresh inventory says of the planned tokens. */
export interface Verified {
  readonly inventory: Inventory
  /** Planned tokens that are in it. */
  readonly present: readonly RunToken[]
  /** Planned tokens that are proven not to be in it. */
  readonly absent: readonly RunToken[]
}

/**
 * Takes a fresh inventory and judges every planned token by it: what is not in a complete list is
 * `absent`; what is in it is alive, whatever was answered before. New tokens of a planned user and
 * app are recorded as come back.
 *
 * @throws RescindError when the list cannot be read
 */
export async function verifyRun(engine: Engine): Promise<Verified> {
  const { store, session, run, provider, signal, tell } = engine
  const inventory = await takeInventory({
    tenant: run.tenant,
    provider,
    session,
    inventories: store.inventories,
    signal,
    onProgress: ({ read, of }) =>
      tell({ event: 'progress', phase: 'verify', done: read, total: of, outcomes: {}, limit: 0 }),
  })
  const tokens = await store.runs.tokens(run)
  const listed = await store.runs.listedIn(run, inventory.no)
  const present = tokens.filter(({ fingerprint }) => listed.has(fingerprint))
  const missing = tokens.filter(
    ({ fingerprint, userId }) => !listed.has(fingerprint) && covers(inventory, userId),
  )
  const doubtful = await lookAtUncounted(engine, missing)
  const absent = missing.filter(({ fingerprint }) => !doubtful.has(fingerprint))
  const evidence = `inventory ${inventory.id}`
  await store.runs.prove(run, 'absent', fingerprintsOf(absent), evidence)
  await store.runs.sawAlive(run, fingerprintsOf(present))
  await recordReturns(engine, inventory)
  const unclear = tokens.length - present.length - absent.length
  await record(
    engine,
    'verify',
    `${inventory.id}: ${formatCount(absent.length)} absent, ${formatCount(present.length)} still listed${unclear > 0 ? `, ${formatCount(unclear)} not to be told${inventory.state === 'partial' ? `, because the inventory is partial (${inventory.why})` : ''}` : ''}`,
  )
  return { inventory, present, absent }
}

/**
 * Sessions, and tokens of apps that have a list of their own, come without a count that would prove
 * their list whole, and by other permissions than the rest: each that is missing is looked at by
 * itself. Returns those that are not gone.
 */
async function lookAtUncounted(
  { store, session, inventory, signal }: Engine,
  missing: readonly RunToken[],
): Promise<ReadonlySet<Fingerprint>> {
  const apps = await store.inventories.apps(inventory)
  const isUncounted = ({ kind, appId }: RunToken) =>
    kind === 'session' || (appId !== null && (apps.get(appId)?.reaches.length ?? 1) > 1)
  const uncounted = missing.filter((token) => !isDead(token.proof) && isUncounted(token))
  if (uncounted.length === 0) return new Set()
  const handles = await store.inventories.handles(inventory, fingerprintsOf(uncounted))
  const { present, unclear } = await session.look([...handles.values()], signal)
  return new Set([...present, ...unclear])
}

/** Says whether a token that an inventory does not list is proven to be gone. */
export function covers(inventory: Inventory, userId: string | null): boolean {
  if (inventory.state === 'complete') return true
  if (!inventory.whole) return false
  return inventory.covers === 'all' || (userId !== null && inventory.covers.users.includes(userId))
}

/** Says whether the time is over in which anything minted from a token could live on. */
export function isPastResidual(token: RunToken, now: number, residualMs: number): boolean {
  return token.answeredAt !== null && now - token.answeredAt >= residualMs
}

function fingerprintsOf(tokens: readonly RunToken[]): Fingerprint[] {
  return tokens.map(({ fingerprint }) => fingerprint)
}

/** New tokens of a planned user and app: the app came back, or had never left. */
async function recordReturns(engine: Engine, inventory: Inventory): Promise<void> {
  const { store, run } = engine
  const rows = await store.runs.newTokens(run, inventory.no)
  const known = new Set((await store.runs.returns(run)).map(({ fingerprint }) => fingerprint))
  const fresh = rows.filter(({ fingerprint }) => !known.has(fingerprint))
  if (fresh.length === 0) return
  await store.runs.addReturns(run, fresh)
  const apps = formatCounted(new Set(fresh.map(({ app }) => app)).size, 'app')
  const tokens = formatCounted(fresh.length, 'new token')
  await record(engine, 'came_back', `${tokens} of planned users and apps (${apps})`)
}
