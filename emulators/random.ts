/** Seeded randomness: the same seed and stream name always give the same numbers. */
export interface Random {
  /** A number in [0, 1). */
  next(): number
  /** A whole number in [0, below). */
  int(below: number): number
  /** One member of a list that is not empty. */
  pick<T>(list: readonly T[]): T
}

/** Hashes a text to 32 bits (FNV-1a with a finalizer), for seeds and keyed streams. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  }
  return mix32(hash)
}

/** Mixes 32 bits so that neighbouring inputs share nothing (the finalizer of MurmurHash3). */
export function mix32(value: number): number {
  let mixed = value | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** Makes a generator (sfc32) for one named stream of a seed. */
export function createRandom(seed: number, stream: string): Random {
  const next = sfc32(seed >>> 0, hashText(stream), mix32(seed ^ 0x9e3779b9), 1)
  for (let round = 0; round < 12; round += 1) next()
  const int = (below: number): number => Math.floor(next() * below)
  return { next, int, pick: (list) => list[int(list.length)]! }
}

function sfc32(seedA: number, seedB: number, seedC: number, seedD: number): () => number {
  let [a, b, c, d] = [seedA, seedB, seedC, seedD]
  return () => {
    const sum = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + sum) | 0
    return (sum >>> 0) / 4294967296
  }
}
