import { AsyncLocalStorage } from 'node:async_hooks'
import type { AuthorityStore, Change } from '../../src/store/authority/contract.ts'
import { askInSteps } from '../../src/store/authority/in-steps.ts'

/** Turns of the event loop in which an actor may come to its next operation; it waits for nothing else. */
const SETTLE_TURNS_MAX = 1_000

/** Picks, by its place, which of the waiting operations goes next. */
export type Choose = (waiting: readonly string[]) => number

export interface Actor {
  readonly name: string
  readonly act: () => Promise<unknown>
}

/** What happened in one run: enough to run it again. */
export interface Trace {
  readonly choices: number[]
  /** The operations in the order in which they went. */
  readonly operations: string[]
}

/**
 * Makes the operations of several actors on a store go one at a time, in an order that is chosen.
 *
 * Two look-ups with nothing between them see the same, whichever goes first: of two that waited together,
 * the second is offered after the first only in the order of their actors. Every order that can make a
 * difference is still offered once.
 */
export interface Schedule {
  /** Returns a store whose operations wait for their turn when an actor asks for them. */
  wrap(store: AuthorityStore): AuthorityStore
  /** Waits for a turn, and does `work` in it. */
  turn<T>(operation: string, work: () => Promise<T>): Promise<T>
  /** Runs actors until all have ended; calls `afterStep` whenever nobody moves. */
  run(actors: readonly Actor[], choose: Choose, afterStep?: () => Promise<void>): Promise<Trace>
}

interface Operation {
  readonly label: string
  /** By actor, then by how many operations it had before. */
  readonly place: number
  readonly isLookup: boolean
  readonly go: () => Promise<void>
}

/** More operations than an actor has in a run. */
const PLACES_AN_ACTOR = 1_000

export function createSchedule(): Schedule {
  const actorNow = new AsyncLocalStorage<{ readonly name: string; place: number }>()
  let waiting: Operation[] = []

  const turn = <T>(operation: string, work: () => Promise<T>): Promise<T> => {
    const actor = actorNow.getStore()
    if (actor === undefined) return work()
    actor.place += 1
    const { name, place } = actor
    return new Promise<T>((resolve, reject) => {
      const go = () => work().then(resolve, reject)
      const isLookup = operation.startsWith('read')
      waiting.push({ label: `${name}: ${operation}`, place, isLookup, go })
    })
  }
  const run: Schedule['run'] = async (actors, choose, afterStep = async () => {}) => {
    const trace: Trace = { choices: [], operations: [] }
    waiting = []
    let left = actors.length
    const outcomes = actors.map(async ({ name, act }, index) => {
      try {
        return await actorNow.run({ name, place: index * PLACES_AN_ACTOR }, act)
      } finally {
        left -= 1
      }
    })
    const all = Promise.allSettled(outcomes)
    let offerable = (_: Operation): boolean => true
    for (;;) {
      await settle(() => left === 0 || waiting.length > 0)
      await afterStep()
      if (waiting.length === 0) break
      const offered = waiting.filter(offerable)
      // An order that was there before in another form is brought to its end, without a choice.
      if (offered.length === 0) offered.push(...waiting.slice(0, 1))
      const choice = choose(offered.map(({ label }) => label))
      const next = offered[choice]
      if (!next) throw new Error(`There is no operation ${choice} of ${offered.length}.`)
      waiting = waiting.filter((operation) => operation !== next)
      offerable = offerableAfter(next, new Set(waiting))
      trace.choices.push(choice)
      trace.operations.push(next.label)
      await next.go()
    }
    const failed = (await all).find((outcome) => outcome.status === 'rejected')
    if (failed) throw failed.reason
    return trace
  }
  return { wrap: (store) => wrapStore(store, turn), turn, run }
}

function offerableAfter(last: Operation, waited: ReadonlySet<Operation>) {
  return (next: Operation): boolean =>
    !(last.isLookup && next.isLookup && waited.has(next) && next.place < last.place)
}

async function settle(isSettled: () => boolean): Promise<void> {
  for (let turns = 0; turns < SETTLE_TURNS_MAX; turns += 1) {
    await new Promise((resolve) => setImmediate(resolve))
    if (isSettled()) return
  }
  throw new Error('An actor waits for something that is no operation of the store.')
}

/** What asks about a token is two steps here, the weakest that the contract allows: anything may come between. */
function wrapStore(store: AuthorityStore, turn: Schedule['turn']): AuthorityStore {
  const steps = {
    readToken: (id: number) => turn(`readToken ${id}`, () => store.readToken(id)),
    readClient: (id: string) => turn(`readClient ${id}`, () => store.readClient(id)),
    commit: (change: Change) => turn(`commit ${change.type}`, () => store.commit(change)),
  }
  return {
    ...store,
    ...steps,
    ...askInSteps(steps),
    readEpoch: () => turn('readEpoch', () => store.readEpoch()),
    reserveIds: (count) => turn('reserveIds', () => store.reserveIds(count)),
    readGrant: (id) => turn(`readGrant ${id}`, () => store.readGrant(id)),
    readMarks: (keys, grant) => turn('readMarks', () => store.readMarks(keys, grant)),
    readNote: (key) => turn(`readNote ${key}`, () => store.readNote(key)),
  }
}

/**
 * Runs `once` again and again, depth first, until every order of its operations has been; returns how
 * many there were. `once` must do the same for the same choices.
 */
export async function enumerateOrders(once: (choose: Choose) => Promise<void>): Promise<number> {
  let path: { readonly choice: number; readonly of: number }[] = []
  for (let orders = 1; ; orders += 1) {
    let depth = 0
    await once((waiting) => {
      const known = path[depth] ?? { choice: 0, of: waiting.length }
      if (known.of !== waiting.length) throw new Error('The same choices led to another state.')
      path[depth] = known
      depth += 1
      return known.choice
    })
    while (path.length > 0 && path.at(-1)!.choice + 1 === path.at(-1)!.of) path.pop()
    const last = path.at(-1)
    if (!last) return orders
    path = [...path.slice(0, -1), { ...last, choice: last.choice + 1 }]
  }
}

/** Chooses as a trace did, to see it again. */
export function replayOf(choices: readonly number[]): Choose {
  let depth = 0
  return (waiting) => {
    depth += 1
    return Math.min(choices[depth - 1] ?? 0, waiting.length - 1)
  }
}

/** Chooses at random. */
export function randomOf(random: () => number): Choose {
  return (waiting) => Math.floor(random() * waiting.length)
}
