import { types } from 'node:util'
import { RescindError } from '../core/errors.ts'
import { checkKeys, checkShape, isObject, type Shape } from './check-shape.ts'
import { CLIENT_ID, NAME } from './names.ts'
import type { RevokeReach } from './revoke.ts'

/** What a reach may name. A key that is there has a value: undefined is none. */
export const REACH = {
  user: NAME,
  client: CLIENT_ID,
  session: NAME,
  grant: {
    isGood: (value) => Number.isSafeInteger(value) && Number(value) > 0,
    needs: 'needs the number of a grant',
  },
  issuedBefore: {
    isGood: (value) => types.isDate(value) && !Number.isNaN(value.getTime()),
    needs: 'needs a moment: a Date that is valid',
  },
} as const satisfies Shape

const NOTHING =
  'Say what to revoke: a user, a client, both, a session, a grant, or by issuedBefore what is older than a moment.'

/**
 * Reads what a revocation of many is to reach, strictly: what is misspelt or left open must not be read
 * as more, or less, than was meant. Its sentences are fit for the wire.
 *
 * @throws RescindError `usage`
 */
export function parseReach(given: unknown, now: number): RevokeReach {
  if (!isObject(given)) throw new RescindError('usage', NOTHING)
  const reach = { ...given }
  checkKeys(reach, REACH)
  const keys = Object.keys(reach) as (keyof typeof REACH)[]
  if (keys.length === 0) throw new RescindError('usage', NOTHING)
  if (keys.length > 1 && (keys.includes('session') || keys.includes('grant'))) {
    throw new RescindError('usage', 'A session or a grant stands alone. Leave the others out.')
  }
  checkShape(reach, Object.fromEntries(keys.map((key) => [key, REACH[key]])))
  const { issuedBefore } = reach as { issuedBefore?: Date }
  if (issuedBefore === undefined) return reach as unknown as RevokeReach
  const before = new Date(issuedBefore)
  if (before.getTime() <= now) return { ...reach, issuedBefore: before }
  throw new RescindError(
    'usage',
    'The moment issuedBefore lies ahead, and would kill what is issued until then, too. Take one that is past.',
  )
}
