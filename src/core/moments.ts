const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** Writes a duration in its two largest units: `850 ms`, `4.2 s`, `3 min 12 s`, `2 h 5 min`. */
export function formatDuration(ms: number): string {
  if (ms < SECOND) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 10 * SECOND) return `${Math.floor(ms / 100) / 10} s`
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`
  if (ms < HOUR) return twoUnits(ms, MINUTE, 'min', SECOND, 's')
  if (ms < DAY) return twoUnits(ms, HOUR, 'h', MINUTE, 'min')
  return twoUnits(ms, DAY, 'd', HOUR, 'h')
}

function twoUnits(ms: number, big: number, bigName: string, small: number, name: string): string {
  const rest = Math.floor((ms % big) / small)
  return `${Math.floor(ms / big)} ${bigName}${rest === 0 ? '' : ` ${rest} ${name}`}`
}

/** Writes a moment, ISO 8601 or milliseconds, as `2025-09-14 02:13:05 UTC`; null as a dash. */
export function formatMoment(at: string | number | null): string {
  const short = formatMomentShort(at)
  return short === '–' ? short : `${short} UTC`
}

/** The same without the zone, for tables whose heading names it. */
export function formatMomentShort(at: string | number | null): string {
  if (at === null) return '–'
  const date = new Date(at)
  if (Number.isNaN(date.getTime())) return '–'
  return date.toISOString().slice(0, 19).replace('T', ' ')
}
