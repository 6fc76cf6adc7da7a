import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import { applyPlan } from '../../src/sweep/apply.ts'
import { parsePolicy } from '../../src/sweep/policy.ts'
import { openWorld, type World } from '../support/sweep-world.ts'

const EVERYTHING = parsePolicy(
  '{ name: all, kill: [{ app: { name: "*" } }, { user: { name: "*" } }] }',
  'x',
)

let world: World
beforeEach(async () => {
  world = await openWorld({ seed: 4, size: { users: 20, apps: 14, tokens: 80 }, times: 40 })
})
afterEach(() => world[Symbol.asyncDispose]())

function ownSessions({ org }: World) {
  return org.truth.sessions().filter(({ app, alive }) => app === 'Warehouse Export' && alive)
}

describe('a policy that would kill everything', () => {
  test('spares what the tool works with, says so, and leaves it working', async () => {
    const { header, kills } = await world.plan(EVERYTHING)
    expect(header.spared).toBeGreaterThan(0)
    expect(header.untouched).toBe(0)
    expect(header.notes.join('\n')).toMatch(/credential that Rescind works with.*spared/)
    const planned = new Set<string>(kills.flatMap(({ tokens }) => tokens))
    const own = ownSessions(world).map(({ id }) =>
      world.store.fingerprint(new Secret(`session:${id}`)),
    )
    expect(own.length).toBeGreaterThan(0)
    for (const fingerprint of own) expect(planned.has(fingerprint)).toBe(false)
    const heldBack = await world.store.plans.heldBack(header)
    expect(new Set(heldBack.map(({ rule }) => rule))).toEqual(new Set(['own credential']))

    const run = await applyPlan(world.means(), header)
    expect(run.state).toBe('finished')
    expect(ownSessions(world).length).toBeGreaterThanOrEqual(own.length)
    await expect(world.session.check()).resolves.not.toEqual([])
  })
})

describe('a plan whose reach would contain our own credential is refused, and nothing is sent', () => {
  const refused = async (means: Parameters<typeof applyPlan>[0], code: string, planNo = 1) => {
    const plan = await world.store.plans.byNo(planNo)
    if (!plan) throw new Error('no plan')
    await expect(applyPlan(means, plan)).rejects.toMatchObject({ code })
    expect(world.org.counters().get('revoke')).toBeUndefined()
    expect(await world.store.runs.list()).toEqual([])
  }
  /** Changes the store behind the program's back. */
  const tamper = (sql: string) => {
    using database = new DatabaseSync(world.store.path)
    database.exec('PRAGMA foreign_keys = OFF')
    expect(database.prepare(sql).run().changes).toBeGreaterThan(0)
  }

  test('when the own token is put behind a planned kill', async () => {
    await world.plan(EVERYTHING)
    tamper(`UPDATE plan_token SET verdict = 'kill', kill = 0 WHERE rule = 'own credential'`)
    await refused(world.means(), 'plan_altered')
  })

  test('when a planned kill is made to name another token', async () => {
    await world.plan(EVERYTHING)
    tamper(`UPDATE plan_token SET fingerprint = 'fp_000000000000000000000000'
      WHERE fingerprint = (SELECT token FROM plan_kill WHERE kind = 'token' LIMIT 1)`)
    await refused(world.means(), 'plan_altered')
  })

  test('when a token turns out to be ours after the plan was made', async () => {
    await world.plan(EVERYTHING)
    tamper(`UPDATE token SET own = 1 WHERE fingerprint IN
      (SELECT fingerprint FROM plan_token WHERE verdict = 'kill' LIMIT 1)`)
    await refused(world.means(), 'plan_kills_self')
  })

  test('when it is applied as somebody else', async () => {
    await world.plan(EVERYTHING)
    const { account } = world.session
    const caller = { ...account.caller, userId: '005000000000001AAA', userName: 'eve@acme.example' }
    const session = { ...world.session, account: { ...account, caller } }
    await refused(world.means({ session }), 'plan_kills_self')
  })

  test('when it is applied by the same user with another app, some of whose tokens are planned', async () => {
    const { org } = world
    const { userId } = world.session.account.caller
    const drift = org.truth.apps().find(({ label }) => label === 'Drift')
    org.addGrant({ userId, appId: drift?.appId ?? '' })
    await world.plan(EVERYTHING)
    const { account } = world.session
    const session = {
      ...world.session,
      account: { ...account, caller: { ...account.caller, app: 'Drift' } },
    }
    await refused(world.means({ session }), 'plan_kills_self')
  })

  test('when the handle of a planned token is exchanged for that of a spared one', async () => {
    const { header } = await world.plan(EVERYTHING)
    tamper(`UPDATE token SET handle = (SELECT handle FROM token WHERE own = 1 LIMIT 1)
      WHERE fingerprint IN (SELECT fingerprint FROM plan_token WHERE verdict = 'kill')`)
    await expect(applyPlan(world.means(), header)).rejects.toMatchObject({ code: 'store_corrupt' })
    expect(world.org.counters().get('revoke')).toBeUndefined()
    expect(world.org.counters().get('session-delete')).toBeUndefined()
  })
})
