import { describe, expect, test } from 'vitest'
import { OUTCOMES } from '../../src/core/outcome.ts'
import { isDead, PROOFS } from '../../src/core/proof.ts'
import type { Fingerprint } from '../../src/core/secret.ts'
import type { RunToken } from '../../src/store/run-proofs.ts'
import type { Run } from '../../src/store/run-states.ts'
import { judgeToken, summarize } from '../../src/sweep/summary.ts'

function planned(more: Partial<RunToken> = {}): RunToken {
  return {
    fingerprint: 'fp_1' as Fingerprint,
    kill: 0,
    proof: 'none',
    proofAt: null,
    evidence: null,
    seenAt: null,
    outcome: null,
    code: null,
    state: 'planned',
    attempts: 0,
    intentAt: null,
    answeredAt: null,
    userId: 'u1',
    appId: 'a1',
    kind: 'grant',
    ...more,
  }
}

const answered = (more: Partial<RunToken>) => planned({ state: 'answered', answeredAt: 5, ...more })

describe('one planned token', () => {
  test.for([
    ['nothing was done to it', planned(), 'alive'],
    ['its kill was cut off', planned({ state: 'intent' }), 'unknown'],
    [
      'acknowledged, and not looked for',
      answered({ outcome: 'revoked', proof: 'acked' }),
      'unknown',
    ],
    [
      'said to be dead before, and not looked for',
      answered({ outcome: 'already_dead', proof: 'sent' }),
      'unknown',
    ],
    ['to be done later', answered({ outcome: 'queued', proof: 'acked' }), 'unknown'],
    ['no answer', answered({ outcome: 'in_doubt', proof: 'sent' }), 'unknown'],
    ['no effect', answered({ outcome: 'failed', proof: 'sent' }), 'alive'],
    ['refused', answered({ outcome: 'refused', proof: 'sent' }), 'alive'],
    ['irrevocable', answered({ outcome: 'irrevocable' }), 'alive'],
    ['gone from the list', answered({ outcome: 'revoked', proof: 'absent' }), 'dead'],
    ['refused, and gone from the list', answered({ outcome: 'refused', proof: 'absent' }), 'dead'],
    ['gone from the list without us', planned({ proof: 'absent' }), 'dead'],
    [
      'acknowledged, and seen after it',
      answered({ outcome: 'revoked', proof: 'acked', seenAt: 6 }),
      'alive',
    ],
    [
      'seen, and killed once more since',
      answered({ outcome: 'revoked', proof: 'acked', seenAt: 4 }),
      'unknown',
    ],
    [
      'seen, and failed once more since',
      answered({ outcome: 'failed', proof: 'acked', seenAt: 4 }),
      'alive',
    ],
  ] as const)('%s: %s', ([, token, verdict]) => {
    expect(judgeToken(token)).toBe(verdict)
  })

  test('is dead by the evidence alone, and never by an answer', () => {
    for (const proof of PROOFS) {
      for (const outcome of OUTCOMES) {
        expect(judgeToken(answered({ proof, outcome })) === 'dead').toBe(isDead(proof))
      }
    }
  })
})

test('every token is in each of the sums once', () => {
  const run = {
    id: 'run_1',
    tenant: 'acme',
    state: 'finished',
    why: null,
    startedAt: 0,
    finishedAt: 9,
  } as Run
  const tokens = PROOFS.flatMap((proof) => [
    ...OUTCOMES.map((outcome) => answered({ proof, outcome })),
    planned({ proof }),
    planned({ proof, state: 'intent' }),
  ])
  const summary = summarize(run, 'plan_1', tokens, 2)
  const sum = (counts: object) => Object.values(counts).reduce((a: number, b) => a + b, 0)
  expect(summary.planned).toBe(tokens.length)
  expect(sum(summary.outcomes) + summary.unsent).toBe(tokens.length)
  expect(sum(summary.proof)).toBe(tokens.length)
  expect(summary.dead + summary.alive + summary.unknown).toBe(tokens.length)
  expect(summary).toMatchObject({
    unsent: PROOFS.length,
    cameBack: 2,
    finishedAt: '1970-01-01T00:00:00.009Z',
  })
})
