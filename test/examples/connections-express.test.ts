import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
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
  let closed: Promise<void> | undefined
  const closeOnce = () => (closed ??= close())
  const text = async (path: string) => (await fetch(origin + path)).text()
  const ask = async (method: string, path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(origin + path, { method, headers })
    // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects
    return { status: answer.status, body: (await answer.json().catch(() => null)) as any }
  }
  const invite = async () => {
    const invited = await ask('POST', '/customers/acme/invitation')
    expect(invited).toMatchObject({ status: 201, body: { id: expect.stringMatching(/^con_/) } })
    const query = await walkLogin(invited.body.url, redirectUri, { ...admin, decision: 'Allow' })
    return { id: String(invited.body.id), page: async () => fetch(`${redirectUri}?${query}`) }
  }
  const connect = async () => {
    const { id, page: open } = await invite()
    const page = await open()
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('works')])
    return id
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

    // Who comes back while it stops gets the page, and the grant is stored.
    const again = await invite()
    org.setFaults([{ kind: 'slow', ms: 300, on: 'token', nth: 1 }])
    const last = again.page()
    using store = new DatabaseSync(join(home.path, 'rescind.db'), { readOnly: true })
    const pending = store.prepare('SELECT 1 FROM reconnect WHERE used_at IS NULL')
    await expect.poll(() => pending.get()).toBeUndefined()
    await closeOnce()
    expect((await last).status).toBe(200)
  } finally {
    await closeOnce()
  }
})
