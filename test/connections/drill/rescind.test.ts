import { describe, expect, test } from 'vitest'
import { drill, openVaultWorld, story } from './world.ts'

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
