import { anyToken } from '../any-token.ts'
import { type Authentication, basicHeader, secretOf } from '../authenticate.ts'
import { NOBODY } from '../caller.ts'
import { type CaseGroup, type ConformanceCase, rfc } from '../case.ts'
import type { ClientConfig } from '../config.ts'
import { brief, formOf } from '../grant.ts'
import {
  errorOf,
  expectNoCrash,
  expectRefused,
  refusesAndSpares,
  revokesAnyway,
  wasLetIn,
} from '../judge.ts'
import { watchOf } from '../life.ts'
import { deviation, fail, pass, skip } from '../verdict.ts'
import type { World } from '../world.ts'
import { certificate } from './certificate.ts'

/** Wrong secrets that are sent to see whether anything slows them down. */
const GUESSES = 50

const password = rfc(6749, '2.3.1')
const errors = rfc(6749, '5.2')
const clientRule = rfc(7009, '2.1')

/** A client that does not authenticate is refused: 401, or 400 where no header was used. */
const unauthenticated = { statuses: [400, 401], errors: ['invalid_client', 'invalid_request'] }

/** c1's id and secret, however it is registered; skips where it has none. */
function passwordClient(world: World): { client: ClientConfig; secret: string } {
  const client = world.client('c1')
  if (client.secret === undefined) skip('It needs c1 to have a secret.')
  return { client, secret: secretOf(client) }
}

const body = (id: string, secret?: string): Authentication => ({
  headers: {},
  pairs: [['client_id', id], ...(secret === undefined ? [] : [['client_secret', secret] as const])],
})

const basic = (id: string, secret: string): Authentication => ({
  headers: basicHeader(id, secret),
  pairs: [],
})

const basicGood: ConformanceCase = {
  id: 45,
  title: 'HTTP Basic is taken, with id and secret form-encoded',
  level: 'must',
  cites: [password],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const { client, secret } = passwordClient(world)
    const as = basic(client.id, secret)
    await revokesAnyway(world, await anyToken(world, 'c1'), { as }, 'HTTP Basic')
    const plain = /^[\w.*-]+$/.test(`${client.id}${secret}`)
    return plain
      ? pass('The id and the secret of c1 need no encoding: that half was not tested.')
      : pass('The id or the secret has characters that are encoded.')
  },
}

const basicWrong: ConformanceCase = {
  id: 46,
  title:
    'Basic with an unknown client or a wrong secret: 401 invalid_client, WWW-Authenticate: Basic',
  level: 'must',
  cites: [errors, clientRule],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const { client, secret } = passwordClient(world)
    const token = await anyToken(world, 'c1')
    const wrong = [
      ['An unknown client', basic(`unknown-${world.unique()}`, secret)],
      ['A wrong secret', basic(client.id, world.unique())],
    ] as const
    for (const [what, as] of wrong) {
      const refusal = { statuses: [401], errors: ['invalid_client'], what }
      const answer = await refusesAndSpares(world, token, { as, token }, refusal)
      const scheme = answer.headers['www-authenticate'] ?? 'none'
      if (!/\bbasic\b/i.test(scheme)) fail(`${what}: WWW-Authenticate is ${scheme}; Basic is due.`)
    }
    return undefined
  },
}

const basicMalformed: ConformanceCase = {
  id: 48,
  title: 'A malformed Basic header is refused',
  level: 'must',
  cites: [errors, rfc(7617, '2')],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const { client } = passwordClient(world)
    const token = await anyToken(world, 'c1')
    const malformed = [
      ['No base64', '!!!'],
      ['No colon', btoa(client.id.replaceAll(':', ''))],
      ['No secret', btoa(`${encodeURIComponent(client.id)}:`)],
      ['Nothing', ''],
    ] as const
    for (const [what, text] of malformed) {
      const as = { headers: { authorization: `Basic ${text}` }, pairs: [] }
      await refusesAndSpares(world, token, { as, token }, { statuses: [400, 401], what })
    }
    return undefined
  },
}

const bearer: ConformanceCase = {
  id: 49,
  title: 'A bearer token does not authenticate a client',
  level: 'choice',
  cites: [clientRule, rfc(7009, '5')],
  needs: ['revocation', 'grant:c1'],
  async run(world) {
    const grant = await world.grant('c1')
    const token = grant.refresh ?? grant.access
    const headers = { authorization: `Bearer ${grant.access.value.reveal()}` }
    const answer = await world.revoke({ as: { headers, pairs: [] }, token })
    await watchOf(world).expectAlive(token, 'after a request that showed a bearer token alone')
    if (answer.status === 200) fail('A bearer token alone was answered with 200, and nothing died.')
    if (world.config.clients.p1 === undefined) return deviation(`Alone, it gives ${brief(answer)}.`)
    const own = await world.grant('p1')
    const as = { ...body(world.client('p1').id), headers }
    const beside = await world.revoke({ as, token: own.refresh ?? own.access })
    expectNoCrash(beside, 'A bearer token beside a public client')
    return deviation(
      `Alone, it gives ${brief(answer)}; beside the client_id of a public client, ${brief(beside)}.`,
    )
  },
}

const postGood: ConformanceCase = {
  id: 50,
  title:
    'Credentials in the body: taken of a client_secret_post client; of a Basic one, taken or refused',
  level: 'choice',
  cites: [password],
  needs: ['revocation', 'token:cp'],
  async run(world) {
    await revokesAnyway(world, await anyToken(world, 'cp'), {}, 'Credentials in the body')
    if (world.config.clients.c1?.secret === undefined) return pass()
    const { client, secret } = passwordClient(world)
    const token = await anyToken(world, 'c1')
    const answer = await world.revoke({ as: body(client.id, secret), token })
    if (answer.status === 200) return deviation('A Basic client may send them in the body too.')
    expectRefused(answer, { statuses: [400, 401] }, "A Basic client's credentials in the body")
    return deviation(`Of a Basic client they are refused: ${brief(answer)}.`)
  },
}

const postWrong: ConformanceCase = {
  id: 51,
  title: 'A wrong secret in the body: invalid_client',
  level: 'must',
  cites: [errors],
  needs: ['revocation', 'token:cp'],
  async run(world) {
    const token = await anyToken(world, 'cp')
    const as = body(world.client('cp').id, world.unique())
    const refusal = { statuses: [400, 401], errors: ['invalid_client'], what: 'A wrong secret' }
    await refusesAndSpares(world, token, { as, token }, refusal)
    return undefined
  },
}

const queryCredentials: ConformanceCase = {
  id: 52,
  title: 'Credentials in the query are refused',
  level: 'must',
  cites: [password],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const role = world.config.clients.cp ? 'cp' : 'c1'
    const client = world.client(role)
    if (client.secret === undefined) return skip(`It needs ${role} to have a secret.`)
    const token = await anyToken(world, role)
    const query = formOf(body(client.id, secretOf(client)).pairs)
    const refusal = { statuses: [400, 401], what: 'Credentials in the URL' }
    await refusesAndSpares(world, token, { as: NOBODY, token, query }, refusal)
    return undefined
  },
}

const twoMethods: ConformanceCase = {
  id: 53,
  title: 'Two ways of authentication in one request are refused',
  level: 'must',
  cites: [rfc(6749, '2.3'), errors],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const { client, secret } = passwordClient(world)
    const token = await anyToken(world, 'c1')
    const as = { ...body(client.id, secret), headers: basicHeader(client.id, secret) }
    const refusal = { statuses: [400, 401], what: 'Basic and credentials in the body' }
    await refusesAndSpares(world, token, { as, token }, refusal)
    return undefined
  },
}

const noCredentials: ConformanceCase = {
  id: 55,
  title: 'No client at all is refused',
  level: 'must',
  cites: [rfc(7009, '5'), errors],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await anyToken(world, 'c1')
    const refusal = { ...unauthenticated, what: 'A request without a client' }
    await refusesAndSpares(world, token, { as: NOBODY, token }, refusal)
    return undefined
  },
}

const idOnly: ConformanceCase = {
  id: 56,
  title: 'A confidential client that only names itself is refused',
  level: 'must',
  cites: [clientRule, errors],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await anyToken(world, 'c1')
    const as = body(world.client('c1').id)
    const refusal = { ...unauthenticated, what: 'A confidential client without its secret' }
    await refusesAndSpares(world, token, { as, token }, refusal)
    return undefined
  },
}

const publicGood: ConformanceCase = {
  id: 57,
  title: 'A public client revokes with its client_id alone',
  level: 'must',
  cites: [rfc(7009, '5'), clientRule],
  needs: ['revocation', 'token:p1'],
  async run(world) {
    await revokesAnyway(world, await anyToken(world, 'p1'), {}, 'A public client')
    return undefined
  },
}

const publicWithSecret: ConformanceCase = {
  id: 58,
  title: 'A secret of a public client is ignored or refused',
  level: 'choice',
  cites: [clientRule],
  needs: ['revocation', 'token:p1'],
  async run(world) {
    const token = await anyToken(world, 'p1')
    const answer = await world.revoke({ as: body(world.client('p1').id, world.unique()), token })
    if (answer.status === 200) {
      await watchOf(world).expectDead(token, 'after the 200')
      return deviation('It is ignored.')
    }
    expectRefused(answer, { statuses: [400, 401] }, 'A public client with a secret')
    await watchOf(world).expectAlive(token, 'though the request was refused')
    return deviation(`It is refused: ${brief(answer)}.`)
  },
}

const publicUnknown: ConformanceCase = {
  id: 59,
  title: 'An unknown client_id: invalid_client',
  level: 'must',
  cites: [errors],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await anyToken(world, 'c1')
    const as = body(`unknown-${world.unique()}`)
    const refusal = { statuses: [400, 401], errors: ['invalid_client'], what: 'An unknown client' }
    await refusesAndSpares(world, token, { as, token }, refusal)
    return undefined
  },
}

const disabled: ConformanceCase = {
  id: 65,
  title: 'A disabled client is refused',
  level: 'hardening',
  cites: [clientRule],
  needs: ['revocation', 'client:cx'],
  async run(world) {
    const answer = await world.revoke({ as: 'cx', token: world.unique() })
    expectRefused(answer, { statuses: [400, 401] }, 'A disabled client')
    return undefined
  },
}

const badAndMissing: ConformanceCase = {
  id: 67,
  title: 'Bad credentials and no token: refused, best for the credentials',
  level: 'must',
  cites: [clientRule, errors],
  needs: ['revocation', 'client:c1'],
  async run(world) {
    const { client } = passwordClient(world)
    const answer = await world.revoke({ as: basic(client.id, world.unique()) })
    expectRefused(answer, { statuses: [400, 401] }, 'Bad credentials without a token')
    const first = errorOf(answer) === 'invalid_client' ? 'credentials' : 'token'
    return first === 'credentials' ? pass() : deviation(`The missing ${first} is told first.`)
  },
}

const bruteForce: ConformanceCase = {
  id: 68,
  title: `${GUESSES} wrong secrets are slowed down, and another client is not`,
  level: 'hardening',
  cites: [password, rfc(7009, '5')],
  needs: ['revocation', 'brute-force', 'client:c1', 'client:c2'],
  async run(world) {
    const { client } = passwordClient(world)
    for (let guess = 1; guess <= GUESSES; guess++) {
      const as = basic(client.id, world.unique())
      const answer = await world.revoke({ as, token: world.unique(), takeThrottle: true })
      if (answer.status !== 429) continue
      if (answer.retryAfterMs === undefined) world.note('The 429 has no Retry-After.')
      const other = await world.revoke({ as: 'c2', token: world.unique(), takeThrottle: true })
      if (wasLetIn(other)) return pass(`429 after ${guess} guesses.`)
      fail(`429 after ${guess} guesses; c2, with good credentials, then gets ${brief(other)}.`)
    }
    fail(`${GUESSES} wrong secrets in a row were all answered at once, and none with 429.`)
  },
}

const throttleEnd: ConformanceCase = {
  id: 209,
  title: 'After wrong secrets, the right one still works when the wait is over',
  level: 'hardening',
  cites: [password],
  needs: ['revocation', 'brute-force', 'client:c1'],
  async run(world) {
    const { client, secret } = passwordClient(world)
    for (let guess = 0; guess < GUESSES; guess++) {
      const as = basic(client.id, world.unique())
      await world.revoke({ as, token: world.unique(), takeThrottle: true })
    }
    const answer = await world.revoke({ as: basic(client.id, secret), token: world.unique() })
    if (!wasLetIn(answer)) fail(`The right secret is then answered with ${brief(answer)}.`)
    return undefined
  },
}

/** The cases of client authentication by password, by certificate, and by none. */
export const CLIENT_AUTHENTICATION: CaseGroup = {
  title: 'Client authentication',
  cases: [
    basicGood,
    basicWrong,
    basicMalformed,
    bearer,
    postGood,
    postWrong,
    queryCredentials,
    twoMethods,
    noCredentials,
    idOnly,
    certificate,
    publicGood,
    publicWithSecret,
    publicUnknown,
    disabled,
    badAndMissing,
    bruteForce,
    throttleEnd,
  ],
}
