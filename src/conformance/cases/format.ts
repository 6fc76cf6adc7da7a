import type { HttpResponse } from '../../core/http.ts'
import { anyToken } from '../any-token.ts'
import { type CaseGroup, type ConformanceCase, rfc } from '../case.ts'
import { brief, parseObject } from '../grant.ts'
import {
  errorOf,
  expectNoCrash,
  expectRefused,
  firstOf,
  refusesAndSpares,
  revokesAnyway,
} from '../judge.ts'
import { watchOf } from '../life.ts'
import { deviation, fail, pass, skip, type Verdict } from '../verdict.ts'
import { METHODS } from './methods.ts'

/** RFC 7009 sets no size; tokens with many claims reach some kilobytes. */
const LONG_TOKEN_CHARACTERS = 8 * 1024
/** More than any token endpoint has to read. */
const OVERSIZED_CHARACTERS = 2 * 1024 * 1024
/** A refusal without reading it all takes milliseconds; this is a server that works on it. */
const OVERSIZED_MS_MAX = 5_000

const post = rfc(7009, '2.1')
const _answers = rfc(7009, '2.2')
const parameters = rfc(6749, '3.2')
const errors = rfc(6749, '5.2')

const badRequest = { statuses: [400], errors: ['invalid_request'] }

const empty: ConformanceCase = {
  id: 9,
  title: 'An empty body without a media type is refused',
  level: 'must',
  cites: [post, errors],
  needs: ['revocation', 'client:c1'],
  async run(world) {
    const answer = await world.revoke({ as: 'c1', body: '', contentType: null })
    expectRefused(answer, { statuses: [400, 415] }, 'An empty body')
    return undefined
  },
}

/** A request without a token to revoke. */
function withoutToken(
  id: number,
  title: string,
  what: string,
  token: string | undefined,
): ConformanceCase {
  return {
    id,
    title,
    level: 'must',
    cites: id === 10 ? [post, rfc(7009, '2.2.1')] : [parameters, rfc(7009, '2.2.1')],
    needs: ['revocation', 'client:c1'],
    async run(world) {
      expectRefused(
        await world.revoke({ as: 'c1', token, hint: 'refresh_token' }),
        badRequest,
        what,
      )
      return undefined
    },
  }
}

const tokenTwice: ConformanceCase = {
  id: 12,
  title: 'A repeated `token` is refused, and neither dies',
  level: 'must',
  cites: [parameters, errors],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const [first, second] = [await anyToken(world, 'c1'), await anyToken(world, 'c1')]
    for (const again of [first, second]) {
      const more = [['token', again.value.reveal()]] as const
      const answer = await world.revoke({ as: 'c1', token: first, more })
      const what = again === first ? 'The same token twice' : 'Two tokens'
      for (const token of [first, second]) {
        await watchOf(world).expectAlive(token, `after a request with ${what.toLowerCase()}`)
      }
      expectRefused(answer, badRequest, what)
    }
    return undefined
  },
}

const hintTwice: ConformanceCase = {
  id: 13,
  title: 'A repeated `token_type_hint` is refused',
  level: 'must',
  cites: [parameters, errors],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await anyToken(world, 'c1')
    const more = [['token_type_hint', 'access_token']] as const
    const wish = { as: 'c1', token, hint: 'refresh_token', more } as const
    const what = 'Two hints'
    await refusesAndSpares(world, token, wish, { ...badRequest, what })
    return undefined
  },
}

const credentialsTwice: ConformanceCase = {
  id: 14,
  title: 'A repeated `client_id` or `client_secret` is refused',
  level: 'must',
  cites: [parameters, errors],
  needs: ['revocation'],
  async run(world) {
    const role = firstOf(world, ['cp', 'p1'])
    if (role === undefined)
      return skip('It needs a client that names itself in the body: add cp or p1.')
    const token = await anyToken(world, role)
    const { pairs } = await world.authentication(role)
    for (const pair of pairs) {
      const wish = { as: role, token, more: [pair] }
      const refusal = { statuses: [400, 401], what: `\`${pair[0]}\` twice` }
      await refusesAndSpares(world, token, wish, refusal)
    }
    return undefined
  },
}

const unknownParameter: ConformanceCase = {
  id: 15,
  title: 'An unknown parameter is ignored',
  level: 'must',
  cites: [parameters],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const more = [['x_unknown', 'y']] as const
    await revokesAnyway(world, await anyToken(world, 'c1'), { more }, 'An unknown parameter')
    return undefined
  },
}

const bearerPrefix: ConformanceCase = {
  id: 18,
  title: 'A token with "Bearer " before it is unknown, or the prefix is taken off',
  level: 'choice',
  cites: [post],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await anyToken(world, 'c1')
    const answer = await world.revoke({ as: 'c1', token: `Bearer ${token.value.reveal()}` })
    expectNoCrash(answer, 'A token with a prefix')
    const life = await watchOf(world).lifeOrDoubt(token)
    if (life === 'dead') return deviation('The prefix is taken off, and the token revoked.')
    return deviation(`It is an unknown token (${answer.status}).`)
  },
}

const oversized: ConformanceCase = {
  id: 20,
  title: 'Long and oversized tokens do no harm',
  level: 'hardening',
  cites: [rfc(7009, '5')],
  needs: ['revocation', 'client:c1'],
  async run(world) {
    const long = await world.revoke({ as: 'c1', token: 'x'.repeat(LONG_TOKEN_CHARACTERS) })
    expectRefused(
      long,
      { statuses: [200, 400, 413] },
      `A token of ${LONG_TOKEN_CHARACTERS} characters`,
    )
    const startedAt = world.microseconds()
    const huge = await world.tryRevoke({ as: 'c1', token: 'x'.repeat(OVERSIZED_CHARACTERS) })
    const tookMs = (world.microseconds() - startedAt) / 1000
    expectNoCrash(huge, 'A token of 2 MB')
    if (tookMs > OVERSIZED_MS_MAX)
      fail(`A token of 2 MB kept the server for ${Math.round(tookMs)} ms.`)
    return pass(
      `8 KB: ${long.status}; 2 MB: ${huge?.status ?? 'connection closed'} after ${Math.round(tookMs)} ms.`,
    )
  },
}

/** RFC 6749 section 5.2 allows printable ASCII without the quote and the backslash. */
const ALLOWED = /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/

function judgeErrorBody(answer: HttpResponse, what: string): void {
  const type = answer.headers['content-type'] ?? 'none'
  if (answer.status < 400) return
  if (!/^application\/json\b/i.test(type)) {
    fail(`${what}: the error has the media type ${type}; application/json is due.`)
  }
  const { error_description: description } = parseObject(answer.body)
  const error = errorOf(answer)
  if (error === undefined) fail(`${what}: the error's JSON has no "error".`)
  if (!ALLOWED.test(error)) fail(`${what}: "error" has characters that are not allowed.`)
  if (description === undefined) return
  if (typeof description !== 'string' || !ALLOWED.test(description)) {
    fail(`${what}: "error_description" has characters that are not allowed.`)
  }
}

const errorBodies: ConformanceCase = {
  id: 21,
  title: 'Errors are JSON, in the characters that are allowed',
  level: 'must',
  cites: [errors],
  needs: ['revocation', 'client:c1'],
  async run(world) {
    judgeErrorBody(await world.revoke({ as: 'c1' }), 'A missing token')
    judgeErrorBody(
      await world.revoke({ as: 'c1', hint: '"é\\' }),
      'A missing token, a strange hint',
    )
    const nobody = { headers: {}, pairs: [['client_id', `"é\\${world.unique()}`]] as const }
    judgeErrorBody(await world.revoke({ as: nobody, token: world.unique() }), 'An unknown client')
    return undefined
  },
}

const cacheHeaders: ConformanceCase = {
  id: 22,
  title: 'Every answer says `Cache-Control: no-store`, and none repeats the token',
  level: 'should',
  cites: [rfc(6749, '5.1'), errors],
  needs: ['revocation', 'token:c1'],
  async run(world): Promise<Verdict> {
    const token = await anyToken(world, 'c1')
    const value = token.value.reveal()
    const stranger = { headers: {}, pairs: [['client_id', world.unique()]] as const }
    const seen = [
      await world.revoke({ as: 'c1', hint: 'refresh_token' }),
      await world.revoke({ as: stranger, token }),
      await world.revoke({ as: 'c1', token }),
    ]
    if (seen.some(({ body }) => body.includes(value))) fail('An answer repeats the token.')
    const open = seen.filter(({ headers }) => !/\bno-store\b/i.test(headers['cache-control'] ?? ''))
    if (open.length > 0) {
      fail(`No \`Cache-Control: no-store\` on: ${[...new Set(open.map(brief))].join(', ')}.`)
    }
    return pass()
  },
}

/** The cases of method and format. */
export const FORMAT: CaseGroup = {
  title: 'Method and format',
  cases: [
    ...METHODS,
    empty,
    withoutToken(
      10,
      'A missing `token` is invalid_request',
      'A request without a token',
      undefined,
    ),
    withoutToken(11, 'An empty `token` is a missing one', 'An empty token', ''),
    tokenTwice,
    hintTwice,
    credentialsTwice,
    unknownParameter,
    bearerPrefix,
    oversized,
    errorBodies,
    cacheHeaders,
  ],
}
