import type { HttpRequest, HttpResponse } from '../../core/http.ts'
import { anyToken } from '../any-token.ts'
import { type ConformanceCase, rfc } from '../case.ts'
import { formOf, type HeldToken } from '../grant.ts'
import { expectNoCrash, expectRefused, refusesAndSpares, revokesAnyway } from '../judge.ts'
import { watchOf } from '../life.ts'
import { deviation, fail } from '../verdict.ts'
import type { World } from '../world.ts'

const post = rfc(7009, '2.1')
const answers = rfc(7009, '2.2')

const badRequest = { statuses: [400], errors: ['invalid_request'] }

const plain: ConformanceCase = {
  id: 1,
  title: 'A client revokes its own token: 200, and the token is dead',
  level: 'must',
  cites: [post, answers],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    await revokesAnyway(world, await anyToken(world, 'c1'), {}, 'A plain revocation')
    return undefined
  },
}

const mediaType: ConformanceCase = {
  id: 2,
  title: 'The media type is matched without case, and may have a charset',
  level: 'must',
  cites: [post, rfc(9110, '8.3.1')],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const contentType = 'Application/X-WWW-Form-URLEncoded; charset=UTF-8'
    await revokesAnyway(
      world,
      await anyToken(world, 'c1'),
      { contentType },
      `A form as ${contentType}`,
    )
    return undefined
  },
}

/** Sends a token by a method that RFC 7009 does not have; it must not die by it. */
async function byMethod(
  world: World,
  method: HttpRequest['method'],
): Promise<{ answer: HttpResponse; token: HeldToken }> {
  const token = await anyToken(world, 'c1')
  const inQuery = method === 'GET' || method === 'HEAD'
  const value = token.value.reveal()
  const answer = await world.revoke({
    as: 'c1',
    method,
    ...(inQuery ? { query: formOf([['token', value]]), body: '', contentType: null } : { token }),
  })
  expectNoCrash(answer, method)
  return { answer, token }
}

const get: ConformanceCase = {
  id: 3,
  title: 'GET with the token in the query revokes nothing',
  level: 'choice',
  cites: [rfc(7009, '2'), rfc(7009, '2.3')],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const { answer, token } = await byMethod(world, 'GET')
    await watchOf(world).expectAlive(token, 'after a GET with the token in the URL')
    if (answer.status === 200) fail('GET was answered with 200, and nothing was revoked.')
    return deviation(`GET is answered with ${answer.status}.`)
  },
}

const methods: ConformanceCase = {
  id: 4,
  title: 'PUT, PATCH, DELETE and HEAD revoke nothing',
  level: 'choice',
  cites: [rfc(7009, '2')],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const seen: string[] = []
    for (const method of ['PUT', 'PATCH', 'DELETE', 'HEAD'] as const) {
      const { answer, token } = await byMethod(world, method)
      await watchOf(world).expectAlive(token, `after a ${method}`)
      if (answer.status === 200) fail(`${method} was answered with 200, and nothing was revoked.`)
      seen.push(`${method} ${answer.status}`)
    }
    return deviation(`Answered with ${seen.join(', ')}.`)
  },
}

const tokenInQuery: ConformanceCase = {
  id: 5,
  title: 'A token that stands only in the query is missing',
  level: 'must',
  cites: [post],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await anyToken(world, 'c1')
    const query = formOf([['token', token.value.reveal()]])
    const what = 'POST with the token in the URL'
    await refusesAndSpares(world, token, { as: 'c1', query }, { ...badRequest, what })
    return undefined
  },
}

const otherQuery: ConformanceCase = {
  id: 6,
  title: 'A query beside a good body is ignored or refused, and never read',
  level: 'choice',
  cites: [post],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const [token, other] = [await anyToken(world, 'c1'), await anyToken(world, 'c1')]
    const query = formOf([['token', other.value.reveal()]])
    const answer = await world.revoke({ as: 'c1', token, query })
    await watchOf(world).expectAlive(other, 'though it stood only in the URL')
    if (answer.status === 200) {
      await watchOf(world).expectDead(token, 'after the 200')
      return deviation('The query is ignored.')
    }
    expectRefused(answer, { statuses: [400] }, 'A good body with a query')
    await watchOf(world).expectAlive(token, 'though the request was refused')
    return deviation('Any query is refused with 400.')
  },
}

const json: ConformanceCase = {
  id: 7,
  title: 'A JSON body is refused',
  level: 'must',
  cites: [post],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await anyToken(world, 'c1')
    const body = JSON.stringify({ token: token.value.reveal() })
    const refusal = { statuses: [400, 415], what: 'A JSON body' }
    const wish = { as: 'c1', body, contentType: 'application/json' } as const
    await refusesAndSpares(world, token, wish, refusal)
    return undefined
  },
}

const multipart: ConformanceCase = {
  id: 8,
  title: 'A multipart body is refused',
  level: 'hardening',
  cites: [post],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await anyToken(world, 'c1')
    const part = `--b\r\ncontent-disposition: form-data; name="token"\r\n\r\n${token.value.reveal()}\r\n--b--\r\n`
    const contentType = 'multipart/form-data; boundary=b'
    const answer = await world.revoke({ as: 'c1', body: part, contentType })
    if (answer.status === 200) {
      await watchOf(world).expectDead(token, 'after a 200 to a multipart body')
      return deviation('Multipart bodies are taken, beside the form that RFC 7009 asks for.')
    }
    expectRefused(answer, { statuses: [400, 415] }, 'A multipart body')
    await watchOf(world).expectAlive(token, 'though the multipart body was refused')
    return undefined
  },
}

/** The cases of how a request is sent: its method, its media type, its query. */
export const METHODS: readonly ConformanceCase[] = [
  plain,
  mediaType,
  get,
  methods,
  tokenInQuery,
  otherQuery,
  json,
  multipart,
]
