import { anyToken } from '../any-token.ts'
import { type CaseGroup, type ConformanceCase, rfc } from '../case.ts'
import type { Role } from '../config.ts'
import { brief, type HeldToken } from '../grant.ts'
import {
  errorOf,
  expectNoCrash,
  expectOk,
  expectRefused,
  isUnsupported,
  revokesAnyway,
} from '../judge.ts'
import { watchOf } from '../life.ts'
import { deviation, fail, pass, skip, type Verdict } from '../verdict.ts'
import type { World } from '../world.ts'
import { foreignJwt, forgedJwts, isJwt } from './jwt-forms.ts'

/** Tokens that live longer are not waited for. */
const LIFETIME_SECONDS_MAX = 15
/** What a clock in seconds can be off by. */
const EXPIRY_MARGIN_MS = 1_500

const hints = rfc(7009, '2.1')
const answers = rfc(7009, '2.2')
const unsupported = rfc(7009, '2.2.1')

/** An access token of c1: of a user's grant, else of the client itself. */
export async function accessToken(world: World, role: Role = 'c1'): Promise<HeldToken> {
  if (world.config.tokens.user === undefined) return await world.service(role)
  return (await world.grant(role)).access
}

const accessWithoutHint: ConformanceCase = {
  id: 23,
  title: 'An access token is revoked without a hint',
  level: 'should',
  cites: [rfc(7009, '2')],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await accessToken(world)
    const answer = await world.revoke({ as: 'c1', token, hint: null })
    if (isUnsupported(answer))
      return deviation('Access tokens are refused: unsupported_token_type.')
    expectOk(answer, 'An access token without a hint')
    await watchOf(world).expectDead(token, 'after the 200')
    return undefined
  },
}

const refreshWithoutHint: ConformanceCase = {
  id: 216,
  title: 'A refresh token is revoked without a hint',
  level: 'must',
  cites: [hints],
  needs: ['revocation', 'refresh:c1'],
  async run(world) {
    const { refresh } = await world.refreshable('c1')
    await revokesAnyway(world, refresh, { hint: null }, 'A refresh token without a hint')
    return undefined
  },
}

/** A hint, right or wrong or none of the known, must not decide whether a token is found. */
function hinted(
  entry: Pick<ConformanceCase, 'id' | 'title' | 'level' | 'cites'>,
  hint: string,
  kind: 'access' | 'refresh' | 'any',
): ConformanceCase {
  return {
    ...entry,
    needs: ['revocation', kind === 'refresh' ? 'refresh:c1' : 'token:c1'],
    async run(world) {
      const token =
        kind === 'access'
          ? await accessToken(world)
          : kind === 'refresh'
            ? (await world.refreshable('c1')).refresh
            : await anyToken(world, 'c1')
      await revokesAnyway(
        world,
        token,
        { hint },
        `The hint "${hint}", with the ${token.kind} token,`,
      )
      return undefined
    },
  }
}

const unknownToken: ConformanceCase = {
  id: 30,
  title: 'An unknown token is answered with 200',
  level: 'must',
  cites: [answers],
  needs: ['revocation', 'client:c1'],
  async run(world) {
    expectOk(await world.revoke({ as: 'c1', token: world.unique() }), 'An unknown token')
    return undefined
  },
}

const impossibleToken: ConformanceCase = {
  id: 31,
  title: 'A token that cannot be one is answered with 200',
  level: 'hardening',
  cites: [answers],
  needs: ['revocation', 'client:c1'],
  async run(world) {
    for (const token of ['x', '!!! ~~~', '..', 'ü', '{}']) {
      expectOk(await world.revoke({ as: 'c1', token }), `The text "${token}"`)
    }
    return pass('Whether the store was asked for it cannot be seen from outside.')
  },
}

/** Waits until an access token has expired, where that is soon. */
export async function waitForExpiry(world: World, seconds: number | undefined): Promise<void> {
  if (seconds === undefined || seconds > LIFETIME_SECONDS_MAX) {
    skip(
      `Access tokens live ${seconds ?? 'an unknown number of'} seconds: give c1 tokens that live ${LIFETIME_SECONDS_MAX} or less.`,
    )
  }
  await world.clock.sleep(seconds * 1000 + EXPIRY_MARGIN_MS, world.signal)
}

const expiredToken: ConformanceCase = {
  id: 32,
  title: 'An expired access token is answered with 200',
  level: 'must',
  cites: [answers],
  needs: ['revocation', 'grant:c1'],
  async run(world) {
    const grant = await world.grant('c1')
    await waitForExpiry(world, grant.expiresInSeconds)
    const answer = await world.revoke({ as: 'c1', token: grant.access })
    if (isUnsupported(answer))
      return deviation('Access tokens are refused: unsupported_token_type.')
    expectOk(answer, 'An expired access token')
    if (grant.refresh === undefined) return undefined
    const life = await watchOf(world).life(grant.refresh)
    return pass(`The refresh token of its grant is ${life} afterwards.`)
  },
}

const codeAsToken: ConformanceCase = {
  id: 34,
  title: 'An authorization code is no token',
  level: 'choice',
  cites: [answers, unsupported],
  needs: ['revocation', 'code:c1'],
  async run(world) {
    const code = await world.code('c1')
    const answer = await world.revoke({ as: 'c1', token: code.code })
    if (!isUnsupported(answer)) expectOk(answer, 'An authorization code')
    const redeemed = await world.redeem('c1', code)
    return deviation(
      redeemed.status === 200
        ? `It is answered with ${brief(answer)}, and the code can still be redeemed.`
        : `It is answered with ${brief(answer)}, and the code is dead.`,
    )
  },
}

const idTokenAsToken: ConformanceCase = {
  id: 35,
  title: 'An ID token is no token to revoke',
  level: 'choice',
  cites: [answers, unsupported],
  needs: ['revocation', 'grant:c1'],
  async run(world) {
    const { id, access } = await world.grant('c1')
    if (id === undefined)
      return skip('No ID token was issued: add openid to the scope of tokens.user.')
    const answer = await world.revoke({ as: 'c1', token: id })
    expectNoCrash(answer, 'An ID token')
    if (answer.status !== 200) expectRefused(answer, { statuses: [400] }, 'An ID token')
    const life = await watchOf(world).life(access)
    return deviation(`It is answered with ${brief(answer)}; the grant is ${life} afterwards.`)
  },
}

/** A 200 means that it is dead; a server that cannot kill it says so. */
function noLie(id: number, form: 'opaque' | 'jwt'): ConformanceCase {
  return {
    id,
    title: `A 200 to ${form === 'jwt' ? 'a JWT' : 'an opaque'} access token means that it is dead; else unsupported_token_type is due`,
    level: 'must',
    cites: [unsupported],
    needs: ['revocation', 'token:c1'],
    async run(world): Promise<Verdict> {
      const token = await accessToken(world)
      if (isJwt(token.value.reveal()) !== (form === 'jwt')) {
        return skip(`The access tokens of c1 are ${form === 'jwt' ? 'opaque' : 'JWTs'}.`)
      }
      const answer = await world.revoke({ as: 'c1', token })
      if (answer.status === 200) {
        await watchOf(world).expectDead(token, 'after the 200')
        return pass('The server revokes them.')
      }
      expectRefused(
        answer,
        { statuses: [400], errors: ['unsupported_token_type'] },
        'An access token',
      )
      await watchOf(world).expectAlive(token, 'though the server said that it cannot be revoked')
      return pass('The server says that it does not revoke them.')
    },
  }
}

const jwtRevoked: ConformanceCase = {
  id: 37,
  title: 'A JWT access token is revocable',
  level: 'should',
  cites: [rfc(7009, '2'), rfc(9068, '4')],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await accessToken(world)
    if (!isJwt(token.value.reveal())) return skip('The access tokens of c1 are opaque.')
    const answer = await world.revoke({ as: 'c1', token })
    if (isUnsupported(answer)) return deviation('JWTs are refused: unsupported_token_type.')
    expectOk(answer, 'A JWT access token')
    await watchOf(world).expectDead(token, 'after the 200')
    return undefined
  },
}

const forgedJwt: ConformanceCase = {
  id: 39,
  title: 'A JWT whose signature is wrong, or that has none, changes nothing',
  level: 'must',
  cites: [answers, rfc(8725, '3.1')],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await accessToken(world)
    const seen: string[] = []
    for (const [what, forged] of forgedJwts(token.value.reveal(), world)) {
      const answer = await world.revoke({ as: 'c1', token: forged })
      expectNoCrash(answer, what)
      if (answer.status !== 200 && !isUnsupported(answer)) {
        fail(`${what} was answered with ${brief(answer)}; 200, as to an unknown token, is due.`)
      }
      seen.push(`${what}: ${brief(answer)}`)
    }
    await watchOf(world).expectAlive(token, 'after forged copies of it were revoked')
    return pass(`${seen.join('; ')}.`)
  },
}

const foreignIssuer: ConformanceCase = {
  id: 40,
  title: 'A JWT of another issuer is unknown, and changes nothing',
  level: 'must',
  cites: [answers],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await accessToken(world)
    const forged = await foreignJwt(world, token.value.reveal())
    const answer = await world.revoke({ as: 'c1', token: forged })
    await watchOf(world).expectAlive(token, 'after a JWT of another issuer was revoked')
    if (isUnsupported(answer)) return pass('Every JWT is refused: unsupported_token_type.')
    expectOk(answer, 'A JWT of another issuer')
    return undefined
  },
}

const serviceToken: ConformanceCase = {
  id: 43,
  title: "A client's own token dies alone",
  level: 'should',
  cites: [rfc(7009, '2'), rfc(6749, '4.4')],
  needs: ['revocation', 'service:c1'],
  async run(world) {
    const [token, other] = [await world.service('c1'), await world.service('c1')]
    if (token.value.reveal() === other.value.reveal()) {
      return skip('The server gives the same token again.')
    }
    const answer = await world.revoke({ as: 'c1', token })
    if (isUnsupported(answer)) return deviation('They are refused: unsupported_token_type.')
    expectOk(answer, "A client's own token")
    await watchOf(world).expectAlive(other, 'after another one was revoked')
    await watchOf(world).expectDead(token, 'after the 200')
    return undefined
  },
}

const repeated: ConformanceCase = {
  id: 202,
  title: 'A revocation sent again is answered with 200, and kills nothing else',
  level: 'must',
  cites: [answers],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const [token, other] = [await anyToken(world, 'c1'), await anyToken(world, 'c1')]
    const first = await world.revoke({ as: 'c1', token })
    if (token.kind === 'access' && isUnsupported(first))
      skip('The server revokes no access tokens.')
    expectOk(first, 'The revocation')
    const again = await world.revoke({ as: 'c1', token })
    await watchOf(world).expectAlive(other, 'after the revocation of another login was sent again')
    expectOk(again, 'The same revocation again')
    return undefined
  },
}

const protectedResource: ConformanceCase = {
  id: 204,
  title: 'A protected resource refuses a revoked access token',
  level: 'must',
  cites: [hints, rfc(6750, '3.1')],
  needs: ['revocation', 'resource', 'grant:c1'],
  async run(world) {
    const { access } = await world.grant('c1')
    const use = () => useToken(world, access)
    const before = await use()
    if (before.status !== 200) {
      return skip(`The resource answers a live token with ${brief(before)}: check its scope.`)
    }
    const answer = await world.revoke({ as: 'c1', token: access })
    if (isUnsupported(answer)) return skip('The server revokes no such access tokens.')
    expectOk(answer, 'An access token')
    const after = await use()
    if (after.status !== 401) fail(`The resource answers the revoked token with ${brief(after)}.`)
    if (!/invalid_token/.test(`${after.headers['www-authenticate']} ${errorOf(after)}`)) {
      world.note('The 401 does not say invalid_token.')
    }
    return undefined
  },
}

async function useToken(world: World, token: HeldToken) {
  const { resource } = world.config
  const url = resource?.url ?? world.target.userinfo ?? skip('There is no resource.')
  const headers = { authorization: `Bearer ${token.value.reveal()}` }
  return await world.sender.send({ method: resource?.method ?? 'GET', url, headers })
}

const hintRule = { level: 'must', cites: [hints] } as const

/** The cases of tokens and hints. */
export const TOKENS: CaseGroup = {
  title: 'Tokens and hints',
  cases: [
    accessWithoutHint,
    refreshWithoutHint,
    hinted(
      { id: 24, title: 'A wrong hint: an access token, hinted to be a refresh token', ...hintRule },
      'refresh_token',
      'access',
    ),
    hinted(
      { id: 25, title: 'A wrong hint: a refresh token, hinted to be an access token', ...hintRule },
      'access_token',
      'refresh',
    ),
    hinted(
      { id: 26, title: 'An unknown hint is ignored', level: 'must', cites: [answers] },
      'foo',
      'any',
    ),
    hinted(
      { id: 27, title: 'An empty hint is none', level: 'must', cites: [rfc(6749, '3.2')] },
      '',
      'any',
    ),
    hinted(
      {
        id: 29,
        title: 'A hint in the form of a token type URN is tolerated',
        level: 'may',
        cites: [answers, rfc(8693, '3')],
      },
      'urn:ietf:params:oauth:token-type:refresh_token',
      'any',
    ),
    unknownToken,
    impossibleToken,
    expiredToken,
    codeAsToken,
    idTokenAsToken,
    noLie(36, 'opaque'),
    jwtRevoked,
    noLie(38, 'jwt'),
    forgedJwt,
    foreignIssuer,
    serviceToken,
    repeated,
    protectedResource,
  ],
}
