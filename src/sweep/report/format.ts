/**
 * Writes a part of a whole in percent. Says 100 % only when it is all, and 0 % only when it is
 * none: a report that rounds survivors away would lie.
 */
export function formatShare(part: number, whole: number): string {
  if (whole === 0) return '–'
  if (part === whole) return '100 %'
  if (part === 0) return '0 %'
  const percent = Math.floor((part / whole) * 1000) / 10
  return percent < 0.1 ? '<0.1 %' : `${percent.toFixed(1)} %`
}
