import { isRescindError } from '../../core/errors.ts'
import type { Secret } from '../../core/secret.ts'
import { findHolders } from './holders.ts'
import { type Instance, tokensOf } from './instance.ts'
import type { ReauthorizeMeans, ReauthorizeWish } from './reauthorize.ts'
import { grantsApart, revokeTokenOf } from './revoke-at-provider.ts'

const FORMER_MAY_LIVE =
  'Its former grant may live on at the provider: end it there, where it must not.'

/** Returns what earlier runs left that were cut off before they could end it, and says so. */
export async function keptFormers(
  instance: Instance,
  wish: ReauthorizeWish,
  { formers, client }: ReauthorizeMeans,
): Promise<readonly Secret[]> {
  const kept = (await formers?.list(client.settings.url, instance.id)) ?? []
  const held = tokensOf(instance).refresh
  if (kept.some((token) => !isSame(token, held))) {
    const end = grantsApart(instance)
      ? 'it is ended once there is a new one'
      : 'end it at the provider, where it must not'
    wish.warn?.(
      `A former grant of instance ${instance.id} may live on since a run that did not come to its end: ${end}.`,
    )
  }
  return kept
}

/**
 * Ends the grants that a new one replaced: nobody holds them from now on, and they count to their person's.
 *
 * @param formers their refresh tokens; none where the instance showed none
 * @param lives whether one may live of which nobody holds a refresh token
 */
export async function endFormers(
  formers: readonly Secret[],
  lives: boolean,
  before: Instance,
  after: Instance,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<void> {
  const isApart = grantsApart(before)
  const held = tokensOf(after).refresh
  const left = formers.filter((token) => !isSame(token, held))
  const isUnheld = formers.length === 0 || (left.length > 0 && !isApart)
  if (lives && isUnheld) wish.warn?.(FORMER_MAY_LIVE)
  for (const token of formers) {
    // Where consents are not apart, its end could be that of the new grant: it was said that it may live.
    const isOver = !isApart || isSame(token, held) || (await endFormer(token, before, wish, means))
    if (isOver) await means.formers?.forget(means.client.settings.url, before.id, token)
  }
}

/** Returns whether it is dead, or lived on by somebody else. */
async function endFormer(
  refresh: Secret,
  before: Instance,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<boolean> {
  try {
    const { names, unseen } = await findHolders(asHeldThen(before, refresh), means)
    if (names.length > 0) {
      wish.step('revoke', 'not the former grant: another instance or connection lives on it')
      return true
    }
    if (unseen === null) {
      const done = await revokeTokenOf(before, refresh, means.client.settings, means)
      wish.step(
        'revoke',
        `${done.isDead ? '' : 'not confirmed: '}the former refresh token, at ${done.url}: ${done.status}`,
      )
      if (done.isDead) return true
    }
  } catch (error) {
    if (!isRescindError(error)) {
      wish.warn?.(FORMER_MAY_LIVE)
      throw error
    }
  }
  wish.warn?.(FORMER_MAY_LIVE)
  return false
}

/** The instance with the tokens of a former grant: of one of before, its access token is not known any more. */
function asHeldThen(instance: Instance, refresh: Secret): Instance {
  if (isSame(refresh, tokensOf(instance).refresh)) return instance
  return { ...instance, configuration: new Map([['oauth.user.refresh_token', refresh]]) }
}

function isSame(token: Secret, other: Secret | null): boolean {
  return token.reveal() === other?.reveal()
}
