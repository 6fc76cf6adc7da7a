import { checkShape, type KeyCheck } from './check-shape.ts'
import { CLIENT_ID } from './names.ts'

/** A token as it is presented may be anything, but for no text at all. */
const PRESENTED: KeyCheck = {
  isGood: (value) => typeof value === 'string' && value !== '',
  needs: 'needs the text of a token',
}

/**
 * Refuses to revoke one token without the token, its client, or with a reach beside it.
 *
 * @throws RescindError `usage`
 */
export function checkRevocation(given: unknown): void {
  checkShape(given, { token: PRESENTED, clientId: CLIENT_ID })
}
