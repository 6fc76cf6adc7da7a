import type { AuthorityStore } from '../../src/store/authority/contract.ts'
import { askInSteps } from '../../src/store/authority/in-steps.ts'

/** Puts other look-ups or commits into a store: what asks about a token goes by way of them as well. */
export function withSteps(
  store: AuthorityStore,
  steps: Partial<Pick<AuthorityStore, 'readToken' | 'readClient' | 'commit'>>,
): AuthorityStore {
  const changed = { ...store, ...steps }
  return { ...changed, ...askInSteps(changed) }
}
