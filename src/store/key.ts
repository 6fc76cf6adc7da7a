import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { RescindError } from '../core/errors.ts'

const KEY_BYTES = 32
/** Base64 of 32 bytes, in either alphabet. Node's decoder skips what it does not know, and so would take a slip of the keyboard for another key. */
const BASE64_KEY = /^[A-Za-z0-9+/_-]{43}=?$/

/**
 * Returns the store's key: `RESCIND_KEY` (64 hex digits, or base64 of 32 bytes) when it is set,
 * else the key file, which is made at first use with mode 0600.
 *
 * @throws RescindError `key_invalid`, `store_unwritable`
 */
export function loadKey(path: string, fromEnvironment: string | undefined): Uint8Array {
  return findKey(path, fromEnvironment) ?? makeKeyFile(path)
}

/** Returns the store's key where there is one, and makes none. @throws RescindError `key_invalid` */
export function findKey(path: string, fromEnvironment: string | undefined): Uint8Array | undefined {
  if (fromEnvironment) return parseKey(fromEnvironment, 'RESCIND_KEY')
  return readKeyFile(path)
}

/** Reads a key file; undefined where there is none. @throws RescindError `key_invalid` */
export function readKeyFile(path: string): Uint8Array | undefined {
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

/** Writes a new random key to a file that is not there yet, durably. @throws RescindError `store_unwritable` */
export function writeKeyFile(path: string): void {
  try {
    writeDurably(path, `${randomBytes(KEY_BYTES).toString('base64')}\n`)
  } catch (error) {
    throw unwritable(path, error)
  }
}

/** Two first uses at once make one key: a whole file is linked in place, and the loser reads it. */
function makeKeyFile(path: string): Uint8Array {
  const key = randomBytes(KEY_BYTES)
  // Not the process id: in a container it is the same at every start, and a crash leaves the draft.
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    writeDurably(draft, `${key.toString('base64')}\n`)
    linkSync(draft, path)
    return key
  } catch (error) {
    const existing = (error as NodeJS.ErrnoException).code === 'EEXIST' && readKeyFile(path)
    if (existing) return existing
    throw unwritable(path, error)
  } finally {
    rmSync(draft, { force: true })
  }
}

function unwritable(path: string, cause: unknown): RescindError {
  return new RescindError(
    'store_unwritable',
    `The key file ${path} cannot be written. Check the folder and its permissions, or set RESCIND_KEY.`,
    { cause },
  )
}

function writeDurably(path: string, text: string): void {
  const file = openSync(path, 'wx', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Reads a key from text. @throws RescindError `key_invalid` */
export function parseKey(text: string, name: string): Uint8Array {
  const trimmed = text.trim()
  const isHex = /^[0-9a-f]{64}$/i.test(trimmed)
  const key = Buffer.from(trimmed, isHex ? 'hex' : 'base64')
  if (!isHex && (!BASE64_KEY.test(trimmed) || key.length !== KEY_BYTES)) {
    throw new RescindError(
      'key_invalid',
      `${name} is not a key of 32 bytes. Make one with: openssl rand -base64 32`,
    )
  }
  return key
}
