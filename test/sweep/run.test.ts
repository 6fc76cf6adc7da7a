import { afterEach, describe, expect, test } from 'vitest'
import type { Run } from '../../src/store/run-states.ts'
import { applyPlan, lookAgain, resumeRun } from '../../src/sweep/apply.ts'
import { parsePolicy } from '../../src/sweep/policy.ts'
import { summarizeRun } from '../../src/sweep/summary.ts'
import { openWorld, TENANT, type World, type WorldOptions } from '../support/sweep-world.ts'

const SMALL = { size: { users: 30, apps: 16, tokens: 220 }, times: 40 } as const
const DRIFT = parsePolicy('{ name: x, kill: [{ app: { name: Drift } }] }', 'x')
const KLUE = parsePolicy('{ name: x, kill: [{ app: { name: Klue* } }] }', 'x')

/** The org names the app of each grant by its id: what only bears its label is killed one by one. */
const BY_ID = { ecaAppMenuItemId: 'set' } as const

let world: World | undefined
afterEach(async () => {
  await world?.[Symbol.asyncDispose]()
  world = undefined
})

async function start(options: Partial<WorldOptions> = {}): Promise<World> {
  world = await openWorld({ seed: 11, ...SMALL, ...options })
  return world
}

function appOf({ org }: World, label: string): string {
  return org.truth.apps().find((app) => app.label === label)?.appId ?? ''
}

function living({ org }: World, label: string): number {
  return [...org.truth.grants()].filter(({ app, alive }) => app === label && alive).length
}

describe('a kill of all tokens of an external client app', () => {
  test('is one call, where all that it reaches is planned', async () => {
    const here = await start({ switches: BY_ID })
    const { header, kills } = await here.plan(KLUE)
    expect(kills.map(({ reach }) => reach.kind)).toEqual(['app'])
    const run = await applyPlan(here.means(), header)
    expect(await summarizeRun(here.store, run)).toMatchObject({
      dead: header.chosen,
      alive: 0,
      unknown: 0,
    })
    expect(living(here, 'Klue Battlecards')).toBe(0)
    expect(here.org.counters().get('revoke')).toBeUndefined()
  })

  test('is never sent once something new stands in its way: its tokens die one by one, and the new one lives', async () => {
    const here = await start({ switches: BY_ID })
    const { header } = await here.plan(KLUE)
    const [somebody] = here.org.truth.users()
    const fresh = here.org.addGrant({
      userId: somebody?.id ?? '',
      appId: appOf(here, 'Klue Battlecards'),
    })
    const run = await applyPlan(here.means(), header)
    expect(await summarizeRun(here.store, run)).toMatchObject({
      dead: header.chosen,
      planned: header.chosen,
    })
    expect(here.org.truth.isAlive(fresh.deleteToken)).toBe(true)
    expect(living(here, 'Klue Battlecards')).toBe(1)
    const codes = (await here.store.runs.kills(run)).map(({ code }) => code)
    expect(codes).toContain('reach_grew')
  })

  test('is tried again when what it would reach cannot be read', async () => {
    const here = await start({ switches: BY_ID })
    const { header } = await here.plan(KLUE)
    // More breaks in a row than one reading bears.
    here.org.setFaults([
      { kind: 'reset_before_effect', on: 'query', nth: [1, 2, 3, 4, 5, 6, 7, 8, 9] },
    ])
    const run = await applyPlan(here.means(), header)
    expect(await summarizeRun(here.store, run)).toMatchObject({
      state: 'finished',
      dead: header.chosen,
    })
  })
})

describe('a token that is missing from a list is not dead by that alone', () => {
  const SESSIONS = parsePolicy(
    '{ name: x, kill: [{ kind: session, app: { name: Data Sync } }] }',
    'x',
  )

  test('a session that the list of sessions left out is looked at by itself', async () => {
    const here = await start()
    const { header } = await here.plan(SESSIONS)
    expect(header.chosen).toBeGreaterThan(1)
    const means = here.means()
    // Nothing is killed, and the list of sessions is empty: all of them live.
    const run = (await here.store.runs.begin(header, 'me', 'host:1:a', 1)) as Run
    const blind = { ...means.session, inventory: withoutSessions(means.session.inventory) }
    await lookAgain({ ...means, session: blind }, run)
    expect(await summarizeRun(here.store, run)).toMatchObject({ dead: 0, alive: header.chosen })
  })

  function withoutSessions(
    inventory: World['session']['inventory'],
  ): World['session']['inventory'] {
    return async function* (signal) {
      for await (const part of inventory(signal)) {
        if (part.type !== 'tokens') yield part
        else yield { ...part, tokens: part.tokens.filter(({ kind }) => kind !== 'session') }
      }
    }
  }

  test('without Customize Application nothing is proven, and the run says so', async () => {
    const here = await start()
    const { header } = await here.plan(DRIFT)
    const run = await applyPlan(here.means(), header)
    expect(await summarizeRun(here.store, run)).toMatchObject({ dead: header.chosen })
    const partial = { ...here.session, inventory: ownTokensOnly(here.session.inventory) }
    const second = await here.plan(
      parsePolicy('{ name: y, kill: [{ app: { name: "Drift Chat" } }] }', 'y'),
    )
    const blind = await applyPlan(here.means({ session: partial }), second.header)
    expect(await summarizeRun(here.store, blind)).toMatchObject({
      dead: 0,
      unknown: second.header.chosen,
    })
  })

  function ownTokensOnly(inventory: World['session']['inventory']): World['session']['inventory'] {
    return async function* (signal) {
      for await (const part of inventory(signal)) {
        if (part.type === 'end') {
          yield { ...part, whole: false, why: 'own tokens only', covers: { users: ['us'] } }
        } else if (part.type !== 'tokens') yield part
      }
    }
  }
})

describe('an app that comes back', () => {
  test('is seen by the second look, and reported', async () => {
    const here = await start()
    const { header } = await here.plan(DRIFT)
    here.org.setFaults([{ kind: 'reauthorise', on: 'revoke', nth: [2, 4, 6, 8], ms: 15_000 }])
    const run = await applyPlan(here.means({ secondLookMs: 30_000 }), header)
    // Users who have left do not come back: how many did is the org's to tell.
    const back = living(here, 'Drift')
    expect(back).toBeGreaterThan(0)
    const summary = await summarizeRun(here.store, run)
    expect(summary).toMatchObject({ dead: header.chosen, cameBack: back })
  })
})

describe('one run, one process', () => {
  test('two that apply one plan at once: one of them does', async () => {
    const here = await start()
    const { header } = await here.plan(DRIFT)
    const both = await Promise.allSettled([
      applyPlan(here.means(), header),
      applyPlan(here.means(), header),
    ])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const refused = both.find(({ status }) => status === 'rejected')
    expect(refused).toMatchObject({ reason: { code: 'plan_applied' } })
    expect(here.org.counters().get('revoke')).toBe(header.chosen)
  })

  test('one that slept for longer than its lease finds another at work, and stops', async () => {
    const here = await start()
    here.org.setLatency(30)
    const { header } = await here.plan(DRIFT)
    const sleeper = applyPlan(here.means({ concurrencyMax: 1 }), header)
    sleeper.catch(() => {})
    let run: Run | undefined
    while (!run) {
      await new Promise(setImmediate)
      run = await here.store.runs.ofPlan(header)
    }
    expect(await here.store.runs.hold(run, 'elsewhere:1:x', 60_000)).toBe(true)
    await expect(sleeper).rejects.toMatchObject({ code: 'run_busy' })
    expect(await here.store.runs.get(run.id)).toMatchObject({
      state: 'running',
      holder: 'elsewhere:1:x',
    })
    const held = (await here.store.runs.get(run.id)) as Run
    await expect(resumeRun(here.means(), held)).rejects.toMatchObject({ code: 'run_busy' })
    // Its lease runs out: then it is taken over, and brought to its end.
    await here.clock.sleep(61_000)
    here.org.setLatency(0)
    const done = await resumeRun(here.means(), held)
    expect(await summarizeRun(here.store, done)).toMatchObject({
      state: 'finished',
      dead: header.chosen,
    })
  })
})

describe('a run that goes wrong', () => {
  test('is stopped by its canary when the provider says yes and does nothing', async () => {
    const here = await start()
    const { header } = await here.plan(DRIFT)
    here.org.setFaults([{ kind: 'ok_without_effect', on: 'revoke' }])
    await expect(applyPlan(here.means(), header)).rejects.toMatchObject({
      code: 'stopped_by_breaker',
    })
    expect(here.org.counters().get('revoke')).toBe(1)
    const run = (await here.store.runs.ofPlan(header)) as Run
    expect(run.state).toBe('stopped')
    here.org.setFaults([])
    const done = await resumeRun(here.means(), run)
    expect(await summarizeRun(here.store, done)).toMatchObject({ dead: header.chosen })
  })

  test('is stopped by the breaker, and what was not sent is planned again', async () => {
    const here = await start({ size: { users: 30, apps: 16, tokens: 600 } })
    const { header } = await here.plan(DRIFT)
    here.org.setFaults([
      { kind: 'bad_id_404', on: 'revoke', nth: Array.from({ length: 900 }, (_, at) => at + 12) },
    ])
    await expect(applyPlan(here.means(), header)).rejects.toMatchObject({
      code: 'stopped_by_breaker',
      message: expect.stringMatching(/had no effect or no answer.*Bad_Id.*rescind resume run_/),
    })
    const run = (await here.store.runs.ofPlan(header)) as Run
    const states = new Set((await here.store.runs.kills(run)).map(({ state }) => state))
    expect(states.has('intent')).toBe(false)
    expect(await summarizeRun(here.store, run)).toMatchObject({
      state: 'stopped',
      outcomes: { revoked: 11 },
      dead: 0,
    })
  })

  test('is finished, and says what lives, when kills have no effect for good', async () => {
    const here = await start()
    const { header, kills } = await here.plan(DRIFT)
    const stubborn = kills[12]?.tokens[0]
    const session = {
      ...here.session,
      kill: async (...args: Parameters<World['session']['kill']>) => {
        const isStubborn = args[0].tokens.some(({ fingerprint }) => fingerprint === stubborn)
        return isStubborn
          ? ({ outcome: 'revoked', code: 'http_200' } as const)
          : here.session.kill(...args)
      },
    }
    const run = await applyPlan(here.means({ session }), header)
    expect(run.state).toBe('finished')
    expect(await summarizeRun(here.store, run)).toMatchObject({
      dead: header.chosen - 1,
      alive: 1,
      unknown: 0,
    })
  })

  test('does not begin for another tenant or another org', async () => {
    const here = await start()
    const { header } = await here.plan(DRIFT)
    const other = {
      ...here.session,
      account: { ...here.session.account, id: '00D000000000009AAA' },
    }
    for (const means of [here.means({ tenant: `${TENANT}2` }), here.means({ session: other })]) {
      await expect(applyPlan(means, header)).rejects.toMatchObject({ code: 'plan_other_tenant' })
    }
    expect(here.org.counters().get('revoke')).toBeUndefined()
  })
})
