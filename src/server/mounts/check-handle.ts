import { RescindError } from '../../core/errors.ts'

/**
 * Refuses to mount what is no handle: each request would fail, and not the start.
 *
 * @throws RescindError `usage`
 */
export function checkHandle(handle: unknown): void {
  if (typeof handle === 'function') return
  throw new RescindError(
    'usage',
    'A mount needs the handle of an authority, a function: give it authority.handle, or what onlyEndpoints returns.',
  )
}
