import { describe, expect, it } from 'vitest'
import { startSalesforce } from '../../../emulators/index.ts'
import { createHttp, type Http } from '../../../src/core/http.ts'
import type { KillToken, ProviderSession, TokenRow } from '../../../src/providers/provider.ts'
import { type Bench, createBench, passwordLogin, take, tenantOf } from './session-fixture.ts'

const asKillTokens = (bench: Bench, tokens: readonly TokenRow[]): KillToken[] =>
  tokens.map((token) => ({ ...token, fingerprint: bench.means.fingerprint(token.handle) }))

const killAll = async (session: ProviderSession, tokens: readonly KillToken[]) => {
  for (const token of tokens) {
    await session.kill({ reach: { kind: 'token', token: token.fingerprint }, tokens: [token] })
  }
}

describe('a look at many tokens', () => {
  it('tells the living from the dead, in few requests, with no handle in a URL', async () => {
    await using org = await startSalesforce({
      seed: 41,
      size: { users: 60, apps: 16, tokens: 4_000 },
      skew: { appTokens: 500, userTokens: 300, secondTokens: 1_000 },
    })
    await using bench = await createBench()
    const session = await bench.open(tenantOf(org))
    const all = asKillTokens(
      bench,
      (await take(session)).tokens.filter(({ own }) => !own),
    )
    const dead = all.filter((_token, index) => index % 20 === 0)
    await killAll(session, dead)
    org.clearLog()
    const { present, unclear } = await session.look(all)
    expect(unclear.size).toBe(0)
    const deadPrints = new Set(dead.map(({ fingerprint }) => fingerprint))
    expect(present).toEqual(
      new Set(all.map(({ fingerprint }) => fingerprint).filter((print) => !deadPrints.has(print))),
    )
    expect(org.log.length).toBeLessThan(all.length / 8)
  })

  it('says that a row is there for as long as the org shows it', async () => {
    await using org = await startSalesforce({
      seed: 42,
      size: { users: 30, apps: 14, tokens: 300 },
      switches: { visibilityDelayMs: 3_600_000 },
    })
    await using bench = await createBench()
    const session = await bench.open(tenantOf(org))
    const some = asKillTokens(
      bench,
      (await take(session)).tokens.filter(({ own, kind }) => !own && kind === 'grant'),
    ).slice(0, 10)
    await killAll(session, some)
    expect((await session.look(some)).present.size).toBe(some.length)
  })

  it('never calls absent what the credential may not see', async () => {
    await using org = await startSalesforce({
      seed: 43,
      size: { users: 30, apps: 14, tokens: 300 },
    })
    await using bench = await createBench()
    const admin = await bench.open(tenantOf(org))
    const all = asKillTokens(bench, (await take(admin)).tokens)
    const limited = await bench.open({
      ...tenantOf(org, passwordLogin(org, 'limited')),
      name: 'limited',
    })
    const { present, unclear } = await limited.look(all)
    expect(present.size + unclear.size).toBe(all.length)
    const { userId } = org.credentials.limited
    for (const token of all) {
      if (token.userId !== userId) expect(unclear.has(token.fingerprint)).toBe(true)
    }
  })

  it('calls nothing absent when the permission is lost between the list and its end', async () => {
    await using org = await startSalesforce({
      seed: 43,
      size: { users: 30, apps: 14, tokens: 300 },
    })
    const { userId } = org.credentials.admin
    const http = createHttp()
    let isLost = false
    const send: Http['send'] = (request) => {
      // The list itself is the first to be shortened; what was asked before saw all.
      const isList = String(request.url).includes('FROM+OauthToken')
      if (isLost && isList) org.setPermission(userId, 'CustomizeApplication', false)
      return http.send(request)
    }
    await using bench = await createBench({ http: { ...http, send } })
    const session = await bench.open(tenantOf(org))
    const others = asKillTokens(bench, (await take(session)).tokens).filter(
      (token) =>
        token.kind === 'grant' && token.userId !== userId && token.appId?.startsWith('0H4'),
    )
    isLost = true
    const { present, unclear } = await session.look(others)
    expect([present.size, unclear.size]).toEqual([0, others.length])
    await http.close()
  })

  it('fails, rather than answer, when the list cannot be read', async () => {
    await using org = await startSalesforce({
      seed: 44,
      size: { users: 30, apps: 14, tokens: 300 },
    })
    await using bench = await createBench()
    const session = await bench.open(tenantOf(org))
    const some = asKillTokens(bench, (await take(session)).tokens).slice(0, 3)
    org.setFaults([{ kind: 'unavailable_503', on: 'query' }])
    await expect(session.look(some)).rejects.toMatchObject({ code: 'provider_busy' })
  })

  it('of nothing asks for nothing', async () => {
    await using org = await startSalesforce({
      seed: 44,
      size: { users: 30, apps: 14, tokens: 300 },
    })
    await using bench = await createBench()
    const session = await bench.open(tenantOf(org))
    org.clearLog()
    expect(await session.look([])).toEqual({ present: new Set(), unclear: new Set() })
    expect(org.log).toHaveLength(0)
  })
})
