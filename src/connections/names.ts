import { RescindError } from '../core/errors.ts'

/** Longer than any name that a platform gives a customer. */
export const OWNER_LENGTH_MAX = 200
export const TAGS_MAX = 20
export const TAG = /^[\w.:-]{1,64}$/

/** What a person calls a connection by. */
export interface ConnectionNames {
  readonly owner: string
  readonly tags: readonly string[]
}

/**
 * Says whether a name can be printed, and found again by who reads it: what reorders the text around it
 * makes one name look like another.
 */
export function isPrintable(text: string): boolean {
  return text.isWellFormed() && !/[\p{Cc}\p{Bidi_Control}]/u.test(text)
}

/** Refuses names by which nobody would find a connection again. @throws RescindError `usage` */
export function checkNames({ owner, tags }: ConnectionNames): void {
  const wrong = [
    owner.trim() === '' && 'The owner is empty: name whose connection it is.',
    owner.length > OWNER_LENGTH_MAX && `The owner has more than ${OWNER_LENGTH_MAX} characters.`,
    !isPrintable(owner) && 'The owner holds what cannot be printed.',
    tags.length > TAGS_MAX && `There are more than ${TAGS_MAX} tags.`,
    !tags.every((tag) => TAG.test(tag)) &&
      'A tag has 1 to 64 letters, digits and the signs . : _ - alone.',
  ].find((message) => message !== false)
  if (wrong !== undefined) throw new RescindError('usage', wrong)
}
