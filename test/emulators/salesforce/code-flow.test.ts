import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { SalesforceOrg } from '../../../emulators/index.ts'
import { NOW_MS, post, query, type Reply, rest, send, startOrg } from './org-fixture.ts'

const AUTHORIZE = '/services/oauth2/authorize'
const TOKEN = '/services/oauth2/token'
const VERIFIER = 'a-verifier-of-at-least-forty-three-characters-000'
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url')
const CALLBACK = 'http://127.0.0.1:50123/callback'

function request(org: SalesforceOrg, more: Record<string, string> = {}): Record<string, string> {
  return {
    response_type: 'code',
    client_id: org.credentials.tool.clientId,
    redirect_uri: CALLBACK,
    scope: 'api refresh_token',
    state: 'st&te',
    code_challenge: CHALLENGE,
    ...more,
  }
}

function allow(org: SalesforceOrg, more: Record<string, string> = {}): Promise<Reply> {
  const { username, password } = org.credentials.admin
  return post(org, AUTHORIZE, { ...request(org), username, password, decision: 'allow', ...more })
}

function backOf(reply: Reply): URLSearchParams {
  expect(reply.status).toBe(302)
  return new URL(reply.headers.get('location')!).searchParams
}

function exchange(
  org: SalesforceOrg,
  code: string,
  more: Record<string, string> = {},
): Promise<Reply> {
  return post(org, TOKEN, {
    grant_type: 'authorization_code',
    code,
    client_id: org.credentials.tool.clientId,
    redirect_uri: CALLBACK,
    code_verifier: VERIFIER,
    ...more,
  })
}

function hiddenOf(html: string): Record<string, string> {
  const fields = html.matchAll(/type="hidden" name="([^"]+)" value="([^"]*)"/g)
  return Object.fromEntries(
    [...fields].map(([, name, value]) => [name, value!.replaceAll('&amp;', '&')]),
  )
}

describe('authorization code with PKCE', () => {
  test('login page, approval page, redirect, tokens', async () => {
    const org = await startOrg()
    const { username, password } = org.credentials.admin
    const login = await send(`${org.url}${AUTHORIZE}?${new URLSearchParams(request(org))}`)
    expect(login.text).toContain('name="password"')
    const approval = await post(org, AUTHORIZE, { ...hiddenOf(login.text), username, password })
    expect(approval.text).toContain('Rescind asks for: api refresh_token')
    const back = backOf(
      await post(org, AUTHORIZE, { ...hiddenOf(approval.text), decision: 'allow' }),
    )
    expect(back.get('state')).toBe('st&te')
    const { json } = await exchange(org, back.get('code')!)
    expect(json).toMatchObject({ scope: 'api refresh_token', token_type: 'Bearer' })
    expect(json.refresh_token).toMatch(/^5Aep861/)
    expect((await rest(org, '/limits', {}, json.access_token)).status).toBe(200)
    const soql = `SELECT RequestToken, CreatedDate FROM OauthToken WHERE AppName = 'Rescind' AND CreatedDate = ${new Date(NOW_MS).toISOString()}`
    expect((await query(org, soql)).json.records[0].RequestToken).toBe(back.get('code'))
  })

  test('without the scope refresh_token there is no refresh token and no row', async () => {
    const org = await startOrg()
    const { json } = await exchange(org, backOf(await allow(org, { scope: 'api' })).get('code')!)
    expect([json.refresh_token, org.truth.counts().grants]).toEqual([undefined, 1_201])
  })

  test('the scope openid gives an id token', async () => {
    const org = await startOrg()
    const scope = 'openid refresh_token'
    const back = backOf(await allow(org, { scope, nonce: 'n-1' }))
    const { json } = await exchange(org, back.get('code')!)
    const claims = JSON.parse(Buffer.from(json.id_token.split('.')[1], 'base64url').toString())
    expect(claims).toMatchObject({ iss: org.url, nonce: 'n-1', aud: org.credentials.tool.clientId })
  })

  test.each([
    ['a wrong verifier', { code_verifier: 'wrong' }, 'invalid_grant'],
    [
      'another redirect URI',
      { redirect_uri: 'http://127.0.0.1:1/callback' },
      'redirect_uri_mismatch',
    ],
    ['an unknown code', { code: 'aPrxNever' }, 'invalid_grant'],
  ])('%s is refused', async (_, more, error) => {
    const org = await startOrg()
    const code = backOf(await allow(org)).get('code')!
    expect((await exchange(org, code, more)).json.error).toBe(error)
  })

  test('a code works once, and for fifteen minutes', async () => {
    let now = NOW_MS
    const org = await startOrg({ now: () => now })
    const once = backOf(await allow(org)).get('code')!
    expect((await exchange(org, once)).status).toBe(200)
    expect((await exchange(org, once)).json.error_description).toBe('expired authorization code')
    const late = backOf(await allow(org)).get('code')!
    now += 15 * 60_000
    expect((await exchange(org, late)).json.error_description).toBe('expired authorization code')
  })

  test('the control plane lets codes grow old that nobody has redeemed', async () => {
    const org = await startOrg()
    const code = backOf(await allow(org)).get('code')!
    const age = async (ms: number) => {
      const init = { method: 'POST', body: JSON.stringify({ ms }) }
      return (await fetch(`${org.url}/__emulator/age-codes`, init)).json()
    }
    expect(await age(15 * 60_000)).toEqual({ aged: 1 })
    expect((await exchange(org, code)).json.error_description).toBe('expired authorization code')
    expect(await age(15 * 60_000)).toEqual({ aged: 0 })
  })
})

describe('authorization endpoint: refusals', () => {
  test.each([
    ['denied', { decision: 'deny' }, 'access_denied'],
    ['another response type', { response_type: 'token' }, 'unsupported_response_type'],
    ['a plain challenge', { code_challenge_method: 'plain' }, 'invalid_request'],
  ])('%s goes back with %s', async (_, more, error) => {
    const org = await startOrg()
    const back = backOf(await allow(org, more))
    expect([back.get('error'), back.get('state')]).toEqual([error, 'st&te'])
  })

  test.each([
    ['a callback that is not registered', { redirect_uri: 'https://evil.example/callback' }],
    [
      'a host that only begins like one',
      { redirect_uri: 'http://127.0.0.1.evil.example/callback' },
    ],
    ['an unknown client', { client_id: 'nobody' }],
  ])('%s is never redirected to', async (_, more) => {
    const org = await startOrg()
    expect((await allow(org, more)).status).toBe(400)
  })

  test('a wrong password shows the login page again', async () => {
    const org = await startOrg()
    const reply = await allow(org, { password: 'wrong' })
    expect([reply.status, reply.text.includes('check your username')]).toEqual([401, true])
  })

  test.each([
    ['CI Deployer', 'user is not admin approved to access this app'],
    ['Dataloader Partner', 'app must be installed into org'],
  ])('%s lets no user in who was not approved', async (label, description) => {
    const org = await startOrg()
    const { username, password } = org.credentials.limited
    const app = org.truth.apps().find((entry) => entry.label === label)!
    const back = backOf(await allow(org, { client_id: app.appId, username, password }))
    expect(back.get('error_description')).toBe(description)
  })
})

describe('five approvals of one app', () => {
  test('the sixth ends the oldest', async () => {
    const org = await startOrg()
    const own = org.credentials.ownDeleteToken
    for (let n = 0; n < 4; n += 1) await exchange(org, backOf(await allow(org)).get('code')!)
    expect(org.truth.isAlive(own)).toBe(true)
    await exchange(org, backOf(await allow(org)).get('code')!)
    expect(org.truth.grant(own)).toMatchObject({ alive: false, killedBy: 'sixth_approval' })
  })
})

describe('device flow', () => {
  test('pending, then approved, then tokens once', async () => {
    const org = await startOrg()
    const client = { client_id: org.credentials.tool.clientId }
    const start = await post(org, TOKEN, { ...client, response_type: 'device_code', scope: 'api' })
    const poll = () =>
      post(org, TOKEN, { ...client, grant_type: 'device', code: start.json.device_code })
    expect((await poll()).json.error).toBe('authorization_pending')
    const { username, password } = org.credentials.admin
    const { user_code, verification_uri } = start.json
    const body = new URLSearchParams({ user_code, username, password, decision: 'allow' })
    expect((await send(verification_uri, { method: 'POST', body })).status).toBe(200)
    const { json } = await poll()
    expect((await rest(org, '/limits', {}, json.access_token)).status).toBe(200)
    expect((await poll()).json.error).toBe('invalid_grant')
  })

  test('is closed to uninstalled apps', async () => {
    const org = await startOrg()
    const app = org.truth.apps().find((entry) => entry.kind === 'uninstalled')!
    const form = {
      response_type: 'device_code',
      client_id: app.appId,
      client_secret: app.clientSecret,
    }
    expect((await post(org, TOKEN, form)).json.error).toBe('invalid_client')
  })
})
