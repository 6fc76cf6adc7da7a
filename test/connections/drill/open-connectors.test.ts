import { describe, expect, test } from 'vitest'
import { emulatorControl, emulatorNight } from '../../../src/connections/drill/emulator.ts'
import { createHttp } from '../../../src/core/http.ts'
import { drill, openAccountWorld, story } from './world.ts'

/** So many times as fast as by default. */
const TIMES = 40
/** Of any other request, as fast: a night at the default delays takes longer. */
const HTTP_MS_MAX = 30_000 / TIMES

describe.concurrent('via Open Connectors', () => {
  test.each(['access', 'refresh', 'grant'] as const)('depth %s', async (depth) => {
    const world = await openAccountWorld()
    const drilled = await drill(world, { depth, platform: world.platform })
    expect(drilled.verdict, story(drilled)).toBe('passed')
  })

  test('a night at the default delays is waited for beyond the limit of a request', async () => {
    const { account, org, instance, platform } = await openAccountWorld({
      ...{ refreshRetryMs: undefined, timeScale: TIMES },
    })
    const { refresh } = await platform.tokens()
    const body = new URLSearchParams({ token: refresh?.reveal() ?? '' })
    await fetch(`${org.url}/services/oauth2/revoke`, { method: 'POST', body })
    const http = createHttp({ timeoutMs: HTTP_MS_MAX })
    const startedAt = performance.now()
    await emulatorNight(emulatorControl(account.url, http))()
    expect(performance.now() - startedAt).toBeGreaterThan(HTTP_MS_MAX)
    expect(account.truth.instance(instance)?.disabled).toBe(true)
    await http.close()
  })
})
