import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadKey } from '../../src/store/key.ts'
import { tempHome } from '../support/temp-home.ts'

const bytes = Buffer.from(Array.from({ length: 32 }, (_, at) => at * 7))
const invalid = expect.objectContaining({ code: 'key_invalid' })

describe('RESCIND_KEY', () => {
  test.for([
    ['hex', bytes.toString('hex')],
    ['capital hex', bytes.toString('hex').toUpperCase()],
    ['base64', bytes.toString('base64')],
    ['base64 without padding', bytes.toString('base64').replace('=', '')],
    ['base64 for URLs', bytes.toString('base64url')],
    ['with a line feed', `${bytes.toString('base64')}\n`],
  ] as const)('in %s', ([, text]) => {
    expect(Buffer.from(loadKey('/nowhere/key', text))).toEqual(bytes)
  })

  test.for([
    ['too short', bytes.subarray(1).toString('base64')],
    ['too long', Buffer.concat([bytes, bytes]).toString('base64')],
    ['hex with a slip', `${bytes.toString('hex').slice(0, 63)}g`],
    ['base64 with a blank in it', bytes.toString('base64').replace(/^./, ' A A')],
    ['base64 with a slip', bytes.toString('base64').replace(/^./, '#')],
    ['a passphrase', 'correct horse battery staple'],
  ] as const)('not %s', ([, text]) => {
    expect(() => loadKey('/nowhere/key', text)).toThrow(invalid)
    expect(() => loadKey('/nowhere/key', text)).not.toThrow(text)
  })
})

describe('the key file', () => {
  test('is made at first use, with mode 0600 and no draft beside it, and read ever after', () => {
    using home = tempHome()
    const path = join(home.path, 'key')
    const first = loadKey(path, undefined)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(home.path)).toEqual(['key'])
    expect(Buffer.from(loadKey(path, ''))).toEqual(Buffer.from(first))
  })

  test.for([0o644, 0o640, 0o604, 0o660])('is refused where others can read it: %o', (mode) => {
    using home = tempHome()
    const path = join(home.path, 'key')
    loadKey(path, undefined)
    chmodSync(path, mode)
    expect(() => loadKey(path, undefined)).toThrow(/can be read by others. Run: chmod 600/)
  })

  test('is made where a start was cut off before it was', () => {
    using home = tempHome()
    writeFileSync(join(home.path, `key.${process.pid}`), 'half', { mode: 0o600 })
    expect(loadKey(join(home.path, 'key'), undefined)).toHaveLength(32)
  })

  test.for(['', 'garbage\n'])('is refused when it holds "%s", and is not replaced', (text) => {
    using home = tempHome()
    const path = join(home.path, 'key')
    writeFileSync(path, text, { mode: 0o600 })
    expect(() => loadKey(path, undefined)).toThrow(invalid)
    expect(readFileSync(path, 'utf8')).toBe(text)
  })

  test('cannot be made in a folder that is not there', () => {
    expect(() => loadKey('/nowhere/at/all/key', undefined)).toThrow(
      expect.objectContaining({ code: 'store_unwritable' }),
    )
  })
})
