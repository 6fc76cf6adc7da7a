import { describe, expect, test } from 'vitest'
import { linkConsent } from '../../../src/connections/drill/consent/link.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { Secret } from '../../../src/core/secret.ts'
import { CALLBACK, drill, openVaultWorld, story } from './world.ts'

describe.concurrent.each(['connected', 'rotating'] as const)(
  'our vault, an app that is %s',
  (client) => {
    test.each(['access', 'refresh', 'grant'] as const)('depth %s', async (depth) => {
      const world = await openVaultWorld({}, { client })
      const drilled = await drill(world, { depth, platform: world.platform })
      expect(drilled.verdict, story(drilled)).toBe('passed')
    })
  },
)

describe('a person with a link', () => {
  test('the drill waits until the answer is at the loopback callback; no denial is asked for', async () => {
    const world = await openVaultWorld()
    const { platform } = world
    const visits: Promise<unknown>[] = []
    const show = (url: string) => {
      const state = new Secret(new URL(url).searchParams.get('state') ?? '')
      const person = async () => {
        const { callback } = await world.consent.visit(
          { url, state, redirectUri: CALLBACK },
          'allow',
        )
        const query = new URLSearchParams({
          code: callback?.code?.reveal() ?? '',
          state: state.reveal(),
        })
        return fetch(`${CALLBACK}?${query}`)
      }
      visits.push(person())
    }
    const consent = linkConsent({ clock: systemClock, platform, show, waitMs: 20_000 })
    const drilled = await drill(world, { depth: 'refresh', platform, consent })
    await Promise.all(visits)
    expect(drilled.verdict, story(drilled)).toBe('passed')
    expect(drilled.step(9)?.evidence).toMatchObject({ how: 'link', denial: null })
  })

  test('who does not come leaves a connection that the end says how to bring back', async () => {
    const world = await openVaultWorld()
    const { platform } = world
    const consent = linkConsent({ clock: systemClock, platform, show: () => {}, waitMs: 300 })
    const drilled = await drill(world, { depth: 'refresh', platform, consent })
    expect(drilled.failedAt, story(drilled)).toBe(9)
    expect(drilled.records.at(-1)).toMatchObject({
      isBack: false,
      stands: expect.stringMatching(
        /is dead: .* Bring it back with: rescind connection link drilled/,
      ),
    })
  })
})
