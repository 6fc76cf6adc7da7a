import { RescindError } from '../core/errors.ts'
import { type Sent, webhookBackoffMs } from '../protocol/standard-webhooks.ts'
import type { EventRow, NewEvent } from '../store/authority/contract.ts'
import { eventOf } from './events.ts'
import type { Observer } from './observer.ts'
import type { AuthorityParts } from './options.ts'
import { CALM, type EventAside, type KeptCursor, type WebhookCursor } from './webhook-cursor.ts'
import { LEASE_MS, type WebhookEndpoint } from './webhook-endpoint.ts'

/** How often new events are looked for. */
export const POLL_MS = 500
/** Events read at once, and delivered for one write of the cursor: what a crash may send again. */
const PAGE = 100
/** With a slow receiver the cursor is written so often: what a crash sends again is no older. */
const SAVE_MS = 5_000
/**
 * Tries of one event before it is asked whether the event is the trouble, or the receiver: one or two
 * minutes, in which what only stumbled has come back.
 */
const EVENT_TRIES_MAX = 8
/** Later events that are tried in its stead, one at each further try: so many that are refused in a row are got past. */
const STAND_INS_MAX = 20
/** Pages that are searched for them where a receiver wants few of all events. */
const STAND_IN_PAGES_MAX = 100
/** A receiver that refuses more is not in trouble with an event: it is held up, and nothing more is set aside. */
const ASIDE_MAX = 100
/** A receiver that is down over a long weekend loses nothing. */
const DISABLE_AFTER_DAYS = 5
const DAY_MS = 86_400_000
/** A disabled webhook is looked at again so seldom. */
const DISABLED_LOOK_MS = 30_000

type NotTaken = Sent & { readonly ok: false }

/** What this process delivered under its lease, further than what is written of it. */
interface Batch {
  readonly kept: KeptCursor
  readonly savedAt: number
  /** The event that was delivered last; undefined when none was since it was written. */
  readonly position?: string | null
}

interface DeliveryMeans {
  /** The name of this process. */
  readonly holder: string
  readonly signal: AbortSignal
  readonly observer?: Observer | undefined
}

/**
 * Delivers to one receiver, in order, each event at least once.
 *
 * ```
 *   lease ─▶ send, send, send … ─▶ one write: position, lease       what a crash loses of it is sent again
 *              │ not taken                                          under the same id
 *              ▼
 *   back off, the lease given up ─▶ the same event again ─ 8 times ─▶ a later event in its stead
 *                                                           taken │        │ not taken
 *              the event is set aside, with an event that tells ◀─┘        └─▶ the receiver is down: back off
 * ```
 */
export function createDelivery(
  parts: AuthorityParts,
  endpoint: WebhookEndpoint,
  { holder, signal, observer }: DeliveryMeans,
) {
  const { store, clock } = parts
  const { note, isWanted, origin, timeoutMs } = endpoint
  let batch: Batch | null = null
  const leased = (cursor: WebhookCursor): WebhookCursor => ({
    ...cursor,
    ...{ holder, leaseUntil: clock.now() + LEASE_MS },
  })
  /** Takes the lease, or goes on with the one that is held; null when another process took it first. */
  const take = async (found: KeptCursor): Promise<Batch | null> => {
    const now = clock.now()
    const { cursor } = found
    const isHeld = cursor.holder === holder && cursor.leaseUntil - now > timeoutMs
    const kept = isHeld ? found : await note.write(leased(cursor), found)
    return kept && { kept, savedAt: now }
  }
  /** Writes what was delivered, and more; null when another process has the lease. */
  const save = async (
    { kept, position }: Batch,
    more: (cursor: WebhookCursor) => WebhookCursor = leased,
    events: readonly NewEvent[] = [],
  ): Promise<Batch | null> => {
    const progress = position === undefined ? {} : { position, ...CALM }
    const isOurs = (cursor: WebhookCursor) => cursor.holder === holder
    const written = await note.change(
      (cursor) => (isOurs(cursor) ? more({ ...cursor, ...progress }) : null),
      kept,
      events,
    )
    return written && { kept: written, savedAt: clock.now() }
  }
  /** Sends an event while the lease is sure to outlast it; null when another process has the lease. */
  const send = async (event: EventRow): Promise<Sent | null> => {
    const now = clock.now()
    if (!batch) return null
    const { savedAt, kept } = batch
    const isDue = now - savedAt >= SAVE_MS || kept.cursor.leaseUntil - now <= timeoutMs
    if (isDue) batch = await save(batch)
    return batch && endpoint.send(event)
  }
  /** Writes a failure down, and gives the lease back: the next try may be another process's. */
  const failed = async (sent: NotTaken): Promise<number> => {
    const now = clock.now()
    const written = await save(batch as Batch, (cursor) =>
      afterFailure(cursor, sent, { now, parts, endpoint }),
    )
    batch = null
    if (!written) return POLL_MS
    const { cursor } = written.kept
    if (cursor.disabledAt !== null) await tellDisabled(parts, origin, sent.why)
    else if (cursor.failures === 1) parts.onTrouble(failing(origin, sent.why))
    return Math.min(cursor.nextAt - now, POLL_MS)
  }
  /** Later events that it wants. */
  const standInsFor = async (event: EventRow): Promise<readonly EventRow[]> => {
    const found: EventRow[] = []
    let after = event.position
    for (let pages = 0; pages < STAND_IN_PAGES_MAX; pages += 1) {
      const events = await store.readEvents(after, PAGE)
      found.push(...events.filter(isWanted))
      after = events.at(-1)?.position ?? after
      if (events.length < PAGE || found.length >= STAND_INS_MAX) break
    }
    return found.slice(0, STAND_INS_MAX)
  }
  /** A later event that the receiver took although it does not take this one; null when there is none. */
  const takenInstead = async (event: EventRow, { gone }: NotTaken): Promise<EventRow | null> => {
    const { failures, aside } = (batch as Batch).kept.cursor
    const over = failures + 1 - EVENT_TRIES_MAX
    if (gone || over < 0 || isProgressed(batch) || aside.length >= ASIDE_MAX) return null
    const standIns = await standInsFor(event)
    const standIn = standIns[over % standIns.length]
    return standIn && (await send(standIn))?.ok ? standIn : null
  }
  const setAside = async (event: EventRow, { why }: NotTaken): Promise<void> => {
    const at = clock.now()
    const tries = (batch as Batch).kept.cursor.failures + 1
    const one: EventAside = { event, at, tries, why }
    const told = asideEvent(one, origin)
    batch = await save(
      batch as Batch,
      (cursor) =>
        leased({
          ...{ ...cursor, ...CALM, position: event.position },
          aside: [...cursor.aside, one],
        }),
      told ? [told] : [],
    )
    if (!batch) return
    observer?.setAside?.()
    parts.onTrouble(wasSetAside(one, origin))
  }
  /** Delivers events; returns for how long there is nothing to do, in milliseconds. */
  const deliver = async (events: readonly EventRow[]): Promise<number> => {
    const takenBefore = new Set<string>()
    for (const event of events) {
      if (signal.aborted) break
      if (isWanted(event) && !takenBefore.has(event.id)) {
        const sent = await send(event)
        if (!batch || !sent) return POLL_MS
        if (!sent.ok) {
          const other = await takenInstead(event, sent)
          if (!batch) return POLL_MS
          if (!other) return failed(sent)
          takenBefore.add(other.id)
          await setAside(event, sent)
          continue
        }
      }
      if (!batch) return POLL_MS
      batch = { ...batch, position: event.position }
    }
    if (batch && isProgressed(batch)) batch = await save(batch)
    return events.length < PAGE ? POLL_MS : 0
  }
  return {
    /** Delivers what there is; returns for how long there is nothing to do, in milliseconds. */
    async step(): Promise<number> {
      const now = clock.now()
      const found = await note.read()
      const { position, leaseUntil, nextAt, disabledAt } = found.cursor
      if (disabledAt !== null) return DISABLED_LOOK_MS
      if (found.cursor.holder !== holder && leaseUntil > now) return POLL_MS
      if (nextAt > now) return Math.min(nextAt - now, POLL_MS)
      const events = await store.readEvents(position, PAGE)
      if (events.length === 0) return POLL_MS
      batch = await take(found)
      return batch ? deliver(events) : POLL_MS
    },
    /** Writes down what was delivered, and gives the lease back. */
    async release(): Promise<void> {
      const left = batch
      batch = null
      if (left) await save(left, (cursor) => ({ ...cursor, holder: null, leaseUntil: 0 }))
    },
  }
}

function isProgressed(batch: Batch | null): boolean {
  return batch?.position !== undefined
}

function afterFailure(
  cursor: WebhookCursor,
  { gone, waitMs }: NotTaken,
  {
    now,
    parts,
    endpoint: { webhook },
  }: { now: number; parts: AuthorityParts; endpoint: WebhookEndpoint },
): WebhookCursor {
  const failures = cursor.failures + 1
  const failingSince = cursor.failingSince ?? now
  const days = webhook.disableAfterDays ?? DISABLE_AFTER_DAYS
  const isOver = gone || now - failingSince >= days * DAY_MS
  return {
    ...cursor,
    ...{ holder: null, leaseUntil: 0, failures, failingSince },
    nextAt: now + Math.max(waitMs, backoffMs(failures, parts.random)),
    disabledAt: isOver ? now : null,
  }
}

function backoffMs(failures: number, random: AuthorityParts['random']): number {
  return webhookBackoffMs(failures, (random(new Uint8Array(1))[0] ?? 0) / 255)
}

async function tellDisabled(parts: AuthorityParts, origin: string, why: string): Promise<void> {
  const event = eventOf({
    ...{ at: parts.clock.now(), type: 'webhook.disabled', cause: 'webhook', actor: 'system' },
    detail: { origin, why },
  })
  await parts.store.commit({ type: 'log', events: [event] })
  parts.onTrouble(
    new RescindError(
      'host_unreachable',
      `The webhook at ${origin} is disabled: ${why}. Mend it and enable it again; nothing that is still kept is lost.`,
    ),
  )
}

/** The event that tells of an event that was set aside; null of one of these, or they would breed. */
function asideEvent({ event, at, tries, why }: EventAside, origin: string): NewEvent | null {
  if (event.type === 'webhook.set_aside') return null
  return eventOf({
    ...{ at, type: 'webhook.set_aside', cause: 'webhook', actor: 'system' },
    detail: { origin, event: event.id, type: event.type, tries, why },
  })
}

function failing(origin: string, why: string): RescindError {
  return new RescindError(
    'host_unreachable',
    `The webhook at ${origin} fails (${why}); it is tried again, less and less often.`,
  )
}

function wasSetAside({ event, tries, why }: EventAside, origin: string): RescindError {
  return new RescindError(
    'webhook_refused',
    `The webhook at ${origin} did not take the event ${event.id} (${event.type}) in ${tries} tries (${why}), and took another: it is set aside. Mend the receiver, then send it again.`,
  )
}
