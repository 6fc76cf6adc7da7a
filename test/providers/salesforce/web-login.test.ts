import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../../emulators/index.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { readVisit } from '../../../src/protocol/loopback-door.ts'
import { salesforce } from '../../../src/providers/salesforce/index.ts'
import { type Bench, createBench, tenantOf } from './session-fixture.ts'

let org: SalesforceOrg
beforeAll(async () => {
  org = await startSalesforce({ seed: 61, size: { users: 30, apps: 14, tokens: 50 } })
})
afterAll(() => org.close())

const tenant = (more: Readonly<Record<string, unknown>> = {}) =>
  tenantOf(org, { method: 'web', clientId: org.credentials.tool.clientId, ...more })

/** A person at the org's login page, who then lets the app in or not. */
async function decideAt(address: string, decision: 'allow' | 'deny'): Promise<string> {
  const url = new URL(address)
  const form = new URLSearchParams(url.search)
  form.set('username', org.credentials.admin.username)
  form.set('password', org.credentials.admin.password)
  form.set('decision', decision)
  const page = `${url.origin}${url.pathname}`
  const answer = await fetch(page, { method: 'POST', body: form, redirect: 'manual' })
  return answer.headers.get('location') ?? ''
}

const logIn = (bench: Bench, visit: (url: string) => Promise<void>, at = tenant()) =>
  salesforce.logIn?.(at, { ...bench.means, clock: systemClock }, { open: visit })

describe('login through the browser: code with PKCE to a loopback address', () => {
  it('stores the refresh token, which the tenant then logs in with', async () => {
    await using bench = await createBench()
    await expect(bench.open(tenant())).rejects.toMatchObject({
      code: 'login_needed',
      message: expect.stringMatching(/Run: rescind login --tenant acme/),
    })
    let address = ''
    const account = await logIn(bench, async (url) => {
      address = url
      expect((await fetch(await decideAt(url, 'allow'))).status).toBe(200)
    })
    expect(account?.caller.userName).toBe(org.credentials.admin.username)
    const query = new URL(address).searchParams
    expect(query.get('code_challenge_method')).toBe('S256')
    expect(query.get('redirect_uri')).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback$/)
    expect(query.get('state')?.length).toBeGreaterThanOrEqual(43)
    expect((await bench.open(tenant())).account.id).toBe(org.organizationId)
  })

  it('goes to a configured address of this machine', async () => {
    await using bench = await createBench()
    const redirectUri = 'http://localhost:0/callback'
    let seen = ''
    await logIn(
      bench,
      async (url) => {
        seen = new URL(url).searchParams.get('redirect_uri') ?? ''
        const back = new URL(await decideAt(url, 'allow'))
        back.hostname = '127.0.0.1'
        await fetch(back)
      },
      tenant({ redirectUri }),
    )
    expect(seen).toMatch(/^http:\/\/localhost:\d+\/callback$/)
  })

  it('a person who refuses is heard', async () => {
    await using bench = await createBench()
    const login = logIn(bench, async (url) => {
      await fetch(await decideAt(url, 'deny'))
    })
    await expect(login).rejects.toMatchObject({
      code: 'not_authenticated',
      message: expect.stringMatching(/refused in the browser: access_denied/),
    })
  })

  it('answers of strangers are not taken, and the wait goes on', async () => {
    await using bench = await createBench()
    const account = await logIn(bench, async (url) => {
      const callback = new URL(url).searchParams.get('redirect_uri') ?? ''
      for (const tail of ['?code=evil&state=guess', '?code=evil', '', '/../x?code=evil']) {
        expect((await fetch(`${callback}${tail}`)).status).toBe(404)
      }
      await fetch(await decideAt(url, 'allow'))
    })
    expect(account?.id).toBe(org.organizationId)
  })

  it('the door closes when nobody comes', async () => {
    await using bench = await createBench()
    let callback = ''
    const login = salesforce.logIn?.(tenant(), bench.means, {
      open: (url) => {
        callback = new URL(url).searchParams.get('redirect_uri') ?? ''
      },
    })
    await expect(login).rejects.toMatchObject({
      message: expect.stringMatching(/Nobody logged in/),
    })
    await expect(fetch(callback)).rejects.toThrow()
  })

  it.each<[string, Readonly<Record<string, unknown>>, string]>([
    [
      'a public redirect address',
      { redirectUri: 'https://evil.example/callback' },
      'config_invalid',
    ],
    ['a plain one of elsewhere', { redirectUri: 'http://10.0.0.1:80/callback' }, 'config_invalid'],
  ])('%s is refused before anything is opened', async (_title, more, code) => {
    await using bench = await createBench()
    let opened = false
    const login = logIn(
      bench,
      async () => {
        opened = true
      },
      tenant(more),
    )
    await expect(login).rejects.toMatchObject({ code })
    expect(opened).toBe(false)
  })

  it('a tenant that logs in another way is told so', async () => {
    await using bench = await createBench()
    const login = logIn(bench, async () => {}, tenantOf(org))
    await expect(login).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/logs in by password/),
    })
  })
})

describe('RFC 6749 section 10.12: only the answer with our state is ours', () => {
  it.each([
    ['code and state', 'GET', '/callback?code=c&state=s', 'code'],
    ['another state', 'GET', '/callback?code=c&state=t', 'stranger'],
    ['no state', 'GET', '/callback?code=c', 'stranger'],
    ['another path', 'GET', '/favicon.ico?code=c&state=s', 'stranger'],
    ['another method', 'POST', '/callback?code=c&state=s', 'stranger'],
    ['an error', 'GET', '/callback?error=access_denied&state=s', 'refused'],
    ['an error without our state', 'GET', '/callback?error=access_denied', 'stranger'],
    ['neither code nor error', 'GET', '/callback?state=s', 'refused'],
  ])('%s', (_title, method, url, kind) => {
    expect(readVisit({ method, url }, '/callback', 's').kind).toBe(kind)
  })

  it.each([
    ['no state', '/callback?code=c', 'code'],
    ['an error without a state', '/callback?error=access_denied', 'refused'],
    ['another state', '/callback?code=c&state=t', 'stranger'],
    ['an empty state', '/callback?code=c&state=', 'stranger'],
    ['nothing at all', '/callback', 'stranger'],
    ['another path', '/favicon.ico?code=c', 'stranger'],
  ])('where the provider may not echo it: %s', (_title, url, kind) => {
    expect(readVisit({ method: 'GET', url }, '/callback', 's', true).kind).toBe(kind)
  })
})
