import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCursorNote } from '../../src/server/webhook-cursor.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { openReceiver, type Receiver } from '../server/webhook-receiver.ts'
import { rescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

const SECRET = Buffer.alloc(32, 5).toString('base64')
const AT = Date.UTC(2026, 0, 2)

let home: ReturnType<typeof tempHome>
let receiver: Receiver

beforeEach(async () => {
  home = tempHome()
  receiver = await openReceiver(SECRET)
  const webhook = `webhooks: [{ url: "${receiver.url}?key=geheim", secret: "\${env:HOOK}" }]`
  const lines = ['issuer: http://127.0.0.1:9', webhook]
  writeFileSync(join(home.path, 'rescind.yaml'), `authority:\n  ${lines.join('\n  ')}\n`)
  expect((await run('client', 'add', 'app')).exitCode).toBe(0)
  await setAside()
})
afterEach(async () => {
  await receiver[Symbol.asyncDispose]()
  home[Symbol.dispose]()
})

const run = (...args: string[]) =>
  rescind(args, { home: home.path, env: { HOOK: `whsec_${SECRET}` } })

/** Leaves the receiver disabled, and the first event set aside, as days of refusals do. */
async function setAside(): Promise<void> {
  const store = await openSqliteAuthorityStore(join(home.path, 'authority.db'))
  const [event] = await store.readEvents(null, 1)
  const one = { event: event!, at: AT, tries: 8, why: 'it answered 400' }
  await createCursorNote(store, `${receiver.url}?key=geheim`).change((cursor) => ({
    ...cursor,
    ...{ failures: 3, disabledAt: AT, aside: [one] },
  }))
  await store.close()
}

describe('rescind authority webhooks', () => {
  test('lists receivers and what was set aside, without the secret of an address', async () => {
    const said = await run('authority', 'webhooks', 'list')
    expect(said.stdout).toContain(new URL(receiver.url).origin)
    expect(said.stdout).toMatch(/disabled +3 +1\b/)
    expect(said.stdout).toContain(
      '1: evt_1 client.changed, set aside 2026-01-02T00:00:00.000Z after 8 tries: it answered 400',
    )
    const told = await run('authority', 'webhooks', 'list', '--json')
    expect(told.json.webhooks).toMatchObject([
      { number: 1, state: 'disabled', aside: [{ id: 'evt_1', tries: 8 }] },
    ])
    for (const { stdout, stderr } of [said, told]) expect(stdout + stderr).not.toContain('geheim')
  })

  test('sends it again, and says what the receiver still refuses', async () => {
    receiver.manner = { status: 422 }
    const refused = await run('authority', 'webhooks', 'send-again', '1')
    expect([refused.exitCode, refused.stderr]).toEqual([
      1,
      expect.stringContaining('1 event is still set aside'),
    ])
    expect(refused.stdout).toContain('after 9 tries: it answered 422')
    receiver.manner = 'take'
    const taken = await run('authority', 'webhooks', 'send-again', '1')
    expect([taken.exitCode, taken.stdout]).toEqual([0, expect.stringContaining('took 1 event')])
    expect(receiver.taken).toEqual(['evt_1'])
    expect(receiver.seen.every(({ isSigned }) => isSigned)).toBe(true)
    const after = await run('authority', 'webhooks', 'list', '--json')
    expect(after.json.webhooks).toMatchObject([{ state: 'disabled', aside: [] }])
  })

  test('tries a disabled receiver again', async () => {
    expect((await run('authority', 'webhooks', 'enable', '1')).exitCode).toBe(0)
    const after = await run('authority', 'webhooks', 'list', '--json')
    expect(after.json.webhooks).toMatchObject([{ state: 'delivering', failures: 0 }])
  })

  test.each(['send-again', 'enable'])(
    '%s: a number that none has is one sentence',
    async (verb) => {
      const ran = await run('authority', 'webhooks', verb, '2')
      expect([ran.exitCode, ran.stderr]).toEqual([
        2,
        expect.stringContaining('There is no webhook 2'),
      ])
    },
  )
})
