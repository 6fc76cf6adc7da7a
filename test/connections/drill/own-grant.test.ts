import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { emptyMemory } from '../../../src/connections/drill/context.ts'
import { createEvidence } from '../../../src/connections/drill/evidence-file.ts'
import { openEvidenceKey } from '../../../src/connections/drill/evidence-key.ts'
import type { DrillListener } from '../../../src/connections/drill/run.ts'
import type { Failure } from '../../../src/connections/open-connectors/answer.ts'
import {
  createOpenConnectorsClient,
  type OpenConnectorsClient,
} from '../../../src/connections/open-connectors/client.ts'
import type { Instance } from '../../../src/connections/open-connectors/instance.ts'
import {
  type OpenConnectorsPlatformOptions,
  openConnectorsPlatform,
} from '../../../src/connections/open-connectors/platform.ts'
import { systemClock } from '../../../src/core/clock.ts'
import type { Secret } from '../../../src/core/secret.ts'
import type { Identity } from '../../../src/providers/connection-way.ts'
import type { TenantConfig } from '../../../src/providers/provider.ts'
import { openVault } from '../world.ts'
import {
  type AccountWorld,
  drill,
  fingerprint,
  openAccountWorld,
  openVaultWorld,
  resume,
  story,
  type VaultWorld,
} from './world.ts'

const refused = (why: RegExp) => ({ code: 'drill_refused', message: expect.stringMatching(why) })

describe('a connection of our vault whose grant another one lives on is not drilled', () => {
  interface Twin {
    readonly tenant?: string
    readonly tokens?: { readonly access: Secret | null; readonly refresh: Secret | null }
    readonly identity?: Identity
  }
  const makeTwin = async ({ vault, platform }: VaultWorld, twin: Twin) => {
    const { access, refresh } = twin.tokens ?? (await platform.tokens())
    const { tenant = 'org', identity = null } = twin
    const wish = { tenant, identity, owner: 'twin', accessToken: access, refreshToken: refresh }
    return (await vault.vault.create(wish)).id
  }
  const lives = async ({ vault }: VaultWorld, id: string) =>
    (await vault.health.check(id)).connection.state

  test.each([
    ['of the same tenant', 'org'],
    ['of another tenant of the same app', 'same-app'],
  ])('%s', async (_title, tenant) => {
    const world = await openVaultWorld()
    const twin = await makeTwin(world, { tenant })
    await expect(drill(world, { depth: 'grant', platform: world.platform })).rejects.toMatchObject(
      refused(new RegExp(`is shared with ${twin}, which would die with it.* Nothing was revoked`)),
    )
    expect(await lives(world, twin)).toBe('connected')
  })

  test('not even where the other one came after a drill that died before it revoked', async () => {
    const world = await openVaultWorld()
    const signer = openEvidenceKey(join(world.folder, 'drill-key'))
    const evidence = createEvidence(join(world.folder, 'died'), { signer, clock: systemClock })
    evidence.append({ kind: 'drill', inject: null })
    const resumed = {
      memory: emptyMemory(systemClock.now()),
      secrets: { old: await world.platform.tokens(), link: null, callback: null, codes: [] },
    }
    const twin = await makeTwin(world, {})
    const wish = { depth: 'grant', platform: world.platform, more: { evidence, resumed } } as const
    await expect(drill(world, wish)).rejects.toMatchObject(
      refused(new RegExp(`does not go on\\. .*shared with ${twin}, .*Nothing was revoked`)),
    )
    expect(await lives(world, twin)).toBe('connected')
  })

  test('unless it is dead already: a drill that is gone on with brings its own back', async () => {
    const world = await openVaultWorld()
    const { platform } = world
    const stop = new AbortController()
    const listen: DrillListener = ({ kind, step }) => {
      if (kind === 'intent' && step === 6) stop.abort()
    }
    const wish = { depth: 'grant', platform, signal: stop.signal, more: { listen } } as const
    await expect(drill(world, wish)).rejects.toMatchObject({ code: 'stopped_by_signal' })
    await makeTwin(world, {})
    const resumed = await resume(world, { platform })
    expect(resumed.verdict, story(resumed)).toBe('passed')
  })

  test('of the same user, where the provider ends all grants of a user at once', async () => {
    const world = await openVaultWorld({}, { grantsApart: false })
    const { vault, connection, user, org } = world
    const identity = { org: org.organizationId, user: user.id, name: null }
    const twin = await makeTwin(world, {
      tenant: 'same-app',
      tokens: await world.grant(),
      identity,
    })
    await vault.parts.store.update(connection, () => ({
      set: { identity: JSON.stringify(identity) },
    }))
    expect(await world.platform.sharing()).toEqual([twin])
    await vault.vault.disconnect(twin)
    expect(await world.platform.sharing()).toEqual([])
  })

  test('step 6 looks at those of all tenants of the app, and of no other app', async () => {
    const world = await openVaultWorld()
    const of = async (tenant: string) => makeTwin(world, { tenant, tokens: await world.grant() })
    const [same, another] = [await of('same-app'), await of('another-app')]
    const ids = (await world.platform.others()).map(({ id }) => id)
    expect([ids.length, ids.includes(same), ids.includes(another)]).toEqual([2, true, false])
  })
})

describe('an instance whose grant somebody else lives on, or may, is not drilled', () => {
  /** Makes an instance from the refresh token of the one that is to be drilled. */
  const makeTwin = async ({ account, settings, instance }: AccountWorld, element: string) => {
    const { apiKey = '', apiSecret } = settings.elements.sfdc ?? {}
    const { userSecret, organizationSecret } = account.credentials
    const answer = await fetch(`${account.apiUrl}/instances`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `User ${userSecret}, Organization ${organizationSecret}`,
      },
      body: JSON.stringify({
        ...{ name: 'Twin', element: { key: element }, externalAuthentication: 'initial' },
        configuration: {
          ...{ 'oauth.api.key': apiKey, 'oauth.api.secret': apiSecret?.reveal() },
          'oauth.user.refresh_token': account.truth.instance(instance)?.refreshToken,
          'oauth.callback.url': settings.callbackUrl,
        },
      }),
    })
    return Number(((await answer.json()) as { id: string }).id)
  }
  const platformOf = (
    { settings, http, instance }: AccountWorld,
    change: (client: OpenConnectorsClient) => Partial<OpenConnectorsClient>,
    more: Partial<OpenConnectorsPlatformOptions> = {},
  ) => {
    const client = createOpenConnectorsClient(settings, { http, clock: systemClock })
    const changed = { ...client, ...change(client) }
    const means = { client: changed, instance, fingerprint, http, clock: systemClock }
    return openConnectorsPlatform({ ...means, ...more })
  }
  /** Lists instances without their tokens, so that each is read. */
  const bare = (one: Instance): Instance => ({ ...one, configuration: new Map() })
  const bareList = (client: OpenConnectorsClient, more = 0): Partial<OpenConnectorsClient> => ({
    async *list(signal) {
      for await (const one of client.list(signal)) {
        for (let nth = 0; nth < more; nth += 1) yield bare(one)
        yield bare(one)
      }
    },
  })
  const failure: Failure = {
    ...{ whose: 'platform', status: 503, message: 'busy', providerMessage: null },
    ...{ requestId: 'abc', retryAfterMs: undefined },
  }

  test.each<
    [
      string,
      string,
      (client: OpenConnectorsClient, twin: number) => Partial<OpenConnectorsClient>,
      RegExp,
    ]
  >([
    [
      'of the same element',
      'sfdc',
      () => ({}),
      /shared with instance \d+, which would die with it/,
    ],
    [
      'of another element',
      'sfdcservicecloud',
      () => ({}),
      /shared with instance \d+, which would die with it/,
    ],
    [
      'of another element, whose tokens the list does not show',
      'sfdcservicecloud',
      (client) => bareList(client),
      /shared with instance \d+, which would die with it/,
    ],
    [
      'that cannot be read',
      'sfdc',
      (client, twin) => ({
        ...bareList(client),
        get: async (id, signal) => (id === twin ? { ok: false, failure } : client.get(id, signal)),
      }),
      /would not show instance \d+: 503, busy \(request abc\)\. Another instance may live on the same grant: drill when all/,
    ],
    [
      'that is one of too many',
      'sfdc',
      (client) => bareList(client, 501),
      /more than 500 instances .* may live on the same grant/,
    ],
  ])('another instance %s', async (_title, element, change, why) => {
    const world = await openAccountWorld()
    const twin = await makeTwin(world, element)
    const { refresh } = await world.platform.tokens()
    const platform = platformOf(world, (client) => change(client, twin))
    await expect(drill(world, { depth: 'grant', platform })).rejects.toMatchObject(refused(why))
    const alive = [...world.org.truth.grants()].filter((grant) => grant.alive)
    expect(alive.map(({ refreshToken }) => refreshToken)).toContain(refresh?.reveal())
  })

  test.each(['refresh', 'access'] as const)(
    'a connection of our own vault, by its %s token',
    async (kind) => {
      const world = await openAccountWorld()
      const { url, ...app } = world.app
      const base = { name: 'org', provider: 'salesforce', url, login: {}, options: {} } as const
      const tenants: readonly TenantConfig[] = [{ ...base, app }]
      const ours = await openVault({ home: join(world.folder, 'home'), tenants })
      onTestFinished(() => ours[Symbol.asyncDispose]())
      const { access, refresh } = await world.platform.tokens()
      const tokens = {
        accessToken: kind === 'access' ? access : null,
        refreshToken: kind === 'refresh' ? refresh : null,
      }
      await ours.vault.create({ tenant: 'org', owner: 'twin', ...tokens })
      const { fingerprint, connections } = ours.store
      const platform = platformOf(world, () => ({}), { fingerprint, connections })
      await expect(
        drill({ ...world, fingerprint }, { depth: 'grant', platform }),
      ).rejects.toMatchObject(refused(/is shared with a connection of our own vault, which would/))
    },
  )
})
