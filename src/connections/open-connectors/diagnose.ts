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
  // Nobody's words are there: what is left when all of ours is well is the grant.
  if (isLetIn && failure.status === 401 && failure.providerMessage === null) return ofLeft(words)
  if (isLetIn || failure.status !== 401) return ofProvider(failure.status, words)
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
/** Of a dead access token: a refresh has failed, or the session is tied to another address. */
const DEAD_ACCESS = /INVALID_SESSION_ID|bad[_ ]oauth[_ ]token|invalid[_ ](access[_ ])?token/i
const LIMITED = /REQUEST_LIMIT_EXCEEDED|rate[_ ]?limit|login rate exceeded|too many/i
/** The grant lives, and is not let in: providers say `invalid_grant` for some of these. */
const NOT_LET_IN =
  /\bip (address )?(is )?restrict|restricted ip|blocked by admin|access_denied|insufficient/i
/** A status in a text, or in JSON of the provider's own. */
const STATUS =
  /(?:"(?:status|status_?code|code)"\s*:\s*"?|\b(?:HTTP(?:\/[\d.]+)?|status(?: code)?)[ :]+)([45]\d\d)\b/i

function ofProvider(status: number, words: string): Diagnosis {
  // The app's own credential is our affair: its owner could consent as often as he likes.
  if (status !== 429 && /invalid[_ ]client/i.test(words)) {
    return { ...ours(`the provider refuses our client: ${words}`, 'likely'), providerRefused: true }
  }
  const { code, confidence } = judgeWords(status, words)
  return {
    providerRefused: true,
    cause: { code, confidence, text: `The provider refused: ${words}` },
  }
}

/**
 * Judges by the provider's own status and words, which may differ from the platform's status: a failed
 * refresh may come as a 502, with the provider's 400 inside. A limit or a lack of rights is never death,
 * nor is what nobody can tell.
 */
function judgeWords(outer: number, words: string): Pick<Cause, 'code' | 'confidence'> {
  const inner = Number(STATUS.exec(words)?.[1] ?? outer)
  const isAny = (status: number) => inner === status || outer === status
  if (isAny(429) || LIMITED.test(words)) return { code: 'rate_limited', confidence: 'likely' }
  if (isAny(403) || NOT_LET_IN.test(words)) return { code: 'forbidden', confidence: 'likely' }
  if (DEAD_GRANT.test(words)) return { code: 'revoked_or_expired', confidence: 'likely' }
  // A session may be tied to another address: Salesforce can be set so.
  if (DEAD_ACCESS.test(words)) return { code: 'revoked_or_expired', confidence: 'possible' }
  return { code: causeOf(inner), confidence: 'possible' }
}

function ofLeft(words: string): Diagnosis {
  const text = `The provider seems to refuse, for our own credentials are well: ${words}`
  return {
    providerRefused: true,
    cause: { code: 'revoked_or_expired', confidence: 'possible', text },
  }
}

function disabled(): Diagnosis {
  const text =
    'Somebody disabled the instance: the platform itself after five failed refreshes, rescind for the grant of a wrong person, or a person.'
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
  // A bare 401 does not say what is refused.
  if (status === 401 || status === 403) return 'forbidden'
  if (status === 429) return 'rate_limited'
  return status >= 500 ? 'provider_down' : 'malformed_answer'
}

function isSameToken(one: Secret | null, other: Secret | null): boolean {
  if (one === null || other === null) return true
  const digest = (secret: Secret) => hash('sha256', secret.reveal(), 'buffer')
  return timingSafeEqual(digest(one), digest(other))
}
