import { describe, expect, test } from 'vitest'
import { html } from '../../../src/core/html.ts'
import { ticksOf } from '../../../src/sweep/report/charts.ts'
import { renderHtml } from '../../../src/sweep/report/html.ts'
import { cssString } from '../../../src/sweep/report/html-style.ts'
import { HOSTILE_NAMES, type Sample, sampleModel } from './sample-model.ts'

const page = (sample: Sample = {}) => [...renderHtml(sampleModel(sample))].join('')

describe('names are text, whatever they hold', () => {
  const hostile = page({ names: HOSTILE_NAMES, planned: 60, apps: 9, users: 9, cameBack: 2 })

  test('no name becomes markup', () => {
    expect(hostile).not.toMatch(/<script|<img|onerror=alert\(1\)>/)
    expect(hostile).toContain('&lt;script&gt;alert(&quot;app&quot;)&lt;/script&gt;')
    expect(hostile).toContain('&quot;&gt;&lt;img src=x onerror=alert(1)&gt;&amp;amp;')
  })

  test('no name reorders the page or carries controls', () => {
    expect(hostile).not.toMatch(/[^\P{Cc}\n]|[\u202a-\u202e\u2066-\u2069]/u)
    expect(hostile).toContain('<bdi>\\u{202E}gpj.exe')
  })

  test.each([
    ['text', html`<p>${'<&"\'>'}</p>`, '<p>&lt;&amp;&quot;&#39;&gt;</p>'],
    ['attribute', html`<a title="${'" onclick="x'}">`, '<a title="&quot; onclick=&quot;x">'],
    [
      'markup goes in as it is',
      html`<p>${html`<b>${1}</b>`}${[null, 'x']}</p>`,
      '<p><b>1</b>x</p>',
    ],
  ])('template: %s', (_title, made, markup) => {
    expect(made.markup).toBe(markup)
  })

  test('a CSS string cannot be left', () => {
    expect(cssString('a"}</style>\n\\')).toBe('"a\\22 \\7d \\3c \\2f style\\3e \\a \\5c "')
  })
})

describe('the page stands alone', () => {
  test.each<Sample>([{}, { planned: 0 }, { planned: 40, partial: true }])('%j', (sample) => {
    const text = page(sample)
    expect(text).toContain('Content-Security-Policy')
    expect(text).toContain('default-src &#39;none&#39;')
    expect(text).not.toMatch(/<script|@import|<iframe|<object|javascript:/i)
    for (const [, target] of text.matchAll(/(?:href|src)="([^"]*)"/g)) {
      expect(target).toMatch(/^#[a-z]+$|^data:,$/)
    }
    for (const [, target] of text.matchAll(/url\(([^)]*)\)/g)) expect(target).toMatch(/^#/)
  })

  test('every link leads to a part that is there, and ids are unique', () => {
    const text = page()
    const ids = [...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const [, id] of text.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(id)
  })
})

describe('what the page says', () => {
  test('a partial inventory stands on every printed page, in the margin', () => {
    expect(page({ partial: true })).toMatch(
      /@bottom-left\{content:"[^"]*made on a partial inventory/,
    )
    expect(page()).not.toContain('made on a partial inventory')
  })

  test.each<readonly [string, Sample, string, number]>([
    ['few tokens: all', { planned: 2000, alive: 2, unknown: 1 }, 'All 2,000 planned tokens.', 2000],
    [
      'many: those not proven dead',
      { planned: 2001, alive: 2, unknown: 1 },
      'The 3 of 2,001 planned tokens that are not proven dead. The 1,998',
      3,
    ],
    [
      'many, all dead: none',
      { planned: 2001, alive: 0, unknown: 0 },
      'None is listed: all 2,001 are proven dead. The CSV',
      0,
    ],
    [
      'too many alive: the first',
      { planned: 6000, alive: 6000, unknown: 0 },
      'The first 5,000 of the 6,000 tokens',
      5000,
    ],
  ])('list of tokens, %s', (_title, sample, words, rows) => {
    const text = page(sample)
    expect(text).toContain(words)
    expect(text.match(/<code>fp_[0-9a-f]{24}</g)?.length ?? 0).toBe(rows)
  })

  test('all outcomes and rungs have a line, those with none too', () => {
    const text = page()
    for (const word of [
      'revoked',
      'already_dead',
      'queued',
      'refused',
      'irrevocable',
      'in_doubt',
      'failed',
      'unsent',
      'none',
      'sent',
      'acked',
      'absent',
      'inactive',
      'rejected',
      'quiet',
    ]) {
      expect(text).toMatch(new RegExp(`<th scope="row">${word}<`))
    }
  })

  test('10,000 users are 20 and a sum; 500 apps are all there', () => {
    const text = page({ planned: 20_000, apps: 500, users: 10_000 })
    expect(text).toContain('9,980 other users')
    expect(text).toContain('The 480 more apps, one by one')
    expect(text).toContain('Connected App 500')
  })

  test('a sum that does not come out is said, not hidden', () => {
    const model = sampleModel({ planned: 30 })
    const text = [...renderHtml({ ...model, spared: model.spared + 1 })].join('')
    expect(text).toContain('The totals do not add up')
    expect(text).toContain('✗ is not 342 tokens in the inventory')
  })

  test('100,000 tokens come in chunks', () => {
    const chunks = [...renderHtml(sampleModel({ planned: 100_000, alive: 4000, unknown: 900 }))]
    expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThan(400_000)
  })
})

describe('the axis of time', () => {
  test.each([
    [1000, [0, 200, 400, 600, 800, 1000]],
    [285_000, [0, 60_000, 120_000, 180_000, 240_000]],
    [1_197_000, [0, 300_000, 600_000, 900_000]],
  ])('%i ms has round marks', (span, ticks) => {
    expect(ticksOf(span)).toEqual(ticks)
  })

  test('no span has more than six', () => {
    for (let span = 1; span < 1e12; span *= 1.7) expect(ticksOf(span).length).toBeLessThan(7)
  })
})
