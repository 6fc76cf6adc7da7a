import { existsSync, linkSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { RescindError } from '../core/errors.ts'
import { parseKey, readKeyFile, writeKeyFile } from './key.ts'
import { createSealer, type Place, type Sealer, sealedWith } from './sealing.ts'

/** The key that seals once it was rotated; before, the store's own key does. */
const FILE = 'vault.key'
const PREVIOUS = 'vault.key.previous'

/** Where the keys that open sealed values come from. */
export interface KeyPlace {
  /** The folder of the key files. */
  readonly home: string
  /** The store's key; it makes the fingerprints too, and so it never changes. */
  readonly key: Uint8Array
  /** The values of RESCIND_VAULT_KEY and RESCIND_VAULT_KEY_PREVIOUS, instead of the files. */
  readonly given?: { readonly current?: string | undefined; readonly previous?: string | undefined }
}

/** A sealer that opens with every key it knows, and seals with one. */
export interface Keyring extends Sealer {
  /** Seals with this key from now on, looking for it where keys are kept. @throws RescindError `store_unsealable` */
  use(keyId: string): void
  /** The id of the newest key that there is: what a rotation goes to. */
  newest(): string
  /** Makes a new key beside the one in use, which stays readable. @throws RescindError `usage` where the keys are given */
  makeNext(): void
  /** Forgets the key before the one in use. Only when nothing is sealed with it any more. */
  dropPrevious(): void
}

/** Opens the keys of a store. @throws RescindError `key_invalid` */
export function openKeyring(place: KeyPlace): Keyring {
  const paths = { current: join(place.home, FILE), previous: join(place.home, PREVIOUS) }
  let known = load(place, paths)
  let active = [...known.values()].at(-1) as Sealer
  const find = (id: string): Sealer | undefined => {
    if (!known.has(id)) known = load(place, paths)
    return known.get(id)
  }
  return {
    get keyId() {
      return active.keyId
    },
    seal: (secret, at) => active.seal(secret, at),
    open(sealed, at) {
      const sealer = find(sealedWith(sealed))
      return (sealer ?? active).open(sealed, at)
    },
    use(id) {
      const sealer = id === active.keyId ? active : find(id)
      if (!sealer) throw otherKey()
      active = sealer
    },
    newest() {
      known = load(place, paths)
      return [...known.keys()][0] as string
    },
    makeNext() {
      if (place.given?.current || place.given?.previous) throw keysAreGiven()
      if (existsSync(paths.current)) {
        rmSync(paths.previous, { force: true })
        linkSync(paths.current, paths.previous)
      }
      const draft = `${paths.current}.next`
      rmSync(draft, { force: true })
      writeKeyFile(draft)
      renameSync(draft, paths.current)
      known = load(place, paths)
    },
    dropPrevious: () => rmSync(paths.previous, { force: true }),
  }
}

/** The keys by their ids, the newest first. */
function load({ key, given }: KeyPlace, paths: Record<'current' | 'previous', string>) {
  const keys = (['current', 'previous'] as const).map((which) => {
    const text = given?.[which]
    if (text) return parseKey(text, `RESCIND_VAULT_KEY${which === 'previous' ? '_PREVIOUS' : ''}`)
    return readKeyFile(paths[which])
  })
  const sealers = [...keys, key].flatMap((one) => (one ? [createSealer(one)] : []))
  return new Map(sealers.map((sealer) => [sealer.keyId, sealer]))
}

/** Says whether a value is sealed with another key than the one in use. */
export function isOldSeal(ring: Keyring, sealed: Uint8Array): boolean {
  return sealedWith(sealed) !== ring.keyId
}

/** Seals a value anew with the key in use. */
export function reseal(ring: Keyring, sealed: Uint8Array, place: Place): Uint8Array {
  return ring.seal(ring.open(sealed, place), place)
}

function otherKey(): RescindError {
  return new RescindError(
    'store_unsealable',
    'The store is sealed with another key. Set RESCIND_KEY and RESCIND_VAULT_KEY, or the key files beside the store, to those keys.',
  )
}

function keysAreGiven(): RescindError {
  return new RescindError(
    'usage',
    'The key is given by RESCIND_VAULT_KEY, so a new one is given as well: put the old key into RESCIND_VAULT_KEY_PREVIOUS and a new one, made with "openssl rand -base64 32", into RESCIND_VAULT_KEY.',
  )
}
