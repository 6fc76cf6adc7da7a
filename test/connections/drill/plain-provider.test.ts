import { describe, expect, test } from 'vitest'
import type { Platform } from '../../../src/connections/drill/platform.ts'
import type { DrillListener } from '../../../src/connections/drill/run.ts'
import { drill, openPlainWorld, resume, story } from './world.ts'

const TRAITS = { rotation: 'never' }
/** Step 4 waits for a token that lives. */
const LONGER = { detectMs: 15_000, notifyMs: 15_000 }

describe.concurrent('a revocation that the provider does not say yes to', () => {
  test.each([
    [
      'of an access token it revokes none, and they outlive the grant',
      'grant',
      {},
      { refresh: 'token', answers: 'access_unsupported' },
      'The provider did not say that the access token is revoked (unsupported_token_type).',
      'fail',
    ],
    [
      'its answer is lost after it took effect',
      'refresh',
      { revokeRefresh: 'token' },
      { refresh: 'token', answers: 'lost' },
      'The provider did not say that the refresh token is revoked (http_reset).',
      'pass',
    ],
  ] as const)(
    'is gone on from, and what it killed is brought back: %s',
    async (_title, depth, traits, revoking, why, proof) => {
      const world = await openPlainWorld({ ...TRAITS, ...traits }, revoking)
      const before = await world.platform.tokens()
      const { platform, server } = world
      const drilled = await drill(world, {
        depth,
        limits: LONGER,
        platform: {
          ...platform,
          // What the reconnect ends is no matter of this.
          applyCallback(...args) {
            server.setRevoking({ answers: 'revoked' })
            return platform.applyCallback(...args)
          },
        },
      })
      expect([drilled.failedAt, drilled.step(3)?.why], story(drilled)).toEqual([3, why])
      expect(drilled.step(4)?.verdict).toBe(proof)
      for (const no of [5, 6, 7, 8, 9, 10, 11, 12]) {
        expect(drilled.step(no)?.verdict, story(drilled)).toBe('pass')
      }
      expect(drilled.records.at(-1)).toMatchObject({ isBack: true, stands: null })
      const after = await world.platform.tokens()
      expect(after.refresh?.reveal()).not.toBe(before.refresh?.reveal())
      expect((await world.platform.forceRefresh()).ok).toBe(true)
    },
  )

  test.each([
    [
      'is dead, where a refresh showed it',
      {},
      'access_unsupported',
      'grant',
      /^drilled is dead: .* nobody has reconnected it/,
    ],
    [
      'may be dead, where nothing did',
      { revokeRefresh: 'token' },
      'none',
      'refresh',
      /^drilled may be dead: its revocation was begun .*, what came of it is not known, and nobody/,
    ],
  ] as const)('and that is not brought back %s', async (_title, traits, answers, depth, stands) => {
    const world = await openPlainWorld({ ...TRAITS, ...traits }, { answers })
    const { platform } = world
    const drilled = await drill(world, {
      depth,
      platform: {
        ...platform,
        applyCallback: async () => ({ ok: false, route: 'callback', cause: null }),
      },
    })
    expect(drilled.records.at(-1), story(drilled)).toMatchObject({
      isBack: false,
      stands: expect.stringMatching(stands),
    })
  })

  test.each(['access', 'refresh', 'grant'] as const)(
    'at depth %s has had no effect where all is refused and the platform still refreshes',
    async (depth) => {
      const world = await openPlainWorld(TRAITS, { answers: 'refused' })
      const { refresh } = await world.platform.tokens()
      const drilled = await drill(world, { depth, platform: world.platform })
      expect(drilled.failedAt, story(drilled)).toBe(3)
      const others = Array.from({ length: 11 }, (_, no) => drilled.step(no + 5)?.why)
      expect([...new Set(others)], story(drilled)).toEqual([
        'The revocation had no effect: the connection is as it was.',
      ])
      expect(drilled.records.at(-1)).toMatchObject({ isBack: true, stands: null })
      expect((await world.platform.tokens()).refresh?.reveal()).toBe(refresh?.reveal())
    },
  )

  test('that was begun by a process that died is not undone by a second one that is not sent', async () => {
    const world = await openPlainWorld({ ...TRAITS, revokeRefresh: 'token' })
    const { direct, platform } = world
    const stop = new AbortController()
    const revokeWith = (revoke: typeof direct.way.revoke) => ({
      ...world,
      direct: { ...direct, way: { ...direct.way, revoke } },
    })
    const dying = revokeWith(async (...args) => {
      await direct.way.revoke(...args)
      stop.abort()
      stop.signal.throwIfAborted()
      return expect.unreachable()
    })
    await expect(
      drill(dying, { depth: 'refresh', platform, signal: stop.signal }),
    ).rejects.toMatchObject({ code: 'stopped_by_signal' })
    const code = 'http_unreachable'
    const unsent = { revoked: 'no', alreadyDead: false, status: null, code } as const
    const resumed = await resume(
      revokeWith(async () => unsent),
      { platform },
    )
    expect([resumed.failedAt, resumed.step(11)?.verdict], story(resumed)).toEqual([3, 'pass'])
    expect(resumed.records.at(-1)).toMatchObject({ isBack: true, stands: null })
  })

  test('is not said to have had no effect where a server refuses and acts', async () => {
    const world = await openPlainWorld(TRAITS)
    const { direct, platform } = world
    const way = {
      ...direct.way,
      revoke: async (...args: Parameters<typeof direct.way.revoke>) => {
        await direct.way.revoke(...args)
        const no = { revoked: 'no', alreadyDead: false, status: 400, code: 'invalid_request' }
        return no as Awaited<ReturnType<typeof direct.way.revoke>>
      },
    }
    const drilled = await drill(
      { ...world, direct: { ...direct, way } },
      { depth: 'refresh', platform },
    )
    expect([drilled.failedAt, drilled.step(11)?.verdict], story(drilled)).toEqual([3, 'pass'])
    expect(drilled.records.at(-1)).toMatchObject({ isBack: true, stands: null })
  })
})

describe.concurrent('what the provider documents of its revocations is expected', () => {
  test.each([
    ['the old refresh token is presented', { replayKills: false }, 'pass', [15]],
    ['nothing that is dead can be presented: that is not judged', {}, 'skipped', [13, 15]],
  ] as const)(
    'an access token outlives its refresh token; %s',
    async (_title, traits, verdict, notJudged) => {
      const world = await openPlainWorld({ ...TRAITS, revokeRefresh: 'token', ...traits })
      const drilled = await drill(world, { depth: 'refresh', platform: world.platform })
      expect([drilled.verdict, drilled.step(13)?.verdict], story(drilled)).toEqual([
        'passed',
        verdict,
      ])
      expect(drilled.step(4)?.why).toMatch(/lives on, as the provider documents/)
      expect(drilled.records.at(-1)).toMatchObject({ notJudged })
    },
  )

  test('an access token takes its grant along: depth access is refused, depth grant is right', async () => {
    const world = await openPlainWorld(
      { ...TRAITS, revokeAccess: 'grant' },
      { access: 'grant', refresh: 'grant' },
    )
    const { platform } = world
    await expect(drill(world, { depth: 'access', platform })).rejects.toMatchObject({
      code: 'drill_refused',
      message: expect.stringMatching(
        /revokeAccess: grant.*use --depth grant\. Nothing was revoked/,
      ),
    })
    expect((await platform.call()).ok).toBe(true)
    const drilled = await drill(world, { depth: 'grant', platform })
    expect(drilled.verdict, story(drilled)).toBe('passed')
  })
})

test('a platform that never heals, and that somebody reconnected while the drill was dead, is not said to have healed', async () => {
  const world = await openPlainWorld({ revokeRefresh: 'token' }, { refresh: 'token' })
  const { platform, direct, app } = world
  const stop = new AbortController()
  const stuck: Platform = {
    ...platform,
    async call() {
      const { access } = await platform.tokens()
      const { verdict, status } = await direct.way.probe(app, access, direct.means)
      const isAlive = verdict === 'alive'
      return {
        ...{ ok: isAlive, status, identity: null, requestId: null, providerRefused: !isAlive },
        cause: isAlive ? null : 'revoked_or_expired',
      }
    },
    scheduledCheck: async () => {},
  }
  const listen: DrillListener = ({ kind, step }) => {
    if (kind === 'intent' && step === 5) stop.abort()
  }
  const dying = { depth: 'access', platform: stuck, signal: stop.signal, more: { listen } } as const
  await expect(drill(world, dying)).rejects.toMatchObject({ code: 'stopped_by_signal' })
  const link = await platform.reconnectLink()
  const { callback } = await world.consent.visit(link, 'allow')
  expect(callback && (await platform.applyCallback(link, callback)).ok).toBe(true)
  const resumed = await resume(world, { platform: stuck })
  expect(resumed.step(5), story(resumed)).toMatchObject({
    ...{ verdict: 'skipped', why: expect.stringMatching(/no refresh was counted/) },
  })
})

describe.concurrent('a drill that died in step 3, where spent tokens are revoked with a 200 (RFC 7009, section 2.2)', () => {
  const rows = (['grant', 'token'] as const).flatMap((refresh) =>
    (['refresh', 'grant'] as const).flatMap((depth) => [
      { refresh, depth, sent: false, meanwhile: 'refreshed' as const },
      { refresh, depth, sent: false, meanwhile: 'reconnected' as const },
      { refresh, depth, sent: true, meanwhile: 'reconnected' as const },
    ]),
  )
  test.each(rows)(
    'revokes no more, and blames nobody: $refresh, depth $depth, sent $sent, $meanwhile since',
    async ({ refresh, depth, sent, meanwhile }) => {
      const traits = { rotation: 'always', revokeRefresh: refresh }
      const world = await openPlainWorld(traits, { refresh, rotates: true })
      const { platform, direct, consent } = world
      const stop = new AbortController()
      const revoke: typeof direct.way.revoke = async (...asked) => {
        if (sent) await direct.way.revoke(...asked)
        stop.abort()
        throw stop.signal.reason
      }
      const dying = { ...world, direct: { ...direct, way: { ...direct.way, revoke } } }
      const wish = { depth, platform, signal: stop.signal } as const
      await expect(drill(dying, wish)).rejects.toMatchObject({ code: 'stopped_by_signal' })
      if (meanwhile === 'reconnected') {
        const link = await platform.reconnectLink()
        const { callback } = await consent.visit(link, 'allow')
        expect(callback && (await platform.applyCallback(link, callback)).ok).toBe(true)
      } else expect((await platform.forceRefresh()).ok).toBe(true)
      const held = await platform.tokens()
      const resumed = await resume(world, { platform })
      expect([resumed.verdict, resumed.failedAt], story(resumed)).toEqual(['failed', 3])
      expect(resumed.step(3)).toMatchObject({
        ...{ why: expect.stringMatching(/^Whether anything was revoked cannot be told/) },
        evidence: { answers: [] },
      })
      expect(resumed.records.at(-1)).toMatchObject({ isBack: true, stands: null })
      expect((await platform.tokens()).refresh?.reveal()).toBe(held.refresh?.reveal())
    },
  )
})
