import type { Identity } from '../providers/connection-way.ts'

/** How a new grant differs from the one before, to the worse. */
export type GrantChange = 'another_person' | 'another_org' | 'fewer_scopes'

export const GRANT_CHANGES: readonly GrantChange[] = [
  'another_person',
  'another_org',
  'fewer_scopes',
]

/** What of a grant must be the same after a reconnect. */
export interface GrantFacts {
  /** Null where it is not known: then nothing is compared. */
  readonly identity: Identity | null
  /** None where they are not known: then nothing is compared. */
  readonly scopes: readonly string[]
}

/**
 * These ask for an id token and a refresh token, and give no access: servers leave them out of what they
 * say was granted.
 *
 * @see OpenID Connect Core 1.0 sections 3.1.2.1, 11
 */
const OF_NO_ACCESS = ['openid', 'offline_access']

/** Returns the scopes that a grant does not have, of those that give access. */
export function missingScopes(
  wanted: readonly string[],
  granted: readonly string[],
): readonly string[] {
  return wanted.filter((scope) => !granted.includes(scope) && !OF_NO_ACCESS.includes(scope))
}

/** Compares a new grant with the one before. More scopes are no change for the worse. */
export function compareGrants(before: GrantFacts, after: GrantFacts): readonly GrantChange[] {
  const changes: GrantChange[] = []
  if (before.identity && after.identity) {
    if (before.identity.org !== after.identity.org) changes.push('another_org')
    // The ids of users are an org's own: in another org the same id is another person.
    else if (before.identity.user !== after.identity.user) changes.push('another_person')
  }
  if (missingScopes(before.scopes, after.scopes).length > 0) changes.push('fewer_scopes')
  return changes
}

/** The cause of a connection whose new grant was refused for these changes. */
export function causeOfChanges(
  changes: readonly GrantChange[],
): 'scopes_lost' | 'identity_changed' {
  return changes.every((change) => change === 'fewer_scopes') ? 'scopes_lost' : 'identity_changed'
}

/** Says in words what changed, for the person who may accept it. */
export function describeChange(change: GrantChange): string {
  switch (change) {
    case 'another_person':
      return 'another person consented than before'
    case 'another_org':
      return 'the new grant is for another organization'
    case 'fewer_scopes':
      return 'fewer scopes were granted than before'
  }
}
