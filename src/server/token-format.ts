import { hash, hkdfSync } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { RescindError } from '../core/errors.ts'
import type { TokenKind } from '../store/authority/contract.ts'

/**
 * A token is a prefix and 36 bytes in base64url: its row's id (6, hidden), a tag (2, hidden), a random
 * secret (24), and a checksum (4) over all before it. What hides the id comes from the keyed hash of the
 * secret: who lacks the key sees noise, and nearly every forged token fails without a look-up.
 */
const ID_BYTES = 6
const MASK_BYTES = 8
const SECRET_BYTES = 24
const CHECKED_BYTES = MASK_BYTES + SECRET_BYTES
const TOKEN_BYTES = CHECKED_BYTES + 4
const BODY = /^[\w-]{48}$/
/** 128 bits: what is kept of the keyed hash to tell a token from a forgery. */
const HASH_BYTES = 16

const KINDS = ['code', 'access', 'refresh'] as const
const LETTERS: Readonly<Record<TokenKind, string>> = { code: 'ac', access: 'at', refresh: 'rt' }

/** What tokens begin with when nobody says otherwise. */
export const TOKEN_BRAND = 'rsc'

/** A token as its text tells it, before any look-up. */
export interface ParsedToken {
  readonly kind: TokenKind
  readonly id: number
  readonly hash: Uint8Array
  readonly secret: Uint8Array
}

/** Makes and reads the texts of tokens under one key. */
export interface TokenFormat {
  /**
   * Returns the keyed hash of a secret, and the text that goes out.
   *
   * @throws RescindError `usage` for a secret that has not 24 bytes
   */
  write(kind: TokenKind, id: number, secret: Uint8Array): { text: string; hash: Uint8Array }
  /** Returns null for a text that no token of ours has; costs no look-up. */
  read(text: string): ParsedToken | null
  /** The secret of the token that a spent one is changed into: the same at every honest retry. */
  childSecret(parent: Uint8Array, kind: TokenKind): Uint8Array
  /** The body of a token without its prefix, as a JWT's `jti` bears it. */
  bodyOf(text: string): string
  readBody(kind: TokenKind, body: string): ParsedToken | null
}

/**
 * Returns the token format of an authority.
 *
 * @param key 32 bytes
 * @param brand what every token begins with, for scanners of leaked secrets
 */
export function createTokenFormat(key: Uint8Array, brand = TOKEN_BRAND): TokenFormat {
  const prefixes = KINDS.map((kind) => [kind, `${brand}_${LETTERS[kind]}_`] as const)
  const prefixOf = Object.fromEntries(prefixes) as Record<TokenKind, string>
  const seeds = new Map(KINDS.map((kind) => [kind, crc32(prefixOf[kind])]))
  const hashes = keyedHashes(key, 'rescind token hash v1')
  const childHashes = keyedHashes(key, 'rescind token child v1')
  // One for all: nothing of it is handed out.
  const bytes = Buffer.alloc(TOKEN_BYTES)
  const checkedBytes = bytes.subarray(0, CHECKED_BYTES)

  const readBody = (kind: TokenKind, body: string): ParsedToken | null => {
    if (!BODY.test(body)) return null
    bytes.write(body, 'base64url')
    const sum = crc32(checkedBytes, seeds.get(kind))
    if (bytes.readUInt32BE(CHECKED_BYTES) !== sum) return null
    const secret = Buffer.allocUnsafe(SECRET_BYTES)
    bytes.copy(secret, 0, MASK_BYTES, CHECKED_BYTES)
    const digest = hashes[kind](secret)
    const id = bytes.readUIntBE(0, ID_BYTES)
    const unmasked = maskedId(id, digest)
    const tag = bytes.readUInt16BE(ID_BYTES) ^ digest.readUInt16BE(HASH_BYTES + ID_BYTES)
    return tag === 0 ? { kind, id: unmasked, hash: digest.subarray(0, HASH_BYTES), secret } : null
  }
  return {
    write(kind, id, secret) {
      const digest = hashes[kind](secret)
      bytes.writeUIntBE(maskedId(id, digest), 0, ID_BYTES)
      digest.copy(bytes, ID_BYTES, HASH_BYTES + ID_BYTES, HASH_BYTES + MASK_BYTES)
      bytes.set(secret, MASK_BYTES)
      bytes.writeUInt32BE(crc32(checkedBytes, seeds.get(kind)), CHECKED_BYTES)
      const text = prefixOf[kind] + bytes.toString('base64url')
      return { text, hash: digest.subarray(0, HASH_BYTES) }
    },
    read(text) {
      const found = prefixes.find(([, prefix]) => text.startsWith(prefix))
      return found ? readBody(found[0], text.slice(found[1].length)) : null
    },
    childSecret: (parent, kind) => childHashes[kind](parent).subarray(0, SECRET_BYTES),
    bodyOf: (text) => text.slice(-48),
    readBody,
  }
}

/** How many random bytes a token's secret has. */
export const TOKEN_SECRET_BYTES = SECRET_BYTES

/** Hides an id, or shows it again: bitwise arithmetic is 32 bits wide, so by halves. */
function maskedId(id: number, digest: Buffer): number {
  const high = Math.floor(id / 0x1_0000_0000) ^ digest.readUInt16BE(HASH_BYTES)
  const low = ((id >>> 0) ^ digest.readUInt32BE(HASH_BYTES + 2)) >>> 0
  return high * 0x1_0000_0000 + low
}

type KeyedHash = (secret: Uint8Array) => Buffer

/** Key and message have fixed lengths, so that a plain hash of both cannot be extended. */
function keyedHash(key: Uint8Array): KeyedHash {
  const input = Buffer.alloc(key.length + SECRET_BYTES)
  input.set(key, 0)
  return (secret) => {
    if (secret.length !== SECRET_BYTES) throw secretTooOdd(secret.length)
    input.set(secret, key.length)
    // By way of text: a buffer that the hash makes itself is memory of its own, which costs as much again.
    return Buffer.from(hash('sha256', input, 'binary'), 'binary')
  }
}

function secretTooOdd(length: number): RescindError {
  return new RescindError(
    'usage',
    `The secret of a token has ${length} bytes. Give ${SECRET_BYTES} random ones.`,
  )
}

function keyedHashes(key: Uint8Array, purpose: string): Record<TokenKind, KeyedHash> {
  const hashFor = (kind: TokenKind) =>
    keyedHash(new Uint8Array(hkdfSync('sha256', key, '', `${purpose} ${kind}`, 32)))
  return { code: hashFor('code'), access: hashFor('access'), refresh: hashFor('refresh') }
}
