import type { AuthorityStore } from '../store/authority/contract.ts'

/** Ids reserved at once: a durable write for each so many tokens. */
const BLOCK = 10_000

/** Hands out ids of rows, some in a row at a time; another process never hands out the same. */
export function createIds(store: Pick<AuthorityStore, 'reserveIds'>) {
  let next = 0
  let end = 0
  let reserving: Promise<void> | undefined
  const reserve = async () => {
    const first = await store.reserveIds(BLOCK)
    next = first
    end = first + BLOCK
  }
  return async (count: number): Promise<number> => {
    while (next + count > end) {
      reserving ??= reserve().finally(() => {
        reserving = undefined
      })
      await reserving
    }
    next += count
    return next - count
  }
}

export type TakeIds = ReturnType<typeof createIds>
