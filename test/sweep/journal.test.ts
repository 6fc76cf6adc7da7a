import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Run } from '../../src/store/run-states.ts'
import type { RunStore } from '../../src/store/runs.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { openJournal } from '../../src/sweep/journal.ts'
import { makePlan } from '../../src/sweep/plan.ts'
import { parsePolicy } from '../../src/sweep/policy.ts'
import { app, storeInventory, token, user } from '../support/listing.ts'
import { tempHome } from '../support/temp-home.ts'

let home: ReturnType<typeof tempHome>
let store: Store
let run: Run
beforeEach(async () => {
  home = tempHome()
  store = await openStore({ home: home.path })
  const tokens = Array.from({ length: 40 }, (_, at) => token(`t${at}`))
  const inventory = await storeInventory(store, { users: [user('u1')], apps: [app('a1')], tokens })
  const policy = parsePolicy('{ name: x, kill: [{ app: { name: a1 } }] }', 'x')
  const { header } = await makePlan({ store, inventory, policy, now: Date.now() })
  run = (await store.runs.begin(header, 'me', 'host:1:a', 1_000)) as Run
})
afterEach(async () => {
  await store.close()
  home[Symbol.dispose]()
})

/** The run store with a count of its transactions: it does what it did. */
function counted(): { runs: RunStore; batches: number[] } {
  const batches: number[] = []
  const journal: RunStore['journal'] = (of, entries) => {
    batches.push(entries.length)
    return store.runs.journal(of, entries)
  }
  return { runs: { ...store.runs, journal }, batches }
}

describe('the journal of a run', () => {
  test('what is written at once shares one flush, and each writer waits for the disk', async () => {
    const { runs, batches } = counted()
    const journal = openJournal(runs, run)
    const write = (seq: number) =>
      journal
        .write([{ type: 'answer', seq, at: 1, outcome: 'revoked', code: 'x' }])
        .then(async () => {
          const kills = await store.runs.kills(run)
          expect(kills.find((kill) => kill.seq === seq)?.state).toBe('answered')
        })
    await Promise.all(Array.from({ length: 40 }, (_, seq) => write(seq)))
    expect(batches).toEqual([40])
  })

  test('batches keep their order', async () => {
    const journal = openJournal(store.runs, run)
    const intent = journal.write([{ type: 'intent', seq: 0, at: 1 }])
    await new Promise(setImmediate)
    const answer = journal.write([{ type: 'answer', seq: 0, at: 2, outcome: 'failed', code: 'x' }])
    await new Promise(setImmediate)
    const again = journal.write([{ type: 'intent', seq: 0, at: 3 }])
    await Promise.all([intent, answer, again])
    const [kill] = await store.runs.kills(run)
    expect(kill).toMatchObject({ state: 'intent', attempts: 2, outcome: 'failed' })
  })

  test('drain waits for what nobody awaited', async () => {
    const journal = openJournal(store.runs, run)
    for (let seq = 0; seq < 40; seq += 1) void journal.write([{ type: 'intent', seq, at: 1 }])
    await journal.drain()
    expect((await store.runs.kills(run)).every(({ state }) => state === 'intent')).toBe(true)
    await journal.drain()
  })

  test('a failed write surfaces at its writer, at the next ones, and at the drain', {
    timeout: 30_000,
  }, async () => {
    const journal = openJournal(store.runs, run)
    {
      using other = new DatabaseSync(store.path)
      other.exec('BEGIN IMMEDIATE')
      await expect(journal.write([{ type: 'intent', seq: 0, at: 1 }])).rejects.toMatchObject({
        code: 'store_locked',
      })
    }
    await expect(journal.write([{ type: 'intent', seq: 1, at: 1 }])).rejects.toMatchObject({
      code: 'store_locked',
    })
    await expect(journal.drain()).rejects.toMatchObject({ code: 'store_locked' })
    expect((await store.runs.kills(run)).every(({ state }) => state === 'planned')).toBe(true)
  })
})
