/**
 * The evidence ladder of a token's death, weakest first.
 *
 * - `none`: nothing was done.
 * - `sent`: a kill was sent.
 * - `acked`: the provider answered 2xx.
 * - `absent`: gone from a complete inventory.
 * - `inactive`: introspection says so.
 * - `rejected`: the token itself is refused, with the provider's token-dead error.
 * - `quiet`: past the residual deadline, not seen again.
 */
export const PROOFS = ['none', 'sent', 'acked', 'absent', 'inactive', 'rejected', 'quiet'] as const

export type Proof = (typeof PROOFS)[number]

/** Counts per rung, each rung present. */
export type ProofCounts = Record<Proof, number>

/** Returns a count of zero for every rung. */
export function noProofs(): ProofCounts {
  return Object.fromEntries(PROOFS.map((proof) => [proof, 0])) as ProofCounts
}

/** Returns the rung's place on the ladder, 0 for `none`. */
export function proofRank(proof: Proof): number {
  return PROOFS.indexOf(proof)
}

/** Returns the higher of two rungs. */
export function higherProof(a: Proof, b: Proof): Proof {
  return proofRank(a) >= proofRank(b) ? a : b
}

/** Says whether a rung is enough to call a token dead: `absent` or better, never a bare 2xx. */
export function isDead(proof: Proof): boolean {
  return proofRank(proof) >= proofRank('absent')
}

/** The sentence that a report prints for a rung. */
export function describeProof(proof: Proof): string {
  switch (proof) {
    case 'none':
      return 'no evidence'
    case 'sent':
      return 'a kill was sent'
    case 'acked':
      return 'the provider answered 2xx, which alone proves nothing'
    case 'absent':
      return 'gone from a complete inventory'
    case 'inactive':
      return 'introspection says that it is not active'
    case 'rejected':
      return 'the token itself is refused as dead'
    case 'quiet':
      return 'past the residual deadline, not seen again'
  }
}
