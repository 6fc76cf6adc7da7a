import type { ReportModel, TokenLine } from './model.ts'

const COLUMNS = [
  'fingerprint',
  'kind',
  'user',
  'app',
  'createdAt',
  'lastUsedAt',
  'rule',
  'outcome',
  'code',
  'answeredAt',
  'proof',
  'proofAt',
  'evidence',
  'verdict',
] as const satisfies readonly (keyof TokenLine)[]

/** One write per so many lines: large enough for the disk, small enough for memory. */
const LINES_A_CHUNK = 500

/**
 * What a spreadsheet takes for a formula at the start of a cell; the full-width forms too, which
 * some read as the plain ones.
 *
 * @see https://owasp.org/www-community/attacks/CSV_Injection
 */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/u

/**
 * Writes every planned token as CSV, in chunks: a line of titles, CRLF, quotes where needed. A
 * cell that a spreadsheet would run as a formula gets a `'` in front.
 *
 * @see https://www.rfc-editor.org/rfc/rfc4180#section-2
 */
export function* renderCsv(model: ReportModel): Iterable<string> {
  let chunk = `${COLUMNS.join(',')}\r\n`
  let lines = 0
  for (const token of model.tokens()) {
    chunk += `${COLUMNS.map((column) => csvCell(token[column])).join(',')}\r\n`
    lines += 1
    if (lines % LINES_A_CHUNK === 0) {
      yield chunk
      chunk = ''
    }
  }
  if (chunk !== '') yield chunk
}

/** Writes one cell; null is an empty one. */
export function csvCell(value: string | null): string {
  if (value === null) return ''
  const safe = FORMULA.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
