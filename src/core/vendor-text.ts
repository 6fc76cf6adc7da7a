import { visible } from './screen-text.ts'
import { redact, type Secret } from './secret.ts'

/** A vendor's sentence longer than this is a page, not a sentence. */
const CHARS_MAX = 300

/**
 * Returns a text of the vendor's as it may stand in a message of ours: without secrets, whatever it
 * echoes; on one line; with what cannot be seen spelled out; and cut last, or half a secret is left.
 *
 * @param secrets what was sent, and might come back
 */
export function vendorText(text: string, ...secrets: readonly Secret[]): string {
  return visible(redact(text, ...secrets).replace(/[ \t\r\n]+/g, ' '))
    .trim()
    .slice(0, CHARS_MAX)
}
