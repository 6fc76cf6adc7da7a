import { describe, expect, test } from 'vitest'
import type { OpenConnectorsSwitches } from '../../../emulators/index.ts'
import { createOpenConnectors } from '../../../emulators/index.ts'
import {
  accounts,
  blanksAnd,
  call,
  codeOf,
  disabledInstance,
  header,
  type Made,
  makeInstance,
  type Pair,
  putBody,
  refreshesSeen,
  revokeAt,
  startPair,
  until,
} from './account-fixture.ts'

async function reauthenticate(pair: Pair, made: Made, by: 'PATCH' | 'PUT') {
  const code = await codeOf(pair)
  if (by === 'PATCH') {
    const authorization = header(pair, made.token)
    return call(pair, 'PATCH /instances', { authorization, body: blanksAnd(code) })
  }
  const body = await putBody(pair, made, code)
  return call(pair, `PUT /instances/${made.id}?reAuthenticate=true`, { body })
}

describe('open: does re-authentication enable', () => {
  test.each([
    ['PATCH', {}, true],
    ['PATCH', { patchClearsDisabled: true }, false],
    ['PATCH', { putClearsDisabled: true }, true],
    ['PUT', {}, true],
    ['PUT', { putClearsDisabled: true }, false],
    ['PUT', { patchClearsDisabled: true }, true],
  ] as const)('%s with %o leaves disabled %s', async (by, switches, disabled) => {
    const pair = await startPair({ switches })
    const made = await disabledInstance(pair)
    expect((await reauthenticate(pair, made, by)).json.disabled).toBe(disabled)
    expect((await accounts(pair, made)).status).toBe(disabled ? 403 : 200)
  })
})

describe('open: what outlives re-authentication', () => {
  test.each([
    [{}, true, true],
    [{ elementTokenOnReauth: 'new' }, true, false],
    [{ idOnReauth: 'new' }, false, true],
  ] as const)('%o: id kept %s, Element token kept %s', async (switches, sameId, sameToken) => {
    const pair = await startPair({ switches })
    const made = await makeInstance(pair)
    const { json } = await reauthenticate(pair, made, 'PATCH')
    expect([json.id === made.id, json.token === made.token]).toEqual([sameId, sameToken])
    expect((await accounts(pair, made)).status).toBe(sameToken ? 200 : 401)
    expect((await call(pair, `GET /instances/${made.id}`)).status).toBe(sameId ? 200 : 404)
    expect((await accounts(pair, { ...json, json })).status).toBe(200)
  })
})

describe('open: what valid says of a dead instance', () => {
  test.each([
    ['always-true', true, true],
    ['follows', false, false],
    ['list-differs', true, false],
  ] as const)('%s: %s in the list, %s in the single read', async (valid, inList, inRead) => {
    const pair = await startPair({ switches: { valid } })
    const { id } = await disabledInstance(pair)
    const [listed] = (await call(pair, 'GET /instances')).json
    const { json } = await call(pair, `GET /instances/${id}`)
    expect([listed.valid, json.valid]).toEqual([inList, inRead])
  })
})

describe('open: masked secrets', () => {
  test('asterisks for the client secret, and the OAuth tokens in clear', async () => {
    const pair = await startPair({ switches: { secretsInAnswers: 'masked' } })
    const { json } = await makeInstance(pair)
    expect(json.configuration).toMatchObject({
      'oauth.api.secret': '********',
      'oauth.user.token': expect.stringContaining('!AQ'),
    })
  })

  test.each([
    ['stored', '********', 400],
    ['ignored', 'the secret', 200],
  ] as const)(
    'an echo of them is %s: the account holds %s, a PUT with a code is %i',
    async (maskedEcho, held, status) => {
      const pair = await startPair({ switches: { secretsInAnswers: 'masked', maskedEcho } })
      const made = await makeInstance(pair)
      expect((await reauthenticate(pair, made, 'PUT')).status).toBe(status)
      const { json } = await call(pair, `GET /instances/${made.id}`)
      await call(pair, `PUT /instances/${made.id}`, { body: json })
      const { clientSecret } = pair.account.truth.instance(made.id)!
      const expected = held === 'the secret' ? pair.org.credentials.connected.clientSecret : held
      expect(clientSecret).toBe(expected)
    },
  )
})

describe('open: the rest', () => {
  const shown: readonly (readonly [
    Partial<OpenConnectorsSwitches>,
    (pair: Pair, made: Made) => Promise<unknown>,
    unknown,
  ])[] = [
    [
      { stateInOauthUrl: 'dropped', clientSecretInOauthUrl: false },
      async (pair) => {
        const query = 'apiKey=k&apiSecret=s&callbackUrl=https://a.example/&state=x'
        const { json } = await call(pair, `GET /elements/sfdc/oauth/url?${query}`)
        const { searchParams } = new URL(json.oauthUrl)
        return [searchParams.get('state'), searchParams.get('client_secret')]
      },
      [null, null],
    ],
    [
      { elementTokenRead: 'list' },
      async (pair, { token }) =>
        (await call(pair, 'GET /instances', { authorization: header(pair, token) })).json.length,
      1,
    ],
    [{ tagsOnCreate: 'names' }, async (_, { json }) => json.tags, ['drill']],
    [
      { refreshTimeUnit: 's' },
      async (_, { json }) => json.configuration['oauth.user.refresh_time'].length,
      10,
    ],
    [
      { refreshTimeOnCreate: 'null' },
      async (_, { json }) => json.configuration['oauth.user.refresh_time'],
      null,
    ],
    [
      { failedRefresh: '401-bare' },
      async (pair, made) => {
        await revokeAt(pair, made, 'refresh')
        const { status, json } = await accounts(pair, made)
        return [status, json.providerMessage]
      },
      [401, undefined],
    ],
    [
      { failedRefresh: '502', providerMessage: 'body' },
      async (pair, made) => {
        await revokeAt(pair, made, 'refresh')
        const { status, json } = await accounts(pair, made)
        return [status, JSON.parse(json.providerMessage).error]
      },
      [502, 'invalid_grant'],
    ],
    [
      { disabledCall: 401 },
      async (pair, made) => {
        const authorization = header(pair, made.token)
        await call(pair, 'DELETE /instances/enabled', { authorization })
        return (await accounts(pair, made)).status
      },
      401,
    ],
    [
      { failedReauth: 'blanked' },
      async (pair, made) => {
        const authorization = header(pair, made.token)
        await call(pair, 'PATCH /instances', { authorization, body: blanksAnd('aPrxNever') })
        return pair.account.truth.instance(made.id)?.refreshToken
      },
      '',
    ],
    [
      { readLagMs: 60_000 },
      async (pair, made) => {
        const patched = await call(pair, `PATCH /instances/${made.id}`, { body: { tags: ['new'] } })
        const { json } = await call(pair, `GET /instances/${made.id}`)
        return [patched.json.tags, json.tags]
      },
      [['new'], ['drill']],
    ],
    [
      { emailDelayMs: 60_000 },
      async (pair) => {
        await disabledInstance(pair)
        return pair.account.emails()
      },
      [],
    ],
  ]

  test.each(shown)('%o', async (switches, see, expected) => {
    const pair = await startPair({ switches })
    expect(await see(pair, await makeInstance(pair))).toEqual(expected)
  })

  test.each([
    ['ignored', 401],
    ['accepted', 200],
  ] as const)(
    'seedOnChange %s: a dead instance given a refresh token answers %i',
    async (seedOnChange, status) => {
      const pair = await startPair({
        switches: { seedOnChange },
        account: { refreshRetryMs: 60_000 },
      })
      const made = await makeInstance(pair)
      await revokeAt(pair, made, 'refresh')
      expect((await accounts(pair, made)).status).toBe(401)
      const { clientId } = pair.org.credentials.connected
      const grant = { userId: pair.org.credentials.limited.userId, appId: clientId }
      const { refreshToken } = pair.org.addGrant(grant)
      const body = {
        externalAuthentication: 'initial',
        configuration: { 'oauth.user.refresh_token': refreshToken },
      }
      await call(pair, `PATCH /instances/${made.id}`, { body })
      expect((await accounts(pair, made)).status).toBe(status)
    },
  )

  test('the control plane takes faults away, and gives the switches back', async () => {
    const pair = await startPair({ switches: { pageSize: 3 } })
    const control = async (name: string, body: unknown = {}) =>
      fetch(`${pair.account.url}/__emulator/${name}`, {
        method: 'POST',
        body: JSON.stringify(body),
      })
    await control('switches', { pageSize: 1, secretsInAnswers: 'masked' })
    await control('faults', [{ kind: 'unauthorized_401', on: 'any' }])
    expect((await call(pair, 'GET /instances')).status).toBe(401)
    await control('calm')
    expect((await call(pair, 'GET /instances')).status).toBe(200)
    const switches = await (await fetch(`${pair.account.url}/__emulator/switches`)).json()
    expect(switches).toMatchObject({ pageSize: 3, secretsInAnswers: 'clear' })
  })

  test('a provider that is silent for longer than providerTimeoutMs is taken for down', async () => {
    const pair = await startPair({ switches: { providerTimeoutMs: 200 } })
    const made = await makeInstance(pair)
    pair.org.setFaults([{ kind: 'hang', on: 'token', nth: 1 }])
    await revokeAt(pair, made, 'access')
    expect((await accounts(pair, made)).status).toBe(502)
    await until(() => refreshesSeen(pair) === 2)
    expect((await accounts(pair, made)).status).toBe(200)
  })

  test('an unknown switch is refused by name', () => {
    const switches = { nonsense: true } as Partial<OpenConnectorsSwitches>
    const create = () => createOpenConnectors({ salesforceUrl: 'http://127.0.0.1:1', switches })
    expect(create).toThrow('unknown switch "nonsense"')
  })
})
