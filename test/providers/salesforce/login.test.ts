import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../../emulators/index.ts'
import { Secret } from '../../../src/core/secret.ts'
import { createBench, passwordLogin, tenantOf } from './session-fixture.ts'

let org: SalesforceOrg
beforeAll(async () => {
  org = await startSalesforce({ seed: 11, size: { users: 40, apps: 14, tokens: 200 } })
})
afterAll(() => org.close())

type Login = Readonly<Record<string, unknown>>

const jwt = (): Login => ({
  method: 'jwt',
  clientId: org.credentials.jwt.clientId,
  username: org.credentials.jwt.username,
  privateKey: new Secret(org.credentials.jwt.privateKeyPem),
})
const clientCredentials = (): Login => ({
  method: 'client_credentials',
  clientId: org.credentials.integration.clientId,
  clientSecret: new Secret(org.credentials.integration.clientSecret),
})
const refreshToken = (): Login => ({
  method: 'refresh_token',
  clientId: org.credentials.tool.clientId,
  refreshToken: new Secret(org.credentials.refreshToken),
})
const accessToken = (): Login => ({
  method: 'access_token',
  accessToken: new Secret(org.credentials.accessToken),
})

describe('ways to log in', () => {
  const admin = () => org.credentials.admin.username
  it.each([
    ['jwt', jwt, admin],
    ['client_credentials', clientCredentials, () => org.credentials.integration.username],
    ['refresh_token', refreshToken, admin],
    ['password', () => passwordLogin(org), admin],
    ['access_token', accessToken, admin],
  ])('%s says who we are', async (_method, login, userName) => {
    await using bench = await createBench()
    const { account } = await bench.open(tenantOf(org, login()))
    expect(account.caller.userName).toBe(userName())
    expect(account).toMatchObject({ id: org.organizationId, name: 'Acme (emulated)', url: org.url })
    expect(account.id).toHaveLength(18)
  })

  it('takes an identifier that came as a secret, as a reference to the environment gives it', async () => {
    await using bench = await createBench()
    const login = {
      ...clientCredentials(),
      clientId: new Secret(String(clientCredentials().clientId)),
    }
    const { account } = await bench.open(tenantOf(org, login))
    expect(account.caller.userName).toBe(org.credentials.integration.username)
  })
})

describe('logins that are refused, each with one sentence and no secret', () => {
  const wrong = new Secret('wrong-secret-value')
  it.each<[string, () => Login, string, RegExp]>([
    [
      'wrong password',
      () => ({ ...passwordLogin(org), password: wrong }),
      'not_authenticated',
      /refused the login: invalid_grant, authentication failure/,
    ],
    [
      'wrong client secret',
      () => ({ ...clientCredentials(), clientSecret: wrong }),
      'not_authenticated',
      /invalid_client/,
    ],
    [
      'spent access token',
      () => ({ ...accessToken(), accessToken: new Secret('00DWt0000000004!dead.token') }),
      'login_needed',
      /cannot renew it/,
    ],
    [
      'spent refresh token',
      () => ({ ...refreshToken(), refreshToken: wrong }),
      'login_needed',
      /expired access\/refresh token.*new refresh token/,
    ],
    [
      'wrong client of a refresh token',
      () => ({ ...refreshToken(), clientId: 'nobody' }),
      'not_authenticated',
      /clientId/,
    ],
    ['key that is none', () => ({ ...jwt(), privateKey: wrong }), 'config_invalid', /PKCS #8/],
    [
      'audience of somebody else',
      () => ({ ...jwt(), audience: 'https://elsewhere.example' }),
      'not_authenticated',
      /audience/i,
    ],
    [
      'user who has not approved',
      () => ({ ...jwt(), username: 'nobody@acme.example' }),
      'not_authenticated',
      /approved this consumer/,
    ],
    ['no method', () => ({}), 'config_invalid', /is missing. Use one of: jwt/],
    ['unknown method', () => ({ method: 'oauth' }), 'config_invalid', /is "oauth"/],
    [
      'missing key',
      () => ({ method: 'jwt', clientId: 'x', username: 'y' }),
      'config_invalid',
      /privateKey is missing/,
    ],
    [
      'unknown key',
      () => ({ ...accessToken(), acessToken: wrong }),
      'config_invalid',
      /unknown key acessToken/,
    ],
    [
      'empty secret',
      () => ({ ...accessToken(), accessToken: new Secret('') }),
      'config_invalid',
      /accessToken is empty/,
    ],
  ])('%s', async (_title, login, code, message) => {
    await using bench = await createBench()
    const opened = bench.open(tenantOf(org, login()))
    await expect(opened).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    const error = (await opened.catch((caught: unknown) => caught)) as Error
    expect(`${error.message} ${JSON.stringify(error)}`).not.toContain('wrong-secret-value')
    expect(error.message.length).toBeLessThan(400)
  })

  it.each<[string, number, string]>([
    ['a page', 404, 'answer_invalid'],
    ['a page with 200', 200, 'answer_invalid'],
    ['a redirect', 302, 'http_redirect'],
  ])('names the address that is no login, but %s', async (_title, status, code) => {
    await using bench = await createBench()
    const page = createServer((_request, response) => {
      response.writeHead(status, { 'content-type': 'text/html', location: '/' })
      response.end('<html>Welcome</html>')
    })
    await new Promise<void>((resolve) => page.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(page.address() as AddressInfo).port}`
    await expect(bench.open({ ...tenantOf(org), url })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(url),
    })
    page.close()
  })

  it('refuses plain HTTP to a public host before anything is sent', async () => {
    await using bench = await createBench()
    const tenant = { ...tenantOf(org), url: 'http://acme.my.salesforce.com' }
    await expect(bench.open(tenant)).rejects.toMatchObject({ code: 'url_plain_http' })
  })

  it('tries a login that may be presented again while the org is busy', async () => {
    await using bench = await createBench()
    org.setFaults([{ kind: 'unavailable_503', on: 'token', nth: [1, 2], retryAfterS: 9 }])
    await bench.open(tenantOf(org))
    org.setFaults([])
    expect(bench.clock.waits).toEqual([9000, 9000])
    const said = 'The login got no answer (HTTP 503); trying it again in 9 s.'
    expect(bench.notices).toEqual([said, said])
  })

  it('does not wait for an hour because the org asks for it', async () => {
    await using bench = await createBench()
    org.setFaults([{ kind: 'unavailable_503', on: 'token', retryAfterS: 3_600 }])
    await expect(bench.open(tenantOf(org))).rejects.toMatchObject({ code: 'provider_busy' })
    org.setFaults([])
    expect(bench.clock.waits).toEqual([])
  })
})

describe("login by Salesforce's own CLI", () => {
  /** A stand-in for the sf command: the same output shape, on a real process. */
  const withSf = (script: string) => {
    const folder = mkdtempSync(join(tmpdir(), 'rescind-sf-'))
    const seen = join(folder, 'args')
    writeFileSync(join(folder, 'sf'), `#!/bin/sh\necho "$@" >> ${seen}\n${script}\n`)
    chmodSync(join(folder, 'sf'), 0o755)
    return { env: { ...process.env, PATH: `${folder}:${process.env.PATH}` } }
  }
  const answering = (token: string) => `
case "$*" in
  "org display "*) echo '{"status":0,"result":{"instanceUrl":"${org.url}","accessToken":"[REDACTED] Use sf"}}';;
  "org auth show-access-token "*) echo '{"status":0,"result":{"accessToken":"${token}"}}';;
esac`

  it('takes the instance from org display, and the session from org auth show-access-token', async () => {
    await using bench = await createBench(withSf(answering(org.credentials.accessToken)))
    const { account } = await bench.open(tenantOf(org, { method: 'sf', org: 'acme-prod' }))
    expect(account.caller.userName).toBe(org.credentials.admin.username)
  })

  it.each<[string, string, RegExp]>([
    [
      'an org that nobody logged in to',
      `echo '{"status":1,"name":"NamedOrgNotFoundError","message":"No authorization"}'; exit 1`,
      /NamedOrgNotFoundError.*sf org login web --alias acme-prod/,
    ],
    ['output that is no JSON', 'echo oops; exit 3', /failed for "acme-prod"/],
    [
      'a CLI that hides the token',
      'echo \'{"status":0,"result":{"instanceUrl":"https://x.example","accessToken":"[REDACTED]"}}\'',
      /gave no session/,
    ],
  ])('%s', async (_title, script, message) => {
    await using bench = await createBench(withSf(script))
    const opened = bench.open(tenantOf(org, { method: 'sf', org: 'acme-prod' }))
    await expect(opened).rejects.toMatchObject({
      code: 'not_authenticated',
      message: expect.stringMatching(message),
    })
  })

  it('says that the CLI is not there', async () => {
    await using bench = await createBench({ env: { PATH: '/nonexistent' } })
    const opened = bench.open(tenantOf(org, { method: 'sf', org: 'acme-prod' }))
    await expect(opened).rejects.toMatchObject({ message: expect.stringMatching(/not installed/) })
  })

  it('takes no option for the name of an org', async () => {
    await using bench = await createBench()
    const opened = bench.open(tenantOf(org, { method: 'sf', org: '--flags-dir=/tmp' }))
    await expect(opened).rejects.toMatchObject({ code: 'config_invalid' })
  })
})
