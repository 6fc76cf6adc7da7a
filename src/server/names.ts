import type { KeyCheck } from './check-shape.ts'

/** Longer than any id that a host gives a user or a session. */
const NAME_LENGTH_MAX = 512

/** Says whether a value can be the name of a user or a session: a text without control characters and broken pairs. */
export function isName(value: unknown): value is string {
  if (typeof value !== 'string' || value === '' || value.length > NAME_LENGTH_MAX) return false
  return value.isWellFormed() && !/\p{Cc}/u.test(value)
}

/** Says whether a value can be the id of a client: printable ASCII without spaces. */
export function isClientId(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]{1,200}$/.test(value)
}

/** The name of a user or a session. */
export const NAME: KeyCheck = {
  isGood: isName,
  needs: `needs a name of 1 to ${NAME_LENGTH_MAX} printable characters`,
}

/** The id of a client. */
export const CLIENT_ID: KeyCheck = { isGood: isClientId, needs: 'needs the id of a client' }
