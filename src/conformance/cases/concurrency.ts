import type { HttpResponse } from '../../core/http.ts'
import { anyToken } from '../any-token.ts'
import { type CaseGroup, type ConformanceCase, rfc } from '../case.ts'
import { codePairs, type Grant, type HeldToken } from '../grant.ts'
import { expectOk, firstOf, isUnsupported, lifeByUse } from '../judge.ts'
import { judgeIntrospection, watchOf } from '../life.ts'
import { race } from '../race.ts'
import { deviation, fail, pass, skip, unclear, type Verdict } from '../verdict.ts'
import type { World } from '../world.ts'

/** As many as a page with some tabs sends at once. */
const PARALLEL = 4
/** A login, the racers, and the looks at what they leave. */
const REQUESTS_A_ROUND = 50
/** Another node that does not know after this long does not learn of it. */
const SPREAD_MS_MAX = 10_000
const SPREAD_STEP_MS = 100

const requestsMax = ({ races }: { races: number }) => races * REQUESTS_A_ROUND + 200

/** The refresh tokens that several answers gave, each once. */
function children(
  world: World,
  answers: readonly HttpResponse[],
  parent: HeldToken,
): readonly Grant[] {
  const seen = new Map<string, Grant>()
  for (const answer of answers) {
    const grant = world.readGrant(parent.role, answer)
    if (grant) seen.set((grant.refresh ?? grant.access).value.reveal(), grant)
  }
  return [...seen.values()]
}

async function living(world: World, grants: readonly Grant[]): Promise<number> {
  let alive = 0
  // One after the other: to see whether a refresh token lives may use it up.
  for (const { refresh, access } of grants) {
    if ((await lifeByUse(world, refresh ?? access)) === 'alive') alive += 1
  }
  return alive
}

const parallelRefresh: ConformanceCase = {
  id: 99,
  title: `${PARALLEL} refreshes of one token at once leave one child at most`,
  level: 'hardening',
  cites: [rfc(9700, '4.14.2')],
  needs: [],
  requestsMax,
  async run(world): Promise<Verdict> {
    const role = firstOf(world, ['p1', 'c1'])
    if (role === undefined) return skip('It needs p1 or c1.')
    let [doubled, repeated, rotates] = [0, 0, false]
    const violations = await race(world, async () => {
      const { refresh } = await world.refreshable(role)
      const answers = await Promise.all(
        Array.from({ length: PARALLEL }, () => world.refresh(refresh)),
      )
      const born = children(world, answers, refresh)
      const winners = answers.filter(({ status }) => status === 200).length
      const same = born.some(
        ({ refresh: child }) => child?.value.reveal() === refresh.value.reveal(),
      )
      if (same) return false
      rotates = true
      if (winners > 1 && born.length === 1) repeated += 1
      if (born.length < 2) return false
      const alive = await living(world, born)
      if (alive > 1) doubled += 1
      return alive > 1
    })
    if (!rotates) return skip('The server does not rotate refresh tokens.')
    const rounds = `${world.limits.races} rounds`
    if (violations > 0) fail(`Two or more children lived on in ${doubled} of ${rounds}.`)
    if (repeated > 0)
      return deviation(`The same child was given several times, in ${repeated} of ${rounds}.`)
    return pass(`One child or none in each of ${rounds}.`)
  },
}

/** A revocation and a refresh of the same grant at once: after the 200, nothing of it lives. */
async function refreshAgainst(world: World, revoked: 'refresh' | 'access'): Promise<Verdict> {
  const inOrder = await survivesInOrder(world, revoked)
  let [won, refreshed] = [0, 0]
  const violations = await race(world, async () => {
    const grant = await world.refreshable('c1')
    const token = revoked === 'refresh' ? grant.refresh : grant.access
    const revoke = () => world.revoke({ as: 'c1', token })
    const refresh = () => world.refresh(grant.refresh)
    // Who is sent first changes from round to round.
    const first = world.random() < 0.5
    const [a, b] = await Promise.all(first ? [revoke(), refresh()] : [refresh(), revoke()])
    const [answer, fresh] = first ? [a, b] : [b, a]
    if (answer.status !== 200) return false
    won += 1
    const born = world.readGrant('c1', fresh)
    if (born) refreshed += 1
    return await survives(world, grant, born)
  })
  const rounds = `${world.limits.races} rounds`
  if (won === 0) unclear('No revocation was answered with 200.')
  if (violations === 0) return pass(`Nothing lived on in ${rounds}.`)
  const lived = `Tokens of the grant lived on in ${violations} of ${rounds} (${refreshed} refreshes were answered)`
  if (inOrder) return deviation(`${lived}, as they do when the refresh comes first: see case 94.`)
  fail(`${lived}.`)
}

/**
 * Says whether a child of a refresh lives on when what came before it is revoked afterwards. Where it
 * does, a race shows nothing: the refresh may have come first.
 */
async function survivesInOrder(world: World, revoked: 'refresh' | 'access'): Promise<boolean> {
  const grant = await world.refreshable('c1')
  const born = world.readGrant('c1', await world.refresh(grant.refresh))
  const token = revoked === 'refresh' ? grant.refresh : grant.access
  await world.revoke({ as: 'c1', token })
  return await survives(world, grant, born)
}

async function survives(world: World, grant: Grant, born: Grant | undefined): Promise<boolean> {
  const access = [grant.access, ...(born ? [born.access] : [])]
  for (const token of access) {
    if ((await watchOf(world).lifeOrDoubt(token)) === 'alive') return true
  }
  const last = born?.refresh ?? grant.refresh
  return last !== undefined && (await lifeByUse(world, last)) === 'alive'
}

const refreshVersusRevoke: ConformanceCase = {
  id: 100,
  title:
    'A refresh and a revocation of the refresh token at once: after the 200, nothing of the grant lives',
  level: 'hardening',
  cites: [rfc(7009, '2.1')],
  needs: ['revocation', 'refresh:c1'],
  requestsMax,
  async run(world) {
    return await refreshAgainst(world, 'refresh')
  },
}

const refreshVersusAccess: ConformanceCase = {
  id: 207,
  title: 'A refresh and a revocation of the access token at once, where that ends the grant',
  level: 'hardening',
  cites: [rfc(7009, '2.1')],
  needs: ['revocation', 'refresh:c1'],
  requestsMax,
  async run(world) {
    const grant = await world.refreshable('c1')
    const answer = await world.revoke({ as: 'c1', token: grant.access })
    if (isUnsupported(answer)) return skip('The server does not revoke access tokens.')
    if ((await lifeByUse(world, grant.refresh)) === 'alive') {
      return skip('An access token takes down itself alone: see case 77.')
    }
    return await refreshAgainst(world, 'access')
  },
}

const parallelRevocations: ConformanceCase = {
  id: 101,
  title: 'Revocations of the refresh and the access token at once: both 200, both dead',
  level: 'hardening',
  cites: [rfc(7009, '2.2')],
  needs: ['revocation', 'refresh:c1'],
  requestsMax,
  async run(world) {
    let broken = 0
    const violations = await race(world, async () => {
      const grant = await world.refreshable('c1')
      const answers = await Promise.all([
        world.revoke({ as: 'c1', token: grant.refresh }),
        world.revoke({ as: 'c1', token: grant.access }),
        world.revoke({ as: 'c1', token: grant.refresh }),
      ])
      if (answers.some((answer) => answer.status !== 200 && !isUnsupported(answer))) {
        broken += 1
        return true
      }
      return await survives(world, grant, undefined)
    })
    const rounds = `${world.limits.races} rounds`
    if (broken > 0) fail(`One of them was not answered with 200 in ${broken} of ${rounds}.`)
    if (violations > 0) fail(`A token lived on in ${violations} of ${rounds}.`)
    return pass(`All 200, and nothing lived on, in ${rounds}.`)
  },
}

const parallelCodes: ConformanceCase = {
  id: 201,
  title: `A code that is redeemed ${PARALLEL} times at once is good once at most`,
  level: 'must',
  cites: [rfc(6749, '4.1.2')],
  needs: ['code:c1'],
  requestsMax,
  async run(world): Promise<Verdict> {
    let most = 0
    const violations = await race(world, async () => {
      const code = await world.code('c1')
      const answers = await Promise.all(
        Array.from({ length: PARALLEL }, () => world.askToken('c1', codePairs(code))),
      )
      const winners = answers.filter(({ status }) => status === 200).length
      most = Math.max(most, winners)
      return winners > 1
    })
    const rounds = `${world.limits.races} rounds`
    if (violations > 0) fail(`It was redeemed up to ${most} times, in ${violations} of ${rounds}.`)
    return pass(`Never twice in ${rounds}.`)
  },
}

const spread: ConformanceCase = {
  id: 109,
  title: 'A revocation on one node is known on another',
  level: 'should',
  cites: [rfc(7009, '2.1')],
  needs: ['revocation', 'rs1', 'token:c1'],
  async run(world) {
    const other = world.target.secondIntrospection
    if (other === undefined)
      return skip('It needs another node: add endpoints.secondIntrospection.')
    const token = await anyToken(world, 'c1')
    const look = async () => judgeIntrospection(await world.introspect({ as: 'rs1', token }, other))
    if ((await look()) !== 'alive')
      return unclear('The other node does not see the token alive before.')
    expectOk(await world.revoke({ as: 'c1', token }), 'A revocation')
    const since = world.clock.now()
    while ((await look()) === 'alive') {
      if (world.clock.now() - since > SPREAD_MS_MAX) {
        fail(`The other node calls it active ${SPREAD_MS_MAX / 1000} s after the 200.`)
      }
      await world.clock.sleep(SPREAD_STEP_MS, world.signal)
    }
    return pass(`Known within ${world.clock.now() - since} ms.`)
  },
}

/** The cases of what happens at once. */
export const CONCURRENCY: CaseGroup = {
  title: 'Concurrency',
  cases: [
    parallelRefresh,
    refreshVersusRevoke,
    refreshVersusAccess,
    parallelRevocations,
    parallelCodes,
    spread,
  ],
}
