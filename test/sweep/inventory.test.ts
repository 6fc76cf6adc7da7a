import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { InventoryPart, ProviderSession } from '../../src/providers/provider.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { judgeInventory, takeInventory } from '../../src/sweep/inventory.ts'
import { covers } from '../../src/sweep/verify.ts'
import { app, storeInventory, token, user } from '../support/listing.ts'
import { tempHome } from '../support/temp-home.ts'

const end = { type: 'end', whole: true, why: 'each slice is whole', covers: 'all' } as const
const ownOnly = { ...end, whole: false, why: 'own tokens only', covers: { users: ['us'] } } as const

describe('an inventory is complete', () => {
  test.for([
    ['when all counts agree', { before: 5, after: 5, end }, 5, 0, 'complete', true],
    [
      'with sessions beside them, which no count has',
      { before: 5, after: 5, end },
      5,
      3,
      'complete',
      true,
    ],
    ['of nothing', { before: 0, after: 0, end }, 0, 0, 'complete', true],
    ['not when the count moved', { before: 5, after: 6, end }, 6, 0, 'partial', false],
    ['not when fewer were read', { before: 5, after: 5, end }, 4, 0, 'partial', false],
    ['not when more were read', { before: 5, after: 5, end }, 6, 0, 'partial', false],
    [
      'not when sessions make up for missing tokens',
      { before: 5, after: 5, end },
      4,
      1,
      'partial',
      false,
    ],
    ['not when nothing was counted', { before: null, after: null, end }, 5, 0, 'partial', false],
    [
      'not when the provider says no',
      { before: 5, after: 5, end: { ...end, whole: false } },
      5,
      0,
      'partial',
      false,
    ],
    [
      'not when it shows our own alone',
      { before: 5, after: 5, end: ownOnly },
      5,
      0,
      'partial',
      false,
    ],
    [
      'not when it covers some, but all of those',
      { before: 5, after: 5, end: { ...ownOnly, whole: true } },
      5,
      0,
      'partial',
      true,
    ],
    [
      'not when it shows our own alone, and the count moved',
      { before: 5, after: 6, end: { ...ownOnly, whole: true } },
      5,
      0,
      'partial',
      false,
    ],
    [
      'not when a kind of token could not be listed; what was listed is whole all the same',
      { before: 5, after: 5, end: { ...end, lacks: 'no sessions' } },
      5,
      0,
      'partial',
      true,
    ],
  ] as const)('%s', ([, heard, grants, sessions, state, whole]) => {
    const judged = judgeInventory(heard, { grants, sessions })
    expect(judged).toMatchObject({ state, whole })
    expect(judged.why).not.toBe('')
    if (state === 'complete') expect(judged.counted.before).toBe(grants + sessions)
  })

  test('not for two reasons: both are said', () => {
    const heard = { before: 5, after: 6, end: { ...end, lacks: 'no sessions' } }
    const { why } = judgeInventory(heard, { grants: 5, sessions: 0 })
    expect(why).toBe('count moved: 5 tokens before, 6 after; no sessions')
  })

  test('not when the provider stops without a word', () => {
    expect(() =>
      judgeInventory({ before: 1, after: 1, end: undefined }, { grants: 1, sessions: 0 }),
    ).toThrow(expect.objectContaining({ code: 'answer_invalid' }))
  })
})

describe('taking one', () => {
  const home = tempHome()
  let store: Store
  beforeAll(async () => {
    store = await openStore({ home: home.path })
  })
  afterAll(async () => {
    await store.close()
    home[Symbol.dispose]()
  })
  const account = {
    id: 'o',
    name: 'O',
    url: 'https://o.example',
    caller: { userId: 'us', userName: 'us' },
  }
  /** A provider that lists what it is told. */
  const take = (parts: readonly InventoryPart[], failure?: Error) => {
    async function* inventory() {
      yield* parts
      if (failure) throw failure
    }
    const session = { account, inventory } as unknown as ProviderSession
    return takeInventory({ tenant: 'acme', provider: 'p', session, inventories: store.inventories })
  }
  const count = (when: 'before' | 'after', number: number) =>
    ({ type: 'counted', when, count: number }) as const
  const slice = (no: number, ...handles: string[]) =>
    ({ type: 'tokens', slice: no, tokens: handles.map((handle) => token(handle)) }) as const

  test('what is listed twice is stored once', async () => {
    const taken = await take([
      count('before', 3),
      slice(1, 'x', 'y'),
      slice(2, 'y', 'z'),
      count('after', 3),
      end,
    ])
    expect(taken).toMatchObject({ state: 'complete', tokens: 3 })
  })

  test('a slice that moved is forgotten, and read again', async () => {
    const again = { type: 'slice_again', slice: 1 } as const
    const taken = await take([
      count('before', 2),
      slice(1, 'x', 'old'),
      slice(2, 'z'),
      again,
      slice(3, 'x'),
      count('after', 2),
      end,
    ])
    expect(taken).toMatchObject({ state: 'complete', tokens: 2 })
  })

  test("a list that breaks off stays marked as cut off, and is nobody's latest", async () => {
    const before = await store.inventories.latest('acme')
    await expect(
      take([count('before', 2), slice(1, 'x')], new Error('the line broke')),
    ).rejects.toThrow('the line broke')
    const [newest] = await store.inventories.list('acme')
    expect(newest).toMatchObject({ state: 'running', whole: false })
    expect((await store.inventories.latest('acme'))?.id).toBe(before?.id)
  })

  test('a token that is not listed is proven gone only by a list that would show it', async () => {
    const of = (more: object) =>
      storeInventory(store, { users: [user('u1')], apps: [app('a1')], end: more })
    const partial = { state: 'partial', why: 'x' } as const
    expect(covers(await of({}), 'u1')).toBe(true)
    expect(covers(await of({ ...partial, whole: false }), 'u1')).toBe(false)
    expect(covers(await of({ ...partial, covers: { users: ['u1'] }, whole: true }), 'u1')).toBe(
      true,
    )
    expect(covers(await of({ ...partial, covers: { users: ['u1'] }, whole: true }), 'u2')).toBe(
      false,
    )
    expect(covers(await of({ ...partial, covers: { users: ['u1'] }, whole: true }), null)).toBe(
      false,
    )
    expect(covers(await of({ ...partial, covers: { users: ['u1'] }, whole: false }), 'u1')).toBe(
      false,
    )
  })
})
