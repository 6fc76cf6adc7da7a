import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import { createSealer } from '../../src/store/sealing.ts'

const key = new Uint8Array(32).fill(7)
const sealer = createSealer(key)
const place = { tenant: 'acme', column: 'token.handle' }
const unsealable = expect.objectContaining({ code: 'store_unsealable' })

describe('NIST SP 800-38D: sealed values (AES-256-GCM)', () => {
  test('open to what was sealed, whatever it holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
        expect(sealer.open(sealer.seal(new Secret(text), place), place).reveal()).toBe(text)
      }),
    )
  })

  test('never twice alike, and never with a nonce used before', () => {
    const nonces = new Set<string>()
    for (let n = 0; n < 3_000; n += 1) {
      nonces.add(Buffer.from(sealer.seal(new Secret('x'), place).subarray(5, 17)).toString('hex'))
    }
    expect(nonces.size).toBe(3_000)
  })

  test('hold nothing of the secret', () => {
    const sealed = Buffer.from(sealer.seal(new Secret('a secret of some length'), place))
    expect(sealed.toString('latin1')).not.toContain('secret')
  })

  test('do not open with one bit of any byte altered', () => {
    const sealed = sealer.seal(new Secret('hunter22'), place)
    for (let at = 0; at < sealed.length; at += 1) {
      const altered = Uint8Array.from(sealed)
      altered[at] = (altered[at] as number) ^ 1
      expect(() => sealer.open(altered, place), `byte ${at}`).toThrow(unsealable)
    }
  })

  test('do not open when cut to any length', () => {
    const sealed = sealer.seal(new Secret('hunter22'), place)
    for (let length = 0; length < sealed.length; length += 1) {
      expect(() => sealer.open(sealed.subarray(0, length), place), `${length} bytes`).toThrow(
        unsealable,
      )
    }
  })

  test.for([
    ['another tenant', { ...place, tenant: 'other' }],
    ['another column', { ...place, column: 'credential.sealed' }],
    ['a place whose names run together', { tenant: 'handle\u0000acme', column: 'token.' }],
  ] as const)('do not open in %s', ([, elsewhere]) => {
    const sealed = sealer.seal(new Secret('hunter22'), place)
    expect(() => sealer.open(sealed, elsewhere)).toThrow(unsealable)
  })

  test('do not open with another key, and say what to do', () => {
    const sealed = sealer.seal(new Secret('hunter22'), place)
    const other = createSealer(new Uint8Array(32).fill(8))
    expect(() => other.open(sealed, place)).toThrow(/another key.*RESCIND_KEY/)
  })
})
