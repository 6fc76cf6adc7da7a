import { readdirSync, readFileSync, rmSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import pc from 'picocolors'
import { describe, expect, test } from 'vitest'
import { verifyEvidence } from '../../../src/connections/drill/evidence.ts'
import { createEvidence } from '../../../src/connections/drill/evidence-file.ts'
import { openEvidenceKey } from '../../../src/connections/drill/evidence-key.ts'
import {
  listUnfinished,
  openJournal,
  resumeJournal,
} from '../../../src/connections/drill/journal.ts'
import type { Depth, Platform } from '../../../src/connections/drill/platform.ts'
import { renderDrillHtml } from '../../../src/connections/drill/report/html.ts'
import { headlineOf, readReport } from '../../../src/connections/drill/report/model.ts'
import { renderDrillEnd } from '../../../src/connections/drill/report/terminal.ts'
import type { DrillListener } from '../../../src/connections/drill/run.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { newId } from '../../../src/store/store.ts'
import {
  type Drilled,
  drill,
  LIMITS,
  type OrgWorld,
  openAccountWorld,
  openVaultWorld,
  resume,
  sealer,
  story,
  type VaultWorld,
} from './world.ts'

const WORLDS = [
  ['our vault', () => openVaultWorld()],
  ['Open Connectors', () => openAccountWorld()],
] as const

interface DrilledWorld extends OrgWorld {
  readonly platform: Platform
}

/** Stops a drill when a step has begun, and what the platform does then is over. */
async function stopIn(
  world: DrilledWorld,
  no: number,
  platform = world.platform,
  depth: Depth = 'grant',
): Promise<void> {
  const stop = new AbortController()
  const listen: DrillListener = ({ kind, step }) => {
    if (kind === 'intent' && step === no) stop.abort()
  }
  const wish = { depth, platform, signal: stop.signal, more: { listen } }
  await expect(drill(world, wish)).rejects.toMatchObject({ code: 'stopped_by_signal' })
}

/** Goes on with a drill, and stops that when a step has begun. */
async function stopResumeIn(world: DrilledWorld, no: number): Promise<void> {
  const stop = new AbortController()
  const listen: DrillListener = ({ kind, step }) => {
    if (kind === 'intent' && step === no) stop.abort()
  }
  const wish = { platform: world.platform, signal: stop.signal, more: { listen } }
  await expect(resume(world, wish)).rejects.toMatchObject({ code: 'stopped_by_signal' })
}

/** Lets the drill, and the platform in its process, die in a step: its refresh was answered, and nothing is written. */
async function dieInRefresh(world: VaultWorld, depth: Depth, no: 5 | 12): Promise<void> {
  const stop = new AbortController()
  const platform: Platform = { ...world.platform }
  const die = async () => {
    const dying = world.lab?.vault?.another({ isDying: true })
    await expect(dying?.renew(world.connection)).rejects.toThrow()
    stop.abort()
    stop.signal.throwIfAborted()
    return expect.unreachable()
  }
  const listen: DrillListener = ({ kind, step }) => {
    if (kind !== 'intent' || step !== no) return
    Object.assign(platform, no === 5 ? { call: die } : { forceRefresh: die })
  }
  const wish = { depth, platform, signal: stop.signal, more: { listen } } as const
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
    expect(skippedOf(resumed)).toEqual([6, 7, 8, 9, 10, 11, 14])
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
    expect(skippedOf(resumed)).toEqual([11, 14])
    expect(world.org.truth.counts().alive).toBe(alive)
  })
})

describe.concurrent('a drill that was stopped after its new grant was given', () => {
  const unseen =
    /; whether it works since was not seen\. Bring it back with: rescind drill resume drl_\w+, or: rescind /
  const back = / is back; what follows is not checked\. Go on with: rescind drill resume drl_/
  test.each<[string, Depth, number, (stop: () => never) => Partial<Platform>, RegExp]>([
    [
      'and stays disabled is not said to be back',
      'grant',
      12,
      (stop) => ({ call: async () => stop() }),
      unseen,
    ],
    [
      'in a refresh of its own, neither',
      'grant',
      12,
      (stop) => ({ forceRefresh: async () => stop() }),
      unseen,
    ],
    [
      'in a refresh of its own after it healed, neither',
      'access',
      12,
      (stop) => ({ forceRefresh: async () => stop() }),
      unseen,
    ],
    ['and was shown to last is back', 'grant', 14, (stop) => ({ call: async () => stop() }), back],
  ])('%s', async (_title, depth, no, wrong, said) => {
    const world = await openVaultWorld()
    const stop = new AbortController()
    const platform = { ...world.platform }
    const listen: DrillListener = ({ kind, step }) => {
      if (kind !== 'intent' || step !== no) return
      const stopping = () => {
        stop.abort()
        throw stop.signal.reason
      }
      Object.assign(platform, wrong(stopping))
    }
    const wish = { depth, platform, signal: stop.signal, more: { listen } }
    await expect(drill(world, wish)).rejects.toMatchObject({
      code: 'stopped_by_signal',
      message: expect.stringMatching(said),
    })
    await expect(drill(world, { depth, platform: world.platform })).rejects.toMatchObject({
      code: 'drill_busy',
      message: expect.stringMatching(said),
    })
    const resumed = await resume(world, { platform: world.platform })
    expect(resumed.verdict, story(resumed)).toBe('passed')
  })
})

describe.concurrent('a drill that died in step 5, with a refresh under way, blames nobody for it', () => {
  const lost = /The answer to a refresh went with the process that died/
  const mixed = /2 refreshes came, .* which were of that time cannot be told/
  const rows: readonly (readonly [
    Depth,
    'connected' | 'rotating',
    Readonly<Record<number, RegExp>>,
    'consent' | 'no consent',
  ])[] = [
    ['refresh', 'connected', { 6: mixed }, 'consent'],
    ['refresh', 'rotating', { 5: lost, 7: lost }, 'consent'],
    ['access', 'connected', { 5: mixed, 6: mixed }, 'no consent'],
    [
      'access',
      'rotating',
      { 5: lost, 7: lost, 15: /lives on until somebody revokes it/ },
      'consent',
    ],
  ]
  test.each(rows)('depth %s, an app that is %s', async (depth, client, notJudged, how) => {
    const world = await openVaultWorld({ leaseMs: 400 }, { client })
    const alive = world.org.truth.counts().alive
    await dieInRefresh(world, depth, 5)
    const resumed = await resume(world, { platform: world.platform })
    expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['passed', null])
    const nos = Object.keys(notJudged).map(Number)
    for (const no of nos)
      expect(resumed.step(no)?.why).toMatch(notJudged[no] ?? expect.unreachable())
    expect(resumed.records.at(-1)).toMatchObject({ isBack: true, stands: null, notJudged: nos })
    expect(resumed.step(11)?.verdict).toBe(how === 'consent' ? 'pass' : 'skipped')
    expect(world.org.truth.counts().alive).toBe(alive + (nos.includes(15) ? 1 : 0))
  })

  test('in a second resume neither', async () => {
    const world = await openVaultWorld({ leaseMs: 400 }, { client: 'rotating' })
    const { platform } = world
    await dieInRefresh(world, 'refresh', 5)
    await stopResumeIn(world, 6)
    const resumed = await resume(world, { platform })
    expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['passed', null])
    expect(resumed.step(7)?.why).toMatch(lost)
  })

  test('and still blames a platform that storms the provider', async () => {
    const world = await openVaultWorld({ leaseMs: 400 })
    await dieInRefresh(world, 'refresh', 5)
    const { platform, direct } = world
    const resumed = await resume(world, {
      platform: {
        ...platform,
        async call(signal) {
          const { refresh } = await platform.tokens()
          if (refresh) await direct.way.refresh(direct.app, refresh, direct.means)
          return platform.call(signal)
        },
      },
    })
    expect([resumed.failedAt, resumed.step(6)?.why], story(resumed)).toEqual([
      6,
      expect.stringMatching(/refreshes for one dead token/),
    ])
  })
})

describe.concurrent('a drill that died in a refresh of its own, in step 12', () => {
  test.each<[string, Depth, 'connected' | 'rotating', readonly string[]]>([
    ['no token rotates: it goes on', 'refresh', 'connected', []],
    ['tokens rotate: its owner consents once more', 'refresh', 'rotating', ['lost']],
    ['the same of the whole grant', 'grant', 'rotating', ['lost']],
    ['the same of what had healed by itself', 'access', 'rotating', ['lost']],
  ])('%s', async (_title, depth, client, lost) => {
    const world = await openVaultWorld({ leaseMs: 400 }, { client })
    const alive = world.org.truth.counts().alive
    await dieInRefresh(world, depth, 12)
    const resumed = await resume(world, { platform: world.platform })
    expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['passed', null])
    expect(resumed.records.filter(({ kind }) => kind === 'lost').map(({ kind }) => kind)).toEqual(
      lost,
    )
    // The grant that was drilled lives on at depth access: nobody has its token any more.
    const isLeft = depth === 'access'
    expect([12, 13, 14, 15].map((no) => resumed.step(no)?.verdict)).toEqual([
      ...['pass', 'pass', 'pass', isLeft ? 'skipped' : 'pass'],
    ])
    expect(resumed.records.at(-1)).toMatchObject({
      ...{ isBack: true, stands: null, numbers: { duplicateNotices: 0 } },
    })
    expect(world.org.truth.counts().alive).toBe(alive + (isLeft ? 1 : 0))
  })

  test.each<Depth>(['access', 'refresh'])(
    'and again before its owner has consented says what is so, and comes back (%s)',
    async (depth) => {
      const world = await openVaultWorld({ leaseMs: 400 }, { client: 'rotating' })
      const { platform } = world
      await dieInRefresh(world, depth, 12)
      const stop = new AbortController()
      const listen: DrillListener = ({ kind, step }) => {
        if (kind === 'intent' && step === 9) stop.abort()
      }
      await expect(
        resume(world, { platform, signal: stop.signal, more: { listen } }),
      ).rejects.toMatchObject({
        message: expect.stringMatching(
          /^Stopped\. drilled is dead: .*, and what came back was lost with the drill, .* Bring it back with: /,
        ),
      })
      const resumed = await resume(world, { platform })
      expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['passed', null])
      expect(resumed.records.at(-1)).toMatchObject({ isBack: true })
    },
  )

  test.each<[Depth, 'connected' | 'rotating', 'emulator' | 'real provider']>([
    ['refresh', 'rotating', 'emulator'],
    ['refresh', 'connected', 'emulator'],
    ['access', 'rotating', 'emulator'],
    ['refresh', 'rotating', 'real provider'],
    ['refresh', 'connected', 'real provider'],
  ])(
    'and was reconnected by hand since: that grant is taken as it is (%s, %s, %s)',
    async (depth, client, provider) => {
      const world = await openVaultWorld({ leaseMs: 400 }, { client })
      const stop = new AbortController()
      const platform: Platform = { ...world.platform }
      const listen: DrillListener = ({ kind, step }) => {
        if (kind === 'intent' && step === 12) {
          Object.assign(platform, {
            call: async () => {
              stop.abort()
              return stop.signal.throwIfAborted()
            },
          })
        }
      }
      const wish = { depth, platform, signal: stop.signal, more: { listen } } as const
      await expect(drill(world, wish)).rejects.toMatchObject({ code: 'stopped_by_signal' })
      await reconnectByHand(world)
      const { lab, ...unaided } = world
      const seen = provider === 'emulator' ? world : unaided
      const resumed = await resume(seen, { platform: world.platform })
      expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['passed', null])
      expect(resumed.records.at(-1)).toMatchObject({
        ...{ isBack: true, appliedBy: expect.stringMatching(/^somebody/) },
      })
    },
  )

  test('and a platform elsewhere that loses the rotated token itself is blamed for it', async () => {
    const world = await openAccountWorld({}, { client: 'rotating' })
    const { platform, account } = world
    await stopIn(world, 12, platform, 'refresh')
    account.setSwitches({ rotatedToken: 'lost' })
    const resumed = await resume(world, { platform })
    expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['failed', 12])
    expect(resumed.records.filter(({ kind }) => kind === 'lost')).toEqual([])
  })

  test('and a platform that tells of the death once more is blamed for it', async () => {
    const world = await openVaultWorld({ leaseMs: 400 }, { client: 'rotating' })
    const { platform } = world
    await dieInRefresh(world, 'refresh', 12)
    const again: Platform = {
      ...platform,
      async notices(since) {
        const notices = await platform.notices(since)
        const [death] = notices.filter(({ kind }) => kind === 'needs_reauth')
        return death ? [...notices, ...['x', 'y'].map((id) => ({ ...death, id }))] : notices
      },
    }
    const resumed = await resume(world, { platform: again })
    expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['failed', 14])
    expect(resumed.step(14)?.why).toMatch(/^4 notices of one death came/)
  })

  test('at a provider in trouble it is not pressed', async () => {
    const world = await openVaultWorld({ leaseMs: 400 }, { client: 'rotating' })
    await dieInRefresh(world, 'refresh', 12)
    world.org.setFaults([
      { kind: 'unavailable_503', on: 'token' },
      { kind: 'unavailable_503', on: 'introspect' },
    ])
    const before = world.org.counters().get('introspect') ?? 0
    const resumed = await resume(world, { platform: world.platform })
    expect(resumed.verdict).toBe('failed')
    expect((world.org.counters().get('introspect') ?? 0) - before).toBeLessThan(15)
  })
})

/** The grant that the platform holds, as the org numbers it. */
async function heldGrantOf({ platform, lab }: DrilledWorld): Promise<unknown> {
  const { refresh } = await platform.tokens()
  const provider = lab?.provider ?? expect.unreachable()
  return provider.tell('grant-of', { refreshToken: refresh?.reveal() })
}

/** Stops a drill of a platform in the middle of a step: the next thing that it does there never ends. */
async function dieAt(world: DrilledWorld, depth: Depth, no: number): Promise<void> {
  const stop = new AbortController()
  const platform: Platform = { ...world.platform }
  const die = async () => {
    stop.abort()
    stop.signal.throwIfAborted()
    return expect.unreachable()
  }
  const listen: DrillListener = ({ kind, step }) => {
    if (kind === 'intent' && step === no)
      Object.assign(platform, { call: die, snapshot: die, tokens: die })
  }
  const wish = { depth, platform, signal: stop.signal, more: { listen } }
  await expect(drill(world, wish)).rejects.toMatchObject({ code: 'stopped_by_signal' })
}

describe.concurrent('what somebody did while the drill was dead is nobody’s fault, and is not undone', () => {
  const WORLDS_OF = {
    'our vault': () => openVaultWorld({ leaseMs: 400 }, { client: 'rotating' }),
    'Open Connectors': () => openAccountWorld({}, { client: 'rotating' }),
  } as const
  type Row = readonly [keyof typeof WORLDS_OF, 'emulator' | 'real provider', Depth, number]
  const rows: readonly Row[] = [
    ['our vault', 'emulator', 'access', 4],
    ['our vault', 'emulator', 'access', 5],
    ['our vault', 'emulator', 'access', 14],
    ['our vault', 'emulator', 'refresh', 14],
    ['our vault', 'emulator', 'refresh', 15],
    ['our vault', 'real provider', 'refresh', 14],
    ['Open Connectors', 'emulator', 'access', 5],
    ['Open Connectors', 'emulator', 'refresh', 14],
  ]
  test.each(rows)(
    'via %s at the %s: reconnected by hand, depth %s, after a death in step %i',
    async (via, provider, depth, no) => {
      const world = await WORLDS_OF[via]()
      await dieAt(world, depth, no)
      await reconnectByHand(world)
      const held = await heldGrantOf(world)
      const { lab: _, ...unaided } = world
      const resumed = await resume(provider === 'emulator' ? world : unaided, world)
      expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['passed', null])
      const unseen = no < 6 ? [5, 6, 7, 8, 9, 10, 11] : []
      expect(skippedOf(resumed)).toEqual(expect.arrayContaining(unseen))
      expect(resumed.records.at(-1)).toMatchObject({
        ...{ isBack: true, appliedBy: expect.stringMatching(/^somebody/) },
      })
      expect(resumed.step(14)?.verdict).toBe(no === 15 ? 'pass' : 'skipped')
      expect(await heldGrantOf(world)).toEqual(held)
    },
  )

  test.each(['our vault', 'Open Connectors'] as const)(
    'via %s: a grant that somebody begins beside the one reconnected by hand lives',
    async (via) => {
      const world = await WORLDS_OF[via]()
      await dieAt(world, 'refresh', 12)
      await reconnectByHand(world)
      const { refresh } = await world.grant()
      const resumed = await resume(world, { platform: world.platform })
      expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['passed', null])
      expect(resumed.step(15)?.verdict).toBe('skipped')
      const { tokens } = await world.direct.way.refresh(world.app, refresh, world.direct.means)
      expect(tokens).not.toBeNull()
    },
  )

  test('what was lost in step 12 and reconnected by hand before a second resume is taken (access)', async () => {
    const world = await openVaultWorld({ leaseMs: 400 }, { client: 'rotating' })
    const { platform } = world
    await dieInRefresh(world, 'access', 12)
    await stopResumeIn(world, 9)
    await reconnectByHand(world)
    const resumed = await resume(world, { platform })
    expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['passed', null])
    expect(resumed.records.at(-1)).toMatchObject({ appliedBy: expect.stringMatching(/^somebody/) })
  })

  test.each([5, 6])(
    'two nights of Open Connectors, after a death in step %i, are no storm',
    async (no) => {
      const world = await openAccountWorld()
      await dieAt(world, 'access', no)
      for (let night = 0; night < 2; night += 1) await world.platform.scheduledCheck()
      const resumed = await resume(world, { platform: world.platform })
      expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['passed', null])
      expect(skippedOf(resumed)).toContain(6)
      expect(resumed.step(6)?.why).toMatch(/refreshes came, .* cannot be told/)
    },
  )

  test.each(['our vault', 'Open Connectors'] as const)(
    'via %s: a platform that gives up by itself after a resume is not excused',
    async (via) => {
      const world = await WORLDS_OF[via]()
      const { platform } = world
      await stopIn(world, 4, platform, 'refresh')
      const silent: Platform = {
        ...platform,
        call: async () => ({
          ...{ ok: false, status: null, identity: null, requestId: null },
          ...{ providerRefused: false, cause: 'no_refresh_token' },
        }),
      }
      const resumed = await resume(world, { platform: silent, limits: { recoverMs: 1_000 } })
      expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['failed', 5])
    },
  )

  test('one that Open Connectors disabled meanwhile is not waited for until it is refused', async () => {
    const world = await openAccountWorld()
    await stopIn(world, 4, world.platform, 'refresh')
    await world.platform.scheduledCheck()
    expect((await world.platform.snapshot()).state).toBe('disabled')
    const resumed = await resume(world, { platform: world.platform })
    expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['passed', null])
    expect(resumed.step(5)).toMatchObject({
      ...{ verdict: 'skipped', why: expect.stringMatching(/had given the connection up before/) },
      evidence: { calls: 1 },
    })
  })

  test('the time that went by while it was dead is no delay of the platform’s', async () => {
    const world = await openVaultWorld()
    const { platform } = world
    await stopIn(world, 4, platform, 'refresh')
    await systemClock.sleep(1_100)
    const from = systemClock.now() + 400
    const slow: Platform = {
      ...platform,
      async snapshot(signal) {
        const snapshot = await platform.snapshot(signal)
        const isShown = systemClock.now() > from || snapshot.state !== 'reconnect_needed'
        return isShown ? snapshot : { ...snapshot, state: 'connected' }
      },
    }
    const limits = { detectMs: 1_000, notifyMs: 1_000, falseHealthyMs: 1_000 }
    const resumed = await resume(world, { platform: slow, limits })
    expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['passed', null])
    expect(resumed.step(5)?.why).toMatch(
      /^It took .* the drill was dead, so that it cannot be judged/,
    )
  })

  test.each([
    ['our vault', 'refresh'],
    ['our vault', 'grant'],
    ['Open Connectors', 'refresh'],
    ['Open Connectors', 'grant'],
  ] as const)(
    'via %s, depth %s: tokens that changed after a death before the revocation was sent: no more is revoked',
    async (via, depth) => {
      const world = await WORLDS_OF[via]()
      const { platform, direct } = world
      const stop = new AbortController()
      const revoke = async () => {
        stop.abort()
        stop.signal.throwIfAborted()
        return expect.unreachable()
      }
      const dying = { ...world, direct: { ...direct, way: { ...direct.way, revoke } } }
      await expect(drill(dying, { depth, platform, signal: stop.signal })).rejects.toMatchObject({
        code: 'stopped_by_signal',
      })
      expect((await platform.forceRefresh()).ok).toBe(true)
      const held = await heldGrantOf(world)
      const resumed = await resume(world, { platform })
      expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['failed', 3])
      expect(resumed.step(3)?.why).toMatch(
        /^Whether anything was revoked cannot be told: .* begin a new drill\.$/,
      )
      expect(resumed.step(3)?.evidence).toMatchObject({ answers: [] })
      expect(skippedOf(resumed)).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
      expect(resumed.records.at(-1)).toMatchObject({ isBack: true, stands: null })
      expect(await heldGrantOf(world)).toEqual(held)
    },
  )

  test.each([4, 5, 12])(
    'one that was disconnected after a death in step %i ends the drill so',
    async (no) => {
      const world = await openVaultWorld()
      await stopIn(world, no)
      await world.vault.vault.disconnect(world.connection)
      const resumed = await resume(world, { platform: world.platform })
      expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['failed', null])
      expect(resumed.records.at(-1)).toMatchObject({
        why: expect.stringMatching(/^The connection was disconnected while the drill was dead\.$/),
        stands: expect.stringMatching(/was disconnected while .* make a new connection\.$/),
      })
      expect(verifyEvidence(resumed.text)).toMatchObject({ ok: true })
      expect(listUnfinished(join(world.folder, 'drills'))).toEqual([])
    },
  )
})

function loseEvidence({ folder }: OrgWorld): void {
  for (const name of readdirSync(folder)) {
    if (name.endsWith('.jsonl')) rmSync(join(folder, name))
  }
}

describe.concurrent.each(WORLDS)(
  'a drill via %s that was stopped, and whose evidence is gone',
  (_name, open) => {
    test.each<[string, Depth, number, (world: DrilledWorld) => Promise<void>, readonly number[]]>([
      ['dead', 'grant', 4, async () => {}, []],
      ['about to be revoked', 'refresh', 3, async () => {}, []],
      ['reconnected by hand since', 'grant', 5, reconnectByHand, [8, 9, 10, 11]],
      ['in need of a refresh', 'access', 5, async () => {}, [8, 9, 10, 11]],
    ])('%s: it is brought back, and has failed', async (_title, depth, no, meanwhile, needless) => {
      const world = await open()
      const alive = world.org.truth.counts().alive
      await stopIn(world, no, world.platform, depth)
      loseEvidence(world)
      await meanwhile(world)
      const resumed = await resume(world, { platform: world.platform })
      const end = resumed.records.at(-1)
      expect([resumed.verdict, end?.isBack], story(resumed)).toEqual(['failed', true])
      expect(end?.why).toMatch(/The evidence of what came before the drill died is lost\.$/)
      expect(skippedOf(resumed)).toEqual(
        expect.arrayContaining([0, 1, 2, 3, 4, 5, 6, 7, ...needless]),
      )
      expect(resumed.step(3)?.why).toBe('What was seen of it is lost with the evidence.')
      expect(verifyEvidence(resumed.text)).toMatchObject({ ok: true })
      expect(world.org.truth.counts().alive).toBe(alive)
      const next = await drill(world, { depth, platform: world.platform })
      expect(next.verdict, story(next)).toBe('passed')
    })
  },
)

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
      /^The drill does not go on\. .*\sdrilled was dead when the drill died: .* Bring it back with: /s,
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

test('a drill that was taken over writes nothing more, and revokes nothing', async () => {
  const world = await openVaultWorld()
  const { platform, folder } = world
  const alive = world.org.truth.counts().alive
  const means = { folder: join(folder, 'drills'), sealer }
  let sound = 0
  const listen: DrillListener = ({ kind, step, no }) => {
    if (kind !== 'step' || step !== 2) return
    sound = no + 1
    for (const name of readdirSync(means.folder).filter((one) => one.endsWith('.lock'))) {
      utimesSync(join(means.folder, name), 1, 1)
    }
    const [stood] = listUnfinished(means.folder)
    resumeJournal(stood?.about.drill ?? '', means).journal.leave()
  }
  const evidence = join(folder, 'evidence-of-both.jsonl')
  const about = { drill: newId('drl'), subject: 'drilled', via: 'rescind', evidence } as const
  const begunWith = { limits: LIMITS, ownerConsent: null, consent: 'form' } as const
  const more = {
    listen,
    journal: openJournal({ ...about, depth: 'grant', mode: 'simulated', begunWith }, means),
    evidence: createEvidence(evidence, {
      ...{ signer: openEvidenceKey(join(folder, 'drill-key')), clock: systemClock },
    }),
  }
  await expect(drill(world, { depth: 'grant', platform, more })).rejects.toMatchObject({
    code: 'drill_busy',
  })
  expect(readFileSync(evidence, 'utf8').trimEnd().split('\n')).toHaveLength(sound)
  expect(world.org.truth.counts().alive).toBe(alive)
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
    numbers: {
      notifyMs: null,
      duplicateNotices: null,
      detectMs: expect.any(Number),
      refusedMs: expect.any(Number),
    },
  })
  const report = readReport(resumed.records)
  expect(headlineOf(report)).toBe('Drill at depth grant: passed; step 7 not judged')
  const terminal = renderDrillEnd(report, { columns: 200, color: pc.createColors(false) })
  expect(terminal).toMatch(/^ {2}Time to notify +not judged$/m)
  expect(renderDrillHtml(report)).toMatch(/Time to notify<\/dt><dd class="none">not judged</)
})
