import { expect, test } from 'vitest'
import { type DrillContext, emptyMemory } from '../../../src/connections/drill/context.ts'
import { proofStep } from '../../../src/connections/drill/steps/revoke.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { salesforceConnection } from '../../../src/providers/salesforce/connection-way.ts'
import { fingerprint, LIMITS, type OrgWorld, openOrgWorld } from './world.ts'

/** So that a token that lives on is not waited for. */
const RESIDUAL_MS = -5_000

/** Takes the step that looks whether the old token is dead; gives when that was proven. */
async function deadAtOf(world: OrgWorld, happens: (token: string) => Promise<void>) {
  const old = await world.grant()
  await happens(old.refresh.reveal())
  const memory = emptyMemory(systemClock.now())
  memory.revokedAt = systemClock.now()
  const traits = { ...salesforceConnection.traits, residualMs: RESIDUAL_MS }
  const context = {
    ...{ direct: world.direct, clock: systemClock, fingerprint, memory, secrets: { old } },
    rules: { depth: 'refresh', limits: LIMITS, traits },
  } as unknown as DrillContext
  const { verdict } = await proofStep.ask(context)
  return { verdict, deadAt: memory.deadAt }
}

/** The false-healthy window begins with it. */
test('a death is dated by the provider’s refusal alone: not by an outage, nor while the token lives', async () => {
  const world = await openOrgWorld()
  const { app, org } = world
  const revoke = async (token: string) => {
    const body = new URLSearchParams({ token })
    await fetch(`${app.url}/services/oauth2/revoke`, { method: 'POST', body })
  }
  expect(await deadAtOf(world, async () => {})).toEqual({ verdict: 'alive', deadAt: null })
  const cut = async (token: string) => {
    await revoke(token)
    org.setFaults([{ kind: 'error_500_before_effect', on: 'any' }])
  }
  expect(await deadAtOf(world, cut)).toEqual({ verdict: 'unclear', deadAt: null })
  org.setFaults([])
  expect(await deadAtOf(world, revoke)).toEqual({ verdict: 'dead', deadAt: expect.any(Number) })
})
