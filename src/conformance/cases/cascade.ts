import { type CaseGroup, type ConformanceCase, oauth21, rfc } from '../case.ts'
import { brief, type Grant, type HeldToken, type RefreshableGrant } from '../grant.ts'
import { expectOk, isUnsupported, lifeByUse } from '../judge.ts'
import { watchOf } from '../life.ts'
import { deviation, fail, pass, skip, type Verdict } from '../verdict.ts'
import type { World } from '../world.ts'
import { waitForExpiry } from './tokens.ts'

const cascade = rfc(7009, '2.1')

/** A grant with two access tokens: the first, and that of a refresh. */
interface Family {
  readonly first: Grant
  /** The refresh token that is good now. */
  readonly refresh: HeldToken
  readonly access: readonly HeldToken[]
}

async function family(world: World): Promise<Family> {
  const first = await world.refreshable('c1')
  const child = world.readGrant('c1', await world.refresh(first.refresh, { quiet: true }))
  if (child === undefined) return { first, refresh: first.refresh, access: [first.access] }
  // Some servers end the older access token at a refresh: it then shows nothing about a revocation.
  const older = (await watchOf(world).life(first.access)) === 'alive' ? [first.access] : []
  return { first, refresh: child.refresh ?? first.refresh, access: [...older, child.access] }
}

const refreshKillsAccess: ConformanceCase = {
  id: 75,
  title: 'A revoked refresh token takes the access tokens of its grant along',
  level: 'should',
  cites: [cascade],
  needs: ['revocation', 'refresh:c1'],
  async run(world) {
    const { refresh, access } = await family(world)
    expectOk(await world.revoke({ as: 'c1', token: refresh }), 'A refresh token')
    for (const token of access)
      await watchOf(world).expectDead(token, 'after its refresh token was revoked')
    await watchOf(world).expectDead(refresh, 'after the 200')
    return pass(`${access.length} access token(s) of the grant died with it.`)
  },
}

const othersLive: ConformanceCase = {
  id: 76,
  title: 'Other logins, clients and users live on when a refresh token is revoked',
  level: 'hardening',
  cites: [cascade],
  needs: ['revocation', 'refresh:c1'],
  async run(world) {
    const grant = await world.refreshable('c1')
    const others = await bystanders(world)
    expectOk(await world.revoke({ as: 'c1', token: grant.refresh }), 'A refresh token')
    for (const [what, token] of others) await watchOf(world).expectAlive(token, `(${what})`)
    await watchOf(world).expectDead(grant.refresh, 'after the 200')
    return pass(`Alive: ${others.map(([what]) => what).join(', ')}.`)
  },
}

/** Tokens that have nothing to do with the one that dies. */
async function bystanders(world: World): Promise<readonly (readonly [string, HeldToken])[]> {
  const { clients, tokens } = world.config
  const device = await world.refreshable('c1')
  const others: (readonly [string, HeldToken])[] = [
    ['the access token of another login', device.access],
  ]
  if (clients.c2) others.push(['another client', (await world.grant('c2')).access])
  const { user } = tokens
  if (user?.by === 'command' || user?.secondUser) {
    others.push(['another user', (await world.grant('c1', 'second')).access])
  }
  // Last: to see whether a refresh token lives may use it up, and end its access token.
  return [...others, ['another login of the same user', device.refresh]]
}

const accessPolicy: ConformanceCase = {
  id: 77,
  title: 'What a revoked access token takes along',
  level: 'choice',
  cites: [cascade],
  needs: ['revocation', 'refresh:c1'],
  async run(world) {
    const { refresh, access } = await family(world)
    const [token, other] = [access.at(-1) as HeldToken, access.length > 1 ? access[0] : undefined]
    const answer = await world.revoke({ as: 'c1', token })
    if (isUnsupported(answer)) return skip('The server does not revoke access tokens.')
    expectOk(answer, 'An access token')
    await watchOf(world).expectDead(token, 'after the 200')
    const sibling = other === undefined ? 'unseen' : await watchOf(world).life(other)
    const life = await lifeByUse(world, refresh)
    if (life === 'alive') {
      return deviation(
        sibling === 'dead' ? 'All access tokens, and not the refresh token.' : 'Itself alone.',
      )
    }
    return deviation(sibling === 'alive' ? 'Itself and its refresh token.' : 'The whole grant.')
  },
}

const accessSpares: ConformanceCase = {
  id: 78,
  title: 'Other logins live on when an access token is revoked',
  level: 'may',
  cites: [cascade],
  needs: ['revocation', 'refresh:c1'],
  async run(world) {
    const grant = await world.refreshable('c1')
    const others = await bystanders(world)
    const answer = await world.revoke({ as: 'c1', token: grant.access })
    if (isUnsupported(answer)) return skip('The server does not revoke access tokens.')
    expectOk(answer, 'An access token')
    for (const [what, token] of others) await watchOf(world).expectAlive(token, `(${what})`)
    return undefined
  },
}

const expiredAccess: ConformanceCase = {
  id: 80,
  title: 'A refresh token whose access token has expired is revoked too',
  level: 'must',
  cites: [rfc(7009, '2')],
  needs: ['revocation', 'refresh:c1'],
  async run(world) {
    const grant = await world.refreshable('c1')
    await waitForExpiry(world, grant.expiresInSeconds)
    expectOk(await world.revoke({ as: 'c1', token: grant.refresh }), 'A refresh token')
    await watchOf(world).expectDead(grant.refresh, 'after the 200')
    return undefined
  },
}

const loginAfter: ConformanceCase = {
  id: 81,
  title: 'After a revocation, a new login gives tokens that live',
  level: 'hardening',
  cites: [cascade],
  needs: ['revocation', 'refresh:c1'],
  async run(world) {
    const { refresh } = await world.refreshable('c1')
    expectOk(await world.revoke({ as: 'c1', token: refresh }), 'A refresh token')
    const again = await world.refreshable('c1')
    await watchOf(world).expectAlive(again.access, 'though it is of a login after the revocation')
    await watchOf(world).expectAlive(again.refresh, 'though it is of a login after the revocation')
    return undefined
  },
}

const codeReplay: ConformanceCase = {
  id: 87,
  title: 'A code that is redeemed again is refused, and its tokens die',
  level: 'should',
  cites: [rfc(6749, '4.1.2'), oauth21('4.1.3')],
  needs: ['code:c1'],
  async run(world) {
    const code = await world.code('c1')
    const grant = world.readGrant('c1', await world.redeem('c1', code))
    if (grant === undefined) return skip('The code was not redeemed.')
    const again = await world.redeem('c1', code)
    if (again.status === 200) fail('The code was redeemed twice.')
    for (const token of tokensOf(grant)) {
      await watchOf(world).expectDead(token, 'after its code was redeemed again')
    }
    return undefined
  },
}

const codeReplayByThief: ConformanceCase = {
  id: 205,
  title: 'A code that is redeemed again with a wrong verifier does not end the session',
  level: 'should',
  cites: [oauth21('4.1.3'), rfc(7636, '4.6')],
  needs: ['code:c1'],
  async run(world): Promise<Verdict> {
    const code = await world.code('c1')
    const grant = world.readGrant('c1', await world.redeem('c1', code))
    if (grant === undefined) return skip('The code was not redeemed.')
    const again = await world.redeem('c1', { ...code, verifier: world.unique() })
    if (again.status === 200) fail('The code was redeemed twice, with a wrong verifier.')
    const [first] = tokensOf(grant) as [HeldToken]
    await watchOf(world).expectAlive(first, `after ${brief(again)} to a wrong verifier`)
    return pass()
  },
}

/** Access first: to see whether a refresh token lives may use it up. */
function tokensOf(grant: Grant | RefreshableGrant): readonly HeldToken[] {
  return grant.refresh ? [grant.access, grant.refresh] : [grant.access]
}

/** The cases of what dies with what. */
export const CASCADE: CaseGroup = {
  title: 'Cascade',
  cases: [
    refreshKillsAccess,
    othersLive,
    accessPolicy,
    accessSpares,
    expiredAccess,
    loginAfter,
    codeReplay,
    codeReplayByThief,
  ],
}
