import type { AuthorityStore } from './contract.ts'

type Steps = Pick<AuthorityStore, 'readToken' | 'readClient' | 'commit'>

/**
 * What asks about a token, made of look-ups and a commit: for a store that cannot do it in one
 * transaction. What comes between is told by the compare-and-set of the commit.
 */
export function askInSteps(steps: Steps): Pick<AuthorityStore, 'readAsked' | 'changeToken'> {
  const readAsked: AuthorityStore['readAsked'] = async ({ tokenId, clientId }) => {
    const [token, client] = await Promise.all([
      steps.readToken(tokenId),
      steps.readClient(clientId),
    ])
    return { token, client }
  }
  return {
    readAsked,
    async changeToken(asked, decide) {
      const change = decide(await readAsked(asked))
      return change && steps.commit(change)
    },
  }
}
