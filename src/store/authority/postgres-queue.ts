import type { Clock } from '../../core/clock.ts'
import { RescindError } from '../../core/errors.ts'
import { isAboutData } from './postgres-session.ts'

/** What waits beyond this is turned away: the database is not keeping up, and memory is not endless. */
const WAITING_MAX = 50_000
/** Tries of one item alone whose transaction the server chose to undo. */
const TRIES_MAX = 3

export interface QueueParts<In, Out> {
  readonly clock: Clock
  /** Whose queue it is, for messages. */
  readonly place: string
  /** How long an item waits for its turn before it is turned away. */
  readonly deadlineMs: number
  /** How many batches are under way at once. */
  readonly lanes: number
  readonly batchMax: number
  /** Items of one batch have one group. */
  readonly groupOf: (item: In) => string
  readonly run: (items: readonly In[]) => Promise<readonly Out[]>
  /** Is done on the lane after the items were answered. */
  readonly after?: ((items: readonly In[]) => Promise<void>) | undefined
}

/** Gathers what arrives while the lanes are busy, and sends each group as one. */
export interface Queue<In, Out> {
  add(item: In): Promise<Out>
  /** Resolves when nothing waits or is under way. */
  drained(): Promise<void>
}

interface Waiting<In, Out> {
  readonly item: In
  readonly since: number
  readonly resolve: (out: Out) => void
  readonly reject: (error: unknown) => void
}

/** Returns a queue that sends what arrives in one turn of the event loop together. */
export function createQueue<In, Out>(parts: QueueParts<In, Out>): Queue<In, Out> {
  const { clock, deadlineMs, groupOf } = parts
  const groups = new Map<string, Waiting<In, Out>[]>()
  let waitingCount = 0
  let busyLanes = 0
  let isScheduled = false
  let onDrained: (() => void)[] = []

  /** The groups take turns: one that is left with a rest goes to the end. */
  const take = (): readonly Waiting<In, Out>[] => {
    for (const [group, items] of groups) {
      groups.delete(group)
      const batch = items.splice(0, parts.batchMax)
      if (items.length > 0) groups.set(group, items)
      waitingCount -= batch.length
      const now = clock.now()
      const isLate = ({ since }: Waiting<In, Out>) => now - since > deadlineMs
      for (const { reject } of batch.filter(isLate)) reject(turnedAway(parts.place))
      const inTime = batch.filter((waiting) => !isLate(waiting))
      if (inTime.length > 0) return inTime
    }
    return []
  }
  const work = async (batch: readonly Waiting<In, Out>[]): Promise<void> => {
    await answer(batch, parts.run)
    await parts.after?.(batch.map(({ item }) => item))
  }
  const fill = () => {
    isScheduled = false
    while (busyLanes < parts.lanes) {
      const batch = take()
      if (batch.length === 0) break
      busyLanes += 1
      work(batch).finally(() => {
        busyLanes -= 1
        fill()
      })
    }
    if (busyLanes > 0 || waitingCount > 0) return
    for (const resolve of onDrained) resolve()
    onDrained = []
  }
  return {
    add: (item) =>
      new Promise((resolve, reject) => {
        if (waitingCount >= WAITING_MAX) return reject(turnedAway(parts.place))
        const waiting = { item, since: clock.now(), resolve, reject }
        const group = groups.get(groupOf(item))
        if (group) group.push(waiting)
        else groups.set(groupOf(item), [waiting])
        waitingCount += 1
        if (isScheduled || busyLanes >= parts.lanes) return
        isScheduled = true
        setImmediate(fill)
      }),
    drained: () =>
      waitingCount === 0 && busyLanes === 0
        ? Promise.resolve()
        : new Promise((resolve) => onDrained.push(resolve)),
  }
}

/** Runs a batch; when the database refuses one of its values, each item alone, so that the others pass. */
async function answer<In, Out>(
  batch: readonly Waiting<In, Out>[],
  run: QueueParts<In, Out>['run'],
): Promise<void> {
  try {
    const outs = await run(batch.map(({ item }) => item))
    for (const [index, { resolve }] of batch.entries()) resolve(outs[index] as Out)
  } catch (error) {
    if (!isAboutData(error)) {
      for (const { reject } of batch) reject(error)
      return
    }
    for (const waiting of batch) await answerAlone(waiting, run)
  }
}

async function answerAlone<In, Out>(
  { item, resolve, reject }: Waiting<In, Out>,
  run: QueueParts<In, Out>['run'],
): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      const [out] = await run([item])
      return resolve(out as Out)
    } catch (error) {
      if (tries >= TRIES_MAX || !isAboutData(error)) return reject(error)
    }
  }
}

function turnedAway(place: string): RescindError {
  return new RescindError(
    'store_down',
    `The authority's database ${place} does not keep up with what is asked of it. Nothing of this was done: try again later.`,
  )
}
