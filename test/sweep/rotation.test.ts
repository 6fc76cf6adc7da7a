import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { type CliOptions, rescind, secretsOf, spawnRescind } from '../support/run-cli.ts'
import { tempHome } from '../support/temp-home.ts'

const SIZE = { users: 20, apps: 14, tokens: 60 }
/** Past every lease. */
const HOUR_MS = 3_600_000

/** An org whose tokens all rotate, and a tenant that logs in by the tool's own refresh token. */
async function rotatingOrg(home: string): Promise<{ org: SalesforceOrg; options: CliOptions }> {
  const org = await startSalesforce({ seed: 3, size: SIZE, switches: { rotation: 'all' } })
  const options = { home, env: secretsOf(org) }
  const { clientId } = org.credentials.tool
  const added = await rescind(
    [
      ...['tenant', 'add', 'acme', '--url', org.url, '--login', 'refresh_token'],
      ...['--set', `clientId=${clientId}`, '--set', `refreshToken=\${env:TEST_REFRESH_TOKEN}`],
    ],
    options,
  )
  expect(added.exitCode).toBe(0)
  return { org, options }
}

function ownGrant(org: SalesforceOrg) {
  return org.truth.grant(org.credentials.ownDeleteToken)
}

function laterBy(ms: number): Clock {
  return { now: () => systemClock.now() + ms, sleep: systemClock.sleep }
}

describe('RFC 9700 section 4.14.2: a rotated refresh token', () => {
  test('is stored, and its successor is what the next command presents', async () => {
    using home = tempHome()
    const { org, options } = await rotatingOrg(home.path)
    await using _ = org
    const first = ownGrant(org)?.refreshToken
    for (let n = 0; n < 3; n += 1) {
      expect((await rescind(['tenant', 'check'], options)).exitCode).toBe(0)
    }
    expect(ownGrant(org)).toMatchObject({ alive: true, killedBy: 'none' })
    expect(ownGrant(org)?.refreshToken).not.toBe(first)
  })

  test('is never replayed after SIGKILL between the response and the commit: the tenant needs a login', async () => {
    using home = tempHome()
    const { org, options } = await rotatingOrg(home.path)
    await using _ = org
    const first = ownGrant(org)?.refreshToken
    // The org rotates at once, and its answer is on its way when the process dies.
    org.setFaults([{ kind: 'slow', on: 'token', ms: 20_000 }])
    const child = spawnRescind(['tenant', 'check'], options)
    while (ownGrant(org)?.refreshToken === first) await sleep(5)
    child.process.kill('SIGKILL')
    await child.done
    org.setFaults([])

    const later = { ...options, clock: laterBy(HOUR_MS) }
    for (const args of [['tenant', 'check'], ['inventory'], ['plan', '--user-inactive']]) {
      const { exitCode, stderr } = await rescind(args, later)
      expect(exitCode, stderr).toBe(3)
      expect(stderr).toMatch(/^rescind: .*refresh token may be spent.*Put a new refresh token/s)
    }
    // A second presentation would have been taken for a theft, and cost the whole grant.
    expect(ownGrant(org)).toMatchObject({ alive: true, killedBy: 'none' })
    expect(org.counters().get('token')).toBeUndefined()
  })

  test('is waited for by a second process while the first holds its lease', async () => {
    using home = tempHome()
    const { org, options } = await rotatingOrg(home.path)
    await using _ = org
    org.setLatency(30)
    // Processes: within one, a store that waits for the lock would keep the other from its end.
    const children = [1, 2, 3].map(() => spawnRescind(['tenant', 'check'], options).done)
    const all = await Promise.all(children)
    expect(all.map(({ code, stderr }) => (code === 0 ? 0 : stderr))).toEqual([0, 0, 0])
    expect(ownGrant(org)).toMatchObject({ alive: true, killedBy: 'none' })
  })

  test('that was spent by an answer which cannot be read is not presented again', async () => {
    using home = tempHome()
    const { org, options } = await rotatingOrg(home.path)
    await using _ = org
    for (const kind of ['truncated_body', 'html_200', 'reset_after_effect'] as const) {
      org.setFaults([{ kind, on: 'token' }])
      const { exitCode } = await rescind(['tenant', 'check'], options)
      expect(exitCode).not.toBe(0)
    }
    org.setFaults([])
    expect((await rescind(['tenant', 'check'], options)).exitCode).toBe(3)
    expect(ownGrant(org)).toMatchObject({ alive: true, killedBy: 'none' })
  })
})
