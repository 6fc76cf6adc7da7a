import { isRescindError, RescindError } from '../core/errors.ts'
import type { ConnectionRow, QuietCheck } from '../store/connections.ts'
import { nextCheckMs } from './check-times.ts'
import type { ConnectionState } from './connection.ts'
import type { Checked, Health } from './health.ts'
import type { VaultParts } from './vault-parts.ts'

/** Connections that are checked at once; more would only wait for one another at the provider. */
const LANES = 16
/** Connections that are taken at once, and whose good news are written in one transaction. */
const BATCH = 512
/**
 * Longer than a batch takes at a provider that is not in trouble. Who is killed leaves its batch alone for
 * no longer; and where a batch takes longer, that another process looks as well harms nobody.
 */
const CLAIM_MS = 5 * 60_000
/** Those of which something can be found out: the others were ended by us. */
const IN_USE: ConnectionState[] = ['connected', 'degraded', 'reconnect_needed', 'reconnecting']
/** How long nothing is looked for when nothing is due. */
const IDLE_MS = 5_000

/** What one pass over the connections found. */
export interface WatchPass {
  readonly checked: number
  readonly states: Readonly<Partial<Record<ConnectionState, number>>>
  /** Checks that ended in an error of ours, with its words. */
  readonly failed: readonly { readonly id: string; readonly why: string }[]
}

export interface WatchOptions {
  readonly signal: AbortSignal
  /** Is told of each connection that is not well, or became well. */
  readonly tell?: ((checked: Checked, before: ConnectionState) => Promise<void> | void) | undefined
  /** Is told of each connection that could not be checked, once until it can be, or for another reason. */
  readonly tellFailed?: ((error: RescindError) => void) | undefined
  readonly lanes?: number | undefined
}

/** Watches all connections: those that are due, each by one process at a time. */
export function createWatch(parts: VaultParts, health: Health) {
  const { store, clock, random } = parts
  const told = new Map<string, string>()

  /** Gives up links that ran out, checks what is due now, and returns when nothing is. */
  const pass = async (options: WatchOptions): Promise<WatchPass> => {
    await health.expire()
    await flush(options)
    const tally = newTally()
    const until = clock.now()
    while (!options.signal.aborted) {
      const rows = await store.claimDue(until, clock.now() + CLAIM_MS, BATCH)
      if (rows.length === 0) break
      const left = await checkBatch(rows, options, tally)
      if (left.length > 0) await store.giveBack(left, clock.now())
    }
    return found(tally)
  }

  /** Checks every connection that is not disabled or disconnected, due or not, and tells of each. */
  const all = async (options: WatchOptions): Promise<WatchPass> => {
    await health.expire()
    const tally = newTally()
    for (let after = 0; !options.signal.aborted; ) {
      const rows = await store.list({ states: IN_USE }, after, BATCH)
      await checkBatch(rows, options, tally, true)
      if (rows.length < BATCH) break
      after = (rows.at(-1) as ConnectionRow).no
    }
    return found(tally)
  }

  /** Returns those that it did not come to. */
  const checkBatch = async (
    rows: readonly ConnectionRow[],
    options: WatchOptions,
    tally: Tally,
    tellsEach = false,
  ): Promise<readonly ConnectionRow[]> => {
    const quiet: QuietCheck[] = []
    const left = rows.values()
    const stopped: ConnectionRow[] = []
    const lane = async () => {
      while (!options.signal.aborted) {
        const { value: row, done } = left.next()
        if (done) return
        try {
          const checked = await health.checkRow(row, true)
          const { state, version } = checked.connection
          told.delete(row.id)
          tally.checked += 1
          tally.states.set(state, (tally.states.get(state) ?? 0) + 1)
          if (checked.isQuiet) {
            const { no, due_at } = row
            const at = clock.now()
            quiet.push({ no, version, due_at, at, nextAt: at + nextCheckMs(random) })
          }
          if (tellsEach || state !== row.state)
            await options.tell?.(checked, row.state as ConnectionState)
        } catch (error) {
          // Nothing was found out: it is as due as it was.
          if (options.signal.aborted && isRescindError(error, 'store_closed')) {
            stopped.push(row)
            return
          }
          tally.failed.push({ id: row.id, why: (error as Error).message })
          tellFailed(row, error as Error, options)
        }
      }
    }
    await Promise.all(Array.from({ length: options.lanes ?? LANES }, lane))
    if (quiet.length > 0) await store.checked(quiet)
    return [...stopped, ...left]
  }

  /** Of a connection that another process has disconnected nobody else asks for what is in memory. */
  const flush = async (options: WatchOptions): Promise<void> => {
    for (const [id, error] of await health.flush()) tellFailed({ id }, error, options)
  }

  const tellFailed = (
    { id }: Pick<ConnectionRow, 'id'>,
    cause: Error,
    options: WatchOptions,
  ): void => {
    if (!options.tellFailed || told.get(id) === cause.message) return
    told.set(id, cause.message)
    const code = isRescindError(cause) ? cause.code : 'unexpected'
    const message = `The connection ${id} could not be checked. ${cause.message}`
    options.tellFailed(new RescindError(code, message, { cause }))
  }

  return {
    pass,
    all,
    /** Watches until the signal is aborted; `between` is done after each pass. */
    async run(options: WatchOptions, between: () => Promise<void> = async () => {}): Promise<void> {
      while (!options.signal.aborted) {
        await pass(options)
        await between()
        const next = (await store.nextDueAt()) ?? Number.POSITIVE_INFINITY
        const waitMs = Math.min(Math.max(next - clock.now(), 0), IDLE_MS)
        if (waitMs > 0) await clock.sleep(waitMs, options.signal).catch(() => undefined)
      }
    },
  }
}

export type Watch = ReturnType<typeof createWatch>

type Failed = WatchPass['failed'][number]

function newTally(): Tally {
  return { checked: 0, states: new Map(), failed: [] }
}

function found({ checked, states, failed }: Tally): WatchPass {
  return { checked, states: Object.fromEntries(states), failed }
}

interface Tally {
  checked: number
  readonly states: Map<ConnectionState, number>
  readonly failed: Failed[]
}
