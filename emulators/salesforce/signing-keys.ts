import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto'

/** A key pair made when it is first asked for: most tests need none, and making one takes a while. */
export interface LazyKey {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly privateKeyPem: string
  readonly keyId: string
}

/** The keys of an org: one by which apps sign JWT bearer assertions, one by which the org signs id tokens. */
export interface SigningKeys {
  readonly assertion: () => LazyKey
  readonly idToken: () => LazyKey
}

/** Makes the keys of an org. They are not part of its seed: a key that anybody can derive signs nothing. */
export function createSigningKeys(): SigningKeys {
  return { assertion: lazily(makeKey), idToken: lazily(makeKey) }
}

function lazily<T>(make: () => T): () => T {
  let made: T | undefined
  return () => {
    made ??= make()
    return made
  }
}

function makeKey(): LazyKey {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const der = publicKey.export({ type: 'spki', format: 'der' })
  return {
    privateKey,
    publicKey,
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    keyId: createHash('sha256').update(der).digest('hex').slice(0, 16),
  }
}
