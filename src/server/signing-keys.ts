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
/** Another process's new key is seen after so long, and at once where its `kid` is asked for. */
const REREAD_MS = 60_000
const PLACE = { tenant: 'authority', column: 'note.signing_keys' }

/** RFC 9068 section 2.1 wants RS256 of everybody; ES256 is five times as fast. */
export type SigningAlg = 'RS256' | 'ES256' | 'EdDSA'

interface StoredKey {
  readonly kid: string
  readonly alg: SigningAlg
  readonly createdAt: number
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
}

/** Opens the signing keys of a store, and makes the first one when it is wanted. Private halves are sealed. */
export function createSigningKeys({
  store,
  sealer,
  alg,
  now,
}: {
  readonly store: AuthorityStore
  readonly sealer: Sealer
  readonly alg: SigningAlg
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
    const made = [await makeKey(alg, now())]
    const value = sealKeys(sealer, made)
    // Another process may have made the first key meanwhile: then it is that one.
    await store.commit({ type: 'put_note', key: NOTE, value, expected: null })
    return read()
  }
  return {
    async current() {
      const newest = (await ensure()).at(-1) as StoredKey
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
      return { keys: (await ensure()).map(({ publicJwk }) => publicJwk) }
    },
  }
}

async function makeKey(alg: SigningAlg, now: number): Promise<StoredKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const kid = crypto.randomUUID()
  const publicJwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }
  return { kid, alg, createdAt: now, privateJwk: await exportJWK(privateKey), publicJwk }
}

function sealKeys(sealer: Sealer, keys: readonly StoredKey[]): string {
  return Buffer.from(sealer.seal(new Secret(JSON.stringify(keys)), PLACE)).toString('base64')
}

function openKeys(sealer: Sealer, value: string): readonly StoredKey[] {
  const text = sealer.open(Buffer.from(value, 'base64'), PLACE).reveal()
  return JSON.parse(text) as StoredKey[]
}
