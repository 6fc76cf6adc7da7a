import pc from 'picocolors'
import { describe, expect, test } from 'vitest'
import { displayWidth } from '../../../src/core/screen-text.ts'
import { renderTerminal } from '../../../src/sweep/report/terminal.ts'
import { HOSTILE_NAMES, type Sample, sampleModel } from './sample-model.ts'

const plain = pc.createColors(false)
const colored = pc.createColors(true)

const SAMPLES: readonly (readonly [string, Sample])[] = [
  ['usual', { cameBack: 4 }],
  ['hostile names', { names: HOSTILE_NAMES, planned: 60, apps: 9, users: 9, cameBack: 1 }],
  ['nothing planned', { planned: 0 }],
  ['stopped on a partial inventory', { planned: 40, unsent: 8, partial: true, state: 'stopped' }],
  ['500 apps', { apps: 500, users: 900 }],
]

describe.each(SAMPLES)('%s', (_title, sample) => {
  test.each([60, 80, 120])('fits %i columns', (columns) => {
    const text = renderTerminal(sampleModel(sample), { columns, color: plain })
    for (const line of text.split('\n')) {
      expect(displayWidth(line), line).toBeLessThanOrEqual(columns)
    }
  })

  test('has no control but the line feed without colour', () => {
    const text = renderTerminal(sampleModel(sample), { columns: 80, color: plain })
    expect(text).not.toMatch(/[^\P{Cc}\n]|[\u202a-\u202e]/u)
  })

  test('colour changes no word', () => {
    const model = sampleModel(sample)
    const words = renderTerminal(model, { columns: 80, color: plain })
    const painted = renderTerminal(model, { columns: 80, color: colored })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are what is taken off
    expect(painted.replace(/\u001b\[\d+m/g, '')).toBe(words)
    expect(painted).not.toBe(words)
  })
})

describe('at 2 a.m.', () => {
  const text = renderTerminal(sampleModel({ cameBack: 4 }), {
    columns: 80,
    color: plain,
    files: ['/home/nadia/report.html'],
  })

  test('the verdict comes first, the report last', () => {
    const lines = text.trimEnd().split('\n')
    expect(lines[0]).toBe('✗ 11,812 of 11,820 proven dead; 3 alive; 5 unknown')
    expect(lines.at(-1)).toBe('Report  /home/nadia/report.html')
  })

  test('the apps add up to the plan', () => {
    expect(text).toMatch(/^ {2}all +11,820 +11,812 +3 +5 +4$/m)
    expect(text).toContain('14 more apps')
  })

  test('the ladder has all rungs, and a line above which tokens are dead', () => {
    const at = (word: string) => text.indexOf(`\n  ${word}`)
    const line = text.indexOf('proven dead above this line')
    for (const rung of ['quiet', 'rejected', 'inactive', 'absent']) {
      expect(at(rung)).toBeGreaterThan(0)
      expect(at(rung)).toBeLessThan(line)
    }
    for (const rung of ['acked', 'sent', 'none']) expect(at(rung)).toBeGreaterThan(line)
  })

  test('what is left says what to do', () => {
    expect(text).toContain('→ Run "rescind verify run_4KfW" in an hour.')
  })
})
