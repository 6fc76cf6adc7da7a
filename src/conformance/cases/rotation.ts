import { type CaseGroup, type ConformanceCase, oauth21, rfc } from '../case.ts'
import type { Role } from '../config.ts'
import { brief, type Grant, type HeldToken } from '../grant.ts'
import { errorOf, expectOk, expectRefused, lifeByUse } from '../judge.ts'
import { watchOf } from '../life.ts'
import { deviation, fail, pass, skip, type Verdict } from '../verdict.ts'
import type { World } from '../world.ts'
import { wrongCertificate } from './bound.ts'

const replay = rfc(9700, '4.14.2')
const refreshing = rfc(6749, '6')

const refused = { statuses: [400, 401], errors: ['invalid_grant'] }

/** A refresh token that was rotated away, and the one that took its place. */
interface Rotation {
  readonly old: HeldToken
  readonly child: Grant & { readonly refresh: HeldToken }
}

/** Refreshes a new grant once; undefined where the server keeps the same refresh token. */
async function rotate(world: World, role: Role): Promise<Rotation | undefined> {
  const { refresh: old } = await world.refreshable(role)
  const answer = await world.refresh(old)
  expectOk(answer, 'A refresh')
  const child = world.readGrant(role, answer)
  const refresh = child?.refresh
  if (child === undefined || refresh === undefined) return undefined
  return refresh.value.reveal() === old.value.reveal()
    ? undefined
    : { old, child: { ...child, refresh } }
}

/** The role whose refresh tokens rotate: that of public clients must. */
async function rotated(world: World): Promise<Rotation & { readonly role: Role }> {
  for (const role of ['p1', 'c1'] as const) {
    if (world.config.clients[role] === undefined) continue
    const rotation = await rotate(world, role)
    if (rotation) return { ...rotation, role }
  }
  return skip('The server does not rotate refresh tokens.')
}

/** Says what using a refresh token again gives. */
async function useAgain(
  world: World,
  { old, child }: Rotation,
  role: Role,
): Promise<'refused' | 'same' | 'sibling'> {
  const again = await world.refresh(old)
  if (again.status !== 200) {
    expectRefused(again, { statuses: [400, 401] }, 'A refresh token that was rotated away')
    if (errorOf(again) !== 'invalid_grant') world.note(`It is refused with ${brief(again)}.`)
    return 'refused'
  }
  const value = world.readGrant(role, again)?.refresh?.value.reveal()
  return value === child.refresh.value.reveal() ? 'same' : 'sibling'
}

function reuse(id: number, role: Role, level: 'must' | 'hardening'): ConformanceCase {
  return {
    id,
    title: `Reuse of a rotated refresh token is refused and ends the family (${role === 'p1' ? 'public' : 'confidential'} client)`,
    level,
    cites: [replay, oauth21('4.3.1')],
    needs: [`refresh:${role}`],
    async run(world): Promise<Verdict> {
      const rotation = await rotate(world, role)
      if (rotation === undefined) {
        if (role === 'p1') fail('Refresh tokens of a public client are neither rotated nor bound.')
        return skip('The server does not rotate refresh tokens of c1.')
      }
      const seen = await useAgain(world, rotation, role)
      if (seen === 'same') return deviation('A grace: the same answer comes again. See case 92.')
      if (seen === 'sibling') return deviation('A grace: another answer is given. See case 92.')
      const { access, refresh } = rotation.child
      await watchOf(world).expectDead(refresh, 'after the reuse')
      if ((await watchOf(world).life(access)) === 'unseen') {
        return pass('Whether its access token died cannot be seen: add rs1.')
      }
      await watchOf(world).expectDead(access, 'after the reuse')
      return pass()
    },
  }
}

const grace: ConformanceCase = {
  id: 92,
  title: 'A refresh that is sent again at once',
  level: 'choice',
  cites: [replay],
  needs: [],
  async run(world) {
    const rotation = await rotated(world)
    switch (await useAgain(world, rotation, rotation.role)) {
      case 'refused':
        return deviation('No grace: it is refused.')
      case 'same':
        return deviation('The same answer again.')
      case 'sibling':
        return deviation('Another pair of tokens.')
    }
  },
}

const revokedBeatsGrace: ConformanceCase = {
  id: 93,
  title: 'A revoked refresh token is refused at once, and so is the one before it',
  level: 'must',
  cites: [rfc(7009, '2.1')],
  needs: ['revocation', 'refresh:c1'],
  async run(world) {
    const { refresh } = await world.refreshable('c1')
    expectOk(await world.revoke({ as: 'c1', token: refresh }), 'A refresh token')
    expectRefused(await world.refresh(refresh), refused, 'A revoked refresh token')
    const rotation = await rotate(world, 'c1')
    if (rotation === undefined) return pass('The server does not rotate: only that was tested.')
    expectOk(await world.revoke({ as: 'c1', token: rotation.child.refresh }), 'A refresh token')
    const before = await world.refresh(rotation.old)
    expectRefused(before, refused, 'The token before a revoked one')
    return undefined
  },
}

const supersededRevoked: ConformanceCase = {
  id: 94,
  title: 'A superseded refresh token at the revocation endpoint: 200, and the family ends',
  level: 'hardening',
  cites: [rfc(7009, '2.2')],
  needs: ['revocation'],
  async run(world): Promise<Verdict> {
    const { old, child, role } = await rotated(world)
    const device = await world.refreshable(role)
    const answer = await world.revoke({ as: role, token: old })
    await watchOf(world).expectAlive(device.refresh, 'after a token of another login was revoked')
    expectOk(answer, 'A superseded refresh token')
    const life = await lifeByUse(world, child.refresh)
    return life === 'dead' ? pass() : deviation('Nothing dies: the session goes on.')
  },
}

const scopeKept: ConformanceCase = {
  id: 97,
  title: 'A refresh for less does not shrink the refresh token',
  level: 'should',
  cites: [refreshing, oauth21('4.3.1')],
  needs: ['refresh:c1'],
  async run(world) {
    const grant = await world.refreshable('c1')
    const scopes = grant.scope?.split(' ') ?? []
    // The scopes that a server gives refresh tokens or an ID token for are kept in both.
    const spare = scopes.find((name) => !/^(openid|offline_access|offline)$/.test(name))
    if (spare === undefined || scopes.length < 2) {
      return skip(
        'It needs a scope of two values or more, which the answer names: see tokens.user.scope.',
      )
    }
    const less = scopes.filter((name) => name !== spare).join(' ')
    const narrow = await world.refresh(grant.refresh, { more: [['scope', less]] })
    if (narrow.status !== 200) return skip(`A refresh for less is answered with ${brief(narrow)}.`)
    const next = world.readGrant('c1', narrow)?.refresh ?? grant.refresh
    const whole = await world.refresh(next)
    expectOk(whole, 'The next refresh')
    const scope = world.readGrant('c1', whole)?.scope
    if (scope !== undefined && !scope.split(' ').includes(spare)) {
      fail(`After a refresh without "${spare}", the refresh token has lost it for good.`)
    }
    return undefined
  },
}

const foreignRefresh: ConformanceCase = {
  id: 203,
  title: 'A client cannot refresh with the refresh token of another',
  level: 'must',
  cites: [refreshing],
  needs: ['refresh:c1', 'client:c2'],
  async run(world) {
    const { refresh } = await world.refreshable('c1')
    const answer = await world.refresh(refresh, { as: 'c2' })
    expectRefused(answer, { statuses: [400, 401, 403] }, "Another client's refresh token")
    await watchOf(world).expectAlive(refresh, 'after another client tried to use it')
    return undefined
  },
}

/** The cases of rotation and reuse. */
export const ROTATION: CaseGroup = {
  title: 'Rotation and reuse',
  cases: [
    reuse(90, 'p1', 'must'),
    reuse(206, 'c1', 'hardening'),
    grace,
    revokedBeatsGrace,
    supersededRevoked,
    wrongCertificate,
    scopeKept,
    foreignRefresh,
  ],
}
