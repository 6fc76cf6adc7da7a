import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Platform, ReconnectLink } from '../../../src/connections/drill/platform.ts'
import { callbackIn } from '../../../src/connections/open-connectors/consent.ts'
import type { Instance } from '../../../src/connections/open-connectors/instance.ts'
import { openConnectorsPlatform } from '../../../src/connections/open-connectors/platform.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { Secret } from '../../../src/core/secret.ts'
import { type Estate, startEstate } from './estate.ts'

let estate: Estate
let instance: Instance
let platform: Platform
beforeEach(async () => {
  estate = await startEstate()
  instance = await estate.makeInstance()
  const { http, fingerprint, account } = estate
  platform = openConnectorsPlatform({
    ...{ client: estate.client(), instance: instance.id, http, fingerprint, clock: systemClock },
    mailbox: { since: async () => account.emails() },
    nightly: async () => void (await account.runNight()),
  })
})
afterEach(() => estate[Symbol.asyncDispose]())

const revoke = async (token: string | undefined) => {
  await estate.http.send({
    method: 'POST',
    url: `${estate.org.url}/services/oauth2/revoke`,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token: token ?? '' }).toString(),
  })
}
const held = async () => platform.tokens()
const visit = async (link: ReconnectLink, deny = false) =>
  callbackIn((await estate.consentAt(link.url, { deny })).href)

describe('an instance as a drill sees it', () => {
  it('is read without being used', async () => {
    estate.account.forget()
    const snapshot = await platform.snapshot()
    expect(snapshot).toMatchObject({
      id: String(instance.id),
      tags: ['drill'],
      state: 'connected',
      identity: { user: estate.org.credentials.admin.userId },
      scopes: ['full', 'refresh_token'],
      facts: { element: 'sfdc', elementToken: expect.stringMatching(/^fp_/) },
    })
    expect(snapshot.accessFingerprint).toMatch(/^fp_/)
    expect(estate.account.providerCalls).toEqual([])
  })

  it('a revoked access token heals with one refresh, unseen by who calls', async () => {
    const before = await platform.snapshot()
    await revoke((await held()).access.reveal())
    estate.account.forget()
    expect(await platform.call()).toMatchObject({ ok: true, cause: null })
    expect(estate.account.truth.instance(instance.id)?.refreshSuccesses).toBe(1)
    expect((await platform.snapshot()).accessFingerprint).not.toBe(before.accessFingerprint)
  })

  it('a page with status 200 is no sign of life, and lets nobody in', async () => {
    estate.account.setFaults([
      { kind: 'html_200', on: 'hub' },
      { kind: 'html_200', on: 'list' },
    ])
    const unknown = { ok: false, status: 200, providerRefused: false, cause: 'malformed_answer' }
    expect(await platform.call()).toMatchObject(unknown)
    expect(await platform.forceRefresh()).toMatchObject(unknown)
    expect(await platform.control()).toBe(false)
  })

  it('a revoked grant: refused by the provider, disabled by the night, told by mail', async () => {
    await revoke((await held()).refresh?.reveal())
    expect(await platform.call()).toMatchObject({
      ok: false,
      status: 401,
      providerRefused: true,
      cause: 'revoked_or_expired',
      requestId: expect.stringMatching(/^[0-9a-f]{24}$/),
    })
    expect(await platform.control()).toBe(true)
    await platform.scheduledCheck()
    await expect
      .poll(async () => (await platform.snapshot()).state, { timeout: 5_000 })
      .toBe('disabled')
    await expect
      .poll(() => platform.notices(0))
      .toMatchObject([{ kind: 'disabled', signatureGood: null }])
    expect(await platform.enable()).toBe('enabled')
    expect(await platform.enable()).toBe('not_needed')
    const link = await platform.reconnectLink()
    expect(await platform.applyCallback(link, await visit(link))).toEqual({
      ...{ ok: true, route: 'PATCH', cause: null },
    })
    expect(await platform.call()).toMatchObject({ ok: true })
    expect(await platform.forceRefresh()).toMatchObject({ ok: true })
  })

  it('a denial is the owner’s, and changes nothing', async () => {
    const before = estate.account.truth.instance(instance.id)
    const link = await platform.reconnectLink()
    expect(await platform.applyCallback(link, await visit(link, true))).toEqual({
      ...{ ok: false, route: 'callback', cause: 'by_owner' },
    })
    expect(estate.account.truth.instance(instance.id)).toEqual(before)
  })

  it('a forged state is not taken, not even as a denial', async () => {
    const link = await platform.reconnectLink()
    const forged = { code: null, state: 'forged', error: 'access_denied' }
    await expect(platform.applyCallback(link, forged)).rejects.toMatchObject({
      code: 'reconnect_refused',
    })
  })

  it('after a PATCH that failed a fresh code goes by PUT, and the next one by PATCH again', async () => {
    estate.account.setFaults([{ kind: 'error_500_before_effect', on: 'patch', nth: 1 }])
    const routes: string[] = []
    for (let nth = 0; nth < 3; nth += 1) {
      const link = await platform.reconnectLink()
      const { ok, route } = await platform.applyCallback(link, await visit(link))
      routes.push(`${route} ${ok}`)
    }
    expect(routes).toEqual(['PATCH false', 'PUT true', 'PATCH true'])
  })

  it.each([
    ['that was refused was not taken', 'no-code-of-theirs', null, false],
    ['of which the answer is a 5xx may have been', null, 'error_500_before_effect', true],
  ] as const)('a code %s', async (_title, wrong, kind, mayBeTaken) => {
    if (kind !== null) estate.account.setFaults([{ kind, on: 'patch', nth: 1 }])
    const link = await platform.reconnectLink()
    const came = await visit(link)
    const callback = wrong === null ? came : { ...came, code: new Secret(wrong) }
    expect(await platform.applyCallback(link, callback)).toMatchObject({ ok: false, mayBeTaken })
  })

  it('an account that cannot be reached is the network’s fault', async () => {
    await estate.account.close()
    expect(await platform.call()).toMatchObject({ ok: false, status: null, cause: 'network' })
    await expect(platform.snapshot()).rejects.toThrow()
  })

  it('a secret of ours that was reset is our fault', async () => {
    estate.account.resetUserSecret()
    expect(await platform.call()).toMatchObject({
      cause: 'our_client_refused',
      providerRefused: false,
    })
    expect(await platform.control()).toBe(false)
  })
})
