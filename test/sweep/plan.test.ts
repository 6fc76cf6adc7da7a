import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ReachKind, TokenRow } from '../../src/core/listing.ts'
import type { Fingerprint } from '../../src/core/secret.ts'
import type { PlannedKill } from '../../src/store/plans.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { chooseReaches, makePlan } from '../../src/sweep/plan.ts'
import {
  hashPlan,
  type PlanDocument,
  parsePlan,
  planDocument,
  renderPlan,
} from '../../src/sweep/plan-file.ts'
import { parsePolicy } from '../../src/sweep/policy.ts'
import { app, storeInventory, token, user } from '../support/listing.ts'
import { tempHome } from '../support/temp-home.ts'

const home = tempHome()
let store: Store
beforeAll(async () => {
  store = await openStore({ home: home.path })
})
afterAll(async () => {
  await store.close()
  home[Symbol.dispose]()
})

interface Listed {
  readonly id: number
  readonly app: string | null
  readonly user: string | null
  readonly chosen: boolean
}

const owner = (names: string) => fc.constantFrom(null, ...names)
const someTokens: fc.Arbitrary<Listed[]> = fc
  .array(fc.record({ app: owner('ab'), user: owner('xyz'), chosen: fc.boolean() }), {
    maxLength: 40,
  })
  .map((all) => all.map((one, id) => ({ ...one, id })))
const someReaches = fc.record({
  a: fc.subarray<ReachKind>(['app', 'user_app', 'token']),
  b: fc.subarray<ReachKind>(['app', 'user_app', 'token']),
})

/** Everything that a kill would end at the provider. */
function reachOf({ reach }: PlannedKill, all: readonly Listed[]): number[] {
  const isReached = (one: Listed): boolean => {
    switch (reach.kind) {
      case 'app':
        return one.app === reach.app
      case 'user_app':
        return one.app === reach.app && one.user === reach.user
      case 'token':
        return `fp_${one.id}` === reach.token
    }
  }
  return all.filter(isReached).map(({ id }) => id)
}

describe('the coarsest kill', () => {
  test('never reaches outside of what was chosen, and together they reach all of it once', () => {
    fc.assert(
      fc.property(someTokens, someReaches, (all, reaches) => {
        const count = (by: (one: Listed) => string | null) => {
          const counts = new Map<string, number>()
          for (const one of all) {
            const key = by(one)
            if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1)
          }
          return counts
        }
        const totals = {
          app: count((one) => one.app),
          userApp: count((one) => (one.app && one.user ? `${one.user}\u0000${one.app}` : null)),
        }
        const apps = new Map(
          Object.entries(reaches).map(([id, kinds]) => [id, app(id, { reaches: kinds })]),
        )
        const chosen = all
          .filter((one) => one.chosen)
          .map((one) => ({
            ...one,
            fingerprint: `fp_${one.id}` as Fingerprint,
            rule: 'r',
            kind: 'grant' as const,
          }))
        const kills = chooseReaches(chosen, apps, totals)
        const reached = kills.flatMap((kill) => reachOf(kill, all)).sort((a, b) => a - b)
        expect(reached).toEqual(chosen.map(({ id }) => id))
        for (const kill of kills) {
          expect(kill.count).toBe(kill.tokens.length)
          expect(
            reachOf(kill, all)
              .map((id) => `fp_${id}`)
              .sort(),
          ).toEqual([...kill.tokens])
          if (kill.reach.kind === 'app' || kill.reach.kind === 'user_app') {
            expect(reaches[kill.reach.app as 'a' | 'b']).toContain(kill.reach.kind)
          }
        }
      }),
    )
  })

  test('users and apps whose names run together are told apart', () => {
    const apps = new Map(['c', 'b c'].map((id) => [id, app(id, { reaches: ['user_app'] })]))
    const fingerprint = 'fp_1' as Fingerprint
    const chosen = [{ fingerprint, app: 'c', user: 'a b', rule: 'r', kind: 'grant' as const }]
    const totals = { app: new Map(), userApp: new Map([['a\u0000b c', 1]]) }
    expect(chooseReaches(chosen, apps, totals)[0]?.reach.kind).toBe('token')
  })
})

const POLICY = parsePolicy(
  '{ name: x, kill: [{ app: { name: a* } }], spare: [{ user: { name: "u2*" } }] }',
  'x',
)
const TOKENS: TokenRow[] = [
  ...['t1', 't2'].map((handle) => token(handle, { appId: 'a1' })),
  ...['t3', 't4'].map((handle) => token(handle, { appId: 'a2', userId: 'u2' })),
  token('t5', { appId: 'b1' }),
  token('t6', { appId: null, appMatch: 'none' }),
  token('t7', { appId: 'a1', own: true, userId: 'us' }),
]

function listing(more: object = {}) {
  return storeInventory(store, {
    users: [user('u1'), user('u2'), user('us')],
    apps: [app('a1', { reaches: ['app', 'user_app', 'token'] }), app('a2'), app('b1')],
    tokens: TOKENS,
    ...more,
  })
}

describe('a plan', () => {
  test('counts every token of the inventory once', async () => {
    const inventory = await listing()
    const { header, kills } = await makePlan({ store, inventory, policy: POLICY, now: 1 })
    const { chosen, spared, undecided, untouched } = header
    expect({ chosen, spared, undecided, untouched }).toEqual({
      chosen: 2,
      spared: 3,
      undecided: 1,
      untouched: 1,
    })
    // The app has a token of our own, so that not all of it may die at once.
    expect(kills.map(({ reach }) => reach.kind)).toEqual(['user_app'])
    expect(header.notes.join()).toMatch(/^1 chosen tokens belong, or may belong, to the credential/)
  })

  test('the undecided are held back with their reason, unless they are included', async () => {
    const inventory = await listing()
    const { header } = await makePlan({ store, inventory, policy: POLICY, now: 1 })
    const undecided = (await store.plans.heldBack(header)).filter(
      ({ verdict }) => verdict === 'undecided',
    )
    expect(undecided.map(({ reason }) => reason)).toEqual(['its app is not known'])
    const included = await makePlan({
      store,
      inventory,
      policy: POLICY,
      now: 1,
      includeUndecided: true,
    })
    expect(included.header).toMatchObject({ chosen: 3, undecided: 0 })
    expect(included.header.notes).toContain('Undecided tokens are included (--include-undecided).')
  })

  test('on an inventory that may miss tokens, all kills are of one token, and every page says so', async () => {
    const end = { state: 'partial', why: 'slice too large', whole: false } as const
    const inventory = await listing({ end })
    const { header, kills } = await makePlan({ store, inventory, policy: POLICY, now: 1 })
    expect(kills.map(({ reach }) => reach.kind)).toEqual(['token', 'token'])
    expect(header.notes[0]).toMatch(/inventory is partial \(slice too large\)/)
  })

  test('own tokens alone, provably whole, are no ground for killing all of an app', async () => {
    const end = {
      state: 'partial',
      why: 'own tokens only',
      whole: true,
      covers: { users: ['u1'] },
    } as const
    const inventory = await listing({ end })
    const { kills } = await makePlan({ store, inventory, policy: POLICY, now: 1 })
    expect(kills.map(({ reach }) => reach.kind)).toEqual(['token', 'token'])
  })

  test('an app is not killed as one when a label alone ties a token to it', async () => {
    const tokens = TOKENS.map((row, at) =>
      at === 0 ? { ...row, appMatch: 'label' as const } : row,
    )
    const inventory = await listing({ tokens })
    const { kills } = await makePlan({ store, inventory, policy: POLICY, now: 1 })
    expect(kills.map(({ reach }) => reach.kind)).toEqual(['token', 'token'])
  })

  test('a session is killed by itself, beside the coarse kill of its app', async () => {
    const tokens = [...TOKENS, { ...token('t8', { appId: 'a1' }), kind: 'session' as const }]
    const inventory = await listing({ tokens })
    const { kills } = await makePlan({ store, inventory, policy: POLICY, now: 1 })
    expect(kills.map(({ reach, count }) => [reach.kind, count]).sort()).toEqual([
      ['token', 1],
      ['user_app', 2],
    ])
  })

  test('what may be spared is held back, even where the undecided are included', async () => {
    const policy = parsePolicy(
      '{ name: x, kill: [{ app: { name: a* } }], spare: [{ user: { profile: Robot } }] }',
      'x',
    )
    const users = ['u1', 'u2', 'us'].map((id) => user(id, { profile: null }))
    const inventory = await listing({ users })
    const included = { store, inventory, policy, now: 1, includeUndecided: true }
    const { header } = await makePlan(included)
    expect(header.chosen).toBe(0)
    expect(header.undecided).toBeGreaterThan(0)
  })

  test('of the same policy on the same inventory is the same, but for its name and time', async () => {
    const inventory = await listing()
    const [one, two] = [
      await makePlan({ store, inventory, policy: POLICY, now: 1 }),
      await makePlan({ store, inventory, policy: POLICY, now: 2 }),
    ]
    expect(two.kills).toEqual(one.kills)
    expect(two.header.hash).not.toBe(one.header.hash)
    expect(hashPlan({ ...two.header, id: one.header.id, createdAt: 1 }, two.kills)).toBe(
      one.header.hash,
    )
  })

  test('comes back from the store as it was hashed', async () => {
    const { header } = await makePlan({ store, inventory: await listing(), policy: POLICY, now: 1 })
    const stored = await store.plans.get(header.id)
    expect(stored).toEqual(header)
    expect(stored && hashPlan(stored, await store.plans.kills(stored))).toBe(header.hash)
  })

  test.for([
    ['{ tokens: 1 }', 'refused'],
    ['{ tokens: 2 }', 'made'],
    ['{ share: 28% }', 'refused'],
    ['{ share: 28.6% }', 'made'],
    ['{ tokens: 0 }', 'refused'],
  ] as const)('two of seven tokens under the limit %s: %s', async ([limit, end]) => {
    const policy = {
      ...POLICY,
      limit: parsePolicy(`{ name: x, kill: [{ kind: grant }], limit: ${limit} }`, 'x').limit,
    }
    const made = makePlan({ store, inventory: await listing(), policy, now: 1 })
    if (end === 'refused') await expect(made).rejects.toMatchObject({ code: 'plan_over_limit' })
    else await expect(made).resolves.toMatchObject({ header: { chosen: 2 } })
  })
})

describe('a plan file', () => {
  const document = async (): Promise<PlanDocument> => {
    const { header, kills } = await makePlan({
      store,
      inventory: await listing(),
      policy: POLICY,
      now: 1,
    })
    return planDocument(header, kills)
  }
  const text = (of: PlanDocument) => [...renderPlan(of)].join('')
  const altered = expect.objectContaining({ code: 'plan_altered' })

  test('is read as it was written, and holds no handle', async () => {
    const written = await document()
    expect(parsePlan(text(written), 'p.json')).toEqual(written)
    expect(JSON.parse(text(written))).toEqual(written)
    expect(text(written)).not.toMatch(/"t[1-7]"/)
  })

  test('altered in any place is refused', async () => {
    const written = await document()
    let places = 0
    const alter = (value: unknown, put: (value: unknown) => unknown): void => {
      const refuse = (other: unknown) => {
        places += 1
        const whole = JSON.stringify(put(other))
        expect(() => parsePlan(whole, 'p.json'), whole.slice(0, 300)).toThrow(altered)
      }
      if (Array.isArray(value)) {
        refuse([...value, ...(value.length > 0 ? [value[0]] : ['x'])])
        for (const [at, inner] of value.entries())
          alter(inner, (other) => put(value.with(at, other)))
        if (value.length > 0) refuse(value.slice(1))
      } else if (value !== null && typeof value === 'object') {
        refuse({ ...value, another: 1 })
        for (const [key, inner] of Object.entries(value)) {
          alter(inner, (other) => put({ ...value, [key]: other }))
          const { [key]: _, ...less } = value as Record<string, unknown>
          refuse(less)
        }
      } else {
        refuse(typeof value === 'number' ? value + 1 : `${value}x`)
        refuse(null)
      }
    }
    alter(written, (other) => other)
    expect(places).toBeGreaterThan(60)
  })

  test.for(['', '{', '[]', 'null', '"x"', '{"plan":1}'])('%j is no plan', (content) => {
    expect(() => parsePlan(content, 'p.json')).toThrow(altered)
  })
})
