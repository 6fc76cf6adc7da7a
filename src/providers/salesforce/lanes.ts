/**
 * Requests under way at once while reading. Few: the object behind the list is served slowly, and a
 * user may hold only ten cursors open.
 */
export const READ_LANES = 4

/** Runs work in a bounded number of lanes, in the order of the calls. */
export function createLanes(lanes: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = lanes
  const waiting: (() => void)[] = []
  const release = () => {
    const next = waiting.shift()
    if (next) next()
    else free += 1
  }
  return async (work) => {
    if (free > 0) free -= 1
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      release()
    }
  }
}

/**
 * Does the work of each item in a bounded number of lanes and yields the results as they come.
 * What is not taken by the consumer waits, so that at most `lanes` results are held.
 */
export async function* inLanes<Item, Result>(
  items: Iterable<Item>,
  lanes: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const iterator = items[Symbol.iterator]()
  const underWay = new Map<number, Promise<{ key: number; result: Result }>>()
  let key = 0
  const start = () => {
    const next = iterator.next()
    if (next.done) return
    const own = key
    key += 1
    const promise = work(next.value).then((result) => ({ key: own, result }))
    // Another lane may throw first; this one's failure is then nobody's, and must not end the process.
    promise.catch(() => {})
    underWay.set(own, promise)
  }
  for (let lane = 0; lane < lanes; lane += 1) start()
  while (underWay.size > 0) {
    const first = await Promise.race(underWay.values())
    underWay.delete(first.key)
    start()
    yield first.result
  }
}
