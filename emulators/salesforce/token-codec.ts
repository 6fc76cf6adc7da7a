import { hashText, mix32 } from '../random.ts'

/**
 * Token values are computed from a grant's row number and the seed instead of being stored: a million
 * grants then cost no strings, and a presented value leads back to its row without a map.
 */
export type TokenKind = 'refresh' | 'delete' | 'code'

/** The row that a token value names, and which rotation of its refresh token it is. */
export interface TokenPlace {
  readonly row: number
  readonly rotation: number
}

/** Makes and reads back the token values of one org. */
export interface TokenCodec {
  encode(kind: TokenKind, row: number, rotation: number): string
  /** Gives the place of a value, or undefined where this org never made it. */
  decode(kind: TokenKind, value: string): TokenPlace | undefined
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._'
/** Two characters for each of 12 bits, so that a value is built from few pieces. */
const PAIRS = Array.from({ length: 4096 }, (_, n) => ALPHABET[n >> 6]! + ALPHABET[n & 63]!)
const PAIR_VALUE = new Map(PAIRS.map((pair, value) => [pair, value]))
const HEAD: Readonly<Record<TokenKind, string>> = {
  refresh: '5Aep861r',
  delete: '5Aep861d',
  code: 'aPrx861c',
}
const HEAD_LENGTH = 8
const PLACE_LENGTH = 8
/** 18 words of 24 bits: far past guessing, and values of the length that the vendor shows. */
const TAIL_WORDS = 18
const ROUNDS = 4
const HALF_MASK = 0xffffff

/** Makes the codec of one org from its seed. */
export function createTokenCodec(seed: number): TokenCodec {
  const keys = Object.fromEntries(
    (Object.keys(HEAD) as TokenKind[]).map((kind) => [kind, hashText(`${seed}:${kind}`)]),
  ) as Record<TokenKind, number>
  const encode = (kind: TokenKind, row: number, rotation: number): string =>
    HEAD[kind] + placeText(keys[kind], row, rotation) + tailText(keys[kind], row, rotation)
  return {
    encode,
    decode: (kind, value) => {
      if (!value.startsWith(HEAD[kind])) return undefined
      const place = readPlace(keys[kind], value)
      if (place === undefined) return undefined
      return encode(kind, place.row, place.rotation) === value ? place : undefined
    },
  }
}

/** Makes a value that leads nowhere by itself (a session's access token, a client secret). */
export function randomText(key: number, ordinal: number, length: number): string {
  let text = ''
  for (let word = 0; text.length < length; word += 1) text += wordText(key, ordinal, 0, word)
  return text.slice(0, length).replaceAll('.', 'x')
}

function placeText(key: number, row: number, rotation: number): string {
  let left = row & HALF_MASK
  let right = rotation & HALF_MASK
  for (let round = 0; round < ROUNDS; round += 1) {
    const mixed = left ^ (mix32(right ^ key ^ Math.imul(round + 1, 0x9e3779b9)) & HALF_MASK)
    left = right
    right = mixed
  }
  return pairs24(left) + pairs24(right)
}

function readPlace(key: number, value: string): TokenPlace | undefined {
  const at = HEAD_LENGTH
  let left = read24(value.slice(at, at + 4))
  let right = read24(value.slice(at + 4, at + PLACE_LENGTH))
  if (left < 0 || right < 0) return undefined
  for (let round = ROUNDS - 1; round >= 0; round -= 1) {
    const mixed = right ^ (mix32(left ^ key ^ Math.imul(round + 1, 0x9e3779b9)) & HALF_MASK)
    right = left
    left = mixed
  }
  return { row: left, rotation: right }
}

function tailText(key: number, row: number, rotation: number): string {
  let text = ''
  for (let word = 0; word < TAIL_WORDS; word += 1) text += wordText(key, row, rotation, word)
  return text
}

function wordText(key: number, row: number, rotation: number, word: number): string {
  return pairs24(mix32(mix32(key ^ row) + Math.imul(word + 1, 0x85ebca6b) + rotation) >>> 8)
}

function pairs24(value: number): string {
  return PAIRS[value >>> 12]! + PAIRS[value & 0xfff]!
}

function read24(text: string): number {
  const high = PAIR_VALUE.get(text.slice(0, 2)) ?? -1
  const low = PAIR_VALUE.get(text.slice(2, 4)) ?? -1
  return high < 0 || low < 0 ? -1 : (high << 12) | low
}
