import { anyToken } from '../any-token.ts'
import { type CaseGroup, type ConformanceCase, rfc } from '../case.ts'
import { brief } from '../grant.ts'
import { expectNoCrash, expectRefused } from '../judge.ts'
import { watchOf } from '../life.ts'
import { pass } from '../verdict.ts'

/** Longer than any hint, and than a line that a header may have. */
const HINT_CHARACTERS = 16 * 1024
/** More fields than any client sends. */
const FIELDS = 2_000

const malformed: ConformanceCase = {
  id: 213,
  title: 'NUL, broken percent escapes and broken UTF-8 break nothing',
  level: 'hardening',
  cites: [rfc(6749, '3.2'), rfc(7009, '5')],
  needs: ['revocation', 'token:c1'],
  async run(world) {
    const token = await anyToken(world, 'c1')
    const bodies = [
      'token=%00',
      'token=a%00b',
      'token=%',
      'token=%zz',
      'token=%ff%fe',
      'token',
      '=x',
      '&&&',
    ]
    const seen: string[] = []
    for (const body of bodies) {
      const answer = await world.revoke({ as: 'c1', body })
      expectNoCrash(answer, `The body ${body}`)
      expectRefused(answer, { statuses: [200, 400] }, `The body ${body}`)
      seen.push(`${body} ${brief(answer)}`)
    }
    await watchOf(world).expectAlive(token, 'after malformed requests')
    return pass(`${seen.join('; ')}.`)
  },
}

const abundance: ConformanceCase = {
  id: 214,
  title: 'A hint of 16 KB and 2,000 fields break nothing',
  level: 'hardening',
  cites: [rfc(7009, '5')],
  needs: ['revocation', 'client:c1'],
  async run(world) {
    const hint = await world.tryRevoke({ as: 'c1', token: 'x', hint: 'h'.repeat(HINT_CHARACTERS) })
    expectNoCrash(hint, 'A hint of 16 KB')
    const more = Array.from({ length: FIELDS }, (_, index) => [`f${index}`, 'x'] as const)
    const fields = await world.tryRevoke({ as: 'c1', token: 'x', more })
    expectNoCrash(fields, `${FIELDS} fields`)
    return pass(`${hint ? brief(hint) : 'closed'}; ${fields ? brief(fields) : 'closed'}.`)
  },
}

const controls: ConformanceCase = {
  id: 215,
  title:
    'A client_id with controls, quotes or markup breaks nothing, and is not repeated as markup',
  level: 'hardening',
  cites: [rfc(6749, '5.2')],
  needs: ['revocation'],
  async run(world) {
    for (const id of ['a\u0000b', '<script>x</script>', '"\\\r\nset-cookie: a=b', "' OR 1=1 --"]) {
      const as = { headers: {}, pairs: [['client_id', id]] as const }
      const answer = await world.revoke({ as, token: 'x' })
      expectNoCrash(answer, 'Such a client_id')
      expectRefused(answer, { statuses: [400, 401, 403] }, 'Such a client_id')
      const type = answer.headers['content-type'] ?? ''
      if (/html/i.test(type) && answer.body.includes('<script>x')) {
        expectRefused(answer, { statuses: [] }, 'A web page that repeats the client_id')
      }
    }
    return undefined
  },
}

/** The cases of requests that nobody sends in earnest. */
export const ROBUSTNESS: CaseGroup = {
  title: 'Robustness',
  cases: [malformed, abundance, controls],
}
