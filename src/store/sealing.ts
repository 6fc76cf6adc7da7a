import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  hkdfSync,
  randomFillSync,
} from 'node:crypto'
import { RescindError } from '../core/errors.ts'
import { Secret } from '../core/secret.ts'

/** Format of a sealed value: version (1 byte), key id (4), nonce (12), ciphertext, tag (16). */
const VERSION = 1
const KEY_ID_BYTES = 4
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HEADER_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES

/** Random bytes are drawn for many nonces at once: one system call a nonce would halve the speed. */
const POOL_BYTES = NONCE_BYTES * 1024

/** Where a sealed value stands; it opens nowhere else. */
export interface Place {
  readonly tenant: string
  /** `table.column` */
  readonly column: string
  /** The row, where a value must not open in another one of its tenant. */
  readonly row?: string | undefined
}

export interface Sealer {
  seal(secret: Secret, place: Place): Uint8Array
  /** @throws RescindError `store_unsealable` when the key is another, or the bytes were altered */
  open(sealed: Uint8Array, place: Place): Secret
  readonly keyId: string
}

/**
 * Returns the sealer of a store's key: AES-256-GCM with a random nonce, the key's id in each
 * ciphertext, and tenant and column as associated data.
 *
 * @param key 32 bytes
 */
export function createSealer(key: Uint8Array): Sealer {
  const bytes = Buffer.from(hkdfSync('sha256', key, '', 'rescind seal v1', 32))
  const id = createHash('sha256').update(bytes).digest().subarray(0, KEY_ID_BYTES)
  // Raw bytes would be imported again for every value, which takes longer than sealing it.
  const derived = createSecretKey(bytes)
  const nextNonce = noncePool()
  return {
    keyId: id.toString('hex'),
    seal(secret, place) {
      const nonce = nextNonce()
      const cipher = createCipheriv('aes-256-gcm', derived, nonce)
      cipher.setAAD(associatedData(place))
      // As text: a million small buffers of a cipher's own would stay beside the heap for long.
      const body = cipher.update(secret.reveal(), 'utf8', 'latin1') + cipher.final('latin1')
      const sealed = Buffer.allocUnsafe(HEADER_BYTES + body.length + TAG_BYTES)
      sealed[0] = VERSION
      id.copy(sealed, 1)
      nonce.copy(sealed, 1 + KEY_ID_BYTES)
      sealed.write(body, HEADER_BYTES, 'latin1')
      cipher.getAuthTag().copy(sealed, HEADER_BYTES + body.length)
      return sealed
    },
    open(sealed, place) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
      if (bytes.length < HEADER_BYTES + TAG_BYTES) throw unsealable(place, 'it was cut short')
      if (bytes[0] !== VERSION || !bytes.subarray(1, 1 + KEY_ID_BYTES).equals(id)) {
        throw unsealable(place, 'it was sealed with another key')
      }
      const nonce = bytes.subarray(1 + KEY_ID_BYTES, HEADER_BYTES)
      const decipher = createDecipheriv('aes-256-gcm', derived, nonce)
      decipher.setAAD(associatedData(place))
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
      try {
        const body = decipher.update(bytes.subarray(HEADER_BYTES, -TAG_BYTES))
        return new Secret(Buffer.concat([body, decipher.final()]).toString('utf8'))
      } catch {
        throw unsealable(place, 'its bytes were altered or moved')
      }
    },
  }
}

function associatedData({ tenant, column, row }: Place): Buffer {
  const inRow = row === undefined ? '' : `\u0000${row}`
  return Buffer.from(`${column}\u0000${tenant}${inRow}`)
}

/** Returns the id of the key that a value was sealed with. */
export function sealedWith(sealed: Uint8Array): string {
  return Buffer.from(sealed.subarray(1, 1 + KEY_ID_BYTES)).toString('hex')
}

function noncePool(): () => Buffer {
  let pool = Buffer.alloc(0)
  let used = 0
  return () => {
    if (used + NONCE_BYTES > pool.length) {
      pool = randomFillSync(Buffer.alloc(POOL_BYTES))
      used = 0
    }
    used += NONCE_BYTES
    return pool.subarray(used - NONCE_BYTES, used)
  }
}

function unsealable(place: Place, reason: string): RescindError {
  return new RescindError(
    'store_unsealable',
    `A secret of tenant "${place.tenant}" (${place.column}) cannot be opened: ${reason}. Set RESCIND_KEY, or the key file, to the key that the store was made with.`,
  )
}
