import { format, inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { fingerprinter, redact, Secret } from '../../src/core/secret.ts'

const VALUE = '00D000000000001!AQ.an/access+token"with~all\\kinds of=characters'
const secret = new Secret(VALUE)
const holder = { name: 'x', token: secret, list: [secret], map: new Map([['a', secret]]) }

const printings: [string, () => string][] = [
  ['String()', () => String(secret)],
  ['a template', () => `${secret}`],
  ['concatenation', () => `${'' as unknown}${secret}`],
  ['JSON', () => JSON.stringify(holder)],
  ['inspect', () => inspect(holder, { depth: 9 })],
  ['inspect with hidden properties', () => inspect(holder, { depth: 9, showHidden: true })],
  [
    'inspect without custom inspection',
    () => inspect(secret, { customInspect: false, showHidden: true }),
  ],
  ['%s', () => format('%s', secret)],
  ['%o', () => format('%o', secret)],
  ['%O', () => format('%O', holder)],
  ['%j', () => format('%j', holder)],
  ['%d', () => format('%d', secret)],
  ['an error message', () => inspect(new Error(`bad ${secret}`, { cause: secret }))],
  ['its keys', () => Reflect.ownKeys(secret).map(String).join()],
  ['a spread', () => JSON.stringify({ ...secret })],
  ['a clone', () => inspect(structuredClone({ token: secret }))],
  ['a URL', () => new URLSearchParams({ token: secret as never }).toString()],
]

describe('a Secret printed in every way gives no part of its value', () => {
  test.for(printings)('%s', ([, print]) => {
    const text = print()
    for (const part of ['AQ.an', 'access+token', 'all\\kinds', 'characters']) {
      expect(text).not.toContain(part)
    }
  })

  test('two secrets of one value print alike within a process, and others do not', () => {
    expect(String(new Secret(VALUE))).toBe(String(secret))
    expect(String(new Secret('other'))).not.toBe(String(secret))
  })
})

describe('a fingerprint', () => {
  const key = new Uint8Array(32).fill(1)
  test('depends on the key and the value, and on nothing else', () => {
    const one = fingerprinter(key)(secret)
    expect(one).toMatch(/^fp_[0-9a-f]{24}$/)
    expect(fingerprinter(key)(new Secret(VALUE))).toBe(one)
    expect(fingerprinter(new Uint8Array(32).fill(2))(secret)).not.toBe(one)
    expect(fingerprinter(key)(new Secret(`${VALUE}x`))).not.toBe(one)
  })
})

describe('redact', () => {
  const forms: [string, string][] = [
    ['as it is', `token ${VALUE} is bad`],
    ['in a URL', `GET /x?y=${encodeURIComponent(VALUE)}&z=1`],
    ['in a form', new URLSearchParams({ y: VALUE }).toString()],
    ['in JSON', JSON.stringify({ y: VALUE })],
    ['in HTTP Basic', `x ${Buffer.from(VALUE).toString('base64')} y`],
  ]
  test.for(forms)('takes out a known secret %s', ([, text]) => {
    const clean = redact(text, secret)
    expect(clean).not.toContain('AQ')
    expect(clean).not.toContain('characters')
    expect(clean).not.toContain(Buffer.from(VALUE).toString('base64'))
  })

  const shapes: [string, string, string][] = [
    ['a session id', 'sid 00D000000000062!AQcAQH0dMHEXAMPLE.abc_d end', 'AQcAQH'],
    ['an encoded session id', 'sid 00D000000000062%21AQcAQH0dMHEXAMPLE end', 'AQcAQH'],
    [
      'a refresh token',
      'r 5Aep861KIwKdekr90I4iHdtDgWwRoG7O_6uHrgJ.yVtMS0UaGxRqE6WFM77W end',
      '861KIw',
    ],
    ['a JWT', 'j eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln end', 'eyJpc3M'],
    ['a bearer header', 'Authorization: Bearer abcdefghijkl', 'abcdefghijkl'],
    ['a form field', 'grant_type=x&client_secret=hunter22&y=1', 'hunter22'],
  ]
  test.for(shapes)('takes out %s that it was not told of', ([, text, part]) => {
    expect(redact(text)).not.toContain(part)
    expect(redact(text)).toContain('[redacted]')
  })

  test('leaves a plain sentence as it is', () => {
    expect(redact('The code is wrong: invalid_grant, expired access/refresh token.')).toBe(
      'The code is wrong: invalid_grant, expired access/refresh token.',
    )
  })
})
