import { isRescindError } from '../../core/errors.ts'
import type { Fingerprint, Secret } from '../../core/secret.ts'
import type { DrillContext } from './context.ts'
import { handleOf } from './emulator.ts'
import { heldNow, probeDirectly, whoseGrant } from './look.ts'

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
 * Remembers which grant the connection came back with. Where the provider does not tell, it is the youngest, for
 * the codes of a drill are given one after the other, and the one that was taken last brought it. Two of one
 * second tell nothing.
 */
export async function claimGrant(context: DrillContext): Promise<void> {
  const { memory } = context
  const held = await heldGrant(context).catch(orNull)
  const now = await listGrants(context).catch(orNull)
  const began = beganSince(memory.grantsBefore, now)
  const [youngest, next] = began.toSorted((a, b) => b.createdAt - a.createdAt)
  const isTold = youngest !== undefined && youngest.createdAt !== next?.createdAt
  memory.ownGrant = held ?? (isTold ? youngest.print : null)
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
 * Revokes what codes of the drill brought that nobody holds, and never a grant that was there before. At an
 * emulator alone, which tells which code brought a grant: a real provider does not, and another program of the
 * same user's may have begun one meanwhile. Null where the provider cannot say which grants there are.
 */
export async function revokeSurplus(context: DrillContext): Promise<SeenGrants | null> {
  const { memory, rules } = context
  const { grantsBefore, ownGrant, reconnected, revokedAt } = memory
  const now = await listGrants(context)
  if (grantsBefore === null || now === null) return null
  const began = beganSince(grantsBefore, now)
  const surplus = began.filter(({ print }) => print !== ownGrant)
  const isTold = ownGrant !== null || !reconnected
  const held = await heldGrant(context).catch(orNull)
  const broughtByUs = await broughtByCodes(context)
  const lost = surplus.filter(({ print }) => print !== held && broughtByUs.includes(print))
  const revoked = await revokeGrants(context, lost)
  // A reconnect ends what it replaces.
  const ownOld = revokedAt !== null && (rules.depth !== 'access' || reconnected) ? 1 : 0
  const missing = grantsBefore.filter((print) => !now.some((grant) => grant.print === print))
  const ownNew = isTold ? 0 : 1
  return {
    revoked,
    left: Math.max(0, surplus.length - ownNew - revoked),
    gone: Math.max(0, missing.length - ownOld),
  }
}

/** The grants that codes of the drill's brought; none where nobody tells. */
async function broughtByCodes(context: DrillContext): Promise<readonly Fingerprint[]> {
  const { lab, secrets, fingerprint } = context
  const prints: Fingerprint[] = []
  for (const code of lab === null ? [] : secrets.codes) {
    const handle = lab && (await handleOf(lab.provider, code, 'code'))
    context.keepOut(handle)
    if (handle) prints.push(fingerprint(handle))
  }
  return prints
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
 * Says whether the connection holds another grant than the drill left it with: somebody reconnected it while the
 * drill was dead, or a code of the drill's was taken in its last moment. False where nobody can say.
 */
export async function isOnAnotherGrant(context: DrillContext): Promise<boolean> {
  const { grantsBefore, ownGrant, reconnected, revokedAt, cameBackAnew } = context.memory
  if (revokedAt === null) return false
  const held = await heldGrant(context).catch(orNull)
  if (reconnected) {
    if (ownGrant === null) return false
    return held === null ? isSucceeded(context, ownGrant) : held !== ownGrant
  }
  if (held !== null && grantsBefore !== null) return !grantsBefore.includes(held)
  const { depth, traits } = context.rules
  const isRenewed = await holdsAnotherRefreshToken(context)
  if (!isRenewed || traits.rotation === 'never') return isRenewed
  // A platform that rotates changes its tokens by itself, while the old ones live.
  const wasGivenUp = depth !== 'access' || cameBackAnew !== undefined
  if (!wasGivenUp) return false
  return context.memory.accessSurvives || (await probeDirectly(context)).verdict === 'dead'
}

/** A provider that does not tell which grant is held shows all the same that ours is gone, and that another began since. */
async function isSucceeded(context: DrillContext, own: Fingerprint): Promise<boolean> {
  const now = await listGrants(context).catch(orNull)
  if (now === null || now.some(({ print }) => print === own)) return false
  return beganSince(context.memory.grantsBefore, now).length > 0
}

/** Whether the platform holds another refresh token than before the drill. */
export async function holdsAnotherRefreshToken(context: DrillContext): Promise<boolean> {
  const { secrets, fingerprint } = context
  const old = secrets.old?.refresh ?? null
  const held = (await heldNow(context))?.refresh ?? null
  return old !== null && held !== null && fingerprint(held) !== fingerprint(old)
}

/** The grant of the refresh token that the platform holds; only an emulator tells. */
export async function heldGrant(context: DrillContext): Promise<Fingerprint | null> {
  const { platform, lab, fingerprint, signal } = context
  const { refresh } = await platform.tokens(signal)
  const handle = refresh && lab && (await handleOf(lab.provider, refresh))
  context.keepOut(refresh, handle)
  return handle && fingerprint(handle)
}
