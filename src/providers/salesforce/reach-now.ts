import { RescindError } from '../../core/errors.ts'
import type { Fingerprint } from '../../core/secret.ts'
import type { Kill, KillToken } from '../provider.ts'
import type { UsageToken } from './external-apps.ts'
import { makeHandle, parseHandle } from './handles.ts'
import { type LookMeans, lookAt } from './look.ts'
import { readSight } from './sight.ts'
import { momentOf } from './usage-match.ts'
import { readAppUsage } from './usage-tokens.ts'

/**
 * Lists what a kill would reach now: one token if it is listed, or all tokens of an external client
 * app, or of it and one user.
 *
 * @throws RescindError `answer_invalid` when the list cannot be shown whole
 */
export async function listReach(kill: Kill, means: LookMeans): Promise<ReadonlySet<Fingerprint>> {
  const { reach } = kill
  switch (reach.kind) {
    case 'token': {
      const { present, unclear } = await lookAt(kill.tokens, means)
      if (unclear.size > 0) throw unreadable('the token')
      return present
    }
    case 'user_app':
      return listCoarseReach(reach, kill.tokens, means)
    case 'app':
      return listCoarseReach({ app: reach.app, user: null }, kill.tokens, means)
  }
}

/** What its owner alone may see would let the kill reach everybody else's unseen. */
async function listCoarseReach(
  { app, user }: { readonly app: string; readonly user: string | null },
  planned: readonly KillToken[],
  means: LookMeans,
): Promise<ReadonlySet<Fingerprint>> {
  const { connection, account, fingerprint, signal } = means
  const listed = await readAppUsage(connection, app, user, signal)
  const sight = await readSight(connection, account, signal)
  if (sight.grants) return nameReached(listed, planned, fingerprint)
  throw new RescindError(
    'not_permitted',
    `${account.caller.userName} does not see other people's tokens, so what the kill would reach is not known. Give it Customize Application.`,
  )
}

/**
 * Names what the usage API lists, which is what its DELETE ends. A token that is a planned one bears
 * that one's fingerprint; any other bears its own, which no plan has.
 */
export function nameReached(
  listed: readonly UsageToken[],
  planned: readonly KillToken[],
  fingerprint: LookMeans['fingerprint'],
): ReadonlySet<Fingerprint> {
  const byId = new Set(planned.map((token) => token.fingerprint))
  const byMoment = new Map<string, Fingerprint[]>()
  for (const token of planned) {
    const moment = momentOf(token)
    if (moment === null || parseHandle(token.handle)?.kind !== 'delete') continue
    byMoment.set(moment, [...(byMoment.get(moment) ?? []), token.fingerprint])
  }
  const reached = new Set<Fingerprint>()
  for (const token of listed) {
    const own = fingerprint(makeHandle('usage', token.id))
    // Each planned token stands for one listed token: what is left over is outside the plan.
    const plannedOne = byId.has(own) ? own : byMoment.get(momentOf(token) ?? '')?.pop()
    reached.add(plannedOne ?? own)
  }
  return reached
}

function unreadable(what: string): RescindError {
  return new RescindError(
    'answer_invalid',
    `The org does not show ${what} whole, so what the kill would reach is not known. Try again.`,
  )
}
