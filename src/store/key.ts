import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { RescindError } from '../core/errors.ts'

const KEY_BYTES = 32

/**
 * Returns the store's key: `RESCIND_KEY` (64 hex digits, or base64 of 32 bytes) when it is set,
 * else the key file, which is made at first use with mode 0600.
 *
 * @throws RescindError `key_invalid`, `store_unwritable`
 */
export function loadKey(path: string, fromEnvironment: string | undefined): Uint8Array {
  if (fromEnvironment !== undefined && fromEnvironment !== '') {
    return parseKey(fromEnvironment, 'RESCIND_KEY')
  }
  return readKeyFile(path) ?? makeKeyFile(path)
}

function readKeyFile(path: string): Uint8Array | undefined {
  let text: string
  try {
    if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
      throw new RescindError(
        'key_invalid',
        `The key file ${path} can be read by others. Run: chmod 600 ${path}`,
      )
    }
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    if (error instanceof RescindError) throw error
    throw new RescindError('key_invalid', `The key file ${path} cannot be read.`, { cause: error })
  }
  return parseKey(text, `The key file ${path}`)
}

/** Two first uses at once make one key: a whole file is linked in place, and the loser reads it. */
function makeKeyFile(path: string): Uint8Array {
  const key = randomBytes(KEY_BYTES)
  const draft = `${path}.${process.pid}`
  try {
    const file = openSync(draft, 'wx', 0o600)
    writeSync(file, `${key.toString('base64')}\n`)
    fsyncSync(file)
    closeSync(file)
    try {
      linkSync(draft, path)
    } finally {
      unlinkSync(draft)
    }
    return key
  } catch (error) {
    const existing = (error as NodeJS.ErrnoException).code === 'EEXIST' && readKeyFile(path)
    if (existing) return existing
    throw new RescindError(
      'store_unwritable',
      `The key file ${path} cannot be written. Check the folder and its permissions, or set RESCIND_KEY.`,
      { cause: error },
    )
  }
}

function parseKey(text: string, name: string): Uint8Array {
  const trimmed = text.trim()
  const key = /^[0-9a-f]{64}$/i.test(trimmed)
    ? Buffer.from(trimmed, 'hex')
    : Buffer.from(trimmed, 'base64')
  if (key.length !== KEY_BYTES) {
    throw new RescindError(
      'key_invalid',
      `${name} is not a key of 32 bytes. Make one with: openssl rand -base64 32`,
    )
  }
  return key
}
