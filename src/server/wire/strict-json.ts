import { type Refusal, refuse } from '../refusal.ts'

/** Deeper than any body that an endpoint takes. */
const DEPTH_MAX = 8

/**
 * Reads a JSON object strictly: a key that is there twice is refused, for two readers could take a
 * different one of them (RFC 8259 section 4), and so is what is nested deeper than anything we take.
 */
export function parseJsonObject(text: string): { readonly body: JsonObject } | Refusal {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return refuse('invalid_request', 'The body is not JSON.')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse('invalid_request', 'The body must be a JSON object.')
  }
  const flaw = flawIn(text)
  return flaw === null ? { body: value as JsonObject } : refuse('invalid_request', flaw)
}

export type JsonObject = Readonly<Record<string, unknown>>

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]/g

/** Looks through a text that is known to be JSON; returns what is wrong with it. */
function flawIn(text: string): string | null {
  // The keys of each object that is open; null for an array.
  const open: (Set<string> | null)[] = []
  let last = ''
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') {
      open.push(token === '{' ? new Set() : null)
      if (open.length > DEPTH_MAX) return 'The body is nested too deep.'
    } else if (token === '}' || token === ']') {
      open.pop()
    } else if (token === ':') {
      const key = JSON.parse(last) as string
      const keys = open.at(-1)
      if (keys?.has(key)) return 'A key is there more than once.'
      keys?.add(key)
    }
    last = token
  }
  return null
}
