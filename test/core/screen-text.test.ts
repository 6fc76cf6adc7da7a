import { describe, expect, test } from 'vitest'
import {
  displayWidth,
  fitWidth,
  padWidth,
  shownName,
  visible,
  wrapWidth,
} from '../../src/core/screen-text.ts'
import { renderTextTable } from '../../src/core/text-table.ts'

describe('what a terminal or a browser would obey or hide is spelled out', () => {
  test.each([
    ['an escape sequence', '\u001b[31mred', '\\u{001B}[31mred'],
    ['C1 control sequence introducer', '\u009b2J', '\\u{009B}2J'],
    ['a line break', 'one\r\ntwo', 'one\\u{000D}\\u{000A}two'],
    ['right-to-left override (CVE-2021-42574)', '\u202egpj.exe', '\\u{202E}gpj.exe'],
    ['an isolate', '\u2066x\u2069', '\\u{2066}x\\u{2069}'],
    ['a zero width space', 'Dri\u200bft', 'Dri\\u{200B}ft'],
    ['a soft hyphen', 'Dri\u00adft', 'Dri\\u{00AD}ft'],
    ['a lone surrogate', '\ud800x', '\\u{D800}x'],
  ])('%s', (_title, text, shown) => {
    expect(visible(text)).toBe(shown)
  })

  test.each([
    ['Arabic', 'تطبيق المبيعات'],
    ['Chinese', '數據載入器'],
    ['an emoji joined by zero width joiners', '👩🏽‍🚀'],
    ['a combining mark', 'Växjö'],
  ])('%s stays as it is', (_title, text) => {
    expect(visible(text)).toBe(text)
  })

  test('a name is cut at 200 characters, and not inside one', () => {
    const shown = shownName('👾'.repeat(300))
    expect(Array.from(shown)).toHaveLength(200)
    expect(shown.endsWith('👾…')).toBe(true)
    expect(shownName('👾'.repeat(150))).toBe('👾'.repeat(150))
  })
})

describe('texts are measured in terminal columns', () => {
  test.each([
    ['數據', 4],
    ['👩🏽‍🚀', 2],
    ['e\u0301', 1],
    ['\u001b[31mred\u001b[39m', 3],
  ])('%j takes %i', (text, width) => {
    expect(displayWidth(text)).toBe(width)
  })

  test.each([
    ['數據載入器', 6],
    ['Salesloft Connect', 9],
    ['Drift', 5],
  ])('%j is cut to %i at most', (text, columns) => {
    const cut = fitWidth(text, columns)
    expect(displayWidth(cut)).toBeLessThanOrEqual(columns)
    expect(cut === text || cut.endsWith('…')).toBe(true)
  })

  test('padding counts columns, not characters', () => {
    expect(padWidth('數據', 6)).toBe('數據  ')
    expect(padWidth('7', 3, 'right')).toBe('  7')
  })

  test('a word longer than the line is broken', () => {
    for (const line of wrapWidth('x'.repeat(50), 20)) expect(line.length).toBeLessThanOrEqual(20)
  })
})

describe('a table fits the screen', () => {
  const rows = [
    ['Salesloft Connect for Enterprise', '1,025'],
    ['數據載入器', '7'],
  ]
  const columns = [
    { title: 'app', elastic: true },
    { title: 'dead', align: 'right' },
  ] as const

  test('elastic columns give way, the others stay whole', () => {
    expect(renderTextTable(columns, rows, { columns: 20, indent: 2 })).toBe(
      ['  app           dead', '  Salesloft …  1,025', '  數據載入器       7'].join('\n'),
    )
  })

  test('nothing is cut where there is room', () => {
    expect(renderTextTable(columns, rows, { columns: 80 })).toContain(
      'Salesloft Connect for Enterprise  1,025',
    )
  })

  test('colours do not move the columns', () => {
    const red = (cell: string) => `\u001b[31m${cell}\u001b[39m`
    const painted = renderTextTable([{ title: 'app', paint: red }, { title: 'n' }], rows, {
      columns: 80,
    })
    const plain = renderTextTable([{ title: 'app' }, { title: 'n' }], rows, { columns: 80 })
    expect(painted.replaceAll('\u001b[31m', '').replaceAll('\u001b[39m', '')).toBe(plain)
  })
})
