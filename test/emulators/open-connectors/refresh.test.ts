import { describe, expect, test } from 'vitest'
import type { Clock } from '../../../src/core/clock.ts'
import {
  accounts,
  blanksAnd,
  call,
  codeOf,
  disabledInstance,
  header,
  makeInstance,
  RETRY_MS,
  refreshesSeen,
  revokeAt,
  startPair,
  until,
} from './account-fixture.ts'

const HOUR_MS = 3_600_000

/** A clock whose time a test moves, and whose waits end when their moment has come. */
function handClock(): Clock & { readonly waits: number[]; advance(ms: number): Promise<void> } {
  let now = Date.now()
  const waiting = new Set<{ readonly until: number; readonly wake: () => void }>()
  const waits: number[] = []
  return {
    waits,
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        waits.push(ms)
        const entry = { until: now + ms, wake: resolve }
        waiting.add(entry)
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
      }),
    advance: async (ms) => {
      now += ms
      for (const entry of waiting) {
        if (entry.until > now) continue
        waiting.delete(entry)
        entry.wake()
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    },
  }
}

describe('refreshes on demand', () => {
  test('at a 401 of the provider, once, and the new time is written', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    await revokeAt(pair, made, 'access')
    await accounts(pair, made)
    await accounts(pair, made)
    expect(refreshesSeen(pair)).toBe(1)
    const { json } = await call(pair, `GET /instances/${made.id}`)
    expect(Number(json.configuration['oauth.user.refresh_time'])).toBeGreaterThan(
      Number(made.json.configuration['oauth.user.refresh_time']),
    )
  })

  test('past the interval, before the call', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    pair.account.ageTokens(made.id, HOUR_MS - 60_000)
    await accounts(pair, made)
    expect(refreshesSeen(pair)).toBe(0)
    pair.account.ageTokens(made.id, 60_000)
    await accounts(pair, made)
    expect(pair.account.providerCalls.map(({ kind, trigger }) => `${kind} ${trigger}`)).toEqual([
      'code authentication',
      'call call',
      'refresh interval',
      'call call',
    ])
  })

  test.each([
    ['one', 1],
    ['each', 8],
  ] as const)(
    'switch concurrentRefreshes %s: eight calls at once send %i',
    async (concurrentRefreshes, sent) => {
      const pair = await startPair({ switches: { concurrentRefreshes } })
      const made = await makeInstance(pair)
      pair.org.setFaults([{ kind: 'slow', on: 'token', ms: 60 }])
      await revokeAt(pair, made, 'access')
      const replies = await Promise.all(Array.from({ length: 8 }, () => accounts(pair, made)))
      expect(replies.map(({ status }) => status)).toEqual(Array(8).fill(200))
      expect(refreshesSeen(pair)).toBe(sent)
    },
  )

  test('a 401 that comes late, after another call has refreshed, sends none', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    await revokeAt(pair, made, 'access')
    pair.org.setFaults([{ kind: 'slow', on: 'query', nth: 1, ms: 80 }])
    const late = accounts(pair, made)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect((await accounts(pair, made)).status).toBe(200)
    expect((await late).status).toBe(200)
    expect(refreshesSeen(pair)).toBe(1)
  })

  test('an answer that comes late, after a re-authentication, is not stored over it', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    const code = await codeOf(pair)
    await revokeAt(pair, made, 'access')
    pair.org.setFaults([{ kind: 'slow', on: 'token', nth: 1, ms: 120 }])
    const late = accounts(pair, made)
    await until(() => pair.account.truth.instance(made.id)?.refreshAttempts === 1)
    await new Promise((resolve) => setTimeout(resolve, 20))
    const authorization = header(pair, made.token)
    await call(pair, 'PATCH /instances', { authorization, body: blanksAnd(code) })
    const { accessToken } = pair.account.truth.instance(made.id)!
    expect((await late).status).toBe(200)
    expect(pair.account.truth.instance(made.id)?.accessToken).toBe(accessToken)
  })

  test('without a refresh token the 401 is handed on', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair, { query: { scope: 'api' } })
    await revokeAt(pair, made, 'access')
    const { status, json } = await accounts(pair, made)
    expect([status, json.providerMessage]).toEqual([401, 'Session expired or invalid'])
  })
})

describe('automatic disabling after five failed refreshes', () => {
  test('ten seconds apart; then locked, disabled, and one e-mail', async () => {
    const clock = handClock()
    const pair = await startPair({ account: { clock, refreshRetryMs: undefined } })
    const made = await makeInstance(pair)
    await revokeAt(pair, made, 'refresh')
    const failures = () => pair.account.truth.instance(made.id)?.failures
    await accounts(pair, made)
    for (let n = 1; n < 5; n += 1) {
      await until(() => failures() === n)
      await clock.advance(9_990)
      expect([failures(), refreshesSeen(pair)]).toEqual([n, n])
      await clock.advance(10)
    }
    await until(() => failures() === 5)
    await clock.advance(60_000)
    expect(refreshesSeen(pair)).toBe(5)
    // The first is the night's.
    expect(clock.waits.slice(1, 5)).toEqual([10_000, 10_000, 10_000, 10_000])
    expect(pair.account.truth.instance(made.id)).toMatchObject({
      disabled: true,
      locked: true,
      failures: 5,
      refreshAttempts: 5,
      refreshSuccesses: 0,
    })
    expect(pair.account.emails()).toHaveLength(1)
  })

  test('calls within the pause get the last failure, and send nothing', async () => {
    const pair = await startPair({ account: { refreshRetryMs: 5_000 } })
    const made = await makeInstance(pair)
    await revokeAt(pair, made, 'refresh')
    const replies = []
    for (let n = 0; n < 4; n += 1) replies.push(await accounts(pair, made))
    expect(new Set(replies.map(({ status, json }) => `${status} ${json.providerMessage}`))).toEqual(
      new Set(['401 expired access/refresh token']),
    )
    expect(refreshesSeen(pair)).toBe(1)
  })

  test('switch failedRefreshIsRepeated by-calls: only calls send the next attempt', async () => {
    const pair = await startPair({ switches: { failedRefreshIsRepeated: 'by-calls' } })
    const made = await makeInstance(pair)
    await revokeAt(pair, made, 'refresh')
    const pause = () => new Promise((resolve) => setTimeout(resolve, RETRY_MS + 5))
    for (let n = 1; n <= 4; n += 1) {
      await accounts(pair, made)
      await pause()
      await pause()
      expect(refreshesSeen(pair)).toBe(n)
    }
    expect((await accounts(pair, made)).status).toBe(401)
    expect((await accounts(pair, made)).status).toBe(403)
    expect(pair.account.emails()).toHaveLength(1)
  })

  test('a provider that is down for three attempts costs no grant', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    await revokeAt(pair, made, 'access')
    pair.org.setFaults([{ kind: 'unavailable_503', on: 'token', nth: [1, 2, 3] }])
    const { status, json } = await accounts(pair, made)
    expect([status, json.providerMessage]).toEqual([502, 'Service unavailable'])
    await until(() => pair.account.truth.instance(made.id)?.refreshSuccesses === 1)
    expect((await accounts(pair, made)).status).toBe(200)
    expect(pair.account.emails()).toEqual([])
  })

  test('a provider that does not answer is 502 without its words', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair)
    await revokeAt(pair, made, 'access')
    pair.org.setFaults([{ kind: 'reset_before_effect', on: 'token' }])
    const { status, json } = await accounts(pair, made)
    expect([status, Object.keys(json)]).toEqual([502, ['requestId', 'message']])
  })

  test('enabled without a new grant, it is disabled again, with another e-mail', async () => {
    const pair = await startPair()
    const made = await disabledInstance(pair)
    await call(pair, 'PUT /instances/enabled', { authorization: header(pair, made.token) })
    expect((await accounts(pair, made)).status).toBe(401)
    await until(() => pair.account.emails().length === 2)
    expect(refreshesSeen(pair)).toBe(10)
  })
})

describe('the nightly refresh', () => {
  test('refreshes all that is enabled, and ends with the dead ones locked', async () => {
    const pair = await startPair()
    const [well, dead, off] = [
      await makeInstance(pair),
      await makeInstance(pair),
      await makeInstance(pair),
    ]
    await revokeAt(pair, dead, 'refresh')
    const authorization = header(pair, off.token)
    await call(pair, 'DELETE /instances/enabled', { authorization })
    expect(await pair.account.runNight()).toEqual({ refreshed: 1, failed: 1 })
    const attempts = [well, dead, off].map(
      ({ id }) => pair.account.truth.instance(id)?.refreshAttempts,
    )
    expect(attempts).toEqual([1, 5, 0])
    expect(pair.account.emails().map(({ instanceId }) => instanceId)).toEqual([dead.id])
  })

  test('comes by itself, by a clock that runs faster', async () => {
    // A day is 86 ms.
    const pair = await startPair({ account: { timeScale: 1_000_000 } })
    const made = await makeInstance(pair)
    await until(() => (pair.account.truth.instance(made.id)?.refreshSuccesses ?? 0) >= 2)
    expect(pair.account.providerCalls.some(({ trigger }) => trigger === 'night')).toBe(true)
  })
})

describe('refresh tokens that work once', () => {
  test('the rotated token is stored: ten refreshes, and the grant lives', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair, { app: 'rotating' })
    const seen = new Set<string | null | undefined>()
    for (let n = 0; n < 10; n += 1) {
      await pair.account.runNight()
      seen.add(pair.account.truth.instance(made.id)?.refreshToken)
    }
    expect([seen.size, (await accounts(pair, made)).status]).toEqual([10, 200])
  })

  test('a lost answer spends the token, and the repetition kills the grant', async () => {
    const pair = await startPair()
    const made = await makeInstance(pair, { app: 'rotating' })
    pair.org.setFaults([{ kind: 'reset_after_effect', on: 'token', nth: 1 }])
    expect(await pair.account.runNight()).toEqual({ refreshed: 0, failed: 1 })
    const [dead] = [...pair.org.truth.grants()].filter(({ app }) => app === 'Slack Bridge')
    expect(dead).toMatchObject({ alive: false, killedBy: 'replay' })
    expect(pair.account.truth.instance(made.id)?.disabled).toBe(true)
  })

  test('the sixth instance of one user and app takes the first one’s grant', async () => {
    const pair = await startPair()
    const made = []
    for (let n = 0; n < 6; n += 1) made.push(await makeInstance(pair))
    const statuses = []
    for (const entry of made) statuses.push((await accounts(pair, entry)).status)
    expect(statuses).toEqual([401, 200, 200, 200, 200, 200])
  })
})
