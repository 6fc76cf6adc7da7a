import { isGrantDead, type TokenView } from '../store/authority/contract.ts'

/** Why a token is dead: the first reason that holds, the widest first. */
export type Death = 'grant_ended' | 'marked' | 'used' | 'revoked' | 'expired'

/** Says why a token is dead at a moment, or null when it is alive. A closed look at plain values. */
export function deathOf({ end, grant, expiresAt }: TokenView, now: number): Death | null {
  if (grant.endedAt !== null) return 'grant_ended'
  if (isGrantDead(grant)) return 'marked'
  if (end) return end.state
  return expiresAt <= now || grant.expiresAt <= now ? 'expired' : null
}
