import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { OUTCOMES, type Outcome } from '../../src/core/outcome.ts'
import { PROOFS } from '../../src/core/proof.ts'
import { type Fingerprint, Secret } from '../../src/core/secret.ts'
import type { PlanHeader } from '../../src/store/plans.ts'
import type { RunToken } from '../../src/store/run-proofs.ts'
import type { Run } from '../../src/store/run-states.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { makePlan } from '../../src/sweep/plan.ts'
import { parsePolicy } from '../../src/sweep/policy.ts'
import { app, storeInventory, token, user } from '../support/listing.ts'
import { tempHome } from '../support/temp-home.ts'

const LEASE_MS = 1_000
const ALL = parsePolicy('{ name: all, kill: [{ app: { name: "*" } }] }', 'all.yaml')
let home: ReturnType<typeof tempHome>
let store: Store
let now = 0
let plan: PlanHeader

beforeEach(async () => {
  home = tempHome()
  now = 1_000_000
  store = await openStore({ home: home.path, clock: { now: () => now, sleep: async () => {} } })
  const inventory = await storeInventory(store, {
    users: [user('u1'), user('u2')],
    apps: [app('a1', { reaches: ['app', 'user_app', 'token'] }), app('a2')],
    tokens: [
      ...['t1', 't2', 't3'].map((handle) => token(handle)),
      ...['t4', 't5'].map((handle) => token(handle, { appId: 'a2', userId: 'u2' })),
    ],
  })
  plan = (await makePlan({ store, inventory, policy: ALL, now })).header
})
afterEach(async () => {
  await store.close()
  home[Symbol.dispose]()
})

async function begin(holder = 'host:1:a'): Promise<Run> {
  const run = await store.runs.begin(plan, 'me', holder, LEASE_MS)
  if (!run) throw new Error('the plan has a run')
  return run
}

const print = (handle: string) => store.fingerprint(new Secret(handle))

async function tokenOf(run: Run, handle: string): Promise<RunToken> {
  const found = (await store.runs.tokens(run)).find((row) => row.fingerprint === print(handle))
  if (!found) throw new Error(`no ${handle}`)
  return found
}

describe('a run', () => {
  test('starts with every planned kill and token, and nothing done', async () => {
    const run = await begin()
    const kills = await store.runs.kills(run)
    expect(kills.map(({ reach, tokens, state }) => [reach.kind, tokens.length, state])).toEqual(
      expect.arrayContaining([
        ['app', 3, 'planned'],
        ['token', 1, 'planned'],
        ['token', 1, 'planned'],
      ]),
    )
    expect((await store.runs.tokens(run)).map(({ proof }) => proof)).toEqual(Array(5).fill('none'))
  })

  test('is the only one of its plan, whoever starts two at once', async () => {
    const both = await Promise.all(
      ['host:1:a', 'host:2:b'].map((holder) => store.runs.begin(plan, 'me', holder, LEASE_MS)),
    )
    expect(both.filter(Boolean)).toHaveLength(1)
    expect(await store.runs.list()).toHaveLength(1)
  })

  test('is held by one process, and released by that one alone', async () => {
    const run = await begin('host:1:a')
    const [first, second] = [
      await store.runs.hold(run, 'host:2:b', LEASE_MS),
      await store.runs.hold(run, 'host:3:c', LEASE_MS),
    ]
    expect([first, second]).toEqual([true, false])
    expect(await store.runs.renew(run, LEASE_MS)).toBe(false)
    await store.runs.release(run, 'finished', null)
    expect(await store.runs.get(run.id)).toMatchObject({ state: 'running', holder: 'host:2:b' })
    const held = (await store.runs.get(run.id)) as Run
    expect(await store.runs.renew(held, LEASE_MS)).toBe(true)
    await store.runs.release(held, 'stopped', 'a signal')
    expect(await store.runs.get(run.id)).toMatchObject({
      state: 'stopped',
      holder: null,
      finishedAt: null,
    })
  })

  test('that is finished is not taken again', async () => {
    const run = await begin()
    await store.runs.release(run, 'finished', null)
    const done = (await store.runs.get(run.id)) as Run
    expect(done.finishedAt).toBe(now)
    expect(await store.runs.hold(done, 'host:2:b', LEASE_MS)).toBe(false)
  })
})

describe('the journal', () => {
  const kill = async (run: Run, seq: number) =>
    (await store.runs.kills(run)).find((one) => one.seq === seq)
  const answer = (seq: number, outcome: Outcome, at = 2) =>
    ({ type: 'answer', seq, at, outcome, code: `c_${outcome}` }) as const

  test('an intent, its answer, and a later attempt in one batch', async () => {
    const run = await begin()
    await store.runs.journal(run, [{ type: 'intent', seq: 0, at: 1 }])
    expect(await kill(run, 0)).toMatchObject({ state: 'intent', attempts: 1, outcome: null })
    // The next attempt's intent comes with the answer to the first, in whatever order.
    await store.runs.journal(run, [{ type: 'intent', seq: 0, at: 3 }, answer(0, 'failed')])
    expect(await kill(run, 0)).toMatchObject({ state: 'intent', attempts: 2, outcome: 'failed' })
    await store.runs.journal(run, [answer(0, 'revoked', 4)])
    expect(await kill(run, 0)).toMatchObject({ state: 'answered', attempts: 2, outcome: 'revoked' })
  })

  test('an intent that was not sent is as if it had never been written', async () => {
    const run = await begin()
    await store.runs.journal(run, [{ type: 'intent', seq: 0, at: 1 }])
    await store.runs.journal(run, [{ type: 'unsent', seq: 0 }])
    expect(await kill(run, 0)).toMatchObject({ state: 'planned', attempts: 0 })
    await store.runs.journal(run, [answer(1, 'failed')])
    await store.runs.journal(run, [{ type: 'intent', seq: 1, at: 1 }])
    await store.runs.journal(run, [{ type: 'unsent', seq: 1 }])
    expect(await kill(run, 1)).toMatchObject({ state: 'answered', outcome: 'failed' })
  })

  test('taking back what was answered changes nothing', async () => {
    const run = await begin()
    await store.runs.journal(run, [{ type: 'intent', seq: 0, at: 1 }])
    await store.runs.journal(run, [answer(0, 'revoked')])
    await store.runs.journal(run, [{ type: 'unsent', seq: 0 }])
    expect(await kill(run, 0)).toMatchObject({ state: 'answered', attempts: 1, outcome: 'revoked' })
  })

  const rungs: Record<Outcome, string> = {
    revoked: 'acked',
    queued: 'acked',
    already_dead: 'sent',
    in_doubt: 'sent',
    failed: 'sent',
    refused: 'sent',
    irrevocable: 'none',
  }
  test.for(OUTCOMES)('an answer alone is never a death: %s', async (outcome) => {
    const run = await begin()
    await store.runs.journal(run, [answer(0, outcome)])
    const tokens: readonly string[] = (await kill(run, 0))?.tokens ?? []
    const all = await store.runs.tokens(run)
    for (const { proof } of all.filter(({ fingerprint }) => tokens.includes(fingerprint))) {
      expect(proof).toBe(rungs[outcome])
    }
  })

  test('a coarse kill gives up some of its tokens to kills of their own', async () => {
    const run = await begin()
    const coarse = (await store.runs.kills(run)).find(({ reach }) => reach.kind === 'app')
    const [one, two] = [print('t1'), print('t2')]
    const finer = await store.runs.split(run, [one, two])
    expect(finer.map(({ tokens }) => tokens)).toEqual([[one], [two]])
    const kills = await store.runs.kills(run)
    expect(kills.find(({ seq }) => seq === coarse?.seq)?.tokens).toEqual([print('t3')])
    expect(new Set(kills.map(({ seq }) => seq)).size).toBe(kills.length)
    expect(kills.flatMap(({ tokens }) => tokens)).toHaveLength(5)
    expect(await store.runs.split(run, [])).toEqual([])
  })
})

describe('the ladder of proof', () => {
  test('a higher rung is kept, each with when and from what', async () => {
    const run = await begin()
    const one: Fingerprint[] = [print('t4')]
    let highest = 0
    for (const proof of ['absent', 'sent', 'inactive', 'absent', 'quiet', 'rejected'] as const) {
      await store.runs.prove(run, proof, one, `by ${proof}`)
      highest = Math.max(highest, PROOFS.indexOf(proof))
      expect(await tokenOf(run, 't4')).toMatchObject({
        proof: PROOFS[highest],
        evidence: `by ${PROOFS[highest]}`,
      })
    }
  })

  test.for([
    ['revoked', 'acked'],
    ['in_doubt', 'sent'],
    ['failed', 'sent'],
    [null, 'none'],
  ] as const)(
    'what is seen again after %s falls back to %s, and is not dead',
    async ([outcome, proof]) => {
      const run = await begin()
      const seq = (await tokenOf(run, 't4')).kill
      if (outcome) {
        await store.runs.journal(run, [{ type: 'intent', seq, at: 1 }])
        await store.runs.journal(run, [{ type: 'answer', seq, at: 2, outcome, code: 'x' }])
      }
      await store.runs.prove(run, 'absent', [print('t4')], 'inventory 1')
      now += 5
      await store.runs.sawAlive(run, [print('t4')])
      expect(await tokenOf(run, 't4')).toMatchObject({ proof, seenAt: now })
      await store.runs.prove(run, 'absent', [print('t4')], 'inventory 2')
      expect(await tokenOf(run, 't4')).toMatchObject({ proof: 'absent', seenAt: null })
    },
  )
})

describe('an inventory in the store', () => {
  test('a token that moved between slices belongs to the one that listed it last', async () => {
    const inventory = await store.inventories.begin('acme', 'salesforce', plan.account)
    await store.inventories.addTokens(inventory, 1, [token('x1'), token('x2')])
    await store.inventories.addTokens(inventory, 2, [token('x2', { useCount: 9 })])
    await store.inventories.dropSlice(inventory, 1)
    expect(await store.inventories.countTokens(inventory)).toEqual({ grants: 1, sessions: 0 })
    const handles = await store.inventories.handles(inventory, [print('x1'), print('x2')])
    expect(
      [...handles.values()].map(({ useCount, handle }) => [useCount, handle.reveal()]),
    ).toEqual([[9, 'x2']])
  })

  test('old ones go, but not those that a plan or a run stands on', async () => {
    for (let n = 0; n < 25; n += 1) await storeInventory(store, {})
    await store.inventories.prune('acme')
    const kept = await store.inventories.list('acme')
    expect(kept).toHaveLength(21)
    expect(kept.map(({ no }) => no)).toContain(plan.inventory.no)
  })
})
