import { hash, timingSafeEqual } from 'node:crypto'
import { isRescindError } from '../../core/errors.ts'
import type { Secret } from '../../core/secret.ts'
import type { Cause, CauseCode } from '../connection.ts'
import type { Failure } from './answer.ts'
import type { OpenConnectorsClient } from './client.ts'
import type { Instance } from './instance.ts'

/** Why a call through an instance was refused. */
export interface Diagnosis {
  readonly cause: Cause
  /** The provider said no, and not the platform. */
  readonly providerRefused: boolean
}

/** What else was asked to tell a 401. Null for what was not asked, or had no answer. */
export interface Findings {
  /** User and Organization secrets alone are let in. */
  readonly isLetIn: boolean | null
  /** The instance as the platform has it now; `gone` when it is not there. */
  readonly now: Instance | 'gone' | null
}

/**
 * Finds out whose a refusal is. A 401 stands for a wrong element token, user secret or organization
 * secret, and for a dead grant; where the provider's words do not tell, a control call that needs
 * only our own secrets does.
 */
export async function diagnose(
  client: OpenConnectorsClient,
  instance: Instance,
  failure: Failure,
  signal?: AbortSignal,
): Promise<Diagnosis> {
  const isTold = failure.whose === 'provider' || !mayBeDisabled(failure)
  return judgeRefusal(failure, instance, isTold ? undefined : await look(client, instance, signal))
}

/** What a disabled instance answers is documented nowhere: a 400, 401 or 403 of the platform's may be it. */
function mayBeDisabled({ status }: Failure): boolean {
  return [400, 401, 403].includes(status)
}

async function look(
  client: OpenConnectorsClient,
  instance: Instance,
  signal?: AbortSignal,
): Promise<Findings> {
  try {
    const control = await client.control(signal)
    if (!control.ok) return { isLetIn: control.failure.status === 401 ? false : null, now: null }
    const now = await client.get(instance.id, signal)
    if (now.ok) return { isLetIn: true, now: now.value }
    return { isLetIn: true, now: now.failure.status === 404 ? 'gone' : null }
  } catch (error) {
    if (isRescindError(error)) return { isLetIn: null, now: null }
    throw error
  }
}

/** Judges a refusal with what was found beside it. */
export function judgeRefusal(failure: Failure, was: Instance, findings?: Findings): Diagnosis {
  const words = failure.providerMessage ?? failure.message
  if (failure.whose === 'provider') return ofProvider(failure.status, words)
  const { isLetIn, now } = findings ?? { isLetIn: null, now: null }
  if (now !== null && now !== 'gone' && now.disabled) return disabled()
  if (failure.whose === 'platform') return ofPlatform(failure.status, words)
  if (isLetIn === false) return ours('our user or organization secret is refused', 'certain')
  if (now === 'gone') return ours('the instance is not there any more', 'certain')
  if (now !== null && !isSameToken(now.token, was.token)) {
    return ours('the element token is another one now', 'certain')
  }
  if (isLetIn) return ofProvider(401, words)
  return {
    providerRefused: false,
    cause: {
      code: 'provider_down',
      confidence: 'possible',
      text: 'Open Connectors answered 401, and a control call had no clear answer.',
    },
  }
}

/** The words of Salesforce for a dead grant; and of others, after RFC 6749 section 5.2. */
const DEAD_GRANT = /invalid[_ ]grant|expired access\/refresh token|token.{0,20}(revoked|expired)/i

function ofProvider(status: number, words: string): Diagnosis {
  // The app's own credential is our affair: its owner could consent as often as he likes.
  if (/invalid[_ ]client/i.test(words)) {
    return { ...ours(`the provider refuses our client: ${words}`, 'likely'), providerRefused: true }
  }
  // A failed refresh may come as a 502, with the provider's 400 inside.
  const isDead = DEAD_GRANT.test(words)
  const code = isDead ? 'revoked_or_expired' : causeOf(status)
  // A bare 401 may be a session that is tied to another address: Salesforce can be set so.
  const confidence = isDead ? 'likely' : 'possible'
  return {
    providerRefused: true,
    cause: { code, confidence, text: `The provider refused: ${words}` },
  }
}

/** Five refreshes that failed disable an instance, and so may a person. */
function disabled(): Diagnosis {
  const text = 'The platform has disabled the instance, as it does after five failed refreshes.'
  return {
    providerRefused: false,
    cause: { code: 'revoked_or_expired', confidence: 'possible', text },
  }
}

function ofPlatform(status: number, words: string): Diagnosis {
  const text = `Open Connectors answered ${status}: ${words}`
  return {
    providerRefused: false,
    cause: { code: causeOf(status), confidence: 'likely', text },
  }
}

function ours(what: string, confidence: Cause['confidence']): Diagnosis {
  const text = `Our own configuration is at fault: ${what}.`
  return { providerRefused: false, cause: { code: 'our_client_refused', confidence, text } }
}

function causeOf(status: number): CauseCode {
  if (status === 401) return 'revoked_or_expired'
  if (status === 403) return 'forbidden'
  if (status === 429) return 'rate_limited'
  return status >= 500 ? 'provider_down' : 'malformed_answer'
}

function isSameToken(one: Secret | null, other: Secret | null): boolean {
  if (one === null || other === null) return true
  const digest = (secret: Secret) => hash('sha256', secret.reveal(), 'buffer')
  return timingSafeEqual(digest(one), digest(other))
}
