import { describe, expect, test } from 'vitest'
import { drill, openAccountWorld, story } from './world.ts'

describe.concurrent('via Open Connectors', () => {
  test.each(['access', 'refresh', 'grant'] as const)('depth %s', async (depth) => {
    const world = await openAccountWorld()
    const drilled = await drill(world, { depth, platform: world.platform })
    expect(drilled.verdict, story(drilled)).toBe('passed')
  })
})
