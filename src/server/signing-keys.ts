import {
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JSONWebKeySet,
  type JWK,
} from 'jose'
import { Secret } from '../core/secret.ts'
import type { AuthorityStore, NewEvent } from '../store/authority/contract.ts'
import type { Sealer } from '../store/sealing.ts'
import { type Asked, type Cause, eventOf } from './events.ts'

/** Where the keys stand in the store. */
const NOTE = 'signing_keys'
/** Clocks of processes differ by less. */
const CLOCKS_MS = 60_000
/**
 * From when a new key is published to when it signs: by then everybody has read it who keeps `/jwks` for
 * the five minutes that it allows.
 */
const PUBLISHED_BEFORE_MS = 300_000 + CLOCKS_MS
/** Rotations at once that another process may win. */
const TRIES_MAX = 5
const SYSTEM: Asked = { actor: 'system' }
const PLACE = { tenant: 'authority', column: 'note.signing_keys' }

/** RFC 9068 section 2.1 wants RS256 of everybody; ES256 is five times as fast. */
export const SIGNING_ALGS = ['RS256', 'ES256', 'EdDSA'] as const
export type SigningAlg = (typeof SIGNING_ALGS)[number]

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

/** What a key is for, without the key. */
export interface SigningKeyStatus {
  readonly kid: string
  readonly alg: SigningAlg
  /** `retired` verifies what it signed, and goes when all of that has expired. */
  readonly state: 'signs' | 'next' | 'retired'
  readonly createdAt: Date
  readonly signsFrom: Date
  readonly keptUntil: Date | null
}

/**
 * The keys that sign, and those that signed what still lives. Each look reads them from the store: a key
 * that is dropped on one process is dropped on all.
 */
export interface SigningKeys {
  current(): Promise<SigningKey>
  /** The public halves, as `/jwks` shows them: the same object while they are the same. */
  published(): Promise<JSONWebKeySet>
  /** Empty before the first JWT was signed. */
  list(): Promise<readonly SigningKeyStatus[]>
  /**
   * Makes a new key. It is published at once and signs some minutes later, when every process and
   * every resource server can know it; the old one stays published for as long as what it signed lives.
   */
  rotate(cause?: Cause, asked?: Asked): Promise<RotatedKey>
  /**
   * Drops every key at once and makes one that signs at once, for a key that was stolen. What the others
   * signed is refused from now on, on every process.
   */
  replace(cause?: Cause, asked?: Asked): Promise<RotatedKey>
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
  let cached: { version: number; keys: readonly StoredKey[] } | undefined
  let signing: Promise<SigningKey> | undefined
  let signingKid = ''
  let shown: JSONWebKeySet = { keys: [] }
  const read = async (): Promise<readonly StoredKey[]> => {
    const note = await store.readNote(NOTE)
    if (!note) return []
    if (cached?.version !== note.version) {
      cached = { version: note.version, keys: openKeys(sealer, note.value) }
    }
    return cached.keys
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
  const signer = (keys: readonly StoredKey[]): StoredKey =>
    // The first key of all signs from when it was made: there is always one.
    keys.findLast(({ signsFrom }) => signsFrom <= now()) ?? (keys[0] as StoredKey)
  /** Puts a new key after those that are kept, and tells of it. */
  const put = async (
    signsFrom: number,
    keep: (known: readonly StoredKey[]) => readonly StoredKey[],
    tell: (made: StoredKey, known: readonly StoredKey[]) => NewEvent,
  ): Promise<RotatedKey> => {
    const made = await makeKey(alg, now(), signsFrom)
    for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
      await ensure()
      const note = await store.readNote(NOTE)
      const known = note ? openKeys(sealer, note.value) : []
      const value = sealKeys(sealer, [...keep(known), made])
      const change = { type: 'put_note', key: NOTE, value, events: [tell(made, known)] } as const
      if ((await store.commit({ ...change, expected: note?.version ?? null })) === 'done') {
        return { kid: made.kid, signsFrom: new Date(signsFrom) }
      }
    }
    throw new Error('Others rotate the signing keys without end.')
  }
  return {
    async current() {
      const newest = signer(await ensure())
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
      const needed = (await ensure()).filter((key) => isNeeded(key, now()))
      const keys = needed.map(({ publicJwk }) => publicJwk)
      const isSame =
        keys.length === shown.keys.length && keys.every((key, nth) => key === shown.keys[nth])
      if (!isSame) shown = { keys }
      return shown
    },
    async list() {
      const keys = (await read()).filter((key) => isNeeded(key, now()))
      return keys.map((key) => statusOf(key, signer(keys).kid, now()))
    },
    rotate(cause = 'library', asked = SYSTEM) {
      const signsFrom = now() + PUBLISHED_BEFORE_MS
      const keepUntil = signsFrom + CLOCKS_MS + tokenLifetimeS * 1000
      const keep = (known: readonly StoredKey[]) =>
        known
          .filter((key) => isNeeded(key, now()))
          .map((key) => ({ ...key, keepUntil: key.keepUntil ?? keepUntil }))
      return put(signsFrom, keep, ({ kid }) => {
        const detail = { kid, signsFrom: new Date(signsFrom).toISOString() }
        return eventOf({ at: now(), type: 'key.rotated', cause, ...asked, detail })
      })
    },
    replace(cause = 'library', asked = SYSTEM) {
      return put(
        now(),
        () => [],
        ({ kid }, known) => {
          const detail = { kid, dropped: known.map((key) => key.kid) }
          return eventOf({ at: now(), type: 'key.replaced', cause, ...asked, detail })
        },
      )
    },
  }
}

function statusOf(key: StoredKey, signing: string, now: number): SigningKeyStatus {
  const { kid, alg, createdAt, signsFrom, keepUntil } = key
  const waits = signsFrom > now ? 'next' : 'retired'
  return {
    ...{ kid, alg, state: kid === signing ? 'signs' : waits },
    createdAt: new Date(createdAt),
    signsFrom: new Date(signsFrom),
    keptUntil: keepUntil === null ? null : new Date(keepUntil),
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
