import type { DrillMemory } from './context.ts'
import type { DrillAbout } from './journal.ts'
import { identityText } from './look.ts'

/** Whether a drill may have killed its connection. */
export function mayBeDead(memory: DrillMemory): boolean {
  return mayBeRevoked(memory) || memory.hurt !== null
}

/** Whether a revocation was begun and not shown to have had no effect. */
export function mayBeRevoked(memory: DrillMemory): boolean {
  const { revokedAt, effect, deadAt, revocationPast } = memory
  return revokedAt !== null && !revocationPast && (effect !== 'no' || deadAt !== null)
}

/** Where access tokens outlive the grant, the provider's word is all that there is before a refresh fails. */
function isShownDead({ deadAt, failedAt, accessSurvives, effect }: DrillMemory): boolean {
  return deadAt !== null || failedAt !== null || (accessSurvives && effect === 'yes')
}

/** Says what state a drill that stops now leaves its connection in, and how to bring it back. */
export function whereItStands(about: DrillAbout, memory: DrillMemory | null): string {
  return standing(about, memory, 'is dead', 'nobody has')
}

/** Says what state a drill that died left its connection in: whoever reconnected it since told nobody here. */
export function whereItStood(about: DrillAbout, memory: DrillMemory | null): string {
  return standing(about, memory, 'was dead when the drill died', 'the drill had not')
}

function standing(
  about: DrillAbout,
  memory: DrillMemory | null,
  dead: string,
  nobody: string,
): string {
  const { subject, depth, drill } = about
  if (memory === null || !mayBeDead(memory)) return `Nothing was revoked: ${subject} is as it was.`
  const resume = `rescind drill resume ${drill}`
  const { revokedAt, hurt } = memory
  if (hurt !== null) {
    return `${subject} may be dead: the fault ${hurt.fault} was injected at ${momentOf(hurt.at)} UTC, and no call has gone well since. Bring it back with: ${resume}, or: ${byHand(about)}`
  }
  const at = `${momentOf(revokedAt)} UTC`
  const bring = `Bring it back with: ${resume}, or: ${byHand(about)}`
  const isShown = isShownDead(memory)
  if (memory.healedAlone || memory.reconnected) {
    return memory.seenWell
      ? `${subject} was revoked on purpose at ${at} and is back; what follows is not checked. Go on with: ${resume}`
      : `${subject} was revoked on purpose at ${at} (${depth}), and ${cameText(memory)}; whether it works since was not seen. ${bring}`
  }
  const isInDoubt = memory.codesLost > (memory.codesRefused ?? 0)
  if (memory.cameBackAnew && !isInDoubt) {
    return `${subject} ${dead}: it was revoked on purpose at ${at} (${depth}), and ${LOST_AGAIN}. ${bring}`
  }
  if (depth === 'access' && !isInDoubt) {
    return isShown
      ? `The access token of ${subject} was revoked on purpose at ${at}; the next call through the platform should refresh it. Go on with: ${resume}`
      : `The access token of ${subject} may be dead: its revocation was begun at ${at}. The next call through the platform should refresh it. Go on with: ${resume}`
  }
  if (isInDoubt) {
    return `${subject} was revoked on purpose at ${at} (${depth}), and may be back: the platform was given the code of a new grant, and its answer is not known. ${bring}`
  }
  const since = memory.codesLost > 0 ? 'what came back was refused' : `${nobody} reconnected it`
  return isShown
    ? `${subject} ${dead}: it was revoked on purpose at ${at} (${depth}), and ${since}. ${bring}`
    : `${subject} may be dead: its revocation was begun at ${at} (${depth}), and what came of it is not known. ${bring}`
}

const LOST_AGAIN = 'what came back was lost with the drill, which died in a refresh of its own'

/** How it came back, which does not say that it works. */
function cameText({ reconnected }: DrillMemory): string {
  return reconnected ? 'was given a new grant' : 'healed by itself'
}

/** Says of a drill that is forgotten what it may leave behind. */
export function whatIsLeft(about: DrillAbout, memory: DrillMemory | null): string {
  const { subject } = about
  if (memory === null || !mayBeDead(memory)) return `Nothing was revoked: ${subject} is as it was.`
  if (memory.seenWell && memory.hurt === null) return `${subject} was back when the drill died.`
  return `${subject} may be dead: it was drilled on purpose at ${momentOf(memory.revokedAt ?? memory.hurt?.at ?? null)} UTC. If it is there, bring it back with: ${byHand(about)}`
}

/** Says of a drill that ended what state it left its connection in, which is not well, or somebody else's. */
export function whereItEnded(about: DrillAbout, memory: DrillMemory, isAnothers: boolean): string {
  const { subject, depth, via } = about
  const { revokedAt, hurt, healedAlone, reconnected, before } = memory
  const bring = `Bring it back with: ${byHand(about)}`
  if (memory.disconnected) {
    return `${subject} was disconnected while the drill was dead, and cannot be brought back: make a new connection.`
  }
  if (isAnothers) {
    const owner = identityText(before?.identity ?? null)
    // The platform itself knows only who it is of now.
    const named = via === 'open-connectors' ? ` --identity ${owner}` : ''
    return `${subject} holds a grant of somebody else, and was ${owner}’s before the drill. ${bring}${named}`
  }
  if (hurt !== null) {
    return `${subject} is dead: the fault ${hurt.fault} was injected at ${momentOf(hurt.at)} UTC, and calls fail since. ${bring}`
  }
  if (!mayBeRevoked(memory)) return `Nothing was revoked, and a call through ${subject} fails.`
  const since = `it was revoked on purpose at ${momentOf(revokedAt)} UTC (${depth})`
  const cameBack = healedAlone || reconnected
  if (memory.cameBackAnew && !cameBack)
    return `${subject} is dead: ${since}, and ${LOST_AGAIN}. ${bring}`
  if (depth === 'access' && !cameBack) {
    return `${subject} does not work: ${since}, and was not refreshed by the end. ${bring}`
  }
  if (cameBack) {
    const came = memory.seenWell ? 'came back' : cameText(memory)
    return `${subject} ${came} and does not work: ${since}, and at the end a call failed, or the provider refused its token. ${bring}`
  }
  return isShownDead(memory)
    ? `${subject} is dead: ${since}, and nobody has reconnected it. ${bring}`
    : `${subject} may be dead: its revocation was begun at ${momentOf(revokedAt)} UTC (${depth}), what came of it is not known, and nobody has reconnected it. ${bring}`
}

function byHand({ via, subject }: DrillAbout): string {
  return via === 'rescind'
    ? `rescind connection link ${subject} (with rescind serve, which takes the answer)`
    : `rescind open-connectors reauthorize ${subject}`
}

function momentOf(at: number | null): string {
  return new Date(at ?? 0).toISOString().slice(0, 19).replace('T', ' ')
}
