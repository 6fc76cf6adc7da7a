import { isRescindError } from '../../core/errors.ts'
import type { Secret } from '../../core/secret.ts'
import { findHolders } from './holders.ts'
import { type Instance, tokensOf } from './instance.ts'
import type { SoFar } from './left-behind.ts'
import type { ReauthorizeMeans, ReauthorizeWish } from './reauthorize.ts'
import { grantsApart, revokeTokenOf } from './revoke-at-provider.ts'

const END_IT_THERE =
  'Its former grant may live on at the provider: end it there, where it must not.'
const NEXT_RUN_ENDS_IT =
  'Its former grant may live on at the provider: the next re-authentication of this instance ends it.'

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
 * Says that a former grant may live on, and who ends it: the next run, where its token is kept and its end
 * reaches no other one. Null where none is left.
 */
export function formerText(
  { formers, life, after }: SoFar,
  before: Instance,
  means: ReauthorizeMeans,
): string | null {
  const { refresh } = tokensOf(after)
  const isLeft = formers.some((token) => !isSame(token, refresh))
  if (isLeft && grantsApart(before)) return keptText(means)
  return life !== 'dead' && (isLeft || formers.length === 0) ? END_IT_THERE : null
}

function keptText({ formers }: ReauthorizeMeans): string {
  return formers ? NEXT_RUN_ENDS_IT : END_IT_THERE
}

/**
 * Ends the grants that a new one replaced: nobody holds them from now on, and they count to their person's. Also
 * where they are thought to be dead: a disabled instance says nothing of its grant.
 */
export async function endFormers(
  soFar: SoFar,
  before: Instance,
  wish: ReauthorizeWish,
  means: ReauthorizeMeans,
): Promise<void> {
  const { formers, after } = soFar
  const isApart = grantsApart(before)
  const held = tokensOf(after).refresh
  if (!isApart || formers.length === 0) {
    const text = formerText(soFar, before, means)
    if (text) wish.warn?.(text)
  }
  for (const token of formers) {
    // Where consents are not apart, its end could be that of the new grant: it was said that it may live.
    const isOver = !isApart || isSame(token, held) || (await endFormer(token, before, wish, means))
    if (isOver) await means.formers?.forget(means.client.settings.url, after.id, token)
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
    if (!isRescindError(error)) throw error
  }
  wish.warn?.(keptText(means))
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
