/** An address of PostgreSQL. */
export const POSTGRES_URL = /^postgres(ql)?:\/\//i
/** A drive of Windows has one letter. */
const ADDRESS = /^["'\s]*[a-z][a-z\d+.-]+:\/|:\/\//i

/**
 * Says whether a text that is to name a file is an address: a misspelt one would become a new, empty
 * store, and its password the name of a folder. It may hold a password, so show none of it.
 */
export function isAddress(path: string): boolean {
  return ADDRESS.test(path)
}
