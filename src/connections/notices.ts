import { createHash } from 'node:crypto'
import type { Clock, Random } from '../core/clock.ts'
import type { Http } from '../core/http.ts'
import type { Secret } from '../core/secret.ts'
import { parseEndpoint } from '../core/url.ts'
import {
  createWebhookSigner,
  sendWebhook,
  WEBHOOK_TIMEOUT_MS,
  type WebhookSigner,
  webhookBackoffMs,
} from '../protocol/standard-webhooks.ts'
import type { DueNotice, NoticeStore } from '../store/notices.ts'

/** Notices that are taken at once. */
const BATCH = 64
/** Longer than any delivery: who took a notice and is silent for so long is dead. */
const CLAIM_MS = WEBHOOK_TIMEOUT_MS * 4
/** A receiver that is down over a long weekend loses nothing, nor one that another process alone knows. */
const ASIDE_AFTER_MS = 5 * 86_400_000
/** Of what was set aside, what a person reads. */
const LISTED_MAX = 200
const UNKNOWN_RECEIVER = 'the configuration has no such receiver'

/** Where notices go. */
export interface NoticeReceiver {
  /** What happened before is not sent to it; without it, all that is not older than five days. */
  readonly from?: number | undefined
  readonly url: string
  /** `whsec_` and 24 to 64 random bytes in base64. */
  readonly secret: Secret
}

/** What one round of sending did. */
export interface NoticesSent {
  readonly sent: number
  readonly failed: number
  readonly aside: number
}

/** A notice that a receiver did not take. */
export interface NoticeAside {
  /** `cev_` and a number, as the receiver got it. */
  readonly id: string
  readonly connection: string
  readonly owner: string
  readonly type: string
  readonly at: number
  readonly tries: number
  readonly why: string | null
  /** Where it was to go; null where the configuration does not have it. May hold a secret of the receiver's. */
  readonly url: string | null
}

export interface NoticeParts {
  readonly store: NoticeStore
  readonly http: Http
  readonly clock: Clock
  readonly random: Random
  readonly receivers: readonly NoticeReceiver[]
  readonly signal: AbortSignal
}

/**
 * Sends what stands in the outbox, by Standard Webhooks: each notice at least once and under one id, those
 * of a connection in order, with a back-off that grows. What a receiver does not take in five days, or
 * does not want any more (410), is set aside and holds up nothing. Each receiver has a cursor of its own,
 * so that which process sends first, and with which receivers, takes nothing from the others; what waits
 * for one that is not among these is left to the process that knows it, for as long.
 *
 * @throws RescindError `url_invalid`, `url_plain_http`, `key_invalid`
 * @see https://www.standardwebhooks.com
 */
export function createNotices({ store, http, clock, random, receivers, signal }: NoticeParts) {
  const open = new Map<string, NoticeReceiver & { readonly sign: WebhookSigner }>()
  for (const receiver of receivers) {
    parseEndpoint(receiver.url, 'The address of a webhook')
    open.set(keyOf(receiver.url), { ...receiver, sign: createWebhookSigner([receiver.secret]) })
  }
  const deliver = async (notice: DueNotice): Promise<keyof NoticesSent> => {
    const { url, sign } = open.get(notice.receiver)!
    const now = clock.now()
    const id = `cev_${notice.event}`
    const sent = await sendWebhook(http, {
      ...{ url, id, sentAt: now, body: noticeBody(notice), sign, signal },
    })
    if (sent.ok) {
      await store.noticeTaken(notice)
      return 'sent'
    }
    const isOver = sent.gone || now - notice.since >= ASIDE_AFTER_MS
    return fail(notice, sent.why, sent.waitMs, isOver)
  }
  const fail = async (notice: DueNotice, why: string, waitMs: number, aside: boolean) => {
    const backOff = Math.max(waitMs, webhookBackoffMs(notice.tries + 1, random()))
    await store.noticeFailed(notice, { nextAt: clock.now() + backOff, why, aside })
    return aside ? 'aside' : 'failed'
  }
  return {
    /** Sends what is due now. */
    async send(): Promise<NoticesSent> {
      const known = [...open.keys()]
      const before = clock.now() - ASIDE_AFTER_MS
      const cursors = [...open].map(([receiver, { from = 0 }]) => ({ receiver, from }))
      await store.fanOut(cursors, before)
      const aside = await store.forsake(known, before, UNKNOWN_RECEIVER)
      const tally = { sent: 0, failed: 0, aside }
      while (!signal.aborted) {
        const due = await store.claimNotices(known, clock.now(), clock.now() + CLAIM_MS, BATCH)
        if (due.length === 0) break
        try {
          for (const what of await Promise.all(due.map(deliver))) tally[what] += 1
        } catch (error) {
          // Who is stopped leaves what was under way to the next, under the same id.
          if (!signal.aborted) throw error
        }
      }
      return tally
    },
    /** What was set aside, the oldest first, and how many more there are. */
    async aside(): Promise<{ readonly aside: readonly NoticeAside[]; readonly more: number }> {
      const rows = await store.listAside(LISTED_MAX)
      const aside = rows.map(({ event, receiver, ...row }) => {
        return { id: `cev_${event}`, ...row, url: open.get(receiver)?.url ?? null }
      })
      return { aside, more: (await store.countNotices()).aside - rows.length }
    },
    /**
     * Makes what was set aside for these receivers due again, as if it were new: all of it, or one notice
     * by its id; returns how many. They go out with the next `send`, before what is younger.
     */
    takeUp: async (id?: string): Promise<number> => {
      if (id === undefined) return store.takeUp([...open.keys()], clock.now())
      const event = /^cev_(\d{1,15})$/.exec(id)?.[1]
      return event === undefined ? 0 : store.takeUp([...open.keys()], clock.now(), Number(event))
    },
  }
}

export type Notices = ReturnType<typeof createNotices>

/** One notice as it is sent, without its signature: `{type, timestamp, data}`; no secret is in it. */
export function noticeBody(notice: DueNotice): string {
  const { event, connection, tenant, provider, owner, at, type, from, to, cause } = notice
  const timestamp = new Date(at).toISOString()
  return JSON.stringify({
    ...{ type, timestamp },
    data: {
      ...{ id: `cev_${event}`, at: timestamp, connection, tenant, provider, owner, from, to },
      cause: cause === null ? null : JSON.parse(cause),
    },
  })
}

/** An address may hold a secret of its receiver's: it is named by its hash. */
function keyOf(url: string): string {
  return createHash('sha256').update(url).digest('base64url')
}
