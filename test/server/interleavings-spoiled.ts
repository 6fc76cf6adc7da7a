import type { Change, Committed, TokenView } from '../../src/store/authority/contract.ts'
import type { Spoil } from './interleavings-world.ts'

type Commit = (change: Change) => Promise<Committed>

/** Spoils what a store does with changes. */
function commits(spoiled: (commit: Commit) => Commit): Spoil {
  return (store) => ({ ...store, commit: spoiled(store.commit) })
}

/** Stores that break one promise of the contract each, by the name of what they break. */
export const SPOILED: Readonly<Record<string, Spoil>> = {
  'a token is spent though it has ended (no compare-and-set)': commits(
    (commit) => async (change) => {
      const committed = await commit(change)
      if (change.type !== 'spend_token' || committed === 'done') return committed
      const { grantId, tokens, events } = change
      return commit({ type: 'add_tokens', grantId, tokens, events })
    },
  ),
  'a token is spent though it was forgotten': (store) => ({
    ...store,
    async commit(change) {
      const committed = await store.commit(change)
      if (change.type !== 'spend_token' || committed === 'done') return committed
      if ((await store.readToken(change.tokenId)) !== null) return committed
      const { grantId, tokens, events } = change
      return store.commit({ type: 'add_tokens', grantId, tokens, events })
    },
  }),
  'a look-up shows what was seen before': (store) => {
    const seen = new Map<number, TokenView | null>()
    return {
      ...store,
      async readToken(id) {
        const view = seen.get(id) ?? (await store.readToken(id))
        seen.set(id, view)
        return view
      },
    }
  },
  'a revocation is answered before it is applied': commits((commit) => {
    let late: Change | undefined
    return async (change) => {
      const now = late
      late = change.type === 'end_grant' ? change : undefined
      if (now) await commit(now)
      return late ? 'done' : commit(change)
    }
  }),
  'a mark is lost': commits((commit) => (change) => {
    if (change.type !== 'mark') return commit(change)
    return commit({ type: 'log', events: change.events })
  }),
  'the end of an access token is lost': commits((commit) => (change) => {
    if (change.type !== 'end_token') return commit(change)
    return commit({ type: 'log', events: change.events })
  }),
  'a change that conflicts leaves its events': commits((commit) => async (change) => {
    const committed = await commit(change)
    if (committed === 'conflict' && 'events' in change) {
      await commit({ type: 'log', events: change.events })
    }
    return committed
  }),
  'a change loses its events': commits((commit) => (change) => {
    return commit('events' in change ? { ...change, events: [] } : change)
  }),
  'a dead grant gives tokens': (store) => ({
    ...store,
    async commit(change) {
      const committed = await store.commit(change)
      if (change.type !== 'spend_token' || committed === 'done') return committed
      const view = await store.readToken(change.tokenId)
      return view?.end === null ? 'done' : committed
    },
  }),
}

/** Stores that let what is under way survive a revocation, by what they do. */
export const SPOILED_BIRTHS: Readonly<Record<string, Spoil>> = {
  'a grant is born when it is written': commits((commit) => (change) => {
    if (change.type !== 'start_grant') return commit(change)
    return commit({ ...change, began: Number.MAX_SAFE_INTEGER })
  }),
  'the epoch that is read is one to come': (store) => ({
    ...store,
    readEpoch: async () => (await store.readEpoch()) + 1,
  }),
}
