import { expect, test } from 'vitest'
import { startSalesforce } from '../../emulators/index.ts'
import { start } from '../../examples/connections-express/server.ts'
import { Secret } from '../../src/connections/index.ts'
import { walkLogin } from '../emulators/clients/login-walk.ts'
import { freePort } from '../support/free-port.ts'
import { tempHome } from '../support/temp-home.ts'

const KEY = 'rsk_a-key-that-is-long-enough-for-anybody'

test('the platform on Express: invite → consent → callback → a healthy token → revoked → invite again', async () => {
  await using org = await startSalesforce({ seed: 5, size: { users: 30, apps: 14, tokens: 100 } })
  using home = tempHome()
  const { connected, admin } = org.credentials
  const origin = `http://127.0.0.1:${await freePort()}`
  const redirectUri = `${origin}/connections/callback`
  const { connections, close } = await start(origin, home.path, {
    url: org.url,
    app: {
      ...{ clientId: connected.clientId, clientSecret: new Secret(connected.clientSecret ?? '') },
      ...{ redirectUri, scopes: ['api', 'refresh_token'] },
    },
  })
  const text = async (path: string) => (await fetch(origin + path)).text()
  const ask = async (method: string, path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(origin + path, { method, headers })
    // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects
    return { status: answer.status, body: (await answer.json().catch(() => null)) as any }
  }
  const connect = async () => {
    const invited = await ask('POST', '/customers/acme/invitation')
    expect(invited).toMatchObject({ status: 201, body: { id: expect.stringMatching(/^con_/) } })
    const query = await walkLogin(invited.body.url, redirectUri, { ...admin, decision: 'Allow' })
    const page = await fetch(`${redirectUri}?${query}`)
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('works')])
    return String(invited.body.id)
  }
  try {
    expect(await text('/')).toContain('acme: not connected')
    expect(await ask('POST', '/customers/nobody/invitation')).toMatchObject({ status: 404 })
    const id = await connect()
    expect(await text('/')).toContain('acme: connected')
    const read = await ask('GET', '/customers/acme/user')
    expect(read).toMatchObject({ status: 200, body: { user: admin.userId } })

    await connections.store.addApiKey(new Secret(KEY), 'billing')
    const key = { authorization: `Bearer ${KEY}` }
    expect(await ask('GET', `/connections/${id}`)).toMatchObject({ status: 401 })
    const shown = await ask('GET', `/connections/${id}`, key)
    expect(shown).toMatchObject({ status: 200, body: { owner: 'acme', state: 'connected' } })
    const { state } = (await ask('POST', `/connections/${id}/disable`, key)).body
    expect(state).toBe('disabled')
    await ask('POST', `/connections/${id}/enable`, key)

    const { refresh } = await connections.vault.tokens(id)
    const body = new URLSearchParams({ token: refresh?.reveal() ?? '' })
    await fetch(`${org.url}/services/oauth2/revoke`, { method: 'POST', body })
    expect(await ask('GET', '/customers/acme/user')).toMatchObject({ status: 409 })
    expect(await connect()).toBe(id)
    expect(await ask('GET', '/customers/acme/user')).toMatchObject({ status: 200 })
  } finally {
    await close()
  }
})
