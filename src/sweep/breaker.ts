import type { KillAnswer } from '../providers/provider.ts'

/** Answers that are judged together. */
const WINDOW = 50
/** Past this part of the window without effect, more kills would fare no better. */
const FAILED_SHARE_MAX = 0.5
/** Our own credential does not heal by itself. */
const CREDENTIAL_TROUBLE_MAX = 3
/** So many answers in a row that speak of quota: it will not come back within the run. */
const CONGESTED_MAX = 60

/** Stops a run that goes wrong. */
export interface Breaker {
  /** Takes one answer; returns why the run must stop, or undefined. */
  judge(answer: KillAnswer): string | undefined
}

/** Starts a breaker, closed. */
export function createBreaker(): Breaker {
  const recent: boolean[] = []
  let credentialTrouble = 0
  let congested = 0
  return {
    judge(answer) {
      credentialTrouble = answer.credentialTrouble ? credentialTrouble + 1 : 0
      if (credentialTrouble >= CREDENTIAL_TROUBLE_MAX) {
        return `our own credential is refused (${answer.code})`
      }
      congested = answer.congested ? congested + 1 : 0
      if (congested >= CONGESTED_MAX) {
        return `the provider has had no capacity for ${CONGESTED_MAX} kills in a row (${answer.code})`
      }
      // Congestion is the pace's to answer, and says nothing about the kills themselves.
      if (answer.congested) return undefined
      recent.push(isTrouble(answer))
      if (recent.length > WINDOW) recent.shift()
      const failed = recent.filter(Boolean).length
      if (recent.length === WINDOW && failed > WINDOW * FAILED_SHARE_MAX) {
        return `${failed} of the last ${WINDOW} kills had no effect or no answer (lately ${answer.code})`
      }
      return undefined
    },
  }
}

function isTrouble({ outcome }: KillAnswer): boolean {
  switch (outcome) {
    case 'revoked':
    case 'already_dead':
    case 'queued':
    case 'irrevocable':
      return false
    case 'refused':
    case 'in_doubt':
    case 'failed':
      return true
  }
}
