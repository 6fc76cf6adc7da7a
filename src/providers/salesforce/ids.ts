/** The suffix alphabet of an 18-character id: one letter for each run of five characters. */
const SUFFIX = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ012345'

/**
 * Returns a record id in its 18-character form. Salesforce gives both forms of one id, depending on
 * the API; anything that is not a 15-character id is returned as it is.
 *
 * @see https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/field_types.htm
 */
export function toLongId(id: string): string {
  if (!/^[A-Za-z0-9]{15}$/.test(id)) return id
  let suffix = ''
  for (let start = 0; start < 15; start += 5) {
    let bits = 0
    for (let index = 0; index < 5; index += 1) {
      if (/[A-Z]/.test(id[start + index] ?? '')) bits |= 1 << index
    }
    suffix += SUFFIX[bits]
  }
  return id + suffix
}

/** Says whether a text is a record id, in either form. */
export function isRecordId(text: string): boolean {
  return /^[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?$/.test(text)
}

/** Says whether two ids name one record, whichever form each has. */
export function isSameId(a: string | null, b: string | null): boolean {
  return a !== null && b !== null && toLongId(a) === toLongId(b)
}
