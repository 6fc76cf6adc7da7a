import { isRescindError } from '../../core/errors.ts'
import type { Fingerprint, Secret } from '../../core/secret.ts'
import type { DrillContext } from './context.ts'
import { handleOf } from './emulator.ts'
import { whoseGrant } from './look.ts'

/** The vendor tells when a grant began in whole seconds: two that must be told apart begin further apart. */
export const GRANTS_APART_MS = 1_100

interface Grant {
  readonly print: Fingerprint
  readonly handle: Secret
  readonly createdAt: number
}

/** Lists the live grants of the connection's user and app; null where the provider cannot say. */
async function listGrants({
  direct,
  platform,
  fingerprint,
  signal,
}: DrillContext): Promise<readonly Grant[] | null> {
  const { way, app, means } = direct
  if (way.listLive === undefined) return null
  const identity = await whoseGrant({ direct, platform, signal })
  if (identity === null) return null
  const { access } = await platform.tokens(signal)
  const grants = await way.listLive(app, identity, access, means)
  // The token that asks is of one of them: none at all are those of another app.
  if (grants === null || grants.length === 0) return null
  return grants.map(({ handle, createdAt }) => ({ print: fingerprint(handle), handle, createdAt }))
}

/** Remembers which grants there are before anything is done. */
export async function rememberGrants(context: DrillContext): Promise<void> {
  const grants = await listGrants(context)
  context.memory.grantsBefore = grants?.map(({ print }) => print) ?? null
}

/**
 * Remembers which grant the connection came back with: the youngest, for the codes of a drill are given
 * one after the other, and the one that was taken last brought it. Two of one second tell nothing.
 */
export async function claimGrant(context: DrillContext): Promise<void> {
  const { memory } = context
  const now = await listGrants(context).catch(orNull)
  const began = beganSince(memory.grantsBefore, now)
  const [youngest, next] = began.toSorted((a, b) => b.createdAt - a.createdAt)
  memory.ownGrant =
    youngest === undefined || youngest.createdAt === next?.createdAt ? null : youngest.print
}

function orNull(error: unknown): null {
  if (!isRescindError(error)) throw error
  return null
}

function beganSince(before: readonly Fingerprint[] | null, now: readonly Grant[] | null) {
  return before === null || now === null ? [] : now.filter(({ print }) => !before.includes(print))
}

/** What became of the grants of a user and an app. */
export interface SeenGrants {
  /** Grants of lost codes, which the drill revoked. */
  readonly revoked: number
  /** Grants that began meanwhile and are not surely the drill's: they were left alone. */
  readonly left: number
  /** Grants that were there before and are not any more, the drilled one aside. */
  readonly gone: number
}

/**
 * Revokes what codes of the drill brought that nobody holds: as many grants at most as codes were lost,
 * and never one that was there before. At an emulator alone: a real provider does not tell which code
 * brought a grant, and another program of the same user's may have begun one meanwhile. Null where the provider cannot say which grants there are.
 */
export async function revokeSurplus(context: DrillContext): Promise<SeenGrants | null> {
  const { memory, rules, lab } = context
  const { grantsBefore, ownGrant, codesLost, reconnected, lostGrants } = memory
  const { ofCodes = 0 } = lostGrants ?? {}
  const now = await listGrants(context)
  if (grantsBefore === null || now === null) return null
  const began = beganSince(grantsBefore, now)
  const surplus = began.filter(({ print }) => print !== ownGrant)
  const isTold = ownGrant !== null || !reconnected
  let revoked = 0
  if (lab !== null && isTold && surplus.length <= codesLost + ofCodes) {
    revoked = await revokeGrants(context, surplus)
  }
  // A reconnect ends what it replaces, where its token is known.
  const isGivenUp = lostGrants?.drilled === true || orphanedByDeath(context) === 0
  const isEnded = rules.depth !== 'access' || (reconnected && isGivenUp)
  const ownOld = memory.revokedAt !== null && isEnded ? 1 : 0
  const missing = grantsBefore.filter((print) => !now.some((grant) => grant.print === print))
  const ownNew = isTold ? 0 : 1
  return {
    revoked,
    left: Math.max(0, surplus.length - ownNew - (revoked || ofCodes)),
    gone: Math.max(0, missing.length - ownOld),
  }
}

/**
 * How many grants live on, at most, whose rotated token went with a process of the drill's that died: nobody can
 * end one. At the other depths the drilled grant is dead before it is refreshed.
 */
export function orphanedByDeath({
  memory: { cutOff = 0, lostGrants = { drilled: false, ofCodes: 0 }, reconnected },
  rules: { depth, traits },
}: Pick<DrillContext, 'memory' | 'rules'>): number {
  const { drilled, ofCodes } = lostGrants
  const isCutOff = cutOff > 0 && depth === 'access' && traits.rotation !== 'never'
  return (reconnected && (isCutOff || drilled) ? 1 : 0) + ofCodes
}

async function revokeGrants(
  { direct: { way, app, means }, keepOut }: DrillContext,
  grants: readonly Grant[],
): Promise<number> {
  let revoked = 0
  for (const { handle } of grants) {
    keepOut(handle)
    const answer = await way.revoke(app, { kind: 'refresh', token: handle }, means)
    if (answer.revoked === 'yes') revoked += 1
  }
  return revoked
}

/** Remembers which grant the connection holds before a fault; gives all that there are, null where nobody can say. */
export async function grantsBeforeFault(
  context: DrillContext,
): Promise<readonly Fingerprint[] | null> {
  context.memory.ownGrant = await heldGrant(context).catch(orNull)
  const there = await listGrants(context).catch(orNull)
  return there?.map(({ print }) => print) ?? null
}

/** What a fault may have orphaned. */
export interface FaultLeft {
  /** The grants before it; null where nobody can say. */
  readonly there: readonly Fingerprint[] | null
  /** How many it leaves, at most. */
  readonly leaves: number
}

/**
 * Revokes at the emulator what a fault orphaned, once the connection is well: the grant that the connection
 * had, where it has another now, and what began since. Where more began than the fault leaves, somebody
 * else's is among them, and they are left alone.
 *
 * @returns how many were revoked
 */
export async function revokeOrphans(
  context: DrillContext,
  { there, leaves }: FaultLeft,
): Promise<number> {
  if (leaves === 0) return 0
  const { ownGrant } = context.memory
  const held = await heldGrant(context).catch(orNull)
  const now = await listGrants(context).catch(orNull)
  if (held === null || now === null || ownGrant === null) return 0
  const former = held === ownGrant ? [] : now.filter(({ print }) => print === ownGrant)
  const began = beganSince(there, now).filter(({ print }) => print !== held)
  const isTold = former.length + began.length <= leaves
  return revokeGrants(context, isTold ? [...former, ...began] : former)
}

/**
 * Says whether the connection holds another grant than the one that it came back with, because somebody
 * reconnected it meanwhile; false where nobody can say.
 */
export async function isReplacedByHand(context: DrillContext): Promise<boolean> {
  const { grantsBefore, ownGrant, reconnected, healedAlone } = context.memory
  if (grantsBefore === null || !(reconnected || healedAlone)) return false
  const held = await heldGrant(context).catch(orNull)
  if (held === null) return reconnected && (await isSucceeded(context))
  return reconnected ? ownGrant !== null && held !== ownGrant : !grantsBefore.includes(held)
}

/** A provider that does not tell which grant is held shows that the drill's is gone, and that another began since. */
async function isSucceeded(context: DrillContext): Promise<boolean> {
  const { grantsBefore, ownGrant } = context.memory
  const now = await listGrants(context).catch(orNull)
  if (ownGrant === null || now === null) return false
  const isLive = now.some(({ print }) => print === ownGrant)
  return !isLive && beganSince(grantsBefore, now).length > 0
}

/** The grant of the refresh token that the platform holds; only an emulator tells. */
export async function heldGrant(context: DrillContext): Promise<Fingerprint | null> {
  const { platform, lab, fingerprint, signal } = context
  const { refresh } = await platform.tokens(signal)
  const handle = refresh && lab && (await handleOf(lab.provider, refresh))
  context.keepOut(refresh, handle)
  return handle && fingerprint(handle)
}
