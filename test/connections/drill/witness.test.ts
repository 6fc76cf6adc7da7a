import { describe, expect, test } from 'vitest'
import { emulatorControl, emulatorWitness } from '../../../src/connections/drill/emulator.ts'
import type { Platform } from '../../../src/connections/drill/platform.ts'
import { Secret } from '../../../src/core/secret.ts'
import type { ConnectionApp } from '../../../src/providers/connection-way.ts'
import {
  drill,
  openOrgWorld,
  openTwoVaults,
  openVaultWorld,
  story,
  type VaultWorld,
} from './world.ts'

const BOGUS = new Secret('nobody-was-given-this')

/** The rotating app of the same org. */
function anotherApp({ org, app }: VaultWorld): ConnectionApp {
  const { clientId, clientSecret } = org.credentials.rotating
  return { ...app, clientId, clientSecret: new Secret(clientSecret) }
}

describe.concurrent('refreshes of others, while a dead connection is called, are no storm of its', () => {
  type Other = (
    world: VaultWorld,
  ) => Promise<{ readonly app: ConnectionApp; readonly token: Secret }>
  const ROWS: readonly (readonly [string, Other])[] = [
    [
      'another app, and a token of no grant',
      async (world) => ({ app: anotherApp(world), token: BOGUS }),
    ],
    [
      'the same app, and another grant of the same person',
      async ({ app, grant }) => ({ app, token: (await grant()).refresh }),
    ],
    [
      'the same app, and a grant of another person that is dead',
      async ({ app, grant, other, direct }) => {
        const { refresh: token } = await grant(other)
        await direct.way.revoke(app, { kind: 'refresh', token }, direct.means)
        return { app, token }
      },
    ],
  ]
  test.each(ROWS)('%s', async (_title, other) => {
    const { platform, ...world } = await openVaultWorld()
    const { app, token } = await other({ ...world, platform })
    const { way, means } = world.direct
    const busy: Platform = {
      ...platform,
      async call() {
        await way.refresh(app, token, means)
        return platform.call()
      },
    }
    const drilled = await drill(world, { depth: 'refresh', platform: busy })
    expect(drilled.verdict, story(drilled)).toBe('passed')
    expect(drilled.step(6)?.evidence).toMatchObject({ refreshes: { platform: 1, provider: 1 } })
  })
})

test('a platform that storms with a spoilt token fails', async () => {
  const { platform, ...world } = await openVaultWorld()
  const { way, means } = world.direct
  const storming: Platform = {
    ...platform,
    async call() {
      await way.refresh(world.app, BOGUS, means)
      return platform.call()
    },
  }
  const drilled = await drill(world, { depth: 'refresh', platform: storming })
  expect(drilled.step(6)).toMatchObject({
    verdict: 'fail',
    why: expect.stringMatching(/refreshes/),
  })
})

test('two connections of one app that are drilled at once do not blame each other', async () => {
  const worlds = await openTwoVaults()
  const ended = await Promise.all(
    worlds.map((world) => drill(world, { depth: 'refresh', platform: world.platform })),
  )
  for (const drilled of ended) {
    expect(drilled.verdict, story(drilled)).toBe('passed')
    expect(drilled.step(6)?.evidence).toMatchObject({ refreshes: { platform: 1, provider: 1 } })
  }
})

test('each token of its grants counts: live, spent, dead, and of the grant that came after', async () => {
  const { app, direct, grant, http } = await openOrgWorld({ client: 'rotating' })
  const { way, means } = direct
  const since = Date.now()
  const { refresh: old } = await grant()
  const { tokens } = await way.refresh(app, old, means)
  const spentThenDead = [old, tokens?.refreshToken ?? expect.unreachable()]
  for (const token of spentThenDead) {
    expect((await way.refresh(app, token, means)).tokens).toBeNull()
  }
  const { refresh: held } = await grant()
  await way.refresh(app, held, means)
  await way.refresh(app, BOGUS, means)
  const witness = emulatorWitness(emulatorControl(app.url, http), {
    clientId: app.clientId,
    held: async () => held,
  })
  expect(await witness.refreshes(since, old)).toBe(4)
  expect(await witness.refreshes(since, null)).toBe(1)
})
