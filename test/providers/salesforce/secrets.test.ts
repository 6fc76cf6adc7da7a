import { describe, expect, it } from 'vitest'
import { startSalesforce } from '../../../emulators/index.ts'
import { createHttp } from '../../../src/core/http.ts'
import { Secret } from '../../../src/core/secret.ts'
import { createBench, passwordLogin, take, tenantOf } from './session-fixture.ts'

describe('secrets stay where they belong', () => {
  it('none stands in an address, a notice, an error or a printed part', async () => {
    await using org = await startSalesforce({
      seed: 71,
      size: { users: 40, apps: 14, tokens: 900 },
      switches: { rotation: 'all' },
    })
    const http = createHttp()
    const addresses: string[] = []
    const watched: typeof http = {
      ...http,
      send: (request) => {
        addresses.push(decodeURIComponent(String(request.url).replaceAll('+', ' ')))
        return http.send(request)
      },
    }
    await using bench = await createBench({ http: watched })
    const printed: string[] = []
    const login = {
      method: 'refresh_token',
      clientId: org.credentials.tool.clientId,
      refreshToken: new Secret(org.credentials.refreshToken),
    }
    const session = await bench.open(tenantOf(org, login))
    org.setFaults([{ kind: 'session_expired', on: 'query', nth: 9 }])
    const { tokens, apps } = await take(session, (part) => {
      printed.push(JSON.stringify(part))
    })
    printed.push(JSON.stringify(await session.check()))
    const victims = tokens
      .filter(({ own }) => !own)
      .map((token) => ({
        ...token,
        fingerprint: bench.means.fingerprint(token.handle),
      }))
    for (const token of victims.slice(0, 20)) {
      const reach = { kind: 'token', token: token.fingerprint } as const
      printed.push(JSON.stringify(await session.kill({ reach, tokens: [token] })))
    }
    printed.push(JSON.stringify(await session.look(victims)))
    const drift = [...apps.values()].find(({ label }) => label === 'Drift')
    if (drift) printed.push(JSON.stringify(await session.block?.(drift, () => {})))
    for (const wrong of [
      { ...passwordLogin(org), password: new Secret(`${org.credentials.admin.password}x`) },
      { ...login, refreshToken: new Secret(`${org.credentials.refreshToken}x`) },
    ]) {
      const error = await bench.open(tenantOf(org, wrong)).catch((caught: Error) => caught)
      printed.push(`${(error as Error).message} ${(error as Error).stack} ${JSON.stringify(error)}`)
    }
    expect(addresses.length).toBeGreaterThan(50)
    const text = [...addresses, ...printed, ...bench.notices].join('\n')
    const leaked = [...org.truth.secrets()].filter(
      (secret) => secret.length > 3 && text.includes(secret),
    )
    expect(leaked).toEqual([])
    for (const query of addresses) {
      expect(query).not.toMatch(/AccessToken|RequestToken|DeleteToken\s*(=|IN|<|>)/i)
    }
    await http.close()
  })
})
