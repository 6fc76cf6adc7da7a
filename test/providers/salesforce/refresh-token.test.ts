import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Fault, type SalesforceOrg, startSalesforce } from '../../../emulators/index.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { Secret } from '../../../src/core/secret.ts'
import { salesforce } from '../../../src/providers/salesforce/index.ts'
import type { CredentialVault } from '../../../src/store/credentials.ts'
import { type Bench, createBench, tenantOf } from './session-fixture.ts'

/** Longer than any lease. */
const LEASE_MS = 120_000

let org: SalesforceOrg
let bench: Bench
beforeEach(async () => {
  org = await startSalesforce({
    seed: 12,
    size: { users: 30, apps: 14, tokens: 100 },
    switches: { rotation: 'all' },
  })
  bench = await createBench()
})
afterEach(async () => {
  await org.close()
  await bench[Symbol.asyncDispose]()
})

const tenant = (options: Readonly<Record<string, unknown>> = {}) =>
  tenantOf(
    org,
    {
      method: 'refresh_token',
      clientId: org.credentials.tool.clientId,
      refreshToken: new Secret(org.credentials.refreshToken),
    },
    options,
  )
const tokenRequests = () => org.counters().get('token') ?? 0
const isGrantAlive = () => org.truth.isAlive(org.credentials.ownDeleteToken)

describe('refresh token rotation: a new token each time, and a spent one kills the grant', () => {
  it('presents the successor, over many starts', async () => {
    for (let start = 0; start < 5; start += 1) await bench.open(tenant())
    expect(tokenRequests()).toBe(5)
    expect(isGrantAlive()).toBe(true)
  })

  it('lets several processes share one chain', async () => {
    const patient = { ...bench.means, clock: systemClock }
    const open = () => salesforce.open(tenant(), patient)
    await Promise.all([open(), open(), open()])
    expect(tokenRequests()).toBe(3)
    expect(isGrantAlive()).toBe(true)
  })

  it('starts a new chain when the configuration has a new token', async () => {
    await bench.open(tenant())
    const admin = org.credentials.admin.userId
    const fresh = org.addGrant({ userId: admin, appId: org.credentials.tool.clientId })
    const login = { ...tenant().login, refreshToken: new Secret(fresh.refreshToken) }
    await bench.open({ ...tenant(), login })
    expect(org.truth.isAlive(fresh.deleteToken)).toBe(true)
  })
})

describe('a refresh whose outcome is not known is never replayed', () => {
  /** Dies as a killed process does: between the answer and its commit. */
  const dyingAtCommit = (vault: CredentialVault): CredentialVault => ({
    ...vault,
    commit: () => Promise.reject(new Error('killed')),
  })

  it('killed between the answer and the commit: waits for the lease, then says that a login is needed', async () => {
    const vault = dyingAtCommit(bench.store.credentials)
    await expect(salesforce.open(tenant(), { ...bench.means, vault })).rejects.toThrow('killed')
    // While the lease runs, its holder may yet live.
    await expect(bench.open(tenant())).rejects.toMatchObject({ code: 'provider_busy' })
    bench.clock.advance(LEASE_MS)
    await expect(bench.open(tenant())).rejects.toMatchObject({
      code: 'login_needed',
      message: expect.stringMatching(/may be spent/),
    })
    expect(tokenRequests()).toBe(1)
    expect(isGrantAlive()).toBe(true)
  })

  it.each<[string, Fault]>([
    ['reset after the effect', { kind: 'reset_after_effect', on: 'token' }],
    ['500 after the effect', { kind: 'error_500_after_effect', on: 'token' }],
    ['503', { kind: 'unavailable_503', on: 'token' }],
  ])('%s: a login is needed, and the grant is alive', async (_title, fault) => {
    org.setFaults([{ ...fault, nth: 1 }])
    await expect(bench.open(tenant())).rejects.toMatchObject({
      code: expect.stringMatching(/http_reset|provider_busy/),
    })
    org.setFaults([])
    await expect(bench.open(tenant())).rejects.toMatchObject({
      code: 'login_needed',
      message: expect.stringMatching(/may be spent\. Put a new refresh token/),
    })
    expect(tokenRequests()).toBe(1)
    expect(isGrantAlive()).toBe(true)
  })

  it.each<[string, Fault]>([
    ['429', { kind: 'too_many_429', on: 'token' }],
    ['302', { kind: 'redirect_302', on: 'token' }],
  ])('%s says that nothing was spent: the next start goes on', async (_title, fault) => {
    org.setFaults([{ ...fault, nth: 1 }])
    await expect(bench.open(tenant())).rejects.toThrow()
    org.setFaults([])
    await bench.open(tenant())
    expect(isGrantAlive()).toBe(true)
  })

  it('unreachable: nothing was sent, the next start goes on', async () => {
    const elsewhere = { ...tenant(), url: 'http://127.0.0.1:9' }
    await expect(bench.open(elsewhere)).rejects.toMatchObject({ code: 'host_unreachable' })
    await bench.open(tenant())
    expect(isGrantAlive()).toBe(true)
  })

  it('rotation: off costs nothing but another try', async () => {
    await using still = await startSalesforce({
      seed: 12,
      size: { users: 30, apps: 14, tokens: 100 },
      switches: { rotation: 'none' },
    })
    const at = { ...tenant({ rotation: 'off' }), url: still.url }
    still.setFaults([{ kind: 'reset_after_effect', on: 'token', nth: 1 }])
    await expect(bench.open(at)).rejects.toMatchObject({ code: 'http_reset' })
    await bench.open(at)
  })

  it('a refused token is remembered with the reason, and not presented again', async () => {
    await fetch(`${org.url}/services/oauth2/revoke`, {
      method: 'POST',
      body: new URLSearchParams({ token: org.credentials.refreshToken }),
    })
    for (const _start of [1, 2]) {
      await expect(bench.open(tenant())).rejects.toMatchObject({
        code: 'login_needed',
        message: expect.stringMatching(/expired access\/refresh token/),
      })
    }
    expect(tokenRequests()).toBe(1)
  })
})
