import { afterAll, beforeAll, beforeEach, describe, expect, it, test } from 'vitest'
import type { Answer } from '../../../src/connections/open-connectors/answer.ts'
import {
  createOpenConnectorsClient,
  type OpenConnectorsClient,
  orThrow,
} from '../../../src/connections/open-connectors/client.ts'
import { diagnose } from '../../../src/connections/open-connectors/diagnose.ts'
import {
  type Instance,
  identityOf,
  tokensOf,
} from '../../../src/connections/open-connectors/instance.ts'
import { revokeAtProvider } from '../../../src/connections/open-connectors/revoke-at-provider.ts'
import type { OpenConnectorsSwitches } from '../../../src/connections/open-connectors/settings.ts'
import { traceLine } from '../../../src/connections/open-connectors/trace.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { isRescindError } from '../../../src/core/errors.ts'
import type { Http, HttpRequest } from '../../../src/core/http.ts'
import { Secret } from '../../../src/core/secret.ts'
import { type Estate, startEstate } from './estate.ts'

const PROBE = '/hubs/crm/accounts?pageSize=1'

let estate: Estate
let instance: Instance
beforeAll(async () => {
  estate = await startEstate()
})
afterAll(() => estate[Symbol.asyncDispose]())
beforeEach(async () => {
  estate.account.setFaults([])
  instance = await estate.makeInstance()
})

const read = async () => orThrow(await estate.client().get(instance.id), 'show it')

describe('POST and GET /instances', () => {
  it('makes an instance by a code, which works', async () => {
    expect(instance.elementKey).toBe('sfdc')
    expect(instance.tags).toEqual(['drill'])
    expect(identityOf(instance)?.user).toBe(estate.org.credentials.admin.userId)
    expect((await estate.client().call(instance, PROBE)).ok).toBe(true)
  })

  it('seeds one from a refresh token, without a login: the first call refreshes', async () => {
    const refreshToken = tokensOf(instance).refresh ?? expect.unreachable()
    const wish = { element: 'sfdc', name: 'Seeded', tags: [], refreshToken }
    const seeded = orThrow(await estate.client().create(wish), 'seed it')
    expect((await estate.client().call(seeded, PROBE)).ok).toBe(true)
    const now = orThrow(await estate.client().get(seeded.id), 'show it')
    expect(tokensOf(now).access).not.toBeNull()
  })

  it('reads every page: none of a second page is missed', async () => {
    estate.account.setSwitches({ pageSize: 2 })
    await estate.makeInstance('Second')
    await estate.makeInstance('Third')
    const there = [...estate.account.truth.instances()].map(({ id }) => id)
    const listed: number[] = []
    for await (const { id } of estate.client().list()) listed.push(id)
    expect(listed).toEqual(there)
    expect(listed.length).toBeGreaterThan(2)
    estate.account.setSwitches({ pageSize: 100 })
  })

  it('deletes', async () => {
    orThrow(await estate.client().delete(instance.id), 'delete it')
    const gone = await estate.client().get(instance.id)
    expect(() => orThrow(gone, 'show it')).toThrow(
      expect.objectContaining({ code: 'instance_unknown' }),
    )
  })
})

describe('a 401 is told apart', () => {
  const refusal = async (client = estate.client(), at = instance) => {
    const answer = await client.call(at, PROBE)
    return answer.ok ? expect.unreachable() : diagnose(client, at, answer.failure)
  }
  const kill = () =>
    revokeAtProvider(instance, 'refresh', estate.settings(), {
      ...{ http: estate.http, clock: systemClock },
    })

  test.each(['401', '401-bare', '502'] as const)('a dead grant, answered as %s', async (how) => {
    estate.account.setSwitches({ failedRefresh: how })
    await kill()
    const { cause, providerRefused } = await refusal()
    expect(cause.code).toBe('revoked_or_expired')
    expect(providerRefused).toBe(true)
    estate.account.setSwitches({ failedRefresh: '401' })
  })

  it('a wrong user secret is ours, and nobody is asked to reconnect', async () => {
    const wrong = estate.client()
    estate.account.resetUserSecret()
    const { cause } = await refusal(wrong)
    expect(cause).toMatchObject({ code: 'our_client_refused', confidence: 'certain' })
    await expect(read()).resolves.toBeDefined()
  })

  it('an element token that is another one now is ours', async () => {
    const stale = { ...instance, token: new Secret('not-its-token') }
    expect((await refusal(estate.client(), stale)).cause.code).toBe('our_client_refused')
  })

  test.each([400, 401, 403] as const)('a disabled instance, answered with %i', async (status) => {
    estate.account.setSwitches({ disabledCall: status })
    orThrow(await estate.client().disable(instance), 'disable it')
    const { cause } = await refusal()
    expect(cause.text).toMatch(/disabled the instance/)
    orThrow(await estate.client().enable(instance), 'enable it')
    expect((await estate.client().call(instance, PROBE)).ok).toBe(true)
  })

  test.each([
    ['unauthorized_401', 'revoked_or_expired', 'possible'],
    ['too_many_429', 'rate_limited', 'likely'],
    ['bad_gateway_502', 'provider_down', 'likely'],
    ['unavailable_503', 'provider_down', 'likely'],
  ] as const)('the fault %s', async (kind, code, confidence) => {
    estate.account.setFaults([{ kind, on: 'hub', nth: 1 }])
    expect((await refusal()).cause).toMatchObject({ code, confidence })
  })
})

describe('what a platform may answer wrongly', () => {
  test.each([
    ['html_200', 'answer_invalid'],
    ['redirect_302', 'answer_invalid'],
    ['truncated_body', 'http_reset'],
  ] as const)('%s is no instance', async (kind, code) => {
    estate.account.setFaults([{ kind, on: 'read', nth: 1 }])
    const error = await read().catch((thrown: unknown) => thrown)
    expect(isRescindError(error, code), String(error)).toBe(true)
  })
})

describe('what goes out, and what comes back', () => {
  /** A client whose requests are recorded; with words, all that it asks is refused with them. */
  const recording = (switches: Partial<OpenConnectorsSwitches> = {}, words?: string) => {
    const sent: HttpRequest[] = []
    const send: Http['send'] = async (request) => {
      sent.push(request)
      if (words === undefined) return estate.http.send(request)
      const body = JSON.stringify({ requestId: 'r', message: words, providerMessage: words })
      return { status: 400, headers: {}, body, retryAfterMs: undefined, elapsedMs: 1 }
    }
    const http = { ...estate.http, send }
    const means = { http, clock: systemClock }
    return { sent, client: createOpenConnectorsClient(estate.settings(switches), means) }
  }

  it('the consent URL is asked for without the secrets of the account', async () => {
    const { sent, client } = recording()
    orThrow(await client.consentUrl('sfdc', new Secret('s')), 'give a URL')
    await client.control()
    expect(sent.map(({ headers }) => Object.keys(headers ?? {}).includes('authorization'))).toEqual(
      [false, true],
    )
  })

  test.each<[OpenConnectorsSwitches['patchBy'], RegExp, boolean]>([
    ['token', /\/instances$/, true],
    ['id', /\/instances\/\d+$/, false],
  ])('PATCH names the instance by its %s', async (patchBy, path, hasToken) => {
    const { sent, client } = recording({ patchBy })
    await client.patch(instance, new Secret('a-code'))
    expect([sent[0]?.method, String(sent[0]?.url)]).toEqual(['PATCH', expect.stringMatching(path)])
    expect(/Element /.test(sent[0]?.headers?.authorization ?? '')).toBe(hasToken)
  })

  test.each<[string, number, (client: OpenConnectorsClient) => Promise<Answer<unknown>>]>([
    ['GET oauth/url', 2, (client) => client.consentUrl('sfdc', new Secret('my-secret-state'))],
    [
      'POST /instances',
      4,
      (client) =>
        client.create({ element: 'sfdc', name: 'x', tags: [], code: new Secret('my-secret-code') }),
    ],
    ['PATCH /instances', 4, (client) => client.patch(instance, new Secret('my-secret-code'))],
    ['PUT /instances/{id}', 5, (client) => client.put(instance, new Secret('my-secret-code'))],
    ['PUT /instances/enabled', 3, (client) => client.enable(instance)],
    ['DELETE /instances/{id}', 2, (client) => client.delete(instance.id)],
    ['a call through an instance', 3, (client) => client.call(instance, PROBE)],
  ])('%s: none of %i secrets that were sent comes back in a refusal', async (_title, many, ask) => {
    const { sent, client } = recording({}, 'no')
    await ask(client)
    const { userSecret, organizationSecret } = estate.account.credentials
    const secrets = [
      ...[userSecret, organizationSecret, instance.token?.reveal() ?? expect.unreachable()],
      ...['my-secret-state', 'my-secret-code', estate.org.credentials.connected.clientSecret],
    ]
    const text = JSON.stringify(sent)
    const told = secrets.filter((secret) => text.includes(secret))
    expect(told).toHaveLength(many)
    for (const secret of told) {
      const answer = await ask(recording({}, `not known: ${secret}.`).client)
      const { message, providerMessage } = answer.ok ? expect.unreachable() : answer.failure
      for (const said of [message, providerMessage]) {
        expect(said).toMatch(/^not known: /)
        expect(said).not.toContain(secret)
      }
    }
  })
})

describe('secrets', () => {
  it('none is in what was traced, nor in an instance as it is printed', async () => {
    orThrow(await estate.client().consentUrl('sfdc', new Secret('my-state')), 'give a URL')
    const text = `${estate.trace.map(traceLine).join('\n')}\n${JSON.stringify(await read())}`
    expect(text).toContain('/oauth/url?apiKey=')
    expect(text).toContain('apiSecret=…')
    for (const secret of estate.account.truth.secrets()) {
      if (secret.length > 3) expect(text).not.toContain(secret)
    }
    expect(text).not.toContain('my-state')
  })

  it('the consent URL that the owner sees has no client secret, though the platform put it in', async () => {
    const url = orThrow(await estate.client().consentUrl('sfdc', new Secret('s')), 'give a URL')
    expect(url).not.toContain(estate.org.credentials.connected.clientSecret)
  })
})
