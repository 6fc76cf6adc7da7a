import { describe, expect, test } from 'vitest'
import type { OpenConnectorsSwitches } from '../../../emulators/index.ts'
import type { Notice, Platform, PlatformCall } from '../../../src/connections/drill/platform.ts'
import { renderDrillHtml } from '../../../src/connections/drill/report/html.ts'
import { readReport } from '../../../src/connections/drill/report/model.ts'
import { RescindError } from '../../../src/core/errors.ts'
import { Secret } from '../../../src/core/secret.ts'
import {
  drill,
  type OrgWorld,
  openAccountWorld,
  openVaultWorld,
  story,
  type VaultWorld,
} from './world.ts'

const WELL: PlatformCall = {
  ok: true,
  status: 200,
  identity: null,
  providerRefused: false,
  cause: null,
  requestId: null,
}

/** Says what is so only once its scheduled check, which takes long, is over. */
function sayingLate(right: Platform, ms: number): Pick<Platform, 'snapshot' | 'scheduledCheck'> {
  let isChecked = false
  return {
    async scheduledCheck() {
      await new Promise((wait) => setTimeout(wait, ms))
      await right.scheduledCheck()
      isChecked = true
    },
    async snapshot() {
      const snapshot = await right.snapshot()
      return isChecked ? snapshot : { ...snapshot, state: 'connected' }
    },
  }
}

/** Tells of the death once more when it is made to refresh, which is after step 7. */
function tellingLate(right: Platform): Pick<Platform, 'forceRefresh' | 'notices'> {
  let late: Notice | undefined
  return {
    async forceRefresh() {
      const once = {
        kind: 'needs_reauth',
        signatureGood: true,
        cause: 'revoked_or_expired',
      } as const
      late = { id: 'late', at: Date.now(), ...once }
      return right.forceRefresh()
    },
    async notices(since) {
      const told = await right.notices(since)
      return late !== undefined && late.at >= since ? [...told, late] : told
    },
  }
}

/** A world that tells when the drill has revoked. */
function whenRevoked<World extends OrgWorld>(world: World, tell: () => void): World {
  const { direct } = world
  const revoke: typeof direct.way.revoke = async (...args) => {
    const answer = await direct.way.revoke(...args)
    tell()
    return answer
  }
  return { ...world, direct: { ...direct, way: { ...direct.way, revoke } } }
}

describe.concurrent('an account of Open Connectors that is wrong on purpose fails the drill at the right step', () => {
  const ROWS: readonly (readonly [string, Partial<OpenConnectorsSwitches>, number, RegExp])[] = [
    ['does not notice', { notices: 'never' }, 5, /does not notice/],
    ['notices twice', { notices: 'twice' }, 7, /2 notices of one death/],
    ['heals into another identity', { healsInto: 'neighbour' }, 12, /identity/],
    ['heals into one, and hides it', { healsInto: 'neighbour-hidden' }, 12, /somebody else/],
    ['storms the provider', { refreshes: 'storm' }, 6, /\d\d+ refreshes for one dead token/],
    ['takes another id', { idOnReauth: 'new' }, 12, /another id/],
    ['takes another element token', { elementTokenOnReauth: 'new' }, 12, /elementToken/],
  ]
  test.each(ROWS)('%s', async (_name, switches, step, why) => {
    const world = await openAccountWorld({ switches })
    const drilled = await drill(world, { depth: 'refresh', platform: world.platform })
    expect(drilled.failedAt, story(drilled)).toBe(step)
    expect(drilled.step(step)?.why).toMatch(why)
  })

  test.each([
    ['from the new grant on', 12, /what the first one brought was lost/],
    ['from the start', 3, /was dead already/],
  ] as const)('loses the rotated token, %s', async (since, step, why) => {
    const world = await openAccountWorld({}, { client: 'rotating' })
    const lose = () => world.account.setSwitches({ rotatedToken: 'lost' })
    if (since === 'from the start') lose()
    const platform: Platform = {
      ...world.platform,
      applyCallback: (...args) => {
        lose()
        return world.platform.applyCallback(...args)
      },
    }
    const drilled = await drill(world, { depth: 'refresh', platform })
    expect(drilled.failedAt, story(drilled)).toBe(step)
    expect(drilled.step(step)?.why).toMatch(why)
  })
})

describe.concurrent('a platform of our own that is wrong on purpose fails the drill at the right step', () => {
  type Wrong = (world: VaultWorld) => Partial<Platform>
  const twice = (right: Platform) => async (since: number) =>
    (await right.notices(since)).flatMap((one) => [one, { ...one, id: `${one.id}-again` }])
  const ROWS: readonly (readonly [string, 'access' | 'refresh', Wrong, number, RegExp])[] = [
    ['does not notice', 'refresh', () => ({ call: async () => WELL }), 5, /does not notice/],
    [
      'says that it is well after a call failed',
      'refresh',
      ({ platform }) => ({
        snapshot: async () => ({ ...(await platform.snapshot()), state: 'connected' }),
      }),
      5,
      /says connected, though only a reconnect/,
    ],
    [
      'answers from a cache',
      'access',
      () => ({ call: async () => WELL }),
      5,
      /It took 0 refreshes/,
    ],
    [
      'says too late that it needs its owner, though a call was refused at once',
      'refresh',
      ({ platform }) => sayingLate(platform, 1_200),
      5,
      /^It took 1\.\d s to notice, and at most 1 s is allowed\.$/,
    ],
    ['tells nobody', 'refresh', () => ({ notices: async () => [] }), 7, /Nobody was told/],
    [
      'writes it down, and sends no webhook',
      'refresh',
      ({ platform, inbox }) => ({
        notices: (since) => {
          inbox.setDown(true)
          return platform.notices(since)
        },
        scheduledCheck: async () => inbox.setDown(true),
      }),
      7,
      /no webhook of it came/,
    ],
    ['notices twice', 'refresh', ({ platform }) => ({ notices: twice(platform) }), 7, /2 notices/],
    [
      'notices twice, the second one later',
      'refresh',
      ({ platform }) => tellingLate(platform),
      14,
      /^2 notices of one death came, the last \d.* after the revocation\.$/,
    ],
    [
      'notices late what healed by itself',
      'access',
      ({ platform }) => tellingLate(platform),
      14,
      /^Somebody was told of a death, \d.* and only the access token was dead\.$/,
    ],
    [
      'signs badly',
      'refresh',
      ({ platform }) => ({
        notices: async (since) =>
          (await platform.notices(since)).map((one) => ({ ...one, signatureGood: false })),
      }),
      7,
      /no good signature/,
    ],
    [
      'storms the provider',
      'refresh',
      ({ platform, direct }) => ({
        call: async () => {
          const { refresh } = await platform.tokens()
          await direct.way.refresh(direct.app, refresh ?? new Secret(''), direct.means)
          return platform.call()
        },
      }),
      6,
      /refreshes for one dead token/,
    ],
    [
      'sends its link without a state',
      'refresh',
      ({ platform }) => ({
        reconnectLink: async () => {
          const link = await platform.reconnectLink()
          const url = new URL(link.url)
          url.searchParams.delete('state')
          return { ...link, url: url.href }
        },
      }),
      8,
      /no state/,
    ],
    [
      'puts the client secret into its link',
      'refresh',
      ({ platform, app }) => ({
        reconnectLink: async () => {
          const link = await platform.reconnectLink()
          return { ...link, url: `${link.url}&client_secret=${app.clientSecret?.reveal()}` }
        },
      }),
      8,
      /carries a secret: client secret/,
    ],
    [
      'takes a denial for a consent',
      'refresh',
      ({ platform }) => ({
        applyCallback: async (link, callback) =>
          callback.error === null
            ? platform.applyCallback(link, callback)
            : { ok: true, route: 'callback', cause: null },
      }),
      9,
      /denial was taken/,
    ],
    [
      'heals into another identity',
      'refresh',
      ({ platform, vault, connection, grant, other }) => ({
        applyCallback: async (link, callback) => {
          if (callback.error !== null) return platform.applyCallback(link, callback)
          const { access, refresh } = await grant(other)
          await vault.vault.adopt(connection, {
            ...{ accessToken: access, refreshToken: refresh, expiresInS: null, scopes: null },
            ...{ identity: null, facts: {} },
          })
          return { ok: true, route: 'callback', cause: null }
        },
      }),
      12,
      /Another identity/,
    ],
  ]
  test.each(ROWS)('%s (%s)', async (_name, depth, wrong, step, why) => {
    const world = await openVaultWorld()
    const platform = { ...world.platform, ...wrong(world) }
    const limits = { detectMs: 1_000, notifyMs: 1_500 }
    const drilled = await drill(world, { depth, platform, limits })
    expect(drilled.failedAt, story(drilled)).toBe(step)
    expect(drilled.step(step)?.why).toMatch(why)
  })

  test('a second notice that came late is counted at the end', async () => {
    const world = await openVaultWorld()
    const platform = { ...world.platform, ...tellingLate(world.platform) }
    const drilled = await drill(world, { depth: 'refresh', platform })
    expect([drilled.step(7)?.verdict, drilled.step(14)?.verdict]).toEqual(['pass', 'fail'])
    expect(drilled.step(14)?.evidence).toMatchObject({ deaths: { notices: 2, most: 1 } })
    expect(drilled.records.at(-1)).toMatchObject({ numbers: { duplicateNotices: 1 } })
  })

  test('loses the rotated token: the second refresh shows it', async () => {
    const world = await openVaultWorld({}, { client: 'rotating' })
    const { vault, connection } = world
    let isLosing = false
    const platform: Platform = {
      ...world.platform,
      applyCallback: async (...args) => {
        const applied = await world.platform.applyCallback(...args)
        isLosing = true
        return applied
      },
      forceRefresh: async () => {
        const { refresh } = await vault.vault.tokens(connection)
        const call = await world.platform.forceRefresh()
        if (isLosing) {
          const { access } = await vault.vault.tokens(connection)
          await vault.parts.store.update(connection, () => ({
            tokens: { access, refresh, expiresAt: null, renewAt: null },
          }))
        }
        return call
      },
    }
    const drilled = await drill(world, { depth: 'refresh', platform })
    expect(drilled.failedAt, story(drilled)).toBe(12)
    expect(drilled.step(12)?.why).toMatch(/what the first one brought was lost/)
  })

  test.each([
    ['detectMs', 5, /to notice, and at most 0 ms is allowed|to say that it is not well/],
    ['notifyMs', 7, /to tell anybody, and at most 1 ms is allowed|Nobody was told/],
    ['recoverMs', 14, /to recover, and at most 0 ms is allowed/],
  ] as const)('a threshold that is not kept fails its step: %s', async (limit, step, why) => {
    const world = await openVaultWorld()
    const limits = { [limit]: limit === 'notifyMs' ? 1 : 0 }
    const drilled = await drill(world, { depth: 'refresh', platform: world.platform, limits })
    expect(drilled.step(step)?.verdict, story(drilled)).toBe('fail')
    expect(drilled.step(step)?.why).toMatch(why)
  })
})

describe('what a platform says is not taken for more than it is', () => {
  test('calls that go well with the dead token are no healing', async () => {
    const { platform, ...world } = await openVaultWorld()
    let isRevoked = false
    const drilled = await drill(
      whenRevoked(world, () => (isRevoked = true)),
      {
        depth: 'access',
        limits: { detectMs: 500, notifyMs: 500 },
        platform: {
          ...platform,
          call: async () => (isRevoked ? WELL : platform.call()),
          scheduledCheck: async () => {},
        },
      },
    )
    expect([5, 7].map((no) => [drilled.step(no)?.verdict, drilled.step(no)?.why])).toEqual([
      ['fail', expect.stringMatching(/still holds the dead token/)],
      ['skipped', expect.stringMatching(/not seen to heal/)],
    ])
    expect(drilled.step(8)?.verdict, story(drilled)).toBe('pass')
  })

  test('calls that go well from a cache at the end, with a token that is dead, are no way back', async () => {
    const { direct, ...world } = await openVaultWorld()
    const platform = { ...world.platform }
    const revoke = async () => {
      const { access, refresh } = await world.platform.tokens()
      for (const [kind, token] of [
        ['refresh', refresh],
        ['access', access],
      ] as const) {
        if (token) await direct.way.revoke(direct.app, { kind, token }, direct.means)
      }
    }
    const drilled = await drill(
      { ...world, direct },
      {
        depth: 'refresh',
        platform,
        more: {
          listen: ({ kind, step }) => {
            if (kind !== 'step' || step !== 14) return
            platform.call = async () => WELL
            const snapshot = platform.snapshot
            platform.snapshot = async () => {
              await revoke()
              return snapshot()
            }
          },
        },
      },
    )
    expect(drilled.records.at(-1), story(drilled)).toMatchObject({
      verdict: 'failed',
      isBack: false,
      stands: expect.stringMatching(
        /^drilled came back and does not work: .* or the provider refused its token\. Bring it back/,
      ),
    })
  })

  test('a refused call is no detection: the time is the one until it says that it needs its owner', async () => {
    const { platform, ...world } = await openVaultWorld()
    const drilled = await drill(world, {
      depth: 'refresh',
      platform: { ...platform, ...sayingLate(platform, 1_200) },
    })
    expect(drilled.verdict, story(drilled)).toBe('passed')
    expect(drilled.step(5)?.why).toMatch(
      /^A call was refused after \d+ ms; the platform says reconnect_needed after 1\.\d s\.$/,
    )
    const { detectMs, refusedMs } = readReport(drilled.records).end?.numbers ?? {}
    expect(drilled.step(5)?.evidence).toMatchObject({ detectMs, refusedMs })
    expect(detectMs).toBeGreaterThanOrEqual(1_200)
    expect(refusedMs).toBeLessThan(1_200)
    const page = renderDrillHtml(readReport(drilled.records))
    expect(page).toMatch(/noticed \+1\.\d s/)
    expect(page).toMatch(/First refused call<\/dt><dd[^>]*>\d+ ms/)
  })

  test('one that disables it again before it has the new grant tells that too, rightly', async () => {
    const { platform, ...world } = await openAccountWorld()
    let isFirst = true
    const drilled = await drill(world, {
      depth: 'refresh',
      platform: {
        ...platform,
        async applyCallback(link, callback, signal) {
          if (callback.code === null || !isFirst) {
            return platform.applyCallback(link, callback, signal)
          }
          isFirst = false
          await platform.scheduledCheck()
          expect((await platform.snapshot()).state).toBe('disabled')
          return { ok: false, route: 'PATCH', cause: 'malformed_answer' }
        },
      },
    })
    expect(drilled.verdict, story(drilled)).toBe('passed')
    expect(drilled.step(14)?.evidence).toMatchObject({ deaths: { notices: 2, most: 2 } })
    expect(drilled.records.at(-1)).toMatchObject({ numbers: { duplicateNotices: 0 } })
  })

  test('a limit that the provider names is no death, and is waited out', async () => {
    const { platform, ...world } = await openVaultWorld()
    let left = 0
    const limited: PlatformCall = {
      ...{ ok: false, status: 429, identity: null, requestId: null },
      ...{ providerRefused: true, cause: 'rate_limited' },
    }
    const drilled = await drill(
      whenRevoked(world, () => (left = 2)),
      {
        depth: 'refresh',
        platform: {
          ...platform,
          async call() {
            left -= 1
            return left < 0 ? platform.call() : limited
          },
        },
      },
    )
    expect(drilled.verdict, story(drilled)).toBe('passed')
    expect(drilled.step(5)?.evidence).toMatchObject({ calls: 3, cause: 'revoked_or_expired' })
  })
})

describe.concurrent('an account that keeps an instance disabled when it is told to enable it', () => {
  const LONG = { recoverMs: 600_000 }

  test('until it has the new grant: it is told once more then, and comes back', async () => {
    const { platform, ...world } = await openAccountWorld()
    let hasGrant = false
    const drilled = await drill(world, {
      depth: 'refresh',
      limits: LONG,
      platform: {
        ...platform,
        enable: async (signal) => (hasGrant ? platform.enable(signal) : 'enabled'),
        async applyCallback(...args) {
          const applied = await platform.applyCallback(...args)
          hasGrant ||= applied.ok
          return applied
        },
      },
    })
    expect(drilled.step(10)).toMatchObject({ verdict: 'fail', why: 'It is still disabled.' })
    expect(drilled.step(12), story(drilled)).toMatchObject({
      ...{ verdict: 'pass', evidence: { enabled: 'enabled' } },
    })
    expect(drilled.records.at(-1)).toMatchObject({ failedAt: 10, isBack: true })
  })

  test('for good: that it cannot heal by itself is judged at once, and not waited out', async () => {
    const { platform, ...world } = await openAccountWorld()
    const stuck: Platform = { ...platform, enable: async () => 'enabled' }
    const drilled = await drill(world, { depth: 'refresh', platform: stuck, limits: LONG })
    expect(drilled.step(12), story(drilled)).toMatchObject({
      ...{ verdict: 'fail', why: expect.stringMatching(/^Calls through the platform still fail/) },
      evidence: { enabled: 'enabled', after: { state: 'disabled' } },
    })
    expect(drilled.step(12)?.tookMs).toBeLessThan(60_000)
    expect(drilled.records.at(-1)).toMatchObject({
      isBack: false,
      stands: expect.stringMatching(/^drilled was given a new grant and does not work: /),
    })
  })
})

describe('an access drill that did not see it heal', () => {
  test.each([
    ['and it lives: the end says so', true, { isBack: true, stands: null }],
    [
      'and it does not work: the end says that, and not that nobody has reconnected it',
      false,
      { isBack: false, stands: expect.stringMatching(/^drilled does not work: .* not refreshed/) },
    ],
  ])('%s', async (_title, isOverAtLast, end) => {
    const { platform, ...world } = await openVaultWorld()
    let [calls, links, isOut] = [0, 0, true]
    const drilled = await drill(world, {
      depth: 'access',
      limits: { detectMs: 1_000, notifyMs: 500 },
      platform: {
        ...platform,
        call: async () => {
          calls += 1
          // The first two are the guard's and step 1's.
          const isDown = calls > 2 && isOut
          return isDown
            ? { ...(await platform.call()), ok: false, cause: 'network' }
            : platform.call()
        },
        reconnectLink: async () => {
          links += 1
          // The first is the guard's.
          if (links === 1) return platform.reconnectLink()
          isOut = !isOverAtLast
          throw new RescindError('connection_unwell', 'No link now.')
        },
      },
    })
    expect([drilled.failedAt, drilled.step(5)?.verdict], story(drilled)).toEqual([5, 'fail'])
    expect([drilled.step(7)?.verdict, drilled.step(7)?.why]).toEqual([
      'skipped',
      expect.stringMatching(/not seen to heal/),
    ])
    expect(drilled.records.at(-1)).toMatchObject({ kind: 'end', verdict: 'failed', ...end })
  })
})

describe('other connections are called, before and after', () => {
  test('one whose grant died with it fails step 6, though it is shown as connected', async () => {
    const { platform, vault, direct, ...world } = await openVaultWorld()
    const [other] = await platform.others()
    const id = other?.id ?? ''
    const { refresh } = await vault.vault.tokens(id)
    const drilled = await drill(
      { ...world, direct },
      {
        depth: 'refresh',
        platform: {
          ...platform,
          async scheduledCheck() {
            await platform.scheduledCheck()
            const token = refresh ?? new Secret('')
            await direct.way.revoke(direct.app, { kind: 'refresh', token }, direct.means)
            expect((await vault.vault.get(id)).state).toBe('connected')
          },
        },
      },
    )
    expect(drilled.failedAt, story(drilled)).toBe(6)
    expect(drilled.step(6)?.why).toBe(`Other connections broke with it: ${id}.`)
  })

  test.each([
    ['our vault', () => openVaultWorld()],
    ['Open Connectors', () => openAccountWorld()],
  ] as const)('via %s, those that live answer', async (_name, open) => {
    const world = await open()
    const drilled = await drill(world, { depth: 'refresh', platform: world.platform })
    expect([drilled.verdict, drilled.step(6)?.why], story(drilled)).toEqual([
      'passed',
      expect.stringMatching(/Other connections are as before: 1 answers a call\./),
    ])
  })
})
