import { closest, distance } from 'fastest-levenshtein'
import { isRescindError, RescindError } from '../core/errors.ts'
import { shownName } from '../core/screen-text.ts'
import type { ConnectionRow, ConnectionStore } from '../store/connections.ts'
import type { Cause } from './connection.ts'
import { asConnection } from './transitions.ts'

/** Among more names than this nobody has mistyped one that we could guess. */
const NAMES_MAX = 2_000
const TYPO_DISTANCE_MAX = 4
/** Of a short name, four other letters are another name. */
const TYPO_SHARE_MAX = 1 / 3

/** There is no such connection; says which was meant, where one is near. */
export async function connectionUnknown(store: ConnectionStore, id: string): Promise<RescindError> {
  const names = await store.names(NAMES_MAX)
  const asked = id.slice(0, 80)
  const known = names.flatMap((one) => [one.id, one.owner])
  const near = known.length > 0 ? closest(asked, known) : undefined
  const meant = names.find((one) => one.id === near || one.owner === near)
  const typos = Math.min(TYPO_DISTANCE_MAX, asked.length * TYPO_SHARE_MAX)
  const isNear = near !== undefined && distance(asked, near) <= typos
  const hint =
    meant && isNear
      ? `Did you mean ${meant.id}, of ${meant.owner}?`
      : 'List them: rescind connection list'
  return new RescindError('connection_unknown', `There is no connection "${asked}". ${hint}`)
}

/** The connection is in a state in which its tokens are not used. */
export function notUsable(row: ConnectionRow): RescindError {
  const { id, state, cause } = asConnection(row)
  switch (state) {
    case 'disabled':
      return new RescindError(
        'connection_disabled',
        `The connection ${id} is disabled. Enable it: rescind connection enable ${id}`,
      )
    case 'revoked':
      return new RescindError(
        'connection_disabled',
        `The connection ${id} was disconnected. Make a new one.`,
      )
    default:
      return new RescindError(
        'reconnect_needed',
        `The connection ${id} needs its owner to reconnect it. ${cause?.text ?? 'Its grant is gone.'}`,
      )
  }
}

/** Two connections with one refresh token that rotates: the first to refresh spends it for the other. */
export function tokenTaken({ id, owner }: ConnectionRow): RescindError {
  return new RescindError(
    'usage',
    `The connection ${id} of ${shownName(owner)} was made with this refresh token, or holds it, and two would end each other's grant: use that one, or let its owner reconnect it with: rescind connection link ${id}`,
  )
}

/** The connection cannot be used now, and may heal. */
export function unwell(id: string, { code, text }: Cause): RescindError {
  if (code === 'our_client_refused') return new RescindError('not_authenticated', text)
  return new RescindError('connection_unwell', `The connection ${id} cannot be used now. ${text}`)
}

/** New tokens could not be written; they are kept in memory, and not used before they are. */
export function notStored(id: string, error: unknown): RescindError {
  const code = isRescindError(error) ? error.code : 'unexpected'
  return new RescindError(
    code,
    `The new tokens of the connection ${id} could not be stored, so it is not used: ${(error as Error).message}`,
    { cause: error },
  )
}
