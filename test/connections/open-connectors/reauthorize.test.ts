import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { orThrow } from '../../../src/connections/open-connectors/client.ts'
import { callbackIn } from '../../../src/connections/open-connectors/consent.ts'
import type { Instance } from '../../../src/connections/open-connectors/instance.ts'
import {
  REAUTHORIZE_STEPS,
  type ReauthorizeMeans,
  type ReauthorizeWish,
  reauthorizeInstance,
} from '../../../src/connections/open-connectors/reauthorize.ts'
import type { OpenConnectorsSwitches } from '../../../src/connections/open-connectors/settings.ts'
import { connectionTenant } from '../../../src/connections/vault-parts.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { Secret } from '../../../src/core/secret.ts'
import { tempHome } from '../../support/temp-home.ts'
import { openVault, salesforceTenant } from '../world.ts'
import { CALLBACK, type Estate, startEstate } from './estate.ts'

let estate: Estate
let instance: Instance
let steps: [string, string][]
beforeEach(async () => {
  estate = await startEstate()
  instance = await estate.makeInstance()
  steps = []
})
afterEach(() => estate[Symbol.asyncDispose]())

const reauthorize = (
  wish: Partial<ReauthorizeWish> = {},
  switches: Partial<OpenConnectorsSwitches> = {},
  more: Partial<ReauthorizeMeans> = {},
) => {
  const client = estate.client(switches)
  const { http, fingerprint } = estate
  const means = { http, client, fingerprint, clock: systemClock, ...more }
  const full: ReauthorizeWish = {
    instance: instance.id,
    revoke: 'refresh',
    accept: [],
    consent: async ({ url }) => callbackIn((await estate.consentAt(url)).href),
    step: (name, text) => void steps.push([name, text]),
    ...wish,
  }
  return reauthorizeInstance(full, means)
}

/** Makes an instance of another element, which has the same app, from a refresh token. */
const makeOfService = async (refreshToken: string) => {
  const { userSecret, organizationSecret } = estate.account.credentials
  const { clientId, clientSecret } = estate.org.credentials.connected
  const answer = await fetch(`${estate.account.apiUrl}/instances`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `User ${userSecret}, Organization ${organizationSecret}`,
    },
    body: JSON.stringify({
      ...{ name: 'Service', element: { key: 'sfdcservicecloud' } },
      externalAuthentication: 'initial',
      configuration: {
        ...{ 'oauth.api.key': clientId, 'oauth.api.secret': clientSecret },
        ...{ 'oauth.user.refresh_token': refreshToken, 'oauth.callback.url': CALLBACK },
      },
    }),
  })
  const { token } = (await answer.json()) as { token: string }
  const called = await fetch(`${estate.account.apiUrl}/hubs/helpdesk/accounts?pageSize=1`, {
    headers: { authorization: `User ${userSecret}, Element ${token}` },
  })
  expect([answer.status, called.status]).toEqual([200, 200])
}
const works = async (id = instance.id) => {
  const client = estate.client()
  const now = orThrow(await client.get(id), 'show it')
  return (await client.call(now, '/hubs/crm/accounts?pageSize=1')).ok
}
const stepTexts = (name: string) => steps.filter(([step]) => step === name).map(([, text]) => text)
const stepText = (name: string) => steps.find(([step]) => step === name)?.[1] ?? ''

describe('the whole path of the article, by API', () => {
  it('revoked, dead, consented, PATCHed, alive: with the same id and element token', async () => {
    const tenantsOf = () => [connectionTenant(salesforceTenant(estate.org))]
    const done = await reauthorize({}, {}, { tenantsOf })
    expect(done).toMatchObject({
      instance: instance.id,
      route: 'PATCH',
      sameIdentity: true,
      idKept: true,
      elementTokenKept: true,
      refreshTokenChanged: true,
      wasDisabled: false,
    })
    expect(steps.map(([name]) => name)).toEqual(
      REAUTHORIZE_STEPS.filter((name) => name !== 'enable'),
    )
    expect(stepText('dead')).toMatch(/the provider refuses/)
    expect(await works()).toBe(true)
  })

  it('the grants of one person and app are counted over all elements', async () => {
    const { userId } = estate.org.credentials.admin
    const appId = estate.org.credentials.connected.clientId
    await makeOfService(estate.org.addGrant({ userId, appId }).refreshToken)
    expect((await reauthorize({ revoke: null })).budget).toMatchObject({ live: 2, max: 5 })
  })

  it('a page with status 200 shows neither death nor life', async () => {
    estate.account.setFaults([{ kind: 'html_200', on: 'hub' }])
    await expect(reauthorize({ revoke: null })).rejects.toMatchObject({
      code: 'answer_invalid',
      message: expect.stringMatching(
        /has new tokens, and whether it works is not known: .* 200: no JSON/,
      ),
    })
    expect(stepText('dead')).toMatch(/^not known/)
    expect(stepText('alive')).toBe('')
  })

  it('an access token that is revoked heals by itself, and that is said', async () => {
    await reauthorize({ revoke: 'access' })
    expect(stepText('dead')).toMatch(/refreshed by itself/)
  })

  describe('the former grant of an instance that lives', () => {
    const limited: ReauthorizeWish['consent'] = async ({ url }) =>
      callbackIn((await estate.consentAt(url, { as: 'limited' })).href)
    const former = () => estate.account.truth.instance(instance.id)?.refreshToken ?? ''
    const isAlive = async (refreshToken: string) => {
      const all = estate.org.truth.grants()
      return [...all].some((one) => one.refreshToken === refreshToken && one.alive)
    }
    const warnings: string[] = []
    /** What is said of the budget is another matter. */
    const warn = (text: string) => void (/former/.test(text) && warnings.push(text))
    beforeEach(() => void warnings.splice(0))

    test.each<[string, Partial<ReauthorizeWish>]>([
      ['of the same person', {}],
      ['of another, who is accepted', { consent: limited, accept: ['another_person'] }],
    ])('is revoked once there is a new one, %s', async (_title, how) => {
      const token = former()
      await reauthorize({ revoke: null, warn, ...how })
      expect(await isAlive(token)).toBe(false)
      expect(await isAlive(former())).toBe(true)
      expect(await works()).toBe(true)
      const said = steps.filter(([name]) => name === 'revoke').map(([, text]) => text)
      expect(said).toEqual([
        'nothing: the grant is taken as it is',
        `the former refresh token, at ${estate.org.url}/services/oauth2/revoke: 200`,
      ])
      expect(warnings).toEqual([])
    })

    it('is left where the new one is refused, which is said; that one ends when the right person is back', async () => {
      const [right, code] = [former(), 'reconnect_refused']
      await expect(reauthorize({ revoke: null, consent: limited })).rejects.toMatchObject({
        ...{
          code,
          message: expect.stringMatching(/former grant may live on at the provider: end/),
        },
      })
      const wrong = former()
      expect([await isAlive(right), await isAlive(wrong)]).toEqual([true, true])
      const { userId: user } = estate.org.credentials.admin
      const identity = { org: estate.org.organizationId, user, name: null }
      await reauthorize({ revoke: null, identity })
      expect([await isAlive(wrong), await isAlive(former())]).toEqual([false, true])
    })

    it('is said to live where the provider does not revoke it', async () => {
      const token = former()
      estate.org.setFaults([{ kind: 'unavailable_503', on: 'revoke' }])
      await reauthorize({ revoke: null, warn })
      expect(await isAlive(token)).toBe(true)
      expect(warnings).toEqual([expect.stringMatching(/former grant may live on at the provider/)])
    })

    it('is left alone where a connection of ours lives on it', async () => {
      using home = tempHome()
      const tenant = salesforceTenant(estate.org)
      await using vault = await openVault({ home: home.path, tenants: [tenant] })
      const token = former()
      const { userId: user } = estate.org.credentials.admin
      await vault.vault.create({
        ...{ tenant: tenant.name, owner: 'acme', accessToken: null },
        refreshToken: new Secret(token),
        identity: { org: estate.org.organizationId, user, name: null },
      })
      const { fingerprint, connections } = vault.store
      const tenantsOf = () => [connectionTenant(tenant)]
      await reauthorize({ revoke: null, warn }, {}, { fingerprint, connections, tenantsOf })
      expect(await isAlive(token)).toBe(true)
      expect(steps.filter(([name]) => name === 'revoke').at(-1)?.[1]).toMatch(/lives on it/)
    })

    test.each<[string, { readonly state?: string; readonly isOfNobody?: boolean }]>([
      ['that waits for its owner', { state: 'reconnect_needed' }],
      ['whose owner is on the way', { state: 'reconnecting' }],
      ['of nobody known', { isOfNobody: true }],
    ])('is left alone where a connection of ours holds it %s', async (_title, how) => {
      using home = tempHome()
      const tenant = salesforceTenant(estate.org)
      await using vault = await openVault({ home: home.path, tenants: [tenant] })
      const token = former()
      const { userId: user } = estate.org.credentials.admin
      const { fingerprint, connections } = vault.store
      const { id } = await vault.vault.create({
        ...{ tenant: tenant.name, owner: 'acme', accessToken: null },
        refreshToken: new Secret(token),
        identity: how.isOfNobody ? null : { org: estate.org.organizationId, user, name: null },
      })
      const { state } = how
      if (state !== undefined) await connections.update(id, () => ({ set: { state } }))
      await reauthorize({ revoke: null, warn }, {}, { fingerprint, connections })
      expect(await isAlive(token)).toBe(true)
      expect(stepTexts('revoke').at(-1)).toMatch(/lives on it/)
    })

    /** Another instance that was given the same grant. */
    const makeTwin = async () => {
      const twin = await estate.makeInstance('Twin')
      const { userSecret, organizationSecret } = estate.account.credentials
      const answer = await fetch(`${estate.account.apiUrl}/instances/${twin.id}`, {
        method: 'PATCH',
        headers: {
          'content-type': 'application/json',
          authorization: `User ${userSecret}, Organization ${organizationSecret}`,
        },
        body: JSON.stringify({ configuration: { 'oauth.user.refresh_token': former() } }),
      })
      expect(answer.status).toBe(200)
      return orThrow(await estate.client().get(twin.id), 'show the twin')
    }

    it('is left alone where a disabled instance holds it', async () => {
      orThrow(await estate.client().disable(await makeTwin()), 'disable it')
      const token = former()
      await reauthorize({ revoke: null, warn })
      expect(await isAlive(token)).toBe(true)
      expect(stepTexts('revoke').at(-1)).toMatch(/lives on it/)
    })

    it('is not revoked first, where another instance lives on it', async () => {
      await makeTwin()
      const token = former()
      const wish = { revoke: 'refresh', warn } as const
      await expect(reauthorize(wish)).rejects.toMatchObject({
        ...{ code: 'usage', message: expect.stringMatching(/another instance.*without --revoke/i) },
      })
      expect(await isAlive(token)).toBe(true)
      expect(await works()).toBe(true)
    })

    /** A client whose list shows no tokens of others, so that each of them is asked. */
    const shy = (refuses: number | null, more = 0): Partial<ReauthorizeMeans> => {
      const client = estate.client()
      const bare = (one: Instance) => ({ ...one, configuration: new Map() })
      return {
        client: {
          ...client,
          async *list(signal) {
            for (let nth = 0; nth < more; nth += 1) yield { ...bare(instance), id: 1e9 + nth }
            for await (const one of client.list(signal)) yield bare(one)
          },
          async get(id, signal) {
            const answer = await client.get(id < 1e9 ? id : instance.id, signal)
            if (id >= 1e9 && answer.ok) return { ...answer, value: bare(answer.value) }
            if (id !== refuses) return answer
            const failure = { status: 503, message: '', requestId: null }
            return { ok: false, failure: { ...failure, providerMessage: null } } as never
          },
        },
      }
    }

    it.each([
      ['shows its tokens', {}],
      ['does not show its tokens', null],
    ])(
      'is left alone where an instance of another element holds it, and the list %s',
      async (_title, more) => {
        const token = former()
        await makeOfService(token)
        await reauthorize({ revoke: null, warn }, {}, more ?? shy(null))
        expect(await isAlive(token)).toBe(true)
        expect(stepTexts('revoke').at(-1)).toMatch(/lives on it/)
      },
    )

    it('is left alone where the list does not show the tokens of the instance that holds it', async () => {
      await makeTwin()
      const token = former()
      await reauthorize({ revoke: null, warn }, {}, shy(null))
      expect(await isAlive(token)).toBe(true)
      expect(stepTexts('revoke').at(-1)).toMatch(/lives on it/)
    })

    it.each(['does not answer', 'is one of too many'])(
      'is not revoked, and said to live, where an instance %s that may hold it',
      async (how) => {
        const { id } = await makeTwin()
        const token = former()
        await reauthorize(
          { revoke: null, warn },
          {},
          how === 'does not answer' ? shy(id) : shy(null, 501),
        )
        expect(await isAlive(token)).toBe(true)
        expect(warnings).toEqual([expect.stringMatching(/former grant may live on/)])
      },
    )
  })

  it('an instance that five failed refreshes disabled is enabled first', async () => {
    const client = estate.client()
    await reauthorize().catch(() => {})
    await estate.http.send({
      method: 'POST',
      url: `${estate.org.url}/services/oauth2/revoke`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `token=${encodeURIComponent(estate.account.truth.instance(instance.id)?.refreshToken ?? '')}`,
    })
    await estate.account.runNight()
    // The access token is dead with its refresh token: a call makes the platform try, five times.
    await client.call(instance, '/hubs/crm/accounts?pageSize=1')
    await expect
      .poll(() => estate.account.truth.instance(instance.id)?.disabled, { timeout: 5_000 })
      .toBe(true)
    steps = []
    const done = await reauthorize({ revoke: null })
    expect(done.wasDisabled).toBe(true)
    expect(stepText('enable')).toMatch(/PUT \/instances\/enabled: 200/)
    expect(await works()).toBe(true)
  })

  it('one that is disabled while its owner is away is enabled before the code is given', async () => {
    const consent: ReauthorizeWish['consent'] = async ({ url }) => {
      const isDisabled = () => estate.account.truth.instance(instance.id)?.disabled
      await expect.poll(isDisabled, { timeout: 30_000 }).toBe(true)
      return callbackIn((await estate.consentAt(url)).href)
    }
    expect(await reauthorize({ consent })).toMatchObject({ wasDisabled: true, route: 'PATCH' })
    const changes = estate.trace.filter(({ method }) => method === 'PUT' || method === 'PATCH')
    expect(changes.map(({ method, url }) => `${method} ${new URL(url).pathname}`)).toEqual([
      ...['PUT /elements/api-v2/instances/enabled', 'PATCH /elements/api-v2/instances'],
    ])
    expect(await works()).toBe(true)
  })

  it('PATCH is refused: PUT with a fresh code, and the masked secret put in again', async () => {
    estate.account.setSwitches({ secretsInAnswers: 'masked' })
    estate.account.setFaults([{ kind: 'error_500_before_effect', on: 'patch', nth: 1 }])
    let asked = 0
    const codes = new Set<string>()
    const done = await reauthorize({
      consent: async ({ url }) => {
        asked += 1
        const callback = callbackIn((await estate.consentAt(url)).href)
        codes.add(callback.code?.reveal() ?? '')
        return callback
      },
    })
    expect(done.route).toBe('PUT')
    expect([asked, codes.size]).toEqual([2, 2])
    const { clientSecret } = estate.account.truth.instance(instance.id) ?? {}
    expect(clientSecret).toBe(estate.org.credentials.connected.clientSecret)
  })

  it('a 200 that changed nothing is not taken for a new grant', async () => {
    estate.account.setFaults([{ kind: 'ok_without_effect', on: 'patch', nth: 1 }])
    expect((await reauthorize()).route).toBe('PUT')
  }, 20_000)

  it('an answer that is lost is not taken for a failure', async () => {
    estate.account.setFaults([{ kind: 'reset_after_effect', on: 'patch', nth: 1 }])
    expect((await reauthorize()).route).toBe('PATCH')
  })

  test.each<[string, Parameters<Estate['account']['setSwitches']>[0], object]>([
    ['the id is another', { idOnReauth: 'new' }, { idKept: false }],
    ['the element token is another', { elementTokenOnReauth: 'new' }, { elementTokenKept: false }],
    ['reads lag', { readLagMs: 400_000 }, { route: 'PATCH' }],
    ['a failed PATCH blanks the tokens', { failedReauth: 'blanked' }, { route: 'PATCH' }],
    ['the state is not in the URL', { stateInOauthUrl: 'dropped' }, { route: 'PATCH' }],
    ['PATCH enables', { patchClearsDisabled: true }, { route: 'PATCH' }],
    ['failed refreshes are 502', { failedRefresh: '502' }, { route: 'PATCH' }],
  ])('what no page says: %s', async (_title, switches, expected) => {
    estate.account.setSwitches(switches)
    const done = await reauthorize()
    expect(done).toMatchObject(expected)
    expect(await works(done.instance)).toBe(true)
  })

  test.each<[string, Partial<OpenConnectorsSwitches>, string]>([
    ['PUT alone', { apply: 'put' }, 'PUT'],
    ['PATCH by the id', { patchBy: 'id' }, 'PATCH'],
    ['the short header', { elementHeader: 'user-element' }, 'PATCH'],
  ])('our switches: %s', async (_title, switches, route) => {
    expect((await reauthorize({}, switches)).route).toBe(route)
  })
})

describe('what is refused', () => {
  const refused = (wish: Partial<ReauthorizeWish>, switches = {}) =>
    reauthorize(wish, switches).then(
      () => expect.unreachable(),
      (error: { code: string; message: string }) => error,
    )

  test.each<[string, (url: string) => Promise<string>]>([
    ['a denial', async (url) => (await estate.consentAt(url, { deny: true })).href],
    [
      'a forged state',
      async (url) => (await estate.consentAt(url)).href.replace(/state=[^&]+/, 'state=forged'),
    ],
    ['no state', async (url) => (await estate.consentAt(url)).href.replace(/&?state=[^&]+/, '')],
    ['no code', async () => 'http://127.0.0.1:1717/callback'],
  ])('%s: nothing is changed', async (_title, visit) => {
    const before = estate.account.truth.instance(instance.id)
    const error = await refused({
      revoke: null,
      consent: async ({ url }) => callbackIn(await visit(url)),
    })
    expect(error.code).toBe('reconnect_refused')
    expect(estate.account.truth.instance(instance.id)).toEqual(before)
  })

  it('another person: the instance is disabled, and the sentence says how to accept it', async () => {
    const consent: ReauthorizeWish['consent'] = async ({ url }) =>
      callbackIn((await estate.consentAt(url, { as: 'limited' })).href)
    const error = await refused({ consent })
    expect(error).toMatchObject({
      code: 'reconnect_refused',
      message: expect.stringMatching(
        /another person.*It was disabled.*--accept-change=another_person/,
      ),
    })
    expect(estate.account.truth.instance(instance.id)?.disabled).toBe(true)
    const { userId: user } = estate.org.credentials.admin
    const identity = { org: estate.org.organizationId, user, name: null }
    expect(error.message).toContain(`--identity=${identity.org}/${user}`)
    // The instance shows the wrong person now: compared with that, he would pass.
    expect((await refused({ revoke: null, consent, identity })).code).toBe('reconnect_refused')
    const accept = ['another_person'] as const
    const done = await reauthorize({ revoke: null, consent, identity, accept })
    expect(done.changes).toEqual(['another_person'])
  })

  it('a code that was used before: not applied, by either way', async () => {
    let first: ReturnType<typeof callbackIn> | undefined
    const used = await estate.consentAt(
      orThrow(await estate.client().consentUrl('sfdc', new Secret('x')), 'give a URL'),
    )
    const code = new Secret(used.searchParams.get('code') ?? '')
    orThrow(await estate.client().create({ element: 'sfdc', name: 'x', tags: [], code }), 'use it')
    const error = await refused({
      consent: async ({ state }) => {
        first = { code, state: state.reveal(), error: null }
        return first
      },
    })
    expect(error.code).toBe('reconnect_failed')
  })

  it('wrong platform secrets: said before anything is revoked', async () => {
    const before = estate.account.truth.instance(instance.id)
    const client = estate.client()
    estate.account.resetUserSecret()
    const { http, fingerprint } = estate
    const wish: ReauthorizeWish = {
      ...{ instance: instance.id, revoke: 'refresh' as const, accept: [] },
      consent: () => expect.unreachable(),
      step: () => {},
    }
    const means = { http, client, fingerprint, clock: systemClock }
    await expect(reauthorizeInstance(wish, means)).rejects.toMatchObject({
      code: 'not_authenticated',
      message: expect.stringContaining('userSecret'),
    })
    expect(estate.account.truth.instance(instance.id)).toEqual(before)
  })

  it('a masked secret that we do not hold is not sent back', async () => {
    estate.account.setSwitches({ secretsInAnswers: 'masked' })
    const client = estate.client({ apply: 'put' })
    const { elements } = client.settings
    const without = { ...elements, sfdc: undefined } as unknown as typeof elements
    Object.assign(client.settings, { elements: without })
    const now = orThrow(await client.get(instance.id), 'show it')
    await expect(async () => client.put(now, new Secret('c'))).rejects.toMatchObject({
      code: 'secret_masked',
    })
    expect(estate.account.counters().get('put') ?? 0).toBe(0)
  })

  it('an account that cannot be reached', async () => {
    await estate.account.close()
    expect((await refused({})).code).toMatch(/^(host_unreachable|http_reset)$/)
  })

  it('an unknown instance', async () => {
    expect((await refused({ instance: 99 })).code).toBe('instance_unknown')
  })
})
