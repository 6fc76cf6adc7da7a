/** RFC 6749 section 3.3: one space between scopes. */
export const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/

/**
 * Returns the scope to grant: what was asked for, or all that there is when nothing was; null when more
 * was asked for. A host may grant nothing of it.
 */
export function scopeWithin(
  { scope }: { readonly scope: string },
  asked: string | null,
): string | null {
  if (asked === null || asked === '') return asked ?? scope
  const allowed = new Set(scope.split(' '))
  return asked.split(' ').every((part) => allowed.has(part)) ? asked : null
}
