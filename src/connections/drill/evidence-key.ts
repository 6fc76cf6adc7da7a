import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto'
import { linkSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { RescindError } from '../../core/errors.ts'
import { makeFolder } from '../../core/folder.ts'
import { newId } from '../../store/store.ts'
import { keyIdOf } from './evidence.ts'

/** Signs the evidence of drills. */
export interface EvidenceSigner {
  readonly keyId: string
  /** 32 bytes in hex. */
  readonly publicKey: string
  /** Returns a signature in hex. */
  sign(hash: Uint8Array): string
}

/**
 * Opens the key that signs evidence: a file of mode 0600, made at first use.
 *
 * @throws RescindError `key_invalid`, `store_unwritable`
 */
export function openEvidenceKey(path: string): EvidenceSigner {
  return signerOf(readKey(path) ?? makeKey(path))
}

/** Returns the signer of an Ed25519 key. */
export function signerOf(key: KeyObject): EvidenceSigner {
  const der = createPublicKey(key).export({ format: 'der', type: 'spki' })
  const publicKey = der.subarray(-32).toString('hex')
  return {
    keyId: keyIdOf(publicKey),
    publicKey,
    sign: (hash) => sign(null, hash, key).toString('hex'),
  }
}

/** Returns the key's id where there is a key already; undefined elsewhere. */
export function evidenceKeyId(path: string): string | undefined {
  const key = readKey(path)
  return key === undefined ? undefined : signerOf(key).keyId
}

function readKey(path: string): KeyObject | undefined {
  try {
    if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
      throw new RescindError(
        'key_invalid',
        `The key file ${path} can be read by others. Run: chmod 600 ${path}`,
      )
    }
    return createPrivateKey(readFileSync(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    if (error instanceof RescindError) throw error
    const message = `The key file ${path} is not a private key. Move it away, and a new one is made.`
    throw new RescindError('key_invalid', message, { cause: error })
  }
}

/** Two first uses at once make one key: a whole file is linked in place, and the loser reads it. */
function makeKey(path: string): KeyObject {
  const { privateKey } = generateKeyPairSync('ed25519')
  const draft = `${path}.${newId('new')}`
  try {
    makeFolder(dirname(path))
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' })
    writeFileSync(draft, pem, { mode: 0o600, flag: 'wx', flush: true })
    linkSync(draft, path)
    return privateKey
  } catch (error) {
    const existing = (error as NodeJS.ErrnoException).code === 'EEXIST' && readKey(path)
    if (existing) return existing
    const message = `The key file ${path} cannot be written. Check the folder and its permissions.`
    throw new RescindError('store_unwritable', message, { cause: error })
  } finally {
    rmSync(draft, { force: true })
  }
}
