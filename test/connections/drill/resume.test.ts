import pc from 'picocolors'
import { describe, expect, test } from 'vitest'
import type { DrillListener } from '../../../src/connections/drill/drill.ts'
import type { Platform } from '../../../src/connections/drill/platform.ts'
import { renderDrillHtml } from '../../../src/connections/drill/report/html.ts'
import { headlineOf, readReport } from '../../../src/connections/drill/report/model.ts'
import { renderDrillEnd } from '../../../src/connections/drill/report/terminal.ts'
import {
  type Drilled,
  drill,
  type OrgWorld,
  openAccountWorld,
  openVaultWorld,
  resume,
  story,
} from './world.ts'

const WORLDS = [
  ['our vault', () => openVaultWorld()],
  ['Open Connectors', () => openAccountWorld()],
] as const

interface DrilledWorld extends OrgWorld {
  readonly platform: Platform
}

/** Stops a drill when a step has begun, and what the platform does then is over. */
async function stopIn(world: DrilledWorld, no: number, platform = world.platform): Promise<void> {
  const stop = new AbortController()
  const listen: DrillListener = ({ kind, step }) => {
    if (kind === 'intent' && step === no) stop.abort()
  }
  const wish = { depth: 'grant', platform, signal: stop.signal, more: { listen } } as const
  await expect(drill(world, wish)).rejects.toMatchObject({ code: 'stopped_by_signal' })
}

async function reconnectByHand({ platform, consent }: DrilledWorld): Promise<void> {
  const link = await platform.reconnectLink()
  const { callback } = await consent.visit(link, 'allow')
  await platform.enable()
  expect(callback && (await platform.applyCallback(link, callback))?.ok).toBe(true)
}

function skippedOf({ step }: Drilled): readonly number[] {
  return Array.from({ length: 16 }, (_, no) => no).filter((no) => step(no)?.verdict === 'skipped')
}

describe.concurrent.each(WORLDS)('a drill via %s that was stopped', (_name, open) => {
  test('and whose owner has reconnected meanwhile ends without another consent', async () => {
    const world = await open()
    const alive = world.org.truth.counts().alive
    await stopIn(world, 6)
    await reconnectByHand(world)
    const resumed = await resume(world, { platform: world.platform })
    expect(resumed.verdict, story(resumed)).toBe('passed')
    expect(skippedOf(resumed)).toEqual([6, 7, 8, 9, 10, 11])
    expect(resumed.step(11)?.why).toMatch(/was reconnected before the drill was gone on with/)
    expect(world.org.truth.counts().alive).toBe(alive)
  })

  test('after the platform was told to enable it walks the denial anew, and passes', async () => {
    const world = await open()
    const alive = world.org.truth.counts().alive
    await stopIn(world, 11)
    const resumed = await resume(world, { platform: world.platform })
    expect(resumed.verdict, story(resumed)).toBe('passed')
    expect(world.org.truth.counts().alive).toBe(alive)
  })

  test('after its new grant was stored takes that, and leaves no second one', async () => {
    const world = await open()
    const alive = world.org.truth.counts().alive
    const stop = new AbortController()
    const platform: Platform = {
      ...world.platform,
      async applyCallback(link, callback, signal) {
        const applied = await world.platform.applyCallback(link, callback, signal)
        if (applied.ok) stop.abort()
        stop.signal.throwIfAborted()
        return applied
      },
    }
    await expect(
      drill(world, { depth: 'grant', platform, signal: stop.signal }),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/and may be back: the platform was given the code/),
    })
    const resumed = await resume(world, { platform: world.platform })
    expect(resumed.verdict, story(resumed)).toBe('passed')
    expect(skippedOf(resumed)).toEqual([11])
    expect(world.org.truth.counts().alive).toBe(alive)
  })
})

describe.concurrent('what was permitted at the beginning is asked for again', () => {
  test.each([
    [
      'the tag',
      /is not tagged drill-target/,
      (world: DrilledWorld) => ({
        platform: {
          ...world.platform,
          snapshot: async () => ({ ...(await world.platform.snapshot()), tags: [] }),
        },
      }),
    ],
    [
      'the user on the list',
      /is not on the list/,
      ({ platform }: DrilledWorld) => ({ platform, allowedUsers: [] }),
    ],
    [
      'the consent of a canary’s owner',
      /owner’s consent/,
      ({ platform }: DrilledWorld) => {
        const permission = { mode: 'canary', allowedUsers: [], ownerConsent: null } as const
        return { platform, more: { permission } }
      },
    ],
  ])('%s', async (_name, said, wish) => {
    const world = await openVaultWorld()
    await stopIn(world, 6)
    await expect(resume(world, wish(world))).rejects.toMatchObject({
      code: 'drill_refused',
      message: expect.stringMatching(said),
    })
    await expect(resume(world, wish(world))).rejects.toThrow(
      /^The drill does not go on\. .*\sdrilled is dead: .* Bring it back with: /s,
    )
    const resumed = await resume(world, { platform: world.platform })
    expect(resumed.verdict, story(resumed)).toBe('passed')
  })
})

describe.concurrent('what the platform keeps of its notices is judged after a resume', () => {
  test('told in time, it passes with its number', async () => {
    const world = await openAccountWorld()
    await stopIn(world, 6)
    const resumed = await resume(world, { platform: world.platform })
    expect([resumed.verdict, skippedOf(resumed)], story(resumed)).toEqual(['passed', []])
    expect(resumed.step(7)?.why).toMatch(/^One notice, .* after the revocation\.$/)
    expect(resumed.records.at(-1)).toMatchObject({
      ...{ why: 'All steps passed.', notJudged: [] },
      numbers: { notifyMs: expect.any(Number), duplicateNotices: 0 },
    })
  })

  test('told too late, it fails there', async () => {
    const world = await openAccountWorld()
    await stopIn(world, 6)
    const { platform } = world
    const resumed = await resume(world, { platform, limits: { notifyMs: 1 } })
    expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['failed', 7])
    expect(resumed.step(7)?.why).toMatch(/to tell anybody, and at most 1 ms is allowed/)
  })
})

test('what was told and could not be judged after a resume is no number of the end', async () => {
  const world = await openVaultWorld()
  await stopIn(world, 6)
  const { platform } = world
  const historyAlone: Platform['notices'] = async (since) =>
    (await platform.notices(since)).map((one) => ({ ...one, signatureGood: null }))
  const resumed = await resume(world, { platform: { ...platform, notices: historyAlone } })
  expect([resumed.verdict, skippedOf(resumed)], story(resumed)).toEqual(['passed', [7]])
  expect(resumed.step(7)?.why).toMatch(/went to the process that died/)
  expect(resumed.records.at(-1)).toMatchObject({
    ...{ why: 'All steps passed that were judged; not judged: 7.', notJudged: [7] },
    numbers: { notifyMs: null, duplicateNotices: null, detectMs: expect.any(Number) },
  })
  const report = readReport(resumed.records)
  expect(headlineOf(report)).toBe('Drill at depth grant: passed; step 7 not judged')
  const terminal = renderDrillEnd(report, { columns: 200, color: pc.createColors(false) })
  expect(terminal).toMatch(/^ {2}Time to notify +not judged$/m)
  expect(renderDrillHtml(report)).toMatch(/Time to notify<\/dt><dd class="none">not judged</)
})
