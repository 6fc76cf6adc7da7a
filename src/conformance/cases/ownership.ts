import { Secret } from '../../core/secret.ts'
import { anyToken } from '../any-token.ts'
import { type CaseGroup, type ConformanceCase, rfc } from '../case.ts'
import type { Role } from '../config.ts'
import { brief, type HeldToken } from '../grant.ts'
import { expectNoCrash, expectRefused } from '../judge.ts'
import { watchOf } from '../life.ts'
import { compareTimes } from '../timing.ts'
import { deviation, fail, pass, skip, type Verdict } from '../verdict.ts'
import type { World } from '../world.ts'

const owner = rfc(7009, '2.1')

async function tokensOf(world: World, role: Role): Promise<readonly HeldToken[]> {
  if (world.config.tokens.user === undefined) return [await world.service(role)]
  const { access, refresh } = await world.grant(role)
  // Access first: to see whether a refresh token lives may use it up.
  return refresh ? [access, refresh] : [access]
}

/** One client tries to revoke the tokens of another: they live, whatever the answer. */
function foreign(id: number, title: string, thief: Role, victim: Role): ConformanceCase {
  return {
    id,
    title,
    level: 'must',
    cites: [owner],
    needs: ['revocation', `client:${thief}`, `token:${victim}`],
    async run(world): Promise<Verdict> {
      const seen = new Set<string>()
      for (const token of await tokensOf(world, victim)) {
        const answer = await world.revoke({ as: thief, token, hint: `${token.kind}_token` })
        await watchOf(world).expectAlive(token, `after ${thief}, another client, revoked it`)
        expectNoCrash(answer, 'A foreign token')
        expectRefused(answer, { statuses: [200, 400, 401, 403] }, 'A foreign token')
        seen.add(brief(answer))
      }
      const answers = [...seen].join(', ')
      return answers === 'HTTP 200'
        ? deviation('It is answered with 200, as an unknown token is; the token lives.')
        : pass(`It is refused: ${answers}.`)
    },
  }
}

const oracle: ConformanceCase = {
  id: 70,
  title: 'A foreign token cannot be told from an unknown one by the answer',
  level: 'hardening',
  cites: [rfc(7009, '5')],
  needs: ['revocation', 'client:c2', 'token:c1'],
  async run(world) {
    const token = await anyToken(world, 'c1')
    const foreign = await world.revoke({ as: 'c2', token })
    const unknown = await world.revoke({ as: 'c2', token: lookalike(token.value.reveal(), world) })
    const facts = (answer: typeof foreign) => [
      answer.status,
      answer.body,
      answer.headers['content-type'] ?? '',
    ]
    if (String(facts(foreign)) === String(facts(unknown))) return undefined
    fail(`A foreign token gives ${brief(foreign)}, an unknown one ${brief(unknown)}.`)
  },
}

/** A token of the same length and alphabet that nobody has: its last third is shuffled anew. */
function lookalike(token: string, world: World): string {
  const from = Math.floor((token.length * 2) / 3)
  const letters = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789'
  const tail = Array.from({ length: token.length - from }, (_, index) => {
    const old = token[from + index] ?? 'A'
    return /[A-Za-z0-9]/.test(old) ? letters[Math.floor(world.random() * letters.length)] : old
  })
  const text = token.slice(0, from) + tail.join('')
  world.book.add(new Secret(text), 'lookalike')
  return text
}

const timingOracle: ConformanceCase = {
  id: 211,
  title: 'A foreign token cannot be told from an unknown one by the time that the answer takes',
  level: 'hardening',
  cites: [rfc(7009, '5')],
  needs: ['revocation', 'client:c2', 'token:c1'],
  requestsMax: ({ samples }) => samples * 4 + 200,
  async run(world) {
    const token = await anyToken(world, 'c1')
    const send = (text: string) => async () => {
      await world.revoke({ as: 'c2', token: text, quiet: true })
    }
    const value = token.value.reveal()
    return await compareTimes(world, {
      one: { name: 'an unknown token', send: () => send(lookalike(value, world))() },
      other: { name: 'a foreign token', send: send(value) },
    })
  },
}

const timingSecret: ConformanceCase = {
  id: 212,
  title: 'An unknown client cannot be told from a wrong secret by the time that the answer takes',
  level: 'hardening',
  cites: [rfc(6749, '10.10')],
  needs: ['revocation', 'brute-force', 'client:c1'],
  requestsMax: ({ samples }) => samples * 4 + 200,
  async run(world) {
    const id = world.client('c1').id
    const send = (name: string) => async () => {
      const headers = {
        authorization: `Basic ${btoa(`${encodeURIComponent(name)}:${world.unique()}`)}`,
      }
      const as = { headers, pairs: [] }
      const answer = await world.revoke({ as, token: 'x', quiet: true, takeThrottle: true })
      // Waiting it out would take a minute for every few attempts, and measure the wait.
      if (answer.status === 429) skip('The server slows wrong secrets down (429).')
    }
    return await compareTimes(world, {
      one: { name: 'an unknown client', send: () => send(lookalike(id, world))() },
      other: { name: 'a wrong secret', send: send(id) },
    })
  },
}

/** The cases of ownership. */
export const OWNERSHIP: CaseGroup = {
  title: 'Ownership and oracles',
  cases: [
    foreign(69, 'A confidential client cannot revoke the tokens of another', 'c2', 'c1'),
    oracle,
    foreign(71, 'A public client cannot revoke the tokens of another', 'p2', 'p1'),
    foreign(72, 'A public client cannot revoke the tokens of a confidential one', 'p1', 'c1'),
    timingOracle,
    timingSecret,
  ],
}
