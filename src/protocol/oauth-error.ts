import { visible } from '../core/screen-text.ts'
import { redact } from '../core/secret.ts'

/** RFC 6749 has codes of up to 25 characters; past this it is not a code but a text. */
const CODE_CHARACTERS_MAX = 64
/** An error body of an OAuth endpoint has some hundred bytes; the rest is not read. */
const BODY_CHARACTERS_MAX = 64 * 1024

/** What the body of an OAuth answer says, safe to print as far as shapes of credentials go. */
export interface OAuthErrorBody {
  /** The `error` code, where there is one. */
  readonly error: string | undefined
  /** Whole, for a caller that knows the secrets must take them out before it cuts. */
  readonly description: string | undefined
  /** The body is a web page, which no OAuth endpoint answers with. */
  readonly isWebPage: boolean
}

/**
 * Reads the error out of an OAuth answer: JSON as RFC 6749 section 5.2 has it, or form-encoded as
 * some vendors do. A body that is neither has no error.
 */
export async function readOAuthError(response: Response): Promise<OAuthErrorBody> {
  const text = (await response.text()).slice(0, BODY_CHARACTERS_MAX).trim()
  const isWebPage = /^(<!doctype html|<html|<head|<body)/i.test(text)
  const fields = text.startsWith('{') ? jsonFields(text) : formFields(text)
  return {
    error: asCode(fields.error),
    description: asDescription(fields.error_description),
    isWebPage,
  }
}

function jsonFields(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return {}
  }
}

function formFields(text: string): Record<string, unknown> {
  return /^error=|&error=/.test(text) ? Object.fromEntries(new URLSearchParams(text)) : {}
}

/** A code has the characters of RFC 6749 section 5.2 and is short; anything else is not printed. */
function asCode(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length > CODE_CHARACTERS_MAX) return undefined
  return /^[\x21\x23-\x5b\x5d-\x7e][\x20\x21\x23-\x5b\x5d-\x7e]*$/.test(value)
    ? redact(value)
    : undefined
}

function asDescription(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined
  return visible(redact(value))
}
