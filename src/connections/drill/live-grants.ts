import { isRescindError } from '../../core/errors.ts'
import type { Fingerprint, Secret } from '../../core/secret.ts'
import type { DrillContext } from './context.ts'
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
  const now = await listGrants(context).catch((error: unknown) => {
    if (!isRescindError(error)) throw error
    return null
  })
  const began = beganSince(memory.grantsBefore, now)
  const [youngest, next] = began.toSorted((a, b) => b.createdAt - a.createdAt)
  memory.ownGrant =
    youngest === undefined || youngest.createdAt === next?.createdAt ? null : youngest.print
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
  const { memory, rules, direct, lab } = context
  const { grantsBefore, ownGrant, codesLost, reconnected } = memory
  const now = await listGrants(context)
  if (grantsBefore === null || now === null) return null
  const began = beganSince(grantsBefore, now)
  const surplus = began.filter(({ print }) => print !== ownGrant)
  const isTold = ownGrant !== null || !reconnected
  let revoked = 0
  if (lab !== null && isTold && surplus.length <= codesLost) {
    for (const { handle } of surplus) {
      context.keepOut(handle)
      const answer = await direct.way.revoke(
        direct.app,
        { kind: 'refresh', token: handle },
        direct.means,
      )
      if (answer.revoked === 'yes') revoked += 1
    }
  }
  const ownOld = memory.revokedAt !== null && rules.depth !== 'access' ? 1 : 0
  const missing = grantsBefore.filter((print) => !now.some((grant) => grant.print === print))
  const ownNew = isTold ? 0 : 1
  return {
    revoked,
    left: Math.max(0, surplus.length - revoked - ownNew),
    gone: Math.max(0, missing.length - ownOld),
  }
}
