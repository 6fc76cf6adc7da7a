import { describe, expect, onTestFinished, test } from 'vitest'
import { RescindError } from '../../src/core/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import type { FreshTokens } from '../../src/providers/connection-way.ts'
import type { TenantConfig } from '../../src/providers/provider.ts'
import { CALLBACK } from '../server/core-world.ts'
import { openEndpoints } from '../server/endpoints-world.ts'
import { tempHome } from '../support/temp-home.ts'
import { openGrantWorld } from './grant-world.ts'
import { type ConnectionWorld, openConnectionWorld, openVault, type VaultProcess } from './world.ts'

const SLOW = { kind: 'slow', ms: 700, on: 'token', nth: 1 } as const

/** A new grant of the same user, as a reconnect brings it. */
function freshGrant({ org }: ConnectionWorld): FreshTokens & { readonly deleteToken: string } {
  const { userId } = org.credentials.admin
  const grant = org.addGrant({ userId, appId: org.credentials.tool.clientId })
  return {
    ...{ accessToken: new Secret('at'), refreshToken: new Secret(grant.refreshToken) },
    ...{ expiresInS: null, scopes: null, identity: null, facts: {} },
    deleteToken: grant.deleteToken,
  }
}

async function whileSlow(world: ConnectionWorld, id: string, revoked: string | null) {
  if (revoked !== null) {
    const body = new URLSearchParams({ token: revoked })
    await fetch(`${world.org.url}/services/oauth2/revoke`, { method: 'POST', body })
  }
  world.org.setFaults([SLOW])
  const renewing = world.vault.accessToken(id)
  await expect.poll(async () => (await world.store.connections.read(id))?.intent).toBe('sent')
  const fresh = freshGrant(world)
  await world.vault.adopt(id, fresh)
  await renewing
  return fresh
}

describe('section 5.4: compare and set on the version', () => {
  test('a refresh that comes back after a reconnect does not overwrite the new grant', async () => {
    await using world = await openConnectionWorld()
    const { id } = await world.connect()
    const fresh = await whileSlow(world, id, null)
    const { refresh } = await world.vault.tokens(id)
    expect(refresh?.reveal()).toBe(fresh.refreshToken?.reveal())
    expect((await world.vault.get(id)).version).toBe(2)
    await world.vault.renew(id)
    expect(world.org.truth.isAlive(fresh.deleteToken)).toBe(true)
  })

  test('invalid_grant is judged after a re-read: the owner reconnected meanwhile', async () => {
    await using world = await openConnectionWorld()
    const { id, deleteToken } = await world.connect()
    await whileSlow(world, id, deleteToken)
    expect((await world.vault.get(id)).state).toBe('connected')
    const types = (await world.vault.events(id)).map(({ type }) => type)
    expect(types).toEqual(['connection.created', 'connection.reconnected'])
  })

  test('a refresh without an answer says nothing of the grant that the owner brought meanwhile', async () => {
    const { vault, store, parts, id, world } = await openForgiving(GRACE)
    const { access_token, refresh_token } = await world.issue('app')
    loseNext({ parts }, () =>
      vault.adopt(id, {
        ...{ accessToken: new Secret(access_token), refreshToken: new Secret(refresh_token) },
        ...{ expiresInS: null, scopes: null, identity: null, facts: {} },
      }),
    )
    expect(await vault.renew(id)).toMatchObject({ state: 'connected', cause: null, version: 2 })
    expect(await store.connections.read(id)).toMatchObject({ intent: null, failures: 0 })
    const types = (await vault.events(id)).map(({ type }) => type)
    expect(types).toEqual(['connection.created', 'connection.reconnected'])
  })
})

/** Loses the answer to the next refresh, after it had its effect, and what happens meanwhile. */
function loseNext(
  { parts: { http } }: Pick<VaultProcess, 'parts'>,
  meanwhile: () => Promise<unknown> = async () => {},
): void {
  const { fetch } = http
  Object.assign(http, {
    fetch: async (...args: Parameters<typeof fetch>) => {
      const answer = await fetch(...args)
      if (!String(args[0]).endsWith('/token')) return answer
      Object.assign(http, { fetch })
      await meanwhile()
      throw new RescindError('http_reset', 'The connection broke.')
    },
  })
}

/** A vault at our own authority, which forgives a replay for ten seconds. */
async function openForgiving(options: Readonly<Record<string, unknown>>) {
  const world = await openEndpoints()
  const secret = await world.addClient({ id: 'app', introspect: 'own' })
  const home = tempHome()
  const tenant: TenantConfig = {
    ...{ name: 'as', provider: 'oauth2', url: world.authority.issuer, login: {}, options: {} },
    app: {
      ...{ clientId: 'app', clientSecret: new Secret(secret), redirectUri: CALLBACK },
      ...{ scopes: [], options: { rotation: 'always', ...options } },
    },
  }
  const open = await openVault({ home: home.path, tenants: [tenant] })
  onTestFinished(async () => {
    await open[Symbol.asyncDispose]()
    await world[Symbol.asyncDispose]()
    home[Symbol.dispose]()
  })
  const { refresh_token } = await world.issue('app')
  const { id } = await open.vault.create({
    ...{ tenant: 'as', owner: 'acme', accessToken: null },
    refreshToken: new Secret(refresh_token),
  })
  return { ...open, world, id, loseNext: () => loseNext(open) }
}

const GRACE = { replayKills: false, graceMs: 10_000 }

describe('a provider that forgives a replay for a while (Xero: 30 minutes)', () => {
  test('after a lost answer the same token is presented again, and brings its successor', async () => {
    const { vault, health, id, loseNext, world } = await openForgiving(GRACE)
    loseNext()
    await expect(vault.accessToken(id)).rejects.toMatchObject({ code: 'connection_unwell' })
    const { token } = await vault.accessToken(id)
    expect((await vault.get(id)).state).toBe('connected')
    await health.check(id)
    expect(await world.isActive(token.reveal())).toEqual([true])
  })

  test('where a replay kills it is looked at first, and the owner is asked', async () => {
    const { vault, id, loseNext, world } = await openForgiving({ replayKills: true })
    loseNext()
    await expect(vault.accessToken(id)).rejects.toMatchObject({ code: 'connection_unwell' })
    await expect(vault.accessToken(id)).rejects.toMatchObject({ code: 'reconnect_needed' })
    expect((await vault.get(id)).cause).toMatchObject({
      ...{ code: 'rotated_token_lost', confidence: 'likely' },
    })
    expect(await world.events()).not.toContain('grant.ended')
  })

  test('and is refused: the successor is lost, and a disconnect does not take the spent one’s end for its', async () => {
    const options = { rotation: 'may', replayKills: false }
    const world = await openGrantWorld({ rotates: true, options })
    const { vault, id } = world
    loseNext(world)
    await expect(vault.renew(id)).rejects.toMatchObject({ code: 'connection_unwell' })
    await expect(vault.renew(id)).rejects.toMatchObject({ code: 'reconnect_needed' })
    expect((await vault.get(id)).cause).toMatchObject({
      ...{ code: 'rotated_token_lost', confidence: 'likely' },
    })
    expect(await vault.disconnect(id)).toMatchObject({
      ...{ revokedAtProvider: 'unknown', mayLive: true },
      why: expect.stringMatching(/new refresh token: that one may live/),
    })
    expect(world.alive()).toEqual([true])
  })

  test.each([
    ['presented, where it is forgiven', GRACE, 'connected'],
    [
      'never presented, where a replay kills',
      { replayKills: true, graceMs: 10_000 },
      'reconnect_needed',
    ],
  ])('a predecessor is %s', async (_title, options, state) => {
    const { vault, store, id } = await openForgiving(options)
    const { refresh: first } = await vault.tokens(id)
    await vault.renew(id)
    const row = await store.connections.read(id)
    const kept = await store.connections.tokens(row!)
    expect(kept.predecessor?.reveal()).toBe(options.replayKills ? undefined : first?.reveal())
    // The newest was lost: by another store of the same grant, or a backup that was put back.
    await store.connections.update(id, () => ({
      tokens: {
        ...{ access: null, refresh: new Secret('lost'), expiresAt: null, renewAt: null },
        predecessor: { secret: first as Secret, until: Date.now() + 10_000 },
      },
    }))
    await vault.renew(id).catch(() => null)
    expect((await vault.get(id)).state).toBe(state)
  })
})
