import * as oauth from 'oauth4webapi'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/core/clock.ts'
import { RescindError } from '../../src/core/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import type { Change } from '../../src/store/authority/contract.ts'
import { openSqliteAuthorityStore } from '../../src/store/authority/sqlite.ts'
import { withSteps } from '../support/store-steps.ts'
import { FORM, openEndpoints } from './endpoints-world.ts'

describe('RFC 8414: the metadata', () => {
  it.each(['', '/', '/tenant', '/a/b/'])('of an issuer with the path "%s"', async (path) => {
    await using world = await openEndpoints({
      path,
      authorize: async () => null,
      globalRevocation: { callers: [] },
    })
    const { issuer } = world.authority
    // To the letter as it was configured (section 3.3).
    expect(issuer).toBe(`${world.origin}${path}`)
    const base = issuer.replace(/\/$/, '')
    const request = { algorithm: 'oauth2', [oauth.allowInsecureRequests]: true } as const
    const response = await oauth.discoveryRequest(new URL(issuer), request)
    expect(((await response.clone().json()) as { issuer: string }).issuer).toBe(issuer)
    const server = await oauth.processDiscoveryResponse(new URL(issuer), response)
    const endpoints = [
      server.authorization_endpoint,
      server.token_endpoint,
      server.revocation_endpoint,
      server.introspection_endpoint,
      server.jwks_uri,
      server.global_token_revocation_endpoint as string,
    ]
    for (const endpoint of endpoints) {
      expect(endpoint?.startsWith(`${base}/`)).toBe(true)
      expect(endpoint?.slice(base.length)).not.toContain('//')
      // Each is there: whatever is wrong with a bare request, it is not its address.
      expect((await fetch(endpoint ?? '', { redirect: 'manual' })).status).not.toBe(404)
    }
    expect(server.revocation_endpoint_auth_methods_supported).toContain('none')
    expect(server.introspection_endpoint_auth_methods_supported).not.toContain('none')
    expect(server.code_challenge_methods_supported).toEqual(['S256'])
  })
})

describe('RFC 8414 section 2: the metadata says what is there, and no more', () => {
  const metadataOf = async (options: Parameters<typeof openEndpoints>[0]) => {
    await using world = await openEndpoints(options)
    const response = await world.call('/.well-known/oauth-authorization-server')
    return (await response.json()) as Record<string, readonly string[]>
  }
  it('certificates where a proxy tells of them, by the term of RFC 8705 section 2.2.1', async () => {
    const certificates = { header: 'x-client-cert', trustedProxies: ['127.0.0.1'] }
    const [without, withThem] = [await metadataOf({}), await metadataOf({ certificates })]
    for (const endpoint of ['token', 'revocation', 'introspection']) {
      const name = `${endpoint}_endpoint_auth_methods_supported`
      const method = 'self_signed_tls_client_auth'
      expect(withThem[name]).toEqual(expect.arrayContaining([method]))
      expect(without[name]).toEqual(withThem[name]?.filter((one) => one !== method))
    }
    // The certificates of clients are compared with those that are known, and no issuer of theirs is.
    expect(JSON.stringify(withThem)).not.toContain('"tls_client_auth"')
  })
  it.each([undefined, 'RS256', 'ES256', 'EdDSA'] as const)(
    'the algorithm that signs introspection: %s (RFC 9701 section 7)',
    async (signingAlg) => {
      const { introspection_signing_alg_values_supported: algs } = await metadataOf({ signingAlg })
      expect(algs).toEqual([signingAlg ?? 'ES256'])
    },
  )
})

describe('/jwks and /health', () => {
  it('no private half of a key is shown', async () => {
    await using world = await openEndpoints()
    const { keys } = (await (await world.call('/jwks')).json()) as { keys: object[] }
    expect(keys).toHaveLength(1)
    for (const name of ['d', 'p', 'q', 'k']) expect(keys[0]).not.toHaveProperty(name)
    expect((await world.call('/jwks', { method: 'HEAD' })).status).toBe(200)
    expect((await world.call('/jwks', { method: 'POST' })).status).toBe(405)
  })

  it('healthy is who reaches its store; else 503 with Retry-After', async () => {
    let isDown = false
    const openStore = async (clock: Clock) => {
      const store = await openSqliteAuthorityStore(':memory:', { clock })
      const down = async () => {
        throw new RescindError('store_down', 'The database is down.')
      }
      return { ...store, readNote: (key: string) => (isDown ? down() : store.readNote(key)) }
    }
    await using world = await openEndpoints({ openStore, adminKeys: [new Secret('k'.repeat(30))] })
    expect(await (await world.call('/health')).json()).toEqual({ status: 'ok' })
    isDown = true
    const response = await world.call('/health')
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
    // It asks alone: there is nothing that may have been done.
    expect(await response.json()).toEqual({
      error: 'temporarily_unavailable',
      error_description: 'The store is in trouble, and cannot be asked. Send the request again.',
    })
  })

  it('an authority that was closed answers 503, and its calls reject', async () => {
    await using world = await openEndpoints()
    const { authority } = world
    await world.addClient({ id: 'app' })
    const { access_token: token } = await world.issue('app')
    await Promise.all([authority.close(), authority.close()])
    expect((await world.call('/health')).status).toBe(503)
    const issuing = authority.issue({ clientId: 'app', userId: 'ada', scope: 'read' })
    for (const call of [authority.introspect(token), issuing]) {
      await expect(call).rejects.toMatchObject({ code: 'store_closed' })
    }
    await world.store.close()
  })

  it('RFC 7009 section 2.2.1: a 503 whose change was done says that it may have been, and is sent again', async () => {
    let losesReply = false
    const openStore = async (clock: Clock) => {
      const store = await openSqliteAuthorityStore(':memory:', { clock })
      return withSteps(store, {
        async commit(change: Change) {
          const committed = await store.commit(change)
          if (change.type !== 'end_grant' || !losesReply) return committed
          throw new RescindError('store_down', 'The reply was lost.')
        },
      })
    }
    await using world = await openEndpoints({ openStore })
    await world.addClient({ id: 'app', authMethod: 'none' })
    const { refresh_token: token } = await world.issue('app')
    losesReply = true
    const lost = await world.post('/revoke', { client_id: 'app', token })
    expect([lost.status, lost.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await lost.json()).toEqual({
      error: 'temporarily_unavailable',
      error_description:
        'The store is in trouble, and it is not known whether this was done. Send the request again.',
    })
    losesReply = false
    expect((await world.post('/revoke', { client_id: 'app', token })).status).toBe(200)
    expect(await world.isActive(token)).toEqual([false])
  })

  it('trouble is told with the request that it befell', async () => {
    const told: unknown[] = []
    const openStore = async (clock: Clock) => {
      const store = await openSqliteAuthorityStore(':memory:', { clock })
      const down = new RescindError('store_down', 'The database is down.')
      return { ...store, readClient: () => Promise.reject(down) }
    }
    const onTrouble = (error: unknown, request?: string) =>
      told.push([(error as RescindError).code, request])
    await using world = await openEndpoints({ openStore, onTrouble })
    const headers = { 'content-type': FORM, 'x-request-id': 'req-1' }
    const body = 'client_id=app&token=x'
    expect((await world.call('/revoke', { method: 'POST', headers, body })).status).toBe(503)
    expect(told).toEqual([['store_down', 'req-1']])
  })
})
