import { describe, expect, test } from 'vitest'
import {
  type AuthorityStore,
  isGrantDead,
  type TokenView,
} from '../../../src/store/authority/contract.ts'
import { CONTRACT } from './contract.ts'
import { SQLITE } from './kinds.ts'
import { type Check, inWorld, JUST_NOW } from './world.ts'

type Breaking = (store: AuthorityStore) => AuthorityStore

/** Looks whether a token is alive, and then writes: what a server without compare-and-set does. */
const looksAndThenWrites: Breaking = (store) => ({
  ...store,
  async commit(change) {
    if (change.type !== 'spend_token' && change.type !== 'end_token') return store.commit(change)
    const view = await store.readToken(change.tokenId)
    if (view === null || view.end !== null || isGrantDead(view.grant)) return 'conflict'
    if ((await store.commit(change)) === 'done' || change.type === 'end_token') return 'done'
    const { grantId, tokens, events } = change
    return store.commit({ type: 'add_tokens', grantId, tokens, events })
  },
})

/** Looks whether a name was used, and then writes. */
const usesTwice: Breaking = (store) => ({
  ...store,
  async commit(change) {
    const committed = await store.commit(change)
    return change.type === 'use_once' ? 'done' : committed
  },
})

/** Adds the new token of a change even where the grant is dead: it starts another for it. */
const growsOnTheDead: Breaking = (store) => ({
  ...store,
  async commit(change) {
    const committed = await store.commit(change)
    if (committed === 'done' || change.type !== 'add_tokens') return committed
    const grant = await store.readGrant(change.grantId)
    if (grant === null) return committed
    const { tokens, events } = change
    const id = await store.reserveIds(1)
    const moved = tokens.map((token) => ({ ...token, grantId: id }))
    return store.commit({
      type: 'start_grant',
      began: JUST_NOW,
      grant: { ...grant, id },
      tokens: moved,
      events,
    })
  },
})

/** Disables a client first, and revokes what it holds second. */
const disablesInTwo: Breaking = (store) => ({
  ...store,
  async commit(change) {
    const client = change.type === 'disable_client' && (await store.readClient(change.clientId))
    if (client === false || !client?.enabled) return store.commit(change)
    const { clientId, events, at, keepUntil } = change
    const { version: expected, ...row } = client
    const put = {
      type: 'put_client',
      client: { ...row, enabled: false },
      expected,
      events,
    } as const
    if ((await store.commit(put)) === 'conflict') return 'conflict'
    await new Promise((resolve) => setTimeout(resolve, 20))
    const reach = { type: 'client', clientId } as const
    return store.commit({ type: 'mark', reach, before: null, at, keepUntil, events: [] })
  },
})

/** Lets a grant be born when it is written. */
const bearsAtWriting: Breaking = (store) => ({
  ...store,
  commit: (change) =>
    store.commit(change.type === 'start_grant' ? { ...change, began: JUST_NOW } : change),
})

/** Writes events beside the change, and not with it. */
const tellsBeforehand: Breaking = (store) => ({
  ...store,
  async commit(change) {
    if (!('events' in change)) return store.commit(change)
    await store.commit({ type: 'log', events: change.events })
    return store.commit({ ...change, events: [] })
  },
})

/** Keeps what it has looked up. */
const remembersLookups: Breaking = (store) => {
  const known = new Map<number, TokenView | null>()
  return {
    ...store,
    async readToken(id) {
      const view = known.get(id) ?? (await store.readToken(id))
      known.set(id, view)
      return view
    },
  }
}

/** Looks a token up and then changes it, though another change came between. */
const decidesBlindly: Breaking = (store) => ({
  ...store,
  async changeToken(asked, decide) {
    const change = decide(await store.readAsked(asked))
    if (change === null) return null
    await store.commit(change)
    return 'done'
  },
})

/** Keeps what it was asked for. */
const remembersAsked: Breaking = (store) => {
  const known = new Map<number, Awaited<ReturnType<AuthorityStore['readAsked']>>>()
  const readAsked: AuthorityStore['readAsked'] = async (asked) => {
    const found = known.get(asked.tokenId) ?? (await store.readAsked(asked))
    known.set(asked.tokenId, found)
    return found
  }
  return {
    ...store,
    readAsked,
    async changeToken(asked, decide) {
      const change = decide(await readAsked(asked))
      return change && store.commit(change)
    },
  }
}

/** Leaves an event out now and then, as a reader does that goes by numbers which commit in any order. */
const skipsEvents: Breaking = (store) => ({
  ...store,
  async readEvents(after, limit) {
    const page = await store.readEvents(after, limit)
    return after === null || page.length < 2 ? page : page.slice(1)
  },
})

const BROKEN: readonly { title: string; breaking: Breaking; caughtBy: readonly string[] }[] = [
  {
    title: 'looks and then writes',
    breaking: looksAndThenWrites,
    caughtBy: ['lets one of 64 spenders', 'lets one of 64 through that spend or revoke'],
  },
  {
    title: 'lets a name be used twice',
    breaking: usesTwice,
    caughtBy: ['lets a name be used once'],
  },
  {
    title: 'adds tokens where the grant is dead',
    breaking: growsOnTheDead,
    caughtBy: ['adds nothing to a grant that has ended', 'adds nothing to a grant that a mark'],
  },
  {
    title: 'disables a client first and revokes second',
    breaking: disablesInTwo,
    caughtBy: ['no look-up sees a client disabled'],
  },
  {
    title: 'lets a grant be born when it is written',
    breaking: bearsAtWriting,
    caughtBy: [
      'a mark on u:ada kills grants that start later',
      'says of a grant whose request marks',
      'keeps a mark on a session as long',
    ],
  },
  {
    title: 'writes events beside the change',
    breaking: tellsBeforehand,
    caughtBy: ['has the events of a change that is done', 'spends a token once'],
  },
  {
    title: 'answers from memory',
    breaking: remembersLookups,
    caughtBy: ['a mark is there for the other process'],
  },
  {
    title: 'decides blindly',
    breaking: decidesBlindly,
    caughtBy: ['lets one of 64 through that end a token as', 'conflicts where the change'],
  },
  {
    title: 'remembers what it was asked for',
    breaking: remembersAsked,
    caughtBy: ['shows the token and the client', 'sees a mark and a client'],
  },
  {
    title: 'reads events past one that is not there yet',
    breaking: skipsEvents,
    caughtBy: ['never lets a reader miss an event', 'goes on after a position'],
  },
]

function findCheck(title: string): Check {
  const checks = CONTRACT.flatMap((group) => group.checks)
  return checks.find((check) => check.title.startsWith(title)) ?? expect.fail(`no check ${title}`)
}

describe('the contract catches a store that', () => {
  for (const { title, breaking, caughtBy } of BROKEN) {
    test.each(caughtBy)(`${title}: %s`, async (name) => {
      const { run } = findCheck(name)
      const caught = inWorld(SQLITE, (world) =>
        run({ ...world, store: breaking(world.store), other: breaking(world.other) }),
      )
      await expect(caught).rejects.toThrow(/expected/)
    })
  }
})
