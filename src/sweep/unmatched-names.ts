import { closest, distance } from 'fastest-levenshtein'
import type { AppRow, UserRow } from '../core/listing.ts'
import { compileGlobs } from './glob.ts'
import type { Policy, Rule } from './policy.ts'

/** A name this far from a known one, by its length, is another name. */
const TYPO_SHARE_MAX = 0.4

/**
 * Says which names of a policy no app or user of the inventory bears: a slip of the finger there
 * reads like an org without tokens.
 */
export function unmatchedNames(
  policy: Policy,
  apps: ReadonlyMap<string, AppRow>,
  users: ReadonlyMap<string, UserRow>,
): string[] {
  const appRows = [...apps.values()]
  const userRows = [...users.values()]
  const notes: string[] = []
  const check = (patterns: string | string[] | undefined, what: string, known: string[]) => {
    for (const pattern of [patterns ?? []].flat()) {
      const matches = compileGlobs(pattern)
      if (!known.some(matches)) notes.push(sentence(what, pattern, known))
    }
  }
  for (const rule of [...policy.kill, ...policy.spare] as Rule[]) {
    check(
      rule.app?.name,
      'app is called',
      appRows.map(({ label }) => label),
    )
    check(
      rule.user?.name,
      'user is called',
      userRows.map(({ name }) => name),
    )
  }
  return notes
}

function sentence(what: string, pattern: string, known: readonly string[]): string {
  const nearest = known.length > 0 ? closest(pattern, [...known]) : ''
  const isNear = nearest !== '' && distance(pattern, nearest) <= TYPO_SHARE_MAX * pattern.length
  return `No ${what} "${pattern}" in this inventory.${isNear ? ` Did you mean "${nearest}"?` : ''}`
}
