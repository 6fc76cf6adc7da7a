/** A character that stands for any text, or for one character. */
const ANY_TEXT = '*'
const ANY_CHARACTER = '?'

/**
 * Compiles patterns to one question: does a name match any of them. `*` stands for any text, `?` for
 * one character, everything else for itself; case does not matter.
 */
export function compileGlobs(patterns: string | readonly string[]): (name: string) => boolean {
  const all = [patterns].flat().map(foldCase)
  return (name) => {
    const folded = foldCase(name)
    return all.some((pattern) => matches(pattern, folded))
  }
}

function foldCase(text: string): readonly string[] {
  return Array.from(text, (character) => character.toLowerCase())
}

/**
 * Matches by going back to the last `*` only, which is enough for globs: time grows with the product
 * of the lengths, and not without end as that of a regular expression with many `.*` does.
 */
function matches(pattern: readonly string[], name: readonly string[]): boolean {
  let at = 0
  let star = -1
  let resumeAt = 0
  for (let read = 0; read < name.length; ) {
    if (pattern[at] === ANY_TEXT) {
      star = at
      resumeAt = read
      at += 1
    } else if (
      at < pattern.length &&
      (pattern[at] === ANY_CHARACTER || pattern[at] === name[read])
    ) {
      at += 1
      read += 1
    } else if (star >= 0) {
      at = star + 1
      resumeAt += 1
      read = resumeAt
    } else return false
  }
  while (pattern[at] === ANY_TEXT) at += 1
  return at === pattern.length
}
