import type { Connection } from '../connections/connection.ts'

/** Of a connection that was added and is not well. */
export function whatToDo({ id, state }: Connection): string {
  return state === 'reconnect_needed'
    ? `Its token is good for nothing. Let its owner consent: rescind connection link ${id}. Or end it: rescind connection disconnect ${id}, and add it with another token.`
    : `It is kept. When the cause is mended, check it again: rescind connection check ${id}`
}

/** Why a check did not ask the provider. */
export function notAskedText({ state }: Connection): string {
  if (state === 'disabled') return 'Not asked: it is disabled.'
  return state === 'revoked'
    ? 'Not asked: it was disconnected.'
    : 'Not asked: it waits for its owner.'
}

/** What a person can do so that the provider is asked again. */
export function toAskText({
  id,
  state,
  cause,
  accessFingerprint,
  refreshFingerprint,
}: Connection): string {
  if (state === 'revoked') return ''
  const again = `rescind connection enable ${id}, then: rescind connection check ${id}`
  if (state === 'disabled') return `To use it again: ${again}`
  const link = `Make its link: rescind connection link ${id}.`
  const isHeld = accessFingerprint !== null || refreshFingerprint !== null
  // What is lost is not presented again, whoever enables it.
  if (!isHeld || cause?.code === 'rotated_token_lost') return link
  return `${link} Where the cause may have gone, as of a user who is let in again, ask once more: rescind connection disable ${id}, then: ${again}`
}
