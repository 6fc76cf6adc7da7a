import { RescindError } from '../../core/errors.ts'
import type { AuthorityStore } from './contract.ts'

/**
 * Returns a store that closes once, however often it is told to, and refuses every other call from the
 * first time on: what lies below would fail where nobody waits, and end the process.
 */
export function closable(store: AuthorityStore): AuthorityStore {
  let closing: Promise<void> | undefined
  const guarded = Object.entries(store).map(([name, call]) => [
    name,
    typeof call === 'function'
      ? (...given: unknown[]) => (closing ? Promise.reject(closed(store)) : call(...given))
      : call,
  ])
  return {
    ...Object.fromEntries(guarded),
    close() {
      closing ??= store.close()
      return closing
    },
  }
}

function closed({ place }: AuthorityStore): RescindError {
  return new RescindError(
    'store_closed',
    `The authority's store ${place} was closed, and is used again. Close it, or the authority, last of all.`,
  )
}
