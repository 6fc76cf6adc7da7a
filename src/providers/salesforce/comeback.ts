import type { AppRow } from '../provider.ts'

/** What is known of an app when its return is judged. */
export interface ComebackFacts {
  readonly kind: 'connected' | 'external' | 'uninstalled' | 'ambiguous'
  readonly adminApproved: boolean | null
  /** The logins without a person that its live sessions show: `OauthClientCredentials`, … */
  readonly opensAlone: readonly string[]
  /** The app issues JWT access tokens, which the JWT bearer flow brings along. */
  readonly issuesJwt: boolean | null
  /** Its policy lets nobody in. */
  readonly blocked: boolean
}

/**
 * Says how an app can come back after its tokens are dead.
 *
 * @see https://help.salesforce.com/s/articleView?id=005132365&type=1 uninstalled apps since September 2025
 */
export function judgeComeback(facts: ComebackFacts): Pick<AppRow, 'comeback' | 'comebackWhy'> {
  if (facts.blocked) {
    return { comeback: 'blocked', comebackWhy: 'its policy is Block: it gets no new sessions' }
  }
  if (facts.opensAlone.length > 0) {
    const seen = [...facts.opensAlone].sort().join(', ')
    return atOnce(`its sessions were opened without a person (${seen}): block it, or take its key`)
  }
  if (facts.adminApproved === true) {
    return atOnce('an admin has approved it beforehand: its users log in again without consent')
  }
  switch (facts.kind) {
    case 'uninstalled':
      return {
        comeback: 'admin',
        comebackWhy:
          'it is not installed: since September 2025 only holders of Approve Uninstalled Connected Apps can approve it',
      }
    case 'ambiguous':
      return { comeback: 'unknown', comebackWhy: 'several apps have this label' }
    case 'connected':
    case 'external':
      if (facts.issuesJwt === true) {
        return atOnce('it issues JWT access tokens and may log in by JWT bearer, without a person')
      }
      if (facts.adminApproved === null) {
        return { comeback: 'unknown', comebackWhy: 'the org does not say who may use it' }
      }
      return { comeback: 'one_consent', comebackWhy: 'any of its users can approve it again' }
  }
}

function atOnce(comebackWhy: string): Pick<AppRow, 'comeback' | 'comebackWhy'> {
  return { comeback: 'at_once', comebackWhy }
}
