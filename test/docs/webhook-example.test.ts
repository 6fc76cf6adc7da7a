import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test, vi } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import { createWebhookSigner } from '../../src/protocol/standard-webhooks.ts'
import { createAuthority } from '../../src/server/authority.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { freePort } from '../support/free-port.ts'
import { tempHome } from '../support/temp-home.ts'

const PAGE = resolve(import.meta.dirname, '../../docs/authority.md')
const PATIENCE = { timeout: 15_000, interval: 20 }

/** The receiver that the page shows. */
function receiverOfPage(): string {
  const blocks = [...readFileSync(PAGE, 'utf8').matchAll(/^```ts\n(.*?)^```$/gms)]
  const found = blocks.map(([, code = '']) => code).filter((code) => code.includes('webhook-'))
  expect(found).toHaveLength(1)
  return found[0] as string
}

test('the receiver of docs/authority.md takes what is sent, and nothing that is forged', async () => {
  using home = tempHome()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}/`
  const file = join(home.path, 'receiver.ts')
  writeFileSync(file, receiverOfPage().replace('9402', String(port)))
  const secret = `whsec_${randomBytes(32).toString('base64')}`
  const child: ChildProcess = spawn(process.execPath, [file], {
    env: { ...process.env, WEBHOOK_SECRET: secret },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout?.on('data', (part) => {
    printed += part
  })
  const authority = await createAuthority({
    ...{ issuer: 'https://as.example', key: new Uint8Array(32).fill(3) },
    store: await openSqliteAuthorityStore(':memory:'),
    webhooks: [{ url, secret: new Secret(secret), types: ['grant.started', 'reach.revoked'] }],
    onTrouble: () => {},
  })
  try {
    await authority.clients.add({ id: 'app', scope: 'read' })
    await authority.issue({ clientId: 'app', userId: 'ann', scope: 'read' })
    await authority.revoke({ user: 'ann' })
    await vi.waitFor(
      () => expect(printed).toBe('grant.started ann issue\nreach.revoked ann library\n'),
      PATIENCE,
    )
    const body = JSON.stringify({ type: 'x', data: {} })
    const now = String(Math.floor(Date.now() / 1000))
    const forged = { 'webhook-id': 'evt_1', 'webhook-timestamp': now }
    for (const signature of ['v1,', `v1,${'A'.repeat(43)}=`, 'v1a,x', '']) {
      const headers = { ...forged, 'webhook-signature': signature }
      expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(401)
    }
    expect((await fetch(url, { method: 'POST', body })).status).toBe(401)
    // Well signed, and sent again by somebody who kept a copy.
    const headers = createWebhookSigner([new Secret(secret)])('evt_1', Date.now() - 600_000, body)
    expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(401)
  } finally {
    await authority.close()
    child.kill()
    await once(child, 'close')
  }
})
