import { Secret } from '../../core/secret.ts'

/** A Unix time has ten digits in seconds until 2286, and thirteen in milliseconds. */
const DIGITS_OF_SECONDS = 10
/** What the platform, or those who wrote its samples, put where a secret was. */
const MASK = /^\*+$/

/**
 * The configuration of an instance: a flat map of strings, in which `null` and `""` are blank and a
 * missing key is absent. Every value is held as a secret: which ones are is the element's own affair.
 */
export type Configuration = ReadonlyMap<string, Secret>

/** A value of a configuration. Blank and absent are told apart: a PATCH that blanks says "take it away". */
export type Value =
  | { readonly kind: 'absent' }
  | { readonly kind: 'blank' }
  /** Asterisks in its place: it is there, and must never be sent back. */
  | { readonly kind: 'masked' }
  | { readonly kind: 'set'; readonly value: Secret }

/** Reads the wire's map. Booleans and numbers are strings there, and are kept as they stand. */
export function configurationOf(wire: Readonly<Record<string, unknown>>): Configuration {
  const entries = Object.entries(wire).map(([key, value]): [string, Secret] => {
    const text = value === null || value === undefined ? '' : String(value)
    return [key, new Secret(text)]
  })
  return new Map(entries)
}

export function readValue(configuration: Configuration, key: string): Value {
  const value = configuration.get(key)
  if (value === undefined) return { kind: 'absent' }
  if (value.isEmpty) return { kind: 'blank' }
  return isMasked(value.reveal()) ? { kind: 'masked' } : { kind: 'set', value }
}

/** Returns a value that is set, as a secret. */
export function secretIn(configuration: Configuration, key: string): Secret | null {
  const value = readValue(configuration, key)
  return value.kind === 'set' ? value.value : null
}

/** Returns a value that is no secret: an address, a scope, a time. Name such keys only. */
export function plainIn(configuration: Configuration, key: string): string | null {
  return secretIn(configuration, key)?.reveal() ?? null
}

/** Says whether a text is a mask: asterisks alone. */
export function isMasked(text: string): boolean {
  return MASK.test(text)
}

/**
 * Reads `oauth.user.refresh_time`: milliseconds in most samples and seconds in one, so by its length.
 *
 * @returns milliseconds; null for blank, absent, or no number
 */
export function refreshTimeMs(configuration: Configuration): number | null {
  const text = plainIn(configuration, 'oauth.user.refresh_time')
  if (text === null || !/^\d{1,15}$/.test(text)) return null
  return text.length <= DIGITS_OF_SECONDS ? Number(text) * 1000 : Number(text)
}
