import { describe, expect, test } from 'vitest'
import { send } from '../salesforce/org-fixture.ts'
import {
  accounts,
  blanksAnd,
  CALLBACK,
  call,
  codeOf,
  consent,
  creation,
  disabledInstance,
  header,
  makeInstance,
  putBody,
  refreshesSeen,
  revokeAt,
  startPair,
} from './account-fixture.ts'

describe('the article: revoke, and re-authenticate by API', () => {
  test('PATCH: made, current token, revoked, dead, OAuth URL, login, code, applied, alive', async () => {
    const pair = await startPair()
    const { org, account } = pair
    const { clientId, clientSecret } = org.credentials.connected
    const oauthUrl = async (state: string) => {
      const query = new URLSearchParams({
        apiKey: clientId,
        apiSecret: clientSecret,
        callbackUrl: CALLBACK,
        state,
      })
      return (await send(`${account.apiUrl}/elements/sfdc/oauth/url?${query}`)).json
    }
    const login = async (url: string) => {
      const { username, password } = org.credentials.limited
      const [address = '', query = ''] = url.split('?')
      const form = new URLSearchParams(query)
      for (const [name, value] of Object.entries({ username, password, decision: 'allow' }))
        form.set(name, value)
      const back = await send(address, { method: 'POST', body: form })
      return new URL(back.headers.get('location') ?? '').searchParams
    }
    const json = { 'content-type': 'application/json' }

    const first = await oauthUrl('sfdc')
    expect(first).toMatchObject({ element: 'sfdc' })
    const code = (await login(first.oauthUrl)).get('code')
    const made = await send(`${account.apiUrl}/instances`, {
      method: 'POST',
      headers: { ...json, authorization: header(pair) },
      body: JSON.stringify({ ...creation(pair), providerData: { code } }),
    })
    expect(made.status).toBe(200)
    const authorization = header(pair, made.json.token)

    const current = await send(`${account.apiUrl}/instances`, { headers: { authorization } })
    const before = current.json.configuration
    const direct = (token: string) =>
      send(`${org.url}/services/data/v62.0/limits`, {
        headers: { authorization: `Bearer ${token}` },
      })
    expect((await direct(before['oauth.user.token'])).status).toBe(200)

    // The article revokes the access token, which kills nothing that lasts; a drill must revoke the refresh token.
    const revoked = await send(
      `${org.url}/services/oauth2/revoke?token=${before['oauth.user.refresh_token']}`,
      { method: 'POST' },
    )
    expect(revoked.status).toBe(200)
    expect((await direct(before['oauth.user.token'])).status).toBe(401)
    const dead = await send(`${account.apiUrl}/hubs/crm/accounts`, { headers: { authorization } })
    expect(dead.status).toBe(401)
    expect(dead.json).toEqual({
      requestId: expect.stringMatching(/^[0-9a-f]{24}$/),
      message: 'The refresh of the OAuth token failed',
      providerMessage: 'expired access/refresh token',
    })

    const again = await oauthUrl('one-time')
    const back = await login(again.oauthUrl)
    expect(back.get('state')).toBe('one-time')
    const patched = await send(`${account.apiUrl}/instances`, {
      method: 'PATCH',
      headers: { ...json, authorization },
      body: JSON.stringify(blanksAnd(back.get('code') ?? '')),
    })
    expect(patched.status).toBe(200)

    const alive = await send(`${account.apiUrl}/hubs/crm/accounts`, { headers: { authorization } })
    expect(alive.status).toBe(200)
    expect(alive.json[0]).toMatchObject({ Name: 'Acme' })
    const after = (await send(`${account.apiUrl}/instances`, { headers: { authorization } })).json
    expect(after.id).toBe(made.json.id)
    expect(after.configuration['oauth.user.token']).not.toBe(before['oauth.user.token'])
    expect(after.configuration['oauth.user.refresh_token']).not.toBe(
      before['oauth.user.refresh_token'],
    )
    expect(after.configuration['sfdc.user.id.url']).toBe(before['sfdc.user.id.url'])
    expect((await direct(before['oauth.user.token'])).status).toBe(401)
  })

  test('PUT: disabled after five failures, a fresh code, enabled, alive', async () => {
    const pair = await startPair()
    const made = await disabledInstance(pair)
    expect(refreshesSeen(pair)).toBe(5)
    expect(pair.account.emails()).toHaveLength(1)
    expect(pair.account.emails()[0]).toMatchObject({
      subject: `Connector instance ${made.id} was disabled`,
      instanceId: made.id,
    })
    expect((await call(pair, `GET /instances/${made.id}`)).json.disabled).toBe(true)

    const body = await putBody(pair, made, await codeOf(pair))
    const put = await call(pair, `PUT /instances/${made.id}?reAuthenticate=true`, { body })
    expect([put.status, put.json.disabled]).toEqual([200, true])
    const refused = await accounts(pair, made)
    expect([refused.status, refused.json.providerMessage]).toEqual([403, undefined])

    const authorization = header(pair, made.token)
    const enabled = await call(pair, 'PUT /instances/enabled', { authorization })
    expect([enabled.status, enabled.json.disabled]).toEqual([200, false])
    expect((await accounts(pair, made)).status).toBe(200)
    expect(pair.account.truth.instance(made.id)).toMatchObject({ locked: false, failures: 0 })
  })

  test('the address that the vendor prints, with its path twice, is none', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    const target = `PUT /elements/api-v2/instances/${made.id}?reAuthenticate=true`
    expect((await call(pair, target, { body: {} })).status).toBe(404)
  })

  test('what the article revokes, the access token, heals by itself with one refresh', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    expect((await revokeAt(pair, made, 'access')).status).toBe(200)
    expect((await accounts(pair, made)).status).toBe(200)
    expect(refreshesSeen(pair)).toBe(1)
  })

  test('denied: the callback gets an error instead of a code', async () => {
    const pair = await startPair()
    const back = await consent(pair, { decision: 'Deny' })
    expect([back.get('error'), back.get('code'), back.get('state')]).toEqual([
      'access_denied',
      null,
      'once',
    ])
  })

  test.each([
    ['spent', async (code: string) => code, 'expired authorization code'],
    ['made up', async () => 'aPrxNever', 'expired authorization code'],
  ])('a code that is %s is refused in the words of the provider', async (_, wrong, words) => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    const code = await codeOf(pair)
    const authorization = header(pair, made.token)
    await call(pair, 'PATCH /instances', { authorization, body: blanksAnd(code) })
    const body = blanksAnd(await wrong(code))
    const { status, json } = await call(pair, 'PATCH /instances', { authorization, body })
    expect([status, json.providerMessage]).toEqual([400, words])
    expect((await accounts(pair, made)).status).toBe(200)
  })
})
