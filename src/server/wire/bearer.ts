import { hash, timingSafeEqual } from 'node:crypto'
import { RescindError } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'
import type { WireAnswer, WireRequest } from '../../core/wire.ts'
import { refusalAnswer, throttledAnswer } from './answers.ts'
import type { Throttle } from './throttle.ts'

/** A shorter key could be guessed offline from its hash. */
const KEY_LENGTH_MIN = 22
const HASH_BASE64URL = /^[\w-]{43}$/
const HASH_HEX = /^[0-9a-f]{64}$/i

/** A key of a caller that is no client: the key itself, or its SHA-256 in base64url or hex. */
export type CallerKey = string | Secret

/** Who may call, by its key. */
export interface Caller {
  readonly name: string
  readonly key: CallerKey
}

export interface BearerParts<C extends Caller> {
  readonly callers: readonly C[]
  readonly throttle: Throttle
  /** What `WWW-Authenticate` names, and what failed attempts are counted under. */
  readonly realm: string
}

/**
 * Returns what authenticates callers by `Authorization: Bearer`; keys are compared as hashes, all of
 * them and in constant time.
 *
 * @throws RescindError `key_invalid` for a key that is none
 * @see https://www.rfc-editor.org/rfc/rfc6750#section-3
 */
export function createBearerAuth<C extends Caller>({ callers, throttle, realm }: BearerParts<C>) {
  const known = callers.map((caller) => ({ caller, digest: digestOf(caller) }))
  const failure = (error?: string): { readonly answer: WireAnswer } => ({
    answer: refusalAnswer(
      { error: 'invalid_client', error_description: 'The key is missing or not known.' },
      { challenge: `Bearer realm="${realm}"${error === undefined ? '' : `, error="${error}"`}` },
    ),
  })
  return ({ header, address }: WireRequest): { readonly caller: C } | { answer: WireAnswer } => {
    const key = /^bearer +([\w.~+/-]+=*)$/i.exec(header('authorization') ?? '')?.[1]
    if (key === undefined) return failure()
    const presented = hash('sha256', key, 'buffer')
    const found = known.filter(({ digest }) => timingSafeEqual(digest, presented))[0]
    if (found) return { caller: found.caller }
    const wait = throttle.failed(realm, address)
    return wait > 0 ? { answer: throttledAnswer(wait) } : failure('invalid_token')
  }
}

function digestOf({ name, key }: Caller): Buffer {
  if (key instanceof Secret) {
    if (key.reveal().length >= KEY_LENGTH_MIN) return hash('sha256', key.reveal(), 'buffer')
    throw new RescindError(
      'key_invalid',
      `The key of "${name}" is too short. Take ${KEY_LENGTH_MIN} random characters or more.`,
    )
  }
  if (HASH_BASE64URL.test(key)) return Buffer.from(key, 'base64url')
  if (HASH_HEX.test(key)) return Buffer.from(key, 'hex')
  throw new RescindError(
    'key_invalid',
    `The key of "${name}" is neither a Secret nor the SHA-256 of one in base64url or hex.`,
  )
}
