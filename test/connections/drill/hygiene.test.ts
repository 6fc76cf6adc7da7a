import { describe, expect, test } from 'vitest'
import { injectionsOf } from '../../../src/connections/drill/injections.ts'
import type { Platform } from '../../../src/connections/drill/platform.ts'
import type { Secret } from '../../../src/core/secret.ts'
import { drill, type OrgWorld, openAccountWorld, openVaultWorld, story } from './world.ts'

/** The drill's first code becomes a grant whose answer is lost: nobody holds it. */
function losingTheFirst(world: OrgWorld, platform: Platform): Platform {
  let isFirst = true
  return {
    ...platform,
    async applyCallback(link, callback, signal) {
      if (callback.code === null || !isFirst) return platform.applyCallback(link, callback, signal)
      isFirst = false
      world.org.setFaults([{ kind: 'reset_after_effect', on: 'token', nth: 1 }])
      const applied = await platform.applyCallback(link, callback, signal)
      world.org.setFaults([])
      return applied
    },
  }
}

/** Does something once, while the connection is dead. */
function meanwhile(platform: Platform, happens: () => Promise<unknown>): Platform {
  return {
    ...platform,
    async enable(signal) {
      await happens()
      return platform.enable(signal)
    },
  }
}

async function isAlive({ direct, app }: OrgWorld, refresh: Secret): Promise<boolean> {
  return (await direct.way.refresh(app, refresh, direct.means)).tokens !== null
}

const WORLDS = [
  ['our vault', () => openVaultWorld()],
  ['Open Connectors', () => openAccountWorld()],
] as const

describe.concurrent.each(WORLDS)('step 15, via %s', (_name, open) => {
  test.each(['refresh', 'grant'] as const)(
    'depth %s: a grant of a lost code is revoked, and what was there before lives',
    async (depth) => {
      const world = await open()
      const before = await world.grant()
      const alive = world.org.truth.counts().alive
      const platform = losingTheFirst(world, world.platform)
      const drilled = await drill(world, { depth, platform })
      expect(drilled.step(15)?.why, story(drilled)).toBe(
        '2 live tokens, and 2 before: 1 that a code of the drill’s had brought, and nobody holds, was revoked.',
      )
      expect([drilled.verdict, world.org.truth.counts().alive]).toEqual(['passed', alive])
      expect(await isAlive(world, before.refresh)).toBe(true)
      expect((await world.platform.call()).ok).toBe(true)
    },
  )

  test('fails where a grant is gone that was there before, though as many are left', async () => {
    const world = await open()
    const before = await world.grant()
    const platform = meanwhile(world.platform, async () => {
      const token = { kind: 'refresh', token: before.refresh } as const
      await world.direct.way.revoke(world.app, token, world.direct.means)
      await world.grant()
    })
    const drilled = await drill(world, { depth: 'refresh', platform })
    expect(drilled.step(15), story(drilled)).toMatchObject({
      verdict: 'fail',
      why: expect.stringMatching(/^2 live tokens, and 2 before: 1 of those before is gone/),
    })
  })

  test('leaves alone what began meanwhile and is not surely its own, and fails', async () => {
    const world = await open()
    const begun: Secret[] = []
    const platform = meanwhile(world.platform, async () => {
      begun.push((await world.grant()).refresh)
    })
    const drilled = await drill(world, { depth: 'refresh', platform })
    expect(drilled.step(15), story(drilled)).toMatchObject({
      verdict: 'fail',
      why: expect.stringMatching(/^2 live tokens, and 1 before: .* left alone/),
    })
    expect(await Promise.all(begun.map((refresh) => isAlive(world, refresh)))).toEqual([true])
  })

  test('revokes what its lost code brought alone, where somebody else began one too, and fails', async () => {
    const world = await open()
    const begun: Secret[] = []
    const stranger = meanwhile(world.platform, async () => {
      begun.push((await world.grant()).refresh)
    })
    const platform = losingTheFirst(world, stranger)
    const drilled = await drill(world, { depth: 'refresh', platform })
    expect(drilled.step(15), story(drilled)).toMatchObject({
      verdict: 'fail',
      why: expect.stringMatching(/^2 live tokens, and 1 before: 1 began meanwhile.* left alone/),
    })
    expect(await Promise.all(begun.map((refresh) => isAlive(world, refresh)))).toEqual([true])
  })

  test('at a provider that is no emulator a grant is left alone, whether or not a code was lost', async () => {
    const { lab: _, ...world } = await open()
    const alive = world.org.truth.counts().alive
    const platform = losingTheFirst(world, world.platform)
    const drilled = await drill(world, { depth: 'refresh', platform })
    expect(drilled.step(15), story(drilled)).toMatchObject({
      verdict: 'fail',
      why: expect.stringMatching(/^2 live tokens, and 1 before: .* left alone/),
    })
    expect(world.org.truth.counts().alive).toBe(alive + 1)
  })
})

test('step 15 does not take the grant that a reconnect replaced at depth access for somebody else’s', async () => {
  const world = await openVaultWorld()
  let isDetecting = false
  const drilled = await drill(world, {
    depth: 'access',
    limits: { detectMs: 500 },
    platform: {
      ...world.platform,
      async call() {
        const call = await world.platform.call()
        return isDetecting ? { ...call, ok: false, cause: 'network' } : call
      },
    },
    more: {
      listen: ({ kind, step }) => {
        if (kind === 'intent') isDetecting = step === 5
      },
    },
  })
  expect([drilled.failedAt, drilled.step(11)?.verdict], story(drilled)).toEqual([5, 'pass'])
  expect(drilled.step(15)?.why).toBe('1 live token, and 1 before.')
})

describe.concurrent('step 15 after faults', () => {
  const hygieneOf = async (faults: readonly string[], strays: number) => {
    // A consent that is refused leaves its grant there.
    const world = await openVaultWorld({}, { grantsApart: false })
    const { platform } = world
    const injections = injectionsOf(faults).map((one) => ({
      ...one,
      run: async (context: Parameters<typeof one.run>[0]) => {
        const ran = await one.run(context)
        for (let made = 0; made < strays; made += 1) await world.grant()
        return ran
      },
    }))
    const drilled = await drill(world, { depth: 'refresh', platform, more: { injections } })
    return [drilled.verdict, drilled.step(15)?.verdict, drilled.step(15)?.why]
  }

  test('what a fault orphaned was revoked after it', async () => {
    expect(await hygieneOf(['fewer-scopes'], 0)).toEqual([
      ...['passed', 'pass', '1 live token, and 1 before.'],
    ])
  })

  test.each([
    [
      'of a fault that leaves none',
      'provider-5xx',
      1,
      '2 live tokens, and 1 before: the faults leave 0',
    ],
    [
      'beside what the fault left',
      'fewer-scopes',
      1,
      '3 live tokens, and 1 before: the faults leave 1',
    ],
    [
      'of a fault that leaves none where tokens do not rotate',
      'lost-response-after-rotation',
      1,
      '2 live tokens, and 1 before: the faults leave 0',
    ],
  ])('a grant that the platform left behind fails it: %s', async (_title, fault, strays, why) => {
    expect(await hygieneOf([fault], strays)).toEqual([
      ...['failed', 'fail'],
      expect.stringContaining(
        `${why} at most, and the drill, or the platform, left 1 more behind.`,
      ),
    ])
  })
})
