import { createHmac, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'

/** A keyed hash of a secret, safe to store, print and compare: `fp_` and 24 hex digits. */
export type Fingerprint = string & { readonly __fingerprint: never }

/** Hashes secrets to fingerprints under one key. */
export type Fingerprinter = (secret: Secret) => Fingerprint

/** 96 bits: a collision among 10 million tokens has a chance below 10^-14. */
const FINGERPRINT_HEX_DIGITS = 24

/** Prints of a secret are told apart within one process, and mean nothing outside it. */
const processKey = createSecretKey(randomBytes(32))

/**
 * A token, handle, client secret or key. Printing, logging, JSON and string conversion give a
 * per-process fingerprint; only {@link Secret.reveal} gives the value, at the place that needs it.
 */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** Returns the value itself. Call it where the bytes go on the wire or into a seal, nowhere else. */
  reveal(): string {
    return this.#value
  }

  get isEmpty(): boolean {
    return this.#value.length === 0
  }

  toString(): string {
    return `[secret ${hmacHex(processKey, this.#value).slice(0, 8)}]`
  }

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    return this.toString()
  }
}

/**
 * Returns the fingerprinter of a store's key. The HMAC key is derived from it, so that a
 * fingerprint says nothing about the key that seals.
 *
 * @param key 32 bytes
 */
export function fingerprinter(key: Uint8Array): Fingerprinter {
  const bytes = new Uint8Array(hkdfSync('sha256', key, '', 'rescind fingerprint v1', 32))
  // Raw bytes would be imported again for every token, which takes six times as long as its hash.
  const derived = createSecretKey(bytes)
  return (secret) =>
    `fp_${hmacHex(derived, secret.reveal()).slice(0, FINGERPRINT_HEX_DIGITS)}` as Fingerprint
}

function hmacHex(key: KeyObject, value: string): string {
  return createHmac('sha256', key).update(value).digest('hex')
}

/** Shapes of credentials that a vendor may echo in a message, whoever they belong to. */
const CREDENTIAL_SHAPES: readonly RegExp[] = [
  /\b00D[A-Za-z0-9]{12,15}(?:!|%21)[\w.]+/g, // a Salesforce session id or access token
  /\b5Aep[\w.=-]{20,}/g, // a Salesforce refresh token
  /\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, // a JWT
  /(?<=\b(?:Bearer|Basic)\s+)[\w+/.~=-]{8,}/gi,
  /(?<=\b(?:access_token|refresh_token|client_secret|token|assertion|password|sid|code)=)[^&\s"']+/gi,
]

/** A value as it is, and as a URL, a form, a JSON text or HTTP Basic would write it. */
function writtenForms(value: string): readonly string[] {
  return [
    value,
    encodeURIComponent(value),
    new URLSearchParams({ v: value }).toString().slice(2),
    JSON.stringify(value).slice(1, -1),
    Buffer.from(value).toString('base64'),
  ]
}

/**
 * Replaces the given secrets, and anything shaped like a credential, in a text from outside.
 * Every text that a vendor wrote goes through here before it reaches an error or a log.
 */
export function redact(text: string, ...secrets: readonly Secret[]): string {
  let clean = text
  for (const secret of secrets) {
    if (secret.isEmpty) continue
    for (const form of writtenForms(secret.reveal())) {
      clean = clean.replaceAll(form, secret.toString())
    }
  }
  for (const shape of CREDENTIAL_SHAPES) clean = clean.replace(shape, '[redacted]')
  return clean
}
