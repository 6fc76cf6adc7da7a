import {
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JSONWebKeySet,
  type JWK,
} from 'jose'
import { Secret } from '../core/secret.ts'
import type { AuthorityStore } from '../store/authority/contract.ts'
import type { Sealer } from '../store/sealing.ts'

/** Where the keys stand in the store. */
const NOTE = 'signing_keys'
/** Another process's new key is seen after so long. */
const REREAD_MS = 60_000
/**
 * From when a new key is published to when it signs: by then every process has read it, and so has
 * everybody who keeps `/jwks` for the five minutes that it allows.
 */
const PUBLISHED_BEFORE_MS = 2 * REREAD_MS + 300_000
/** Rotations at once that another process may win. */
const TRIES_MAX = 5
const PLACE = { tenant: 'authority', column: 'note.signing_keys' }

/** RFC 9068 section 2.1 wants RS256 of everybody; ES256 is five times as fast. */
export type SigningAlg = 'RS256' | 'ES256' | 'EdDSA'

interface StoredKey {
  readonly kid: string
  readonly alg: SigningAlg
  readonly createdAt: number
  /** From when on it signs, in milliseconds; until the next one does. */
  readonly signsFrom: number
  /** When all that it signed is dead; null while it signs, or will. */
  readonly keepUntil: number | null
  readonly privateJwk: JWK
  readonly publicJwk: JWK
}

export interface SigningKey {
  readonly kid: string
  readonly alg: SigningAlg
  readonly privateKey: CryptoKey | Uint8Array
}

/** The keys that sign, and those that signed what still lives. */
export interface SigningKeys {
  current(): Promise<SigningKey>
  /** The public halves, as `/jwks` shows them. */
  published(): Promise<JSONWebKeySet>
  /**
   * Makes a new key. It is published at once and signs some minutes later, when every process and
   * every resource server can know it; the old one stays published for as long as what it signed lives.
   */
  rotate(): Promise<RotatedKey>
}

export interface RotatedKey {
  readonly kid: string
  readonly signsFrom: Date
}

/** Opens the signing keys of a store, and makes the first one when it is wanted. Private halves are sealed. */
export function createSigningKeys({
  store,
  sealer,
  alg,
  tokenLifetimeS,
  now,
}: {
  readonly store: AuthorityStore
  readonly sealer: Sealer
  readonly alg: SigningAlg
  /** How long a token that was just signed lives, in seconds. */
  readonly tokenLifetimeS: number
  readonly now: () => number
}): SigningKeys {
  let cached: { readAt: number; keys: readonly StoredKey[] } | undefined
  let signing: Promise<SigningKey> | undefined
  let signingKid = ''
  const read = async (): Promise<readonly StoredKey[]> => {
    if (cached && now() - cached.readAt < REREAD_MS) return cached.keys
    const note = await store.readNote(NOTE)
    const keys = note ? openKeys(sealer, note.value) : []
    if (keys.length > 0) cached = { readAt: now(), keys }
    return keys
  }
  const ensure = async (): Promise<readonly StoredKey[]> => {
    const keys = await read()
    if (keys.length > 0) return keys
    const made = [await makeKey(alg, now(), now())]
    const value = sealKeys(sealer, made)
    // Another process may have made the first key meanwhile: then it is that one.
    await store.commit({ type: 'put_note', key: NOTE, value, expected: null, events: [] })
    return read()
  }
  return {
    async current() {
      const keys = await ensure()
      // The first key of all signs from when it was made: there is always one.
      const newest = keys.findLast(({ signsFrom }) => signsFrom <= now()) ?? (keys[0] as StoredKey)
      if (signing === undefined || signingKid !== newest.kid) {
        signingKid = newest.kid
        signing = importJWK(newest.privateJwk, newest.alg).then((privateKey) => ({
          kid: newest.kid,
          alg: newest.alg,
          privateKey,
        }))
      }
      return signing
    },
    async published() {
      const keys = (await ensure()).filter((key) => isNeeded(key, now()))
      return { keys: keys.map(({ publicJwk }) => publicJwk) }
    },
    async rotate() {
      for (let tries = 1; ; tries += 1) {
        await ensure()
        const note = await store.readNote(NOTE)
        const known = note ? openKeys(sealer, note.value) : []
        const signsFrom = now() + PUBLISHED_BEFORE_MS
        const made = await makeKey(alg, now(), signsFrom)
        const keepUntil = signsFrom + REREAD_MS + tokenLifetimeS * 1000
        const kept = known
          .filter((key) => isNeeded(key, now()))
          .map((key) => ({ ...key, keepUntil: key.keepUntil ?? keepUntil }))
        const value = sealKeys(sealer, [...kept, made])
        const change = { type: 'put_note', key: NOTE, value, events: [] } as const
        cached = undefined
        if ((await store.commit({ ...change, expected: note?.version ?? null })) === 'done') {
          return { kid: made.kid, signsFrom: new Date(signsFrom) }
        }
        if (tries >= TRIES_MAX) throw new Error('Others rotate the signing keys without end.')
      }
    },
  }
}

function isNeeded({ keepUntil }: StoredKey, now: number): boolean {
  return (keepUntil ?? Infinity) > now
}

async function makeKey(alg: SigningAlg, createdAt: number, signsFrom: number): Promise<StoredKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const kid = crypto.randomUUID()
  const publicJwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }
  const privateJwk = await exportJWK(privateKey)
  return { kid, alg, createdAt, signsFrom, keepUntil: null, privateJwk, publicJwk }
}

function sealKeys(sealer: Sealer, keys: readonly StoredKey[]): string {
  return Buffer.from(sealer.seal(new Secret(JSON.stringify(keys)), PLACE)).toString('base64')
}

function openKeys(sealer: Sealer, value: string): readonly StoredKey[] {
  const text = sealer.open(Buffer.from(value, 'base64'), PLACE).reveal()
  return JSON.parse(text) as StoredKey[]
}
