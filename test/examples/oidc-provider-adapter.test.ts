import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { start } from '../../examples/oidc-provider-adapter/server.ts'
import { freePort } from '../support/free-port.ts'
import { tempHome } from '../support/temp-home.ts'

const CALLBACK = 'https://app.example/callback'
const VERIFIER = 'v'.repeat(43)
const CHALLENGE = Buffer.from(
  await crypto.subtle.digest('SHA-256', new TextEncoder().encode(VERIFIER)),
).toString('base64url')
/** Requests at once of which one may win. */
const AT_ONCE = 8

let home: ReturnType<typeof tempHome>
let url: string
let server: Awaited<ReturnType<typeof start>>
let app: { client_id: string; client_secret: string }
let other: { client_id: string; client_secret: string }

beforeEach(async () => {
  home = tempHome()
  url = `http://127.0.0.1:${await freePort()}`
  server = await start(url, home.path)
  app = await addClient('app')
  other = await addClient('other')
})
afterEach(async () => {
  await server.close()
  home[Symbol.dispose]()
})

async function addClient(id: string) {
  const { secret } = await server.authority.clients.add({
    ...{ id, authMethod: 'client_secret_post', redirectUris: [CALLBACK], introspect: 'all' },
    grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'],
  })
  return { client_id: id, client_secret: secret?.reveal() ?? '' }
}

async function post(path: string, form: Record<string, string>) {
  const answer = await fetch(url + path, { method: 'POST', body: new URLSearchParams(form) })
  const text = await answer.text()
  const isJson = answer.headers.get('content-type')?.includes('json') === true
  return { status: answer.status, body: isJson ? JSON.parse(text) : text }
}

const isActive = async (token: string): Promise<boolean> =>
  (await post('/introspect', { ...app, token })).body.active

const refresh = (refresh_token: string) =>
  post('/token', { ...app, grant_type: 'refresh_token', refresh_token })

/** Logs a user in by oidc-provider's own development pages, and returns the code. */
async function logIn(user: string): Promise<string> {
  const jar = new Map<string, string>()
  const ask = new URLSearchParams({
    ...{ response_type: 'code', client_id: 'app', redirect_uri: CALLBACK, prompt: 'consent' },
    ...{ scope: 'openid offline_access', code_challenge: CHALLENGE, code_challenge_method: 'S256' },
  })
  let [at, body] = [`${url}/auth?${ask}`, undefined as URLSearchParams | undefined]
  for (let steps = 0; steps < 12; steps += 1) {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const request = { headers: { cookie }, redirect: 'manual' as const }
    const answer = await fetch(at, body ? { ...request, method: 'POST', body } : request)
    for (const line of answer.headers.getSetCookie()) {
      const [name = '', value = ''] = line.split(';')[0]?.split('=') ?? []
      if (value === '') jar.delete(name)
      else jar.set(name, value)
    }
    const location = answer.headers.get('location')
    if (location?.startsWith(CALLBACK)) return new URL(location).searchParams.get('code') ?? ''
    body = undefined
    if (location === null) {
      const html = await answer.text()
      at = new URL(/action="([^"]+)"/.exec(html)?.[1] ?? '', url).href
      const prompt = /name="prompt" value="(\w+)"/.exec(html)?.[1] ?? ''
      body = new URLSearchParams({ prompt, login: user, password: 'any' })
    } else at = new URL(location, url).href
  }
  throw new Error('The login did not end.')
}

const redeem = (code: string) =>
  post('/token', {
    ...{ ...app, grant_type: 'authorization_code', code, redirect_uri: CALLBACK },
    code_verifier: VERIFIER,
  })

async function tokensOf(user: string) {
  const { status, body } = await redeem(await logIn(user))
  expect(status).toBe(200)
  return body as { access_token: string; refresh_token: string }
}

describe('an existing oidc-provider on the store of the authority', () => {
  test('its tokens are introspected and revoked by the authority', async () => {
    const { access_token, refresh_token } = await tokensOf('ann')
    const known = await post('/introspect', { ...app, token: access_token })
    expect(known.body).toMatchObject({ active: true, sub: 'ann', client_id: 'app' })
    expect(await isActive(refresh_token)).toBe(true)
    const next = (await refresh(refresh_token)).body
    expect(await post('/revoke', { ...app, token: next.refresh_token })).toMatchObject({
      status: 200,
      body: '',
    })
    for (const token of [access_token, next.access_token, next.refresh_token]) {
      expect(await isActive(token)).toBe(false)
    }
    expect((await refresh(next.refresh_token)).body.error).toBe('invalid_grant')
    const me = await fetch(`${url}/me`, { headers: { authorization: `Bearer ${access_token}` } })
    expect(me.status).toBe(401)
  })
  test('client credentials', async () => {
    const issued = await post('/token', { ...app, grant_type: 'client_credentials' })
    const token = issued.body.access_token
    expect(await isActive(token)).toBe(true)
    expect((await post('/revoke', { ...other, token })).status).toBe(200)
    expect(await isActive(token)).toBe(true)
    expect((await post('/revoke', { ...app, token })).status).toBe(200)
    expect(await isActive(token)).toBe(false)
  })
  test('a refresh token has one child, however many ask at once; then its family is dead', async () => {
    const { access_token, refresh_token } = await tokensOf('ann')
    const answers = await Promise.all(Array.from({ length: AT_ONCE }, () => refresh(refresh_token)))
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(1)
    expect(answers.every(({ status }) => status === 200 || status === 400)).toBe(true)
    expect(await isActive(access_token)).toBe(false)
    for (const { body } of answers)
      if (body.access_token) expect(await isActive(body.access_token)).toBe(false)
  })
  test('a code is redeemed once; a replay takes down what it gave', async () => {
    const code = await logIn('ann')
    const first = await redeem(code)
    expect(first.status).toBe(200)
    expect((await redeem(code)).body.error).toBe('invalid_grant')
    expect(await isActive(first.body.access_token)).toBe(false)
  })
  test('all of a user dies in one write, and nobody else’s', async () => {
    const [ann, bob] = [await tokensOf('ann'), await tokensOf('bob')]
    await server.authority.revoke({ user: 'ann' })
    expect([await isActive(ann.access_token), await isActive(bob.access_token)]).toEqual([
      false,
      true,
    ])
    expect((await refresh(ann.refresh_token)).body.error).toBe('invalid_grant')
    expect((await refresh(bob.refresh_token)).status).toBe(200)
  })
  test('what was revoked is dead after a restart, and what was not lives', async () => {
    const [ann, bob] = [await tokensOf('ann'), await tokensOf('bob')]
    await post('/revoke', { ...app, token: ann.refresh_token })
    await server.close()
    server = await start(url, home.path)
    expect([await isActive(ann.access_token), await isActive(bob.access_token)]).toEqual([
      false,
      true,
    ])
    expect((await refresh(bob.refresh_token)).status).toBe(200)
  })
  test('a client’s secret is compared by its hash, and its metadata names our endpoints', async () => {
    const wrong = { ...app, client_secret: 'x', grant_type: 'client_credentials' }
    expect((await post('/token', wrong)).status).toBe(401)
    const metadata = (await (
      await fetch(`${url}/.well-known/openid-configuration`)
    ).json()) as object
    expect(metadata).toMatchObject({
      revocation_endpoint: `${url}/revoke`,
      introspection_endpoint: `${url}/introspect`,
    })
  })
})
