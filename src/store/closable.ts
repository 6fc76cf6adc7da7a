import { RescindError } from '../core/errors.ts'

/**
 * Returns a store that closes once, however often it is told to, and refuses every other call from the
 * first time on: what lies below would fail where nobody waits, and end the process.
 *
 * @param what names it: `authority's store /var/lib/…`
 */
export function closable<S extends { close(): Promise<void> }>(what: string, store: S): S {
  let closing: Promise<void> | undefined
  const guarded = Object.entries(store as object).map(([name, call]) => [
    name,
    typeof call === 'function'
      ? (...given: unknown[]) => (closing ? Promise.reject(usedAfterClose(what)) : call(...given))
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

/** What a store that was closed answers. */
export function usedAfterClose(what: string): RescindError {
  return new RescindError(
    'store_closed',
    `The ${what} was closed, and is used again. Close it, or what works on it, last of all.`,
  )
}
