import { InvalidArgumentError } from 'commander'

/** Gathers the values of an option that may be given several times. */
export function many(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}

/** Reads an option's whole number. */
export function wholeNumber(value: string): number {
  if (!/^\d+$/.test(value)) throw new InvalidArgumentError('It takes a whole number.')
  return Number(value)
}

/** Reads an option's whole number, 1 or more. */
export function positiveNumber(value: string): number {
  const number = wholeNumber(value)
  if (number < 1) throw new InvalidArgumentError('It takes 1 or more.')
  return number
}
