import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileGlobs } from '../../src/sweep/glob.ts'

describe('patterns of names', () => {
  test.for([
    ['Drift*', 'Drift Chat', true],
    ['Drift*', 'drift', true],
    ['Drift*', 'A Drift', false],
    ['*Drift*', 'A Drift B', true],
    ['Drift', 'Drift Chat', false],
    ['?rift', 'Drift', true],
    ['?rift', 'rift', false],
    ['*', '', true],
    ['**', 'anything', true],
    ['?', '🦊', true],
    ['a*b*c', 'aXbXbXc', true],
    ['a*b*c', 'aXcXb', false],
    ['Line*', 'Line\nfeed', true],
    ['ÉTÉ*', 'été 2025', true],
    ['', '', true],
    ['', 'x', false],
  ] as const)('%j on %j: %j', ([pattern, name, expected]) => {
    expect(compileGlobs(pattern)(name)).toBe(expected)
  })

  test('every other character stands for itself, those of regular expressions too', () => {
    for (const character of '.+^${}()|[]\\/-#&~"\'`!<>=:,;%@') {
      const name = `x${character}y`
      expect(compileGlobs(name)(name), character).toBe(true)
      expect(compileGlobs(name)('xzy'), character).toBe(false)
      expect(compileGlobs(name)('xy'), character).toBe(false)
    }
  })

  test('one of several is enough', () => {
    expect(compileGlobs(['Drift*', 'Sales*'])('Salesloft')).toBe(true)
    expect(compileGlobs(['Drift*', 'Sales*'])('Gong')).toBe(false)
  })

  test('a name matches itself, any prefix with *, and any character with ?', () => {
    const plain = fc
      .string({ unit: 'grapheme', maxLength: 30 })
      .filter((text) => !/[*?]/.test(text))
    fc.assert(
      fc.property(plain, plain, (a, b) => {
        expect(compileGlobs(a)(a)).toBe(true)
        expect(compileGlobs(`${a}*`)(a + b)).toBe(true)
        expect(compileGlobs(`*${b}`)(a + b)).toBe(true)
        expect(compileGlobs(Array.from(a, () => '?').join(''))(a)).toBe(true)
      }),
    )
  })

  test('a hostile pattern on a hostile name is answered all the same', () => {
    // A regular expression of so many .* would not end within the age of the universe.
    const pattern = `${'*a'.repeat(60)}*b`
    expect(compileGlobs(pattern)('a'.repeat(5_000))).toBe(false)
  })
})
