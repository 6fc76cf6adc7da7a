import { type Refusal, refuse } from '../refusal.ts'

/** A request with more parameters than this is none that any OAuth client sends. */
const PARAMETERS_MAX = 64

/** The parameters of a form; one that was sent empty is not there (RFC 6749 section 3.2). */
export type Form = ReadonlyMap<string, string>

/**
 * Reads `application/x-www-form-urlencoded` strictly: a parameter that is there twice, an escape that
 * is none, and a control character are refused, and not guessed at.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-3.2
 */
export function parseForm(text: string): Form | Refusal {
  const form = new Map<string, string>()
  let empty: Set<string> | undefined
  if (text === '') return form
  const pairs = text.split('&')
  if (pairs.length > PARAMETERS_MAX) return refuse('invalid_request', 'Too many parameters.')
  const read = PLAIN_FORM.test(text) ? asIs : decode
  for (const pair of pairs) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = read(equals < 0 ? pair : pair.slice(0, equals))
    const value = equals < 0 ? '' : read(pair.slice(equals + 1))
    if (name === null || value === null) {
      return refuse('invalid_request', 'A parameter is not well encoded.')
    }
    if (form.has(name) || empty?.has(name)) {
      return refuse('invalid_request', 'A parameter is there more than once.')
    }
    if (value !== '') form.set(name, value)
    else empty = (empty ?? new Set()).add(name)
  }
  return form
}

/** Decodes one name or value; null when it is not well encoded. */
export function decode(text: string): string | null {
  if (PLAIN.test(text)) return text
  const plain = decodeEscapes(text)
  return plain === null || CONTROL.test(plain) ? null : plain
}

/** Nearly every name, token and secret: nothing to decode. */
const PLAIN = /^[\w.~!*'()$,;:@/?-]*$/
const PLAIN_FORM = /^[\w.~!*'()$,;:@/?&=-]*$/
const asIs = (text: string): string | null => text
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f]/

function decodeEscapes(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    // A broken escape, or bytes that are no UTF-8.
    return null
  }
}
