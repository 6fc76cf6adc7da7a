import type { Clock } from '../core/clock.ts'
import type { AuthorityStore } from '../store/authority/contract.ts'
import type { Beginnings } from './beginning.ts'

/** How long things live, in seconds. */
export interface Lifetimes {
  readonly code: number
  readonly accessToken: number
  /** A refresh token that is not used for so long is dead. */
  readonly refreshToken: number
  /** No token of a grant outlives it. */
  readonly grant: number
  /** How long after a refresh the same refresh token gets the same answer again, for a client that lost it. */
  readonly refreshGrace: number
}

export const DEFAULT_LIFETIMES: Lifetimes = {
  code: 60,
  accessToken: 600,
  refreshToken: 30 * 86_400,
  grant: 365 * 86_400,
  refreshGrace: 10,
}

/** Whether an access token at `/revoke` takes down itself alone, or its whole grant (RFC 7009 section 2.1 leaves it open). */
export const ACCESS_TOKEN_CASCADES = ['token', 'grant'] as const
export type AccessTokenCascade = (typeof ACCESS_TOKEN_CASCADES)[number]

/** What every part of the authority is given. */
export interface AuthorityParts {
  readonly issuer: string
  readonly store: AuthorityStore
  readonly clock: Clock
  readonly beginnings: Beginnings
  readonly lifetimes: Lifetimes
  readonly accessTokenCascade: AccessTokenCascade
  /** Fills an array with random bytes. */
  readonly random: (bytes: Uint8Array) => Uint8Array
  /** Is told what went wrong, and in which request. */
  readonly onTrouble: (error: unknown, request?: string) => void
}
