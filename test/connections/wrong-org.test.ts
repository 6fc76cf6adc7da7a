import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type SalesforceOrg, startSalesforce } from '../../emulators/index.ts'
import { createReauthorizing } from '../../src/connections/reauthorize.ts'
import { Secret } from '../../src/core/secret.ts'
import { walkLogin } from '../emulators/clients/login-walk.ts'
import { type ConnectionWorld, openConnectionWorld, SIZE, salesforceTenant } from './world.ts'

const CALLBACK = 'http://127.0.0.1:50123/callback'
let world: ConnectionWorld
let other: SalesforceOrg

beforeEach(async () => {
  world = await openConnectionWorld()
  other = await startSalesforce({ seed: 13, size: SIZE, switches: { rotation: 'all' } })
})
afterEach(async () => {
  await world[Symbol.asyncDispose]()
  await other.close()
})

/** The vault after somebody wrote the other org's address into the tenant. */
const turned = () => world.again({ tenants: [salesforceTenant(other)] })
const isAlive = (deleteToken: string) => world.org.truth.isAlive(deleteToken)

describe('the tenant leads to another org than its connection is of, which answers 400 to the token', () => {
  test.each([
    ['was of use', true],
    ['never was of use', false],
  ])(
    'one that %s: unknown, said why, and the token is kept for its own org',
    async (_title, isUsed) => {
      const { id, deleteToken } = await world.connect()
      if (isUsed) await world.vault.accessToken(id)
      const wrong = await turned()
      expect(await wrong.vault.disconnect(id)).toMatchObject({
        ...{ revokedAtProvider: 'unknown', mayLive: true },
        why: expect.stringMatching(/may be dead, or of another organization/),
      })
      expect(isAlive(deleteToken)).toBe(true)
      // An answer that came is not asked for again.
      expect(other.counters().get('revoke')).toBe(1)
      const right = await world.vault.disconnect(id)
      expect(right).toMatchObject({ revokedAtProvider: 'yes', mayLive: false })
      expect(isAlive(deleteToken)).toBe(false)
    },
  )

  test.each([
    ['was of use', true],
    ['never was of use', false],
  ])('a grant that %s, replaced by one of the other org, is kept too', async (_title, isUsed) => {
    const { id, deleteToken } = await world.connect()
    if (isUsed) await world.vault.accessToken(id)
    const wrong = await turned()
    const service = createReauthorizing(wrong.parts, wrong.vault, { accept: ['another_org'] })
    const { url, state } = await service.link(id)
    const back = await walkLogin(url, CALLBACK, { ...other.credentials.admin, decision: 'Allow' })
    const code = new Secret(back.get('code') ?? '')
    expect(
      await service.callback({ state: state.reveal(), code, error: null, iss: null }),
    ).toMatchObject({ kind: 'reconnected' })
    expect(await wrong.vault.replaced(id)).toBe(1)
    expect(await wrong.vault.disconnect(id)).toMatchObject({
      ...{ revokedAtProvider: 'unknown', mayLive: true },
    })
    expect(isAlive(deleteToken)).toBe(true)
    // Each dies in its own org.
    await world.vault.disconnect(id)
    expect(isAlive(deleteToken)).toBe(false)
    expect(await world.vault.replaced(id)).toBe(0)
    expect(await wrong.vault.disconnect(id)).toMatchObject({
      ...{ revokedAtProvider: 'yes', mayLive: false },
    })
  })
})

test('a grant that is dead in its own org is forgotten at the reconnect', async () => {
  const { id, deleteToken } = await world.connect()
  await world.vault.accessToken(id)
  const body = new URLSearchParams({ token: deleteToken })
  await fetch(`${world.org.url}/services/oauth2/revoke`, { method: 'POST', body })
  const service = createReauthorizing(world.parts, world.vault)
  const { url, state } = await service.link(id)
  const { admin } = world.org.credentials
  const back = await walkLogin(url, CALLBACK, { ...admin, decision: 'Allow' })
  const code = new Secret(back.get('code') ?? '')
  expect(
    await service.callback({ state: state.reveal(), code, error: null, iss: null }),
  ).toMatchObject({ kind: 'reconnected' })
  expect(await world.vault.replaced(id)).toBe(0)
  expect((await world.vault.disconnect(id)).revokedAtProvider).toBe('yes')
})
