import { createHash } from 'node:crypto'
import type { AuthorityStore, EventRow, NewEvent } from '../store/authority/contract.ts'

/**
 * How far a webhook has come, kept in a note. Whoever delivers holds a lease on it; every change is a
 * compare-and-set, so that of many processes one delivers, and one that fell asleep does no harm.
 */
export interface WebhookCursor {
  /** The position of the last event that was delivered, passed over, or set aside. */
  readonly position: string | null
  /** The process that delivers, and until when nobody else does. */
  readonly holder: string | null
  readonly leaseUntil: number
  /** Failures in a row, all of the event after the position; since when, and when it is tried again. */
  readonly failures: number
  readonly failingSince: number | null
  readonly nextAt: number
  readonly disabledAt: number | null
  /** What the receiver would not take, whole: it outlives the events that are kept. */
  readonly aside: readonly EventAside[]
}

/** An event that a receiver would not take. */
export interface EventAside {
  readonly event: EventRow
  readonly at: number
  readonly tries: number
  readonly why: string
}

/** Of a receiver that takes what it is sent. */
export const CALM = { failures: 0, failingSince: null, nextAt: 0 } as const

const START: WebhookCursor = {
  ...{ position: null, holder: null, leaseUntil: 0, ...CALM, disabledAt: null, aside: [] },
}

export interface KeptCursor {
  readonly cursor: WebhookCursor
  readonly version: number | null
}

export type CursorNote = ReturnType<typeof createCursorNote>

/** Keeps the cursor of one webhook. */
export function createCursorNote(store: AuthorityStore, url: string) {
  // An address may hold a secret of its receiver's: the note is named by its hash.
  const key = `webhook:${createHash('sha256').update(url).digest('base64url')}`
  const read = async (): Promise<KeptCursor> => {
    const note = await store.readNote(key)
    if (!note) return { cursor: START, version: null }
    return { cursor: { ...START, ...JSON.parse(note.value) }, version: note.version }
  }
  /** Returns the cursor as it now stands, or null when another process changed it meanwhile. */
  const write = async (
    cursor: WebhookCursor,
    { version }: KeptCursor,
    events: readonly NewEvent[] = [],
  ): Promise<KeptCursor | null> => {
    const value = JSON.stringify(cursor)
    const change = { type: 'put_note', key, value, expected: version, events } as const
    if ((await store.commit(change)) === 'conflict') return null
    return { cursor, version: (version ?? 0) + 1 }
  }
  return {
    read,
    write,
    /** Changes the cursor as it stands, whoever changed it before; returns null when `by` gives it up. */
    async change(
      by: (cursor: WebhookCursor) => WebhookCursor | null,
      from?: KeptCursor,
      events: readonly NewEvent[] = [],
    ): Promise<KeptCursor | null> {
      for (let kept = from ?? (await read()); ; kept = await read()) {
        const next = by(kept.cursor)
        const written = next && (await write(next, kept, events))
        if (next === null || written) return written
      }
    },
  }
}
