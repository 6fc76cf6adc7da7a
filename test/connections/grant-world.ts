import { expect, onTestFinished } from 'vitest'
import { createReauthorizing } from '../../src/connections/reauthorize.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { Secret } from '../../src/core/secret.ts'
import type { TenantConfig } from '../../src/providers/provider.ts'
import { startRawServer } from '../cli/raw-server.ts'
import { tempHome } from '../support/temp-home.ts'
import { type OpenVault, openVault } from './world.ts'

interface Grant {
  readonly user: string
  refresh: string | null
  readonly access: Set<string>
  alive: boolean
}

/** What the next code is worth. */
interface Code {
  readonly refresh?: boolean
  readonly user?: string
  readonly expiresInS?: number | null
}

/** What goes wrong with one request. */
interface Fault {
  readonly isReset?: boolean
  readonly status?: number
  readonly retryAfterS?: number
  /** The effect is there at once, the answer later. */
  readonly slowMs?: number
}

export interface ServerOptions {
  readonly first?: Code
  /** Google’s way: a revocation ends all that the user granted to the app. */
  readonly together?: boolean
  /** A refresh token is spent by its use, and the revocation of a spent one ends nothing. */
  readonly rotates?: boolean
  readonly options?: Readonly<Record<string, unknown>>
  /** Puts something between the vault and its store. */
  readonly wrap?: NonNullable<OpenVault['wrap']>
  readonly clock?: Clock
  readonly leaseMs?: number
}

/** A server whose codes are worth what a test says, and a connection that its first code filled. */
export async function openGrantWorld({
  first = {},
  together = false,
  rotates = false,
  options = {},
  ...more
}: ServerOptions = {}) {
  const grants: Grant[] = []
  const codes: Code[] = []
  const down = new Set<string>()
  const faults = new Map<string, Fault[]>()
  let made = 0
  const of = (token: string | null) =>
    grants.find(({ refresh, access }) => refresh === token || access.has(token ?? ''))
  const accessFor = (grant: Grant) => {
    made += 1
    grant.access.add(`at-${made}`)
    return `at-${made}`
  }
  const server = await startRawServer(({ path, headers, body }, response) => {
    const form = new URLSearchParams(body)
    const { isReset, status, retryAfterS, slowMs = 0 } = faults.get(path)?.shift() ?? {}
    const say = async (status: number, json: unknown) => {
      if (slowMs > 0) await systemClock.sleep(slowMs)
      const isTold = retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }
      response.writeHead(status, { 'content-type': 'application/json', ...isTold })
      response.end(JSON.stringify(json))
    }
    if (isReset) return response.destroy()
    if (status !== undefined) return say(status, {})
    if (down.has(path)) return say(503, {})
    if (path.startsWith('/.well-known/')) {
      const names = ['authorization', 'token', 'userinfo', 'revocation']
      const endpoints = names.map((name) => [`${name}_endpoint`, `${server.url}/${name}`])
      return say(200, { issuer: server.url, ...Object.fromEntries(endpoints) })
    }
    if (path === '/userinfo') {
      const grant = of((headers.authorization ?? '').slice('Bearer '.length))
      if (grant?.alive) return say(200, { sub: grant.user })
      response.setHeader('www-authenticate', 'Bearer error="invalid_token"')
      return say(401, {})
    }
    if (path === '/revocation') {
      const grant = of(form.get('token'))
      const isRefresh = grant?.refresh === form.get('token')
      const reached = together ? grants.filter(({ user }) => user === grant?.user) : [grant]
      // A grant without a refresh token is its access token.
      const isWhole = isRefresh || grant?.refresh === null || together
      if (isWhole) for (const one of reached) if (one) one.alive = false
      return say(200, {})
    }
    const presented = form.get('refresh_token')
    if (presented !== null) {
      const grant = of(presented)
      if (!grant?.alive) return say(400, { error: 'invalid_grant' })
      if (rotates) grant.refresh = `rt-of-${made}`
      return say(200, {
        ...{ access_token: accessFor(grant), token_type: 'bearer', expires_in: 600 },
        ...(rotates && { refresh_token: grant.refresh }),
      })
    }
    const { refresh = true, user = 'ada', expiresInS = 600 } = codes.shift() ?? {}
    const grant: Grant = {
      ...{ user, alive: true, access: new Set<string>() },
      refresh: refresh ? `rt-${grants.length + 1}` : null,
    }
    grants.push(grant)
    say(200, {
      ...{ access_token: accessFor(grant), token_type: 'bearer' },
      ...(expiresInS !== null && { expires_in: expiresInS }),
      ...(grant.refresh !== null && { refresh_token: grant.refresh }),
    })
  })
  const home = tempHome()
  const tenant: TenantConfig = {
    ...{ name: 'own', provider: 'oauth2', url: server.url, login: {}, options: {} },
    app: {
      ...{ clientId: 'app', clientSecret: null, redirectUri: 'http://127.0.0.1/cb', scopes: [] },
      options: { rotation: 'never', ...options },
    },
  }
  const { app } = tenant
  const another = { ...tenant, name: 'another', app: { ...app!, clientId: 'another' } }
  const tenants = [
    ...[tenant, { ...tenant, name: 'same-app' }, another],
    { ...tenant, name: 'same-app-by-another-spelling', url: `${server.url}/` },
    { ...tenant, name: 'elsewhere', url: 'http://127.0.0.1:9' },
  ]
  const process = await openVault({ home: home.path, tenants, ...more })
  onTestFinished(async () => {
    await process[Symbol.asyncDispose]()
    await server.close()
    home[Symbol.dispose]()
  })
  const { vault } = process
  const service = createReauthorizing(process.parts, vault, { accept: ['another_person'] })
  const { id } = await service.create({ tenant: 'own', owner: 'acme' })
  const callback = async (code: Code = {}, of = id) => {
    codes.push(code)
    const { state } = await service.link(of)
    const answer = { state: state.reveal(), code: new Secret('code'), error: null, iss: null }
    return service.callback(answer)
  }
  const reconnect = async (code: Code = {}) => {
    expect(await callback(code)).toMatchObject({ kind: 'reconnected' })
    return vault.get(id)
  }
  /** Another connection, of another person. */
  const connectBob = () => connect('bob')
  const connect = async (user: string, tenant = 'own') => {
    const { id: other } = await service.create({ tenant, owner: 'other' })
    expect(await callback({ user }, other)).toMatchObject({ kind: 'reconnected' })
    return other
  }
  await reconnect(first)
  const refresh = async () => (await vault.tokens(id)).refresh?.reveal() ?? null
  const alive = () => grants.map(({ alive: lives }) => lives)
  const revokes = () => server.requests.filter(({ path }) => path === '/revocation').length
  return {
    ...{ ...process, id, down, faults, service, callback, reconnect, connect, connectBob },
    ...{ refresh, alive, revokes, grants, home: home.path, tenants, server },
  }
}
