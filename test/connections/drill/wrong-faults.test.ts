import { describe, expect, test } from 'vitest'
import type { Consent } from '../../../src/connections/drill/consent/consent.ts'
import type { DrillContext, Reauthorize, VaultLab } from '../../../src/connections/drill/context.ts'
import { INJECTION_NAMES, injectionsOf } from '../../../src/connections/drill/injections.ts'
import type {
  Applied,
  Notice,
  Platform,
  PlatformCall,
} from '../../../src/connections/drill/platform.ts'
import type { Vault } from '../../../src/connections/vault.ts'
import { RescindError } from '../../../src/core/errors.ts'
import { Secret } from '../../../src/core/secret.ts'
import {
  type AccountWorld,
  drill,
  type OrgWorld,
  openAccountWorld,
  openVaultWorld,
  type VaultWorld,
} from './world.ts'

/** What is wrong while a fault is injected, and right before it and after. */
interface Wrong {
  readonly platform?: Partial<Platform>
  readonly vault?: Partial<VaultLab>
  readonly reauthorize?: Reauthorize
  readonly consent?: Consent
}

/** Injects one fault on a platform that is wrong on purpose; gives what was judged of it. */
async function judgedOf(world: OrgWorld & { platform: Platform }, name: string, wrong: Wrong) {
  const injections = injectionsOf([name]).map((one) => ({
    ...one,
    run: (context: DrillContext) => one.run(spoilt(context, wrong)),
  }))
  const limits = { detectMs: 1_000, notifyMs: 1_000 }
  const wish = { depth: 'refresh', platform: world.platform, limits, more: { injections } } as const
  const { records } = await drill(world, wish)
  const record = records.find(({ kind }) => kind === 'inject')
  return { verdict: record?.verdict, why: record?.why }
}

function spoilt(context: DrillContext, { platform, vault, consent, ...more }: Wrong): DrillContext {
  const { lab } = context
  return {
    ...context,
    platform: { ...context.platform, ...platform },
    lab: lab && { ...lab, ...more, vault: lab.vault && { ...lab.vault, ...vault } },
    consent: consent ?? context.consent,
  }
}

const WELL: PlatformCall = {
  ...{ ok: true, status: 200, identity: null, requestId: null },
  ...{ providerRefused: false, cause: null },
}
const CACHED = { call: async () => WELL }
const TOLD: Notice = {
  ...{ id: 'n1', at: 0, kind: 'needs_reauth', signatureGood: true, cause: null },
}
const NOT_STRUCK = /did not strike/

/** Wrong at the call of this number, from 1 on, and right at all others. */
function atCall<Args extends readonly unknown[], Result>(
  nth: number,
  wrong: (...args: NoInfer<Args>) => Promise<NoInfer<Result>>,
  right: (...args: Args) => Promise<Result>,
) {
  let calls = 0
  return (...args: Args) => {
    calls += 1
    return calls === nth ? wrong(...args) : right(...args)
  }
}

const says = (right: Platform, state: 'connected' | 'degraded' | 'reconnect_needed') => ({
  snapshot: async () => ({ ...(await right.snapshot()), state }),
})

/** A call as it is, but for what is said of why it failed. */
const blames = (right: Platform, more: Partial<PlatformCall>) => ({
  call: async () => {
    const call = await right.call()
    return call.ok ? call : { ...call, ...more }
  },
})

/** Tells of something new each time that it is asked, beside what is so. */
const tellsMore = (right: Platform, kind: Notice['kind']) => {
  let asked = 0
  return {
    notices: async (since: number) => {
      asked += 1
      return [...(await right.notices(since)), { ...TOLD, id: `n${asked}`, kind }]
    },
  }
}

/** Other vaults as they are, but for their refreshes. */
const another = (
  { lab }: VaultWorld,
  renew: (right: Vault, id: string, stale?: number) => ReturnType<Vault['renew']>,
): Wrong => ({
  vault: {
    another: (wish) => {
      const right = lab?.vault?.another(wish) as Vault
      return { ...right, renew: (id, stale) => renew(right, id, stale) }
    },
  },
})

const renews = (right: Vault, id: string, stale?: number) => right.renew(id, stale)

const refuses = async (): Promise<never> => {
  throw new RescindError('connection_unwell', 'It is not given out.')
}

type Row<World> = readonly [
  fault: string,
  does: string,
  wrong: (world: World) => Wrong,
  why: RegExp,
]

const TRANSIENT = [
  ...['provider-5xx', 'provider-timeout', 'rate-limited-429', 'forbidden-403', 'html-error-page'],
  ...['error-in-200', 'malformed-200', 'no-access-token-200', 'invalid-client'],
].flatMap((fault): readonly Row<VaultWorld>[] => [
  [fault, 'answers from a cache', () => ({ platform: CACHED }), NOT_STRUCK],
  [
    fault,
    'asks the owner',
    ({ platform }) => ({ platform: says(platform, 'reconnect_needed') }),
    /taken for dead: reconnect_needed/,
  ],
  [
    fault,
    'says that the grant is dead',
    ({ platform }) => ({ platform: blames(platform, { cause: 'revoked_or_expired' }) }),
    /taken for dead: degraded \(revoked_or_expired\)/,
  ],
  [
    fault,
    'tells the owner of it',
    ({ platform }) => ({ platform: tellsMore(platform, 'needs_reauth') }),
    /owner was told of it/,
  ],
])

const PROVIDER: readonly Row<VaultWorld>[] = [
  [
    'invalid-client',
    'blames the network',
    ({ platform }) => ({ platform: blames(platform, { cause: 'network' }) }),
    /cause is network, and not our_client_refused/,
  ],
  [
    'lost-response-after-rotation',
    'answers from a cache',
    () => ({ platform: CACHED }),
    NOT_STRUCK,
  ],
  [
    'omitted-refresh-token',
    'drops the old one',
    ({ platform }) => ({
      platform: {
        tokens: atCall(
          2,
          async () => ({ ...(await platform.tokens()), refresh: null }),
          platform.tokens,
        ),
      },
    }),
    /refresh token is gone/,
  ],
  ...['omitted-refresh-token', 'refresh-with-scope'].map(
    (fault): Row<VaultWorld> => [
      fault,
      'refreshes nothing',
      () => ({ platform: { forceRefresh: async () => WELL } }),
      /no refresh reached the provider/,
    ],
  ),
  [
    'refresh-with-scope',
    'names its scopes',
    ({ platform, http, app }) => ({
      platform: {
        forceRefresh: async () => {
          const { refresh } = await platform.tokens()
          const body = new URLSearchParams({
            ...{ grant_type: 'refresh_token', client_id: app.clientId, scope: 'api' },
            client_secret: app.clientSecret?.reveal() ?? '',
            refresh_token: refresh?.reveal() ?? '',
          }).toString()
          const headers = { 'content-type': 'application/x-www-form-urlencoded' }
          const url = `${app.url}/services/oauth2/token`
          const { status } = await http.send({ method: 'POST', url, headers, body })
          return { ...WELL, ok: status === 200, status, cause: 'our_client_refused' }
        },
      },
    }),
    /refresh fails \(our_client_refused\)/,
  ],
  [
    'token-limit-eviction',
    'asks nobody',
    ({ platform }) => ({ platform: says(platform, 'connected') }),
    /platform says connected: the owner is not asked/,
  ],
  [
    'token-limit-eviction',
    'blames the network',
    ({ platform }) => ({ platform: blames(platform, { cause: 'network' }) }),
    /cause is network/,
  ],
  [
    'token-limit-eviction',
    'goes on from a cache',
    () => ({ platform: CACHED }),
    /not noticed: calls still go well/,
  ],
  [
    'token-limit-eviction',
    'holds somebody else’s grant',
    ({ grant, other }) => ({ platform: { tokens: () => grant(other) } }),
    NOT_STRUCK,
  ],
]

const VAULT: readonly Row<VaultWorld>[] = [
  ['store-write-fails', 'writes nothing', () => ({ platform: CACHED }), NOT_STRUCK],
  [
    'store-write-fails',
    'gives out what is not stored',
    ({ platform }) => ({
      platform: {
        call: async () => {
          await platform.call()
          return WELL
        },
      },
    }),
    /not stored was given out/,
  ],
  [
    'store-write-fails',
    'says that it is well',
    ({ platform }) => ({ platform: says(platform, 'connected') }),
    /shown as well/,
  ],
  [
    'crash-before-commit',
    'does not die',
    ({ lab }) => ({ vault: { another: () => lab?.vault?.another() as Vault } }),
    NOT_STRUCK,
  ],
  [
    'crash-before-commit',
    'dies before it refreshes',
    (world) => another(world, refuses),
    NOT_STRUCK,
  ],
  [
    'crash-before-commit',
    'says that it is well',
    ({ platform }) => ({ platform: says(platform, 'connected') }),
    /shown as well right after/,
  ],
  [
    'parallel-refreshes',
    'each refreshes',
    (world) =>
      another(world, async (right, id, stale) => {
        const { refresh } = await right.tokens(id)
        await world.direct.way.refresh(
          world.direct.app,
          refresh ?? new Secret(''),
          world.direct.means,
        )
        return right.renew(id, stale)
      }),
    /17 refreshes reached/,
  ],
  [
    'parallel-refreshes',
    'gives the loser nothing',
    (world) => another(world, atCall(2, refuses, renews)),
    /1 of 16 callers got no token/,
  ],
  [
    'parallel-refreshes',
    'gives one another token',
    (world) =>
      another(
        world,
        atCall(
          2,
          async (right: Vault, id: string, stale?: number) => ({
            ...(await right.renew(id, stale)),
            accessFingerprint: world.fingerprint?.(new Secret('another')) ?? null,
          }),
          renews,
        ),
      ),
    /2 different tokens/,
  ],
  [
    'lock-holder-outlives-ttl',
    'drops what comes late',
    (world) =>
      another(
        world,
        atCall(
          1,
          async (right: Vault, id: string, stale?: number) => {
            await right.renew(id, stale)
            return refuses()
          },
          renews,
        ),
      ),
    /late answer was not kept/,
  ],
  [
    'lock-holder-outlives-ttl',
    'refreshes nothing',
    (world) => another(world, (right, id) => right.get(id)),
    NOT_STRUCK,
  ],
  [
    'clock-skew',
    'refreshes nothing',
    (world) => another(world, (right, id) => right.get(id)),
    /0 refreshes reached the provider/,
  ],
  [
    'clock-skew',
    'takes harm',
    ({ platform }) => ({ platform: says(platform, 'degraded') }),
    /It is degraded/,
  ],
  [
    'receiver-down',
    'tells twice',
    ({ platform }) => ({
      platform: {
        notices: async (since) =>
          (await platform.notices(since)).flatMap((one) => [one, { ...one, id: `${one.id}-2` }]),
      },
    }),
    /2 notices came/,
  ],
  [
    'receiver-down',
    'tries nothing while it is down',
    ({ platform, lab, inbox }) => {
      let isDown = false
      const setDown = (down: boolean) => {
        isDown = down
        inbox.setDown(down)
      }
      return {
        vault: { ...lab?.vault, inbox: { ...inbox, setDown } },
        platform: { notices: async (since) => (isDown ? [] : platform.notices(since)) },
      }
    },
    NOT_STRUCK,
  ],
  [
    'receiver-down',
    'notices no death',
    ({ platform }) => ({ platform: says(platform, 'connected') }),
    /owner is not asked/,
  ],
  [
    'receiver-down',
    'tells nobody',
    ({ platform }) => ({
      platform: {
        notices: async (since) =>
          (await platform.notices(since)).filter(({ kind }) => kind !== 'needs_reauth'),
      },
    }),
    /never came/,
  ],
]

const REFUSED: Readonly<Record<string, Applied>> = {
  'wrong-person': { ok: false, route: 'changed', cause: 'identity_changed' },
  'fewer-scopes': { ok: false, route: 'changed', cause: 'scopes_lost' },
  'owner-denies': { ok: false, route: 'denied', cause: 'by_owner' },
  'code-expired': { ok: false, route: 'code_refused', cause: 'revoked_or_expired' },
  'state-forged': { ok: false, route: 'forged', cause: null },
}
const TAKEN: Applied = { ok: true, route: 'callback', cause: null }
const LATE: Applied = { ok: false, route: 'late', cause: null }

/** Wrong when a callback is applied for the nth time. */
const applies = (nth: number, right: Platform, wrong: Platform['applyCallback']): Wrong => ({
  platform: { applyCallback: atCall(nth, wrong, right.applyCallback) },
})

const CONSENT = Object.entries(REFUSED).flatMap(([fault, refused]): readonly Row<VaultWorld>[] => [
  [fault, 'takes it', ({ platform }) => applies(1, platform, async () => TAKEN), /It was taken/],
  [
    fault,
    'refuses it for something else',
    ({ platform }) =>
      applies(1, platform, async (...args) => {
        await platform.applyCallback(...args)
        return LATE
      }),
    /refused as late, and not as/,
  ],
  [
    fault,
    'refuses it, and keeps what came of it',
    ({ platform, vault, connection, grant }) =>
      applies(1, platform, async (...args) => {
        await platform.applyCallback(...args)
        const { access, refresh } = await grant()
        const fresh = { accessToken: access, refreshToken: refresh, expiresInS: null }
        const more = { scopes: null, identity: null, facts: {} }
        await vault.vault.adopt(connection, { ...fresh, ...more })
        return refused
      }),
    fault === 'code-expired' || fault === 'owner-denies' || fault === 'state-forged'
      ? /kept of it|presented all the same|took the code/
      : /kept of it/,
  ],
])

const CALLBACK: readonly Row<VaultWorld>[] = [
  ...['fewer-scopes', 'owner-denies', 'code-expired', 'state-forged'].map(
    (fault): Row<VaultWorld> => [
      fault,
      'is never called back',
      ({ consent }) => ({
        consent: {
          ...consent,
          visit: atCall(
            1,
            async () => ({ callback: null, pages: 1, screenshot: null }),
            consent.visit,
          ),
        },
      }),
      /Nothing came to the callback/,
    ],
  ),
  [
    'code-expired',
    'refuses it without a question',
    ({ platform }) => applies(1, platform, async () => REFUSED['code-expired'] as Applied),
    /never presented/,
  ],
  [
    'state-forged',
    'presents the code first',
    ({ platform }) =>
      applies(1, platform, async (link, callback) => {
        await platform.applyCallback(link, { ...callback, state: link.state.reveal() })
        return REFUSED['state-forged'] as Applied
      }),
    /presented all the same/,
  ],
  [
    'code-replayed',
    'takes it twice',
    ({ platform }) => applies(2, platform, async () => TAKEN),
    /taken twice/,
  ],
  [
    'code-replayed',
    'refuses it without a question',
    ({ platform }) => applies(2, platform, async () => REFUSED['code-expired'] as Applied),
    NOT_STRUCK,
  ],
  [
    'code-replayed',
    'refuses it for something else',
    ({ platform }) =>
      applies(2, platform, async (...args) => {
        await platform.applyCallback(...args)
        return LATE
      }),
    /refused as late, and not as code_refused/,
  ],
  [
    'callback-twice',
    'takes it twice',
    ({ platform }) => applies(2, platform, async () => TAKEN),
    /taken twice/,
  ],
  [
    'callback-twice',
    'refuses it for something else',
    ({ platform }) => applies(2, platform, async () => LATE),
    /refused as late, and not as used/,
  ],
  ...['code-replayed', 'callback-twice'].map(
    (fault): Row<VaultWorld> => [
      fault,
      'loses what the first one brought',
      ({ platform, direct }) =>
        applies(2, platform, async (...args) => {
          const { refresh } = await platform.tokens()
          const token = refresh ?? new Secret('')
          await direct.way.revoke(direct.app, { kind: 'refresh', token }, direct.means)
          return platform.applyCallback(...args)
        }),
      /first one brought is gone/,
    ],
  ),
]

const OURS = [...TRANSIENT, ...PROVIDER, ...VAULT, ...CONSENT, ...CALLBACK]

describe.concurrent('a platform of our own that is wrong fails the row', () => {
  test.each(OURS)('%s: %s', { timeout: 60_000 }, async (fault, _does, wrong, why) => {
    const world = await openVaultWorld()
    expect(await judgedOf(world, fault, wrong(world))).toEqual({
      verdict: 'fail',
      why: expect.stringMatching(why),
    })
  })

  const ROTATING: readonly Row<VaultWorld>[] = [
    [
      'lost-response-after-rotation',
      'presents the spent token again',
      ({ platform, direct }) => ({
        platform: {
          call: async () => {
            const call = await platform.call()
            if (call.cause !== 'rotated_token_lost') return call
            const { refresh } = await platform.tokens()
            await direct.way.refresh(direct.app, refresh ?? new Secret(''), direct.means)
            return call
          },
        },
      }),
      /presented \d+ times more/,
    ],
    [
      'lost-response-after-rotation',
      'asks nobody',
      ({ platform }) => ({ platform: says(platform, 'degraded') }),
      /says degraded, and not that the owner is needed/,
    ],
    [
      'crash-before-commit',
      'asks nobody',
      ({ platform }) => ({ platform: says(platform, 'degraded') }),
      /says degraded, and not that the owner is needed/,
    ],
    [
      'crash-before-commit',
      'says that the grant was revoked',
      ({ platform }) => ({ platform: blames(platform, { cause: 'revoked_or_expired' }) }),
      /cause is revoked_or_expired, and not that a token was lost/,
    ],
  ]
  test.each(ROTATING)('%s, an app that rotates: %s', async (fault, _does, wrong, why) => {
    const world = await openVaultWorld({}, { client: 'rotating' })
    expect(await judgedOf(world, fault, wrong(world))).toEqual({
      verdict: 'fail',
      why: expect.stringMatching(why),
    })
  })
})

type AccountRow = readonly [
  fault: string,
  does: string,
  options: Parameters<typeof openAccountWorld>[0],
  wrong: (world: AccountWorld) => Wrong,
  why: RegExp,
]

const right = () => ({})

const ACCOUNT: readonly AccountRow[] = [
  ['five-failures', 'mails twice', { switches: { notices: 'twice' } }, right, /2 mails came/],
  ['five-failures', 'never gives up', { switches: { notices: 'never' } }, right, /It is connected/],
  [
    'five-failures',
    'gives up after twenty',
    { switches: { refreshes: 'storm' } },
    right,
    /\d\d refreshes reached the provider, and not 5/,
  ],
  [
    'five-failures',
    'cannot be enabled',
    {},
    ({ platform }) => ({
      platform: { enable: atCall(1, async () => 'not_needed' as const, platform.enable) },
    }),
    /could not be enabled/,
  ],
  [
    'masked-secret-in-put',
    'sends the mask back',
    {},
    ({ platform, settings, instance, http }) => ({
      platform: {
        applyCallback: async (...args) => {
          const applied = await platform.applyCallback(...args)
          const secrets = [settings.userSecret, settings.organizationSecret]
          const [user, organization] = secrets.map((secret) => secret.reveal())
          await http.send({
            method: 'PUT',
            url: `${settings.url}/instances/${instance}`,
            headers: {
              authorization: `User ${user}, Organization ${organization}`,
              'content-type': 'application/json',
            },
            body: JSON.stringify({ configuration: { 'oauth.api.secret': '********' } }),
          })
          return applied
        },
      },
    }),
    /the mask was stored/,
  ],
  [
    'masked-secret-in-put',
    'refreshes nothing',
    {},
    () => ({ platform: { forceRefresh: async () => WELL } }),
    /No refresh reached the provider/,
  ],
  [
    'second-page',
    'sees the first page alone',
    {},
    () => ({ platform: { others: async () => [] } }),
    /0 of 1 others are seen/,
  ],
  [
    'second-page',
    'answers from a cache',
    {},
    ({ instance }) => ({
      platform: {
        others: async () => [
          { id: String(instance - 1), state: 'connected', refreshFingerprint: null },
        ],
      },
    }),
    /0 pages of 2 were asked for/,
  ],
  ['platform-refuses-us', 'answers from a cache', {}, () => ({ platform: CACHED }), NOT_STRUCK],
  [
    'platform-refuses-us',
    'blames the network',
    {},
    ({ platform }) => ({ platform: blames(platform, { cause: 'network' }) }),
    /cause is network, and not our own fault/,
  ],
  [
    'platform-refuses-us',
    'blames the provider',
    {},
    ({ platform }) => ({ platform: blames(platform, { providerRefused: true }) }),
    /provider is blamed/,
  ],
  [
    'token-limit-eviction',
    'never gives up',
    { switches: { notices: 'never' } },
    right,
    /calls still go well|owner is not asked/,
  ],
  ['provider-timeout', 'answers from a cache', {}, () => ({ platform: CACHED }), NOT_STRUCK],
  ...['wrong-person', 'fewer-scopes'].flatMap((fault): readonly AccountRow[] => [
    [
      fault,
      'takes it',
      {},
      ({ platform }) => ({
        reauthorize: async (_instance, consent) => {
          const link = await platform.reconnectLink()
          return platform.applyCallback(link, await consent(link))
        },
      }),
      /It was taken/,
    ],
    [
      fault,
      'refuses it for something else',
      {},
      ({ lab }) => ({
        reauthorize: async (...args) => {
          await lab?.reauthorize?.(...args)
          return LATE
        },
      }),
      /refused as late, and not as/,
    ],
    [
      fault,
      'refuses it, and does not disable',
      {},
      ({ lab, platform }) => ({
        reauthorize: async (...args) => {
          const answer = await lab?.reauthorize?.(...args)
          await platform.enable()
          return answer ?? LATE
        },
      }),
      /Something was kept of it/,
    ],
  ]),
  [
    'callback-twice',
    'takes it twice',
    {},
    ({ platform }) => applies(2, platform, async () => TAKEN),
    /It was taken twice/,
  ],
  [
    'code-expired',
    'takes the code',
    {},
    ({ platform }) => applies(1, platform, async () => TAKEN),
    /It was taken/,
  ],
]

describe.concurrent('an account of Open Connectors that is wrong fails the row', () => {
  test.each(ACCOUNT)('%s: %s', { timeout: 60_000 }, async (fault, _does, options, wrong, why) => {
    const world = await openAccountWorld(options)
    expect(await judgedOf(world, fault, wrong(world))).toEqual({
      verdict: 'fail',
      why: expect.stringMatching(why),
    })
  })

  test('second-page: with no other instance there is none, and nothing has passed', async () => {
    const world = await openAccountWorld()
    const { settings, instance, http } = world
    const [user, organization] = [settings.userSecret, settings.organizationSecret].map((one) =>
      one.reveal(),
    )
    const headers = { authorization: `User ${user}, Organization ${organization}` }
    const url = `${settings.url}/instances/${instance - 1}`
    await http.send({ method: 'DELETE', url, headers })
    expect(await judgedOf(world, 'second-page', {})).toEqual({
      verdict: 'skipped',
      why: expect.stringMatching(/no other instance/),
    })
  })
})

test('each fault has a platform that fails it', () => {
  const faults = [...OURS, ...ACCOUNT].map(([fault]) => fault)
  expect(INJECTION_NAMES.filter((name) => !faults.includes(name))).toEqual([])
})
