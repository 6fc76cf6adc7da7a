import { createHash } from 'node:crypto'
import type { AuthorityStore } from '../store/authority/contract.ts'

/**
 * How far a webhook has come, kept in a note. Whoever delivers holds a lease on it; every change is a
 * compare-and-set, so that of many processes one delivers, and one that fell asleep does no harm.
 */
export interface WebhookCursor {
  /** The position of the last event that was delivered, or passed over. */
  readonly position: string | null
  /** The process that delivers, and until when nobody else does. */
  readonly holder: string | null
  readonly leaseUntil: number
  /** Failures in a row, since when, and when it is tried again. */
  readonly failures: number
  readonly failingSince: number | null
  readonly nextAt: number
  readonly disabledAt: number | null
}

export const START: WebhookCursor = {
  ...{ position: null, holder: null, leaseUntil: 0 },
  ...{ failures: 0, failingSince: null, nextAt: 0, disabledAt: null },
}

export interface KeptCursor {
  readonly cursor: WebhookCursor
  readonly version: number | null
}

/** Keeps the cursor of one webhook. */
export function createCursorNote(store: AuthorityStore, url: string) {
  // An address may hold a secret of its receiver's: the note is named by its hash.
  const key = `webhook:${createHash('sha256').update(url).digest('base64url')}`
  return {
    async read(): Promise<KeptCursor> {
      const note = await store.readNote(key)
      if (!note) return { cursor: START, version: null }
      return { cursor: JSON.parse(note.value) as WebhookCursor, version: note.version }
    },
    /** Returns the cursor as it now stands, or null when another process changed it meanwhile. */
    async write(cursor: WebhookCursor, { version }: KeptCursor): Promise<KeptCursor | null> {
      const value = JSON.stringify(cursor)
      const change = { type: 'put_note', key, value, expected: version, events: [] } as const
      if ((await store.commit(change)) === 'conflict') return null
      return { cursor, version: (version ?? 0) + 1 }
    },
  }
}
