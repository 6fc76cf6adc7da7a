import { describe, expect, test } from 'vitest'
import { runConformance } from '../../src/conformance/conformance.ts'
import { GROUPS } from '../../src/conformance/table.ts'
import { type Defect, startToy } from './peers/toy.ts'
import { TOY_SECRET } from './peers/toy-clients.ts'

/** The cases that measure time have a test of their own. */
const TIMED = [211, 212]
const CASES = GROUPS.flatMap(({ cases }) => cases.map(({ id }) => id)).filter(
  (id) => !TIMED.includes(id),
)

/** Each defect, and the cases that are about it. */
const DEFECTS: readonly (readonly [Defect, readonly number[]])[] = [
  [
    'lies',
    [1, 2, 6, 15, 23, 24, 25, 26, 27, 29, 36, 43, 45, 50, 57, 75, 76, 77, 93, 101, 116, 204, 216],
  ],
  ['kills foreign tokens', [69, 71, 72]],
  ['trusts the hint', [24, 25]],
  ['takes repeated parameters', [12, 13, 14, 123]],
  ['races at refresh', [99]],
  ['races at codes', [201]],
  ['resurrects', [100]],
  ['forgives reuse', [90, 206]],
  ['spares access tokens', [75]],
  ['kills all logins', [6, 43, 76, 78, 94, 202]],
  ['revokes by GET', [3]],
  ['reads the query', [5, 52]],
  ['takes any secret', [46, 48, 51, 56, 63, 96]],
  ['refuses unknown tokens', [30, 31, 34, 39, 40, 70]],
  ['tells why it is inactive', [116, 117]],
  ['lets anybody introspect', [120, 122]],
  ['tells foreign from unknown', [70]],
  ['caches', [22]],
  ['breaks at strange bytes', [213]],
  ['names another certificate', [125]],
]

async function failuresOf(defect: Defect | undefined) {
  const peer = await startToy(defect)
  try {
    const report = await runConformance({ config: peer.config, races: 5, settleMs: 0, only: CASES })
    const ids = (verdict: string) =>
      report.results.filter((result) => result.verdict === verdict).map(({ id }) => id)
    return { failed: ids('fail').sort((a, b) => a - b), unclear: ids('inconclusive'), report }
  } finally {
    await peer.close()
  }
}

function fromBase64(text: string): string {
  return Buffer.from(text, 'base64').toString('latin1')
}

describe('a server with one defect fails the cases that are about it, and no others', () => {
  test('none: every must and should passes', async () => {
    const { failed, unclear, report } = await failuresOf(undefined)
    expect(failed).toEqual([])
    expect(unclear).toEqual([])
    expect(report.totals.pass).toBeGreaterThan(65)
  })

  test('no evidence holds a secret, in any form', async () => {
    const text = JSON.stringify((await failuresOf(undefined)).report)
    const decoded = (text.match(/[\w+/-]{12,}={0,2}/g) ?? []).map((part) => fromBase64(part))
    expect([text, ...decoded].filter((part) => part.includes(TOY_SECRET))).toEqual([])
    expect(text).toMatch(/authorization: Basic <basic [0-9a-f]{8}>/)
    expect(text).not.toMatch(/"(?:access|refresh)_token\\*":\\*"[^<\\]/)
  })

  test.each(DEFECTS)('%s', async (defect, expected) => {
    const { failed, unclear, report } = await failuresOf(defect)
    expect(failed).toEqual(expected)
    expect(unclear).toEqual([])
    for (const { verdict, evidence, what } of report.results) {
      if (verdict !== 'fail') continue
      expect(what).not.toBe('')
      expect(evidence.length).toBeGreaterThan(0)
    }
  })
})

describe('where nothing shows whether a token lives, no case says that it does', () => {
  /** Cases that end with a look at a token, which must live, or must be dead, or may be either. */
  const LOOKS = [1, 12, 18, 39, 40, 43, 69, 202]

  const run = async (defect: Defect | undefined, only: readonly number[]) => {
    const peer = await startToy(defect, { isBlind: true })
    try {
      return (await runConformance({ config: peer.config, settleMs: 0, only })).results
    } finally {
      await peer.close()
    }
  }

  test.each(LOOKS)('case %i', async (id) => {
    const [result] = await run(undefined, [id])
    expect(result?.verdict).toBe('inconclusive')
    expect(result?.what).toMatch(/^Nothing shows whether the access token of c1 lives: add a/)
  })

  test('case 69, and it is dead: the 200 of the thief proves nothing', async () => {
    const [result] = await run('kills foreign tokens', [69])
    expect(result).toMatchObject({ level: 'must', verdict: 'inconclusive' })
    expect(result?.what).not.toMatch(/token lives\./)
  })

  test('what is wrong with the answer itself is still a failure', async () => {
    const results = await run('refuses unknown tokens', [39, 40])
    expect(results.map(({ verdict }) => verdict)).toEqual(['fail', 'fail'])
  })
})

describe('a look-up that takes 3 ms longer is found, and none is not', () => {
  const run = async (defect: Defect | undefined) => {
    const peer = await startToy(defect)
    try {
      return await runConformance({ config: peer.config, samples: 60, only: [70, 211] })
    } finally {
      await peer.close()
    }
  }

  test('slow with foreign tokens', async () => {
    const { results } = await run('is slow with foreign tokens')
    expect(results.map(({ verdict }) => verdict)).toEqual(['pass', 'fail'])
    expect(results[1]?.what).toMatch(/takes \d{4}[.\d]* µs longer than to an unknown token \(p = /)
  })

  test('as fast with foreign tokens', async () => {
    const { results } = await run(undefined)
    // A machine that is too busy to tell says so: that is no finding either.
    expect(results[1]?.verdict).not.toBe('fail')
  })
})
