import { RescindError } from '../../core/errors.ts'
import { mayHaveHadEffect } from '../../core/http.ts'
import type { Cause } from '../connection.ts'
import { hasNewTokens } from './apply-code.ts'
import { diagnose } from './diagnose.ts'
import { findHolders } from './holders.ts'
import type { Instance } from './instance.ts'
import type { ReauthorizeMeans, ReauthorizeWish } from './reauthorize.ts'
import { appOf } from './requests.ts'
import { type RevokedToken, revokeAtProvider } from './revoke-at-provider.ts'

/** A revocation is seen at once, as a rule; past this the grant is alive after all. */
const DEATH_MS_MAX = 30_000
const LOOK_MS = 1_000

/** What is known of a grant's life; `maybe` where no call can tell. */
export type Life = 'alive' | 'maybe' | 'dead'

const MAY_BE_HELD =
  'Not all instances could be looked at: another one may live on this grant, and dies with it then.'

/** A grant is not ended under somebody else who lives on it. @throws RescindError `usage` */
export async function checkSole(
  instance: Instance,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<void> {
  const { names, unseen } = await findHolders(instance, means)
  if (names.length === 0) return unseen === null ? undefined : wish.warn?.(MAY_BE_HELD)
  throw new RescindError(
    'usage',
    `Another instance or a connection of ours lives on the grant of instance ${instance.id}, and would die with it. Nothing was revoked: run this without --revoke.`,
  )
}

/**
 * Revokes what is to be revoked first.
 *
 * @throws RescindError `reconnect_failed` where the provider does not say that it is dead
 */
export async function revokeFirst(
  instance: Instance,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<void> {
  const { revoke, step } = wish
  if (revoke === null) return step('revoke', 'nothing: the grant is taken as it is')
  try {
    const done = await revokeAtProvider(instance, revoke, means.client.settings, means)
    step(
      'revoke',
      `${done.isDead ? '' : 'not confirmed: '}the ${revoke} token, at ${done.url}: ${done.status}`,
    )
    if (!done.isDead) throw notSaid(instance, revoke, `the provider answered ${done.status}`)
  } catch (error) {
    if (mayHaveHadEffect(error)) throw notSaid(instance, revoke, 'its answer was lost')
    throw error
  }
}

function notSaid({ id }: Instance, revoke: RevokedToken, why: string): RescindError {
  return new RescindError(
    'reconnect_failed',
    `The provider did not say that the ${revoke} token of instance ${id} is revoked: ${why}. It may live, and nothing else was changed. Run the command again.`,
  )
}

/**
 * Looks by a call through the instance whether its grant is dead.
 *
 * @throws RescindError `not_authenticated`, and `reconnect_failed` where a dead access token goes on working
 */
export async function lookAlive(
  instance: Instance,
  wish: ReauthorizeWish,
  { client, clock, signal }: ReauthorizeMeans,
): Promise<Life> {
  const { probePath } = appOf(client.settings, instance.elementKey)
  const until = clock.now() + DEATH_MS_MAX
  const isPast = () => clock.now() >= until
  for (;;) {
    const answer = await client.call(instance, probePath, signal)
    if (answer.ok) {
      if (wish.revoke === null) {
        wish.step('dead', 'no: the instance works, and gets a new grant')
        return 'alive'
      }
      if (wish.revoke === 'access' && (await hasHealed())) {
        wish.step('dead', 'no: the platform refreshed by itself, as it should at this depth')
        return 'alive'
      }
      if (isPast()) {
        if (wish.revoke === 'refresh') return 'alive'
        throw stillAlive(instance, 'access')
      }
    } else {
      const { cause, providerRefused } = await diagnose(client, instance, answer.failure, signal)
      if (cause.code === 'our_client_refused')
        throw new RescindError('not_authenticated', cause.text)
      if (cause.code === 'revoked_or_expired') return tellDead(cause, providerRefused, wish)
      // A limit, a lack of rights or an outage is no death, and may pass.
      if (wish.revoke === null || isPast()) {
        wish.step('dead', `not known: ${cause.text}`)
        return 'maybe'
      }
    }
    await clock.sleep(LOOK_MS, signal)
  }

  async function hasHealed(): Promise<boolean> {
    const now = await client.get(instance.id, signal)
    return now.ok && hasNewTokens(instance, now.value)
  }
}

/** A disabled instance says nothing of its grant, and words that may mean another thing little. */
function tellDead(cause: Cause, providerRefused: boolean, { revoke, step }: ReauthorizeWish): Life {
  const isRevoked = revoke === 'refresh'
  if (!providerRefused) {
    const known = isRevoked ? 'the provider says so, and no call can show it' : 'not known'
    step('dead', `${known}: ${cause.text}`)
  } else if (cause.confidence === 'possible') step('dead', `it may be: ${cause.text}`)
  else {
    step('dead', `the provider refuses: ${cause.text}`)
    return 'dead'
  }
  return isRevoked ? 'dead' : 'maybe'
}

/** A token that works after the provider said that it is dead. */
export function stillAlive({ id }: Instance, revoke: RevokedToken): RescindError {
  const how = revoke === 'access' ? ' by the same access token' : ''
  return new RescindError(
    'reconnect_failed',
    `Instance ${id} still works${how} ${DEATH_MS_MAX / 1000} s after its ${revoke} token was revoked. Nothing else was changed: look at the provider.`,
  )
}
