import { describe, expect, test } from 'vitest'
import { formatCount, formatCounted } from '../../../src/core/counts.ts'
import { formatDuration, formatMoment } from '../../../src/core/moments.ts'
import { OUTCOMES } from '../../../src/core/outcome.ts'
import { PROOFS } from '../../../src/core/proof.ts'
import { formatShare } from '../../../src/sweep/report/format.ts'
import { renderJson } from '../../../src/sweep/report/json.ts'
import type { ReportModel } from '../../../src/sweep/report/model.ts'
import { checkTotals, survivorsFirst } from '../../../src/sweep/report/totals.ts'
import { judgeRun } from '../../../src/sweep/report/verdict.ts'
import { agrees, type Sample, sampleModel } from './sample-model.ts'

describe('a share never rounds survivors away', () => {
  test.each([
    [11_812, 11_820, '99.9 %'],
    [99_999, 100_000, '99.9 %'],
    [1, 100_000, '<0.1 %'],
    [100, 100, '100 %'],
    [0, 100, '0 %'],
    [0, 0, '–'],
    [1, 3, '33.3 %'],
  ])('%i of %i is %s', (part, whole, text) => {
    expect(formatShare(part, whole)).toBe(text)
  })
})

describe('times and counts', () => {
  test.each([
    [850, '850 ms'],
    [4_260, '4.2 s'],
    [59_999, '59 s'],
    [192_000, '3 min 12 s'],
    [7_500_000, '2 h 5 min'],
    [7_200_000, '2 h'],
    [90_000_000, '1 d 1 h'],
  ])('%i ms is %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })

  test('a moment names its zone, and what is none is a dash', () => {
    expect(formatMoment('2025-09-14T02:13:05.123Z')).toBe('2025-09-14 02:13:05 UTC')
    expect(formatMoment(null)).toBe('–')
    expect(formatMoment('yesterday')).toBe('–')
    expect(formatCount(11_812)).toBe('11,812')
    expect(formatCounted(1, 'slice')).toBe('1 slice')
    expect(formatCounted(12_001, 'token')).toBe('12,001 tokens')
  })
})

describe('the verdict calls nothing dead that is not proven dead', () => {
  const cases: readonly (readonly [string, Sample, string, string, string])[] = [
    [
      'all proven',
      { planned: 640, alive: 0, unknown: 0 },
      'good',
      'Every planned token is proven dead',
      '640 of 640 proven dead',
    ],
    [
      'survivors',
      {},
      'bad',
      '3 tokens are alive',
      '11,812 of 11,820 proven dead; 3 alive; 5 unknown',
    ],
    [
      'unknown only',
      { alive: 0, unknown: 1 },
      'open',
      '1 token is not proven dead',
      '11,819 of 11,820 proven dead; 1 unknown',
    ],
    [
      'everything alive',
      { planned: 40, alive: 40, unknown: 0 },
      'bad',
      '40 tokens are alive',
      '0 of 40 proven dead; 40 alive',
    ],
    [
      'nothing planned',
      { planned: 0 },
      'neutral',
      'Nothing to do',
      'No token was planned, and none was killed',
    ],
    [
      'stopped',
      { planned: 9, alive: 9, unknown: 0, unsent: 4, state: 'stopped' },
      'bad',
      'Stopped before the end: 9 tokens are alive',
      '0 of 9 proven dead; 9 alive',
    ],
    [
      'running',
      { planned: 9, alive: 0, unknown: 9, state: 'running' },
      'open',
      'Still running',
      '0 of 9 proven dead; 9 unknown',
    ],
    [
      'came back',
      { planned: 9, alive: 0, unknown: 0, cameBack: 2 },
      'open',
      'Every planned token is proven dead, but 2 new ones have appeared',
      '9 of 9 proven dead',
    ],
    [
      'partial inventory',
      { planned: 9, alive: 0, unknown: 0, partial: true },
      'open',
      'Every planned token is proven dead, but the plan saw only a part of the tenant',
      '9 of 9 proven dead',
    ],
  ]
  test.each(cases)('%s', (_title, sample, tone, judgement, headline) => {
    expect(judgeRun(sampleModel(sample))).toMatchObject({ tone, judgement, headline })
  })

  test('each limit of the result is said', () => {
    const model = sampleModel({ partial: true, state: 'stopped', unsent: 2, cameBack: 1 })
    const said = judgeRun(model).caveats.join('\n')
    expect(said).toContain('The run stopped before its end: the breaker opened')
    expect(said).toContain('The plan was made on a partial inventory')
    expect(said).toContain('The inventory after the kills is partial')
    expect(said).toContain('2 planned kills were not sent.')
    expect(said).toContain('1 new token of planned users and apps appeared')
    expect(said).toContain('12 tokens were left alone')
  })

  test('no inventory after the kills is said', () => {
    expect(judgeRun(sampleModel({ withoutProof: true })).caveats[0]).toContain(
      'No inventory was taken after the kills',
    )
  })
})

describe('totals add up, and are checked', () => {
  const samples: readonly Sample[] = [
    {},
    { planned: 0 },
    { planned: 1, apps: 1, users: 1, alive: 1, unknown: 0 },
    { planned: 400, apps: 300, users: 350, unsent: 3, state: 'stopped' },
  ]
  test.each(samples)('%j', (sample) => {
    const model = sampleModel(sample)
    expect(checkTotals(model).filter((check) => !check.holds)).toEqual([])
    for (const token of model.tokens()) expect(agrees(token.proof, token.verdict)).toBe(true)
  })

  const model = sampleModel({ planned: 30, alive: 0, unknown: 0 })
  const { summary } = model
  const broken: readonly (readonly [string, ReportModel])[] = [
    ['Policy', { ...model, spared: model.spared + 1 }],
    ['Verdicts', { ...model, summary: { ...summary, dead: summary.dead - 1 } }],
    ['Outcomes', { ...model, summary: { ...summary, unsent: 1 } }],
    ['Proofs', { ...model, summary: { ...summary, proof: { ...summary.proof, quiet: 1 } } }],
    ['By app', { ...model, apps: model.apps.slice(1) }],
    ['By user', { ...model, users: model.users.slice(1) }],
  ]
  test.each(broken)('%s: a sum that does not come out is found, and said first', (what, wrong) => {
    expect(
      checkTotals(wrong)
        .filter((c) => !c.holds)
        .map((c) => c.what),
    ).toEqual([what])
    const verdict = judgeRun(wrong)
    expect(verdict.tone).not.toBe('good')
    expect(verdict.caveats[0]).toContain(`${what} does not add up`)
  })

  test('survivors come first, then the largest, then by name', () => {
    const tally = (name: string, planned: number, alive: number, unknown: number) => ({
      name,
      planned,
      alive,
      unknown,
      dead: planned - alive - unknown,
    })
    const rows = [
      tally('b', 9, 0, 0),
      tally('a', 9, 0, 0),
      tally('u', 2, 0, 1),
      tally('v', 1, 1, 0),
    ]
    expect(
      survivorsFirst(rows, (row) => row.name)
        .map((row) => row.name)
        .join(''),
    ).toBe('vuab')
  })
})

describe('report --json', () => {
  test('the keys of the run come first, with all outcomes and all rungs', () => {
    const model = sampleModel({ planned: 20 })
    const json = renderJson(model)
    const own = Object.keys(model.summary)
    expect(Object.keys(json).slice(0, own.length)).toEqual(own)
    expect(Object.keys(json.outcomes)).toEqual([...OUTCOMES])
    expect(Object.keys(json.proof)).toEqual([...PROOFS])
    expect(json.dead + json.alive + json.unknown).toBe(json.planned)
    expect(json.inventories.before.inventory).toBe('inv_7Qm2')
    expect(JSON.parse(JSON.stringify(json))).toEqual(json)
    expect(json).not.toHaveProperty('tokens')
  })
})
