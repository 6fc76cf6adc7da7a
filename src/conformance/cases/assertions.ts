import { anyToken } from '../any-token.ts'
import {
  type AssertionWish,
  signAssertion,
  unsignedAssertion,
  withAssertion,
} from '../authenticate.ts'
import { type CaseGroup, type ConformanceCase, rfc } from '../case.ts'
import { brief } from '../grant.ts'
import { expectOk, refusesAndSpares, wasLetIn } from '../judge.ts'
import { watchOf } from '../life.ts'
import { race } from '../race.ts'
import { fail, pass, skip } from '../verdict.ts'
import type { World } from '../world.ts'

const assertions = rfc(7523, '3')

const sign = async (world: World, wish: AssertionWish = {}) =>
  withAssertion(
    world.client('cj'),
    await signAssertion(world.client('cj'), world.target, world.unique, wish),
  )

const good: ConformanceCase = {
  id: 60,
  title: 'private_key_jwt: a good assertion is taken, a wrong one refused',
  level: 'must',
  cites: [assertions, rfc(8725, '3.1')],
  needs: ['revocation', 'token:cj'],
  async run(world) {
    const token = await anyToken(world, 'cj')
    const none = unsignedAssertion(world.client('cj'), world.target, world.unique())
    const wrong = [
      ['a wrong audience', await sign(world, { aud: 'https://other.example.com' })],
      ['an expired one', await sign(world, { expired: true })],
      ['another issuer', await sign(world, { iss: 'somebody-else' })],
      ['HS256 with the public key', await sign(world, { hmacWithPublicKey: true })],
      ['alg none', withAssertion(world.client('cj'), none)],
    ] as const
    for (const [what, as] of wrong) {
      const refusal = { statuses: [400, 401], what: `An assertion with ${what}` }
      await refusesAndSpares(world, token, { as, token }, refusal)
    }
    expectOk(await world.revoke({ as: 'cj', token }), 'A good assertion')
    await watchOf(world).expectDead(token, 'after the 200')
    return undefined
  },
}

const audiences: ConformanceCase = {
  id: 210,
  title: 'private_key_jwt: which audiences are taken',
  level: 'choice',
  cites: [assertions, rfc(7523, '4')],
  needs: ['revocation', 'client:cj'],
  async run(world) {
    const { issuer, token, revocation } = world.target
    const places = {
      issuer,
      'token endpoint': token?.href,
      'revocation endpoint': revocation?.href,
    }
    const taken: string[] = []
    for (const [name, aud] of Object.entries(places)) {
      if (aud === undefined) continue
      const answer = await world.revoke({ as: await sign(world, { aud }), token: world.unique() })
      if (wasLetIn(answer)) taken.push(name)
    }
    if (taken.length === 0) fail('None of issuer, token endpoint and revocation endpoint is taken.')
    return { verdict: 'deviation', way: `Taken: ${taken.join(', ')}.` }
  },
}

const replay: ConformanceCase = {
  id: 61,
  title: 'An assertion is good once: again, and twice at once',
  level: 'hardening',
  cites: [rfc(7523, '3'), rfc(7523, '5')],
  needs: ['revocation', 'client:cj'],
  requestsMax: ({ races }) => races * 2 + 20,
  async run(world) {
    const as = await sign(world)
    const first = await world.revoke({ as, token: world.unique() })
    if (!wasLetIn(first)) return skip(`A good assertion is answered with ${brief(first)}.`)
    const second = await world.revoke({ as, token: world.unique() })
    if (wasLetIn(second)) fail('The same assertion was taken twice, one after the other.')
    let doubles = 0
    await race(world, async () => {
      const once = await sign(world)
      const answers = await Promise.all(
        [1, 2].map(() => world.revoke({ as: once, token: world.unique() })),
      )
      const winners = answers.filter(wasLetIn).length
      if (winners > 1) doubles += 1
      return winners > 1
    })
    if (doubles > 0)
      fail(`Sent twice at once, it was taken twice in ${doubles} of ${world.limits.races} rounds.`)
    return pass(`Sent twice at once, it was never taken twice in ${world.limits.races} rounds.`)
  },
}

/** The cases of client assertions. */
export const ASSERTIONS: CaseGroup = {
  title: 'Client assertions',
  cases: [good, audiences, replay],
}
