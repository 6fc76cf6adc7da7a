import type { TokenKind } from '../store/authority/contract.ts'
import type { Revoked } from './revoke.ts'

/**
 * Is told what endpoints did, where their answers keep it to themselves: a revocation says the same
 * of every token on the wire. Its functions must not throw, and are not waited for.
 */
export interface Observer {
  /** What became of a token that a client presented for revocation. */
  revoked(outcome: Revoked): void
  /** Which tokens an answer of the token endpoint held. */
  issued(kinds: readonly TokenKind[]): void
  /** A webhook's receiver would not take an event, and it was set aside. */
  setAside?(): void
}
