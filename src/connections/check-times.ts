import type { Random } from '../core/clock.ts'

/** How often a connection that works is looked at. */
export const CHECK_EVERY_MS = 3_600_000
/** What does not work is looked at soon, then less and less often. */
const BACKOFF_MS_MIN = 30_000
const BACKOFF_MS_MAX = CHECK_EVERY_MS

/** The time to the next check of a connection that works: spread by a tenth, so that they drift apart. */
export function nextCheckMs(random: Random): number {
  return Math.round(CHECK_EVERY_MS * (0.9 + random() / 5))
}

/** The time to the next check of a connection that failed so many times in a row; half of it is chance. */
export function backOffMs(failures: number, random: Random): number {
  const whole = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(failures - 1, 20))
  return Math.round(whole * (0.5 + random() / 2))
}
