import type { Random } from '../../core/clock.ts'

/** The first wait of a retry; it doubles with each further one. */
const BACKOFF_MS_MIN = 250
/** No wait of ours is longer; a longer one is only made when the vendor asks for it. */
const BACKOFF_MS_MAX = 15_000

/** A longer wait, whoever asks for it, is not made: the run says that the org is busy. */
export const WAIT_MS_MAX = 120_000

/**
 * Returns how long to wait before the next try: doubling, with full jitter in its upper half, so
 * that lanes that failed together do not come back together.
 */
export function backoffMs(tries: number, random: Random): number {
  const ceiling = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** (tries - 1))
  return Math.round(ceiling / 2 + (random() * ceiling) / 2)
}
