import { type Clock, systemClock } from '../core/clock.ts'
import { mayHaveHadEffect } from '../core/http.ts'
import { isDead } from '../core/proof.ts'
import { redact, type Secret } from '../core/secret.ts'
import type { Way } from './oauth-request.ts'
import type { HeldToken, RevocationTarget } from './revocation-target.ts'
import type { RevocationAnswer } from './revoke.ts'
import { lookAtToken, type Verification, verifyDead } from './verify-dead.ts'

/** One token is not worth hammering a server that says it is short of capacity. */
const RETRIES_MAX = 3
/** The first wait when the server does not say how long; doubled each time. */
const RETRY_WAIT_MS = 1_000
/** A person waits for one token; past this, they should come back themselves. */
const RETRY_WAIT_MS_MAX = 30_000
/** Two lines on a terminal. */
const DESCRIPTION_CHARACTERS_MAX = 200

export interface RevokeTokenOptions {
  /** Look before and after, and report what that proves. */
  readonly verify?: boolean | undefined
  readonly clock?: Clock | undefined
  /** Called before each wait with one short line. */
  readonly notice?: ((line: string) => void) | undefined
}

/** What became of one token. */
export interface Revocation extends RevocationAnswer {
  /** Proven dead. A server's 2xx alone never makes it true. */
  readonly dead: boolean
  /** How often the revocation was sent. */
  readonly attempts: number
  /** What the looks showed; absent without `verify`. */
  readonly verification?: Verification | undefined
}

/**
 * Revokes one token that the caller holds, and says what the answer is worth. It sends again only
 * what had no effect for want of capacity, after the time that the server asks for.
 *
 * @throws RescindError when nothing was sent: `host_unreachable`, `tls_failed`, `url_plain_http`,
 * `key_invalid`; a lost answer is the outcome `in_doubt` instead
 * @example
 * const server = await discoverServer(new URL('https://login.example.com'), http)
 * const target = rfc7009Target({ server, client: { method: 'none', clientId: 'my-app' } })
 * const { outcome, proof, dead } = await revokeToken(target, { token }, http, { verify: true })
 */
export async function revokeToken(
  target: RevocationTarget,
  held: HeldToken,
  way: Way,
  options: RevokeTokenOptions = {},
): Promise<Revocation> {
  const clock = options.clock ?? systemClock
  const before = options.verify ? await lookAtToken(target, held, way) : {}
  const sent = await sendUntilAnswered(target, held, way, { ...options, clock })
  const answer = withoutSecrets(sent, [held.token, ...target.secrets])
  if (!options.verify) return { ...answer, dead: isDead(answer.proof) }
  const once = !mayHaveWorked(answer)
  return withVerification(answer, await verifyDead(target, held, way, { before, once, clock }))
}

type Answered = RevocationAnswer & { readonly attempts: number }

async function sendUntilAnswered(
  target: RevocationTarget,
  held: HeldToken,
  way: Way,
  options: RevokeTokenOptions & { readonly clock: Clock },
): Promise<Answered> {
  for (let attempts = 1; ; attempts += 1) {
    const answer = await sendOnce(target, held, way, options.clock)
    const waitMs = answer.retryAfterMs ?? RETRY_WAIT_MS * 2 ** (attempts - 1)
    if (!answer.busy || attempts > RETRIES_MAX || waitMs > RETRY_WAIT_MS_MAX) {
      return { ...answer, attempts }
    }
    options.notice?.(`The server is busy (${answer.code}); trying again in ${waitMs / 1000} s.`)
    await options.clock.sleep(waitMs, way.signal)
  }
}

async function sendOnce(
  target: RevocationTarget,
  held: HeldToken,
  way: Way,
  clock: Clock,
): Promise<RevocationAnswer> {
  try {
    return await target.judge(await target.send(held, way), clock)
  } catch (error) {
    if (!mayHaveHadEffect(error)) throw error
    return {
      outcome: 'in_doubt',
      proof: 'sent',
      code: error.code,
      description: error.message,
      retryAfterMs: undefined,
      busy: false,
      credentialTrouble: false,
    }
  }
}

/** A server may echo what it was sent, in an error code even. Cut last, or half a secret is left. */
function withoutSecrets(answer: Answered, secrets: readonly Secret[]): Answered {
  const { code, description } = answer
  const clean = description === undefined ? undefined : redact(description, ...secrets)
  return {
    ...answer,
    code: redact(code, ...secrets),
    description: clean?.slice(0, DESCRIPTION_CHARACTERS_MAX),
  }
}

function mayHaveWorked({ outcome }: RevocationAnswer): boolean {
  switch (outcome) {
    case 'revoked':
    case 'already_dead':
    case 'queued':
    case 'in_doubt':
      return true
    case 'refused':
    case 'irrevocable':
    case 'failed':
      return false
  }
}

function withVerification(answer: Answered, verification: Verification): Revocation {
  if (isDead(verification.proof)) {
    return { ...answer, proof: verification.proof, dead: true, verification }
  }
  // A yes whose token lives had no effect, whatever its status was.
  if (verification.alive && mayHaveWorked(answer)) {
    return { ...answer, outcome: 'failed', code: 'still_active', dead: false, verification }
  }
  return { ...answer, dead: false, verification }
}
