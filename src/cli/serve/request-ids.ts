import { randomFillSync } from 'node:crypto'

/** 96 bits: no two of all workers and restarts are the same, and none tells how many there were. */
const ID_BYTES = 12
/** Ids for which random bytes are drawn at once: a draw costs the same for a few and for many. */
const IDS_A_DRAW = 512

/**
 * Returns what gives ids to requests, 16 letters each.
 *
 * @param fill fills bytes at random
 */
export function createRequestIds(
  fill: (bytes: Buffer) => unknown = (bytes) => randomFillSync(bytes),
): () => string {
  const drawn = Buffer.allocUnsafe(ID_BYTES * IDS_A_DRAW)
  let end = drawn.length
  return () => {
    if (end === drawn.length) {
      fill(drawn)
      end = 0
    }
    end += ID_BYTES
    return drawn.toString('base64url', end - ID_BYTES, end)
  }
}
