import { type Clock, systemClock } from '../core/clock.ts'
import { RescindError } from '../core/errors.ts'
import { higherProof, type Proof } from '../core/proof.ts'
import { redact } from '../core/secret.ts'
import type { LifeSign } from './introspect.ts'
import type { Way } from './oauth-request.ts'
import type { HeldToken, Look, RevocationTarget } from './revocation-target.ts'

/**
 * When to look again while a revocation spreads, in milliseconds after the look before. A server
 * with many nodes takes seconds; one that takes longer than the sum did not do what it said.
 */
const LOOK_AGAIN_AFTER_MS = [250, 500, 1000, 2000, 4000] as const

/** What each look of a target saw, by the look's name. */
export type Sighting = Readonly<Record<string, LifeSign>>

/** What looking at a token after its revocation showed. */
export interface Verification {
  /** `inactive` or `rejected` when the token is proven dead; otherwise `none`. */
  readonly proof: Proof
  /** The token was seen alive after the revocation. */
  readonly alive: boolean
  readonly before: Sighting
  readonly after: Sighting
  /** One sentence. */
  readonly why: string
}

export interface VerifyOptions {
  /**
   * What {@link lookAtToken} saw before the revocation. Only a look that saw the token alive then
   * can prove it dead now: a server says "inactive", too, of a live token that the asking client
   * may not see (RFC 7662 section 2.2), and a wrong host refuses every token.
   */
  readonly before: Sighting
  /** Look once, instead of waiting for the revocation to spread. */
  readonly once?: boolean | undefined
  readonly clock?: Clock | undefined
}

/** Looks at a token in every way that the target has for it. Trouble is `unclear`; an abort throws. */
export async function lookAtToken(
  target: RevocationTarget,
  held: HeldToken,
  way: Way,
): Promise<Sighting> {
  const seen: Record<string, LifeSign> = {}
  for (const look of target.looks) {
    if (!look.fits(held)) continue
    const { life, code } = await lookOnce(look, held, way)
    seen[look.name] = { life, code: redact(code, held.token, ...target.secrets) }
  }
  return seen
}

/**
 * Says whether a token is dead, by looking until no look sees it alive or the time is up. It never
 * uses a refresh token to get a new one: on a live token that would mint what nobody watches.
 */
export async function verifyDead(
  target: RevocationTarget,
  held: HeldToken,
  way: Way,
  options: VerifyOptions,
): Promise<Verification> {
  const clock = options.clock ?? systemClock
  let after = await lookAtToken(target, held, way)
  for (const waitMs of options.once ? [] : LOOK_AGAIN_AFTER_MS) {
    if (Object.keys(after).length === 0 || isSettled(options.before, after)) break
    await clock.sleep(waitMs, way.signal)
    after = await lookAtToken(target, held, way)
  }
  return judgeSightings(target.looks, options.before, after)
}

/** Judges what was seen before and after a revocation. */
export function judgeSightings(
  looks: readonly Look[],
  before: Sighting,
  after: Sighting,
): Verification {
  const alive = Object.values(after).some(({ life }) => life === 'alive')
  let proof: Proof = 'none'
  for (const { name, proves } of looks) {
    const died = before[name]?.life === 'alive' && after[name]?.life === 'dead'
    if (died && !alive) proof = higherProof(proof, proves)
  }
  return { proof, alive, before, after, why: explain(looks, before, after, alive) }
}

function explain(
  looks: readonly Look[],
  before: Sighting,
  after: Sighting,
  alive: boolean,
): string {
  const names = Object.keys(after)
  if (looks.length === 0)
    return 'There is no way to look at it: no introspection endpoint is known.'
  if (names.length === 0) return 'There is no way to look at a token of this kind without using it.'
  const lives = names.find((name) => after[name]?.life === 'alive')
  if (alive) return `By ${lives}, the token is still alive.`
  const died = names.find((n) => before[n]?.life === 'alive' && after[n]?.life === 'dead')
  if (died) return `By ${died}, the token was alive before and is dead now.`
  const dead = names.find((name) => after[name]?.life === 'dead')
  if (dead === undefined) {
    return `By ${names[0]}, nothing can be told (${after[names[0] ?? '']?.code}).`
  }
  return before[dead]?.life === 'dead'
    ? `By ${dead}, the token was dead before the revocation, too. It says the same of a live token that it does not know or does not show this client, so this proves nothing.`
    : `By ${dead}, the token is dead, but it was not seen alive before, so this proves nothing.`
}

/** Nothing more can be learnt where a look sees death, or could not see the token before, either. */
function isSettled(before: Sighting, after: Sighting): boolean {
  return Object.entries(after).every(
    ([name, { life }]) => life === 'dead' || (life === 'unclear' && before[name]?.life !== 'alive'),
  )
}

async function lookOnce(look: Look, held: HeldToken, way: Way): Promise<LifeSign> {
  try {
    return await look.look(held, way)
  } catch (error) {
    if (!(error instanceof RescindError)) throw error
    return { life: 'unclear', code: error.code }
  }
}
