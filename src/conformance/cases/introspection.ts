import type { HttpResponse } from '../../core/http.ts'
import { NOBODY } from '../caller.ts'
import { type CaseGroup, type ConformanceCase, rfc } from '../case.ts'
import type { Role } from '../config.ts'
import { brief, type HeldToken, parseObject } from '../grant.ts'
import { expectNoCrash, expectOk, expectRefused, firstOf, isUnsupported } from '../judge.ts'
import { judgeIntrospection } from '../life.ts'
import { deviation, fail, pass, skip, type Verdict } from '../verdict.ts'
import type { World } from '../world.ts'
import { bindingTold } from './bound.ts'
import { foreignJwt } from './jwt-forms.ts'
import { accessToken, waitForExpiry } from './tokens.ts'

/** Tokens that are tried to see whether anything slows a guesser down. */
const GUESSES = 100
/** What an active answer says beside `active`; all are optional. */
const MEMBERS = ['client_id', 'scope', 'exp', 'iat', 'sub', 'iss', 'token_type'] as const

const request = rfc(7662, '2.1')
const response = rfc(7662, '2.2')
const error = rfc(7662, '2.3')
const security = rfc(7662, '4')

/** Who asks: the resource server, else the client itself. */
function asker(world: World): Role {
  return firstOf(world, ['rs1', 'c1']) ?? skip('It needs rs1 or c1.')
}

/** A token that introspection was seen to call alive, and the answer. */
async function seenAlive(world: World): Promise<{ token: HeldToken; answer: HttpResponse }> {
  const token = await accessToken(world)
  const answer = await world.introspect({ as: asker(world), token })
  if (judgeIntrospection(answer) === 'alive') return { token, answer }
  return fail(`A live access token is not active for ${asker(world)}: ${brief(answer)}.`)
}

/** @see RFC 7662 section 2.2: nothing beside `active` */
function expectInactive(answer: HttpResponse, what: string): void {
  if (judgeIntrospection(answer) === 'alive') fail(`${what} is active.`)
  if (answer.status !== 200) fail(`${what}: ${brief(answer)}; 200 with {"active":false} is due.`)
  const { active, ...rest } = parseObject(answer.body)
  if (active !== false) fail(`${what}: the answer has no "active": false.`)
  const more = Object.keys(rest)
  if (more.length > 0) fail(`${what}: beside "active": false it says ${more.join(', ')}.`)
}

const active: ConformanceCase = {
  id: 115,
  title: 'A live access token is active',
  level: 'must',
  cites: [response],
  needs: ['introspection', 'token:c1'],
  async run(world) {
    const said = parseObject((await seenAlive(world)).answer.body)
    const absent = MEMBERS.filter((name) => !(name in said))
    return absent.length === 0 ? pass() : pass(`Not said, and optional: ${absent.join(', ')}.`)
  },
}

const inactive: ConformanceCase = {
  id: 116,
  title: 'A revoked token is exactly {"active":false}',
  level: 'must',
  cites: [response],
  needs: ['introspection', 'revocation', 'token:c1'],
  async run(world) {
    const { token } = await seenAlive(world)
    const answer = await world.revoke({ as: 'c1', token })
    if (isUnsupported(answer)) return skip('The server does not revoke access tokens.')
    expectOk(answer, 'An access token')
    expectInactive(await world.introspect({ as: asker(world), token }), 'A revoked token')
    return undefined
  },
}

const unknown: ConformanceCase = {
  id: 117,
  title: 'Unknown, malformed and foreign tokens are exactly {"active":false}',
  level: 'must',
  cites: [response, error],
  needs: ['introspection', 'client:c1'],
  async run(world) {
    const strange = [
      ['An unknown token', world.unique()],
      ['A malformed token', '!!! ~~~'],
      ['A JWT of another issuer', await foreignJwt(world)],
    ] as const
    for (const [what, token] of strange) {
      expectInactive(await world.introspect({ as: asker(world), token }), what)
    }
    return undefined
  },
}

const expired: ConformanceCase = {
  id: 208,
  title: 'An expired access token is exactly {"active":false}',
  level: 'must',
  cites: [security],
  needs: ['introspection', 'grant:c1'],
  async run(world) {
    const { access, expiresInSeconds } = await world.grant('c1')
    await waitForExpiry(world, expiresInSeconds)
    expectInactive(await world.introspect({ as: asker(world), token: access }), 'An expired token')
    return undefined
  },
}

const wrongHint: ConformanceCase = {
  id: 119,
  title: 'A wrong or unknown hint does not hide a token',
  level: 'must',
  cites: [request],
  needs: ['introspection', 'token:c1'],
  async run(world) {
    const { token } = await seenAlive(world)
    for (const hint of ['refresh_token', 'foo', '']) {
      const answer = await world.introspect({ as: asker(world), token, hint })
      if (judgeIntrospection(answer) !== 'alive') {
        fail(`With the hint "${hint}" a live access token gives ${brief(answer)}.`)
      }
    }
    return undefined
  },
}

const callers: ConformanceCase = {
  id: 120,
  title: 'Without credentials, with wrong ones, or with a bearer token of no right: refused',
  level: 'must',
  cites: [request, error],
  needs: ['introspection', 'grant:c1'],
  async run(world): Promise<Verdict> {
    const { token } = await seenAlive(world)
    const wrong = { headers: { authorization: `Basic ${btoa(`${world.unique()}:x`)}` }, pairs: [] }
    const bad = await world.introspect({ as: wrong, token })
    expectRefused(bad, { statuses: [401] }, 'Wrong credentials')
    const other = await world.grant('c1')
    const headers = { authorization: `Bearer ${other.access.value.reveal()}` }
    const bearer = await world.introspect({ as: { headers, pairs: [] }, token })
    if (judgeIntrospection(bearer) === 'alive') fail('Any access token may introspect others.')
    const none = await world.introspect({ as: NOBODY, token })
    if (judgeIntrospection(none) !== 'unseen') fail('Nobody may introspect, and is answered.')
    expectRefused(none, { statuses: [401, 400, 403] }, 'No credentials')
    return none.status === 401
      ? pass()
      : deviation(`No credentials are refused with ${none.status}; 401 is usual.`)
  },
}

const otherAudience: ConformanceCase = {
  id: 121,
  title: 'A resource server that a token is not for learns nothing of it',
  level: 'must',
  cites: [response, security],
  needs: ['introspection', 'client:rs2', 'token:c1'],
  async run(world) {
    const { token } = await seenAlive(world)
    const answer = await world.introspect({ as: 'rs2', token })
    if (answer.status === 401 || answer.status === 403)
      return deviation(`Refused with ${answer.status}.`)
    expectInactive(answer, 'A token of another audience')
    return undefined
  },
}

const publicCaller: ConformanceCase = {
  id: 122,
  title: 'A public client cannot introspect the tokens of others',
  level: 'should',
  cites: [security],
  needs: ['introspection', 'client:p1', 'token:c1'],
  async run(world) {
    const token = await accessToken(world)
    const answer = await world.introspect({ as: 'p1', token })
    expectNoCrash(answer, 'A public client')
    if (judgeIntrospection(answer) === 'alive')
      fail('A public client sees the token of another client.')
    return pass(`It gets ${brief(answer)}.`)
  },
}

const missing: ConformanceCase = {
  id: 123,
  title: 'A missing or repeated `token` is refused; so is GET',
  level: 'must',
  cites: [request, rfc(6749, '3.2')],
  needs: ['introspection', 'token:c1'],
  async run(world): Promise<Verdict> {
    const { token } = await seenAlive(world)
    const as = asker(world)
    expectRefused(await world.introspect({ as }), { statuses: [400] }, 'No token')
    const more = [['token', token.value.reveal()]] as const
    expectRefused(await world.introspect({ as, token, more }), { statuses: [400] }, 'Two tokens')
    const query = new URLSearchParams({ token: token.value.reveal() }).toString()
    const get = await world.introspect({ as, method: 'GET', query, body: '', contentType: null })
    if (judgeIntrospection(get) === 'unseen') return pass(`GET is answered with ${get.status}.`)
    return deviation('GET with the token in the URL is answered; it may be disallowed.')
  },
}

const signed: ConformanceCase = {
  id: 127,
  title: 'A signed answer where one is asked for, and one is offered',
  level: 'may',
  cites: [rfc(9701, '4'), rfc(9701, '5')],
  needs: ['introspection', 'token:c1'],
  async run(world) {
    const accept = 'application/token-introspection+jwt'
    const token = await accessToken(world)
    const answer = await world.introspect({ as: asker(world), token, headers: { accept } })
    const type = answer.headers['content-type'] ?? ''
    if (!type.includes('token-introspection+jwt')) return deviation('Answers are not signed.')
    const unknown = await world.introspect({
      as: asker(world),
      token: world.unique(),
      headers: { accept },
    })
    if (!unknown.headers['content-type']?.includes('token-introspection+jwt')) {
      fail('The answer of a live token is signed, and that of an unknown one is not.')
    }
    return pass('Answers are signed, of live and of unknown tokens.')
  },
}

const caching: ConformanceCase = {
  id: 128,
  title: 'Answers are not cached past the end of the token',
  level: 'must',
  cites: [security],
  needs: ['introspection', 'token:c1'],
  async run(world) {
    const { answer } = await seenAlive(world)
    const control = answer.headers['cache-control'] ?? ''
    if (/\bno-(store|cache)\b/i.test(control)) return pass(control)
    const age = Number(/max-age=(\d+)/i.exec(control)?.[1])
    const { exp } = parseObject(answer.body)
    if (Number.isNaN(age))
      return pass('No Cache-Control: an answer to a POST is not cached by default.')
    if (typeof exp === 'number' && age > exp - world.clock.now() / 1000) {
      fail(`max-age=${age} is past the end of the token.`)
    }
    return deviation(`Answers may be cached for ${age} s: a revocation takes as long to be seen.`)
  },
}

const fishing: ConformanceCase = {
  id: 130,
  title: `A caller that guesses ${GUESSES} tokens is slowed down`,
  level: 'hardening',
  cites: [security],
  needs: ['introspection', 'brute-force', 'client:c1'],
  async run(world) {
    const as = asker(world)
    for (let guess = 1; guess <= GUESSES; guess++) {
      const answer = await world.introspect({ as, token: world.unique(), takeThrottle: true })
      if (answer.status === 429) return pass(`429 after ${guess} guesses.`)
    }
    fail(`${GUESSES} guesses in a row were all answered at once.`)
  },
}

/** The cases of introspection. */
export const INTROSPECTION: CaseGroup = {
  title: 'Introspection',
  cases: [
    active,
    inactive,
    unknown,
    expired,
    wrongHint,
    callers,
    otherAudience,
    publicCaller,
    missing,
    bindingTold,
    signed,
    caching,
    fishing,
  ],
}
