import measure from 'fast-string-truncated-width'
import { wrapAnsi } from 'fast-wrap-ansi'

/**
 * Names longer than this are cut on a screen and on a page. Vendors allow 80 to 255 characters for a
 * label; what is longer was not made to be read.
 */
const NAME_CHARACTERS_MAX = 200

const ELLIPSIS = '…'

/**
 * C0 and C1 controls drive a terminal; bidi controls reorder the text around them (Trojan Source,
 * CVE-2021-42574); the rest is invisible and makes two names look the same.
 */
const UNSEEN =
  /[\p{Cc}\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]|\p{Cs}/gu

/** Returns a text in which what cannot be seen is spelled out: `\u{202E}`. Line feeds too. */
export function visible(text: string): string {
  return text.replace(UNSEEN, spellOut)
}

function spellOut(character: string): string {
  const point = character.codePointAt(0) ?? 0
  return `\\u{${point.toString(16).toUpperCase().padStart(4, '0')}}`
}

/** Returns somebody's name as it may be shown: {@link visible}, and cut at a sane length. */
export function shownName(name: string): string {
  if (name.length <= NAME_CHARACTERS_MAX) return visible(name)
  const characters = Array.from(name)
  if (characters.length <= NAME_CHARACTERS_MAX) return visible(name)
  return `${visible(characters.slice(0, NAME_CHARACTERS_MAX - 1).join(''))}${ELLIPSIS}`
}

/** Returns how many terminal columns a text takes; colours take none, wide characters two. */
export function displayWidth(text: string): number {
  return measure(text).width
}

/** Cuts a text without colours to at most `columns`, with an ellipsis where something is lost. */
export function fitWidth(text: string, columns: number): string {
  const fit = measure(text, { limit: columns, ellipsis: ELLIPSIS, ellipsisWidth: 1 })
  if (!fit.truncated) return text
  return text.slice(0, fit.index) + (fit.ellipsed ? ELLIPSIS : '')
}

/** Pads a text with spaces to `columns`; a longer one stays as it is. */
export function padWidth(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  const gap = ' '.repeat(Math.max(0, columns - displayWidth(text)))
  return align === 'left' ? text + gap : gap + text
}

/** Breaks a text at spaces, and where it must inside a word, into lines of at most `columns`. */
export function wrapWidth(text: string, columns: number): readonly string[] {
  return wrapAnsi(text, Math.max(1, columns), { hard: true }).split('\n')
}

/** Wraps a text behind a first mark; the lines that follow stand under its text. */
export function hangWidth(mark: string, text: string, columns: number): readonly string[] {
  const width = displayWidth(mark)
  const indent = ' '.repeat(width)
  return wrapWidth(text, columns - width).map((line, index) => (index === 0 ? mark : indent) + line)
}
