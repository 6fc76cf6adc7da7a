import { describe, expect, test } from 'vitest'
import type { KillAnswer } from '../../src/providers/provider.ts'
import { createBreaker } from '../../src/sweep/breaker.ts'

const ok: KillAnswer = { outcome: 'revoked', code: 'http_200' }
const bad: KillAnswer = { outcome: 'failed', code: 'Bad_Id' }
const lost: KillAnswer = { outcome: 'in_doubt', code: 'http_reset' }
const busy: KillAnswer = { outcome: 'failed', code: 'http_429', congested: true }
const denied: KillAnswer = { outcome: 'failed', code: 'login_needed', credentialTrouble: true }

/** Judges answers until the breaker opens; returns how many it took, and why. */
function openAfter(answers: readonly KillAnswer[]): { after: number; why: string } | undefined {
  const breaker = createBreaker()
  for (const [at, answer] of answers.entries()) {
    const why = breaker.judge(answer)
    if (why !== undefined) return { after: at + 1, why }
  }
  return undefined
}

const times = (count: number, ...answers: KillAnswer[]) =>
  Array(count).fill(answers).flat() as KillAnswer[]

describe('the breaker', () => {
  test.for([
    ['all is well', times(500, ok), undefined, ''],
    ['a few fail', times(100, ok, ok, ok, bad), undefined, ''],
    ['half of them fail', times(100, ok, bad), undefined, ''],
    ['more than half fail', times(100, ok, bad, bad), 50, 'of the last 50 kills had no effect'],
    ['all fail', times(100, bad), 50, '50 of the last 50'],
    ['no answer comes', times(100, lost), 50, 'no answer'],
    [
      'it begins to fail after a long success',
      [...times(300, ok), ...times(100, bad)],
      326,
      'no effect',
    ],
    [
      'our credential is refused',
      times(10, denied),
      3,
      'our own credential is refused (login_needed)',
    ],
    [
      'our credential is refused now and then',
      times(100, denied, denied, ok, ok, ok),
      undefined,
      '',
    ],
    ['the provider is short of capacity for long', times(100, busy), 60, 'no capacity'],
    [
      'the provider is short of capacity now and then',
      times(20, ...times(59, busy), ok),
      undefined,
      '',
    ],
    [
      'tokens were dead before',
      times(300, { outcome: 'already_dead', code: 'invalid_token' }),
      undefined,
      '',
    ],
    [
      'nothing can be revoked by a call',
      times(300, { outcome: 'irrevocable', code: 'x' }),
      undefined,
      '',
    ],
    ['everything is refused', times(300, { outcome: 'refused', code: 'x' }), 50, 'no effect'],
  ] as const)('%s', ([, answers, after, why]) => {
    const opened = openAfter(answers)
    expect(opened?.after).toBe(after)
    if (opened) expect(opened.why).toContain(why)
  })
})
