import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  createHttp,
  discoverServer,
  lookAtToken,
  type OAuthClient,
  processRevocationResponse,
  revokeToken,
  rfc7009Target,
  Secret,
  verifyDead,
} from '../../src/index.ts'
import { type OidcServer, SECRET, startOidcServer } from './oidc-server.ts'

const http = createHttp()
const client: OAuthClient = {
  method: 'client_secret_post',
  clientId: 'post-client',
  secret: new Secret(SECRET),
}
let oidc: OidcServer

beforeAll(async () => {
  oidc = await startOidcServer()
})
afterAll(async () => {
  await http.close()
  await oidc.close()
})

async function open() {
  const server = await discoverServer(new URL(oidc.issuer), http)
  return rfc7009Target({ server, client })
}

describe('the library, as a program uses it', () => {
  test('revokeToken: kill and prove in one call', async () => {
    const token = new Secret((await oidc.grantTokens('post-client')).refresh)
    const done = await revokeToken(await open(), { token }, http, { verify: true })
    expect(done).toMatchObject({ outcome: 'revoked', proof: 'inactive', dead: true, attempts: 1 })
  })

  test('revokeToken: what is printed or stored of it holds no secret', async () => {
    const token = new Secret((await oidc.grantTokens('post-client')).refresh)
    const done = await revokeToken(await open(), { token }, http, { verify: true })
    expect(JSON.stringify({ done, token, client })).not.toContain(token.reveal())
    expect(JSON.stringify({ done, token, client })).not.toContain(SECRET)
  })

  test('revokeToken: nothing sent is an error, not an outcome', async () => {
    const server = { issuer: oidc.issuer, revocation_endpoint: 'http://127.0.0.1:9/revoke' }
    const target = rfc7009Target({ server, client })
    await expect(revokeToken(target, { token: new Secret('held') }, http)).rejects.toMatchObject({
      code: 'host_unreachable',
    })
  })

  test('verifyDead: a death by another hand, with the look before', async () => {
    const target = await open()
    const { access, refresh } = await oidc.grantTokens('post-client')
    const held = { token: new Secret(access) }
    const before = await lookAtToken(target, held, http)
    expect(await verifyDead(target, held, http, { before, once: true })).toMatchObject({
      proof: 'none',
      alive: true,
    })
    await revokeToken(target, { token: new Secret(refresh) }, http)
    expect(await verifyDead(target, held, http, { before })).toMatchObject({
      proof: 'inactive',
      alive: false,
    })
    // Without it, "inactive" might be said of a live token that this client may not see.
    expect(await verifyDead(target, held, http, { before: {} })).toMatchObject({ proof: 'none' })
  })

  test('processRevocationResponse: judges an answer that the program got itself', async () => {
    const answer = await processRevocationResponse(new Response(null, { status: 200 }))
    expect(answer).toMatchObject({ outcome: 'revoked', proof: 'acked' })
  })
})
