import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { DrillContext } from '../../../src/connections/drill/context.ts'
import { emulatorControl } from '../../../src/connections/drill/emulator.ts'
import { GUARDS } from '../../../src/connections/drill/guards.ts'
import { injectionsOf } from '../../../src/connections/drill/injections.ts'
import type { Platform } from '../../../src/connections/drill/platform.ts'
import { countLive } from '../../../src/connections/drill/steps/before.ts'
import { salesforceConnection } from '../../../src/providers/salesforce/connection-way.ts'
import { drill, openAccountWorld, openVaultWorld, story } from './world.ts'

describe.concurrent('the budget of live tokens, asked with a token that lives', () => {
  test.each([
    ['the name of the app', undefined, 1, true, /live tokens?, of at most 5/],
    ['another name', 'Misspelt', null, false, /check options\.appName/],
  ] as const)('%s', async (_title, appName, least, ok, said) => {
    const { platform, direct } = await openVaultWorld()
    const options = { ...direct.app.options, ...(appName && { appName }) }
    const asked = {
      ...{ platform, signal: undefined, rules: { traits: salesforceConnection.traits } },
      direct: { ...direct, app: { ...direct.app, options } },
    }
    const count = await countLive(asked)
    expect(count).toEqual(least === null ? null : expect.any(Number))
    const budget = GUARDS.find(({ name }) => name === 'token budget') ?? expect.unreachable()
    const found = await budget.check(asked as unknown as DrillContext, {
      ...{ mode: 'simulated', allowedUsers: [], ownerConsent: null },
    })
    expect(found).toEqual({ ok, said: expect.stringMatching(said) })
  })
})

test('a provider that judges the token before the client: a refresh that is refused for our client is our own fault', async () => {
  const world = await openVaultWorld()
  world.org.setFaults([{ kind: 'invalid_client_401', on: 'token', nth: 2 }])
  await expect(drill(world, { depth: 'access', platform: world.platform })).rejects.toMatchObject({
    code: 'not_authenticated',
    message: expect.stringMatching(/our client .* its secret is wrong.* Nothing was revoked/),
  })
})

describe('a canary without its owner’s consent is refused', () => {
  test.each([
    ['nobody', null],
    ['an empty name', ''],
    ['a blank name', ' \t'],
  ])('%s', async (_title, ownerConsent) => {
    const mode = GUARDS.find(({ name }) => name === 'mode') ?? expect.unreachable()
    const permission = { mode: 'canary', allowedUsers: [], ownerConsent } as const
    expect(await mode.check({} as DrillContext, permission)).toEqual({
      ok: false,
      said: expect.stringMatching(/only with its owner’s consent: name who agreed/),
    })
  })
})

describe.concurrent('an access token that has merely ended is renewed before anything is counted', () => {
  test.each([
    ['in our own vault', openVaultWorld],
    ['via Open Connectors', openAccountWorld],
  ] as const)('%s', async (_title, open) => {
    const world = await open()
    world.org.expireSessions()
    const drilled = await drill(world, { depth: 'access', platform: world.platform })
    expect(drilled.verdict, story(drilled)).toBe('passed')
  })

  test.each([
    ['in our own vault', openVaultWorld],
    ['via Open Connectors', openAccountWorld],
  ] as const)(
    'a grant that is dead behind a connection that is said to be well is named, %s',
    async (_title, open) => {
      const world = await open()
      const { refresh } = await world.platform.tokens()
      const body = new URLSearchParams({ token: refresh?.reveal() ?? '' })
      await fetch(`${world.org.url}/services/oauth2/revoke`, { method: 'POST', body })
      await expect(
        drill(world, { depth: 'access', platform: world.platform }),
      ).rejects.toMatchObject({
        code: 'drill_refused',
        message: expect.stringMatching(
          /call through the platform fails \(revoked_or_expired\).*bring it back first.* Nothing was revoked\.$/,
        ),
      })
    },
  )
})

test('a user whom nobody can name is on no list', async () => {
  const { platform, direct, ...world } = await openVaultWorld()
  const way: typeof direct.way = {
    ...direct.way,
    probe: async (...args) => {
      const answer = await direct.way.probe(...args)
      return answer.verdict === 'alive' ? { ...answer, identity: null } : answer
    },
  }
  const unnamed = { ...world, direct: { ...direct, way } }
  await expect(drill(unnamed, { depth: 'grant', platform })).rejects.toMatchObject({
    code: 'drill_refused',
    message: expect.stringMatching(/user \(unknown\) is not on the list.* Nothing was revoked/),
  })
})

test('a reconnect link that cannot be decoded is refused, and nothing is revoked', async () => {
  const world = await openVaultWorld()
  const platform: Platform = {
    ...world.platform,
    async reconnectLink() {
      const link = await world.platform.reconnectLink()
      return { ...link, url: `${link.url}&discount=100%` }
    },
  }
  await expect(drill(world, { depth: 'grant', platform })).rejects.toMatchObject({
    code: 'drill_refused',
    message: expect.stringMatching(
      /link to 127\.0\.0\.1:\d+ has a "%" that begins no escaped byte.*Nothing was revoked/,
    ),
  })
})

/** A server on this machine that is no emulator; says where it is, and which paths it was asked for. */
async function realServer(status: number, body: string) {
  const asked: string[] = []
  const server = createServer(({ method, url }, response) => {
    asked.push(`${method} ${url}`)
    response.writeHead(status).end(body)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => void server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

describe('a simulated drill of a real server on this machine is refused, and nothing is revoked', () => {
  test.each([
    ['knows no control plane', 404, '{"error":"not found"}'],
    ['shows a page for everything', 200, '<html></html>'],
    ['answers JSON to everything', 200, '{"ok":true}'],
    ['answers null to everything', 200, 'null'],
  ])('the provider %s', async (_title, status, body) => {
    const world = await openVaultWorld()
    const { url, asked } = await realServer(status, body)
    const app = { ...world.direct.app, url }
    const { platform } = world
    const real = { ...world, app, direct: { ...world.direct, app } }
    await expect(drill(real, { depth: 'grant', platform })).rejects.toMatchObject({
      code: 'drill_refused',
      message: expect.stringMatching(
        /the provider 127\.0\.0\.1:\d+ does not answer as one: use --mode sandbox\. Nothing was revoked/,
      ),
    })
    expect(asked).toEqual(['GET /__emulator/faults'])
  })

  test('of faults too: nothing is posted to what is not known to be an emulator', async () => {
    const world = await openVaultWorld()
    const { url, asked } = await realServer(404, '{"error":"not found"}')
    const app = { ...world.direct.app, url }
    const lab = world.lab && { ...world.lab, provider: emulatorControl(url, world.http) }
    const { platform } = world
    const real = { ...world, app, direct: { ...world.direct, app }, ...(lab && { lab }) }
    const more = { injections: injectionsOf(['provider-5xx']) }
    await expect(drill(real, { depth: 'grant', platform, more })).rejects.toThrow(
      /does not answer as one: use --mode sandbox/,
    )
    expect(asked).toEqual(['GET /__emulator/faults'])
  })

  test('the account of Open Connectors is real', async () => {
    const world = await openAccountWorld()
    const { alive } = world.org.truth.counts()
    const { url } = await realServer(401, '{}')
    const lab = world.lab && { ...world.lab, account: emulatorControl(url, world.http) }
    const real = { ...world, ...(lab && { lab }) }
    await expect(drill(real, { depth: 'grant', platform: world.platform })).rejects.toThrow(
      /the account of Open Connectors does not answer as one: use --mode sandbox/,
    )
    expect(world.org.truth.counts().alive).toBe(alive)
  })
})
