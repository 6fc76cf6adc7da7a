import { describe, expect, test } from 'vitest'
import { createTokenFormat } from '../../src/server/token-format.ts'

const KEY = new Uint8Array(32).fill(7)
const SECRET = Uint8Array.from({ length: 24 }, (_, index) => index * 11)
const ID = 0x1234_5678_9abc
/** What is out there, and stored: another text, hash or child under the same key would end every token. */
const KNOWN = [
  {
    kind: 'code',
    text: 'rsc_ac_jxYaGzWVkfgACxYhLDdCTVhjbnmEj5qlsLvG0dzn8v1nKtLy',
    hash: '21a5930620b6d08f1f0880b260112edb',
    child: '380040f5bdf2dbaeb2123c7019238408032d70e7eaa261f9',
  },
  {
    kind: 'access',
    text: 'rsc_at_NNRCaYVzuDYACxYhLDdCTVhjbnmEj5qlsLvG0dzn8v1BH7cW',
    hash: '50f43e8f20c6543cb5ad2c2a8c3938c7',
    child: 'c31961e053e938f2d935efcfaa8f12ba2ec46c1df18e21a3',
  },
  {
    kind: 'refresh',
    text: 'rsc_rt_XaKZOSVxpQwACxYhLDdCTVhjbnmEj5qlsLvG0dzn8v2aam78',
    hash: '09d9efbb16174e30793ccb3f36cc8ffa',
    child: '515dbd08f8e1dee91a3d330c2e034ba3f9c703c6934f1df2',
  },
] as const

const hex = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('hex')

describe('the format of tokens', () => {
  test.each(KNOWN)('a $kind has the text, the hash and the child that it always had', (known) => {
    const format = createTokenFormat(KEY)
    const { text, hash } = format.write(known.kind, ID, SECRET)
    expect([text, hex(hash)]).toEqual([known.text, known.hash])
    expect(hex(format.childSecret(SECRET, known.kind))).toBe(known.child)
    const read = format.read(text)
    expect([read?.kind, read?.id, hex(read?.hash), hex(read?.secret)]).toEqual([
      ...[known.kind, ID, known.hash, hex(SECRET)],
    ])
  })

  test('what was read stays as it was when others are read and written', () => {
    const format = createTokenFormat(KEY)
    const [first, second] = KNOWN.map(({ text }) => format.read(text))
    format.write('access', 5, new Uint8Array(24).fill(9))
    expect([hex(first?.secret), hex(first?.hash)]).toEqual([hex(SECRET), KNOWN[0].hash])
    expect([hex(second?.secret), hex(second?.hash)]).toEqual([hex(SECRET), KNOWN[1].hash])
  })

  test.each([
    ['no body', 'rsc_at_'],
    ['a body cut short', KNOWN[1].text.slice(0, -1)],
    ['a body too long', `${KNOWN[1].text}A`],
    ['another prefix', KNOWN[1].text.replace('at', 'rt')],
    ['another letter', KNOWN[1].text.replace('NN', 'NM')],
    ['a letter of the other alphabet', KNOWN[1].text.replace('NN', 'N+')],
  ])('%s is no token, also right after one that is', (_, text) => {
    const format = createTokenFormat(KEY)
    expect(format.read(KNOWN[1].text)?.id).toBe(ID)
    expect(format.read(text)).toBeNull()
  })

  test.each([0, 8, 23, 25, 32])('a secret of %i bytes is refused', (length) => {
    const format = createTokenFormat(KEY)
    const refusal = `The secret of a token has ${length} bytes. Give 24 random ones.`
    expect(() => format.write('access', 1, new Uint8Array(length))).toThrow(refusal)
    expect(() => format.childSecret(new Uint8Array(length), 'refresh')).toThrow(refusal)
  })
})
