import type { TokenRow } from '../store/authority/contract.ts'

const ID_DIGITS = 12
const HASH_DIGITS = 12
const FINGERPRINT = /^fp_([0-9a-f]{12})([0-9a-f]{12})$/

/** Returns the name of a token that is safe to store and print: its row's id and a part of its keyed hash. */
export function fingerprintOf({ id, hash }: Pick<TokenRow, 'id' | 'hash'>): string {
  const digits = Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('hex')
  return `fp_${id.toString(16).padStart(ID_DIGITS, '0')}${digits.slice(0, HASH_DIGITS)}`
}

/** Returns the row's id that a fingerprint names, or null when it is none. */
export function idOfFingerprint(fingerprint: string): number | null {
  const id = FINGERPRINT.exec(fingerprint)?.[1]
  return id === undefined ? null : Number.parseInt(id, 16)
}
