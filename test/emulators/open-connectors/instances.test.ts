import { describe, expect, test } from 'vitest'
import { send } from '../salesforce/org-fixture.ts'
import {
  accounts,
  type Call,
  call,
  codeOf,
  creation,
  header,
  makeInstance,
  type Pair,
  startPair,
} from './account-fixture.ts'

const REQUEST_ID = expect.stringMatching(/^[0-9a-f]{24}$/)

describe('the Authorization header', () => {
  const forms: Readonly<Record<string, (u: string, o: string, e: string) => string>> = {
    'User, Organization': (u, o) => `User ${u}, Organization ${o}`,
    'Organization, User': (u, o) => `Organization ${o}, User ${u}`,
    'without blanks': (u, o) => `User ${u},Organization ${o}`,
    'with an Element token in front': (u, o, e) => `Element ${e}, User ${u}, Organization ${o}`,
  }

  test.each(Object.keys(forms))('%s is taken', async (name) => {
    const pair = await startPair()
    const { token } = await makeInstance(pair)
    const { userSecret, organizationSecret } = pair.account.credentials
    // The signs that a parser stumbles on.
    expect(userSecret).toMatch(/\+.*\/.*=./)
    const authorization = forms[name]!(userSecret, organizationSecret, token)
    expect((await call(pair, 'GET /instances', { authorization })).status).toBe(200)
  })

  const wrong: Readonly<Record<string, (u: string, o: string, e: string) => string>> = {
    'no part': () => '',
    Basic: (u, o) => `Basic ${Buffer.from(`${u}:${o}`).toString('base64')}`,
    Bearer: (u) => `Bearer ${u}`,
    'a wrong user secret': (u, o) => `User ${u}x, Organization ${o}`,
    'a user secret cut at its =': (u, o) => `User ${u.split('=')[0]}, Organization ${o}`,
    'a wrong organization secret': (u, o) => `User ${u}, Organization ${o}0`,
    'only the user': (u) => `User ${u}`,
    'the user twice': (u, o) => `User ${u}, User ${u}, Organization ${o}`,
    'a wrong Element token beside right secrets': (u, o, e) =>
      `User ${u}, Organization ${o}, Element ${e}x`,
  }

  test.each(Object.keys(wrong))('%s is 401 without a word of the provider', async (name) => {
    const pair = await startPair()
    const { token } = await makeInstance(pair)
    const { userSecret, organizationSecret } = pair.account.credentials
    const authorization = wrong[name]!(userSecret, organizationSecret, token)
    const { status, json } = await call(pair, 'GET /instances', { authorization })
    expect([status, json]).toEqual([
      401,
      { requestId: REQUEST_ID, message: expect.stringContaining('Invalid') },
    ])
  })

  test('a call through an instance does without the organization, and never without the Element', async () => {
    const pair = await startPair()
    const { token } = await makeInstance(pair)
    const { userSecret } = pair.account.credentials
    const authorization = `User ${userSecret}, Element ${token}`
    for (const target of ['GET /hubs/crm/accounts', 'GET /instances']) {
      expect((await call(pair, target, { authorization })).status).toBe(200)
    }
    expect((await call(pair, 'GET /hubs/crm/accounts')).status).toBe(401)
  })

  test('a reset of the user secret is effective at once', async () => {
    const pair = await startPair()
    const old = header(pair)
    const reset = await call(pair, 'POST /authentication/user-secret-reset')
    expect(reset.status).toBe(200)
    expect((await call(pair, 'GET /instances', { authorization: old })).status).toBe(401)
    expect((await call(pair, 'GET /instances')).status).toBe(200)
    expect(reset.json.secret).toBe(pair.account.credentials.userSecret)
  })
})

describe('GET /elements/{keyOrId}/oauth/url', () => {
  const ask = async (pair: Pair, path: string, query: Record<string, string>) =>
    send(`${pair.account.apiUrl}${path}?${new URLSearchParams(query)}`)
  const full = { apiKey: 'key', apiSecret: 's3cret', callbackUrl: 'https://app.example/auth' }

  test.each(['sfdc', '23'])('%s, without a header', async (element) => {
    const pair = await startPair()
    const { json } = await ask(pair, `/elements/${element}/oauth/url`, { ...full, state: 'a b' })
    const url = new URL(json.oauthUrl)
    expect([json.element, url.origin, url.pathname]).toEqual([
      'sfdc',
      pair.org.url,
      '/services/oauth2/authorize',
    ])
    expect(Object.fromEntries(url.searchParams)).toEqual({
      response_type: 'code',
      client_id: 'key',
      client_secret: 's3cret',
      scope: 'full refresh_token',
      redirect_uri: 'https://app.example/auth',
      state: 'a b',
    })
  })

  test.each(['https://test.salesforce.com', 'https://acme.my.salesforce.com/'])(
    'scope is passed on, and %s stands for the emulated org',
    async (siteAddress) => {
      const pair = await startPair()
      const more = { scope: 'api refresh_token', siteAddress }
      const { json } = await ask(pair, '/elements/sfdc/oauth/url', { ...full, ...more })
      const url = new URL(json.oauthUrl)
      expect([url.origin, url.searchParams.get('scope')]).toEqual([pair.org.url, more.scope])
    },
  )

  test.each([
    ['/elements/nothing/oauth/url', full, 404],
    ['/elements/sfdc/oauth/url', { apiKey: 'key' }, 400],
  ] as const)('%s with %o is %i', async (path, query, status) => {
    const pair = await startPair()
    const reply = await ask(pair, path, query)
    expect([reply.status, reply.json.requestId]).toEqual([status, REQUEST_ID])
  })

  test('the log shows neither the client secret nor the state', async () => {
    const pair = await startPair()
    await ask(pair, '/elements/sfdc/oauth/url', { ...full, state: 'st4te' })
    const text = JSON.stringify(pair.account.log)
    expect(text).toContain('apiSecret=***')
    expect(text).not.toMatch(/s3cret|st4te/)
  })
})

describe('POST /instances', () => {
  test('the configuration is a flat map of texts, with both tokens in clear', async () => {
    const pair = await startPair()
    const { json } = await makeInstance(pair)
    const { configuration } = json
    for (const value of Object.values(configuration)) {
      expect(value === null || typeof value === 'string').toBe(true)
    }
    expect(configuration).toMatchObject({
      'oauth.user.token': expect.stringContaining('!AQ'),
      'oauth.user.refresh_token': expect.stringContaining('5Aep861'),
      'oauth.user.refresh_interval': '3600',
      'oauth.user.refresh_time': expect.stringMatching(/^\d{13}$/),
      'oauth.api.secret': pair.org.credentials.connected.clientSecret,
      'oauth.scope': 'full refresh_token',
      'base.url': pair.org.url,
      'sfdc.user.id.url': expect.stringContaining(pair.org.credentials.limited.userId),
      'event.notification.enabled': 'false',
      'event.notification.callback.url': null,
    })
    expect(json).toMatchObject({
      tags: [{ id: expect.any(Number), name: 'drill' }],
      element: { id: 23, key: 'sfdc', hub: 'crm' },
      valid: true,
      disabled: false,
      externalAuthentication: 'none',
    })
  })

  test('by the element in the path, numbers and booleans become texts', async () => {
    const pair = await startPair()
    const { element: _, configuration, ...rest } = creation(pair)
    const more = { ...configuration, 'oauth.user.refresh_interval': 600, 'event.on': true }
    const providerData = { code: await codeOf(pair) }
    const body = { ...rest, configuration: more, providerData }
    const { status, json } = await call(pair, 'POST /elements/23/instances', { body })
    expect(status).toBe(200)
    expect(json.configuration).toMatchObject({
      'oauth.user.refresh_interval': '600',
      'event.on': 'true',
    })
  })

  test('externalAuthentication initial: a refresh token is enough, and the next call fetches tokens', async () => {
    const pair = await startPair()
    const { org } = pair
    const { clientId } = org.credentials.connected
    const { refreshToken } = org.addGrant({
      userId: org.credentials.limited.userId,
      appId: clientId,
    })
    const { configuration, ...rest } = creation(pair)
    const seeded = { ...configuration, 'oauth.user.refresh_token': refreshToken }
    const body = { ...rest, configuration: seeded, externalAuthentication: 'initial' }
    const { json } = await call(pair, 'POST /instances', { body })
    expect(json).toMatchObject({
      externalAuthentication: 'initial',
      configuration: { 'oauth.user.token': null, 'oauth.user.refresh_time': null },
    })
    expect((await accounts(pair, { ...json, json })).status).toBe(200)
    const { json: after } = await call(pair, `GET /instances/${json.id}`)
    expect(after.configuration['sfdc.user.id.url']).toContain(org.credentials.limited.userId)
  })

  const wrong: Readonly<Record<string, (pair: Pair) => Call & { readonly status: number }>> = {
    'no code and no seed': (pair) => ({ body: creation(pair), status: 400 }),
    'no client': (pair) => ({
      body: { ...creation(pair), configuration: {}, providerData: { code: 'x' } },
      status: 400,
    }),
    'an unknown element': (pair) => ({
      body: { ...creation(pair), element: { key: 'nothing' }, providerData: { code: 'x' } },
      status: 404,
    }),
    'a list for a body': () => ({ body: [], status: 400 }),
  }

  test.each(Object.keys(wrong))('%s is refused by the platform', async (name) => {
    const pair = await startPair()
    const { status, ...init } = wrong[name]!(pair)
    const reply = await call(pair, 'POST /instances', init)
    expect([reply.status, Object.keys(reply.json)]).toEqual([status, ['requestId', 'message']])
  })

  test('what is missing is named', async () => {
    const pair = await startPair()
    const body = { ...creation(pair), configuration: {}, providerData: { code: 'x' } }
    const { json } = await call(pair, 'POST /instances', { body })
    expect(json.message).toBe(
      'Missing required configuration: oauth.api.key, oauth.api.secret, oauth.callback.url',
    )
  })
})

describe('GET /instances', () => {
  test('is paged: the header has the next page, and the last page none', async () => {
    const pair = await startPair({ switches: { pageSize: 2 } })
    const made = []
    for (let n = 0; n < 5; n += 1) made.push((await makeInstance(pair)).id)
    const seen: number[] = []
    const sizes: number[] = []
    let next: string | null = ''
    while (next !== null) {
      const query: string = next === '' ? '' : `?nextPage=${encodeURIComponent(next)}`
      const reply = await call(pair, `GET /instances${query}`)
      seen.push(...reply.json.map(({ id }: { id: number }) => id))
      sizes.push(reply.json.length)
      next = reply.headers.get('elements-next-page-token')
    }
    expect([seen, sizes]).toEqual([made, [2, 2, 1]])
  })

  test('hydrate=false leaves out configuration and disabled', async () => {
    const pair = await startPair()
    await makeInstance(pair)
    const [slim] = (await call(pair, 'GET /instances?hydrate=false')).json
    expect(slim).not.toHaveProperty('configuration')
    expect(slim).not.toHaveProperty('disabled')
    expect(slim.tags).toEqual(['drill'])
  })

  test('with an Element token, the one instance', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    await makeInstance(pair)
    const authorization = header(pair, made.token)
    expect((await call(pair, 'GET /instances', { authorization })).json.id).toBe(made.id)
  })

  test('a token of no page is 400, an unknown id 404', async () => {
    const pair = await startPair()
    expect((await call(pair, 'GET /instances?nextPage=junk')).status).toBe(400)
    expect((await call(pair, 'GET /instances/1')).status).toBe(404)
  })
})

describe('changes', () => {
  test('PATCH and PUT merge; tags replace all tags', async () => {
    const pair = await startPair()
    const { id } = await makeInstance(pair)
    const tags = ['a', { name: 'b' }]
    const patched = await call(pair, `PATCH /instances/${id}`, { body: { tags } })
    expect(patched.json).toMatchObject({ tags: ['a', 'b'], name: 'drilled' })
    const body = { name: 'other', tags: ['c'] }
    const put = await call(pair, `PUT /instances/${id}`, { body })
    expect(put.json).toMatchObject({ tags: ['c'], name: 'other' })
    expect(put.json.configuration['oauth.user.token']).toContain('!AQ')
  })

  test('blank and absent differ: blanked tokens are blank', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    const body = { configuration: { 'oauth.user.token': '' } }
    const { json } = await call(pair, `PATCH /instances/${made.id}`, { body })
    expect(json.configuration['oauth.user.token']).toBe('')
    expect(json.configuration['oauth.user.refresh_token']).toContain('5Aep861')
  })

  test('PUT with reAuthenticate and no code is 400', async () => {
    const pair = await startPair()
    const { id } = await makeInstance(pair)
    const target = `PUT /instances/${id}?reAuthenticate=true`
    expect((await call(pair, target, { body: {} })).status).toBe(400)
  })

  test('PUT /instances with the Element token and a code re-authenticates as well', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    const before = pair.account.truth.instance(made.id)!.accessToken
    const body = { ...made.json, providerData: { code: await codeOf(pair) } }
    const authorization = header(pair, made.token)
    expect((await call(pair, 'PUT /instances', { authorization, body })).status).toBe(200)
    expect(pair.account.truth.instance(made.id)!.accessToken).not.toBe(before)
  })

  test('disabled by hand and enabled again: the configuration stays', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    const authorization = header(pair, made.token)
    const off = await call(pair, 'DELETE /instances/enabled', { authorization })
    expect([off.status, off.json.disabled, (await accounts(pair, made)).status]).toEqual([
      200,
      true,
      403,
    ])
    const on = await call(pair, 'PUT /instances/enabled', { authorization })
    expect([on.json.configuration, (await accounts(pair, made)).status]).toEqual([
      made.json.configuration,
      200,
    ])
    expect((await call(pair, 'PUT /instances/enabled')).status).toBe(401)
  })

  test.each([
    [false, 200],
    [true, 401],
  ])(
    'DELETE, switch deleteRevokes %s: the old access token answers %i',
    async (deleteRevokes, status) => {
      const pair = await startPair({ switches: { deleteRevokes } })
      const made = await makeInstance(pair)
      const { accessToken } = pair.account.truth.instance(made.id)!
      expect((await call(pair, `DELETE /instances/${made.id}`)).status).toBe(200)
      expect((await call(pair, `GET /instances/${made.id}`)).status).toBe(404)
      expect((await accounts(pair, made)).status).toBe(401)
      const headers = { authorization: `Bearer ${accessToken}` }
      const direct = await send(`${pair.org.url}/services/data/v62.0/limits`, { headers })
      expect(direct.status).toBe(status)
    },
  )
})

describe('calls through an instance', () => {
  test('ping, accounts and one account', async () => {
    const pair = await startPair()
    const { token } = await makeInstance(pair)
    const authorization = header(pair, token)
    const ping = await call(pair, 'GET /ping', { authorization })
    expect(ping.json).toMatchObject({ endpoint: 'sfdc', dateTime: expect.any(String) })
    const { json } = await call(pair, 'GET /hubs/crm/accounts?pageSize=2', { authorization })
    expect(json).toHaveLength(2)
    const one = await call(pair, `GET /hubs/crm/accounts/${json[0].Id}`, { authorization })
    expect(one.json).toMatchObject({ Id: json[0].Id, Name: 'Acme' })
  })

  test('an error of the provider has its words', async () => {
    const pair = await startPair()
    const { token } = await makeInstance(pair)
    const authorization = header(pair, token)
    const { status, json } = await call(pair, 'GET /hubs/crm/accounts/001', { authorization })
    expect([status, json.providerMessage]).toEqual([404, 'The requested resource does not exist'])
  })

  test.each([
    ['GET', '/hubs/crm/nothing', {}, 404],
    ['GET', '/hubs/sage/accounts', {}, 404],
    ['GET', '/hubs/%zz/accounts', {}, 404],
    ['GET', '//', {}, 404],
    ['POST', '/hubs/crm/accounts', {}, 405],
    ['GET', '/hubs/crm/accounts', { accept: 'text/csv' }, 406],
    ['PATCH', '/instances', { 'content-type': 'text/plain' }, 415],
  ])('%s %s %o is %i, of the platform', async (method, path, more, status) => {
    const pair = await startPair()
    const { token } = await makeInstance(pair)
    const headers = { authorization: header(pair, token), ...more }
    const init = method === 'GET' ? {} : { body: '{}' }
    const reply = await send(pair.account.apiUrl + path, { method, headers, ...init })
    expect([reply.status, Object.keys(reply.json)]).toEqual([status, ['requestId', 'message']])
  })
})
