import { isGrantDead, type TokenView } from '../store/authority/contract.ts'

/** Why a token is dead: the first reason that holds, the widest first. */
export type Death = 'grant_ended' | 'marked' | 'used' | 'revoked' | 'expired'

/** Says why a token is dead at a moment, or null when it is alive. A closed look at plain values. */
export function deathOf(view: TokenView, now: number): Death | null {
  if (view.grant.endedAt !== null) return 'grant_ended'
  if (isGrantDead(view.grant)) return 'marked'
  if (view.end) return view.end.state
  return isExpired(view, now) ? 'expired' : null
}

/** Says whether a token's time is over, however else it ended before. */
export function isExpired({ expiresAt, grant }: TokenView, now: number): boolean {
  return expiresAt <= now || grant.expiresAt <= now
}
