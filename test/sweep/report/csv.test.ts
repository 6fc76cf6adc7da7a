import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { csvCell, renderCsv } from '../../../src/sweep/report/csv.ts'
import { HOSTILE_NAMES, sampleModel } from './sample-model.ts'

/** Reads RFC 4180 strictly: CRLF between records, quotes doubled inside quotes, nothing else. */
function parseCsv(text: string): string[][] {
  const records: string[][] = [[]]
  let at = 0
  while (at < text.length) {
    const cell = /"((?:[^"]|"")*)"|([^",\r\n]*)/y
    cell.lastIndex = at
    const found = cell.exec(text)
    if (found === null) throw new Error(`no cell at ${at}`)
    records.at(-1)?.push(found[1]?.replaceAll('""', '"') ?? found[2] ?? '')
    at = cell.lastIndex
    if (text.startsWith('\r\n', at)) {
      at += 2
      if (at < text.length) records.push([])
    } else if (text[at] === ',') {
      at += 1
      if (at === text.length) records.at(-1)?.push('')
    } else if (at < text.length) throw new Error(`no separator at ${at}`)
  }
  return records
}

describe('RFC 4180 section 2', () => {
  test('every planned token is a line, and reads back as it was', () => {
    const model = sampleModel({ planned: 1203, names: HOSTILE_NAMES, apps: 9, users: 9 })
    const [titles, ...lines] = parseCsv([...renderCsv(model)].join(''))
    const tokens = [...model.tokens()]
    expect(lines).toHaveLength(tokens.length)
    expect(titles).toEqual(Object.keys(tokens[0] ?? {}).toSorted(byTitle(titles ?? [])))
    for (const [index, token] of tokens.entries()) {
      const expected = titles?.map((title) => token[title as keyof typeof token] ?? '')
      expect(lines[index]?.map((cell) => cell.replace(/^'(?==)/, ''))).toEqual(expected)
    }
  })

  test('any cell reads back, with the guard of a formula taken off', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }), (cells) => {
        const read = parseCsv(`${cells.map(csvCell).join(',')}\r\n`)[0] ?? []
        expect(read.map((cell, i) => (cell === cells[i] ? cell : cell.replace(/^'/, '')))).toEqual(
          cells,
        )
      }),
    )
  })

  test('an empty plan gives the titles alone', () => {
    expect([...renderCsv(sampleModel({ planned: 0 }))]).toEqual([
      expect.stringMatching(/^fingerprint,.*,verdict\r\n$/),
    ])
  })
})

function byTitle(titles: readonly string[]): (a: string, b: string) => number {
  return (a, b) => titles.indexOf(a) - titles.indexOf(b)
}

describe('CSV injection (OWASP)', () => {
  test.each([
    ['=1+1', "'=1+1"],
    ['+1', "'+1"],
    ['-1', "'-1"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['＝1+1', "'＝1+1"],
    ['\t=1', "'\t=1"],
    ['\r=1', '"\'\r=1"'],
    ['=HYPERLINK("http://e","x")', '"\'=HYPERLINK(""http://e"",""x"")"'],
    ['Drift', 'Drift'],
    ['a=b', 'a=b'],
  ])('%j becomes %j', (value, cell) => {
    expect(csvCell(value)).toBe(cell)
  })
})
