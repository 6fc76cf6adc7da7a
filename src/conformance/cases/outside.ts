import { type CaseGroup, type ConformanceCase, type Level, rfc } from '../case.ts'
import { skip } from '../verdict.ts'

type Row = readonly [id: number, level: Level, title: string, why: string]

const OPERATOR =
  'It takes an act of the operator (an admin interface), which differs from server to server.'
const STORE = 'It takes control of the server process or its store.'

/** What a black box cannot test, said rather than left out. */
const ROWS: readonly Row[] = [
  [
    41,
    'hardening',
    'A JWT that was signed by a retired key is still revocable',
    'It takes a change of the keys of the server.',
  ],
  [
    44,
    'may',
    'Tokens of the device flow and of token exchange are revocable',
    'No adapter makes such tokens yet; a command that prints them, as tokens.user, tests them as others.',
  ],
  [
    64,
    'hardening',
    'An expired client secret is refused; both are good while a secret is rotated',
    OPERATOR,
  ],
  [
    73,
    'choice',
    'A token that was issued without a client',
    'No such token can be asked for from outside.',
  ],
  [82, 'hardening', 'All grants of a user are revoked at once', OPERATOR],
  [83, 'hardening', 'All grants of a client are revoked at once', OPERATOR],
  [84, 'hardening', 'The end of a session ends its tokens', OPERATOR],
  [85, 'must', 'A disabled user has no live tokens', OPERATOR],
  [86, 'may', 'A change of password revokes as the policy says', OPERATOR],
  [
    89,
    'choice',
    'The exchanged token of a revoked subject token',
    'No adapter makes such tokens yet.',
  ],
  [98, 'should', 'A refresh token that is idle for too long is refused', 'It takes days.'],
  [103, 'hardening', 'A revocation that was answered survives kill -9', STORE],
  [106, 'must', 'With the store down, 503 or 500, and never 200', STORE],
  [108, 'hardening', 'With the store slow, 503; a retry does no harm', STORE],
  [110, 'hardening', 'A node that is cut off stops saying active', STORE],
  [112, 'hardening', 'A million revoked tokens do not slow it down', STORE],
  [114, 'hardening', 'A family of 10,000 generations ends in constant time', STORE],
  [
    126,
    'may',
    'Pairwise subjects are hidden from other clients',
    'It takes clients that are registered for it.',
  ],
  [129, 'must', 'A locked user, an ended session, a deleted client: inactive', OPERATOR],
  [138, 'hardening', 'One event for each transition', 'Events are not seen over this door.'],
  [139, 'hardening', 'No token in logs and traces', 'Logs are not seen over this door.'],
]

function outside([id, level, title, why]: Row): ConformanceCase {
  return {
    ...{ id, level, title },
    cites: [rfc(7009, '2')],
    needs: [],
    requestsMax: () => 0,
    run: async () => skip(`Not testable from outside. ${why}`),
  }
}

/** The cases that a black box cannot test. */
export const OUTSIDE: CaseGroup = { title: 'Not testable from outside', cases: ROWS.map(outside) }
