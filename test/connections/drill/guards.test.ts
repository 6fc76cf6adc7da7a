import { describe, expect, test } from 'vitest'
import type { DrillContext } from '../../../src/connections/drill/context.ts'
import { GUARDS } from '../../../src/connections/drill/guards.ts'
import { countLive } from '../../../src/connections/drill/steps/before.ts'
import { salesforceConnection } from '../../../src/providers/salesforce/connection-way.ts'
import { openVaultWorld } from './world.ts'

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
