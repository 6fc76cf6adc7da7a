import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createReauthorizing } from '../../src/connections/reauthorize.ts'
import { Secret } from '../../src/core/secret.ts'
import type { TenantConfig } from '../../src/providers/provider.ts'
import { answer, type RawServer, startRawServer } from '../cli/raw-server.ts'
import { tempHome } from '../support/temp-home.ts'
import { openVault, type VaultProcess } from './world.ts'

/** An OpenID provider whose addresses do not all begin as its issuer does. */
interface Shape {
  /** What stands behind the host in the issuer. */
  readonly suffix: string
  readonly userinfo: 'issuer' | 'elsewhere' | 'none'
  readonly probesElsewhere?: true
}

const SHAPES: readonly [title: string, shape: Shape][] = [
  ['a bare origin', { suffix: '', userinfo: 'issuer' }],
  ['a path (Keycloak)', { suffix: '/realms/acme', userinfo: 'issuer' }],
  ['a slash at its end (Auth0)', { suffix: '/', userinfo: 'issuer' }],
  ['userinfo on another host (Google)', { suffix: '', userinfo: 'elsewhere' }],
  ['a probeUrl on another host', { suffix: '', userinfo: 'none', probesElsewhere: true }],
  [
    'a path, and a probeUrl on another host beside userinfo',
    { suffix: '/realms/acme', userinfo: 'issuer', probesElsewhere: true },
  ],
]

let home: ReturnType<typeof tempHome>
let server: RawServer
let api: RawServer
let shape: Shape
let person: string
let open: VaultProcess | undefined

const issuerOf = () => server.url + shape.suffix
const idToken = () => {
  const claims = JSON.stringify({ iss: issuerOf(), sub: person, aud: 'app' })
  return `e30.${Buffer.from(claims).toString('base64url')}.sig`
}

beforeEach(async () => {
  home = tempHome()
  person = 'ada'
  api = await startRawServer((_request, response) => answer(response, 200, { sub: person }))
  server = await startRawServer(({ path }, response) => {
    if (path.includes('/.well-known/')) {
      const at = (name: string) => [`${name}_endpoint`, `${server.url}/${name}`]
      const { userinfo } = shape
      return answer(response, 200, {
        ...{ issuer: issuerOf(), ...Object.fromEntries(['authorization', 'token'].map(at)) },
        ...(userinfo === 'issuer' && { userinfo_endpoint: `${server.url}/userinfo` }),
        ...(userinfo === 'elsewhere' && { userinfo_endpoint: `${api.url}/userinfo` }),
      })
    }
    if (path === '/userinfo') return answer(response, 200, { sub: person })
    const tokens = { access_token: `at-${Math.random()}`, refresh_token: 'rt', expires_in: 600 }
    answer(response, 200, { ...tokens, token_type: 'bearer', id_token: idToken() })
  })
})
afterEach(async () => {
  await open?.[Symbol.asyncDispose]()
  await server.close()
  await api.close()
  home[Symbol.dispose]()
})

async function openAt(which: Shape) {
  shape = which
  const tenant: TenantConfig = {
    ...{ name: 'idp', provider: 'oauth2', url: issuerOf(), login: {}, options: {} },
    app: {
      ...{ clientId: 'app', clientSecret: null, redirectUri: 'http://127.0.0.1/cb' },
      scopes: ['openid'],
      options: { rotation: 'never', ...(which.probesElsewhere && { probeUrl: `${api.url}/me` }) },
    },
  }
  open = await openVault({ home: home.path, tenants: [tenant] })
  const { parts, vault, health } = open
  const reauthorizing = createReauthorizing(parts, vault)
  const consent = async (id: string) => {
    const { state } = await reauthorizing.link(id)
    const back = { code: new Secret('code'), error: null, iss: null }
    return reauthorizing.callback({ state: state.reveal(), ...back })
  }
  return { vault, health, reauthorizing, consent }
}

describe.each(SHAPES)('OpenID Connect Core section 5.7: an issuer with %s', (_title, which) => {
  const isWell = () => ({
    ...{ state: 'connected', cause: null },
    identity: { user: 'ada', org: issuerOf(), name: null },
  })

  test('one person is the same at the first consent, a check, a refresh and a reconnect', async () => {
    const { vault, health, reauthorizing, consent } = await openAt(which)
    const { id } = await reauthorizing.create({ tenant: 'idp', owner: 'acme' })
    expect(await consent(id)).toMatchObject({ kind: 'reconnected', connection: isWell() })
    expect((await health.check(id)).connection).toMatchObject(isWell())
    expect(await vault.renew(id)).toMatchObject(isWell())
    expect((await health.check(id)).connection).toMatchObject(isWell())
    expect(await consent(id)).toMatchObject({ kind: 'reconnected', changes: [] })
    expect((await vault.accessToken(id)).version).toBe((await vault.get(id)).version)
  })

  test('and where a probe tells first whose it is', async () => {
    const { vault, health } = await openAt(which)
    const wish = { tenant: 'idp', owner: 'acme', accessToken: new Secret('at') }
    const { id } = await vault.create({ ...wish, refreshToken: new Secret('rt') })
    expect((await health.check(id)).connection).toMatchObject(isWell())
    expect(await vault.renew(id)).toMatchObject(isWell())
  })

  test('another person is another', async () => {
    const { health, reauthorizing, consent } = await openAt(which)
    const { id } = await reauthorizing.create({ tenant: 'idp', owner: 'acme' })
    await consent(id)
    person = 'eve'
    const { connection } = await health.check(id)
    expect(connection).toMatchObject({ state: 'degraded', cause: { code: 'identity_changed' } })
    expect(await consent(id)).toMatchObject({ kind: 'changed', changes: ['another_person'] })
  })
})

test('another realm at the same host is another organization, whatever its ids', async () => {
  const { health, reauthorizing, consent, vault } = await openAt({
    ...{ suffix: '/realms/acme', userinfo: 'issuer' },
  })
  const { id } = await reauthorizing.create({ tenant: 'idp', owner: 'acme' })
  await consent(id)
  const { identity } = await vault.get(id)
  await open?.store.connections.update(id, () => ({
    set: { identity: JSON.stringify({ ...identity, org: `${server.url}/realms/other` }) },
  }))
  expect((await health.check(id)).connection.cause?.code).toBe('identity_changed')
  expect(await consent(id)).toMatchObject({ kind: 'changed', changes: ['another_org'] })
})
