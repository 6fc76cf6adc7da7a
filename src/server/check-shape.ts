import { RescindError } from '../core/errors.ts'

/** What one key of an object needs. */
export interface KeyCheck {
  isGood(value: unknown): boolean
  /** Goes on after the name of the key: `must be a number`. */
  readonly needs: string
}

export type Shape = Readonly<Record<string, KeyCheck>>

/** Lets a key be left out, or undefined. */
export function optional({ isGood, needs }: KeyCheck): KeyCheck {
  return { isGood: (value) => value === undefined || isGood(value), needs }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Refuses an object with a key that another one has not: one that is misspelt must not be read as left out.
 * The sentence is fit for the wire.
 *
 * @throws RescindError `usage`
 */
export function checkKeys(given: object, known: object): void {
  const unknown = Object.keys(given).find((key) => !Object.hasOwn(known, key))
  if (unknown === undefined) return
  const named = /^\w{1,40}$/.test(unknown) ? `There is no key ${unknown}` : 'A key is not known'
  throw new RescindError('usage', `${named}. Known are ${Object.keys(known).join(', ')}.`)
}

/**
 * Refuses what has not all that a shape wants, and nothing else.
 *
 * @param noun what the keys are called: `The option`
 * @throws RescindError `usage`
 */
export function checkShape(given: unknown, shape: Shape, noun = 'The key'): void {
  if (!isObject(given)) {
    const keys = Object.keys(shape).join(', ')
    throw new RescindError('usage', `Give an object with the keys ${keys}.`)
  }
  checkKeys(given, shape)
  for (const [key, { isGood, needs }] of Object.entries(shape)) {
    if (!isGood(given[key])) throw new RescindError('usage', `${noun} ${key} ${needs}.`)
  }
}
