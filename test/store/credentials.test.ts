import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import type { Lease } from '../../src/store/credentials.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { tempHome } from '../support/temp-home.ts'

const LEASE_MS = 1_000
const home = tempHome()
let store: Store
let now = 1_000_000
let names = 0

beforeEach(async () => {
  store = await openStore({ home: home.path, clock: { now: () => now, sleep: async () => {} } })
})
afterEach(() => store.close())

/** A credential of its own for each case. */
async function fresh(value = 'one'): Promise<string> {
  names += 1
  const name = `credential-${names}`
  await store.credentials.put('acme', name, new Secret(value))
  return name
}

async function lease(name: string): Promise<Lease> {
  const taken = await store.credentials.begin('acme', name, LEASE_MS)
  if (typeof taken === 'string') throw new Error(`no lease: ${taken}`)
  return taken
}

describe('a credential', () => {
  test('that nobody stored is none', async () => {
    expect(await store.credentials.begin('acme', 'nobody', LEASE_MS)).toBe('none')
    expect(await store.credentials.get('acme', 'nobody')).toBeUndefined()
  })

  test('is lent to one at a time, and its successor to the next', async () => {
    const name = await fresh()
    const first = await lease(name)
    expect(first.secret.reveal()).toBe('one')
    expect(await store.credentials.begin('acme', name, LEASE_MS)).toBe('busy')
    await store.credentials.commit(first, new Secret('two'))
    expect((await lease(name)).secret.reveal()).toBe('two')
  })

  test('comes back unspent when it is abandoned', async () => {
    const name = await fresh()
    await store.credentials.abandon(await lease(name))
    expect((await lease(name)).secret.reveal()).toBe('one')
  })

  test('is never lent again once it may be spent, until somebody logs in', async () => {
    const name = await fresh()
    await store.credentials.lose(await lease(name), 'the answer was lost')
    expect(await store.credentials.begin('acme', name, LEASE_MS)).toBe('needs_login')
    expect(await store.credentials.get('acme', name)).toMatchObject({
      state: 'needs_login',
      why: 'the answer was lost',
    })
    await store.credentials.put('acme', name, new Secret('new'))
    expect((await lease(name)).secret.reveal()).toBe('new')
  })

  test('whose holder died may be spent', async () => {
    const name = await fresh()
    await lease(name)
    now += LEASE_MS
    expect(await store.credentials.begin('acme', name, LEASE_MS)).toBe('needs_login')
  })

  test('whose holder was merely slow keeps its successor', async () => {
    const name = await fresh()
    const slow = await lease(name)
    now += LEASE_MS
    expect(await store.credentials.begin('acme', name, LEASE_MS)).toBe('needs_login')
    await store.credentials.commit(slow, new Secret('two'))
    expect((await lease(name)).secret.reveal()).toBe('two')
  })

  test('that somebody put anew is not overwritten by a refresh of the old one', async () => {
    const name = await fresh()
    const old = await lease(name)
    await store.credentials.put('acme', name, new Secret('by login'))
    await expect(store.credentials.commit(old, new Secret('by refresh'))).rejects.toMatchObject({
      code: 'login_needed',
    })
    await store.credentials.lose(old, 'late')
    await store.credentials.abandon(old)
    expect((await lease(name)).secret.reveal()).toBe('by login')
  })

  test('goes with its tenant', async () => {
    const name = await fresh()
    await store.credentials.removeAll('acme')
    expect(await store.credentials.get('acme', name)).toBeUndefined()
  })
})

/**
 * A server that rotates, and any number of processes that refresh, in any order, dying and being late
 * where they may: no token is ever presented after it was spent.
 */
describe('RFC 9700 section 4.14.2: in every interleaving', () => {
  type Step = {
    readonly who: number
    readonly does: 'begin' | 'present' | 'commit' | 'die' | 'abandon' | 'wait' | 'login'
  }
  const step = fc.record<Step>({
    who: fc.nat({ max: 2 }),
    does: fc.constantFrom('begin', 'present', 'commit', 'die', 'abandon', 'wait', 'login'),
  })

  test('a spent token is never presented', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        let minted = 0
        let current = `rt${minted}`
        const name = await fresh(current)
        /** What each process holds: its lease, and the successor once it presented the token. */
        const hands = new Map<number, { lease: Lease; successor?: string }>()
        for (const { who, does } of steps) {
          const hand = hands.get(who)
          if (does === 'begin' && !hand) {
            const taken = await store.credentials.begin('acme', name, LEASE_MS)
            if (typeof taken !== 'string') hands.set(who, { lease: taken })
          } else if (does === 'present' && hand && hand.successor === undefined) {
            // A late holder asks for its own lease: the client's timeout is shorter than the lease.
            const held = await store.credentials.get('acme', name)
            if (held?.state !== 'refreshing' || held.version !== hand.lease.version) continue
            expect(hand.lease.secret.reveal(), 'a spent token was presented').toBe(current)
            minted += 1
            current = `rt${minted}`
            hands.set(who, { ...hand, successor: current })
          } else if (does === 'commit' && hand?.successor !== undefined) {
            await store.credentials.commit(hand.lease, new Secret(hand.successor)).catch(() => {})
            hands.delete(who)
          } else if (does === 'abandon' && hand && hand.successor === undefined) {
            await store.credentials.abandon(hand.lease)
            hands.delete(who)
          } else if (does === 'die') hands.delete(who)
          else if (does === 'wait') now += LEASE_MS
          else if (does === 'login') {
            minted += 1
            current = `rt${minted}`
            await store.credentials.put('acme', name, new Secret(current))
          }
        }
      }),
      { numRuns: 60 },
    )
  })
})
