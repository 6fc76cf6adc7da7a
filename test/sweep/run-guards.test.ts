import { afterEach, describe, expect, test } from 'vitest'
import { RescindError } from '../../src/core/errors.ts'
import { applyPlan, lookAgain, resumeRun } from '../../src/sweep/apply.ts'
import { policyFromFlags } from '../../src/sweep/policy.ts'
import { summarizeRun } from '../../src/sweep/summary.ts'
import { openWorld, type World } from '../support/sweep-world.ts'

const DAY_MS = 24 * 3_600_000
const POLICY = policyFromFlags({ userInactive: true, app: ['Drift*'] })

let world: World
afterEach(() => world[Symbol.asyncDispose]())

async function appliedRun() {
  world = await openWorld({ seed: 21, size: { users: 20, apps: 14, tokens: 200 } })
  const { header } = await world.plan(POLICY)
  return applyPlan(world.means(), header)
}

/** The clock of the sweep, set forward. */
function later(ms: number) {
  const { clock } = world
  return { ...clock, now: () => clock.now() + ms }
}

describe('quiet', () => {
  test('is given to what a look past the residual deadline does not find', async () => {
    const run = await appliedRun()
    const means = world.means({ residualMs: DAY_MS, clock: later(2 * DAY_MS) })
    await lookAgain(means, run)
    const { proof, planned } = await summarizeRun(world.store, run)
    expect(planned).toBeGreaterThan(0)
    expect(proof.quiet).toBe(planned)
  })

  test('is not given before the deadline', async () => {
    const run = await appliedRun()
    await lookAgain(world.means({ residualMs: DAY_MS, clock: later(DAY_MS / 2) }), run)
    expect((await summarizeRun(world.store, run)).proof.quiet).toBe(0)
  })

  test('is not given by a look that could not see', async () => {
    const run = await appliedRun()
    const blind = {
      ...world.session,
      async *inventory(signal?: AbortSignal) {
        for await (const part of world.session.inventory(signal)) {
          if (part.type !== 'end') yield part
          else yield { ...part, whole: false, why: 'slice too large' }
        }
      },
    }
    const means = { residualMs: DAY_MS, clock: later(2 * DAY_MS), session: blind }
    await lookAgain(world.means(means), run)
    const { proof, planned } = await summarizeRun(world.store, run)
    expect(proof).toMatchObject({ quiet: 0, absent: planned })
  })
})

describe('a run that was stopped', () => {
  async function stoppedRun() {
    world = await openWorld({ seed: 22, size: { users: 20, apps: 14, tokens: 300 } })
    const { header } = await world.plan(POLICY)
    const controller = new AbortController()
    let answered = 0
    const session = {
      ...world.session,
      kill: async (...args: Parameters<World['session']['kill']>) => {
        answered += 1
        if (answered === 15) controller.abort(new Error('stopped by a test'))
        return world.session.kill(...args)
      },
    }
    const means = world.means({ signal: controller.signal, session })
    await expect(applyPlan(means, header)).rejects.toMatchObject({ code: 'stopped_by_signal' })
    const run = await world.store.runs.ofPlan(header)
    if (!run) throw new Error('there is no run')
    return run
  }

  test('is resumed while its inventory is fresh', async () => {
    const run = await stoppedRun()
    const { planned, dead } = await summarizeRun(world.store, await resumeRun(world.means(), run))
    expect(dead).toBe(planned)
  })

  test('is refused once its inventory is older than a day, and nothing is sent', async () => {
    const run = await stoppedRun()
    world.org.clearLog()
    const means = world.means({ clock: later(DAY_MS + 60_000) })
    await expect(resumeRun(means, run)).rejects.toMatchObject({ code: 'plan_stale' })
    expect(world.org.log.filter(({ route }) => route === 'revoke')).toEqual([])
  })

  test('is not looked at while another process is at work on it', async () => {
    const run = await stoppedRun()
    await world.store.runs.hold(run, 'elsewhere:1:ab', 60_000)
    const held = await world.store.runs.get(run.id)
    if (!held) throw new Error('there is no run')
    await expect(lookAgain(world.means(), held)).rejects.toMatchObject({ code: 'run_busy' })
  })
})

test('a run that trouble stops says how to go on, and goes on', async () => {
  world = await openWorld({ seed: 23, size: { users: 20, apps: 14, tokens: 200 } })
  const { header } = await world.plan(POLICY)
  const session = {
    ...world.session,
    look: () => Promise.reject(new RescindError('provider_busy', 'No requests are left today.')),
  }
  const stopped = applyPlan(world.means({ session }), header)
  await expect(stopped).rejects.toMatchObject({
    code: 'stopped_by_trouble',
    exitCode: 6,
    message: expect.stringMatching(/^Stopped: No requests are left today\. .*rescind resume run_/),
  })
  const run = await world.store.runs.ofPlan(header)
  if (!run) throw new Error('there is no run')
  expect(run.state).toBe('stopped')
  const { planned, dead } = await summarizeRun(world.store, await resumeRun(world.means(), run))
  expect(dead).toBe(planned)
})

test('an inventory that a proof stands on is not pruned', async () => {
  const run = await appliedRun()
  const { store } = world
  const evidence = (await store.runs.tokens(run))[0]?.evidence?.replace('inventory ', '') ?? ''
  for (let at = 0; at < 25; at++) {
    const empty = await store.inventories.begin(run.tenant, 'salesforce', world.session.account)
    const covers = 'all' as const
    const end = { state: 'complete' as const, why: '', covers, whole: true, notes: [] }
    await store.inventories.finish(empty, { ...end, counted: { before: 0, after: 0 } })
  }
  await store.runs.setInventories(run, (await store.inventories.latest(run.tenant))?.no ?? 0, null)
  await store.inventories.prune(run.tenant)
  expect(await store.inventories.get(evidence)).toBeDefined()
  expect((await store.inventories.list(run.tenant)).length).toBeLessThan(25)
})
