import { expect, test } from 'vitest'
import { checkNames, isPrintable } from '../../src/connections/names.ts'

/** Unicode Standard Annex 9, section 2: what reorders the text around it. */
const BIDI = [0x061c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e]
const ISOLATES = [0x2066, 0x2067, 0x2068, 0x2069]

test.each([
  ...[...BIDI, ...ISOLATES].map((code) => [code, false] as const),
  ...([0x0a, 0x1b, 0x85] as const).map((code) => [code, false] as const),
  // Joiners are part of names: Persian, Hindi, emoji.
  ...([0x200c, 0x200d] as const).map((code) => [code, true] as const),
])('an owner with the character %i is taken: %s', (code, isTaken) => {
  const owner = `acme${String.fromCodePoint(code)}moc`
  expect(isPrintable(owner)).toBe(isTaken)
  const check = () => checkNames({ owner, tags: [] })
  if (isTaken) expect(check).not.toThrow()
  else expect(check).toThrow('The owner holds what cannot be printed.')
})

test('a word written from right to left needs none of them', () => {
  expect(isPrintable('שלום בע״מ (Acme)')).toBe(true)
})

test.each(['a\u202eb', 'a\u200db'])('a tag has none of them: %#', (tag) => {
  expect(() => checkNames({ owner: 'acme', tags: [tag] })).toThrow(/^A tag has 1 to 64 letters/)
})
