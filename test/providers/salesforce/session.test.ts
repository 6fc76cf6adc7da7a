import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { startSalesforce } from '../../../emulators/index.ts'
import { Secret } from '../../../src/core/secret.ts'
import { openConnection } from '../../../src/providers/salesforce/connection.ts'
import { salesforce } from '../../../src/providers/salesforce/index.ts'
import { createBench, passwordLogin, take, tenantOf } from './session-fixture.ts'

const size = { users: 60, apps: 14, tokens: 6_000 }

describe('a session that ends in the middle of a run', () => {
  it.each([[7], [3, 11, 19]])('is renewed once each time it ends (queries %s)', async (...nth) => {
    await using org = await startSalesforce({ seed: 13, size })
    await using bench = await createBench()
    const session = await bench.open(tenantOf(org))
    org.setFaults([{ kind: 'session_expired', on: 'query', nth }])
    const taken = await take(session)
    expect(taken.end.whole).toBe(true)
    expect(org.counters().get('token')).toBe(1 + nth.length)
    expect(bench.notices).toHaveLength(nth.length)
  })

  it('is not renewed when it was given: a login is needed', async () => {
    await using org = await startSalesforce({ seed: 13, size })
    await using bench = await createBench()
    const login = { method: 'access_token', accessToken: new Secret(org.credentials.accessToken) }
    const session = await bench.open(tenantOf(org, login))
    org.expireSessions()
    await expect(take(session)).rejects.toMatchObject({ code: 'login_needed' })
  })

  it('is renewed for a kill of a session, and for the Metadata API', async () => {
    await using org = await startSalesforce({ seed: 13, size })
    await using bench = await createBench()
    const session = await bench.open(tenantOf(org))
    const { tokens, apps } = await take(session)
    const victim = tokens.find((token) => token.kind === 'session' && !token.own)
    if (!victim) throw new Error('the org has no session to kill')
    const fingerprint = bench.means.fingerprint(victim.handle)
    org.expireSessions()
    const answer = await session.kill({
      reach: { kind: 'token', token: fingerprint },
      tokens: [{ ...victim, fingerprint }],
    })
    // Expiring ended the victim as well; what counts is that our own session was renewed for it.
    expect(answer.outcome).toMatch(/revoked|already_dead/)
    const drift = [...apps.values()].find((app) => app.label === 'Drift')
    if (!drift || !session.block) throw new Error('the org has no app to block')
    org.expireSessions()
    expect(await session.block(drift, () => {})).toMatchObject({ done: true })
    expect(org.counters().get('token')).toBe(3)
  })
})

describe('what the provider says that it supports', () => {
  it('is what a session has, and what its apps can be killed by', async () => {
    await using org = await startSalesforce({ seed: 13, size })
    await using bench = await createBench()
    const session = await bench.open(tenantOf(org))
    const { supports } = salesforce
    const { apps, end } = await take(session)
    expect(supports.inventory).toBe(end.whole)
    const reaches = new Set([...apps.values()].flatMap((app) => app.reaches))
    expect([...reaches].sort()).toEqual([...supports.kill].sort())
    expect(supports.block).toBe(session.block !== undefined && session.unblock !== undefined)
    // It cannot introspect, and holds no token that could be refused.
    expect(supports.prove).toEqual(['acked', 'absent', 'quiet'])
  })
})

/** An org that opens sessions as often as it is asked, and takes none of them. */
async function startRefusing(
  accepted: number,
): Promise<{ server: Server; url: string; opened: () => number }> {
  let opened = 0
  let answered = 0
  const server = createServer((request, response) => {
    const { port } = server.address() as AddressInfo
    response.setHeader('content-type', 'application/json')
    request.resume()
    if (request.url?.endsWith('/token')) {
      opened += 1
      const instance_url = `http://127.0.0.1:${port}`
      response.end(JSON.stringify({ access_token: `00D000000000001!s${opened}`, instance_url }))
      return
    }
    answered += 1
    if (answered <= accepted) {
      response.end('{"user_id":"005000000000001","organization_id":"00D000000000001"}')
      return
    }
    response.statusCode = 401
    response.end('[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { server, url: `http://127.0.0.1:${port}`, opened: () => opened }
}

describe('an org that answers 401 whatever the session', () => {
  const login = {
    method: 'client_credentials',
    clientId: 'client',
    clientSecret: new Secret('client-secret-value'),
  }
  it.each([
    ['from the start', 0, 1],
    ['after a while', 1, 2],
  ])('%s: gives up instead of logging in for ever', async (_title, accepted, logins) => {
    const { server, url, opened } = await startRefusing(accepted)
    await using bench = await createBench()
    const opening = bench.open({ name: 'acme', provider: 'salesforce', url, login, options: {} })
    await expect(opening).rejects.toMatchObject({
      code: 'not_authenticated',
      message: expect.stringMatching(/opened a moment ago/),
    })
    expect(opened()).toBe(logins)
    server.closeAllConnections()
    server.close()
  })
})

describe('one address that answers 401, while others take the session', () => {
  it('costs one login, however often others succeed', async () => {
    // Two answers to one session: when the second is asked for, the first has arrived.
    const taken = new Map<string, number>()
    const waiting: (() => void)[] = []
    const server = createServer((request, response) => {
      const session = request.headers.authorization ?? ''
      if (request.url === '/ok') {
        taken.set(session, (taken.get(session) ?? 0) + 1)
        for (const answer of waiting.splice(0)) answer()
        response.end('{}')
        return
      }
      const refuse = () => {
        if ((taken.get(session) ?? 0) < 2) return void waiting.push(refuse)
        response.statusCode = 401
        response.end('[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]')
      }
      refuse()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const instanceUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    await using bench = await createBench()
    let logins = 0
    const mint = async () => {
      logins += 1
      return { accessToken: new Secret(`00D000000000001!s${logins}`), instanceUrl }
    }
    const login = { method: 'client_credentials', renewable: true, mint } as const
    const connection = await openConnection(login, bench.means, '62.0')
    await connection.read('/ok', 'a list')
    let refused: unknown
    const reading = connection.read('/no', 'a list').catch((error: unknown) => {
      refused = error
    })
    while (refused === undefined) await connection.read('/ok', 'a list')
    await reading
    expect(refused).toMatchObject({ code: 'not_authenticated' })
    expect(logins).toBe(2)
    server.closeAllConnections()
    server.close()
  })
})

describe('a busy org and a bad line', () => {
  it.each([
    [
      '429 with Retry-After',
      { kind: 'too_many_429', on: 'query', nth: [5, 9], retryAfterS: 4 },
      4000,
    ],
    ['503', { kind: 'unavailable_503', on: 'query', nth: [5, 9] }, undefined],
    ['reset', { kind: 'reset_before_effect', on: 'query', nth: [5, 9] }, undefined],
    ['500', { kind: 'error_500_before_effect', on: 'query', nth: [5, 9] }, undefined],
    ['a page in HTML', { kind: 'html_200', on: 'query', nth: [5, 9] }, undefined],
    ['half an answer', { kind: 'truncated_body', on: 'query', nth: [5, 9] }, undefined],
    ['a missing row', { kind: 'drop_row', on: 'query', nth: [22, 24, 26, 28, 30] }, undefined],
  ] as const)('%s: the reading goes on, and is whole', async (_title, fault, waitMs) => {
    await using org = await startSalesforce({ seed: 14, size })
    await using bench = await createBench()
    const session = await bench.open(tenantOf(org))
    org.setFaults([fault])
    const taken = await take(session)
    expect(taken.end).toMatchObject({ whole: true, covers: 'all' })
    expect(taken.tokens.filter(({ kind }) => kind === 'grant')).toHaveLength(
      org.truth.counts().alive,
    )
    const struck = org.log.filter((request) => request.fault !== null)
    expect(struck.length).toBeGreaterThan(0)
    // What one query got wrong is put right by reading it again, before it is ever given out.
    expect(taken.again).toBe(0)
    if (waitMs !== undefined) expect(bench.clock.waits).toEqual([waitMs, waitMs])
  })

  it('that stays busy ends the reading with one sentence, after bounded tries', async () => {
    await using org = await startSalesforce({ seed: 14, size })
    await using bench = await createBench()
    const session = await bench.open(tenantOf(org, passwordLogin(org)))
    org.setFaults([{ kind: 'unavailable_503', on: 'query' }])
    await expect(take(session)).rejects.toMatchObject({ code: 'provider_busy' })
    expect(bench.clock.waits.length).toBeLessThan(10)
  })
})
