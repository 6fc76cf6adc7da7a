import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { INJECTION_NAMES, injectionsOf } from '../../../src/connections/drill/injections.ts'
import type { Platform } from '../../../src/connections/drill/platform.ts'
import type { DrillListener } from '../../../src/connections/drill/run.ts'
import { Secret } from '../../../src/core/secret.ts'
import { drill, openAccountWorld, openVaultWorld, story } from './world.ts'

const ONLY_ACCOUNT = ['five-failures', 'masked-secret-in-put', 'second-page', 'platform-refuses-us']
const ONLY_VAULT = [
  ...['store-write-fails', 'crash-before-commit', 'parallel-refreshes', 'lock-holder-outlives-ttl'],
  ...['clock-skew', 'receiver-down'],
]

const page = readFileSync(new URL('../../../docs/drill.md', import.meta.url), 'utf8')
const skippedTable = page.slice(page.indexOf('| Skipped '), page.indexOf('## Evidence'))
/** The reason for which the page says that a fault is skipped via Open Connectors, of an app that does not rotate. */
function skippedBy(name: string): string | undefined {
  if (name === 'lost-response-after-rotation') return undefined
  return new RegExp(`^\\| \`${name}\` +\\| (.+?) +\\|$`, 'm').exec(skippedTable)?.[1]
}

describe.concurrent.each(['connected', 'rotating'] as const)(
  'faults in our vault, an app that is %s',
  (client) => {
    test.each(INJECTION_NAMES)('%s', { timeout: 90_000 }, async (name) => {
      const world = await openVaultWorld({}, { client })
      const injections = injectionsOf([name])
      const drilled = await drill(world, {
        depth: 'refresh',
        platform: world.platform,
        more: { injections },
      })
      const record = drilled.records.find(({ kind }) => kind === 'inject')
      const isSkipped =
        ONLY_ACCOUNT.includes(name) || (client === 'rotating' && name === 'omitted-refresh-token')
      expect([record?.verdict, record?.why]).toEqual([
        isSkipped ? 'skipped' : 'pass',
        expect.any(String),
      ])
      expect(drilled.verdict, JSON.stringify(record)).toBe('passed')
      expect((await world.platform.call()).ok).toBe(true)
    })
  },
)

describe.concurrent('faults via Open Connectors', () => {
  test.each(INJECTION_NAMES)('%s', { timeout: 90_000 }, async (name) => {
    const world = await openAccountWorld()
    const injections = injectionsOf([name])
    const drilled = await drill(world, {
      depth: 'refresh',
      platform: world.platform,
      more: { injections },
    })
    const record = drilled.records.find(({ kind }) => kind === 'inject')
    expect([record?.verdict, record?.why]).toEqual([
      ONLY_VAULT.includes(name) ? 'skipped' : 'pass',
      expect.any(String),
    ])
    // What is skipped, and why, is what the page says.
    expect(skippedBy(name)).toBe(ONLY_VAULT.includes(name) ? record?.why : undefined)
    expect(drilled.verdict, JSON.stringify(record)).toBe('passed')
    expect((await world.platform.call()).ok).toBe(true)
  })
})

describe.concurrent('--inject all', () => {
  const APPS = ['connected', 'rotating'] as const
  const ORDERS = ['as they are listed', 'the other way round'] as const
  const ROWS = (['rescind', 'open-connectors'] as const).flatMap((via) =>
    APPS.flatMap((client) => ORDERS.map((order) => [via, client, order] as const)),
  )
  test.each(ROWS)(
    'every fault after the other, on one connection: via %s, an app that is %s, %s',
    { timeout: 180_000 },
    async (via, client, order) => {
      const world =
        via === 'rescind'
          ? await openVaultWorld({}, { client })
          : await openAccountWorld({}, { client })
      const all = injectionsOf(['all'])
      const injections = order === 'as they are listed' ? all : all.toReversed()
      const wish = { depth: 'refresh', platform: world.platform, more: { injections } } as const
      const drilled = await drill(world, wish)
      const failed = drilled.records.filter(
        (one) => one.kind === 'inject' && one.verdict === 'fail',
      )
      expect(failed.map(({ inject, why }) => `${inject}: ${why}`)).toEqual([])
      expect(drilled.records.filter(({ kind }) => kind === 'inject')).toHaveLength(
        INJECTION_NAMES.length,
      )
      expect(drilled.verdict).toBe('passed')
      const evicted = drilled.records.find(({ inject }) => inject === 'token-limit-eviction')
      const hygiene = drilled.step(15)
      expect([evicted?.kind, hygiene?.verdict, hygiene?.why]).toEqual([
        ...['intent', 'pass', '1 live token, and 1 before.'],
      ])
      const judged = drilled.records.findLast(({ inject }) => inject === 'token-limit-eviction')
      expect(judged?.verdict, String(judged?.why)).toBe('pass')
      // What still waits to be told goes to the inbox of the first.
      await world.platform.notices(0)
      const second = await drill(world, { depth: 'access', platform: world.platform })
      expect(second.verdict, story(second)).toBe('passed')
    },
  )

  test.each([
    [
      'lost-response-after-rotation',
      true,
      1,
      /^3 live tokens, and 2 before: the faults leave 0 at most/,
    ],
    // What is refused is revoked by the vault itself.
    ['fewer-scopes', true, 0, /^3 live tokens, and 2 before: the faults leave 0 at most/],
    // Two began, and one of them is the fault's: which one, nobody can say.
    ['fewer-scopes', false, 0, /^4 live tokens, and 2 before: the faults leave 1 at most/],
  ] as const)(
    '%s, grantsApart %s: of others, what was there before and what began meanwhile lives',
    async (name, grantsApart, orphansRevoked, hygiene) => {
      const world = await openVaultWorld({}, { client: 'rotating', grantsApart })
      const others = [(await world.grant()).refresh]
      const platform: Platform = {
        ...world.platform,
        async reconnectLink(signal) {
          if (isHurt && others.length === 1) others.push((await world.grant()).refresh)
          return world.platform.reconnectLink(signal)
        },
      }
      let isHurt = false
      const listen: DrillListener = ({ kind, inject }) => {
        isHurt = kind === 'intent' && inject === name
      }
      const more = { injections: injectionsOf([name]), listen }
      const drilled = await drill(world, { depth: 'refresh', platform, more })
      const record = drilled.records.findLast(({ inject }) => inject === name)
      expect(record, JSON.stringify(record)).toMatchObject({
        ...{ verdict: 'pass', evidence: { orphansRevoked } },
      })
      expect(drilled.step(15)?.why).toMatch(hygiene)
      const { app, direct } = world
      const lives = others.map((token) =>
        direct.way.look?.(app, { kind: 'refresh', token }, direct.means),
      )
      expect(await Promise.all(lives)).toEqual(['alive', 'alive'])
    },
  )

  test('receiver-down: what waits to be told since before is told, and is not its own', async () => {
    const world = await openVaultWorld()
    const { platform, inbox, direct, consent } = world
    inbox.setDown(true)
    const { refresh } = await platform.tokens()
    const token = refresh ?? new Secret('')
    await direct.way.revoke(direct.app, { kind: 'refresh', token }, direct.means)
    expect((await platform.call()).ok).toBe(false)
    await platform.notices(0)
    expect(inbox.refused()).toBe(1)
    const link = await platform.reconnectLink()
    const { callback } = await consent.visit(link, 'allow')
    if (callback) await platform.applyCallback(link, callback)
    inbox.setDown(false)
    const more = { injections: injectionsOf(['receiver-down']) }
    const drilled = await drill(world, { depth: 'refresh', platform, more })
    const record = drilled.records.find(({ kind }) => kind === 'inject')
    expect([record?.verdict, record?.why]).toEqual(['pass', expect.stringMatching(/came once/)])
    const deaths = inbox.since(world.connection, 0).filter(({ kind }) => kind === 'needs_reauth')
    expect(deaths).toHaveLength(2)
  }, 60_000)

  test('an unknown fault is refused with the names of all', () => {
    expect(() => injectionsOf(['earthquake'])).toThrow(/Known: all, provider-5xx/)
  })
})

describe('token-limit-eviction, where the user and the app have another grant', () => {
  test.each([
    ['our vault', () => openVaultWorld()],
    ['Open Connectors', () => openAccountWorld()],
  ] as const)('via %s it is skipped, and that grant lives', async (_name, open) => {
    const world = await open()
    const other = await world.grant()
    const drilled = await drill(world, {
      depth: 'refresh',
      platform: world.platform,
      more: { injections: injectionsOf(['token-limit-eviction']) },
    })
    const record = drilled.records.find(({ kind }) => kind === 'inject')
    expect([record?.verdict, record?.why]).toEqual([
      'skipped',
      '1 other grant of this user and app would be evicted.',
    ])
    expect([drilled.verdict, drilled.step(15)?.verdict]).toEqual(['passed', 'pass'])
    const { app, direct } = world
    expect((await direct.way.refresh(app, other.refresh, direct.means)).tokens).not.toBeNull()
  })
})
